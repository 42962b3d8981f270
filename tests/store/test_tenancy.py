"""The one door: no environment, no rows; nothing survives a transaction on a pooled connection."""

import asyncio
import contextlib
from random import Random
from typing import Any

import asyncpg
import pytest
from tests.conftest import connect_app

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.clock import HostClock
from quotastack.runtime.database import Database
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.container import Services
from quotastack.services.tenants import create_tenant

TABLES = ("environments", "api_keys", "idempotency_keys", "audit_log")


def in_app(database: Any, *statements: str) -> None:
    async def run() -> None:
        connection = await connect_app(database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("table", TABLES)
def test_without_an_environment_every_statement_fails(database: Any, table: str) -> None:
    with pytest.raises(asyncpg.PostgresError):
        in_app(database, f"SELECT count(*) FROM quotastack.{table}")


@pytest.mark.parametrize("table", TABLES)
def test_after_a_transaction_every_statement_fails_again(database: Any, table: str) -> None:
    """The setting is an empty string then, not null: a naive policy would compare with it."""
    set_once = "BEGIN; SET LOCAL quotastack.environment_id = '00000000-0000-7000-8000-000000000000'; COMMIT"
    with pytest.raises(asyncpg.PostgresError):
        in_app(database, set_once, f"SELECT count(*) FROM quotastack.{table}")


FORBIDDEN = (
    "SET row_security = off; SELECT * FROM quotastack.api_keys",
    "SELECT * FROM quotastack.tenants",
    "SELECT * FROM quotastack.installation",
    "TRUNCATE quotastack.api_keys",
    "ALTER TABLE quotastack.api_keys DISABLE ROW LEVEL SECURITY",
    "DROP POLICY environment ON quotastack.api_keys",
    "CREATE TABLE quotastack.mine (id int)",
    "CREATE FUNCTION quotastack.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SET ROLE qs_owner",
    "SET ROLE qs_definer",
    "SET SESSION AUTHORIZATION postgres",
    "DELETE FROM quotastack.audit_log",
    "UPDATE quotastack.audit_log SET actor = 'nobody'",
    "DELETE FROM quotastack.api_keys",
    "UPDATE quotastack.api_keys SET secret_hash = ''",
    "UPDATE quotastack.environments SET tenant_id = id",
    "INSERT INTO quotastack.environments (id, tenant_id, environment, created_at) SELECT null, null, 'live', now()",
    "SELECT quotastack.protect('quotastack.api_keys')",
    "SELECT quotastack.open_to_definer('quotastack.api_keys')",
    "INSERT INTO quotastack.schema_migrations (number, name, checksum) VALUES (999, 'x', '')",
    "SET session_replication_role = replica",
)


@pytest.fixture(scope="module")
def shared(cluster: Any) -> Any:
    made = cluster.make()
    yield made
    cluster.drop(made)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_server_role_may_not(shared: Any, statement: str) -> None:
    enter = "BEGIN; SET LOCAL quotastack.environment_id = '00000000-0000-7000-8000-000000000000'"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        in_app(shared, enter, statement)


def test_the_id_of_an_environment_is_never_spliced_unchecked(shared: Any) -> None:
    async def run() -> None:
        pools = Database(shared.target)
        await pools.open()
        try:
            async with environment_transaction(pools.reads, EnvironmentId("'; DROP TABLE x; --")):
                pass
        finally:
            await pools.close()

    with pytest.raises(ValueError, match="UUID"):
        asyncio.run(run())


def test_interleaved_tenants_on_one_pool_see_only_themselves(database: Any) -> None:
    """Exceptions and cancellations at any moment; each transaction reads a canary of its own environment."""

    async def run() -> tuple[int, int]:
        random = Random(11)
        pools = Database(database.target)
        await pools.open()
        services = Services(database.settings, secret=database.secret, database=pools, clock=HostClock())
        tenants = [await create_tenant(services, name=f"tenant {number}") for number in range(8)]
        read = 0

        async def visit(environment_id: EnvironmentId, mood: float) -> None:
            nonlocal read
            async with environment_transaction(pools.writes, environment_id) as tx:
                rows = await tx.fetch("SELECT id::text FROM quotastack.environments")
                assert [row[0] for row in rows] == [environment_id]
                if mood < 0.2:
                    await tx.execute("SELECT 1/0")
                if mood < 0.4:
                    raise KeyError(environment_id)
                keys = await tx.fetch("SELECT environment_id::text FROM quotastack.api_keys")
                assert {row[0] for row in keys} == {environment_id}
                read += 1

        async def wander(number: int) -> None:
            for _ in range(60):
                tenant = tenants[random.randrange(len(tenants))]
                environment_id = random.choice([tenant.test_environment_id, tenant.live_environment_id])
                task = asyncio.create_task(visit(environment_id, random.random()))
                if random.random() < 0.2:
                    await asyncio.sleep(random.random() / 2_000)
                    task.cancel()
                with contextlib.suppress(KeyError, asyncpg.DivisionByZeroError, asyncio.CancelledError):
                    await task

        await asyncio.gather(*(wander(number) for number in range(16)))
        residues = 0
        for _ in range(8):
            async with pools.writes.acquire() as connection:
                left = await connection.fetchval("SELECT current_setting('quotastack.environment_id', true)")
                residues += left not in {None, ""}
        await pools.close()
        return read, residues

    read, residues = asyncio.run(run())
    assert read > 300
    assert residues == 0
