"""What happens to a batch when something in it, or the connection under it, fails."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.engine.conftest import World, make_caller, open_world

from quotastack.core.commands import Command
from quotastack.core.context import Context
from quotastack.core.credits import WithdrawCredits
from quotastack.core.draft import Draft
from quotastack.core.errors import UnavailableError
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.idempotency import make_idempotency_key
from quotastack.engine import batch as batch_module
from quotastack.engine import lanes
from quotastack.engine.batch import Guessing
from quotastack.engine.submission import Submission
from quotastack.runtime.tenancy import commit
from quotastack.services.test_clock import advance_clock, freeze_clock


class Stumble(Command, frozen=True, kw_only=True):
    """Writes, then fails: what no command of the product may do."""

    def decide(self, draft: Draft, context: Context) -> Any:
        draft.add_event(context, "credit.adjusted", {})
        raise RuntimeError("half-way")


def run(database: Any, story: Any) -> None:
    async def tell() -> None:
        async with open_world(database) as world:
            await world.submit("ada", GrantCredits(terms=GrantTerms(credits_mc=10_000)), creates=True)
            await story(world)

    asyncio.run(tell())


async def deltas(world: World) -> list[int]:
    rows = await world.fetch("SELECT delta FROM ledger_entries ORDER BY sequence")
    return [row["delta"] for row in rows]


def test_a_command_that_fails_half_way_fails_alone(database: Any) -> None:
    async def story(world: World) -> None:
        outcomes = await asyncio.gather(
            world.submit("ada", WithdrawCredits(amount_mc=1_000)),
            world.submit("ada", Stumble()),
            world.submit("ada", WithdrawCredits(amount_mc=2_000)),
            return_exceptions=True,
        )
        assert isinstance(outcomes[1], UnavailableError)
        assert await deltas(world) == [10_000, -1_000, -2_000]
        events = await world.fetch("SELECT sequence, type FROM events ORDER BY sequence")
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert "half" not in str(outcomes[1])

    run(database, story)


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_connection_lost_at_commit_is_settled_by_the_key(
    database: Any, monkeypatch: pytest.MonkeyPatch, *, is_committed: bool
) -> None:
    async def story(world: World) -> None:
        cuts = 0

        async def cut(connection: Any) -> None:
            nonlocal cuts
            cuts += 1
            if cuts > 1:
                await commit(connection)
                return
            if is_committed:
                await commit(connection)
            raise ConnectionResetError("cut after COMMIT was sent")

        # Read under its locks: what is remembered is written by one call, which has no COMMIT of its own.
        monkeypatch.setattr(Guessing, "is_due", lambda _: False)
        monkeypatch.setattr(batch_module, "commit", cut)
        outcome = await world.submit("ada", WithdrawCredits(amount_mc=1_000), "once")
        assert msgspec.json.decode(outcome.body)["account"]["balance"] == 9_000
        assert not outcome.is_replayed
        assert cuts == 2
        again = await world.submit("ada", WithdrawCredits(amount_mc=1_000), "once")
        assert again.is_replayed
        assert again.body == outcome.body
        assert await deltas(world) == [10_000, -1_000]

    run(database, story)


def test_a_line_on_which_planning_anew_failed_is_left(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch takes another line: on a stranded one it would wait for its own deadline after that of the plans."""

    async def story(world: World) -> None:
        left: list[Any] = []

        async def strand(connection: Any) -> None:
            left.append(connection)
            raise TimeoutError

        monkeypatch.setattr(lanes, "forget_plans", strand)
        [lane] = world.services.engine.lanes
        for number in range(4):
            await world.submit("ada", WithdrawCredits(amount_mc=1_000), f"w:{number}")
        assert lane.batches >= 4
        assert left, "no batch planned anew"
        assert all(connection.is_closed() for connection in left)
        assert len(set(map(id, left))) == len(left), (
            "a line was taken again on which planning anew had failed"
        )
        assert await deltas(world) == [10_000, *[-1_000] * 4]

    run(database, story)


def test_one_transaction_may_span_environments(database: Any) -> None:
    async def story(world: World) -> None:
        others = [World(world.services, await make_caller(world.services)) for _ in range(5)]
        worlds = [world, *others]
        await asyncio.gather(
            *(w.submit("eve", GrantCredits(terms=GrantTerms(credits_mc=500)), creates=True) for w in worlds)
        )
        [lane] = world.services.engine.lanes
        before = lane.batches
        await asyncio.gather(*(w.submit("eve", WithdrawCredits(amount_mc=200)) for w in worlds))
        assert lane.batches - before <= 2
        for other in others:
            assert await deltas(other) == [500, -200]

    run(database, story)


def test_a_customer_of_one_environment_is_unknown_in_another(database: Any) -> None:
    async def story(world: World) -> None:
        other = World(world.services, await make_caller(world.services))
        [row] = await world.fetch("SELECT id::text AS id FROM customers")
        submission = world.submission("ada", WithdrawCredits(amount_mc=1))
        foreign = msgspec.structs.replace(
            submission,
            caller=other.caller,
            customer=msgspec.structs.replace(submission.customer, customer_id=row["id"], external_id=None),
        )
        assert isinstance(foreign, Submission)
        with pytest.raises(Exception, match="customer_id"):
            await world.services.engine.submit(foreign)

    run(database, story)


async def be_away(world: World, *, blocks: int) -> None:
    """ada comes back after that many blocks of hers have expired, unswept."""
    frozen_at = world.services.clock.now() + timedelta(days=1)
    key = make_idempotency_key("freeze", method="POST", path="/v1/test-clock", body={})
    await freeze_clock(world.services, world.caller, frozen_at=frozen_at, key=key)
    terms = (
        GrantTerms(credits_mc=1, expires_at=frozen_at + timedelta(seconds=1, microseconds=number))
        for number in range(blocks)
    )
    await asyncio.gather(*(world.submit("ada", GrantCredits(terms=each)) for each in terms))
    key = make_idempotency_key("advance", method="POST", path="/v1/test-clock/advance", body={})
    await advance_clock(world.services, world.caller, seconds=2, to=None, sweep=False, key=key)


def test_a_long_absence_is_written_in_slices(database: Any) -> None:
    async def story(world: World) -> None:
        await be_away(world, blocks=250)
        outcome = await world.submit("ada", WithdrawCredits(amount_mc=10_000))
        assert msgspec.json.decode(outcome.body)["account"]["balance"] == 0
        entries = await world.fetch("SELECT type FROM ledger_entries WHERE type = 'expire'")
        assert len(entries) == 250

    run(database, story)


def test_commands_that_run_one_by_one_keep_their_order(database: Any) -> None:
    """More is due for the first than one transaction takes: those behind it wait, or they would overtake it."""

    async def story(world: World) -> None:
        await world.submit("bob", GrantCredits(terms=GrantTerms(credits_mc=1_000)), creates=True)
        await be_away(world, blocks=350)
        outcomes = await asyncio.gather(
            *(
                world.submit("ada", WithdrawCredits(amount_mc=amount_mc))
                for amount_mc in (1_000, 2_000, 3_000)
            ),
            world.submit("bob", Stumble()),
            return_exceptions=True,
        )
        assert isinstance(outcomes[3], UnavailableError)
        rows = await world.fetch(
            "SELECT delta FROM ledger_entries WHERE type = 'withdrawal' ORDER BY sequence"
        )
        assert [row["delta"] for row in rows] == [-1_000, -2_000, -3_000]

    run(database, story)
