"""The world of the tests: a PostgreSQL for the run, a database and a server for a worker, a tenant for a test."""

import asyncio
import contextlib
import fcntl
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import asyncpg
import hypothesis
import pytest
from tests.races.servers import Client, ServerProcess

from quotastack.runtime.bootstrap import open_installation
from quotastack.runtime.clock import HostClock
from quotastack.runtime.database import Database, DatabaseTarget
from quotastack.runtime.embedded import Cluster
from quotastack.runtime.secret import InstallationSecret
from quotastack.runtime.settings import Settings, load_settings
from quotastack.services.container import Services
from quotastack.services.tenants import NewTenant, create_tenant

TEMPLATE = "quotastack"

# How long an example takes depends on what else the machine does; how many there are does not.
hypothesis.settings.register_profile(
    "quotastack", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("quotastack")


class ScratchDatabase(NamedTuple):
    """A migrated database of its own. ``url`` is the owner's, ``target`` knows the application's login too."""

    url: str
    target: DatabaseTarget
    secret: InstallationSecret

    @property
    def environment(self) -> dict[str, str]:
        """The settings that make a server use it."""
        return {
            "QUOTASTACK_DATABASE_URL": self.url,
            "QUOTASTACK_SECRET_KEY": self.secret.reveal().decode(),
        }

    @property
    def settings(self) -> Settings:
        return load_settings(self.environment)


class RunCluster:
    """The run's PostgreSQL: joined by every worker, stopped by the last that leaves."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster(folder / "data")
        self.lock = folder / "template.lock"
        self.numbers = itertools.count(1)
        self.cluster.start_or_join()

    @contextlib.contextmanager
    def template(self) -> Iterator[None]:
        """Nobody else migrates or clones: a database that is in use cannot be a template."""
        with self.lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def make(self) -> ScratchDatabase:
        """A new database with the schema as the migrations leave it."""
        name = f"{TEMPLATE}_{os.getpid()}_{next(self.numbers)}"
        with self.template():
            secret = asyncio.run(self._clone(name))
        parts = self.cluster.dsn.replace("@/quotastack", f":{self.cluster.password}@/{quote(name)}")
        return ScratchDatabase(parts, DatabaseTarget(parts, secret.app_password), secret)

    async def _clone(self, name: str) -> InstallationSecret:
        async with open_installation(load_settings({}, data=self.cluster.data)) as installation:
            secret = installation.secret
        owner = await DatabaseTarget(self.cluster.dsn, "", self.cluster.password).connect_owner(
            database="postgres"
        )
        try:
            await owner.execute(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE}')
        finally:
            await owner.close()
        return secret

    def drop(self, database: ScratchDatabase) -> None:
        asyncio.run(self._drop(database.url.rpartition("@/")[2].partition("?")[0]))

    async def _drop(self, name: str) -> None:
        owner = await DatabaseTarget(self.cluster.dsn, "", self.cluster.password).connect_owner(
            database="postgres"
        )
        try:
            await owner.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await owner.close()


class InProcess:
    """The services of the server's database, without the server: to make tenants fast."""

    def __init__(self, database: ScratchDatabase) -> None:
        self.runner = asyncio.Runner()
        self.services = self.runner.run(self._open(database))

    async def _open(self, database: ScratchDatabase) -> Services:
        pools = Database(database.target)
        await pools.open()
        return Services(database.settings, secret=database.secret, database=pools, clock=HostClock())

    def create_tenant(self, name: str) -> NewTenant:
        return self.runner.run(create_tenant(self.services, name=name))

    def close(self) -> None:
        self.runner.run(self.services.database.close())
        self.runner.close()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunCluster]:
    """The run's PostgreSQL; ``cluster.make()`` clones a database."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cluster"
    folder.mkdir(exist_ok=True)
    running = RunCluster(folder)
    yield running
    running.cluster.leave()


@pytest.fixture
def database(cluster: RunCluster) -> Iterator[ScratchDatabase]:
    """A fresh migrated database for one test."""
    made = cluster.make()
    yield made
    cluster.drop(made)


@pytest.fixture(scope="session")
def server_database(cluster: RunCluster) -> ScratchDatabase:
    """The database behind ``server``."""
    return cluster.make()


@pytest.fixture(scope="session")
def server(
    server_database: ScratchDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A real ``quotastack serve``, one for each worker, used by all of its tests."""
    data = tmp_path_factory.mktemp("server") / "data"
    process = ServerProcess(data, **server_database.environment)
    try:
        yield process.start()
    finally:
        process.stop()


@pytest.fixture(scope="session")
def in_process(server: ServerProcess, server_database: ScratchDatabase) -> Iterator[InProcess]:
    """Services on the server's database, in the test's own process."""
    made = InProcess(server_database)
    yield made
    made.close()


@pytest.fixture
def tenant(in_process: InProcess, request: pytest.FixtureRequest) -> NewTenant:
    """A fresh tenant: nothing of another test is in it. ``tenant_id``, ``test_key``, ``live_key``."""
    return in_process.create_tenant(request.node.name[:100])


@pytest.fixture
def other_tenant(in_process: InProcess) -> NewTenant:
    """Somebody else."""
    return in_process.create_tenant("somebody else")


@pytest.fixture
def api(server: ServerProcess, tenant: NewTenant) -> Iterator[Any]:
    """A client with the tenant's test key; writes send a fresh Idempotency-Key unless ``key`` is given."""
    client = Client(server.base_url, tenant.test_key)
    yield client
    client.close()


async def connect_app(database: ScratchDatabase) -> asyncpg.Connection:
    """A connection as the server's own role."""
    from quotastack.runtime.database import READS

    return await asyncpg.connect(**database.target.app_arguments("test", READS))
