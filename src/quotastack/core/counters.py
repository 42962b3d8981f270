"""Counters: what four aggregations make of a usage event, and in which period it counts.

An asset's counter belongs to a grid of periods: the UTC month, or that of the customer's quota. The
grid is part of the counter's ``kind``, so that a quota with another grid starts on a counter of its
own, recounted from the usage events, and the rows of the old grid stay what they were.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.amounts import checked_amount
from quotastack.core.closed_counters import find_closed_counters
from quotastack.core.commands import HistoryNeededError, Needs
from quotastack.core.customer_state import Asset, Counter
from quotastack.core.derived_ids import EPOCH
from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError, ValidationFailedError
from quotastack.core.governing import anniversary_anchor
from quotastack.core.periods import anniversary_period, calendar_period

if TYPE_CHECKING:
    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft
    from quotastack.core.quota_terms import Quota

ASSET_KIND: Final = "asset"
SOURCES_MAX: Final = 1_000
CARRIED: Final = frozenset({"Gauge", "UpDownCounter"})
READ: Final = frozenset({"Gauge", "TotalCounter"})
_MICROSECOND: Final = timedelta(microseconds=1)


class Recount(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of a metric in a period, summed from its events that were not reversed.

    ``max`` is the highest reading, the one that the period began with included; None without any.
    """

    units: int = 0
    cost_mc: int = 0
    max: int | None = None


class Movement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one event does: ``delta`` moves the value, ``charged_units`` is what a price is applied to.

    ``reading`` is the reading that becomes the last one, None when the event is older than it (or
    carries none).
    """

    delta: int
    charged_units: int
    reading: int | None = None


def to_us(at: datetime) -> int:
    """Microseconds since 1970: how counters keep instants in their details."""
    return (at - EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """The instant that ``to_us`` kept."""
    return EPOCH + timedelta(microseconds=microseconds)


# Grids


class Grid(msgspec.Struct, frozen=True, gc=False):
    """How one asset's time is cut into periods. ``anchor_at`` None is the UTC calendar."""

    kind: str
    period: str
    anchor_at: datetime | None = None

    def period_at(self, at: datetime) -> tuple[datetime, datetime]:
        """The period that holds ``at``."""
        if self.anchor_at is None:
            return calendar_period(self.period, at)  # pyright: ignore[reportArgumentType]
        return anniversary_period(self.anchor_at, self.period, at)  # pyright: ignore[reportArgumentType]


_MONTHLY: Final = Grid(ASSET_KIND, "month")
_CALENDAR: Final = {
    "month": _MONTHLY,
    **{period: Grid(f"{ASSET_KIND}:{period}", period) for period in ("day", "week", "year")},
}


def grid_of(draft: Draft, context: Context, metric: Metric, quota: Quota | None) -> Grid:
    """The grid that counts for the metric now: the quota's, without one the UTC month."""
    if quota is None:
        return _MONTHLY
    if quota.alignment == "calendar":
        return _CALENDAR[quota.period]
    anchor_at = anniversary_anchor(draft, context.catalog, metric.key)
    return Grid(f"{ASSET_KIND}:{quota.period}@{to_us(anchor_at)}", quota.period, anchor_at)


def is_asset_kind(kind: str) -> bool:
    """Whether a counter of that kind counts an asset (and is not a pricing position)."""
    return kind == ASSET_KIND or kind.startswith("asset:")


# Finding the counter


def find_current(draft: Draft, context: Context, metric: Metric, quota: Quota | None) -> Counter:
    """The counter of the period that runs, or a new one where none was written yet.

    A quota with another grid than the one that was counted in is recounted from the usage events.

    Raises:
        HistoryNeededError: for that the events are needed and ``draft.extra`` lacks them.
    """
    if quota is None:
        known = draft.counters.get((metric.key, ASSET_KIND))
        if known is not None:
            return known
    grid = grid_of(draft, context, metric, quota)
    known = draft.counters.get((metric.key, grid.kind))
    if known is not None and known.period_end > context.now:
        return known
    start, end = grid.period_at(context.now)
    counter = Counter(
        billable_metric_key=metric.key,
        kind=grid.kind,
        period_start=start,
        period_end=end,
        details=_kept_details(draft, metric),
    )
    if not is_counted_elsewhere(draft, metric.key, grid.kind):
        return counter
    return _recounted(draft, metric, counter)


def _kept_details(draft: Draft, metric: Metric) -> dict[str, Any]:
    """When a Gauge that stood at 0 was last read: older readings change nothing."""
    asset = draft.assets.get(metric.key) if metric.aggregation == "Gauge" else None
    return {"at": asset.details["at"]} if asset is not None and "at" in asset.details else {}


def is_counted_elsewhere(draft: Draft, metric_key: str, kind: str) -> bool:
    """Whether the metric was counted in another grid, so that this one must be counted anew."""
    for key, other_kind in draft.counters:
        if key == metric_key and is_asset_kind(other_kind):
            return other_kind != kind
    asset = draft.assets.get(metric_key)
    return asset is not None and asset.details.get("kind", kind) != kind


def _recounted(draft: Draft, metric: Metric, counter: Counter) -> Counter:
    recount = draft.extra.get(("recount", metric.key, counter.period_start))
    if recount is None:
        period = (metric.key, counter.period_start, counter.period_end)
        raise HistoryNeededError(Needs(recounts=(period,)))
    recount = _with_batch(draft, metric.key, counter, recount)
    if metric.aggregation not in CARRIED:
        return replace(counter, value=recount.units, cost_mc=recount.cost_mc)
    others = [c for (key, kind), c in draft.counters.items() if key == metric.key and is_asset_kind(kind)]
    carried = max(others, key=lambda other: other.period_start) if others else counter
    return replace(
        counter,
        value=carried.value,
        max=_highest(recount.max, carried.value) if metric.aggregation == "Gauge" else None,
        details={name: carried.details[name] for name in ("at",) if name in carried.details},
    )


