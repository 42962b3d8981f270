"""The clock: the only file that reads time.

Everything else gets an instant as a parameter, or a ``Clock`` to ask. The database's clock decides; a process
follows it with its own monotonic clock, so that asking costs no round trip and two processes agree.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

ERROR_MAX_US: Final = 5_000
RESAMPLE_SECONDS: Final = 2.0

# How far the two clocks may run apart between samples: 500 parts per million, the most that NTP slews.
_DRIFT_DIVISOR: Final = 2_000
_SAMPLES: Final = 5


# Seconds on a clock that never jumps; for durations and deadlines only. Asked eight times for a debit.
monotonic_seconds: Final = time.monotonic


def unix_seconds() -> int:
    """Real time in whole seconds, for signatures of deliveries, which no test clock moves."""
    return int(time.time())


class Clock(Protocol):
    """Real time, as an aware UTC instant with microseconds."""

    def now(self) -> datetime:
        """The present instant."""
        ...

    @property
    def error_bound_us(self) -> int:
        """How far ``now`` can be from the database's clock."""
        ...

    @property
    def is_synchronised(self) -> bool:
        """Whether that is little enough to decide by; if not, read the database's clock."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether this is the database's own clock."""
        ...


class HostClock:
    """The machine's own clock, for commands that run beside the server and for tests."""

    error_bound_us: int = 0
    is_synchronised: bool = True
    is_exact: bool = False

    def now(self) -> datetime:
        """The machine's present instant."""
        return datetime.now(UTC)


class DatabaseClock:
    """The database's clock, followed by the process's monotonic one.

    ``read_database_us`` fetches ``clock_timestamp()`` as microseconds since 1970. The answer belongs to some
    instant between the sending and the receiving, so a sample is wrong by half the round trip at most; of
    several the tightest is kept. Before the first sample, and whenever samples stay away so long that drift
    could add up to more than 5 ms, ``is_synchronised`` is false.

    A database behind a socket of this machine reads the machine's own clock (``is_same_machine``): then that is
    asked instead, without a round trip whose answer waits behind requests when there are many.
    """

    def __init__(
        self, read_database_us: Callable[[], Awaitable[int]], *, is_same_machine: bool = False
    ) -> None:
        self._read_database_us = read_database_us
        self._is_same_machine = is_same_machine
        self._offset_us = 0
        self._round_trip_error_us: int | None = None
        self._sampled_at_us = 0
        self._task: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        """The present instant on the database's clock, give or take ``error_bound_us``."""
        if self._round_trip_error_us is None:
            return datetime.now(UTC)
        return EPOCH + timedelta(microseconds=_monotonic_us() + self._offset_us)

    @property
    def error_bound_us(self) -> int:
        """Half the round trip of the sample in use, and the drift since then."""
        if self._round_trip_error_us is None:
            return 2**53
        return self._round_trip_error_us + (_monotonic_us() - self._sampled_at_us) // _DRIFT_DIVISOR

    @property
    def is_exact(self) -> bool:
        """Whether this is the database's own clock, which reads the machine's."""
        return self._is_same_machine and self._round_trip_error_us is not None

    @property
    def is_synchronised(self) -> bool:
        """Whether the error is at most 5 ms."""
        return self.error_bound_us <= ERROR_MAX_US

    async def sample(self) -> None:
        """Set the clock by the tightest of a few samples, unless what is known is tighter and agrees."""
        if self._is_same_machine:
            self._sampled_at_us = _monotonic_us()
            self._offset_us = time.time_ns() // 1_000 - self._sampled_at_us
            self._round_trip_error_us = 1
            return
        best: tuple[int, int, int] | None = None
        for _ in range(_SAMPLES):
            sent_us = _monotonic_us()
            database_us = await self._read_database_us()
            received_us = _monotonic_us()
            error_us = (received_us - sent_us + 1) // 2
            if best is None or error_us < best[0]:
                best = (error_us, database_us - (sent_us + received_us) // 2, received_us)
        assert best is not None
        error_us, offset_us, sampled_at_us = best
        known_error_us = self.error_bound_us
        disagrees = abs(offset_us - self._offset_us) > error_us + known_error_us
        if disagrees or error_us <= known_error_us:
            self._offset_us, self._round_trip_error_us, self._sampled_at_us = (
                offset_us,
                error_us,
                sampled_at_us,
            )

    async def start(self) -> None:
        """Take the first sample, then go on in the background until ``stop``."""
        await self.sample()
        self._task = asyncio.create_task(self._follow(), name="database-clock")

    async def stop(self) -> None:
        """End the background task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(RESAMPLE_SECONDS)
            # Any failure only makes the known sample older, and an old one says so by is_synchronised.
            with contextlib.suppress(Exception):
                # Not wait_for: it may swallow a cancellation that meets the answer, and stop would wait for ever.
                async with asyncio.timeout(RESAMPLE_SECONDS):
                    await self.sample()


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1_000
