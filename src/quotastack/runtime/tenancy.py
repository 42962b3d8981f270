"""The one door to tenant data: a transaction in which exactly one environment exists.

Row-level security shows and accepts rows of that environment only. The setting is local to the transaction, so
a connection that goes back to its pool carries nothing. It is set by ``SET LOCAL``, never by ``set_config``:
only the former reaches the nodes of a distributed PostgreSQL, and the latter can outlive a transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final, cast

from quotastack.core.ids import EnvironmentId, read_uuid
from quotastack.runtime.database import ACQUIRE_SECONDS, Connection, Pool

# The environment's id is spliced in: SET takes no parameters. _quote proves that it is a UUID.
BEGIN: Final = "BEGIN; SET LOCAL quotastack.environment_id = "
BEGIN_READ_ONLY: Final = "BEGIN READ ONLY; SET LOCAL quotastack.environment_id = "
SWITCH: Final = "SET LOCAL quotastack.environment_id = "
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"

ROLLBACK_SECONDS: Final = 0.5


def _quote(environment_id: EnvironmentId) -> str:
    canonical = read_uuid(environment_id)
    if canonical is None:
        raise ValueError("an environment id is a UUID that the server made")
    return f"'{canonical}'"


async def begin(connection: Connection, environment_id: EnvironmentId, *, read_only: bool = False) -> None:
    """Open a transaction in an environment: one round trip. For who keeps its own connection, as lanes do."""
    await connection.execute((BEGIN_READ_ONLY if read_only else BEGIN) + _quote(environment_id))


async def switch_environment(connection: Connection, environment_id: EnvironmentId) -> None:
    """Make another environment the one that exists, for the rest of the transaction."""
    await connection.execute(SWITCH + _quote(environment_id))


async def commit(connection: Connection) -> None:
    """Commit. When this raises for a lost connection the outcome is unknown."""
    await connection.execute(COMMIT)


async def rollback(connection: Connection) -> None:
    """Roll back. A connection on which even that fails, or is cancelled, is closed, so that its pool replaces it."""
    try:
        if not connection.is_closed():
            await asyncio.wait_for(connection.execute(ROLLBACK), ROLLBACK_SECONDS)
    except BaseException as error:
        connection.terminate()
        if not isinstance(error, Exception):
            raise


@contextlib.asynccontextmanager
async def environment_transaction(
    pool: Pool, environment_id: EnvironmentId, *, read_only: bool = False
) -> AsyncGenerator[Connection]:
    """A connection inside a transaction in one environment; commits at the end, rolls back on any error.

    Raises:
        ValueError: ``environment_id`` is not a UUID.
        asyncpg.PostgresError, OSError, TimeoutError: the database refused or cannot be reached.
    """
    async with asyncio.timeout(ACQUIRE_SECONDS):
        borrowed = await pool.acquire()
    connection = cast("Connection", borrowed)
    try:
        try:
            await begin(connection, environment_id, read_only=read_only)
            yield connection
            await commit(connection)
        except BaseException:
            await rollback(connection)
            raise
    finally:
        await pool.release(borrowed)
