"""Commands that are put back come before those that were taken in meanwhile, and memory is used again after a loss."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.engine.conftest import World, open_world
from tests.engine.test_open_batch import (
    SPEND,
    balances_of,
    broken_in,
    open_accounts,
    standing_still,
    submit,
    until_taken_in,
    until_written,
)

from quotastack.core.credits import WithdrawCredits
from quotastack.core.errors import InsufficientCreditsError, ProblemError, UnavailableError
from quotastack.engine import batch as batch_module
from quotastack.engine.open_batch import OpenBatch
from quotastack.services.usage import BatchEvent, record_batch


def cut_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first write's connection breaks before it is written, and after others had time to come."""
    write_known = batch_module.write_known
    cut: list[int] = []

    async def write(tx: Any, parts: Any) -> bool:
        if not cut:
            cut.append(1)
            await asyncio.sleep(0.05)
            raise ConnectionResetError
        return await write_known(tx, parts)

    monkeypatch.setattr(batch_module, "write_known", write)


async def record(world: World, count: int) -> list[bool]:
    """Whether each event of a batch of ada's was accepted."""
    submissions = [world.submission("ada", SPEND, f"event {number}") for number in range(count)]
    events = [BatchEvent(customer=one.customer, usage=SPEND, key=one.key) for one in submissions]
    outcomes = await record_batch(world.services, world.caller, events)
    assert all(isinstance(one, InsufficientCreditsError) for one in outcomes if isinstance(one, ProblemError))
    return [not isinstance(one, ProblemError) for one in outcomes]


def test_a_batch_keeps_its_order_when_its_first_write_is_lost(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ada has credits for nine; more events than one write holds."""

    async def story() -> None:
        async with open_world(database) as world:
            await open_accounts(world)
            cut_once(monkeypatch)
            assert await record(world, 150) == [True] * 9 + [False] * 141
            assert await broken_in(world) == []

    asyncio.run(story())


def test_who_came_first_is_decided_first_when_its_commit_is_lost(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            await open_accounts(world)
            [lane] = world.services.engine.lanes
            cut_once(monkeypatch)
            [first] = submit(world, ("ada", WithdrawCredits(amount_mc=8_000), "first"))
            await until_written(lane)
            [second] = submit(world, ("ada", WithdrawCredits(amount_mc=2_000), "second"))
            await until_taken_in(lane, 1)
            outcomes = await asyncio.gather(first, second, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes][1] is InsufficientCreditsError
            assert (await balances_of(world))[0][:2] == ("ada", 1_000)

    asyncio.run(story())


def test_memory_is_used_again_after_it_was_wrong_once(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait for the same customer at any time."""

    async def story() -> None:
        async with open_world(database) as world:
            await open_accounts(world)
            calls = Counter[str]()
            write, read = batch_module._write_remembered, batch_module._run_read

            async def write_remembered(*given: Any) -> bool:
                calls["remembered"] += 1
                return calls["remembered"] != 5 and await write(*given)

            async def run_read(*given: Any) -> Any:
                calls["read"] += 1
                return await read(*given)

            monkeypatch.setattr(batch_module, "_write_remembered", write_remembered)
            monkeypatch.setattr(batch_module, "_run_read", run_read)

            async def ask(client: int) -> None:
                for number in range(40):
                    await world.submit("ada", WithdrawCredits(amount_mc=1), f"{client} {number}")
                    for _ in range(client):
                        await asyncio.sleep(0)

            await asyncio.gather(*(ask(client) for client in range(8)))
            assert calls["remembered"] > 20
            # What was wrong, and what the pause after it costs.
            assert calls["read"] < 8

    asyncio.run(story())


def test_who_was_told_that_it_takes_too_long_is_not_charged(database: Any) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            await open_accounts(world)
            async with standing_still(world) as lane:
                tasks = submit(world, ("ada", SPEND, "1"))
                await until_written(lane)
                tasks += submit(world, ("ada", SPEND, "2"), ("ada", SPEND, "3"), ("bob", SPEND, "4"))
                opened = await until_taken_in(lane, 3)
                opened.pendings[0].fail(UnavailableError("Too long.", retry_after_seconds=1))
            _, late, *_ = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(late, UnavailableError)
            assert [row[:2] for row in await balances_of(world)] == [("ada", 7_000), ("bob", 8_000)]
            assert await broken_in(world) == []

    asyncio.run(story())


def test_batches_are_forgotten_while_the_database_is_away(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            await open_accounts(world)
            [lane] = world.services.engine.lanes

            async def refuse() -> None:
                raise OSError

            monkeypatch.setattr(lane, "_connect", refuse)
            for number in range(8):
                with pytest.raises(UnavailableError):
                    await world.submit("ada", SPEND, f"{number}")
            kept: list[OpenBatch] = []
            opened: OpenBatch | None = lane._next
            while opened is not None:
                kept.append(opened)
                opened = opened._before
            assert len(kept) <= 2
            monkeypatch.undo()
            await world.submit("ada", SPEND, "again")

    asyncio.run(story())
