"""The loop: background workers inside a server process, each isolated from the others' crashes.

A worker is anything with a ``name`` and ``run(stopping)``, which works until ``stopping`` is set. One that raises is
started again after a wait that grows; requests are served meanwhile, and the other workers go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final, Protocol

from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.telemetry import get_logger

BACKOFF_SECONDS: Final = 0.5
BACKOFF_MAX_SECONDS: Final = 30.0

# A worker that ran this long before it crashed starts over with the short wait.
STEADY_SECONDS: Final = 60.0

log = get_logger(__name__)


class Worker(Protocol):
    """Something that goes on in the background."""

    @property
    def name(self) -> str:
        """What logs call it."""
        ...

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until ``stopping`` is set, then end soon."""
        ...


async def supervise(worker: Worker, stopping: asyncio.Event) -> None:
    """Run ``worker`` until it ends by ``stopping``; after a crash again, waiting 0.5 to 30 s."""
    delay = BACKOFF_SECONDS
    while not stopping.is_set():
        started_at = monotonic_seconds()
        try:
            await worker.run(stopping)
        except Exception:
            if monotonic_seconds() - started_at > STEADY_SECONDS:
                delay = BACKOFF_SECONDS
            log.exception(
                "A background worker crashed and is started again.", worker=worker.name, delay_seconds=delay
            )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), delay)
        delay = min(2 * delay, BACKOFF_MAX_SECONDS)


@contextlib.asynccontextmanager
async def run_workers(workers: Sequence[Worker], *, shutdown_seconds: float) -> AsyncGenerator[None]:
    """Have the workers run while the block does; at its end they have ``shutdown_seconds`` to end by themselves."""
    stopping = asyncio.Event()
    tasks = [
        asyncio.create_task(supervise(worker, stopping), name=f"worker-{worker.name}") for worker in workers
    ]
    try:
        yield
    finally:
        stopping.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=shutdown_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
