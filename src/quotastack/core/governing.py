"""Governing: which subscriptions rule a metric, and the period that they give it.

A live subscription governs the metrics that the variant of its running period lists. Metrics that
none governs, and customers without a subscription, follow the UTC calendar and the defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quotastack.core.periods import anchored_period, calendar_period

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.catalog import Catalog, Variant
    from quotastack.core.customer_state import Subscription
    from quotastack.core.draft import Draft


def running_variant(catalog: Catalog, subscription: Subscription) -> Variant:
    """The terms of the running period: the version it started with, whatever was published since."""
    return catalog.variants[subscription.plan_variant_id, subscription.variant_version]


def live_subscriptions(draft: Draft) -> tuple[Subscription, ...]:
    """The live subscriptions, oldest first: the order in which one of them is asked before another."""
    return tuple(sorted(draft.subscriptions.values(), key=lambda s: (s.created_at, s.id)))


def governing_subscriptions(
    draft: Draft, catalog: Catalog, metric_key: str
) -> tuple[tuple[Subscription, Variant], ...]:
    """Live subscriptions whose variant lists the metric, oldest first, each with its variant."""
    if not draft.subscriptions:
        return ()
    pairs = ((s, running_variant(catalog, s)) for s in live_subscriptions(draft))
    return tuple(pair for pair in pairs if metric_key in pair[1].entitlements)


def subscription_period(
    subscription: Subscription, variant: Variant, at: datetime
) -> tuple[datetime, datetime]:
    """The subscription's period that holds ``at``.

    The running period and those of the last 31 days are taken as they were (pauses and resets
    moved them); only an instant outside of all is counted from the anchor.
    """
    if subscription.current_period_start <= at < subscription.current_period_end:
        return subscription.current_period_start, subscription.current_period_end
    end = subscription.current_period_start
    for start in reversed(subscription.past_starts):
        if start <= at < end:
            return start, end
        end = start
    first = end if at < end else subscription.current_period_end
    start, stop = anchored_period(subscription.anchor_at, variant.interval, variant.interval_count, at)
    # Before the first known start, and after the last known end, a counted period never overlaps one.
    return (start, min(stop, first)) if at < first else (max(start, first), stop)


def pricing_period(
    draft: Draft, catalog: Catalog, metric_key: str, at: datetime
) -> tuple[datetime, datetime]:
    """The period at ``at`` of the oldest live subscription that lists the metric, else the UTC month."""
    governing = governing_subscriptions(draft, catalog, metric_key)
    if not governing:
        return calendar_period("month", at)
    subscription, variant = governing[0]
    return subscription_period(subscription, variant, at)


def anniversary_anchor(draft: Draft, catalog: Catalog, metric_key: str) -> datetime:
    """What an anniversary quota counts from: the oldest governing subscription, else the customer."""
    governing = governing_subscriptions(draft, catalog, metric_key)
    return governing[0][0].anchor_at if governing else draft.customer.created_at
