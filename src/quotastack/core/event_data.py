"""What each event carries in ``data``: one struct per shape, in wire names.

A field that does not apply is left out. Amounts are millicredits, instants RFC 3339; units are integers, or
decimal strings where the metric has decimals. No field holds texts of a person: events outlive a deletion.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

Units = int | str
Instant = Annotated[datetime, Meta(tz=True)]
Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
BlockRef = Annotated[Id, Meta(description="The credit block.")]
Amount = Annotated[int, Meta(description="Millicredits.")]
Unit = Annotated[
    str, Meta(description="The account; `credits` unless the metric or the grant says otherwise.")
]
Balance = Annotated[int, Meta(description="The account's balance afterwards, in millicredits.")]
Effective = Annotated[int, Meta(description="What a new charge may use afterwards, in millicredits.")]


class EventData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all: a field that no schema names is a mistake of ours."""


class CustomerCreated(EventData, frozen=True, kw_only=True):
    """A customer exists, by their own request or by a first topup or subscription."""

    created_at: Instant


class CustomerDeleted(EventData, frozen=True, kw_only=True):
    """A customer is gone: names and texts are erased, the ledger stays under the id."""

    deleted_at: Instant
    canceled_subscription_ids: list[Id]


class CreditGranted(EventData, frozen=True, kw_only=True):
    """A block was created and is spendable."""

    block_id: BlockRef
    unit: Unit
    amount: Amount
    source: Annotated[str, Meta(description="Why the block exists, as on the block.")]
    balance: Balance
    effective_balance: Effective
    priority: int
    effective_at: Instant
    expires_at: Instant | None
    price_paid: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    package_id: Id | UnsetType = UNSET
    external_payment_id: str | UnsetType = UNSET
    subscription_id: Id | UnsetType = UNSET
    grant_template_id: Id | UnsetType = UNSET
    rolled_from_block_id: Id | UnsetType = UNSET


class CreditConsumed(EventData, frozen=True, kw_only=True):
    """A usage event was charged."""

    usage_id: Id
    billable_metric_key: str | UnsetType = UNSET
    units: Units | UnsetType = UNSET
    unit: Unit
    cost: Amount
    overage: Amount | UnsetType = UNSET
    reservation_id: Id | UnsetType = UNSET
    balance: Balance
    effective_balance: Effective


class CreditExpiringSoon(EventData, frozen=True, kw_only=True):
    """A block expires within 72 hours and is not used up."""

    block_id: BlockRef
    unit: Unit
    remaining_amount: Amount
    expires_at: Instant


class CreditExpired(EventData, frozen=True, kw_only=True):
    """What no hold needed of a block expired."""

    block_id: BlockRef
    unit: Unit
    amount: Amount
    balance: Balance


class CreditAdjusted(EventData, frozen=True, kw_only=True):
    """Credits were put in or taken out by hand: adjustment, withdrawal, void or exchange."""

    unit: Unit
    delta: Amount
    balance: Balance
    effective_balance: Effective
    block_id: BlockRef | UnsetType = UNSET
    kind: str


class CreditRefunded(EventData, frozen=True, kw_only=True):
    """Credits of a usage event went back, or those of a paid topup were taken back."""

    unit: Unit
    amount: Amount
    balance: Balance
    effective_balance: Effective
    block_id: BlockRef | UnsetType = UNSET
    usage_id: Id | UnsetType = UNSET
    external_payment_id: str | UnsetType = UNSET
    spent: Amount | UnsetType = UNSET
    held: Amount | UnsetType = UNSET
    kind: str | UnsetType = UNSET


class CreditBalanceLow(EventData, frozen=True, kw_only=True):
    """The balance fell through the threshold; told again only after it rose above it."""

    unit: Unit
    threshold: Amount
    balance: Balance
    effective_balance: Effective


class CreditExhausted(EventData, frozen=True, kw_only=True):
    """Nothing is left to spend; told again only after credits came in."""

    unit: Unit
    balance: Balance
    effective_balance: Effective


class UsageOverage(EventData, frozen=True, kw_only=True):
    """Usage went beyond the credits for the first time in the period."""

    usage_id: Id
    billable_metric_key: str | UnsetType = UNSET
    unit: Unit
    overage: Amount
    overdraft: Amount
    balance: Balance
    period_start: Instant
    period_end: Instant


