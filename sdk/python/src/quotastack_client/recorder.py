"""Usage recorded in the background: kept until the server has it, told when it refuses, never dropped in silence."""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypedDict, cast

from quotastack_client.errors import (
    MalformedRequestError,
    PayloadTooLargeError,
    ProblemError,
    QuotaStackError,
    ValidationFailedError,
    problem_error,
)
from quotastack_client.models import Batch, Units
from quotastack_client.resources.usage import AsyncUsage, Usage

log = logging.getLogger("quotastack_client.recorder")

BATCH_MAX: Final = 1_000
LONGEST_PAUSE_SECONDS: Final = 30.0
# A result of these is not final: the same event is sent again.
PASSING: Final = frozenset({"unavailable", "idempotency-key-in-flight", "rate-limited"})
# These are about what is in the batch: it is cut in two until the event that is wrong stands alone.
ABOUT_CONTENT: Final = (ValidationFailedError, MalformedRequestError, PayloadTooLargeError)

Event = dict[str, Any]


class RecorderOptions(TypedDict, total=False):
    """How a recorder works.

    ``buffer_max`` (10,000) events are kept at most, refused ones included. A batch has ``batch_max`` (500) events
    and is sent every ``interval_seconds`` (1). ``enforcement`` is ``record``: the work is done, so a quota or an
    empty balance is no reason to refuse it, and the excess becomes overage. ``is_stamped`` (true) sends the moment
    of recording with an event whose key is the recorder's own, so that one that waited for the server counts in its
    period; turn it off under a frozen test clock. Beside a key of yours give a ``timestamp`` of yours.
    ``on_refused`` is told of each event that the server refuses for good; without it ``flush`` and ``close``
    raise. ``close_seconds`` (10) is how long ``close`` and the exit of the process try.
    """

    buffer_max: int
    batch_max: int
    interval_seconds: float
    close_seconds: float
    enforcement: str
    is_stamped: bool
    on_refused: Callable[[Event, ProblemError], None]


class BufferFullError(QuotaStackError):
    """The event was not taken: the buffer is full because the server does not take what is in it."""


class Refused(NamedTuple):
    """An event that the server refuses for good, and why."""

    event: Event
    error: ProblemError


class UsageNotRecordedError(QuotaStackError):
    """``waiting`` were not sent in time, ``refused`` were sent and refused. Each event has its key: send it again."""

    def __init__(self, waiting: list[Event], refused: list[Refused]) -> None:
        parts = [f"{len(waiting)} usage events not sent"] if waiting else []
        parts += [f"{len(refused)} refused, the first: {refused[0].error}"] if refused else []
        super().__init__("; ".join(parts))
        self.waiting = waiting
        self.refused = refused


