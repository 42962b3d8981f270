"""Which lanes a claim finds while an endpoint is passed over whose lanes wait in front of all others."""

import asyncio

import pytest
from tests.conftest import ScratchDatabase
from tests.workers.delivery_world import DeliveryWorld
from tests.workers.kill_story import Mute
from tests.workers.receiver_lab import Lab

from quotastack.runtime.random_ids import new_id
from quotastack.store.webhook_lanes import claim_lanes
from quotastack.workers import deliveries

INSERT_LANES = """
    INSERT INTO quotastack.webhook_lanes (environment_id, endpoint_id, lane_id, due_at)
    SELECT $1::uuid, $2::uuid, gen_random_uuid(), now() - make_interval(secs => n)
      FROM generate_series($3::int, $4::int) AS n
"""


def test_the_newest_are_found_however_many_are_passed_over(database: ScratchDatabase) -> None:
    async def story() -> None:
        async with DeliveryWorld(database).opened() as world:
            dead = await world.endpoint("http://127.0.0.1:9/dead")
            good = await world.endpoint("http://127.0.0.1:9/good")

            async def add(endpoint_id: str, first: int, last: int) -> None:
                await world.fetch(INSERT_LANES, world.environment_id, endpoint_id, first, last)

            async def claim(looked_at_max: int | None) -> int:
                async with world.pools.workers.acquire() as connection:
                    lanes = await claim_lanes(
                        connection,
                        lease_id=new_id(),
                        lease_seconds=60,
                        lanes_max=64,
                        passed_over=[dead],
                        looked_at_max=looked_at_max,
                    )
                assert all(lane.endpoint_id == good for lane in lanes)
                return len(lanes)

            await add(dead, 10, 500)
            await add(good, 250, 252)
            await add(good, 1, 3)
            assert await claim(20) == 3
            assert await claim(20) == 0
            assert await claim(None) == 3
            assert await claim(None) == 0

    asyncio.run(story())


def test_two_claims_of_the_newest_share_no_lane(database: ScratchDatabase) -> None:
    async def story() -> None:
        async with DeliveryWorld(database).opened() as world:
            good = await world.endpoint("http://127.0.0.1:9/")
            await world.fetch(INSERT_LANES, world.environment_id, good, 1, 200)

            async def claim() -> list[str]:
                found: list[str] = []
                async with world.pools.workers.acquire() as connection:
                    for _ in range(10):
                        lanes = await claim_lanes(
                            connection, lease_id=new_id(), lease_seconds=60, lanes_max=15, looked_at_max=60
                        )
                        found += [lane.lane_id for lane in lanes]
                return found

            claimed = [lane for found in await asyncio.gather(*(claim() for _ in range(3))) for lane in found]
            assert len(claimed) == len(set(claimed)) == 200

    asyncio.run(story())


def test_a_lane_among_those_that_are_passed_over_is_not_forgotten(
    database: ScratchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "SLOTS_PER_ENDPOINT", 2)
    monkeypatch.setattr(deliveries, "CLAIM_MAX", 2)
    monkeypatch.setattr(deliveries, "LOOKED_AT_MAX", 4)

    async def story() -> None:
        mute = Mute()
        mute.is_dead = True
        async with (
            DeliveryWorld(database, waits="60").opened() as world,
            Lab() as lab,
            mute.opened() as dead_url,
        ):
            await world.endpoint(dead_url, patterns=("credit.granted",))
            await world.endpoint(f"{lab.url}/good", patterns=("credit.adjusted",))
            for number in range(30):
                customer = await world.customer()
                await world.tell(customer, type_="credit.adjusted" if number == 15 else "credit.granted")
            async with world.working():
                await world.until(lambda rows: any(row["status"] == "succeeded" for row in rows))
                # It did not wait until the fifteen before it had been tried, two a second.
                assert len(mute.arrived) < 12

    asyncio.run(story())