class UsageRejected(EventData, frozen=True, kw_only=True):
    """A usage event that was accepted for later was refused; nothing was charged."""

    usage_id: Id
    billable_metric_key: str
    units: Units
    problem: dict[str, Any]


class UsageReversed(EventData, frozen=True, kw_only=True):
    """A usage event was taken back with all that it cost."""

    usage_id: Id
    billable_metric_key: str
    unit: Unit
    refunded: Amount
    balance: Balance


class QuotaLevelChanged(EventData, frozen=True, kw_only=True):
    """A quota's level was reached on the way up, or its grace ended."""

    billable_metric_key: str
    level: str
    policy: str
    severity: str
    value: Units
    limit: Units | None
    period_start: Instant
    period_end: Instant
    grace_ended: bool | UnsetType = UNSET


class AssetSuspended(EventData, frozen=True, kw_only=True):
    """A monitored asset takes no more usage."""

    billable_metric_key: str
    reason: str
    resume: str
    value: Units | UnsetType = UNSET
    resumes_at: Instant | UnsetType = UNSET


class AssetResumed(EventData, frozen=True, kw_only=True):
    """A monitored asset takes usage again."""

    billable_metric_key: str
    reason: str


class AssetPeriodClosed(EventData, frozen=True, kw_only=True):
    """A period of an asset is over: what a billing provider invoices."""

    billable_metric_key: str
    aggregation: str
    period_start: Instant
    period_end: Instant
    value: Units
    max: Units | UnsetType | None = UNSET
    overage_units: Units
    cost: Amount


class ReservationCreated(EventData, frozen=True, kw_only=True):
    """Credits are held."""

    reservation_id: Id
    unit: Unit
    reserved_amount: Amount
    billable_metric_key: str | UnsetType = UNSET
    estimated_units: Units | UnsetType = UNSET
    effective_balance: Effective
    expires_at: Instant


class ReservationCommitted(EventData, frozen=True, kw_only=True):
    """What was held is spent, and the rest is free again."""

    reservation_id: Id
    unit: Unit
    committed_amount: Amount
    returned_amount: Amount
    billable_metric_key: str | UnsetType = UNSET
    usage_id: Id
    balance: Balance
    effective_balance: Effective


class ReservationEnded(EventData, frozen=True, kw_only=True):
    """A hold ended without spending: released, or past its TTL."""

    reservation_id: Id
    unit: Unit
    returned_amount: Amount
    billable_metric_key: str | UnsetType = UNSET
    effective_balance: Effective


class TopupRequested(EventData, frozen=True, kw_only=True):
    """The balance fell below the auto-topup's threshold: charge the customer, then call the grant."""

    unit: Unit
    threshold: Amount
    credits: Amount
    package_id: Id | UnsetType = UNSET
    price: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    balance: Balance
    effective_balance: Effective


class SubscriptionChanged(EventData, frozen=True, kw_only=True):
    """A subscription made a transition; all fields show it afterwards."""

    subscription_id: Id
    plan_id: Id
    plan_variant_id: Id
    variant_version: int
    status: str
    previous_status: str | UnsetType = UNSET
    billing_mode: str
    current_period_start: Instant
    current_period_end: Instant
    trial_ends_at: Instant | UnsetType = UNSET
    grace_ends_at: Instant | UnsetType = UNSET
    paid_through: Instant | UnsetType = UNSET
    pause_resumes_at: Instant | UnsetType = UNSET
    canceled_at: Instant | UnsetType = UNSET
    ended_at: Instant | UnsetType = UNSET
    cancel_at_period_end: bool
    pending_plan_variant_id: Id | UnsetType = UNSET
    previous_plan_variant_id: Id | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    usage_summary: dict[str, Any] | UnsetType = UNSET


class ContractChanged(EventData, frozen=True, kw_only=True):
    """A contract nears its end, was renewed for another term, or ended."""

    subscription_id: Id
    plan_id: Id
    plan_variant_id: Id
    starts_at: Instant
    ends_at: Instant
    auto_renew: bool