class UsageBuffer:
    """The events that the server does not have yet, in their order. Its lock is held for moments only."""

    def __init__(self, options: RecorderOptions) -> None:
        self.buffer_max = options.get("buffer_max", 10_000)
        self.batch_max = min(options.get("batch_max", 500), BATCH_MAX)
        self.enforcement = options.get("enforcement", "record")
        self.is_stamped = options.get("is_stamped", True)
        self.on_refused = options.get("on_refused")
        self._waiting: deque[Event] = deque()
        self._sending: list[Event] = []
        self._refused: list[Refused] = []
        self._lock = threading.Lock()

    def add(self, event: Event) -> str:
        """Keep the event; its key, its time and so its bytes are fixed from here on."""
        fixed: Event = {"enforcement": self.enforcement, **event}
        if "idempotency_key" not in event:
            fixed["idempotency_key"] = str(uuid.uuid4())
            # Under a key of the caller's the same act may be recorded again: its bytes must be the same then.
            if self.is_stamped:
                fixed.setdefault("timestamp", datetime.now(UTC))
        with self._lock:
            if len(self._waiting) + len(self._sending) + len(self._refused) >= self.buffer_max:
                raise BufferFullError(f"{self.buffer_max} usage events wait already: this one was not taken")
            self._waiting.append(fixed)
        return str(fixed["idempotency_key"])

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting) + len(self._sending)

    def take(self) -> list[Event]:
        """The next batch; it is counted as kept until ``settle`` or ``put_back``."""
        with self._lock:
            while self._waiting and len(self._sending) < self.batch_max:
                self._sending.append(self._waiting.popleft())
            return list(self._sending)

    def put_back(self) -> None:
        """The outcome is unknown, or nothing was done: the batch is sent again, first, with the same keys."""
        with self._lock:
            self._waiting.extendleft(reversed(self._sending))
            self._sending = []

    def settle(self, results: list[ProblemError | None]) -> bool:
        """What the server has, or refuses for good, leaves the buffer; False when the rest is to be sent again."""
        refused: list[Refused] = []
        again: list[Event] = []
        with self._lock:
            for event, error in zip(self._sending, results, strict=True):
                if error is not None and error.kind in PASSING:
                    again.append(event)
                elif error is not None:
                    refused.append(Refused(event, error))
            self._waiting.extendleft(reversed(again))
            self._sending = []
            if self.on_refused is None:
                self._refused += refused
        for event, error in refused:
            log.error("usage event %s refused: %s", event["idempotency_key"], error)
            if self.on_refused is not None:
                try:
                    self.on_refused(event, error)
                except Exception:
                    log.exception("on_refused failed for %s", event)
        return not again

    def raise_rest(self, *, is_closing: bool) -> None:
        """Tell what is not recorded; the refused ones are the caller's from here on."""
        with self._lock:
            waiting = [*self._sending, *self._waiting]
            refused, self._refused = self._refused, []
        if refused or (waiting and is_closing):
            raise UsageNotRecordedError(waiting, refused)


def read_results(batch: Batch) -> list[ProblemError | None]:
    """One for each event: None when it is recorded."""
    return [None if one.problem is None else problem_error(one.problem) for one in batch.results]


