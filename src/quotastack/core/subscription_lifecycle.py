"""The life of a subscription: how it starts, ends, falls back to the free plan, stands still and runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from quotastack.core.customer_state import Subscription
from quotastack.core.draft import replace
from quotastack.core.governing import live_subscriptions, running_variant
from quotastack.core.periods import boundary_at
from quotastack.core.subscription_events import tell_contract, tell_subscription
from quotastack.core.subscription_grants import (
    cycle_blocks,
    end_blocks,
    freeze_blocks,
    make_id,
    plan_blocks,
    settle_after,
    thaw_blocks,
)
from quotastack.core.subscription_periods import (
    close_period,
    first_period,
    in_trial,
    make_first_grants,
    restart_period,
)
from quotastack.core.subscription_terms import (
    fits_fallback,
    is_paid_ahead,
    record_transition,
    renewal_due_at,
    upcoming_variant,
    variant_at,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from quotastack.core.catalog import Variant
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft

CancelCredits = Literal["expire", "keep"]


def new_subscription(
    draft: Draft,
    context: Context,
    variant: Variant,
    *,
    anchor_at: datetime,
    metadata: dict[str, Any],
    is_grandfathered: bool = False,
) -> Subscription:
    """A subscription to ``variant`` that has not begun: ``start_subscription`` makes it live."""
    return Subscription(
        id=make_id(draft, context, "subscription", variant.id),
        plan_id=variant.plan_id,
        family=variant.family,
        plan_variant_id=variant.id,
        variant_version=variant.version,
        status="active",
        billing_mode=variant.billing_mode,
        anchor_at=anchor_at,
        current_period_start=anchor_at,
        current_period_end=anchor_at,
        grandfathered=is_grandfathered,
        metadata=metadata,
        created_at=context.now,
        updated_at=context.now,
    )


def start_subscription(
    draft: Draft,
    context: Context,
    subscription: Subscription,
    variant: Variant,
    *,
    trial_ends_at: datetime | None = None,
    trigger: str,
    before: Subscription | None = None,
) -> Subscription:
    """Make a subscription live with its first grants; fallback subscriptions end, their credits with them.

    It is in its trial when ``trial_ends_at`` lies ahead. ``before`` is the ended one that starts again.
    """
    end_fallbacks(draft, context, subscription.id)
    is_fallback = variant.id == context.catalog.config.default_free_plan_variant_id
    subscription = replace(subscription, is_fallback=is_fallback)
    if trial_ends_at is not None and trial_ends_at > context.now:
        subscription = in_trial(subscription, variant, trial_ends_at=trial_ends_at)
    else:
        subscription = first_period(subscription, variant, context.now)
    subscription = make_first_grants(draft, context, subscription, variant)
    subscription = record_transition(
        subscription, context.now, trigger, from_status=None if before is None else before.status
    )
    draft.put_subscription(subscription)
    name = "created" if before is None else "reactivated"
    tell_subscription(draft, context, subscription, name, before=before)
    return subscription


def activate(draft: Draft, context: Context, subscription: Subscription, *, trigger: str) -> Subscription:
    """End a trial by the first paid or billed period: first-cycle grants, the anchor moves to now."""
    before = subscription
    variant = upcoming_variant(context.catalog, subscription, context.now)
    subscription, summary = restart_period(draft, context, subscription, variant, is_activation=True)
    subscription = record_transition(subscription, context.now, trigger, from_status=before.status)
    draft.put_subscription(subscription)
    tell_subscription(draft, context, subscription, "activated", before=before, usage_summary=summary)
    return subscription


def end_subscription(
    draft: Draft,
    context: Context,
    subscription: Subscription,
    *,
    status: Literal["canceled", "expired"],
    trigger: str,
    credits_: CancelCredits | Literal["cycle"],
    falls_back: bool = True,
) -> Subscription:
    """End a live subscription now, invoice what is open of a postpaid one, and fall back to the free plan.

    ``credits_``: ``expire`` takes every plan block, ``cycle`` those that end with the period, ``keep``
    none; kept blocks run on to their own expiry (frozen ones as if resumed now).
    """
    before = subscription
    variant = running_variant(context.catalog, subscription)
    if credits_ == "keep":
        _release_blocks(draft, context, subscription)
    else:
        choose = plan_blocks if credits_ == "expire" else cycle_blocks
        end_blocks(draft, context, choose(draft, subscription.id))
    summary = close_period(draft, context, _running(subscription), variant)
    subscription = record_transition(
        replace(
            subscription,
            status=status,
            canceled_at=context.now if status == "canceled" else subscription.canceled_at,
            ended_at=context.now,
            cancel_at_period_end=False,
            paused_at=None,
            pause_resumes_at=None,
            paused_status=None,
            renewal_due_at=None,
            pending_plan_variant_id=None,
        ),
        context.now,
        trigger,
        from_status=before.status,
    )
    draft.put_subscription(subscription)
    tell_subscription(
        draft, context, subscription, status, before=before, reason=trigger, usage_summary=summary
    )
    if falls_back:
        fall_back(draft, context, subscription)
    return subscription


def _running(subscription: Subscription) -> Subscription:
    """As it was before a pause: an overdue period was closed already, also while it is paused."""
    if subscription.status != "paused":
        return subscription
    return replace(subscription, status=subscription.paused_status)


def _release_blocks(draft: Draft, context: Context, subscription: Subscription) -> None:
    """Let the blocks of a subscription that ends run on by themselves."""
    if subscription.paused_at is not None:
        stood_still = context.now - subscription.paused_at
        thaw_blocks(draft, context, subscription, stood_still=stood_still, is_locked=False)
    blocks = plan_blocks(draft, subscription.id)
    over = [block for block in blocks if block.expires_at is not None and block.expires_at <= context.now]
    for block in blocks:
        if block not in over and (block.is_locked or block.is_cycle):
            draft.change_block(block, replace(block, is_locked=False, is_cycle=False))
    end_blocks(draft, context, over)
    settle_after(draft, context, blocks)


def fall_back(draft: Draft, context: Context, ended: Subscription) -> None:
    """Start the environment's free plan for a customer who has no live subscription left.

    Not after the free plan itself has ended, not for a deleted customer, and not when the configured
    variant is not fit for it (any more).
    """
    variant_id = context.catalog.config.default_free_plan_variant_id
    if variant_id is None or draft.subscriptions or ended.is_fallback:
        return
    if ended.plan_variant_id == variant_id or variant_id not in context.catalog.latest_variants:
        return
    variant = variant_at(context.catalog, variant_id, context.now)
    if not fits_fallback(variant) or variant.archived_at is not None:
        return
    fallback = new_subscription(draft, context, variant, anchor_at=context.now, metadata={})
    start_subscription(draft, context, fallback, variant, trigger="fallback")


def end_fallbacks(draft: Draft, context: Context, starting_id: str) -> None:
    """End the free plan, its credits expiring, because another subscription starts."""
    for subscription in live_subscriptions(draft):
        if subscription.is_fallback and subscription.id != starting_id:
            end_subscription(
                draft,
                context,
                subscription,
                status="canceled",
                trigger="superseded",
                credits_="expire",
                falls_back=False,
            )


def end_contract(draft: Draft, context: Context, subscription: Subscription) -> None:
    """End a contract that does not renew itself: the subscription is canceled at that boundary."""
    tell_contract(draft, context, subscription, "ended")
    end_subscription(
        draft, context, subscription, status="canceled", trigger="contract_end", credits_="expire"
    )


def pause_subscription(
    draft: Draft, context: Context, subscription: Subscription, *, resumes_at: datetime | None
) -> Subscription:
    """Let the subscription's clock stand still; its blocks stay in the balance, frozen."""
    before = subscription
    freeze_blocks(draft, context, subscription)
    subscription = record_transition(
        replace(
            subscription,
            status="paused",
            paused_status=before.status,
            paused_at=context.now,
            pause_resumes_at=resumes_at,
        ),
        context.now,
        "pause",
        from_status=before.status,
    )
    draft.put_subscription(subscription)
    tell_subscription(draft, context, subscription, "paused", before=before)
    return subscription


