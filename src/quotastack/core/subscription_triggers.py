"""Triggers: which of them a subscription allows in its state, and how all the others are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quotastack.core.errors import ConflictError, NotFoundError, SubscriptionStateConflictError
from quotastack.core.governing import live_subscriptions
from quotastack.core.subscription_terms import is_paid_ahead, upcoming_variant

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.catalog import Catalog, Variant
    from quotastack.core.customer_state import Subscription
    from quotastack.core.draft import Draft


def find_subscription(draft: Draft, subscription_id: str) -> Subscription:
    """The customer's subscription, live or ended.

    Raises:
        NotFoundError: the customer has no such subscription.
    """
    found = draft.subscriptions.get(subscription_id) or draft.extra.get(("subscription", subscription_id))
    if found is None:
        raise NotFoundError("There is no such subscription.")
    return found


def allowed_triggers(catalog: Catalog, subscription: Subscription, now: datetime) -> tuple[str, ...]:
    """The triggers that a caller may send now, in the order of the transition table."""
    match subscription.status:
        case "trialing":
            allowed = ["renew", "pause", "cancel"]
        case "active":
            allowed = ["renew"] if may_renew(catalog, subscription, now) else []
            allowed += ["pause", "cancel", "change-plan"]
        case "overdue":
            allowed = ["renew", "pause", "cancel"]
        case "paused":
            allowed = ["resume", "cancel"]
        case _:
            return ("reactivate",)
    if subscription.cancel_at_period_end:
        allowed.append("reactivate")
    return tuple(allowed)


def may_renew(catalog: Catalog, subscription: Subscription, now: datetime) -> bool:
    """Whether the next period of an active subscription can be paid for now: prepaid, once, in its window."""
    upcoming = upcoming_variant(catalog, subscription, subscription.current_period_end)
    if upcoming.billing_mode == "postpaid" or is_paid_ahead(subscription):
        return False
    return subscription.renewal_due_at is None or now >= subscription.renewal_due_at


def require_trigger(catalog: Catalog, subscription: Subscription, trigger: str, now: datetime) -> None:
    """Refuse a trigger that does not apply in the subscription's state.

    Raises:
        SubscriptionStateConflictError: names the state and the triggers that it allows.
    """
    if trigger not in allowed_triggers(catalog, subscription, now):
        raise refuse_trigger(catalog, subscription, trigger, now)


def refuse_trigger(
    catalog: Catalog, subscription: Subscription, trigger: str, now: datetime, *, because: str = ""
) -> SubscriptionStateConflictError:
    """The refusal of ``trigger``, with what would be possible instead."""
    allowed = allowed_triggers(catalog, subscription, now)
    extra: dict[str, Any] = {
        "subscription_id": subscription.id,
        "subscription_status": subscription.status,
        "trigger": trigger,
        "allowed_triggers": list(allowed),
    }
    why = f" {because}" if because else ""
    return SubscriptionStateConflictError(
        f"A subscription that is {subscription.status} cannot take the trigger {trigger} now.{why} "
        f"Allowed: {', '.join(allowed)}.",
        extra=extra,
    )


def require_free_family(
    draft: Draft, catalog: Catalog, variant: Variant, *, but: Subscription | None = None
) -> None:
    """Refuse a second live subscription of one plan family. A fallback does not count: it gives way.

    Raises:
        ConflictError: names the subscription that is live already.
    """
    is_free_plan = variant.id == catalog.config.default_free_plan_variant_id
    for other in live_subscriptions(draft):
        if other.family != variant.family or (but is not None and other.id == but.id):
            continue
        if other.is_fallback and not is_free_plan:
            continue
        raise ConflictError(
            f"The customer has a live subscription of the plan family {variant.family} already; "
            "change its plan or cancel it first.",
            extra={"subscription_id": other.id, "subscription_status": other.status},
        )


def find_variant(catalog: Catalog, variant_id: str) -> Variant:
    """The newest version of a variant that can be subscribed to.

    Raises:
        NotFoundError: no such variant.
        ConflictError: the variant or its plan is archived.
    """
    variant = catalog.latest_variants.get(variant_id)
    if variant is None:
        raise NotFoundError("There is no such plan variant.")
    if variant.archived_at is not None:
        raise ConflictError(
            "The plan variant is archived and takes no new subscriptions.",
            extra={"plan_variant_id": variant_id},
        )
    return variant