def _with_batch(draft: Draft, metric_key: str, counter: Counter, recount: Recount) -> Recount:
    """The recount with the events that this batch wrote or reversed before: they were not there to be read."""
    units, cost_mc, highest = recount.units, recount.cost_mc, recount.max
    updates = draft.changes.rare.usage_updates if draft.changes.has_rare else {}
    written: set[str] = set()
    for event in draft.changes.usage_events:
        written.add(event.id)
        is_meant = event.billable_metric_key == metric_key and event.id not in updates
        if is_meant and counter.period_start <= event.timestamp < counter.period_end:
            units, cost_mc = units + event.units, cost_mc + event.cost_mc
            if event.value is not None:
                highest = _highest(highest, event.value)
    for event in updates.values():
        is_meant = event.billable_metric_key == metric_key and event.id not in written
        if is_meant and counter.period_start <= event.timestamp < counter.period_end:
            units, cost_mc = units - event.units, cost_mc - event.cost_mc
    return Recount(units=units, cost_mc=cost_mc, max=highest)


def _highest(first: int | None, second: int) -> int:
    return second if first is None else max(first, second)


def find_past(
    draft: Draft, context: Context, metric: Metric, *, quota: Quota | None, at: datetime
) -> Counter:
    """The closed counter that a late event of ``at`` belongs to, or a new one where none was written.

    The command named it in its needs. A period counted in another grid keeps its events.
    """
    grid = grid_of(draft, context, metric, quota)
    found = [c for c in find_closed_counters(draft, metric.key, at) if is_asset_kind(c.kind)]
    found = [c for c in found if not c.details.get("replaced")]
    if found:
        return max(found, key=lambda c: (c.kind == grid.kind, c.period_start, c.kind))
    start, end = grid.period_at(at)
    return Counter(
        billable_metric_key=metric.key,
        kind=grid.kind,
        period_start=start,
        period_end=end,
        is_current=False,
    )


# What an event does


def check_event_fields(metric: Metric, *, units: int | None, value: int | None) -> None:
    """Whether a usage event carries what its metric's aggregation counts.

    Raises:
        ValidationFailedError: ``value`` where units are counted, or the other way round; negative
            units of a CumulativeCounter, a negative reading.
    """
    aggregation = metric.aggregation
    if aggregation in READ:
        if value is None:
            raise ValidationFailedError.at("/value", f"A {aggregation} takes a value.")
        if units is not None:
            raise ValidationFailedError.at("/units", f"A {aggregation} takes a value, not units.")
        if value < 0:
            raise ValidationFailedError.at("/value", "Must be 0 or more.")
        return
    if value is not None:
        raise ValidationFailedError.at("/value", f"A {aggregation} takes units, not a value.")
    if units is not None and units < 0 and aggregation != "UpDownCounter":
        raise ValidationFailedError.at("/units", f"Units of a {aggregation} are 0 or more.")


def plan_movement(
    asset: Asset | None,
    counter: Counter,
    metric: Metric,
    *,
    units: int,
    value: int | None,
    source: str,
    at: datetime,
) -> Movement:
    """What an event of ``at`` does to the running ``counter``.

    Raises:
        ConflictError: an UpDownCounter would fall below 0.
        AmountOverflowError: the value would pass the contract's bound.
    """
    aggregation = metric.aggregation
    if aggregation == "TotalCounter" and value is not None:
        last = None if asset is None else asset.details.get("last", {}).get(source)
        if last is None:
            return Movement(delta=0, charged_units=0, reading=value)
        last_value, last_us = last
        if to_us(at) < last_us:
            return Movement(delta=0, charged_units=0)
        increase = value - last_value if value >= last_value else value
        checked_amount(counter.value + increase)
        return Movement(delta=increase, charged_units=increase, reading=value)
    if aggregation == "Gauge" and value is not None:
        last_us = counter.details.get("at")
        if last_us is not None and to_us(at) < last_us:
            return Movement(delta=0, charged_units=0)
        return Movement(delta=value - counter.value, charged_units=0, reading=value)
    checked_amount(counter.value + units)
    if aggregation in CARRIED:
        require_floor(counter, metric, units)
        return Movement(delta=units, charged_units=0)
    return Movement(delta=units, charged_units=units)


def require_floor(counter: Counter, metric: Metric, delta: int) -> None:
    """Refuse what would take a running sum below 0.

    Raises:
        ConflictError: it would.
    """
    if delta < 0 and counter.value + delta < 0:
        raise ConflictError(
            f"The value of {metric.key} would fall below 0.",
            extra={"metric": metric.key},
        )


def remember_reading(asset: Asset | None, metric_key: str, source: str, *, value: int, at: datetime) -> Asset:
    """The asset with the last reading of one source of a TotalCounter.

    Only the 1,000 sources that reported most recently are remembered: one that is heard again after
    it was forgotten starts from a new base.
    """
    known = Asset(billable_metric_key=metric_key) if asset is None else asset
    last: dict[str, Any] = dict(known.details.get("last", {}))
    last[source] = [value, to_us(at)]
    if len(last) > SOURCES_MAX:
        del last[min(last, key=lambda name: (last[name][1], name))]
    return replace(known, details={**known.details, "last": last})
