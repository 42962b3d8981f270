"""Values: what a customer is entitled to of one metric, and who said so.

A customer's override wins over the variants of the live subscriptions, those over the metric's
default. Among several variants the most permissive wins: any true, the quota or cap whose first
refusal comes later, the config of the latest subscription.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from quotastack.core.governing import governing_subscriptions
from quotastack.core.quota_terms import Quota, quota_in

if TYPE_CHECKING:
    from quotastack.core.catalog import Catalog, Metric
    from quotastack.core.draft import Draft

ValueSource = Literal["override", "plan_variant", "default"]

_NO_DEFAULT: Final[dict[str, dict[str, Any]]] = {
    "metered": {},
    "gauge": {},
    "boolean": {"enabled": False},
    "static": {"config": None},
}


class ResolvedValue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The value that counts, in wire form, and whether it includes the metric at all."""

    value: dict[str, Any]
    value_source: ValueSource
    is_included: bool
    quota: Quota | None


def includes_metric(metric: Metric, value: dict[str, Any]) -> bool:
    """Whether a customer with ``value`` may use the metric: booleans must be on, metered ones not off."""
    if metric.type == "boolean":
        return value.get("enabled") is True
    return value.get("enabled") is not False


def _permissiveness(metric: Metric, value: dict[str, Any]) -> tuple[bool, bool, int]:
    """Sort key: the most permissive value sorts highest."""
    quota = quota_in(value, metric)
    limit = None if quota is None else first_refusal(quota)
    return includes_metric(metric, value), limit is None, limit or 0


def first_refusal(quota: Quota) -> int | None:
    """The value above which something may be refused for the first time; None: never.

    A grace by time and a rate count from where their tier begins, the rate with its burst.
    """
    found: list[int] = []
    for tier in quota.tiers:
        if tier.refuses_above is not None:
            found.append(tier.refuses_above)
        elif tier.policy == "RateLimit":
            found.append(tier.lower + tier.burst)
        elif tier.grace_seconds is not None:
            found.append(tier.lower)
    return min(found, default=None)


def _find_value(
    draft: Draft, catalog: Catalog, metric: Metric, *, with_override: bool = True
) -> tuple[dict[str, Any], ValueSource]:
    override = draft.overrides.get(metric.key)
    if override is not None and with_override:
        return override.value, "override"
    if draft.subscriptions:
        values = [v.entitlements[metric.key] for _, v in governing_subscriptions(draft, catalog, metric.key)]
        if len(values) == 1:
            return values[0], "plan_variant"
        if values and metric.type == "static":
            return values[-1], "plan_variant"
        if values:
            return max(values, key=lambda value: _permissiveness(metric, value)), "plan_variant"
    if metric.default_value is not None:
        return metric.default_value, "default"
    return _NO_DEFAULT[metric.type], "default"


def value_of(draft: Draft, catalog: Catalog, metric: Metric) -> dict[str, Any]:
    """The customer's value of ``metric`` in wire form, whoever set it."""
    return _find_value(draft, catalog, metric)[0]


def resolve_value(draft: Draft, catalog: Catalog, metric: Metric) -> ResolvedValue:
    """The customer's value of ``metric``. The draft stands at the instant that is asked about."""
    value, source = _find_value(draft, catalog, metric)
    return ResolvedValue(
        value=value,
        value_source=source,
        is_included=includes_metric(metric, value),
        quota=quota_in(value, metric),
    )


def find_quota(draft: Draft, catalog: Catalog, metric: Metric) -> Quota | None:
    """The quota that counts for the customer's use of ``metric``; None when nothing limits it."""
    if not draft.overrides and not draft.subscriptions and metric.default_value is None:
        return None
    value, _ = _find_value(draft, catalog, metric)
    return quota_in(value, metric)


def quota_without_override(draft: Draft, catalog: Catalog, metric: Metric) -> Quota | None:
    """The quota that would count if the customer had no override of ``metric``."""
    value, _ = _find_value(draft, catalog, metric, with_override=False)
    return quota_in(value, metric)
