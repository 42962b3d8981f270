"""The next batch is decided while one is written; what was decided on a batch that was not written is thrown away."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest
from tests.engine.conftest import World, open_world
from tests.engine.test_remembered import tell
from tests.engine.test_statement_counts import Statements, give_catalog

from quotastack.core.commands import Command
from quotastack.core.credits import WithdrawCredits
from quotastack.core.errors import UnavailableError
from quotastack.core.topups import GrantTopup
from quotastack.core.usage import RecordUsage
from quotastack.engine import lanes
from quotastack.engine.batch import Guessing, run_batch
from quotastack.engine.lanes import Lane
from quotastack.engine.open_batch import OpenBatch
from quotastack.runtime import slices
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.verification import verify_environment
from quotastack.store.batch_writes import WRITE_KNOWN

LOCK = "SELECT 1 FROM customers WHERE external_id = 'ada' FOR UPDATE"
# A unit costs 1,000 mc.
SPEND = RecordUsage(billable_metric_key="calls", units=1)


@contextlib.asynccontextmanager
async def standing_still(world: World) -> AsyncGenerator[Lane]:
    """A lane whose write waits for the lock of ada until the block ends."""
    [lane] = world.services.engine.lanes
    async with environment_transaction(world.services.database.writes, world.caller.environment_id) as tx:
        await tx.fetch(LOCK)
        yield lane


async def until_written(lane: Lane) -> None:
    while not lane._running:  # noqa: ASYNC110 - nothing tells that a batch has been taken
        await asyncio.sleep(0)


async def until_taken_in(lane: Lane, count: int) -> OpenBatch:
    while len(lane._next.pendings) < count:  # noqa: ASYNC110 - nor that commands have been decided
        await asyncio.sleep(0)
    return lane._next


def submit(world: World, *acts: tuple[str, Command, str]) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(world.submit(*act)) for act in acts]


async def open_accounts(world: World) -> None:
    await world.services.environments.get(world.caller.environment_id)
    give_catalog(world)
    for name in ("ada", "bob"):
        await world.submit(name, GrantTopup(credits_mc=10_000), creates=True)
        await world.submit(name, SPEND)


async def balances_of(world: World) -> list[tuple[str, int, int]]:
    rows = await world.fetch(
        "SELECT c.external_id, a.blocks_mc, c.version FROM accounts AS a"
        " JOIN customers AS c ON c.id = a.customer_id ORDER BY 1"
    )
    return [tuple(row) for row in rows]


async def broken_in(world: World) -> list[Any]:
    report = await verify_environment(world.services, world.caller.environment_id)
    return list(report.broken)


def test_what_comes_during_a_write_is_decided_on_top_of_it(database: Any) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            await open_accounts(world)
            with Statements(world) as statements:
                async with standing_still(world) as lane:
                    tasks = submit(world, ("ada", SPEND, "1"))
                    await until_written(lane)
                    tasks += submit(world, ("ada", SPEND, "2"), ("ada", SPEND, "3"), ("bob", SPEND, "4"))
                    opened = await until_taken_in(lane, 3)
                    assert (len(opened.known), opened.rest) == (3, [])
                    # Nobody knows of it: neither the callers nor a check.
                    assert not any(task.done() for task in tasks)
                    ref = world.submission("ada", SPEND).customer
                    draft, _ = await world.services.engine.peek(world.caller, ref)
                    assert draft.account("credits").balance_mc == 9_000
                outcomes = await asyncio.gather(*tasks)
            assert statements.seen == [WRITE_KNOWN, WRITE_KNOWN]
            assert [outcome.is_replayed for outcome in outcomes] == [False] * 4
            assert await balances_of(world) == [("ada", 6_000, 5), ("bob", 8_000, 3)]
            assert await broken_in(world) == []

    asyncio.run(story())


def test_nothing_stays_of_what_was_decided_on_a_batch_that_was_not_written(database: Any) -> None:
    """What is remembered of bob is old, so that the first batch is decided anew, with other ids and hashes for ada
    but the same version: only its own batch can tell that what was decided on it is void.
    """

    async def story() -> None:
        async with open_world(database) as world:
            await open_accounts(world)
            for entry in world.services.engine.cache._entries.values():
                if entry.state.customer.external_id == "bob":
                    entry.state = msgspec.structs.replace(entry.state, version=entry.state.version - 1)
            with Statements(world) as statements:
                async with standing_still(world) as lane:
                    tasks = submit(world, ("ada", SPEND, "1"), ("bob", SPEND, "2"))
                    await until_written(lane)
                    tasks += submit(world, ("ada", SPEND, "3"))
                    assert len((await until_taken_in(lane, 1)).known) == 1
                await asyncio.gather(*tasks)
            assert statements.seen.count(WRITE_KNOWN) == 1
            assert await balances_of(world) == [("ada", 7_000, 4), ("bob", 8_000, 3)]
            assert await broken_in(world) == []

    asyncio.run(story())


def test_the_same_key_during_its_own_write_is_a_replay(database: Any) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            await open_accounts(world)
            async with standing_still(world) as lane:
                tasks = submit(world, ("ada", SPEND, "once"))
                await until_written(lane)
                tasks += submit(world, ("ada", SPEND, "once"), ("bob", SPEND, "other"))
                opened = await until_taken_in(lane, 2)
                assert (len(opened.known), len(opened.rest)) == (1, 1)
            first, again, _ = await asyncio.gather(*tasks)
            assert (first.is_replayed, again.is_replayed, again.body) == (False, True, first.body)
            assert await balances_of(world) == [("ada", 8_000, 3), ("bob", 8_000, 3)]

    asyncio.run(story())


@pytest.mark.parametrize("seed", range(4))
def test_lives_in_batches_of_two_lead_to_the_same_rows(
    database: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Batches that follow on each other, decided ahead, and the same read one after the other under the locks."""
    monkeypatch.setattr(Lane, "_has_room_for", lambda self, _: len(self._next.pendings) < 2)
    ahead: list[int] = []
    take_in = OpenBatch.add

    def add(self: OpenBatch, pending: Any) -> None:
        take_in(self, pending)
        if self._before is not None and not self._before.is_ended:
            ahead.append(len(self.known))

    monkeypatch.setattr(OpenBatch, "add", add)
    answers, rows, calls = asyncio.run(tell(database, seed))
    assert calls > 20
    assert sum(bool(known) for known in ahead) > 20
    monkeypatch.setattr(Guessing, "is_due", lambda _: False)
    other_answers, other_rows, _ = asyncio.run(tell(database, seed))
    assert answers == other_answers
    assert rows == other_rows


