"""A line to the database that says nothing any more, as behind a router that forgot it, is given up in time."""

import asyncio
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from tests.conftest import ScratchDatabase
from tests.rigs.fault_proxy import FaultProxy

from quotastack.runtime.database import LANE, READS, WRITES, Database, DatabaseTarget, PoolLimits


@pytest.fixture
def proxy(database: ScratchDatabase) -> Iterator[FaultProxy]:
    where = parse_qs(urlsplit(database.url).query)
    made = FaultProxy(f"{where['host'][0]}/.s.PGSQL.{where['port'][0]}")
    yield made
    made.close()


@pytest.fixture
def target(database: ScratchDatabase, proxy: FaultProxy) -> DatabaseTarget:
    parts = urlsplit(database.url)
    user = parts.netloc.rpartition("@")[0]
    url = f"postgresql://{user}@127.0.0.1:{proxy.port}{parts.path}"
    return DatabaseTarget(url, database.secret.app_password)


def test_a_statement_that_is_never_answered_ends(target: DatabaseTarget, proxy: FaultProxy) -> None:
    async def ask() -> None:
        limits = PoolLimits(1, statement_timeout_ms=100, lock_timeout_ms=100)
        connection = await asyncpg.connect(**target.app_arguments("test", limits))
        assert await connection.fetchval("SELECT 1") == 1
        proxy.set_mode("strand")
        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT 2")
        connection.terminate()

    asyncio.run(ask())


def test_pools_connect_anew(target: DatabaseTarget, proxy: FaultProxy) -> None:
    """Once the listener has noticed, nobody is given a connection that leads nowhere."""

    async def ask() -> None:
        database = Database(target)
        await database.open()
        assert await database.reads.fetchval("SELECT 1") == 1
        proxy.set_mode("strand")
        await database.renew()
        async with asyncio.timeout(4):
            assert await database.reads.fetchval("SELECT 2") == 2
        for pool in (database.reads, database.writes, database.workers):
            pool.terminate()

    asyncio.run(ask())


def test_whoever_waits_is_answered_within_five_seconds() -> None:
    rollback_seconds = 0.5
    assert max(READS.command_seconds, WRITES.command_seconds) + rollback_seconds < 5
    # What a lane's lost connection had locked is free before its callers have waited ten seconds.
    assert LANE.idle_timeout_ms < 10_000
