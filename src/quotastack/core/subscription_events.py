"""What is told of a subscription: the data of its events and of its contract's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Subscription
    from quotastack.core.draft import Draft

_SHOWN = (
    "plan_id",
    "plan_variant_id",
    "variant_version",
    "status",
    "billing_mode",
    "current_period_start",
    "current_period_end",
    "trial_ends_at",
    "grace_ends_at",
    "paid_through",
    "pause_resumes_at",
    "canceled_at",
    "ended_at",
    "pending_plan_variant_id",
)


def tell_subscription(
    draft: Draft,
    context: Context,
    subscription: Subscription,
    name: str,
    *,
    before: Subscription | None = None,
    reason: str | None = None,
    usage_summary: dict[str, Any] | None = None,
) -> None:
    """Queue ``subscription.<name>``; all fields show the subscription after its transition.

    ``before`` gives the status, and the variant where it changed, that it came from.
    """
    data: dict[str, Any] = {"subscription_id": subscription.id}
    for field in _SHOWN:
        value = getattr(subscription, field)
        if value is not None:
            data[field] = value
    data["cancel_at_period_end"] = subscription.cancel_at_period_end
    if before is not None:
        data["previous_status"] = before.status
        if before.plan_variant_id != subscription.plan_variant_id:
            data["previous_plan_variant_id"] = before.plan_variant_id
    if reason is not None:
        data["reason"] = reason
    if usage_summary is not None:
        data["usage_summary"] = usage_summary
    draft.add_event(context, f"subscription.{name}", data)


def tell_contract(draft: Draft, context: Context, subscription: Subscription, name: str) -> None:
    """Queue ``contract.<name>`` with the term that it is about."""
    contract = subscription.contract
    assert contract is not None
    draft.add_event(
        context,
        f"contract.{name}",
        {
            "subscription_id": subscription.id,
            "plan_id": subscription.plan_id,
            "plan_variant_id": subscription.plan_variant_id,
            "starts_at": contract.starts_at,
            "ends_at": contract.ends_at,
            "auto_renew": contract.auto_renew,
        },
    )
