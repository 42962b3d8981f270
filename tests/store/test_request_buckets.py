"""The request bucket: a minute's requests at most, filled evenly, one for all processes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.clock import HostClock
from quotastack.runtime.database import Database
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.container import Services
from quotastack.services.request_limits import RequestLimits
from quotastack.services.tenants import create_tenant
from quotastack.store.request_buckets import TakenTokens, take_tokens

# What the passing of time does to a bucket, without waiting for it.
AGE = "UPDATE quotastack.request_buckets SET filled_at = filled_at - $1 * interval '1 second'"

Story = Callable[[Services, EnvironmentId], Awaitable[None]]


@pytest.fixture
def tell(database: Any) -> Callable[[Story], None]:
    async def run(story: Story) -> None:
        pools = Database(database.target)
        await pools.open()
        services = Services(database.settings, secret=database.secret, database=pools, clock=HostClock())
        try:
            tenant = await create_tenant(services, name="buckets")
            await story(services, tenant.test_environment_id)
        finally:
            await pools.close()

    return lambda story: asyncio.run(run(story))


async def take(services: Services, environment: EnvironmentId, limit: int, wanted: int) -> TakenTokens:
    async with environment_transaction(services.database.writes, environment) as tx:
        return await take_tokens(tx, environment, requests_per_minute=limit, wanted=wanted)


async def age(services: Services, environment: EnvironmentId, seconds: float) -> None:
    async with environment_transaction(services.database.writes, environment) as tx:
        await tx.execute(AGE, seconds)


def test_it_starts_full_and_fills_evenly(tell: Callable[[Story], None]) -> None:
    async def story(services: Services, environment: EnvironmentId) -> None:
        assert (await take(services, environment, 60, 40)).taken == 40
        assert (await take(services, environment, 60, 40)).taken == 20
        assert (await take(services, environment, 60, 1)).taken == 0
        await age(services, environment, 10)
        assert (await take(services, environment, 60, 40)).taken == 10
        await age(services, environment, 100_000)
        assert (await take(services, environment, 60, 1_000)).taken == 60
        # The clock of the database may have been set back: nothing is taken away for that.
        await age(services, environment, -100)
        assert (await take(services, environment, 60, 1)).taken == 0

    tell(story)


def test_a_new_limit_starts_full(tell: Callable[[Story], None]) -> None:
    async def story(services: Services, environment: EnvironmentId) -> None:
        assert (await take(services, environment, 5, 9)).taken == 5
        assert (await take(services, environment, 7, 9)).taken == 7
        assert (await take(services, environment, 7, 1)).taken == 0

    tell(story)


def test_two_processes_share_one_bucket(tell: Callable[[Story], None]) -> None:
    async def story(services: Services, environment: EnvironmentId) -> None:
        processes = [RequestLimits(services), RequestLimits(services)]
        asked = [processes[number % 2].take(environment, 30) for number in range(50)]
        told = await asyncio.gather(*asked)
        assert sum(allowance.is_allowed for allowance in told) == 30

    tell(story)
