"""Two ways to the same effect: decided on remembered states and written in one call, or read under the locks first."""

import asyncio
import random
from typing import Any

import msgspec
import pytest
from tests.engine.conftest import World, make_caller, open_world
from tests.engine.test_statement_counts import Statements, give_catalog

from quotastack.core.commands import Command
from quotastack.core.commits import CommitReservation
from quotastack.core.credits import WithdrawCredits
from quotastack.core.errors import ProblemError
from quotastack.core.reservations import ReleaseReservation, Reserve
from quotastack.core.topups import GrantTopup
from quotastack.core.usage import RecordUsage
from quotastack.engine.batch import Guessing
from quotastack.store.batch_writes import WRITE_KNOWN

NAMES = [f"customer-{number}" for number in range(6)]
WAVES = 40
TABLES = (
    "SELECT external_id, version, event_sequence FROM customers",
    (
        "SELECT c.external_id, l.unit, l.sequence, type, delta, reserved_delta, balance_after, reserved_after,"
        " jsonb_array_length(blocks), reference_type, actor"
        " FROM ledger_entries AS l JOIN customers AS c ON c.id = l.customer_id"
    ),
    (
        "SELECT c.external_id, unit, blocks_mc, reserved_mc, overdraft_mc, lifetime_spent_mc, sequence"
        " FROM accounts AS a JOIN customers AS c ON c.id = a.customer_id"
    ),
    (
        "SELECT c.external_id, billable_metric_key, kind, value, cost_mc, is_current"
        " FROM counters AS n JOIN customers AS c ON c.id = n.customer_id"
    ),
    (
        "SELECT c.external_id, b.original_mc, remaining_mc, status, is_live"
        " FROM blocks AS b JOIN customers AS c ON c.id = b.customer_id"
    ),
    "SELECT c.external_id, r.status, is_live FROM reservations AS r JOIN customers AS c ON c.id = r.customer_id",
    (
        "SELECT c.external_id, u.status, units, cost, ledger_sequence, u.idempotency_key"
        " FROM usage_events AS u JOIN customers AS c ON c.id = u.customer_id"
    ),
    "SELECT key, status, is_money FROM idempotency_keys",
    "SELECT c.external_id, e.sequence, type FROM events AS e JOIN customers AS c ON c.id = e.customer_id",
    "SELECT c.external_id FROM customer_due AS d JOIN customers AS c ON c.id = d.customer_id",
)


