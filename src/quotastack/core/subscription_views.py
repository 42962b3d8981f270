"""How a subscription is answered, and what lies behind and ahead of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.credit_views import set_or_unset
from quotastack.core.governing import running_variant
from quotastack.core.subscription_steps import all_steps, next_ticks
from quotastack.core.subscription_terms import is_paid_ahead, upcoming_variant

if TYPE_CHECKING:
    from quotastack.core.catalog import Catalog
    from quotastack.core.changes import LedgerEntry, OutboxEvent
    from quotastack.core.customer_state import Customer, Subscription


class ContractView(msgspec.Struct, frozen=True, kw_only=True):
    """The running term of a contract."""

    starts_at: datetime
    ends_at: datetime
    auto_renew: bool


class EntryEffect(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger entry that a trigger would write."""

    type: str
    unit: str
    delta: int
    balance_after: int


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger would do: its ledger entries and the types of its events, in order."""

    ledger: tuple[EntryEffect, ...]
    events: tuple[str, ...]


class SubscriptionView(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription. Instants that do not apply in its state are left out."""

    id: str
    customer_id: str
    external_customer_id: str | None
    plan_id: str
    plan_variant_id: str
    variant_version: int
    status: str
    billing_mode: str
    anchor_at: datetime
    current_period_start: datetime
    current_period_end: datetime
    trial_ends_at: datetime | UnsetType = UNSET
    renewal_due_at: datetime | UnsetType = UNSET
    grace_ends_at: datetime | UnsetType = UNSET
    paid_through: datetime | UnsetType = UNSET
    paused_at: datetime | UnsetType = UNSET
    pause_resumes_at: datetime | UnsetType = UNSET
    cancel_at_period_end: bool
    canceled_at: datetime | UnsetType = UNSET
    ended_at: datetime | UnsetType = UNSET
    pending_plan_variant_id: str | UnsetType = UNSET
    grandfathered: bool
    contract: ContractView | UnsetType = UNSET
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    version: int | UnsetType = UNSET
    effects: Effects | UnsetType = UNSET


class PastTransition(
    msgspec.Struct, frozen=True, kw_only=True, rename={"from_status": "from", "to_status": "to"}
):
    """A step that the subscription took."""

    at: datetime
    trigger: str
    from_status: str | UnsetType = UNSET
    to_status: str


class ScheduledTransition(msgspec.Struct, frozen=True, kw_only=True, rename={"to_status": "to"}):
    """A step that time will take if nobody does anything before; ``to`` is the status after it."""

    at: datetime
    trigger: str
    to_status: str
    plan_variant_id: str | UnsetType = UNSET
    grant_template_id: str | UnsetType = UNSET


class TimelineView(msgspec.Struct, frozen=True, kw_only=True):
    """The last 100 transitions, oldest first, and the next one of each kind, soonest first."""

    id: str
    customer_id: str
    external_customer_id: str | None
    status: str
    past: tuple[PastTransition, ...]
    scheduled: tuple[ScheduledTransition, ...]
    version: int | UnsetType = UNSET


