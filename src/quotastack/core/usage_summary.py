"""Usage summary: what a postpaid period used and cost, for whoever invoices it.

Read from the pricing positions of the period: they keep units, cost and tiers by rule. What was used
in a period that had been summed up before stands under ``late``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.governing import governing_subscriptions
from quotastack.core.metering import PRICE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from quotastack.core.catalog import Catalog, Variant
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Counter, Subscription
    from quotastack.core.draft import Draft


def take_usage_summary(
    draft: Draft,
    context: Context,
    subscription: Subscription,
    variant: Variant,
    *,
    overage_cost_mc: int,
    metric_keys: Collection[str] | None = None,
) -> dict[str, Any]:
    """The summary of the subscription's running period, in wire names.

    ``overage_cost_mc`` is the overdraft that was cleared at its end. ``total_cost`` holds the late
    events too, because they were charged in this period: it adds up to the ledger. ``metric_keys``
    are those to sum up, by default all that the variant lists.
    """
    catalog = context.catalog
    start = subscription.current_period_start
    # Of several subscriptions that list a metric the oldest one has its period, and invoices it.
    own = {
        key
        for key in (variant.entitlements if metric_keys is None else metric_keys)
        if any(first.id == subscription.id for first, _ in governing_subscriptions(draft, catalog, key)[:1])
    }
    positions = [
        counter
        for (metric_key, kind), counter in sorted(draft.counters.items())
        if kind.startswith(PRICE) and metric_key in own and counter.period_start == start
    ]
    metrics = [
        _sum_up(catalog, key, _rules_of(c for c in positions if c.billable_metric_key == key))
        for key in sorted({c.billable_metric_key for c in positions if c.details.get("rules")})
    ]
    late = [row for counter in positions for row in _late_rows(catalog, counter)]
    return {
        "period_start": start,
        "period_end": min(subscription.current_period_end, context.now),
        "total_cost": sum(row["cost"] for row in (*metrics, *late)),
        "overage_cost": overage_cost_mc,
        "metrics": metrics,
        "late": late,
    }


def _rules_of(counters: Iterable[Counter]) -> dict[str, Any]:
    return {rule_id: row for counter in counters for rule_id, row in counter.details.get("rules", {}).items()}


def _late_rows(catalog: Catalog, counter: Counter) -> list[dict[str, Any]]:
    return [
        {
            **_sum_up(catalog, counter.billable_metric_key, period["rules"]),
            "period_start": period_start,
            "period_end": period["period_end"],
        }
        for period_start, period in sorted(counter.details.get("late", {}).items())
    ]


def _sum_up(catalog: Catalog, metric_key: str, rules: Mapping[str, Any]) -> dict[str, Any]:
    """One metric's row: the sums of its rules, their tiers merged where they end at the same unit."""
    metric = catalog.metrics.get(metric_key)
    scale = 0 if metric is None else metric.scale
    tiers: dict[int | None, list[int]] = {}
    for row in rules.values():
        for up_to, units, cost in row.get("tiers", ()):
            share = tiers.setdefault(up_to, [0, 0])
            share[0] += units
            share[1] += cost
    ordered = sorted(tiers.items(), key=lambda tier: (tier[0] is None, tier[0] or 0))
    return {
        "billable_metric_key": metric_key,
        "units": units_on_the_wire(sum(row["units"] for row in rules.values()), scale),
        "cost": sum(row["cost"] for row in rules.values()),
        "tiers": [
            {
                "up_to": None if up_to is None else units_on_the_wire(up_to, scale),
                "units": units_on_the_wire(units, scale),
                "cost": cost,
            }
            for up_to, (units, cost) in ordered
        ],
        "rules": [
            {"rule_id": rule_id, "units": units_on_the_wire(row["units"], scale), "cost": row["cost"]}
            for rule_id, row in sorted(rules.items())
        ],
    }
