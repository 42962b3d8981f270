"""What a hot operation may cost: statements for a batch of any size, none for a check on a cached state."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Self

import msgspec
import pytest
from tests.engine.conftest import World, open_world

from quotastack.core.catalog import MeteringRule, Metric
from quotastack.core.commits import CommitReservation
from quotastack.core.credits import WithdrawCredits
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.reservations import Reserve
from quotastack.core.topups import GrantTopup
from quotastack.core.usage import RecordUsage
from quotastack.engine.batch import Guessing
from quotastack.runtime import slices
from quotastack.runtime.random_ids import new_id
from quotastack.store.batch_writes import WRITE_KNOWN

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
STATEMENTS_MAX = 12


def give_catalog(world: World) -> None:
    """One metric at 1,000 mc, in the cached environment only: its version stays the database's."""
    metric = Metric(key="calls", id=new_id(), name="Calls", created_at=LONG_AGO, updated_at=LONG_AGO)
    rule = MeteringRule(
        id=new_id(),
        billable_metric_key="calls",
        cost_type="per_unit",
        unit_cost=1_000,
        active_from=LONG_AGO,
        created_at=LONG_AGO,
    )
    environments = world.services.environments
    known = environments.peek(world.caller.environment_id)
    assert known is not None
    catalog = msgspec.structs.replace(
        known.catalog, metrics={"calls": metric}, rules={"calls": (rule,)}, rules_by_id={rule.id: rule}
    )
    environments.invalidate(known.id)
    environments.put(msgspec.structs.replace(known, catalog=catalog))


class Statements:
    """Every statement that the lane's connection carries out while the block runs."""

    def __init__(self, world: World) -> None:
        [lane] = world.services.engine.lanes
        self.connection: Any = lane._connection
        self.seen: list[str] = []

    def __enter__(self) -> Self:
        self.connection.add_query_logger(self.note)
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.remove_query_logger(self.note)

    def note(self, query: Any) -> None:
        if query.query != "DISCARD PLANS":
            self.seen.append(query.query)

    @property
    def commits(self) -> int:
        return self.seen.count("COMMIT")


@pytest.fixture(autouse=True)
def _slow_machines_decide_in_one_turn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one batch holds would depend on how many of its commands fit into a slice of time."""
    monkeypatch.setattr(slices, "SLICE_SECONDS", 60.0)


async def use(world: World, count: int, *, each: int = 1) -> None:
    await asyncio.gather(
        *(
            world.submit(f"customer-{number}", RecordUsage(billable_metric_key="calls", units=1))
            for number in range(count)
            for _ in range(each)
        )
    )


async def prepare(world: World, count: int) -> None:
    await world.services.environments.get(world.caller.environment_id)
    give_catalog(world)
    await asyncio.gather(
        *(
            world.submit(f"customer-{number}", GrantTopup(credits_mc=1_000_000), creates=True)
            for number in range(count)
        )
    )
    await use(world, count)


def run(database: Any, story: Any) -> None:
    async def tell() -> None:
        async with open_world(database) as world:
            await story(world)

    asyncio.run(tell())


def test_a_batch_of_remembered_customers_takes_one_statement(database: Any) -> None:
    async def story(world: World) -> None:
        await prepare(world, 100)
        with Statements(world) as statements:
            await use(world, 100, each=3)
        assert set(statements.seen) == {WRITE_KNOWN}
        assert len(statements.seen) <= 300 / 64 + 1

    run(database, story)


def test_reserving_and_withdrawing_take_one_statement_too(database: Any) -> None:
    """Their entries' keys are texts that no usage event carries: those are no reason for another round trip."""

    async def story(world: World) -> None:
        await prepare(world, 20)
        names = [f"customer-{number}" for number in range(20)]
        reserve = Reserve(billable_metric_key="calls", estimated_units=1)
        with Statements(world) as statements:
            held = await asyncio.gather(*(world.submit(name, reserve) for name in names))
            commits = [CommitReservation(reservation_id=hold.answer.id, actual_units=1) for hold in held]
            await asyncio.gather(*(world.submit(*act) for act in zip(names, commits, strict=True)))
            withdraw = WithdrawCredits(amount_mc=1, reason="gone")
            await asyncio.gather(*(world.submit(name, withdraw) for name in names))
        assert set(statements.seen) == {WRITE_KNOWN}
        told = await world.fetch("SELECT count(*) AS n FROM ledger_texts WHERE reason = 'gone'")
        assert told[0]["n"] == 20

    run(database, story)


def test_a_command_that_needs_history_sends_its_own_customer_the_long_way(database: Any) -> None:
    async def story(world: World) -> None:
        await prepare(world, 20)
        with Statements(world) as statements:
            paid = GrantTopup(credits_mc=1_000, external_payment_id="payment-1")
            await asyncio.gather(use(world, 20), world.submit("customer-7", paid))
        assert statements.seen.count(WRITE_KNOWN) == 1
        assert statements.commits == 1
        charged = await world.fetch("SELECT count(*) AS n FROM usage_events")
        assert charged[0]["n"] == 40

    run(database, story)


def test_a_batch_that_asks_first_takes_four_statements(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        await prepare(world, 100)
        monkeypatch.setattr(Guessing, "is_due", lambda _: False)
        with Statements(world) as statements:
            await use(world, 100, each=3)
        batches = statements.commits
        # begin and environment, locks and keys, one write, commit.
        assert len(statements.seen) == 4 * batches
        assert batches <= 300 / 64 + 1

    run(database, story)


def test_customers_that_are_not_cached_cost_one_load_more(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        monkeypatch.setattr(Guessing, "is_due", lambda _: False)
        await prepare(world, 50)
        for number in range(50):
            ref = CustomerRef.by_external_id(f"customer-{number}")
            state = world.services.engine.find_cached(world.caller.environment_id, ref)
            assert state is not None
            world.services.engine.cache._entries[
                world.caller.environment_id, state.customer.id
            ].state = msgspec.structs.replace(state, version=0)
        with Statements(world) as statements:
            await use(world, 50)
        assert len(statements.seen) == 5 * statements.commits

    run(database, story)


def test_a_batch_that_creates_customers_stays_below_the_limit(database: Any) -> None:
    async def story(world: World) -> None:
        await prepare(world, 1)
        with Statements(world) as statements:
            await asyncio.gather(
                *(
                    world.submit(f"new-{number}", GrantTopup(credits_mc=1_000), creates=True)
                    for number in range(200)
                )
            )
        assert len(statements.seen) <= STATEMENTS_MAX * statements.commits

    run(database, story)


def test_a_check_on_a_cached_customer_asks_nothing(database: Any) -> None:
    async def story(world: World) -> None:
        await prepare(world, 1)
        ref = CustomerRef.by_external_id("customer-0")
        reads = world.services.database.reads
        before = [holder._con for holder in reads._holders]
        seen: list[str] = []
        for connection in before:
            if connection is not None:
                connection.add_query_logger(lambda query: seen.append(query.query))
        with Statements(world) as statements:
            for _ in range(10):
                draft, _ = await world.services.engine.peek(world.caller, ref)
                assert draft.account("credits").balance_mc == 999_000
        assert statements.seen == []
        assert [query for query in seen if "clock_timestamp" not in query] == []

    run(database, story)
