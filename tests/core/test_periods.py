"""Periods: every anchor of a leap year, 60 periods each; they tile the line and never drift (R8, R9, P16)."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quotastack.core.periods import (
    Interval,
    add_months,
    anchored_period,
    anniversary_period,
    boundary_at,
    calendar_period,
    period_index,
)

LEAP_YEAR = [datetime(2024, 1, 1, 10, 30, tzinfo=UTC) + timedelta(days=day) for day in range(366)]
INTERVALS: tuple[Interval, ...] = ("day", "week", "month", "year")
COUNTED = 60

instants = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    datetime(2199, 12, 31),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("interval", INTERVALS)
def test_calendar_matrix(interval: Interval) -> None:
    for anchor in LEAP_YEAR:
        boundaries = [boundary_at(anchor, interval, 1, index) for index in range(COUNTED + 1)]
        assert boundaries[0] == anchor
        for index, (start, end) in enumerate(pairwise(boundaries)):
            assert start < end
            assert start.timetz() == anchor.timetz()
            # Exactly one period holds each instant; its end belongs to the next one.
            assert period_index(anchor, interval, 1, start) == index
            assert period_index(anchor, interval, 1, end - timedelta(microseconds=1)) == index
            assert anchored_period(anchor, interval, 1, start) == (start, end)
            if interval in {"month", "year"}:
                # The anchor's day returns whenever the month has it.
                assert start.day == min(anchor.day, monthrange(start.year, start.month)[1])
        if interval == "month":
            months = [(b.year * 12 + b.month) for b in boundaries]
            assert months == list(range(months[0], months[0] + COUNTED + 1)), "no month is left out"


@pytest.mark.parametrize(
    ("anchor", "expected"),
    [
        ("2041-01-31T10:00", ["2041-02-28", "2041-03-31", "2041-04-30", "2041-05-31"]),
        ("2040-01-31T10:00", ["2040-02-29", "2040-03-31", "2040-04-30", "2040-05-31"]),
        ("2040-01-30T10:00", ["2040-02-29", "2040-03-30", "2040-04-30", "2040-05-30"]),
        ("2041-05-31T10:00", ["2041-06-30", "2041-07-31", "2041-08-31", "2041-09-30"]),
    ],
)
def test_r8_r9_month_ends_come_back(anchor: str, expected: list[str]) -> None:
    told = [boundary_at(at(anchor), "month", 1, index) for index in range(1, 5)]
    assert [f"{boundary:%Y-%m-%d}" for boundary in told] == expected
    assert {boundary.hour for boundary in told} == {10}


def test_leap_day_year() -> None:
    anchor = at("2024-02-29T08:00")
    days = [boundary_at(anchor, "year", 1, index).day for index in range(9)]
    assert days == [29, 28, 28, 28, 29, 28, 28, 28, 29]


@pytest.mark.parametrize(
    ("interval", "instant", "start", "end"),
    [
        ("day", "2041-03-05T23:59:59", "2041-03-05", "2041-03-06"),
        ("week", "2041-03-03T12:00", "2041-02-25", "2041-03-04"),  # a Sunday
        ("week", "2041-03-04T00:00", "2041-03-04", "2041-03-11"),  # a Monday
        ("month", "2041-02-28T23:59", "2041-02-01", "2041-03-01"),
        ("month", "2000-12-31T00:00", "2000-12-01", "2001-01-01"),
        ("year", "2040-02-29T00:00", "2040-01-01", "2041-01-01"),
    ],
)
def test_calendar_periods(interval: Interval, instant: str, start: str, end: str) -> None:
    assert calendar_period(interval, at(instant)) == (at(start), at(end))


@given(instants, instants, st.sampled_from(INTERVALS), st.integers(1, 24))
def test_every_instant_is_in_exactly_one_period(
    anchor: datetime, instant: datetime, interval: Interval, count: int
) -> None:
    index = period_index(anchor, interval, count, instant)
    start, end = anchored_period(anchor, interval, count, instant)
    assert start <= instant < end
    assert boundary_at(anchor, interval, count, index) == start
    assert boundary_at(anchor, interval, count, index + 1) == end


@given(instants, st.integers(-600, 600))
def test_months_are_calendar_months(instant: datetime, months: int) -> None:
    moved = add_months(instant, months)
    assert (moved.year * 12 + moved.month) - (instant.year * 12 + instant.month) == months
    assert moved.day <= instant.day


def test_anniversaries_count_from_their_anchor() -> None:
    anchor = at("2041-01-31T10:00")
    assert anniversary_period(anchor, "month", at("2041-03-01T00:00")) == (
        at("2041-02-28T10:00"),
        at("2041-03-31T10:00"),
    )
