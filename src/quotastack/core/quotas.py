"""Quotas: one event against one asset: refused, signalled and counted.

``plan_count`` decides and is followed, once everything else was decided too, by ``apply_count``,
which moves the counter, sends the signals and takes the tokens. A reservation plans the units that
it holds in the same way, without moving the counter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import checked_amount
from quotastack.core.catalog import Metric
from quotastack.core.commands import RefusedWithChangesError
from quotastack.core.counters import (
    CARRIED,
    Movement,
    find_current,
    find_past,
    from_us,
    is_asset_kind,
    is_counted_elsewhere,
    plan_movement,
    remember_reading,
    require_floor,
    to_us,
)
from quotastack.core.customer_state import Asset, Counter
from quotastack.core.draft import replace
from quotastack.core.pricing import price_usage
from quotastack.core.quota_signals import (
    QuotaStanding,
    refusal_error,
    send_signals,
    standing,
    suspend_asset,
)
from quotastack.core.quota_terms import Quota
from quotastack.core.tiers import Meeting, find_grace, grace_terms, meet_tiers, overage_units
from quotastack.core.values import find_quota

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from quotastack.core.changes import UsageEvent
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft

_NO_DIMENSIONS: Final[dict[str, str]] = {}


class CountPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What ``apply_count`` will write.

    ``counter`` is the one that moves, as it stands before; ``past`` a closed one that a late event of
    a carried value moves too. ``charged_units`` is what a price is applied to, ``price_mc`` the price
    of priced tiers (None: the metering rule prices the units). ``details`` go into the usage event: a
    reversal needs them.
    """

    metric: Metric
    counter: Counter
    movement: Movement
    charged_units: int
    quota: Quota | None = None
    past: Counter | None = None
    meeting: Meeting | None = None
    held_units: int = 0
    source: str = ""
    at: datetime
    price_mc: int | None = None
    details: dict[str, Any] = {}


def quota_of(draft: Draft, context: Context, metric: Metric) -> Quota | None:
    """The quota that counts for the customer's use of ``metric``; None when nothing limits it."""
    return find_quota(draft, context.catalog, metric)


def held_units_of(draft: Draft, metric_key: str) -> int:
    """Units of the metric that active reservations hold."""
    if not draft.holds:
        return 0
    return sum(
        hold.estimated_units or 0 for hold in draft.holds.values() if hold.billable_metric_key == metric_key
    )


def priced_position(counter: Counter) -> int:
    """Where the next unit stands in the price of priced tiers: reversals do not move it back."""
    return counter.value + counter.details.get("reversed", 0)


def quota_price(draft: Draft, context: Context, metric: Metric, *, units: int) -> int | None:
    """What ``units`` would cost by the customer's priced tiers now; None when the quota has no price.

    Raises:
        AmountOverflowError: the cost is beyond the contract's bound.
    """
    quota = find_quota(draft, context.catalog, metric)
    if quota is None or quota.rule is None:
        return None
    counter = find_current(draft, context, metric, quota)
    return price_usage(quota.rule, units=units, before=priced_position(counter), scale=metric.scale)


def plan_count(
    draft: Draft,
    context: Context,
    metric: Metric,
    *,
    units: int = 0,
    value: int | None = None,
    dimensions: Mapping[str, str] = _NO_DIMENSIONS,
    at: datetime,
    is_recorded: bool = False,
    held_units_delta: int = 0,
) -> CountPlan:
    """Decide one event of ``at``; nothing is written but what a refusal itself changes.

    Usage gives ``units`` or ``value``; reserve gives ``held_units_delta`` alone; commit gives
    ``units``, minus the estimate as ``held_units_delta``, and ``is_recorded``. That the event carries
    what the aggregation counts was checked before (``counters.check_event_fields``), and so was the
    suspension (``entitlements.require_entitled``).

    Raises:
        HistoryNeededError: the counter must be recounted first.
        ConflictError: an UpDownCounter would fall below 0.
        AmountOverflowError: the value would pass the contract's bound.
        QuotaExceededError, QuotaRateLimitedError, AssetSuspendedError: a tier refuses.
        RefusedWithChangesError: the same, where the refusal sends a signal or suspends the asset.
    """
    quota = find_quota(draft, context.catalog, metric)
    counter = find_current(draft, context, metric, quota)
    is_late = at < counter.period_start
    if quota is None and not is_late and metric.aggregation == "CumulativeCounter":
        checked_amount(counter.value + units)
        movement = Movement(delta=units, charged_units=units)
        return CountPlan(metric=metric, counter=counter, movement=movement, charged_units=units, at=at)
    asset = draft.assets.get(metric.key)
    past = find_past(draft, context, metric, quota=quota, at=at) if is_late else None
    if past is not None and metric.aggregation not in CARRIED:
        counter, past = past, None
    source = dimensions.get("source", "")
    movement = plan_movement(asset, counter, metric, units=units, value=value, source=source, at=at)
    meeting: Meeting | None = None
    held_units = held_units_of(draft, metric.key) if counter.is_current else 0
    if quota is not None:
        before = counter.value + held_units
        meeting = meet_tiers(
            quota,
            counter,
            asset,
            before=before,
            after=before + movement.delta + held_units_delta,
            now=context.now,
            is_recorded=is_recorded,
        )
        if meeting.refusal is not None:
            _refuse(draft, context, metric, quota=quota, counter=counter, meeting=meeting)
    price_mc: int | None = None
    if quota is not None and quota.rule is not None:
        position = priced_position(counter)
        price_mc = price_usage(quota.rule, units=movement.charged_units, before=position, scale=metric.scale)
    return CountPlan(
        metric=metric,
        counter=counter,
        movement=movement,
        charged_units=movement.charged_units,
        quota=quota,
        past=past,
        meeting=meeting,
        held_units=held_units + held_units_delta,
        source=source,
        at=at,
        price_mc=price_mc,
        details=_event_details(metric, counter, movement),
    )


