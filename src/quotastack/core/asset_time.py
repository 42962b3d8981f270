"""Asset time: what instants do to assets: periods close, graces end, overrides expire.

Each is one kind of due thing for ``core/advance.py``. Only what was counted has a counter to close:
a period without usage passes silently, except for a value that carries over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.counters import CARRIED, from_us, grid_of, is_asset_kind
from quotastack.core.customer_state import Counter
from quotastack.core.draft import replace
from quotastack.core.quota_signals import resume_asset, send_signals
from quotastack.core.quotas import remember_grid
from quotastack.core.tiers import Signal, find_grace
from quotastack.core.values import find_quota

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft
    from quotastack.core.quota_terms import Quota

_SEPARATOR: Final = " "


def due_period_ends(draft: Draft) -> Iterator[tuple[datetime, str]]:
    """When each asset's running period ends; the id names metric and grid."""
    for (metric_key, kind), counter in draft.counters.items():
        if is_asset_kind(kind):
            yield counter.period_end, f"{metric_key}{_SEPARATOR}{kind}"


def due_grace_ends(draft: Draft) -> Iterator[tuple[datetime, str]]:
    """When each grace by time ends that began in a running period."""
    for (metric_key, kind), counter in draft.counters.items():
        grace: dict[str, Any] | None = counter.details.get("grace")
        if grace is not None and "ends" in grace and not grace.get("is_over") and is_asset_kind(kind):
            yield from_us(grace["ends"]), f"{metric_key}{_SEPARATOR}{kind}"


def due_overrides(draft: Draft) -> Iterator[tuple[datetime, str]]:
    """When each override stops counting; the id is the metric's key."""
    for override in draft.overrides.values():
        if override.expires_at is not None:
            yield override.expires_at, override.billable_metric_key


def _counter_named(draft: Draft, name: str) -> Counter:
    metric_key, _, kind = name.partition(_SEPARATOR)
    return draft.counters[metric_key, kind]


def close_period(draft: Draft, context: Context, name: str) -> None:
    """Close one asset's period: tell its value (``asset.period_closed``), carry over what carries over.

    A suspension until the next period ends here.
    """
    counter = _counter_named(draft, name)
    metric = context.catalog.metrics[counter.billable_metric_key]
    draft.put_counter(replace(counter, is_current=False))
    remember_grid(draft, metric.key, counter.kind)
    draft.add_event(context, "asset.period_closed", closed_data(metric, counter))
    asset = draft.assets[metric.key]
    if asset.is_suspended and asset.resume == "next_period":
        resume_asset(draft, context, metric.key, reason="next_period")
    if metric.aggregation in CARRIED:
        _carry_over(draft, context, metric, counter)


def end_assets(draft: Draft, context: Context) -> None:
    """End all periods of a customer who is deleted, now: what was counted is told, nothing goes on."""
    for (metric_key, kind), counter in sorted(draft.counters.items()):
        metric = context.catalog.metrics.get(metric_key)
        if metric is None or not is_asset_kind(kind):
            continue
        # A period that begins at this very instant keeps its end: none is empty.
        end = context.now if context.now > counter.period_start else counter.period_end
        ended = replace(counter, is_current=False, period_end=end)
        draft.put_counter(ended)
        draft.add_event(context, "asset.period_closed", closed_data(metric, ended))


def closed_data(metric: Metric, counter: Counter) -> dict[str, Any]:
    """What a billing provider invoices of one period."""
    scale = metric.scale
    data: dict[str, Any] = {
        "billable_metric_key": metric.key,
        "aggregation": metric.aggregation,
        "period_start": counter.period_start,
        "period_end": counter.period_end,
        "value": units_on_the_wire(counter.value, scale),
        "overage_units": units_on_the_wire(counter.overage_units, scale),
        "cost": counter.cost_mc,
    }
    if counter.max is not None:
        data["max"] = units_on_the_wire(counter.max, scale)
    return data


def _carry_over(draft: Draft, context: Context, metric: Metric, counter: Counter) -> None:
    """Begin the next period with the value of the one that ended.

    A value of 0 needs no row: only when a Gauge was last read is kept, with the asset.
    """
    at_us: int | None = counter.details.get("at")
    if counter.value == 0:
        if at_us is not None:
            asset = draft.assets[metric.key]
            draft.put_asset(replace(asset, details={**asset.details, "at": at_us}))
        return
    quota = find_quota(draft, context.catalog, metric)
    grid = grid_of(draft, context, metric, quota)
    if (metric.key, grid.kind) in draft.counters:
        return
    start, end = grid.period_at(context.now)
    draft.put_counter(
        Counter(
            billable_metric_key=metric.key,
            kind=grid.kind,
            period_start=start,
            period_end=end,
            value=counter.value,
            max=counter.value if metric.aggregation == "Gauge" else None,
            overage_units=counter.overage_units,
            details=_carried_details(counter, quota),
        )
    )


def _carried_details(counter: Counter, quota: Quota | None) -> dict[str, Any]:
    """The last reading's time, and a grace that runs or ended while the value stays above its tier."""
    tiers = quota.tiers if quota is not None else ()
    has_grace = any(counter.value > tier.lower and find_grace(tier, counter) for tier in tiers)
    kept = ("at", "grace") if has_grace else ("at",)
    return {name: counter.details[name] for name in kept if name in counter.details}


def end_grace(draft: Draft, context: Context, name: str) -> None:
    """A grace by time is over: tell it once (``grace_ended``); from now on the tier refuses."""
    counter = _counter_named(draft, name)
    metric = context.catalog.metrics[counter.billable_metric_key]
    grace = {**counter.details["grace"], "is_over": True, "value": counter.value}
    ended = replace(counter, details={**counter.details, "grace": grace})
    draft.put_counter(ended)
    draft.is_due_stale = True
    quota = find_quota(draft, context.catalog, metric)
    for tier in quota.tiers if quota is not None else ():
        if find_grace(tier, ended):
            assert quota is not None
            signal = Signal(tier, is_grace_ended=True)
            send_signals(draft, context, metric, quota=quota, counter=ended, signals=(signal,))


def expire_override(draft: Draft, _context: Context, metric_key: str) -> None:
    """An override's time is over: the plan's or the default value counts again."""
    draft.delete_override(metric_key)