def view_subscription(
    subscription: Subscription,
    *,
    customer_id: str,
    external_customer_id: str | None,
    version: int | UnsetType = UNSET,
    effects: Effects | UnsetType = UNSET,
) -> SubscriptionView:
    """The subscription in wire names."""
    contract: ContractView | UnsetType = UNSET
    if subscription.contract is not None:
        contract = ContractView(
            starts_at=subscription.contract.starts_at,
            ends_at=subscription.contract.ends_at,
            auto_renew=subscription.contract.auto_renew,
        )
    return SubscriptionView(
        id=subscription.id,
        customer_id=customer_id,
        external_customer_id=external_customer_id,
        plan_id=subscription.plan_id,
        plan_variant_id=subscription.plan_variant_id,
        variant_version=subscription.variant_version,
        status=subscription.status,
        billing_mode=subscription.billing_mode,
        anchor_at=subscription.anchor_at,
        current_period_start=subscription.current_period_start,
        current_period_end=subscription.current_period_end,
        trial_ends_at=set_or_unset(subscription.trial_ends_at),
        renewal_due_at=set_or_unset(subscription.renewal_due_at),
        grace_ends_at=set_or_unset(subscription.grace_ends_at),
        paid_through=set_or_unset(subscription.paid_through),
        paused_at=set_or_unset(subscription.paused_at),
        pause_resumes_at=set_or_unset(subscription.pause_resumes_at),
        cancel_at_period_end=subscription.cancel_at_period_end,
        canceled_at=set_or_unset(subscription.canceled_at),
        ended_at=set_or_unset(subscription.ended_at),
        pending_plan_variant_id=set_or_unset(subscription.pending_plan_variant_id),
        grandfathered=subscription.grandfathered,
        contract=contract,
        metadata=subscription.metadata,
        created_at=subscription.created_at,
        updated_at=subscription.updated_at,
        version=version,
        effects=effects,
    )


def view_effects(entries: list[LedgerEntry], events: list[OutboxEvent]) -> Effects:
    """What a dry run would have written."""
    return Effects(
        ledger=tuple(
            EntryEffect(
                type=entry.type, unit=entry.unit, delta=entry.delta_mc, balance_after=entry.balance_after_mc
            )
            for entry in entries
        ),
        events=tuple(event.type for event in events),
    )


def view_timeline(
    catalog: Catalog,
    subscription: Subscription,
    customer: Customer,
    *,
    version: int | UnsetType = UNSET,
) -> TimelineView:
    """What the subscription went through, and what time will do to it as things stand."""
    scheduled: tuple[ScheduledTransition, ...] = ()
    if subscription.is_live:
        scheduled = _scheduled(catalog, subscription)
    return TimelineView(
        id=subscription.id,
        customer_id=customer.id,
        external_customer_id=customer.external_id,
        status=subscription.status,
        past=tuple(
            PastTransition(
                at=step.at,
                trigger=step.trigger,
                from_status=set_or_unset(step.from_status),
                to_status=step.to_status,
            )
            for step in subscription.transitions
        ),
        scheduled=scheduled,
        version=version,
    )


def _scheduled(catalog: Catalog, subscription: Subscription) -> tuple[ScheduledTransition, ...]:
    steps = [
        ScheduledTransition(
            at=step.at,
            trigger=step.kind,
            to_status=status_after(catalog, subscription, step.kind),
            plan_variant_id=set_or_unset(subscription.pending_plan_variant_id)
            if step.kind == "period_end"
            else UNSET,
        )
        for step in sorted(all_steps(catalog, subscription))
    ]
    steps.extend(
        ScheduledTransition(
            at=tick.at,
            trigger="interval_grant",
            to_status=subscription.status,
            grant_template_id=tick.template.id,
        )
        for tick in next_ticks(catalog, subscription)
    )
    return tuple(sorted(steps, key=lambda step: step.at))


def status_after(catalog: Catalog, subscription: Subscription, kind: str) -> str:
    """The status after a step of that kind, as things stand."""
    is_canceling = subscription.cancel_at_period_end
    upcoming = upcoming_variant(catalog, subscription, subscription.current_period_end)
    match kind:
        case "pause_end":
            return subscription.paused_status or "active"
        case "contract_end":
            contract = subscription.contract
            has_terms = running_variant(catalog, subscription).contract is not None
            is_renewed = contract is not None and contract.auto_renew and has_terms
            return subscription.status if is_renewed else "canceled"
        case "trial_end" if not is_canceling:
            return "active" if upcoming.billing_mode == "postpaid" else "expired"
        case "period_end" if is_paid_ahead(subscription):
            return "active"
        case "period_end" if not is_canceling:
            return "active" if upcoming.billing_mode == "postpaid" else "overdue"
        case "grace_end" if not is_canceling:
            return "expired"
        case "trial_end" | "period_end" | "grace_end":
            return "canceled"
        case _:
            return subscription.status
