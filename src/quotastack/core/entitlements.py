"""Entitlements: whether a customer may use a metric at all, in the order in which it is refused.

Usage and reserve ask ``require_entitled`` before they count or charge anything; the check asks
``find_bar`` and goes on to quota, price and credits (``core/entitlement_check.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.counters import find_current
from quotastack.core.errors import AssetSuspendedError, NotEntitledError
from quotastack.core.governing import governing_subscriptions
from quotastack.core.tiers import limit_now
from quotastack.core.values import find_quota, includes_metric, value_of

if TYPE_CHECKING:
    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft

Bar = Literal["not_entitled", "subscription_paused", "subscription_overdue", "suspended"]


def find_subscription_bar(
    draft: Draft, context: Context, metric: Metric
) -> Literal["subscription_paused", "subscription_overdue"] | None:
    """Why no governing subscription lets the metric through; None when one does, or none governs it.

    Several that refuse: the reason of the oldest.
    """
    if not draft.subscriptions:
        return None
    first: Literal["subscription_paused", "subscription_overdue"] | None = None
    for subscription, variant in governing_subscriptions(draft, context.catalog, metric.key):
        if subscription.status == "paused":
            first = first or "subscription_paused"
        elif subscription.status == "overdue" and not variant.allow_usage_while_overdue:
            first = first or "subscription_overdue"
        else:
            return None
    return first


def find_bar(draft: Draft, context: Context, metric: Metric) -> Bar | None:
    """The first of the reasons that need no units: value, subscriptions, suspension; None: none bars."""
    if draft.overrides or draft.subscriptions or metric.default_value is not None or metric.type == "boolean":
        value = value_of(draft, context.catalog, metric)
        if not includes_metric(metric, value):
            return "not_entitled"
        reason = find_subscription_bar(draft, context, metric)
        if reason is not None:
            return reason
    account = draft.accounts.get(metric.unit)
    if account is not None and account.status == "suspended":
        return "suspended"
    asset = draft.assets.get(metric.key)
    if asset is not None and asset.is_suspended:
        return "suspended"
    return None


_DETAILS = {
    "not_entitled": "The customer is not entitled to {}.",
    "subscription_paused": "The subscription that includes {} is paused.",
    "subscription_overdue": "The subscription that includes {} is overdue and allows no usage meanwhile.",
}


def require_entitled(draft: Draft, context: Context, metric: Metric) -> None:
    """Refuse what the customer may not use, before anything is counted or charged.

    Raises:
        NotEntitledError: the value does not include the metric, or every governing subscription is
            paused or overdue without usage.
        AssetSuspendedError: the account that the metric draws from, or the asset, is suspended.
        HistoryNeededError: the asset is, and its counter must be recounted to say where it stands.
    """
    reason = find_bar(draft, context, metric)
    if reason is None:
        return
    if reason == "suspended":
        raise _suspension_error(draft, context, metric)
    raise NotEntitledError(
        _DETAILS[reason].format(metric.key), extra={"metric": metric.key, "reason": reason}
    )


def _suspension_error(draft: Draft, context: Context, metric: Metric) -> AssetSuspendedError:
    """The refusal of a suspended account or asset; an asset's tells where it stands in its quota."""
    account = draft.accounts.get(metric.unit)
    if account is not None and account.status == "suspended":
        return AssetSuspendedError(
            f"The account {metric.unit} is suspended.", extra={"metric": metric.key, "unit": metric.unit}
        )
    extra: dict[str, Any] = {"metric": metric.key}
    quota = find_quota(draft, context.catalog, metric)
    if quota is not None:
        counter = find_current(draft, context, metric, quota)
        tier = next((t for t in quota.tiers if t.policy == "SuspendUsage"), quota.tier_at(counter.value))
        extra |= {
            "level": tier.level,
            "policy": tier.policy,
            "value": units_on_the_wire(counter.value, metric.scale),
            "resets_at": counter.period_end,
        }
        limit = limit_now(quota, counter, context.now)
        if limit is not None:
            extra["limit"] = units_on_the_wire(limit, metric.scale)
    return AssetSuspendedError(f"The use of {metric.key} is suspended until it is resumed.", extra=extra)
