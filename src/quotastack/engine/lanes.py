"""Lanes: queues of commands, each with one connection that writes what waits.

A lane writes a batch; while that is written, the next gathers and is decided. A batch is begun when half of those who
are about are in it: who takes all of them leaves the process nothing to decide while the database writes, and the
database nothing to write while the process decides. There is no timer: an idle lane runs a single command at once.
Lanes only optimise, the row lock decides.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from quotastack.core.errors import IdempotencyKeyInFlightError, UnavailableError
from quotastack.engine.batch import CommitUnknownError, Guessing, run_batch
from quotastack.engine.environment_batch import BatchParts, PoisonedBatchError
from quotastack.engine.environments import UnknownEnvironmentError
from quotastack.engine.open_batch import OpenBatch
from quotastack.engine.pace import Pace
from quotastack.engine.submission import as_problem
from quotastack.runtime.clock import monotonic_seconds
from quotastack.store.batches import forget_plans

if TYPE_CHECKING:
    from quotastack.engine.submission import Pending
    from quotastack.runtime.database import Connection, Database
    from quotastack.runtime.slices import Slices

DEADLINE_SECONDS: Final = 4.2
SAME_KEY_SECONDS: Final = 10.0
WATCH_SECONDS: Final = 0.25
# Who comes when the first in the queue has waited for so long, or would wait for so long, is refused: better a quick
# no than a late one. Long enough for a few full batches of usage at once: at a quarter of a second, four of 500 events
# refused each other.
QUEUE_SECONDS_MAX: Final = 1.0
RECONNECT_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
TRIES_MAX: Final = 3

_RETRIABLE: Final = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.UniqueViolationError,
)

log = structlog.get_logger(__name__)


def overloaded() -> UnavailableError:
    """The refusal of who comes when too many wait."""
    return UnavailableError(
        "The server has more requests than it can take; try again shortly.", retry_after_seconds=1
    )


class Lane:
    """One queue, one connection, one transaction at a time."""

    def __init__(
        self,
        database: Database,
        parts: BatchParts,
        slices: Slices,
        *,
        batch_max: int,
        queue_max: int,
        one_customer: bool,
    ) -> None:
        self._database = database
        self._parts = parts
        self._slices = slices
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._one_customer = one_customer
        # Those who wait: in the batch that is decided meanwhile, then in the queue behind it.
        self._queue: deque[Pending] = deque()
        self._running: list[Pending] = []
        self._wake = asyncio.Event()
        self._connection: Connection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        self._guessing = Guessing()
        self._next = OpenBatch(parts, self._guessing)
        self._is_filling = False
        # While commands run one by one: those that are put back when all of them have run.
        self._held: list[Pending] | None = None
        self._pace = Pace(batch_max)
        # How many commands the batch before had, 0 after a pause, and when it or the pause ended.
        self._written = 0
        self._ended_at_seconds = 0.0
        self.batches = 0
        self.commands = 0
        self.refused = 0

    @property
    def is_full(self) -> bool:
        """Whether the next command would be refused: too many wait, they wait for too long, or it would itself."""
        decided, queue = self._next.pendings, self._queue
        if not decided and not queue:
            return False
        waiting = len(decided) + len(queue)
        if waiting >= self._queue_max or not self._pace.has_room(waiting, QUEUE_SECONDS_MAX):
            return True
        first = decided[0] if decided else queue[0]
        return monotonic_seconds() - first.queued_at_seconds > QUEUE_SECONDS_MAX

    @property
    def waiting(self) -> int:
        """How many commands wait for the next batch."""
        return len(self._next.pendings) + len(self._queue)

    async def start(self) -> None:
        """Connect and begin to take commands."""
        self._connection = await self._database.connect_dedicated()
        self._tasks = [
            asyncio.create_task(self._run(), name="lane"),
            asyncio.create_task(self._watch(), name="lane-watch"),
        ]

    async def stop(self) -> None:
        """Finish what waits, then close."""
        self._is_stopping = True
        self._wake.set()
        if self._tasks:
            with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(asyncio.shield(self._tasks[0]), DEADLINE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pending in (*self._next.pendings, *self._queue):
            pending.fail(UnavailableError("The server is stopping.", retry_after_seconds=1))
        if self._connection is not None and not self._connection.is_closed():
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._connection.close(), 2)

    def put(self, pending: Pending) -> None:
        """Queue a command.

        Raises:
            UnavailableError: the queue is full, or the server stops.
        """
        if self._is_stopping or self.is_full:
            self.refused += 1
            raise overloaded()
        self._queue.append(pending)
        self._fill_soon()
        if not self._wake.is_set():
            self._wake.set()

    async def _run(self) -> None:
        while True:
            if not self._queue and not self._next.pendings:
                if self._is_stopping:
                    return
                self._written = 0
                self._pace.forget()
                self._wake.clear()
                await self._wake.wait()
                self._ended_at_seconds = monotonic_seconds()
                # Whoever else is ready in this turn of the loop joins the batch.
                await asyncio.sleep(0)
            await self._plan_anew()
            while self._has_more() and len(self._next.pendings) < self._enough:
                self._fill_soon()
                await asyncio.sleep(0)
            opened = self._next
            if not opened.pendings:
                continue
            self._next = OpenBatch(self._parts, self._guessing, opened)
            self._running = opened.pendings
            self._fill_soon()
            try:
                await self._process(opened)
            except Exception:
                log.exception("lane_failed")
                for pending in self._running:
                    if not pending.is_final:
                        pending.fail(as_problem(RuntimeError()))
            self._running = []
            self._note_end(len(opened.pendings))

    def _note_end(self, count: int) -> None:
        self._ended_at_seconds = monotonic_seconds()
        self._written = count

    @property
    def _enough(self) -> int:
        """How many decided commands are worth a batch: half of those who wait, and of those who were answered just
        now and will mostly come again. One at least: without any there is no batch to begin.
        """
        return max(1, (self._written + self.waiting) // 2)

    def _has_room_for(self, pending: Pending) -> bool:
        first = self._next.pendings
        if len(first) >= self._batch_max:
            return False
        return not (self._one_customer and first and first[0].customer_id != pending.customer_id)

    def _has_more(self) -> bool:
        """Whether one is queued who still fits into the next batch."""
        return bool(self._queue) and self._has_room_for(self._queue[0])

    def _fill_soon(self) -> None:
        """Decide those who are queued, in the slices of the turns to come."""
        if not self._is_filling and self._has_more():
            self._is_filling = True
            self._slices.add(self._fill)

    def _fill(self) -> bool:
        """Decide the next of those who are queued; whether there is more to do."""
        queue = self._queue
        if queue and self._has_room_for(queue[0]):
            self._next.add(queue.popleft())
        self._is_filling = bool(queue) and self._has_room_for(queue[0])
        return self._is_filling

    async def _connect(self) -> Connection:
        connection = self._connection
        if connection is not None and not connection.is_closed():
            return connection
        for pause_seconds in (*RECONNECT_SECONDS, None):
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    self._connection = await self._database.connect_dedicated()
            except (TimeoutError, OSError, asyncpg.PostgresError):
                if pause_seconds is None:
                    raise
                await asyncio.sleep(pause_seconds)
            else:
                return self._connection
        raise AssertionError

    async def _plan_anew(self) -> None:
        """A plan made for an empty table stays in use while the table grows: the 1st, 2nd, 4th, ... batch plans
        anew, until the statistics of a grown table do.
        """
        number = self.batches + 1
        connection = self._connection
        if number & (number - 1) == 0 and connection is not None and not connection.is_closed():
            try:
                await forget_plans(connection)
            except Exception:  # noqa: BLE001 - whatever is wrong with it, the batch is not to wait for that as well
                connection.terminate()

    async def _process(self, opened: OpenBatch) -> None:
        try:
            await self._write(opened)
        finally:
            opened.end()

    async def _write(self, opened: OpenBatch) -> None:
        batch = opened.pendings
        self.batches += 1
        self.commands += len(batch)
        try:
            connection = await self._connect()
            deferred = await run_batch(connection, opened, self._parts, self._guessing)
        except CommitUnknownError:
            opened.give_up()
            self._settle([pending for pending in batch if not pending.is_final])
        except Exception as error:  # noqa: BLE001 - each command meets its own error below
            opened.give_up()
            await self._process_failed([pending for pending in batch if not pending.is_final], error)
        else:
            self._pace.note(len(batch), monotonic_seconds() - self._ended_at_seconds)
            for pending in deferred:
                pending.tries = 0
                pending.outcome = None
            self._put_back(deferred)

    async def _process_failed(self, batch: list[Pending], error: Exception) -> None:
        """Run the commands one by one, so that a bad one fails alone; nothing of them was written."""
        self._parts.cache_forget(batch)
        for pending in batch:
            pending.outcome = None
            pending.ran.clear()
        if len(batch) != 1:
            await self._run_one_by_one(batch)
            return
        [pending] = batch
        pending.tries += 1
        is_lost = isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError))
        if pending.tries < TRIES_MAX and (is_lost or isinstance(error, _RETRIABLE)):
            await self._process(self._alone(pending))
            return
        if isinstance(error, PoisonedBatchError) and error.__cause__ is not None:
            error = error.__cause__ if isinstance(error.__cause__, Exception) else error
        problem = as_problem(error)
        if isinstance(problem, UnavailableError) and not isinstance(error, UnknownEnvironmentError):
            log.error("command_failed", exc_info=error, command=type(pending.submission.command).__name__)
        pending.fail(problem)

    async def _run_one_by_one(self, batch: list[Pending]) -> None:
        """Run each alone; once one of them has to be put back, so are those behind it, and all keep their order."""
        self._held = held = []
        try:
            for pending in batch:
                if pending.future.done():
                    continue
                if held:
                    held.append(pending)
                else:
                    await self._process(self._alone(pending))
        finally:
            self._held = None
            self._put_back(held)

    def _alone(self, pending: Pending) -> OpenBatch:
        opened = OpenBatch(self._parts, self._guessing)
        opened.add(pending)
        return opened

    def _settle(self, batch: list[Pending]) -> None:
        """COMMIT's outcome is unknown: run again, where the key under the lock tells what happened."""
        self._parts.cache_forget(batch)
        settled: list[Pending] = []
        for pending in batch:
            pending.outcome = None
            pending.ran.clear()
            if pending.submission.key is None and pending.submission.command.is_money:
                pending.fail(
                    UnavailableError(
                        "The connection to the database was lost; the outcome is unknown.",
                        retry_after_seconds=1,
                    )
                )
                continue
            pending.is_settling = True
            pending.tries = 0
            settled.append(pending)
        self._put_back(settled)

    def _put_back(self, pendings: list[Pending]) -> None:
        """Queue before everybody else: what was decided for the next batch meanwhile is decided again behind them."""
        if not pendings:
            return
        if self._held is not None:
            self._held.extend(pendings)
            return
        meanwhile = self._next
        meanwhile.forget()
        self._next = OpenBatch(self._parts, self._guessing)
        self._queue.extendleft(reversed([*pendings, *meanwhile.pendings]))
        self._fill_soon()

    async def _watch(self) -> None:
        """Answer commands that waited for too long; what became of them, their key tells later."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now_seconds = monotonic_seconds()
            first: dict[bytes, Pending] = {}
            for pending in (*self._running, *self._next.pendings, *self._queue):
                if pending.is_final:
                    continue
                key = pending.submission.key
                twin = None if key is None else first.setdefault(key.digest, pending)
                waited_seconds = now_seconds - pending.queued_at_seconds
                if twin is not None and twin is not pending and not twin.future.done():
                    if waited_seconds > SAME_KEY_SECONDS:
                        pending.fail(
                            IdempotencyKeyInFlightError(
                                "A request with this key is still being carried out.",
                                retry_after_seconds=1,
                            )
                        )
                elif waited_seconds > DEADLINE_SECONDS:
                    pending.fail(
                        UnavailableError(
                            "The database did not answer in time. Repeat with the same key.",
                            retry_after_seconds=1,
                        )
                    )
