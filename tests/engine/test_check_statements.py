"""What a check costs: no statement on a cached state, and a lookup when it is repeated."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.engine.conftest import World
from tests.engine.test_statement_counts import Statements, prepare, run

from quotastack.core.customer_ref import CustomerRef
from quotastack.core.entitlement_check import EntitlementQuery
from quotastack.core.topups import GrantTopup
from quotastack.services import entitlements
from quotastack.services.entitlements import check_entitlement, recall_check

QUERY = EntitlementQuery(billable_metric_key="calls")
REF = CustomerRef.by_external_id("customer-0")


async def check(world: World) -> bytes:
    return await check_entitlement(world.services, world.caller, REF, QUERY, memo_key="calls")


def test_a_check_on_a_cached_customer_asks_nothing(database: Any) -> None:
    async def story(world: World) -> None:
        await prepare(world, 1)
        seen: list[str] = []
        for holder in world.services.database.reads._holders:
            if holder._con is not None:
                holder._con.add_query_logger(lambda query: seen.append(query.query))
        with Statements(world) as statements:
            for _ in range(10):
                assert b'"balance":999000' in await check(world)
        assert statements.seen == []
        assert [query for query in seen if "clock_timestamp" not in query] == []

    run(database, story)


def test_a_repeated_check_is_not_decided_again_until_something_changes(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: World) -> None:
        await prepare(world, 1)
        first = await check(world)
        monkeypatch.setattr(entitlements, "decide_entitlement", None)
        assert recall_check(world.services, world.caller, REF, "calls") == first
        assert recall_check(world.services, world.caller, REF, "other") is None
        monkeypatch.undo()
        await world.submit("customer-0", GrantTopup(credits_mc=1_000))
        assert recall_check(world.services, world.caller, REF, "calls") is None
        assert b'"balance":1000000' in await check(world)
        assert recall_check(world.services, world.caller, REF, "calls") is not None
        environments = world.services.environments
        environments.invalidate(world.caller.environment_id)
        assert recall_check(world.services, world.caller, REF, "calls") is None

    run(database, story)


def test_an_answer_is_never_kept_with_a_newer_state(database: Any) -> None:
    async def story(world: World) -> None:
        await prepare(world, 1)

        async def race() -> None:
            for _ in range(20):
                await asyncio.gather(check(world), world.submit("customer-0", GrantTopup(credits_mc=1)))

        await race()
        strong = await check_entitlement(world.services, world.caller, REF, QUERY, strong=True)
        assert await check(world) == strong
        assert recall_check(world.services, world.caller, REF, "calls") == strong

    run(database, story)
