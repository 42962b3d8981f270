"""Stopping: whatever the background is doing at that instant, it ends."""

import asyncio
from typing import Any

from tests.engine.conftest import open_world


class StoppedWhileAnswered:
    """A connection whose answer comes in the same turn of the loop as the end of the task that waits for it."""

    def __init__(self, real: Any, task: asyncio.Task[None]) -> None:
        self.real = real
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def execute(self, statement: str) -> str:
        status: str = await self.real.execute(statement)
        asyncio.get_running_loop().call_soon(self.task.cancel)
        return status


def test_a_stop_that_meets_the_answer_of_a_beat_ends(database: Any) -> None:
    async def story() -> None:
        async with open_world(database) as world:
            listener = world.services.engine.listener
            task: Any = listener._task
            real = listener._connection
            listener._connection = StoppedWhileAnswered(real, task)
            async with asyncio.timeout(5):
                await asyncio.wait([task])
            assert task.cancelled()
            listener._connection = real

    asyncio.run(story())
