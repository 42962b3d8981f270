"""What an operation works with: one value per process, handed to every service function."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from quotastack.core.ids import EnvironmentId
from quotastack.engine.engine import Engine
from quotastack.engine.environments import Environments
from quotastack.runtime.clock import Clock, DatabaseClock, HostClock
from quotastack.runtime.collector import tune_collector
from quotastack.runtime.database import Database, DatabaseTarget
from quotastack.runtime.secret import InstallationSecret
from quotastack.runtime.settings import Settings


class Services:
    """The process's settings, secret, database, clock and engine.

    Commands that run beside a server make one by ``open_services``; a server by ``run_services``.
    """

    __slots__ = ("_renewing", "clock", "database", "engine", "environment_watchers", "secret", "settings")

    def __init__(
        self, settings: Settings, *, secret: InstallationSecret, database: Database, clock: Clock
    ) -> None:
        self.settings = settings
        self.secret = secret
        self.database = database
        self.clock = clock
        self.environment_watchers: list[Callable[[EnvironmentId], None]] = []
        self.engine = Engine(settings, database=database, clock=clock)
        self.environment_watchers.append(self.engine.environments.invalidate)
        self.engine.listener.on_environment.append(self._hear_environment)
        self.engine.listener.on_lost.append(self._renew_connections)
        self._renewing: asyncio.Task[None] | None = None

    @property
    def environments(self) -> Environments:
        """The catalogs, configurations and clocks that this process has seen lately."""
        return self.engine.environments

    def _renew_connections(self) -> None:
        # The listener is the first to notice that the line to the database is gone.
        self._renewing = asyncio.get_running_loop().create_task(self.database.renew(), name="renew-pools")

    def _hear_environment(self, environment_id: str, _version: int) -> None:
        self.environment_changed(EnvironmentId(environment_id))

    def environment_changed(self, environment_id: EnvironmentId) -> None:
        """Drop what is cached of an environment: called after a commit here, and on the notice of one elsewhere."""
        for watcher in self.environment_watchers:
            watcher(environment_id)


@contextlib.asynccontextmanager
async def open_services(
    settings: Settings, target: DatabaseTarget, secret: InstallationSecret
) -> AsyncGenerator[Services]:
    """Services for a command: pools and the machine's clock, nothing in the background."""
    database = Database(target)
    try:
        await database.open()
        yield Services(settings, secret=secret, database=database, clock=HostClock())
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def run_services(
    settings: Settings, target: DatabaseTarget, secret: InstallationSecret
) -> AsyncGenerator[Services]:
    """Services for a server: everything that works in the background runs while the block does."""
    async with contextlib.AsyncExitStack() as stack:
        database = Database(target)
        stack.push_async_callback(database.close)
        await database.open()
        clock = DatabaseClock(database.read_clock_us, is_same_machine=target.is_on_this_machine)
        stack.push_async_callback(clock.stop)
        await clock.start()
        services = Services(settings, secret=secret, database=database, clock=clock)
        stack.push_async_callback(services.engine.stop)
        await services.engine.start()
        tune_collector()
        yield services
