"""Periods of a subscription: how one begins, ends and gives way to the next.

At a boundary, in this order: what rolls over leaves the old cycle blocks, their rest expires, invoiced
overdraft is cleared (postpaid), rollover blocks come in, new grants are made, interval grids go on,
events are queued. A caller's triggers and time itself cross it through the same functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quotastack.core.draft import replace
from quotastack.core.governing import running_variant
from quotastack.core.periods import add_days, boundary_at, period_index
from quotastack.core.subscription_events import tell_subscription
from quotastack.core.subscription_grants import (
    bring_in_rollover,
    clear_overdraft,
    cycle_blocks,
    end_blocks,
    grant_period,
    reschedule_block,
    roll_over,
    settle_after,
)
from quotastack.core.subscription_terms import (
    adopt_variant,
    begin_contract,
    begin_contract_holding,
    enter_period,
    is_paid_ahead,
    record_transition,
    remember_period,
    start_grids,
    upcoming_variant,
)
from quotastack.core.usage_summary import take_usage_summary

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.catalog import Variant
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Subscription
    from quotastack.core.draft import Draft


def first_period(subscription: Subscription, variant: Variant, now: datetime) -> Subscription:
    """``subscription`` active in the period that holds ``now``, counted from its ``anchor_at``."""
    index = period_index(subscription.anchor_at, variant.interval, variant.interval_count, now)
    entered = enter_period(subscription, variant, anchor_at=subscription.anchor_at, index=index)
    return replace(entered, contract=begin_contract_holding(variant, subscription.anchor_at, now), granted=())


def in_trial(subscription: Subscription, variant: Variant, *, trial_ends_at: datetime) -> Subscription:
    """``subscription`` in its trial, which is its first period; the contract begins with the activation."""
    return replace(
        adopt_variant(subscription, variant),
        status="trialing",
        current_period_start=subscription.anchor_at,
        current_period_end=trial_ends_at,
        trial_ends_at=trial_ends_at,
    )


def make_first_grants(
    draft: Draft, context: Context, subscription: Subscription, variant: Variant
) -> Subscription:
    """The activation and cycle grants of a subscription that begins now, and its interval grids."""
    subscription = grant_period(draft, context, subscription, variant)
    return start_grids(subscription, variant, context.now)


def close_period(
    draft: Draft, context: Context, subscription: Subscription, variant: Variant
) -> dict[str, Any] | None:
    """Invoice a postpaid period that ends now: its usage summary, its overdraft cleared.

    None in prepaid, and while overdue: that period was closed when it ended.
    """
    if variant.billing_mode != "postpaid" or subscription.status == "overdue":
        return None
    catalog = context.catalog
    units = {catalog.metrics[key].unit for key in variant.entitlements if key in catalog.metrics}
    units |= {template.unit for template in variant.templates}
    billed_mc = clear_overdraft(draft, context, subscription, units or {"credits"})
    return take_usage_summary(
        draft,
        context,
        subscription,
        variant,
        overage_cost_mc=billed_mc,
    )


def enter_next_period(draft: Draft, context: Context, subscription: Subscription, *, trigger: str) -> None:
    """Cross the boundary at the period's end, as of that instant, however late it is now."""
    before = subscription
    ended = running_variant(context.catalog, subscription)
    starts_at = subscription.current_period_end
    variant = upcoming_variant(context.catalog, subscription, starts_at)

    rolled = roll_over(draft, context, subscription, ended)
    end_blocks(draft, context, cycle_blocks(draft, subscription.id))
    summary = close_period(draft, context, subscription, ended)

    is_same_grid = (ended.interval, ended.interval_count) == (variant.interval, variant.interval_count)
    anchor_at = subscription.anchor_at if is_same_grid else starts_at
    index = subscription.period_index + 1 if is_same_grid else 0
    subscription = enter_period(remember_period(subscription), variant, anchor_at=anchor_at, index=index)
    assert subscription.current_period_start == starts_at
    if variant.id != ended.id:
        subscription = follow_contract(subscription, ended, variant, starts_at)

    bring_in_rollover(draft, context, subscription, rolled)
    subscription = grant_period(draft, context, subscription, variant, recurrences=("cycle",))
    subscription = start_grids(subscription, variant, context.now)
    subscription = record_transition(subscription, context.now, trigger, from_status=before.status)
    draft.put_subscription(subscription)
    tell_subscription(draft, context, subscription, "renewed", before=before, usage_summary=summary)
    if variant.id != ended.id:
        tell_subscription(draft, context, subscription, "plan_changed", before=before)


def follow_contract(
    subscription: Subscription, ended: Variant, variant: Variant, at: datetime
) -> Subscription:
    """``subscription`` with the contract of another variant: the same terms run on, others begin at ``at``."""
    if ended.contract == variant.contract:
        return subscription
    return replace(subscription, contract=begin_contract(variant, at))


def restart_period(
    draft: Draft,
    context: Context,
    subscription: Subscription,
    variant: Variant,
    *,
    is_activation: bool,
) -> tuple[Subscription, dict[str, Any] | None]:
    """Begin a period now, with a new anchor: the activation after a trial, or a reset.

    The old cycle's blocks expire, nothing rolls over. Returns the subscription, not yet put, and the
    summary of a postpaid period.
    """
    ended = running_variant(context.catalog, subscription)
    end_blocks(draft, context, cycle_blocks(draft, subscription.id))
    summary = close_period(draft, context, subscription, ended)
    was_paid_ahead = is_paid_ahead(subscription)
    kept = subscription.granted if is_activation else ()
    activations = {t.id for t in variant.templates if t.recurrence == "activation"}
    cut = replace(subscription, current_period_end=context.now)
    subscription = enter_period(remember_period(cut), variant, anchor_at=context.now, index=0)
    if was_paid_ahead and variant.billing_mode == "prepaid":
        ahead_at = boundary_at(context.now, variant.interval, variant.interval_count, 2)
        subscription = replace(subscription, paid_through=ahead_at)
    if is_activation:
        subscription = replace(
            subscription,
            contract=begin_contract(variant, context.now),
            granted=tuple(t for t in kept if t in activations),
        )
    recurrences = ("activation", "cycle") if is_activation else ("cycle",)
    subscription = grant_period(draft, context, subscription, variant, recurrences=recurrences)
    return start_grids(subscription, variant, context.now), summary


def go_overdue(draft: Draft, context: Context, subscription: Subscription) -> None:
    """Enter the grace of an unpaid prepaid period: the old cycle's blocks live until its end."""
    before = subscription
    variant = running_variant(context.catalog, subscription)
    summary = close_period(draft, context, subscription, variant)
    grace_ends_at = add_days(subscription.current_period_end, variant.grace_period_days)
    blocks = cycle_blocks(draft, subscription.id)
    for block in blocks:
        reschedule_block(
            draft,
            context,
            block,
            expires_at=grace_ends_at,
            is_locked=not variant.allow_usage_while_overdue,
        )
    settle_after(draft, context, blocks)
    subscription = replace(subscription, status="overdue", grace_ends_at=grace_ends_at, renewal_due_at=None)
    subscription = record_transition(subscription, context.now, "period_end", from_status=before.status)
    draft.put_subscription(subscription)
    tell_subscription(draft, context, subscription, "overdue", before=before, usage_summary=summary)