def _event_details(metric: Metric, counter: Counter, movement: Movement) -> dict[str, Any]:
    """A reading of a Gauge keeps the one before it: a reversal goes back to that."""
    if metric.aggregation != "Gauge" or movement.reading is None:
        return {}
    return {"before": [counter.value, counter.details.get("at")]}


def apply_count(
    draft: Draft, context: Context, plan: CountPlan, *, cost_mc: int = 0
) -> QuotaStanding | UnsetType:
    """Write what was planned; ``cost_mc`` is what the event cost. Answers the standing in the quota."""
    counter, movement, quota, meeting = plan.counter, plan.movement, plan.quota, plan.meeting
    if quota is None and plan.past is None and plan.metric.aggregation == "CumulativeCounter":
        if movement.delta or cost_mc or not _is_written(draft, counter):
            after = msgspec.structs.replace(
                counter, value=counter.value + movement.delta, cost_mc=counter.cost_mc + cost_mc
            )
            put_counter(draft, after)
        return UNSET
    details = counter.details
    if meeting is not None and (meeting.signals or meeting.grace_ends_us is not None):
        details = _met_details(counter, meeting)
    is_reading = movement.reading is not None
    if is_reading and plan.metric.aggregation == "Gauge":
        details = {**details, "at": to_us(plan.at)}
    after = replace(
        counter,
        value=counter.value + movement.delta,
        cost_mc=counter.cost_mc + cost_mc,
        details=details,
    )
    if plan.metric.aggregation == "Gauge":
        after = replace(after, max=_max_after(plan))
    if quota is not None:
        beyond = overage_units(quota, after, after.value)
        after = after if beyond == after.overage_units else replace(after, overage_units=beyond)
    if after != counter or not _is_written(draft, counter):
        put_counter(draft, after)
    if meeting is not None and meeting.grace_ends_us is not None:
        draft.due_at = min(draft.due_at, from_us(meeting.grace_ends_us))
    if plan.past is not None:
        _move_past(draft, plan)
    _write_asset(draft, context, plan, after)
    if quota is None or meeting is None:
        return UNSET
    send_signals(draft, context, plan.metric, quota=quota, counter=after, signals=meeting.signals)
    return standing(
        quota, after, plan.metric, held_units=plan.held_units, tier=meeting.reached, now=context.now
    )


def _is_written(draft: Draft, counter: Counter) -> bool:
    """Whether the counter exists already: the first event of a period creates it, one of 0 units too."""
    return (counter.billable_metric_key, counter.kind) in draft.counters or not counter.is_current


def put_counter(draft: Draft, counter: Counter) -> None:
    """Write an asset's counter. A first one of another grid ends those of the grids before it."""
    key = (counter.billable_metric_key, counter.kind)
    if counter.is_current and key not in draft.counters:
        for other_key, other in list(draft.counters.items()):
            if other_key[0] == key[0] and is_asset_kind(other_key[1]):
                # Not a period that closed: its events are counted in the new grid.
                draft.put_counter(
                    replace(other, is_current=False, details={**other.details, "replaced": True})
                )
    elif not counter.is_current:
        remember_grid(draft, counter.billable_metric_key, counter.kind, is_first_only=True)
    draft.put_counter(counter)


def settle_grid(draft: Draft, counter: Counter, quota: Quota | None) -> None:
    """Write a recounted counter, so that the next one who looks need not recount it again."""
    if _is_written(draft, counter) or not is_counted_elsewhere(
        draft, counter.billable_metric_key, counter.kind
    ):
        return
    if quota is not None:
        counter = replace(counter, overage_units=overage_units(quota, counter, counter.value))
    put_counter(draft, counter)


def remember_grid(draft: Draft, metric_key: str, kind: str, *, is_first_only: bool = False) -> None:
    """Keep in which grid a metric was counted last, so that another one is known to need a recount."""
    asset = draft.assets.get(metric_key) or Asset(billable_metric_key=metric_key)
    known = asset.details.get("kind")
    if known == kind or (is_first_only and known is not None):
        return
    draft.put_asset(replace(asset, details={**asset.details, "kind": kind}))


