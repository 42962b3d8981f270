"""The database of a process: connection pools as the role ``qs_app``, and the owner's connection for migrations.

``QUOTASTACK_DATABASE_URL`` names the owner, who migrates. The server itself logs in as ``qs_app``, which owns
nothing; its password is derived from the installation's secret, so every process agrees on it.

Pools are apart so that one kind of work cannot starve another: a burst of list requests leaves configuration
writes and sweeps their connections. Engine lanes keep connections of their own.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec

Connection = asyncpg.Connection
Pool = asyncpg.Pool

APP_ROLE: Final = "qs_app"
DATABASE_NAME: Final = "quotastack"
CONNECT_SECONDS: Final = 10
ACQUIRE_SECONDS: Final = 4.0
# A request of several statements: each is in time, all of them together must be too.
REQUEST_SECONDS: Final = 4.2

POSTGRES_VERSION_MIN: Final = 150_000
POSTGRES_VERSION_MAX: Final = 190_000

# A lane looks up the rows that a batch names, each by its key, however the statistics look at the moment: on an
# empty table every other plan seems as good, and stays in use while the table grows.
ROW_BY_KEY: Final = {
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "enable_memoize": "off",
    "enable_bitmapscan": "off",
    "enable_seqscan": "off",
}

SILENCE_SECONDS: Final = 0.3

READ_CLOCK: Final = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


class PoolLimits(msgspec.Struct, frozen=True):
    """Size of a pool, and how long its statements may run, wait for a lock, or sit in an open transaction.

    PostgreSQL ends what runs too long. A line that a router forgot says nothing at all: then the connection is given
    up ``SILENCE_SECONDS`` later.
    """

    connections_max: int
    statement_timeout_ms: int
    lock_timeout_ms: int
    idle_timeout_ms: int = 10_000

    @property
    def command_seconds(self) -> float:
        """When a statement counts as lost."""
        return self.statement_timeout_ms / 1_000 + SILENCE_SECONDS


# Whoever waits for one of these is answered within five seconds, even if that means 503.
READS: Final = PoolLimits(8, statement_timeout_ms=4_000, lock_timeout_ms=2_000, idle_timeout_ms=5_000)
WRITES: Final = PoolLimits(4, statement_timeout_ms=4_000, lock_timeout_ms=3_800, idle_timeout_ms=5_000)
WORKERS: Final = PoolLimits(4, statement_timeout_ms=60_000, lock_timeout_ms=5_000)
# A lane's callers are answered by its watch. It goes on with another connection a little later, and what the lost one
# had locked is free by then.
LANE: Final = PoolLimits(1, statement_timeout_ms=5_000, lock_timeout_ms=4_500, idle_timeout_ms=5_000)


class DatabaseTarget(msgspec.Struct, frozen=True):
    """Where the database is and how to log in.

    ``dsn`` is the owner's; ``owner`` holds what overrides it. The application's login is the same address
    with another user and password.
    """

    dsn: str
    app_password: str
    owner_password: str | None = None

    def __repr__(self) -> str:
        return "DatabaseTarget(...)"

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the address is a socket in the file system, which no other machine can answer."""
        host = parse_qs(urlsplit(self.dsn).query).get("host", [""])[-1]
        return host.startswith("/")

    async def connect_owner(self, *, database: str | None = None) -> Connection:
        """A connection as the login of ``QUOTASTACK_DATABASE_URL``, for migrations and commands only."""
        given: dict[str, Any] = {} if database is None else {"database": database}
        if self.owner_password is not None:
            given["password"] = self.owner_password
        return await asyncpg.connect(
            self.dsn,
            timeout=CONNECT_SECONDS,
            server_settings={"application_name": "quotastack-owner"},
            **given,
        )

    def app_arguments(self, name: str, limits: PoolLimits, **settings: str) -> dict[str, Any]:
        """Arguments for a connection as ``qs_app`` with the limits set for its whole session."""
        return {
            "dsn": self.dsn,
            "user": APP_ROLE,
            "password": self.app_password,
            "timeout": CONNECT_SECONDS,
            "command_timeout": limits.command_seconds,
            "statement_cache_size": 500,
            "max_cached_statement_lifetime": 0,
            "max_cacheable_statement_size": 256 * 1024,
            "server_settings": {
                "application_name": f"quotastack-{name}",
                "search_path": "quotastack, pg_temp",
                "timezone": "UTC",
                "statement_timeout": str(limits.statement_timeout_ms),
                "lock_timeout": str(limits.lock_timeout_ms),
                "idle_in_transaction_session_timeout": str(limits.idle_timeout_ms),
                **settings,
            },
        }


async def _keep_session(_connection: Connection) -> None:
    """Nothing to undo: all that is set is local to a transaction, and an open one was rolled back before this."""


class Database:
    """The pools of one process. ``reads`` for requests that only read, ``writes`` for configuration and catalog,
    ``workers`` for sweeps and deliveries.
    """

    def __init__(self, target: DatabaseTarget) -> None:
        self.target = target
        self.reads = self._make_pool("reads", READS)
        self.writes = self._make_pool("writes", WRITES)
        self.workers = self._make_pool("workers", WORKERS)

    def _make_pool(self, name: str, limits: PoolLimits) -> Pool:
        return asyncpg.create_pool(
            min_size=1,
            max_size=limits.connections_max,
            max_queries=2**62,
            max_inactive_connection_lifetime=300.0,
            reset=_keep_session,
            **self.target.app_arguments(name, limits),
        )

    async def open(self) -> None:
        """Open all pools.

        Raises:
            OSError, asyncpg.PostgresError: the database cannot be reached or refuses ``qs_app``.
        """
        for pool in (self.reads, self.writes, self.workers):
            await pool

    async def close(self) -> None:
        """Close all pools; connections that are still in use after a few seconds are cut."""
        for pool in (self.reads, self.writes, self.workers):
            try:
                await asyncio.wait_for(pool.close(), 5)
            except TimeoutError:
                pool.terminate()

    async def renew(self) -> None:
        """Have every pool connect anew: what is connected now may lead nowhere. What is in use ends by itself."""
        for pool in (self.reads, self.writes, self.workers):
            await pool.expire_connections()

    async def connect_dedicated(self, name: str = "lane") -> Connection:
        """A connection of one's own, outside the pools, for an engine lane.

        Plans are generic: the statements are few, large and always of the same shape, and planning them
        again cost more than it ever saved.
        """
        return await asyncpg.connect(
            **self.target.app_arguments(name, LANE, plan_cache_mode="force_generic_plan", **ROW_BY_KEY)
        )

    async def connect_listener(self) -> Connection:
        """A connection for LISTEN, which sits idle on purpose."""
        return await asyncpg.connect(**self.target.app_arguments("listener", LANE))

    async def read_clock_us(self) -> int:
        """The database's clock, in microseconds since 1970."""
        return await self.reads.fetchval(READ_CLOCK)
