# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
"""Keys in use are asked about together, and one that was revoked is refused although nobody heard of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.engine.conftest import World, open_world

from quotastack.api import auth
from quotastack.api.auth import KeyRing
from quotastack.core.errors import AuthenticationRequiredError
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.tenants import NewTenant, create_tenant

# What revoking does, without the notice of it.
REVOKE = "UPDATE quotastack.api_keys SET revoked_at = now() WHERE environment_id = $1::uuid"
RAISE = "UPDATE quotastack.environments SET version = version + 1 WHERE id = $1::uuid"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(auth, "GATHER_SECONDS", 0.0)


def run(database: Any, story: Callable[[World, KeyRing, list[NewTenant]], Awaitable[None]]) -> None:
    async def told() -> None:
        async with open_world(database) as world:
            tenants = [await create_tenant(world.services, name=f"tenant {number}") for number in range(3)]
            ring = KeyRing(world.services)
            for tenant in tenants:
                await ring.find(tenant.test_key.encode())
            await story(world, ring, tenants)

    asyncio.run(told())


async def refreshed(ring: KeyRing) -> None:
    async with asyncio.timeout(10):
        while ring._refreshing is not None:  # noqa: ASYNC110 - nothing tells of its end
            await asyncio.sleep(0.005)


def recall(ring: KeyRing, tenant: NewTenant) -> str | None:
    known = ring.recall(tenant.test_key.encode(), monotonic_seconds())
    return None if known is None else known.environment_id


async def change(world: World, environment_id: EnvironmentId, *statements: str) -> None:
    async with environment_transaction(world.services.database.writes, environment_id) as tx:
        for statement in statements:
            await tx.execute(statement, environment_id)


def test_all_that_are_due_are_asked_about_in_one_statement(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[EnvironmentId]] = []
    read = auth.read_environment_versions

    async def count(services: Any, environment_ids: Any) -> dict[EnvironmentId, int]:
        asked.append(set(environment_ids))
        return await read(services, environment_ids)

    monkeypatch.setattr(auth, "read_environment_versions", count)

    async def story(_world: World, ring: KeyRing, tenants: list[NewTenant]) -> None:
        environments = {tenant.test_environment_id for tenant in tenants}
        for _ in range(2):
            assert {recall(ring, tenant) for tenant in tenants} == environments
        before = [ring._known[tenant.test_key.encode()].good_until for tenant in tenants]
        await refreshed(ring)
        assert asked == [environments]
        after = [ring._known[tenant.test_key.encode()].good_until for tenant in tenants]
        assert all(late > early for early, late in zip(before, after, strict=True))

    run(database, story)


def test_a_key_whose_end_nobody_heard_of_is_refused(database: Any) -> None:
    async def story(world: World, ring: KeyRing, tenants: list[NewTenant]) -> None:
        ended, changed, _ = tenants
        await change(world, EnvironmentId(ended.test_environment_id), REVOKE, RAISE)
        await change(world, EnvironmentId(changed.test_environment_id), RAISE)
        for tenant in tenants:
            assert recall(ring, tenant) is not None, "believed until it is asked about"
        await refreshed(ring)
        assert [recall(ring, tenant) is None for tenant in tenants] == [True, True, False]
        with pytest.raises(AuthenticationRequiredError):
            await ring.find(ended.test_key.encode())
        known = await ring.find(changed.test_key.encode())
        assert known.environment_version > 1

    run(database, story)


def test_who_cannot_be_asked_about_is_believed_for_a_while(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_services: Any, _environment_ids: Any) -> dict[EnvironmentId, int]:
        raise OSError

    monkeypatch.setattr(auth, "read_environment_versions", fail)

    async def story(_world: World, ring: KeyRing, tenants: list[NewTenant]) -> None:
        tenant = tenants[0]
        until = ring._known[tenant.test_key.encode()].good_until
        for _ in range(2):
            assert recall(ring, tenant) is not None
            await refreshed(ring)
        assert ring._known[tenant.test_key.encode()].good_until == until
        assert ring.recall(tenant.test_key.encode(), until) is None

    run(database, story)


def test_what_a_notice_ended_is_not_brought_back(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by an answer that was asked for before."""
    read = auth.read_environment_versions

    async def story(_world: World, ring: KeyRing, tenants: list[NewTenant]) -> None:
        tenant = tenants[0]

        async def hear_meanwhile(services: Any, environment_ids: Any) -> dict[EnvironmentId, int]:
            versions = await read(services, environment_ids)
            ring.forget(EnvironmentId(tenant.test_environment_id))
            return versions

        monkeypatch.setattr(auth, "read_environment_versions", hear_meanwhile)
        assert recall(ring, tenant) is not None
        await refreshed(ring)
        assert recall(ring, tenant) is None

    run(database, story)