def _max_after(plan: CountPlan) -> int:
    """The highest value of a Gauge's period, the one that it began with included."""
    value = plan.counter.value + plan.movement.delta
    began_us = to_us(plan.counter.period_start)
    if plan.movement.reading is not None and to_us(plan.at) < began_us:
        # Newer than all readings, yet of an earlier period: the period began with this value.
        return value
    return value if plan.counter.max is None else max(plan.counter.max, value)


def _move_past(draft: Draft, plan: CountPlan) -> None:
    past = plan.past
    assert past is not None
    if plan.metric.aggregation == "Gauge":
        reading = plan.movement.reading
        if reading is None:
            return
        highest = reading if past.max is None else max(past.max, reading)
        put_counter(draft, replace(past, value=reading, max=highest))
    else:
        put_counter(draft, replace(past, value=past.value + plan.movement.delta))


def _met_details(counter: Counter, meeting: Meeting) -> dict[str, Any]:
    """A counter's details after its tiers were met: levels told, a grace that began or ended."""
    sent = [signal.tier.level for signal in meeting.signals if not signal.is_grace_ended]
    details = counter.details
    after = {**details, "sent": [*details.get("sent", ()), *sent]}
    if meeting.grace_tier is not None:
        grace = {"terms": grace_terms(meeting.grace_tier), **find_grace(meeting.grace_tier, counter)}
        if meeting.grace_ends_us is not None:
            grace["ends"] = meeting.grace_ends_us
        if any(signal.is_grace_ended for signal in meeting.signals):
            grace["is_over"] = True
        after["grace"] = grace
    return after


def _write_asset(draft: Draft, context: Context, plan: CountPlan, counter: Counter) -> None:
    """What an event changes beyond the period: the last reading, the tokens, a suspension."""
    key = plan.metric.key
    asset = draft.assets.get(key)
    if plan.movement.reading is not None and plan.metric.aggregation == "TotalCounter":
        asset = remember_reading(asset, key, plan.source, value=plan.movement.reading, at=plan.at)
        draft.put_asset(asset)
    if plan.meeting is None:
        return
    if plan.meeting.buckets is not None:
        asset = asset or Asset(billable_metric_key=key)
        buckets = {**asset.details.get("buckets", {}), **plan.meeting.buckets}
        asset = replace(asset, details={**asset.details, "buckets": buckets})
        draft.put_asset(asset)
    if plan.meeting.suspending is not None:
        suspend_asset(draft, context, plan.metric, tier=plan.meeting.suspending, counter=counter)


# Refusals


def _refuse(
    draft: Draft, context: Context, metric: Metric, *, quota: Quota, counter: Counter, meeting: Meeting
) -> None:
    """Raise the refusal of ``meeting``; write the signal and the suspension that it brings."""
    assert meeting.refusal is not None
    error = refusal_error(metric, meeting.refusal, counter)
    is_suspending = meeting.suspending is not None
    if not meeting.signals and not is_suspending:
        raise error
    met = replace(counter, details=_met_details(counter, meeting))
    put_counter(draft, met)
    send_signals(draft, context, metric, quota=quota, counter=met, signals=meeting.signals)
    if meeting.suspending is not None:
        suspend_asset(draft, context, metric, tier=meeting.suspending, counter=met)
    raise RefusedWithChangesError(error)


# Reversal


def reverse_count(draft: Draft, context: Context, metric: Metric, event: UsageEvent) -> None:
    """Move the counter back by what ``event`` moved it; prices by position stay where they are.

    The reading before comes back when a Gauge's last one is reversed; a TotalCounter keeps its last.

    Raises:
        HistoryNeededError: the event's period is closed and its counter was not loaded.
        ConflictError: an UpDownCounter would fall below 0.
    """
    quota = find_quota(draft, context.catalog, metric)
    counter = find_current(draft, context, metric, quota)
    past: Counter | None = None
    if event.timestamp < counter.period_start:
        past = find_past(draft, context, metric, quota=quota, at=event.timestamp)
    if metric.aggregation == "Gauge":
        _reverse_reading(draft, counter, event)
        return
    if metric.aggregation in CARRIED:
        require_floor(counter, metric, -event.units)
        if past is not None:
            put_counter(draft, replace(past, value=max(0, past.value - event.units)))
    elif past is not None:
        counter = past
    details = counter.details
    if quota is not None and quota.rule is not None:
        details = {**details, "reversed": details.get("reversed", 0) + event.units}
    after = replace(
        counter,
        value=max(0, counter.value - event.units),
        cost_mc=max(0, counter.cost_mc - event.cost_mc),
        details=details,
    )
    if quota is not None:
        after = replace(after, overage_units=overage_units(quota, after, after.value))
    put_counter(draft, after)


def _reverse_reading(draft: Draft, counter: Counter, event: UsageEvent) -> None:
    before = event.details.get("before")
    if before is None or counter.details.get("at") != to_us(event.timestamp) or counter.value != event.value:
        return
    value, at_us = before
    details = {name: kept for name, kept in counter.details.items() if name != "at"}
    if at_us is not None:
        details["at"] = at_us
    put_counter(draft, replace(counter, value=value, details=details))
