"""``quotastack serve``: the parent process. It has the database ready, binds, and serves or supervises."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from typing import Final

from quotastack.cli.background import run_process
from quotastack.cli.first_start import FirstStart, announce, prepare_first_start
from quotastack.cli.listening import accept_often, base_url, bind, make_server, wait_until_answered
from quotastack.cli.stopping import Stopper
from quotastack.cli.supervisor import supervise
from quotastack.runtime.bootstrap import Installation, open_installation
from quotastack.runtime.embedded import Cluster
from quotastack.runtime.settings import Settings
from quotastack.runtime.telemetry import get_logger
from quotastack.services.container import open_services, run_services
from quotastack.services.tenants import has_tenants

CLUSTER_WATCH_SECONDS: Final = 1.0

log = get_logger(__name__)


async def serve_until_stopped(settings: Settings) -> int:
    """Serve until a stop signal; returns the exit code. Server first, then database, both cleanly."""
    stopper = Stopper()
    with stopper.watch():
        try:
            async with open_installation(settings) as installation:
                with contextlib.closing(await bind(settings.host, settings.port)) as listener:
                    async with _watch_cluster(installation.cluster):
                        await _serve(settings, installation, listener, stopper)
        except asyncio.CancelledError:
            if not stopper.requested.is_set():
                raise
            return 130
    return 0


async def _serve(
    settings: Settings, installation: Installation, listener: socket.socket, stopper: Stopper
) -> None:
    url = base_url(settings, listener)
    if settings.workers > 1:
        first_start = await _prepare_before_workers(settings, installation, url)
        stopper.has_started()
        async with supervise(settings, installation, listener, stopper.requested):
            await wait_until_answered(listener, stopper.requested)
            announce(settings, url, first_start)
            await stopper.requested.wait()
        return
    async with run_process(settings, installation.target, installation.secret) as services:
        server = make_server(settings, services)
        first_start = await prepare_first_start(services, url=url)
        stopper.has_started(server)
        announce(settings, url, first_start)
        await server.serve(sockets=accept_often(listener))


async def _prepare_before_workers(
    settings: Settings, installation: Installation, url: str
) -> FirstStart | None:
    """The first start with an engine of its own, which ends before the workers begin; nothing on later ones."""
    async with open_services(settings, installation.target, installation.secret) as services:
        if await has_tenants(services):
            return None
    async with run_services(settings, installation.target, installation.secret) as services:
        return await prepare_first_start(services, url=url)


@contextlib.asynccontextmanager
async def _watch_cluster(cluster: Cluster | None) -> AsyncGenerator[None]:
    """Start an embedded database again when it dies under a running server; requests get 503 meanwhile."""

    async def watch(watched: Cluster) -> None:
        while True:
            await asyncio.sleep(CLUSTER_WATCH_SECONDS)
            try:
                if await asyncio.to_thread(watched.restart_if_dead):
                    log.warning("The embedded database had died and was started again.")
            except Exception:
                log.exception("The embedded database has died and cannot be started.")

    task = asyncio.create_task(watch(cluster), name="watch-cluster") if cluster is not None else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
