"""The loop: a worker that crashes is started again, and takes nobody with it."""

import asyncio

import pytest

from quotastack.workers import loop


class Crashing:
    name = "crashing"

    def __init__(self, crashes: int) -> None:
        self.crashes = crashes
        self.runs = 0
        self.is_steady = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        self.runs += 1
        if self.runs <= self.crashes:
            raise RuntimeError("a bug")
        self.is_steady.set()
        await stopping.wait()


class Stubborn:
    name = "stubborn"
    was_cancelled = False

    async def run(self, stopping: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


def test_crashes_are_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "BACKOFF_SECONDS", 0.001)

    async def story() -> None:
        crashing, calm = Crashing(3), Crashing(0)
        async with loop.run_workers([crashing, calm], shutdown_seconds=5):
            await asyncio.wait_for(crashing.is_steady.wait(), 5)
        assert (crashing.runs, calm.runs) == (4, 1)

    asyncio.run(story())


def test_a_worker_that_will_not_end_is_cancelled() -> None:
    async def story() -> None:
        stubborn = Stubborn()
        async with loop.run_workers([stubborn], shutdown_seconds=0.01):
            await asyncio.sleep(0)
        assert stubborn.was_cancelled

    asyncio.run(story())
