"""What is equal in many states is one value of all, and nothing that is written to one reaches another."""

import asyncio
from typing import Any

from tests.engine.conftest import World, open_world
from tests.engine.test_statement_counts import give_catalog

from quotastack.core.customer_state import CustomerState
from quotastack.core.reservations import Reserve
from quotastack.core.topups import GrantTopup
from quotastack.core.usage import RecordUsage
from quotastack.runtime.tenancy import environment_transaction
from quotastack.store import states as stored

NAMES = ["ada", "berta", "clara"]


async def load(world: World) -> dict[str | None, CustomerState]:
    async with environment_transaction(world.services.database.reads, world.caller.environment_id) as tx:
        ids = await stored.select_customer_ids(tx, NAMES)
        found = await stored.load_states(tx, list(ids.values()), priority_order="asc")
    return {state.customer.external_id: state for state in found.values()}


async def live(world: World) -> None:
    await world.services.environments.get(world.caller.environment_id)
    give_catalog(world)
    for name in NAMES:
        await world.submit(name, GrantTopup(credits_mc=40_000), creates=True)
        await world.submit(name, RecordUsage(billable_metric_key="calls", units=2))


def test_equal_values_are_one(database: Any) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            await live(world)
            found = await load(world)
            ada, berta = found["ada"], found["berta"]
            assert ada.environment_id is berta.environment_id
            assert ada.holds is berta.holds
            for (place, counter), (other_place, other) in zip(
                sorted(ada.counters.items()), sorted(berta.counters.items()), strict=True
            ):
                assert place is other_place
                assert counter.billable_metric_key is other.billable_metric_key
                assert counter.kind is other.kind
                assert counter.period_start is other.period_start
                assert counter.period_end is other.period_end
            assert next(iter(ada.accounts)) is next(iter(berta.accounts)) is ada.accounts["credits"].unit

    asyncio.run(story())


def test_what_is_written_to_one_is_not_anothers(database: Any) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            await live(world)
            world.services.engine.cache.clear()
            await world.submit("ada", Reserve(billable_metric_key="calls", estimated_units=3))
            await world.submit("ada", RecordUsage(billable_metric_key="calls", units=1))
            found = await load(world)
            assert [len(found[name].holds) for name in NAMES] == [1, 0, 0]
            assert stored._NONE == {}
            assert [
                {kind: counter.value for (_, kind), counter in found[name].counters.items()} for name in NAMES
            ] == [{"asset": 3, "price:{}": 3}, {"asset": 2, "price:{}": 2}, {"asset": 2, "price:{}": 2}]

    asyncio.run(story())


def test_what_is_shared_is_bounded(database: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(stored, "SHARED_MAX", 5)

    async def story() -> None:
        async with open_world(database) as world:
            await live(world)
            found = await load(world)
            assert len(stored._shared) <= stored.SHARED_MAX
            spent = {name: state.accounts["credits"].lifetime_spent_mc for name, state in found.items()}
            assert spent == dict.fromkeys(NAMES, 2_000)

    asyncio.run(story())