class Recorder:
    """Takes usage without waiting for the server; a thread sends it. Safe to share between threads."""

    def __init__(self, usage: Usage, options: RecorderOptions) -> None:
        self._usage = usage
        self.buffer = UsageBuffer(options)
        self._interval_seconds = options.get("interval_seconds", 1.0)
        self._close_seconds = options.get("close_seconds", 10.0)
        self._pause_seconds = self._interval_seconds
        self._wake = threading.Condition()
        self._is_wanted = self._is_closing = self._is_stopped = False
        self._waiters = 0
        self._thread = threading.Thread(target=self._run, name="quotastack-recorder", daemon=True)
        self._thread.start()
        atexit.register(self._close_at_exit)

    def record(
        self,
        *,
        billable_metric_key: str,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        units: Units | None = None,
        value: Units | None = None,
        timestamp: datetime | None = None,
        dimensions: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Keep a usage event and return its key.

        Raises:
            BufferFullError: the event was not taken. Slow down, or record it yourself.
        """
        if self._is_closing:
            raise RuntimeError("the recorder is closed")
        return self.buffer.add(make_event(locals()))

    def flush(self, *, timeout_seconds: float = 30.0) -> None:
        """Wait until everything recorded so far is at the server.

        Raises:
            UsageNotRecordedError: not in time (the events are kept and sent further on), or some were refused.
        """
        with self._wake:
            done = self._wait_until_empty(timeout_seconds)
        self.buffer.raise_rest(is_closing=not done)

    def _wait_until_empty(self, timeout_seconds: float) -> bool:
        self._is_wanted = True
        self._waiters += 1
        self._wake.notify_all()
        try:
            return self._wake.wait_for(lambda: len(self.buffer) == 0, timeout_seconds)
        finally:
            self._waiters -= 1

    def close(self) -> None:
        """Send what is left and stop.

        Raises:
            UsageNotRecordedError: with every event that the server does not have.
        """
        atexit.unregister(self._close_at_exit)
        with self._wake:
            self._is_closing = True
            self._wait_until_empty(self._close_seconds)
            self._is_stopped = True
            self._wake.notify_all()
        self._thread.join(self._close_seconds)
        self.buffer.raise_rest(is_closing=True)

    def _close_at_exit(self) -> None:
        try:
            self.close()
        except UsageNotRecordedError as error:
            for event in error.waiting:
                log.critical("usage event not sent: %s", event)
            log.critical("at exit: %s", error)

    def _run(self) -> None:
        while not self._is_stopped:
            with self._wake:
                # Somebody waits in flush or close: then a server that comes back is not kept waiting.
                pause = min(self._pause_seconds, 0.25) if self._waiters else self._pause_seconds
                self._wake.wait_for(lambda: self._is_wanted or self._is_stopped, pause)
                self._is_wanted = False
            self._send_all()
            with self._wake:
                self._wake.notify_all()

    def _send_all(self) -> None:
        while not self._is_stopped and (events := self.buffer.take()):
            try:
                results = self._send(events)
            except Exception as error:  # noqa: BLE001 - whatever it is, the events are kept and the thread lives.
                self.buffer.put_back()
                self._pause_seconds = min(max(self._pause_seconds, 0.05) * 2, LONGEST_PAUSE_SECONDS)
                log.warning("usage is kept, the server does not take it: %s", error)
                return
            self._pause_seconds = self._interval_seconds
            if not self.buffer.settle(results):
                return

    def _send(self, events: list[Event]) -> list[ProblemError | None]:
        try:
            return read_results(self._usage.record_batch(events=events, max_retries=0))
        except ABOUT_CONTENT as error:
            if len(events) == 1:
                return [error]
            half = len(events) // 2
            return self._send(events[:half]) + self._send(events[half:])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRecorder:
    """The same for ``async``: a task sends; ``record`` does not wait. Use it in an ``async with``, or close it."""

    def __init__(self, usage: AsyncUsage, options: RecorderOptions) -> None:
        self._usage = usage
        self.buffer = UsageBuffer(options)
        self._interval_seconds = options.get("interval_seconds", 1.0)
        self._close_seconds = options.get("close_seconds", 10.0)
        self._pause_seconds = self._interval_seconds
        self._is_closing = False
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def record(
        self,
        *,
        billable_metric_key: str,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        units: Units | None = None,
        value: Units | None = None,
        timestamp: datetime | None = None,
        dimensions: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> str:
        """Keep a usage event and return its key; see ``Recorder.record``."""
        if self._is_closing:
            raise RuntimeError("the recorder is closed")
        key = self.buffer.add(make_event(locals()))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="quotastack-recorder")
        return key

    async def flush(self, *, timeout_seconds: float = 30.0) -> None:
        """Wait until everything recorded so far is at the server; see ``Recorder.flush``."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while len(self.buffer):
                    await self._send_all()
                    if len(self.buffer):
                        await asyncio.sleep(min(self._pause_seconds, 0.25))
        except TimeoutError:
            self.buffer.raise_rest(is_closing=True)
        self.buffer.raise_rest(is_closing=False)

    async def close(self) -> None:
        """Send what is left and stop; see ``Recorder.close``."""
        self._is_closing = True
        try:
            await self.flush(timeout_seconds=self._close_seconds)
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._pause_seconds)
            await self._send_all()

    async def _send_all(self) -> None:
        async with self._sending:
            while events := self.buffer.take():
                try:
                    results = await self._send(events)
                except QuotaStackError as error:
                    self.buffer.put_back()
                    self._pause_seconds = min(max(self._pause_seconds, 0.05) * 2, LONGEST_PAUSE_SECONDS)
                    log.warning("usage is kept, the server does not take it: %s", error)
                    return
                except BaseException:
                    self.buffer.put_back()
                    raise
                self._pause_seconds = self._interval_seconds
                if not self.buffer.settle(results):
                    return

    async def _send(self, events: list[Event]) -> list[ProblemError | None]:
        try:
            return read_results(await self._usage.record_batch(events=events, max_retries=0))
        except ABOUT_CONTENT as error:
            if len(events) == 1:
                return [error]
            half = len(events) // 2
            return await self._send(events[:half]) + await self._send(events[half:])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def make_event(given: Mapping[str, object]) -> Event:
    """The body of the event out of the arguments of ``record``."""
    event = {name: value for name, value in given.items() if name != "self" and value is not None}
    if ("customer_id" in event) == ("external_customer_id" in event):
        raise TypeError("exactly one of customer_id and external_customer_id")
    return cast("Event", event)
