"""Assets: looking at them now and in the past; what changes them goes through the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from quotastack.core.asset_views import (
    AssetPeriod,
    AssetView,
    has_asset,
    list_assets,
    require_asset,
    show_asset,
    view_asset,
    view_period,
)
from quotastack.core.commands import HistoryNeededError
from quotastack.core.counters import CARRIED, grid_of
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.customer_state import Counter
from quotastack.core.errors import NotFoundError, ValidationFailedError
from quotastack.core.overrides import RecountAsset
from quotastack.core.values import find_quota
from quotastack.engine.submission import Submission
from quotastack.runtime.tenancy import environment_transaction
from quotastack.store.assets import (
    UsageAt,
    select_balance_at,
    select_held_at,
    select_periods,
    select_suspension_at,
    select_usage_at,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft
    from quotastack.services.caller import Caller
    from quotastack.services.container import Services

T = TypeVar("T")
METRICS_RECOUNTED_MAX = 200


async def _look(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    show: Callable[[Draft, Context], T],
) -> T:
    """``show`` on the customer as the database has them, brought up to now, recounted where needed."""
    for _ in range(METRICS_RECOUNTED_MAX):
        draft, context = await services.engine.peek(caller, customer, strong=True)
        try:
            return show(draft, context)
        except HistoryNeededError as more:
            for metric_key, _, _ in more.needs.recounts:
                command = RecountAsset(billable_metric_key=metric_key)
                await services.engine.submit(Submission(caller=caller, customer=customer, command=command))
    draft, context = await services.engine.peek(caller, customer, strong=True)
    return show(draft, context)


async def read_asset(
    services: Services, caller: Caller, customer: CustomerRef, metric_key: str, *, at: datetime | None
) -> AssetView:
    """One asset now, or as it was ``at`` an instant of the past.

    Raises:
        CustomerNotFoundError: unknown or deleted.
        NotFoundError: the customer has, or at that time had, no such asset.
        ValidationFailedError: ``at`` lies ahead.
    """
    if at is None:
        return await _look(
            services,
            caller,
            customer,
            lambda draft, context: view_asset(draft, context, require_asset(draft, context, metric_key)),
        )
    draft, context = await _peek_past(services, caller, customer, at)
    metric = context.catalog.metrics.get(metric_key)
    found = None
    if metric is not None and metric.aggregation is not None:
        found = await _view_past(services, caller, metric, draft=draft, context=context, at=at)
    if found is None:
        raise NotFoundError(f"The customer had no asset {metric_key} then.")
    return found


async def read_assets(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    *,
    at: datetime | None,
    after_key: str | None,
    is_ascending: bool,
    limit: int,
) -> list[AssetView]:
    """The customer's assets by metric key, now or as they were ``at`` an instant of the past.

    Raises:
        CustomerNotFoundError: unknown or deleted.
        ValidationFailedError: ``at`` lies ahead.
    """

    def wanted(metrics: list[Metric]) -> list[Metric]:
        ordered = sorted(metrics, key=lambda metric: metric.key, reverse=not is_ascending)
        if after_key is None:
            return ordered
        return [m for m in ordered if m.key != after_key and (m.key > after_key) is is_ascending]

    if at is None:

        def show(draft: Draft, context: Context) -> list[AssetView]:
            found = wanted(list_assets(draft, context))[:limit]
            return [view_asset(draft, context, metric) for metric in found]

        return await _look(services, caller, customer, show)
    draft, context = await _peek_past(services, caller, customer, at)
    views: list[AssetView] = []
    for metric in wanted([m for m in context.catalog.metrics.values() if m.aggregation is not None]):
        view = await _view_past(services, caller, metric, draft=draft, context=context, at=at)
        if view is not None:
            views.append(view)
        if len(views) == limit:
            break
    return views


async def _peek_past(
    services: Services, caller: Caller, customer: CustomerRef, at: datetime
) -> tuple[Draft, Context]:
    await services.engine.settle_time(caller, customer)
    draft, context = await services.engine.peek(caller, customer, strong=True)
    if at > context.now:
        raise ValidationFailedError.at("/at", "Only the past is known: give an instant up to now.")
    return draft, context


async def _view_past(
    services: Services, caller: Caller, metric: Metric, *, draft: Draft, context: Context, at: datetime
) -> AssetView | None:
    """An asset as the usage known at ``at`` makes it, under today's quota; None when there was none."""
    quota = find_quota(draft, context.catalog, metric)
    if at < draft.customer.created_at:
        return None
    grid = grid_of(draft, context, metric, quota)
    start, end = grid.period_at(at)
    customer_id = draft.customer.id
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        usage = await select_usage_at(tx, customer_id, metric.key, at=at, period=(start, end))
        is_suspended = await select_suspension_at(tx, customer_id, metric.key, at)
        if not usage.events and not is_suspended and not has_asset(draft, context, metric):
            return None
        reserved_units = await select_held_at(tx, customer_id, metric.key, at)
        balance_mc = await select_balance_at(tx, customer_id, metric.unit, at)
    value, highest = _value_then(metric, usage)
    return show_asset(
        draft,
        metric,
        quota=quota,
        counter=Counter(
            billable_metric_key=metric.key,
            kind=grid.kind,
            period_start=start,
            period_end=end,
            value=value,
            max=highest,
        ),
        reserved_units=reserved_units,
        is_suspended=is_suspended,
        balance_mc=balance_mc,
    )


def _value_then(metric: Metric, usage: UsageAt) -> tuple[int, int | None]:
    if metric.aggregation == "Gauge":
        readings = [value for value in (usage.highest, usage.reading_before) if value is not None]
        return usage.reading or 0, max(readings, default=None)
    return (usage.carried if metric.aggregation in CARRIED else usage.counted), None


async def read_periods(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    metric_key: str,
    *,
    after: tuple[datetime, str] | None,
    is_ascending: bool,
    limit: int,
) -> list[tuple[AssetPeriod, str]]:
    """Past periods of an asset with their kinds, which complete their order.

    Raises:
        CustomerNotFoundError: unknown or deleted.
        NotFoundError: the customer has no such asset.
    """
    customer_id = await services.engine.settle_time(caller, customer)
    draft, context = await services.engine.peek(caller, customer, strong=True)
    metric = require_asset(draft, context, metric_key)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        rows = await select_periods(
            tx, customer_id, metric.key, after=after, is_ascending=is_ascending, limit=limit
        )
    return [(view_period(metric, row), row.kind) for row in rows]
