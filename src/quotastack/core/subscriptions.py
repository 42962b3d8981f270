"""Subscriptions: creating one and every trigger that a caller can send it, but the change of plan.

Each trigger is one row of the transition table: it is refused in every other state, by name, with the
triggers that the state allows. A dry run decides the same and shows what it would have done.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.commands import Command, Needs
from quotastack.core.draft import replace
from quotastack.core.errors import ValidationFailedError
from quotastack.core.metadata import merge_metadata
from quotastack.core.periods import add_days, boundary_at
from quotastack.core.subscription_events import tell_subscription
from quotastack.core.subscription_lifecycle import (
    activate,
    end_subscription,
    new_subscription,
    pause_subscription,
    resume_subscription,
    start_subscription,
)
from quotastack.core.subscription_periods import enter_next_period
from quotastack.core.subscription_steps import catch_up
from quotastack.core.subscription_terms import record_transition, upcoming_variant
from quotastack.core.subscription_triggers import (
    find_subscription,
    find_variant,
    refuse_trigger,
    require_free_family,
    require_trigger,
)
from quotastack.core.subscription_views import (
    Effects,
    SubscriptionView,
    view_effects,
    view_subscription,
)

if TYPE_CHECKING:
    from quotastack.core.catalog import Variant
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Subscription
    from quotastack.core.draft import Draft


class CreateSubscription(Command, frozen=True, kw_only=True):
    """Subscribe the customer to a variant.

    A ``starts_at`` in the past only sets the anchor: the running period is the one, counted from it,
    that holds now, and grants are made once, now.

    Refuses with (first that applies):
        NotFoundError: no such variant.
        ConflictError: the variant is archived; a live subscription of the family exists.
        ValidationFailedError: ``starts_at`` lies ahead.
    """

    status: ClassVar[int] = 201
    is_money: ClassVar[bool] = False

    plan_variant_id: str
    starts_at: datetime | None = None
    trial_days: int | None = None
    grandfathered: bool = False
    metadata: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    dry_run: bool = False

    @property
    def is_dry_run(self) -> bool:
        """Whether only the effects are shown."""
        return self.dry_run

    def decide(self, draft: Draft, context: Context) -> SubscriptionView:
        """Start the subscription in its trial or active, with its first grants."""
        variant = find_variant(context.catalog, self.plan_variant_id)
        require_free_family(draft, context.catalog, variant)
        anchor_at = context.now if self.starts_at is None else self.starts_at
        if anchor_at > context.now:
            raise ValidationFailedError.at("/starts_at", "A subscription cannot start in the future.")
        trial_days = variant.trial_days if self.trial_days is None else self.trial_days
        mark = mark_changes(draft)
        subscription = new_subscription(
            draft,
            context,
            variant,
            anchor_at=anchor_at,
            metadata=self.metadata,
            is_grandfathered=self.grandfathered,
        )
        start_subscription(
            draft,
            context,
            subscription,
            variant,
            trial_ends_at=add_days(anchor_at, trial_days) if trial_days else None,
            trigger="create",
        )
        return answer(draft, context, subscription.id, mark=mark, is_dry_run=self.dry_run)


class SubscriptionTrigger(Command, frozen=True, kw_only=True):
    """Base of the triggers of one subscription."""

    is_money: ClassVar[bool] = False
    trigger: ClassVar[str] = ""

    subscription_id: str
    dry_run: bool = False

    @property
    def needs(self) -> Needs:
        """The subscription's row: an ended one is not in the state."""
        return Needs(subscription_ids=(self.subscription_id,))

    @property
    def is_dry_run(self) -> bool:
        """Whether only the effects are shown."""
        return self.dry_run

    def decide(self, draft: Draft, context: Context) -> SubscriptionView:
        """Refuse what the state does not allow, act, run what the act left behind, answer.

        Refuses with (first that applies):
            NotFoundError: the customer has no such subscription.
            SubscriptionStateConflictError: the state does not allow the trigger.
            And what ``check`` lists.
        """
        subscription = find_subscription(draft, self.subscription_id)
        require_trigger(context.catalog, subscription, self.trigger, context.now)
        self.check(draft, context, subscription)
        mark = mark_changes(draft)
        self.act(draft, context, subscription)
        return answer(draft, context, subscription.id, mark=mark, is_dry_run=self.dry_run)

    def check(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Refuse what is wrong beyond the state."""

    def act(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Carry the trigger out."""
        raise NotImplementedError


class RenewSubscription(SubscriptionTrigger, frozen=True, kw_only=True):
    """The app took the payment of one period: activates a trial, pays ahead, or ends a grace."""

    trigger: ClassVar[str] = "renew"

    def act(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Pay for one period. Nothing is granted before its boundary."""
        if subscription.status == "trialing":
            activate(draft, context, subscription, trigger="renew")
        elif subscription.status == "overdue":
            enter_next_period(draft, context, subscription, trigger="renew")
        else:
            variant = upcoming_variant(context.catalog, subscription, subscription.current_period_end)
            paid = replace(subscription, paid_through=_next_end(subscription, variant))
            draft.put_subscription(record_transition(paid, context.now, "renew", from_status="active"))


def _next_end(subscription: Subscription, variant: Variant) -> datetime:
    """When the period after the running one ends, on the terms that it will have."""
    anchored_end = boundary_at(
        subscription.anchor_at, variant.interval, variant.interval_count, subscription.period_index + 1
    )
    if anchored_end == subscription.current_period_end:
        return boundary_at(
            subscription.anchor_at, variant.interval, variant.interval_count, subscription.period_index + 2
        )
    return boundary_at(subscription.current_period_end, variant.interval, variant.interval_count, 1)


class PauseSubscription(SubscriptionTrigger, frozen=True, kw_only=True):
    """Let the subscription stand still, until ``resumes_at`` or until it is resumed."""

    trigger: ClassVar[str] = "pause"

    resumes_at: datetime | None = None

    def check(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Refuse an end of the pause that is not ahead.

        Refuses with:
            ValidationFailedError: ``resumes_at`` is now or in the past.
        """
        del draft, subscription
        if self.resumes_at is not None and self.resumes_at <= context.now:
            raise ValidationFailedError.at("/resumes_at", "Must lie in the future.")

    def act(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Stop the clock of the subscription and of its blocks."""
        pause_subscription(draft, context, subscription, resumes_at=self.resumes_at)


class ResumeSubscription(SubscriptionTrigger, frozen=True, kw_only=True):
    """Let a paused subscription run on."""

    trigger: ClassVar[str] = "resume"

    def act(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Move all that lies ahead by the length of the pause."""
        resume_subscription(draft, context, subscription, trigger="resume")


class CancelSubscription(SubscriptionTrigger, frozen=True, kw_only=True):
    """End a subscription now, or with its period."""

    trigger: ClassVar[str] = "cancel"

    when: Literal["now", "period_end"]
    credits: Literal["expire", "keep"] = "expire"

    def check(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Refuse to schedule the end twice.

        Refuses with:
            SubscriptionStateConflictError: it ends with its period already.
        """
        del draft
        if self.when == "period_end" and subscription.cancel_at_period_end:
            raise refuse_trigger(
                context.catalog,
                subscription,
                self.trigger,
                context.now,
                because="It is canceled at the end of its period already; `when: now` ends it at once.",
            )

    def act(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """End it, or note that it ends: at ``paid_through`` once the next period is paid for."""
        if self.when == "now":
            end_subscription(
                draft, context, subscription, status="canceled", trigger="cancel", credits_=self.credits
            )
            return
        scheduled = replace(subscription, cancel_at_period_end=True, cancel_credits=self.credits)
        scheduled = record_transition(
            scheduled, context.now, "cancel_at_period_end", from_status=subscription.status
        )
        draft.put_subscription(scheduled)
        tell_subscription(draft, context, scheduled, "cancel_scheduled", before=subscription)


class ReactivateSubscription(SubscriptionTrigger, frozen=True, kw_only=True):
    """Take a scheduled end back, or start an ended subscription again, without a trial."""

    trigger: ClassVar[str] = "reactivate"

    def check(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Refuse to start again what cannot be subscribed to.

        Refuses with (first that applies):
            NotFoundError, ConflictError: the variant is archived; the family has a live subscription.
        """
        if not subscription.is_live:
            variant = find_variant(context.catalog, subscription.plan_variant_id)
            require_free_family(draft, context.catalog, variant)

    def act(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Uncancel, or begin anew from now on the variant's newest terms."""
        if subscription.is_live:
            running = replace(subscription, cancel_at_period_end=False, cancel_credits="expire")
            running = record_transition(running, context.now, "reactivate", from_status=subscription.status)
            draft.put_subscription(running)
            tell_subscription(draft, context, running, "reactivated", before=subscription)
            return
        variant = find_variant(context.catalog, subscription.plan_variant_id)
        again = replace(
            subscription,
            anchor_at=context.now,
            canceled_at=None,
            ended_at=None,
            cancel_credits="expire",
            past_starts=(),
            granted=(),
            grids={},
            is_trial_ending_told=False,
        )
        start_subscription(draft, context, again, variant, trigger="reactivate", before=subscription)


class PatchSubscription(SubscriptionTrigger, frozen=True, kw_only=True):
    """Change what does not move the subscription: metadata (merged, null deletes) and the pin."""

    metadata: dict[str, Any] | UnsetType = UNSET
    grandfathered: bool | UnsetType = UNSET

    def decide(self, draft: Draft, context: Context) -> SubscriptionView:
        """Merge the changes; also on an ended subscription.

        Refuses with:
            NotFoundError: the customer has no such subscription.
            ValidationFailedError: the merged metadata has more than 50 keys or 16 KiB.
        """
        subscription = find_subscription(draft, self.subscription_id)
        metadata = subscription.metadata
        if self.metadata is not UNSET:
            metadata = merge_metadata(metadata, self.metadata)
        mark = mark_changes(draft)
        draft.put_subscription(
            replace(
                subscription,
                metadata=metadata,
                grandfathered=subscription.grandfathered
                if self.grandfathered is UNSET
                else self.grandfathered,
                updated_at=context.now,
            )
        )
        return answer(draft, context, subscription.id, mark=mark, is_dry_run=False)


def mark_changes(draft: Draft) -> tuple[int, int]:
    """Where the entries and events of the running command begin."""
    return len(draft.changes.entries), len(draft.changes.events)


def answer(
    draft: Draft,
    context: Context,
    subscription_id: str,
    *,
    mark: tuple[int, int],
    is_dry_run: bool,
) -> SubscriptionView:
    """Run what is due of what the trigger began, then show the subscription; a dry run its effects too."""
    catch_up(draft, context)
    subscription = find_subscription(draft, subscription_id)
    effects: Effects | UnsetType = UNSET
    if is_dry_run:
        effects = view_effects(draft.changes.entries[mark[0] :], draft.changes.events[mark[1] :])
    return view_subscription(
        subscription,
        customer_id=draft.customer.id,
        external_customer_id=draft.customer.external_id,
        version=draft.version if is_dry_run else draft.next_version,
        effects=effects,
    )
