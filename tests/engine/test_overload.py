"""A queue that does not move refuses who comes, loses nobody who is in it, and takes again when it moves."""

import asyncio
from typing import Any

import pytest
from tests.engine.conftest import World, open_world

from quotastack.core.credits import WithdrawCredits
from quotastack.core.errors import UnavailableError
from quotastack.core.topups import GrantTopup
from quotastack.engine import lanes
from quotastack.engine.pace import COMMANDS_MIN, Pace
from quotastack.runtime.tenancy import environment_transaction

BATCH = 10

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


def test_nobody_is_refused_before_the_pace_is_known() -> None:
    pace = Pace(BATCH)
    assert pace.has_room(1_000_000, 1.0)
    pace.note(BATCH - 1, 60.0)
    assert pace.has_room(1_000_000, 1.0), "a batch that was not full tells nothing"


def test_who_would_wait_for_too_long_is_refused() -> None:
    pace = Pace(BATCH)
    pace.note(BATCH, 0.005)
    assert pace.has_room(2_000, 1.0)
    assert not pace.has_room(2_001, 1.0)


def test_a_slow_batch_is_forgotten() -> None:
    pace = Pace(BATCH)
    pace.note(BATCH, 60.0)
    assert pace.has_room(COMMANDS_MIN - 1, 1.0), "what one call brings is taken"
    assert not pace.has_room(COMMANDS_MIN, 1.0)
    for _ in range(60):
        pace.note(BATCH, 0.001)
    assert pace.has_room(9_000, 1.0)
    pace.note(BATCH, 60.0)
    pace.forget()
    assert pace.has_room(1_000_000, 1.0)


def test_one_batch_that_stood_still_shuts_nobody_out() -> None:
    pace = Pace(BATCH)
    for _ in range(20):
        pace.note(BATCH, 0.002)
    pace.note(BATCH, 60.0)
    assert pace.has_room(3_900, 1.0)
    for _ in range(20):
        pace.note(BATCH, 60.0)
    assert not pace.has_room(COMMANDS_MIN, 1.0), "slowness that stays is believed"


def test_a_lane_refuses_those_whose_turn_would_come_too_late(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the first who waits came just now."""
    monkeypatch.setattr(lanes, "QUEUE_SECONDS_MAX", 30.0)

    async def story() -> None:
        async with open_world(database) as world:
            await world.submit("ada", GrantTopup(credits_mc=10_000_000), creates=True)
            [lane] = world.services.engine.lanes
            spend = WithdrawCredits(amount_mc=1_000)
            asked = 30 * lane._batch_max
            first = [asyncio.create_task(world.submit("ada", spend)) for _ in range(asked)]
            while lane._pace._per_second is None:  # noqa: ASYNC110 - nothing tells that a batch was written
                await asyncio.sleep(0)
            # Twenty batches within the bound: more may wait than COMMANDS_MIN, and fewer than wait already.
            lane._pace._per_second = lane._batch_max / 1.5
            assert lane.waiting > 20 * lane._batch_max
            with pytest.raises(UnavailableError):
                await world.submit("ada", spend)
            await asyncio.gather(*first)
            assert lane.refused == 1
            await asyncio.sleep(0)
            assert lane._pace._per_second is None, "the lane is idle"
            await asyncio.gather(*(world.submit("ada", spend) for _ in range(asked)))

    asyncio.run(story())