class Life:
    """The same commands in the same waves for the same seed; only ids and times differ."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.holds: dict[str, list[str]] = {name: [] for name in NAMES}
        self.keys: list[tuple[str, Command, str]] = []
        self.answers: list[Any] = []

    async def live(self) -> None:
        for name in NAMES:
            await self.world.submit(name, GrantTopup(credits_mc=40_000), f"grant {name}", creates=True)
        for number in range(WAVES):
            chosen = [self.choose(f"{number}.{place}") for place in range(self.random.randint(1, 9))]
            told = await asyncio.gather(*(self.submit(*act) for act in chosen))
            for (name, command, _), answer in zip(chosen, told, strict=True):
                if isinstance(command, Reserve) and not isinstance(answer, str) and answer[2]:
                    self.holds[name].append(answer[2])
                self.answers.append(answer if isinstance(answer, str) else answer[:2])

    def choose(self, key: str) -> tuple[str, Command, str]:
        dice = self.random
        name = dice.choice(NAMES)
        kind = dice.choice(("usage", "usage", "usage", "reserve", "end", "withdraw", "again", "other"))
        command: Command = RecordUsage(billable_metric_key="calls", units=dice.randint(0, 9))
        if kind == "reserve":
            command = Reserve(billable_metric_key="calls", estimated_units=dice.randint(1, 9))
        elif kind == "end" and self.holds[name]:
            # Some are ended twice: the second time the history has to be asked.
            hold = dice.choice(self.holds[name])
            command = dice.choice(
                (
                    CommitReservation(reservation_id=hold, actual_units=dice.randint(0, 9)),
                    ReleaseReservation(reservation_id=hold),
                )
            )
        elif kind == "withdraw":
            command = WithdrawCredits(amount_mc=dice.randint(1, 30_000))
        elif kind == "again" and self.keys:
            return dice.choice(self.keys)
        elif kind == "other" and self.keys:
            key = dice.choice(self.keys)[2]
        self.keys.append((name, command, key))
        return name, command, key

    async def submit(self, name: str, command: Command, key: str) -> Any:
        try:
            outcome = await self.world.submit(name, command, key)
        except ProblemError as refusal:
            return refusal.slug
        return outcome.status, outcome.is_replayed, getattr(outcome.answer, "id", None)


async def tell(database: Any, seed: int) -> tuple[list[Any], list[list[tuple[Any, ...]]], int]:
    async with open_world(database) as world:
        await world.services.environments.get(world.caller.environment_id)
        give_catalog(world)
        life = Life(world, seed)
        with Statements(world) as statements:
            await life.live()
        rows = [sorted(map(tuple, await world.fetch(table)), key=repr) for table in TABLES]
        return life.answers, rows, statements.seen.count(WRITE_KNOWN)


@pytest.mark.parametrize("seed", range(4))
def test_both_ways_lead_to_the_same_rows(database: Any, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(Guessing, "is_due", lambda _: True)
    answers, rows, calls = asyncio.run(tell(database, seed))
    assert calls > WAVES / 4
    monkeypatch.setattr(Guessing, "is_due", lambda _: False)
    other_answers, other_rows, other_calls = asyncio.run(tell(database, seed))
    assert other_calls == 0
    assert answers == other_answers
    for table, found, expected in zip(TABLES, rows, other_rows, strict=True):
        assert found == expected, table
    assert {"idempotency-key-reused", "insufficient-credits"} <= {a for a in answers if isinstance(a, str)}
    assert any(not isinstance(a, str) and a[1] for a in answers)


def test_a_refused_retry_of_what_succeeded_is_a_replay(database: Any) -> None:
    """The balance is gone by then: decided on memory alone the retry would be refused."""

    async def story() -> None:
        async with open_world(database) as world:
            await world.submit("ada", GrantTopup(credits_mc=10_000), creates=True)
            spend = WithdrawCredits(amount_mc=10_000)
            first = await world.submit("ada", spend, "spend")
            again = await world.submit("ada", spend, "spend")
            assert (again.is_replayed, again.body) == (True, first.body)

    asyncio.run(story())


USE = RecordUsage(billable_metric_key="calls", units=2)
TOO_MUCH = RecordUsage(billable_metric_key="calls", units=6)


async def prepare(world: World) -> None:
    """A customer of 5,000 mc who has used one unit of 1,000 mc and is remembered."""
    await world.services.environments.get(world.caller.environment_id)
    give_catalog(world)
    await world.submit("eve", GrantTopup(credits_mc=5_000), creates=True)
    await world.submit("eve", RecordUsage(billable_metric_key="calls", units=1))


async def make_worlds(world: World) -> list[World]:
    """Five environments, each with its customer."""
    worlds = [world, *[World(world.services, await make_caller(world.services)) for _ in range(4)]]
    for each in worlds:
        await prepare(each)
    return worlds


async def balance_rows(world: World) -> tuple[int, int]:
    [row] = await world.fetch(
        "SELECT a.blocks_mc, c.version FROM accounts AS a JOIN customers AS c ON c.id = a.customer_id"
    )
    return row["blocks_mc"], row["version"]


def test_many_environments_take_one_statement(database: Any) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            worlds = await make_worlds(world)
            with Statements(world) as statements:
                await asyncio.gather(*(each.submit("eve", USE) for each in worlds))
            assert set(statements.seen) == {WRITE_KNOWN}
            assert len(statements.seen) <= 2
            assert [await balance_rows(each) for each in worlds] == [(2_000, 3)] * 5

    asyncio.run(story())


def test_one_customer_who_moved_on_holds_back_every_environment(database: Any) -> None:
    """What is remembered of one of five is old: the call writes nothing, and all five are read and decided anew."""

    async def story() -> None:
        async with open_world(database) as world:
            worlds = await make_worlds(world)
            moved = worlds[2].caller.environment_id
            [entry] = [
                entry for (environment_id, _), entry in world.services.engine.cache._entries.items()
                if environment_id == moved
            ]  # fmt: skip
            entry.state = msgspec.structs.replace(entry.state, version=entry.state.version - 1)
            with Statements(world) as statements:
                await asyncio.gather(*(each.submit("eve", USE) for each in worlds))
            assert statements.seen.count(WRITE_KNOWN) >= 1
            assert "COMMIT" in statements.seen
            assert [await balance_rows(each) for each in worlds] == [(2_000, 3)] * 5

    asyncio.run(story())


def test_a_refusal_writes_no_row_and_holds_only_of_what_is_still_so(database: Any) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            await prepare(world)
            before = await world.fetch("SELECT xmin::text, version FROM customers")
            with Statements(world) as statements, pytest.raises(ProblemError):
                await world.submit("eve", TOO_MUCH)
            assert statements.seen == [WRITE_KNOWN]
            assert await world.fetch("SELECT xmin::text, version FROM customers") == before
            [entry] = world.services.engine.cache._entries.values()
            # A state without its credits is remembered, of a version that is gone.
            poor = msgspec.structs.replace(
                entry.state, version=entry.state.version - 1, accounts={}, blocks={}
            )
            entry.state = poor
            outcome = await world.submit("eve", USE)
            assert not outcome.is_replayed
            assert await balance_rows(world) == (2_000, 3)

    asyncio.run(story())


def test_being_wrong_costs_a_pause_that_doubles() -> None:
    guessing = Guessing()
    pauses: list[int] = []
    for _ in range(8):
        assert guessing.is_due()
        guessing.note(was_right=False)
        skipped = 0
        while not guessing.is_due():
            skipped += 1
        pauses.append(skipped)
    assert pauses == [1, 3, 7, 15, 31, 63, 63, 63]
    guessing.note(was_right=True)
    assert guessing.is_due()
