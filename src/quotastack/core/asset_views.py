"""Asset views: how one customer's use of one metric is shown: value, quota, suspension, account."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.counters import find_current, is_asset_kind
from quotastack.core.errors import NotFoundError
from quotastack.core.quotas import held_units_of
from quotastack.core.tiers import overage_units
from quotastack.core.values import find_quota

if TYPE_CHECKING:
    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Counter
    from quotastack.core.draft import Draft
    from quotastack.core.quota_terms import Quota

Units = int | str


class AssetView(msgspec.Struct, frozen=True, kw_only=True):
    """One monitored asset. Without a quota: no level, policy and tiers; ``max`` is a Gauge's.

    ``level`` and ``policy`` are those that the value has reached, units held by reservations counted.
    """

    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str
    aggregation: str
    value: Units
    max: Units | UnsetType = UNSET
    reserved_units: Units
    overage_units: Units
    level: str | UnsetType = UNSET
    policy: str | UnsetType = UNSET
    period_start: datetime
    period_end: datetime
    resets_at: datetime
    tiers: tuple[dict[str, Any], ...] | UnsetType = UNSET
    suspended: bool
    unit: str
    balance: int


class AssetPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """What one past period counted, and what its usage cost."""

    billable_metric_key: str
    period_start: datetime
    period_end: datetime
    value: Units
    max: Units | UnsetType = UNSET
    overage_units: Units
    cost: int


def has_asset(draft: Draft, context: Context, metric: Metric) -> bool:
    """Whether the customer has an asset of the metric: usage of it, or a quota for it."""
    if metric.aggregation is None:
        return False
    if metric.key in draft.assets or find_quota(draft, context.catalog, metric) is not None:
        return True
    return any(key == metric.key and is_asset_kind(kind) for key, kind in draft.counters)


def require_asset(draft: Draft, context: Context, metric_key: str) -> Metric:
    """The metric of an asset of the customer.

    Raises:
        NotFoundError: no such metric, or the customer neither used it nor has a quota for it.
    """
    metric = context.catalog.metrics.get(metric_key)
    if metric is None or not has_asset(draft, context, metric):
        raise NotFoundError(f"The customer has no asset {metric_key}.")
    return metric


def list_assets(draft: Draft, context: Context) -> list[Metric]:
    """The metrics of all assets of the customer, by key."""
    metrics = context.catalog.metrics
    return [metrics[key] for key in sorted(metrics) if has_asset(draft, context, metrics[key])]


def view_asset(draft: Draft, context: Context, metric: Metric) -> AssetView:
    """The asset as it stands now.

    Raises:
        HistoryNeededError: the counter must be recounted first.
    """
    quota = find_quota(draft, context.catalog, metric)
    counter = find_current(draft, context, metric, quota)
    asset = draft.assets.get(metric.key)
    return show_asset(
        draft,
        metric,
        quota=quota,
        counter=counter,
        reserved_units=held_units_of(draft, metric.key),
        is_suspended=asset is not None and asset.is_suspended,
        balance_mc=draft.account(metric.unit).balance_mc,
    )


def show_asset(
    draft: Draft,
    metric: Metric,
    *,
    quota: Quota | None,
    counter: Counter,
    reserved_units: int,
    is_suspended: bool,
    balance_mc: int,
) -> AssetView:
    """An asset out of its parts, as they are or as they were."""
    scale = metric.scale
    tier = None if quota is None else quota.tier_at(counter.value + reserved_units)
    overage = counter.overage_units if quota is None else overage_units(quota, counter, counter.value)
    highest: Units | UnsetType = UNSET
    if metric.aggregation == "Gauge":
        highest = units_on_the_wire(counter.value if counter.max is None else counter.max, scale)
    return AssetView(
        customer_id=draft.customer.id,
        external_customer_id=draft.customer.external_id,
        billable_metric_key=metric.key,
        aggregation=metric.aggregation or "",
        value=units_on_the_wire(counter.value, scale),
        max=highest,
        reserved_units=units_on_the_wire(reserved_units, scale),
        overage_units=units_on_the_wire(overage, scale),
        level=UNSET if tier is None else tier.level,
        policy=UNSET if tier is None else tier.policy,
        period_start=counter.period_start,
        period_end=counter.period_end,
        resets_at=counter.period_end,
        tiers=UNSET if quota is None else quota.wire_tiers,
        suspended=is_suspended,
        unit=metric.unit,
        balance=balance_mc,
    )


def view_period(metric: Metric, counter: Counter) -> AssetPeriod:
    """A past period as its closed counter tells it."""
    scale = metric.scale
    return AssetPeriod(
        billable_metric_key=metric.key,
        period_start=counter.period_start,
        period_end=counter.period_end,
        value=units_on_the_wire(counter.value, scale),
        max=UNSET if counter.max is None else units_on_the_wire(counter.max, scale),
        overage_units=units_on_the_wire(counter.overage_units, scale),
        cost=counter.cost_mc,
    )
