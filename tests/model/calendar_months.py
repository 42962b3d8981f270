"""Calendar arithmetic of the reference model, by counting."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_instant(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def to_datetime(at: int) -> datetime:
    return EPOCH + at * MICROSECOND


def month_start(at: int) -> int:
    """The first microsecond of the UTC month of an instant."""
    when = to_datetime(at)
    return to_instant(datetime(when.year, when.month, 1, tzinfo=UTC))


def calendar_start(at: int, period: str) -> int:
    """The first microsecond of the UTC day, week (from Monday), month or year of an instant."""
    when = to_datetime(at)
    midnight = datetime(when.year, when.month, when.day, tzinfo=UTC)
    if period == "week":
        midnight -= timedelta(days=midnight.weekday())
    elif period == "month":
        midnight = midnight.replace(day=1)
    elif period == "year":
        midnight = midnight.replace(month=1, day=1)
    return to_instant(midnight)


def anchored(anchor: int, count: int, period: str) -> int:
    """The boundary ``count`` periods after the anchor, always from the anchor itself."""
    when = to_datetime(anchor)
    if period in {"day", "week"}:
        return to_instant(when + timedelta(days=count * (7 if period == "week" else 1)))
    months = when.month - 1 + count * (12 if period == "year" else 1)
    year, month = when.year + months // 12, months % 12 + 1
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    last_day = (following - timedelta(days=1)).day
    return to_instant(when.replace(year=year, month=month, day=min(when.day, last_day)))


def anchored_start(anchor: int, at: int, period: str) -> int:
    """The last boundary at or before an instant that is not before the anchor."""
    count = 0
    while anchored(anchor, count + 1, period) <= at:
        count += 1
    return anchored(anchor, count, period)
