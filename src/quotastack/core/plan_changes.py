"""Plan changes: moving an active subscription to another variant, now or at the end of its period.

An upgrade (higher rank) is done now and prorated, a downgrade (lower rank) at the period's end, unless
the caller says otherwise; between equal or absent ranks the caller has to say when.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError, ValidationFailedError
from quotastack.core.governing import running_variant
from quotastack.core.subscription_events import tell_subscription
from quotastack.core.subscription_grants import cycle_blocks, end_blocks, grant_period
from quotastack.core.subscription_periods import close_period, follow_contract, restart_period
from quotastack.core.subscription_terms import (
    adopt_variant,
    is_paid_ahead,
    record_transition,
    renewal_due_at,
    start_grids,
    upcoming_variant,
)
from quotastack.core.subscription_triggers import find_variant, require_free_family
from quotastack.core.subscriptions import SubscriptionTrigger
from quotastack.core.usage_summary import take_usage_summary

if TYPE_CHECKING:
    from typing import Any

    from quotastack.core.catalog import GrantTemplate, Variant
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Subscription
    from quotastack.core.draft import Draft

_MICROSECOND: Final = timedelta(microseconds=1)


class ChangePlan(SubscriptionTrigger, frozen=True, kw_only=True):
    """Move the subscription to another variant.

    Refuses with (first that applies, after the state):
        NotFoundError, ConflictError: no such variant, or it is archived.
        ConflictError: it is on the newest version of that variant already; the other family has a
            live subscription.
        ValidationFailedError: neither variant ranks higher and ``when`` is missing; ``credits``
            without a change now.
    """

    trigger: ClassVar[str] = "change-plan"

    plan_variant_id: str
    when: Literal["now", "period_end"] | None = None
    credits: Literal["keep", "prorate", "reset"] | None = None

    def check(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Everything beyond the state."""
        variant = find_variant(context.catalog, self.plan_variant_id)
        when = self._when(context, subscription, variant)
        running = (subscription.plan_variant_id, subscription.variant_version)
        if running == (variant.id, variant.version) and (
            when == "now" or subscription.pending_plan_variant_id is None
        ):
            raise ConflictError("The subscription is on that variant already.")
        require_free_family(draft, context.catalog, variant, but=subscription)
        if when == "period_end" and self.credits is not None:
            raise ValidationFailedError.at(
                "/credits", "Only a change with `when: now` decides about the running period's credits."
            )

    def _when(self, context: Context, subscription: Subscription, variant: Variant) -> str:
        if self.when is not None:
            return self.when
        rank = running_variant(context.catalog, subscription).rank
        if rank is None or variant.rank is None or rank == variant.rank:
            raise ValidationFailedError.at(
                "/when", "Required: neither of the two variants has the higher rank."
            )
        return "now" if variant.rank > rank else "period_end"

    def act(self, draft: Draft, context: Context, subscription: Subscription) -> None:
        """Schedule the change, or make it."""
        variant = find_variant(context.catalog, self.plan_variant_id)
        if self._when(context, subscription, variant) == "period_end":
            _schedule_change(draft, context, subscription, variant)
        else:
            _change_now(draft, context, subscription, variant, mode=self.credits or "prorate")


def _schedule_change(draft: Draft, context: Context, subscription: Subscription, variant: Variant) -> None:
    """Make ``variant`` the pending one; changing to the running variant takes a pending change back."""
    is_taken_back = variant.id == subscription.plan_variant_id
    pending = replace(subscription, pending_plan_variant_id=None if is_taken_back else variant.id)
    upcoming = upcoming_variant(context.catalog, pending, context.now)
    pending = replace(pending, renewal_due_at=renewal_due_at(pending, upcoming))
    draft.put_subscription(
        record_transition(pending, context.now, "change_plan_at_period_end", from_status="active")
    )


def _change_now(
    draft: Draft, context: Context, subscription: Subscription, variant: Variant, *, mode: str
) -> None:
    before = subscription
    ended = running_variant(context.catalog, subscription)
    summary: dict[str, Any] | None = None
    if mode == "reset":
        subscription, summary = restart_period(draft, context, subscription, variant, is_activation=False)
        subscription = follow_contract(subscription, ended, variant, context.now)
    else:
        summary = _invoice_what_leaves(draft, context, subscription, ended, variant)
        subscription = _within_period(draft, context, subscription, ended, variant, mode=mode)
    subscription = record_transition(subscription, context.now, "change-plan", from_status="active")
    is_fallback = variant.id == context.catalog.config.default_free_plan_variant_id
    draft.put_subscription(replace(subscription, is_fallback=is_fallback))
    tell_subscription(
        draft, context, subscription, "plan_changed", before=before, reason=mode, usage_summary=summary
    )


def _invoice_what_leaves(
    draft: Draft, context: Context, subscription: Subscription, ended: Variant, variant: Variant
) -> dict[str, Any] | None:
    """What nobody would invoice when the running period ends is invoiced now, or None.

    The whole period where the new variant is prepaid; else the metrics that it does not list.
    """
    if ended.billing_mode != "postpaid":
        return None
    if variant.billing_mode != "postpaid":
        return close_period(draft, context, subscription, ended)
    leaving = sorted(ended.entitlements.keys() - variant.entitlements.keys())
    summary = take_usage_summary(draft, context, subscription, ended, overage_cost_mc=0, metric_keys=leaving)
    return summary if summary["metrics"] or summary["late"] else None


def _within_period(
    draft: Draft,
    context: Context,
    subscription: Subscription,
    ended: Variant,
    variant: Variant,
    *,
    mode: str,
) -> Subscription:
    """The subscription on ``variant`` for the rest of its running period (``keep``, ``prorate``)."""
    old_blocks = cycle_blocks(draft, subscription.id) if mode == "prorate" else []
    end_blocks(draft, context, old_blocks)
    was_paid_ahead = is_paid_ahead(subscription)
    changed = replace(
        adopt_variant(subscription, variant), pending_plan_variant_id=None, is_renewal_due_told=False
    )
    if (ended.interval, ended.interval_count) != (variant.interval, variant.interval_count):
        # The periods of the new length are counted from the end of the running one.
        changed = replace(changed, anchor_at=subscription.current_period_end, period_index=-1)
    paid_through = None
    if variant.billing_mode == "prepaid":
        is_known = was_paid_ahead and subscription.paid_through is not None
        paid_through = subscription.paid_through if is_known else subscription.current_period_end
    changed = replace(
        changed,
        paid_through=paid_through,
        renewal_due_at=renewal_due_at(changed, variant),
        is_renewal_due_told=subscription.is_renewal_due_told and ended.billing_mode == variant.billing_mode,
    )
    changed = follow_contract(changed, ended, variant, context.now)
    amount_of = _prorated(subscription, context) if mode == "prorate" else None
    changed = grant_period(draft, context, changed, variant, recurrences=("cycle",), amount_of=amount_of)
    return start_grids(changed, variant, context.now)


def _prorated(subscription: Subscription, context: Context) -> Any:
    """``floor(amount * remaining / period)``, the lengths in whole microseconds: exact."""
    period = (subscription.current_period_end - subscription.current_period_start) // _MICROSECOND
    remaining = (subscription.current_period_end - context.now) // _MICROSECOND

    def amount_of(template: GrantTemplate) -> int:
        return template.credits * remaining // period

    return amount_of
