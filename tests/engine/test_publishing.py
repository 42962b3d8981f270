# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false
"""What was committed is published before anybody is answered, and after the next write is on its way."""

import asyncio
from typing import Any

import pytest
from tests.engine.conftest import World, open_world

from quotastack.core.credits import WithdrawCredits
from quotastack.core.topups import GrantTopup
from quotastack.engine import batch as engine_batch
from quotastack.engine.publishing import Publishing
from quotastack.services.verification import verify_environment

SPEND = WithdrawCredits(amount_mc=1_000)
SPENDERS = 8


def run(database: Any, story: Any) -> None:
    async def told() -> None:
        async with open_world(database) as world:
            for number in range(SPENDERS):
                await world.submit(f"c{number}", GrantTopup(credits_mc=1_000_000), creates=True)
            await story(world)
            verified = await verify_environment(world.services, world.caller.environment_id)
            assert verified.ok, verified.broken

    asyncio.run(told())


def remembered_mc(world: World, name: str) -> int:
    """The balance that a check would find."""
    cache, environment_id = world.services.engine.cache, world.caller.environment_id
    customer_id = cache.find_customer_id(environment_id, name)
    assert customer_id is not None
    entry = cache.get(environment_id, customer_id)
    assert entry is not None
    return entry.state.accounts["credits"].blocks_mc


def test_whoever_is_answered_finds_what_was_done(database: Any) -> None:
    async def story(world: World) -> None:
        async def spend(name: str) -> None:
            for number in range(1, 21):
                await world.submit(name, SPEND)
                assert remembered_mc(world, name) == 1_000_000 - 1_000 * number

        await asyncio.gather(*(spend(f"c{number}") for number in range(SPENDERS)))

    run(database, story)


def test_the_next_batch_is_on_its_way_before_the_last_is_published(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    write, finish = engine_batch.write_known, Publishing.finish

    async def note_write(connection: Any, parts: Any) -> bool:
        happened.append("sent")
        return await write(connection, parts)

    def note_finish(self: Publishing) -> None:
        if self._waiting:
            happened.append("published")
        finish(self)

    monkeypatch.setattr(engine_batch, "write_known", note_write)
    monkeypatch.setattr(Publishing, "finish", note_finish)

    async def story(world: World) -> None:
        happened.clear()

        async def spend(name: str) -> None:
            for _ in range(20):
                await world.submit(name, SPEND)

        [lane] = world.services.engine.lanes
        first = [asyncio.create_task(spend(f"c{number}")) for number in range(0, SPENDERS, 2)]
        while not lane._running:  # noqa: ASYNC110 - nothing tells that a batch has been taken
            await asyncio.sleep(0)
        await asyncio.gather(*first, *(spend(f"c{number}") for number in range(1, SPENDERS, 2)))
        told = " ".join(happened)
        assert "sent sent published sent published" in told
        assert "sent sent sent" not in told

    run(database, story)


def test_a_state_that_cannot_be_published_leaves_nobody_waiting(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next decision is made on what the database says."""
    publish = Publishing._publish
    failures = iter([True])

    def fail_once(self: Publishing, batch: Any) -> None:
        if next(failures, False):
            raise MemoryError
        publish(self, batch)

    async def story(world: World) -> None:
        monkeypatch.setattr(Publishing, "_publish", fail_once)
        heard: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: heard.append(context["exception"])
        )
        for _ in range(2):
            await asyncio.wait_for(world.submit("c0", SPEND), 10)
        assert [type(error) for error in heard] == [MemoryError]
        assert remembered_mc(world, "c0") == 998_000

    run(database, story)
