"""One worker process of ``quotastack serve --workers N``: a server on the socket that its parent bound."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

from quotastack.cli.background import run_process
from quotastack.cli.listening import accept_often, make_server
from quotastack.cli.stopping import Stopper
from quotastack.runtime.bootstrap import connect_as_worker
from quotastack.runtime.settings import Settings

PARENT_WATCH_SECONDS: Final = 0.5


async def work_until_stopped(settings: Settings, *, descriptor: int, parent_pid: int) -> int:
    """Serve until a stop signal, or until the parent is gone: nobody would stop the process then."""
    stopper = Stopper()
    target, secret = connect_as_worker(settings)
    with stopper.watch():
        try:
            async with run_process(settings, target, secret) as services:
                server = make_server(settings, services)
                stopper.has_started(server)
                watching = asyncio.create_task(_watch_parent(parent_pid, stopper), name="watch-parent")
                await server.serve(sockets=accept_often(socket.socket(fileno=descriptor)))
                watching.cancel()
        except asyncio.CancelledError:
            if not stopper.requested.is_set():
                raise
    return 0


async def _watch_parent(parent_pid: int, stopper: Stopper) -> None:
    while os.getppid() == parent_pid:  # noqa: ASYNC110 - nothing tells of a parent's end
        await asyncio.sleep(PARENT_WATCH_SECONDS)
    stopper.stop()
