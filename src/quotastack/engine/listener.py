"""Listener: what other processes changed, and the proof that the channel is alive.

Each catalog change sends a notice when it commits, and so does each batch while another process
serves: a process beats, others hear it, and one that heard nobody for five seconds is alone and tells
nobody. In company every process also beats often, and cached values serve only while its own last
beat is young: a half-open connection cannot serve old answers. Who joins reads the database for its
first second, until whoever was alone has heard it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog

from quotastack.runtime.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from quotastack.engine.cache import StateCache
    from quotastack.engine.environments import Environments
    from quotastack.runtime.database import Connection, Database

CUSTOMERS_CHANNEL: Final = "quotastack_customers"
ENVIRONMENTS_CHANNEL: Final = "quotastack_environments"
BEATS_CHANNEL: Final = "quotastack_beats"

BEAT_SECONDS: Final = 0.04
BEAT_ALONE_SECONDS: Final = 1.0
FRESH_SECONDS: Final = 0.1
FRESH_ALONE_SECONDS: Final = 4.0
COMPANY_SECONDS: Final = 5.0
BEAT_TIMEOUT_SECONDS: Final = 2.0
JOINING_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class Listener:
    """One connection that hears every notice. ``on_environment`` hooks also hear (id, version)."""

    def __init__(
        self, database: Database, *, cache: StateCache, environments: Environments, process_id: str
    ) -> None:
        self._database = database
        self._cache = cache
        self._environments = environments
        self._process_id = process_id
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._own_beat_seconds = 0.0
        # Who joins takes company for granted until five seconds of silence say otherwise.
        self._other_beat_seconds = monotonic_seconds()
        self._joined_seconds = monotonic_seconds()
        self.on_environment: list[Callable[[str, int], None]] = []
        self.on_lost: list[Callable[[], None]] = []

    @property
    def is_alone(self) -> bool:
        """Whether no other process was heard lately, so that nobody needs to be told of a batch."""
        return monotonic_seconds() - self._other_beat_seconds > COMPANY_SECONDS

    @property
    def is_fresh(self) -> bool:
        """Whether what is cached may be served: no notice can have been missed for long."""
        now_seconds = monotonic_seconds()
        if now_seconds - self._joined_seconds < JOINING_SECONDS:
            return False
        is_alone = now_seconds - self._other_beat_seconds > COMPANY_SECONDS
        limit_seconds = FRESH_ALONE_SECONDS if is_alone else FRESH_SECONDS
        return now_seconds - self._own_beat_seconds < limit_seconds

    async def start(self) -> None:
        """Listen, and hear the own first beat, before anything is cached."""
        await self._listen()
        self._task = asyncio.create_task(self._beat(), name="listener")

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._connection is not None and not self._connection.is_closed():
            self._connection.terminate()

    async def _listen(self) -> None:
        connection = await self._database.connect_listener()
        await connection.execute("SET synchronous_commit = off")
        await connection.add_listener(CUSTOMERS_CHANNEL, self._hear_customers)
        await connection.add_listener(ENVIRONMENTS_CHANNEL, self._hear_environment)
        await connection.add_listener(BEATS_CHANNEL, self._hear_beat)
        # What changed while nobody listened is unknown.
        self._cache.clear()
        self._environments.clear()
        for hook in self.on_lost:
            hook()
        self._joined_seconds = self._other_beat_seconds = monotonic_seconds()
        self._connection = connection

    async def _beat(self) -> None:
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    await self._listen()
                assert self._connection is not None
                # Not wait_for: it may swallow a cancellation that meets the answer, and stop would wait for ever.
                async with asyncio.timeout(BEAT_TIMEOUT_SECONDS):
                    await self._connection.execute(f"NOTIFY {BEATS_CHANNEL}, '{self._process_id}'")
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                log.warning("listener_lost")
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None
                await asyncio.sleep(BEAT_ALONE_SECONDS)
                continue
            await asyncio.sleep(BEAT_ALONE_SECONDS if self.is_alone else BEAT_SECONDS)

    def _hear_beat(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        if payload == self._process_id:
            self._own_beat_seconds = monotonic_seconds()
        else:
            self._other_beat_seconds = monotonic_seconds()

    def _hear_customers(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        process_id, environment_id, notices = str(payload).split(":", 2)
        if process_id == self._process_id:
            return
        for notice in notices.split(","):
            customer_id, version = notice.split("=")
            self._cache.invalidate(environment_id, customer_id, int(version))

    def _hear_environment(self, _connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        environment_id, version = str(payload).split(":")
        self._environments.invalidate(environment_id, int(version))
        for hook in self.on_environment:
            hook(environment_id, int(version))
