import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quotastack.runtime import clock as clock_file
from quotastack.runtime.clock import ERROR_MAX_US, DatabaseClock

DATABASE_US = 1_900_000_000_000_000


class World:
    """A monotonic clock and a database whose answers take time, both moved by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monotonic_us = 1_000_000
        self.ahead_us = DATABASE_US
        self.round_trip_us = 200
        monkeypatch.setattr(clock_file, "_monotonic_us", lambda: self.monotonic_us)

    async def read(self) -> int:
        self.monotonic_us += self.round_trip_us // 2
        read = self.monotonic_us + self.ahead_us
        self.monotonic_us += self.round_trip_us - self.round_trip_us // 2
        return read

    def true_now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self.monotonic_us + self.ahead_us)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_before_the_first_sample_it_is_not_synchronised(world: World) -> None:
    assert not DatabaseClock(world.read).is_synchronised


def test_it_follows_the_database_within_half_a_round_trip(world: World) -> None:
    clock = DatabaseClock(world.read)
    asyncio.run(clock.sample())
    assert clock.error_bound_us == 100
    assert clock.is_synchronised
    world.monotonic_us += 1_500_000
    assert abs(clock.now() - world.true_now()) <= timedelta(microseconds=clock.error_bound_us)


def test_a_slow_round_trip_is_not_synchronised(world: World) -> None:
    world.round_trip_us = 2 * ERROR_MAX_US + 2
    clock = DatabaseClock(world.read)
    asyncio.run(clock.sample())
    assert not clock.is_synchronised


def test_without_samples_the_error_grows_until_it_is_too_much(world: World) -> None:
    clock = DatabaseClock(world.read)
    asyncio.run(clock.sample())
    world.monotonic_us += 20_000_000
    assert not clock.is_synchronised
    asyncio.run(clock.sample())
    assert clock.is_synchronised


def test_a_worse_sample_that_agrees_is_not_taken(world: World) -> None:
    clock = DatabaseClock(world.read)
    asyncio.run(clock.sample())
    world.round_trip_us = 4_000
    asyncio.run(clock.sample())
    assert clock.error_bound_us < 300


def test_a_jump_of_the_database_clock_is_followed_at_once(world: World) -> None:
    clock = DatabaseClock(world.read)
    asyncio.run(clock.sample())
    world.ahead_us += 60_000_000
    world.round_trip_us = 4_000
    asyncio.run(clock.sample())
    assert abs(clock.now() - world.true_now()) <= timedelta(microseconds=clock.error_bound_us)


def test_it_agrees_with_a_real_database(database: Any) -> None:
    from quotastack.runtime.database import Database

    async def run() -> tuple[datetime, datetime, datetime, int]:
        pools = Database(database.target)
        await pools.open()
        clock = DatabaseClock(pools.read_clock_us)
        await clock.start()
        before = clock.now()
        told = await pools.reads.fetchval("SELECT clock_timestamp()")
        after = clock.now()
        bound = clock.error_bound_us
        await clock.stop()
        await pools.close()
        return before, told, after, bound

    before, told, after, bound = asyncio.run(run())
    slack = timedelta(microseconds=bound)
    assert before - slack <= told <= after + slack