def resume_subscription(
    draft: Draft, context: Context, subscription: Subscription, *, trigger: str
) -> Subscription:
    """Let the subscription's clock run on: all that lies ahead of it moves by the length of the pause.

    The new period end becomes the anchor, so the boundaries after it are counted from there.
    """
    before = subscription
    assert subscription.paused_at is not None
    stood_still = context.now - subscription.paused_at
    variant = running_variant(context.catalog, subscription)
    is_locked = before.paused_status == "overdue" and not variant.allow_usage_while_overdue
    thaw_blocks(draft, context, subscription, stood_still=stood_still, is_locked=is_locked)
    subscription = _move(subscription, variant, stood_still)
    subscription = record_transition(subscription, context.now, trigger, from_status="paused")
    draft.put_subscription(subscription)
    tell_subscription(draft, context, subscription, "resumed", before=before)
    return subscription


def _move(subscription: Subscription, variant: Variant, by: timedelta) -> Subscription:
    """``subscription`` out of its pause, with every instant ahead of it ``by`` later."""
    contract = subscription.contract
    if contract is not None:
        contract = replace(
            contract, ends_at=contract.ends_at + by, anchor_at=contract.ends_at + by, term_index=-1
        )
    period_end = subscription.current_period_end + by
    grids = {key: replace(grid, origin_at=grid.origin_at + by) for key, grid in subscription.grids.items()}
    moved = replace(
        subscription,
        status=subscription.paused_status,
        paused_status=None,
        paused_at=None,
        pause_resumes_at=None,
        current_period_end=period_end,
        anchor_at=period_end,
        period_index=-1,
        trial_ends_at=None if subscription.trial_ends_at is None else subscription.trial_ends_at + by,
        grace_ends_at=None if subscription.grace_ends_at is None else subscription.grace_ends_at + by,
        contract=contract,
        grids=grids,
    )
    if moved.paid_through is not None:
        # A period paid ahead is a whole one, counted from the new anchor like all that follow.
        ahead_at = boundary_at(period_end, variant.interval, variant.interval_count, 1)
        moved = replace(moved, paid_through=ahead_at if is_paid_ahead(subscription) else period_end)
    due_at = renewal_due_at(moved, variant) if moved.status == "active" else None
    return replace(moved, renewal_due_at=due_at)
