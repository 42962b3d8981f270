"""Periods: calendar arithmetic for everybody, always counted from an anchor, all of it in UTC.

A boundary is ``anchor + index * step``, never the boundary before it plus a step: a subscription of 31
January has boundaries on 28 or 29 February, 31 March and 30 April. Periods are half-open and tile
the line in both directions: ``boundary(i) <= at < boundary(i + 1)`` holds for exactly one ``i``.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

Interval: TypeAlias = Literal["day", "week", "month", "year"]
Period: TypeAlias = tuple[datetime, datetime]

TIME_MIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
TIME_MAX: Final = datetime(2200, 1, 1, tzinfo=UTC)

_DAYS: Final[dict[str, int]] = {"day": 1, "week": 7}
_MONTHS: Final[dict[str, int]] = {"month": 1, "year": 12}
_DAY: Final = timedelta(days=1)

# Calendar periods are anchored ones: this instant begins a year, a month and a day, and is a Monday.
_CALENDAR_ANCHOR: Final = datetime(2001, 1, 1, tzinfo=UTC)


def add_months(at: datetime, months: int) -> datetime:
    """The same day and time of day ``months`` later; the month's last day where it has no such day."""
    year, month_index = divmod(at.year * 12 + at.month - 1 + months, 12)
    month = month_index + 1
    return at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1]))


def boundary_at(anchor_at: datetime, interval: Interval, count: int, index: int) -> datetime:
    """Boundary number ``index`` (0 is the anchor itself, negative ones lie before it)."""
    days = _DAYS.get(interval)
    if days is not None:
        return anchor_at + timedelta(days=days * count * index)
    return add_months(anchor_at, _MONTHS[interval] * count * index)


def period_index(anchor_at: datetime, interval: Interval, count: int, at: datetime) -> int:
    """The number of the period that holds ``at``: the last boundary at or before it.

    Exact for every instant, the clamped ends of short months included.
    """
    days = _DAYS.get(interval)
    if days is not None:
        return (at - anchor_at) // timedelta(days=days * count)
    months = _MONTHS[interval] * count
    index = ((at.year - anchor_at.year) * 12 + at.month - anchor_at.month) // months
    # The quotient looks at months alone: within the boundary's own month it may be one too many.
    return index if boundary_at(anchor_at, interval, count, index) <= at else index - 1


def anchored_period(anchor_at: datetime, interval: Interval, count: int, at: datetime) -> Period:
    """The period that holds ``at``, counted from the anchor."""
    index = period_index(anchor_at, interval, count, at)
    return (
        boundary_at(anchor_at, interval, count, index),
        boundary_at(anchor_at, interval, count, index + 1),
    )


def calendar_period(interval: Interval, at: datetime) -> Period:
    """The UTC day, week (from Monday), month or year that holds ``at``."""
    return anchored_period(_CALENDAR_ANCHOR, interval, 1, at)


def anniversary_period(anchor_at: datetime, interval: Interval, at: datetime) -> Period:
    """The single-interval period counted from ``anchor_at`` (a subscription's, a customer's creation)."""
    return anchored_period(anchor_at, interval, 1, at)


def add_days(at: datetime, days: int) -> datetime:
    """``days`` times 24 hours later: a UTC day has no other length."""
    return at + days * _DAY
