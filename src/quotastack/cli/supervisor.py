"""Several worker processes on one socket: started, started again when they die, stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator
from typing import Final

from quotastack.runtime.bootstrap import Installation
from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.settings import Settings
from quotastack.runtime.telemetry import METRICS_DIRECTORY, get_logger

KILL_AFTER_SECONDS: Final = 5
RESTART_SECONDS_MAX: Final = 10.0
STEADY_SECONDS: Final = 30.0

log = get_logger(__name__)


@contextlib.asynccontextmanager
async def supervise(
    settings: Settings, installation: Installation, listener: socket.socket, stop: asyncio.Event
) -> AsyncGenerator[None]:
    """Keep ``settings.workers`` processes running while the block does; then stop them and wait for them."""
    metrics = tempfile.mkdtemp(prefix="quotastack-metrics-")
    environment = {**os.environ, **installation.worker_environment(), METRICS_DIRECTORY: metrics}
    environment["QUOTASTACK_WORKERS"] = str(settings.workers)
    os.set_inheritable(listener.fileno(), True)
    tasks = [
        asyncio.create_task(
            _keep(number, environment, listener.fileno(), settings, stop), name=f"worker-{number}"
        )
        for number in range(settings.workers)
    ]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        shutil.rmtree(metrics, ignore_errors=True)


async def _keep(
    number: int, environment: dict[str, str], descriptor: int, settings: Settings, stop: asyncio.Event
) -> None:
    """Run one worker, again and again; one that dies at once is given more and more time."""
    delay_seconds = 0.1
    stopping = asyncio.create_task(stop.wait())
    while not stop.is_set():
        started = monotonic_seconds()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "quotastack.cli.main",
            "work",
            f"--descriptor={descriptor}",
            f"--parent={os.getpid()}",
            env=environment,
            pass_fds=(descriptor,),
        )
        ended = asyncio.create_task(process.wait())
        await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await _end(process, ended, settings)
            return
        log.error(
            "A worker process has died and is started again.", worker=number, exit_code=process.returncode
        )
        delay_seconds = (
            0.1
            if monotonic_seconds() - started > STEADY_SECONDS
            else min(delay_seconds * 2, RESTART_SECONDS_MAX)
        )
        await asyncio.wait([stopping], timeout=delay_seconds)


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int], settings: Settings) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    done, _ = await asyncio.wait([ended], timeout=settings.shutdown_seconds + KILL_AFTER_SECONDS)
    if not done:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await ended