def test_two_processes_on_the_same_customers_lose_nothing(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each decides ahead on what the other is about to change."""
    monkeypatch.setattr(Lane, "_has_room_for", lambda self, _: len(self._next.pendings) < 3)

    async def story() -> None:
        async with open_world(database) as one, open_world(database) as two:
            two.caller = one.caller
            await open_accounts(one)
            tasks = [
                asyncio.create_task(world.submit(name, WithdrawCredits(amount_mc=100), f"{name} {number}"))
                for number in range(40)
                for name in ("ada", "bob")
                for world in (one, two)
            ]
            outcomes = await asyncio.gather(*tasks)
            assert sum(outcome.is_replayed for outcome in outcomes) == 80
            assert [row[:2] for row in await balances_of(one)] == [("ada", 5_000), ("bob", 5_000)]
            assert await broken_in(one) == []

    asyncio.run(story())


def test_a_batch_is_begun_with_half_of_those_who_are_about(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes all of them leaves the process nothing to decide meanwhile. One is decided in a turn here."""
    sizes: list[int] = []

    async def count(connection: Any, opened: OpenBatch, *parts: Any) -> list[Any]:
        sizes.append(len(opened.pendings))
        return await run_batch(connection, opened, *parts)

    monkeypatch.setattr(lanes, "run_batch", count)
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)

    async def story() -> None:
        async with open_world(database) as world:
            await open_accounts(world)
            sizes.clear()
            async with standing_still(world) as lane:
                first = submit(world, ("ada", SPEND, "a"))
                await until_written(lane)
                with monkeypatch.context() as patched:
                    # So none of the others has been decided when the first is answered.
                    patched.setattr(lane, "_fill_soon", lambda: None)
                    others = submit(world, *(("bob", SPEND, f"b:{number}") for number in range(8)))
                    while lane.waiting < 8:  # noqa: ASYNC110 - nothing tells that commands are queued
                        await asyncio.sleep(0)
            await asyncio.gather(*first, *others)

    asyncio.run(story())
    # One was answered, eight wait: half of nine.
    assert sizes[:2] == [1, 4]
    assert sum(sizes) == 9


def test_a_lane_goes_on_when_all_of_its_next_batch_were_answered(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had waited for too long behind a lock, and one more command waits than a batch takes."""
    settings = database.settings.model_copy(update={"batch_max": 2})
    begun = 0
    plan_anew = Lane._plan_anew

    async def count(lane: Lane) -> None:
        nonlocal begun
        begun += 1
        # A lane that spins would never let the test see that time passes.
        assert begun < 1_000
        await plan_anew(lane)

    async def story() -> None:
        async with open_world(database, settings) as world:
            await open_accounts(world)
            monkeypatch.setattr(Lane, "_plan_anew", count)
            async with standing_still(world) as lane:
                first = submit(world, ("ada", SPEND, "a"))
                await until_written(lane)
                second = submit(world, *(("ada", SPEND, f"b:{number}") for number in range(2)))
                await until_taken_in(lane, 2)
                third = submit(world, ("ada", SPEND, "c"))
                while not lane._queue:  # noqa: ASYNC110 - nothing tells that a command is queued
                    await asyncio.sleep(0)
                for pending in lane._next.pendings:
                    pending.fail(UnavailableError("It took too long.", retry_after_seconds=1))
            async with asyncio.timeout(10):
                await asyncio.gather(*first, *third)
            told = await asyncio.gather(*second, return_exceptions=True)
            assert [type(one) for one in told] == [UnavailableError] * 2
            assert (await balances_of(world))[0][:2] == ("ada", 7_000)

    asyncio.run(story())
