"""Fanning out: one statement for a batch, one delivery for an event and endpoint, nothing when it is rolled back."""

import asyncio
from typing import Any

import asyncpg
import pytest
from tests.conftest import ScratchDatabase
from tests.workers.delivery_world import DeliveryWorld

from quotastack.core.changes import OutboxEvent
from quotastack.core.event_patterns import EndpointFilter
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction
from quotastack.store.webhooks import insert_deliveries


def some_event(world: DeliveryWorld, sequence: int, type_: str = "credit.granted") -> OutboxEvent:
    return OutboxEvent(
        id=new_id(),
        sequence=sequence,
        type=type_,
        data={},
        request_id=None,
        created_at=world.services.clock.now(),
    )


def test_a_batch_is_one_statement(database: ScratchDatabase) -> None:
    async def story() -> None:
        async with DeliveryWorld(database).opened() as world:
            endpoints = [EndpointFilter(id=new_id(), patterns=("*",)) for _ in range(3)]
            customers = [new_id() for _ in range(50)]
            events = [
                (customer, some_event(world, sequence)) for customer in customers for sequence in (1, 2)
            ]
            counted: list[Any] = []
            async with environment_transaction(world.pools.writes, world.environment_id) as tx:
                with tx.query_logger(counted.append):
                    made = await insert_deliveries(tx, world.environment_id, events, endpoints)
                    nobody = [EndpointFilter(id=new_id(), patterns=("customer.*",))]
                    assert await insert_deliveries(tx, world.environment_id, events, nobody) == 0
                    assert await insert_deliveries(tx, world.environment_id, [], endpoints) == 0
            assert made == 300
            # The library asks for the types of parameters, once for each connection.
            own = [logged for logged in counted if "quotastack." in logged.query]
            assert len(own) == 1
            lanes = await world.fetch("SELECT FROM quotastack.webhook_lanes")
            assert len(lanes) == 150
            assert len(await world.deliveries()) == 300

    asyncio.run(story())


def test_an_event_goes_to_an_endpoint_once(database: ScratchDatabase) -> None:
    async def story() -> None:
        async with DeliveryWorld(database).opened() as world:
            endpoints = [EndpointFilter(id=new_id(), patterns=("*",))]
            events = [(new_id(), some_event(world, 1))]

            async def queue_twice() -> None:
                async with environment_transaction(world.pools.writes, world.environment_id) as tx:
                    await insert_deliveries(tx, world.environment_id, events, endpoints)
                    await insert_deliveries(tx, world.environment_id, events, endpoints)

            with pytest.raises(asyncpg.UniqueViolationError):
                await queue_twice()
            assert await world.deliveries() == [], "what was rolled back is sent to nobody"

    asyncio.run(story())


def test_what_is_fetched_has_no_lane(database: ScratchDatabase) -> None:
    async def story() -> None:
        async with DeliveryWorld(database).opened() as world:
            endpoints = [EndpointFilter(id=new_id(), patterns=("*",), is_pulled=True)]
            async with environment_transaction(world.pools.writes, world.environment_id) as tx:
                await insert_deliveries(
                    tx, world.environment_id, [(new_id(), some_event(world, 1))], endpoints
                )
            assert await world.fetch("SELECT FROM quotastack.webhook_lanes") == []
            assert len(await world.deliveries()) == 1

    asyncio.run(story())


def test_a_lane_queued_while_its_worker_settles_is_never_left_asleep(database: ScratchDatabase) -> None:
    """The worker finds nothing left and puts the lane to sleep, while the next event is being queued."""
    from quotastack.store.webhook_lanes import claim_lanes, lock_lanes, take_heads

    async def story() -> None:
        async with DeliveryWorld(database).opened() as world:
            await world.endpoint("http://127.0.0.1:9/")
            customer = await world.customer()
            await world.tell(customer)
            lease_id = new_id()
            async with world.pools.workers.acquire() as connection:
                (lane,) = await claim_lanes(connection, lease_id=lease_id, lease_seconds=60, lanes_max=9)
            async with environment_transaction(world.pools.workers, world.environment_id) as tx:
                await lock_lanes(tx, world.environment_id, lanes=[(lane, lease_id)])
                telling = asyncio.create_task(world.tell(customer))
                while not await tx.fetchval(  # noqa: ASYNC110 - a lock tells nobody that it is waited for
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid())"
                ):
                    await asyncio.sleep(0)
                await tx.execute(
                    "UPDATE quotastack.webhook_deliveries SET status = 'succeeded', finished_at = now()"
                    " WHERE environment_id = $1::uuid",
                    world.environment_id,
                )
                heads = await take_heads(
                    tx, world.environment_id, lanes=[(lane, 1)], lease_seconds=60, keeps_lease=True
                )
                assert heads == []
            await telling
            (row,) = await world.fetch("SELECT due_at, last_sequence FROM quotastack.webhook_lanes")
            assert row["due_at"] is not None
            assert row["last_sequence"] == 1

    asyncio.run(story())
