"""A queue that does not move refuses who comes, loses nobody who is in it, and takes again when it moves."""

import asyncio
from typing import Any

import pytest
from tests.engine.conftest import World, open_world

from quotastack.core.credits import WithdrawCredits
from quotastack.core.errors import UnavailableError
from quotastack.core.topups import GrantTopup
from quotastack.engine import lanes
from quotastack.runtime.tenancy import environment_transaction

LOCK = "SELECT 1 FROM customers WHERE external_id = 'ada' FOR UPDATE"


def test_who_comes_while_others_wait_too_long_is_refused(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "QUEUE_SECONDS_MAX", 0.05)

    async def story() -> None:
        async with open_world(database) as world:
            await world.submit("ada", GrantTopup(credits_mc=10_000), creates=True)
            await _stand_still(world)

    asyncio.run(story())


async def _stand_still(world: World) -> None:
    engine = world.services.engine
    [lane] = engine.lanes
    spend = WithdrawCredits(amount_mc=1_000)
    pool, environment_id = world.services.database.writes, world.caller.environment_id
    async with environment_transaction(pool, environment_id) as tx:
        await tx.fetch(LOCK)
        running = asyncio.create_task(world.submit("ada", spend))
        while not lane._running:  # noqa: ASYNC110 - nor that a batch has been taken
            await asyncio.sleep(0)
        waiting = asyncio.create_task(world.submit("ada", spend))
        engine.require_room(is_late=False)
        while not lane.is_full:  # noqa: ASYNC110 - nothing tells that time has passed
            await asyncio.sleep(0.01)
        with pytest.raises(UnavailableError) as refused:
            await world.submit("ada", spend)
        assert refused.value.retry_after_seconds == 1
        with pytest.raises(UnavailableError):
            engine.require_room(is_late=False)
        assert (lane.waiting, lane.refused) == (1, 2)
    await asyncio.gather(running, waiting)
    engine.require_room(is_late=False)
    with pytest.raises(UnavailableError):
        engine.require_room(is_late=True)
    assert lane.refused == 3
    await world.submit("ada", spend)
    draft, _ = await engine.peek(world.caller, world.submission("ada", spend).customer)
    assert draft.account("credits").balance_mc == 7_000
