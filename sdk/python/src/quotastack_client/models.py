"""What the server answers, and objects of requests. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Required, TypedDict

from msgspec import field

from quotastack_client.answers import Model, Pagination

Units = int | str | Decimal


class Accepted(Model, frozen=True, kw_only=True):
    """The answer to ``Prefer: respond-async``."""

    id: str
    status: str
    customer_id: str
    external_customer_id: str | None
    version: int


class Account(Model, frozen=True, kw_only=True):
    """The sums of one unit, in millicredits; ``blocks`` (live, in burn order) only where asked for.
    ``status`` is left out of an account as it was in the past: the ledger does not tell it.
    """

    customer_id: str
    external_customer_id: str | None
    unit: str
    balance: int
    reserved_balance: int
    effective_balance: int
    overdraft: int
    lifetime_earned: int
    lifetime_spent: int
    lifetime_expired: int
    status: str | None = None
    blocks: tuple[Block, ...] | None = None
    at: str | None = None
    version: int


class Alive(Model, frozen=True, kw_only=True):
    """The process answers."""

    status: str | None = None


class ApiKey(Model, frozen=True, kw_only=True):
    """A key as the API shows it. ``key_id`` is the part of its text by which it can be recognised."""

    id: str
    name: str
    key_prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class Asset(Model, frozen=True, kw_only=True):
    """One monitored asset. Without a quota: no level, policy and tiers; ``max`` is a Gauge's. ``level``
    and ``policy`` are those that the value has reached, units held by reservations counted.
    """

    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str
    aggregation: str
    value: int | str
    max: int | str | None = None
    reserved_units: int | str
    overage_units: int | str
    level: str | None = None
    policy: str | None = None
    period_start: datetime
    period_end: datetime
    resets_at: datetime
    tiers: tuple[dict[str, Any], ...] | None = None
    suspended: bool
    unit: str
    balance: int


class AssetPeriod(Model, frozen=True, kw_only=True):
    """What one past period counted, and what its usage cost."""

    billable_metric_key: str
    period_start: datetime
    period_end: datetime
    value: int | str
    max: int | str | None = None
    overage_units: int | str
    cost: int


class Attempt(Model, frozen=True, kw_only=True):
    """One attempt: ``status`` of the answer, or ``error`` where there was none; the answer's first 2 KiB."""

    attempted_at: datetime
    status: int | None = None
    error: str | None = None
    duration_ms: int | None = None
    answer: str | None = None


class AuditEntry(Model, frozen=True, kw_only=True):
    """One change, as the contract shows it. ``before`` and ``after`` are JSON as stored."""

    id: str
    created_at: datetime
    actor: str
    key_id: str | None
    action: str
    object_type: str
    object_id: str
    before: Any
    after: Any
    request_id: str


class AutoTopup(Model, frozen=True, kw_only=True):
    """When the app is asked for a topup, and how often it was in the running period."""

    customer_id: str
    external_customer_id: str | None
    unit: str
    threshold: int
    package_id: str | None = None
    credits: int | None = None
    max_per_period: int | None
    period: str
    cooldown_seconds: int
    requested_in_period: int
    last_requested_at: datetime | None = None
    created_at: datetime
    updated_at: datetime
    version: int


class Batch(Model, frozen=True, kw_only=True):
    """One result for each event, in their order."""

    results: tuple[BatchResult, ...]


class BatchResult(Model, frozen=True, kw_only=True):
    """What became of one event: its usage, or the problem that `POST /v1/usage` would have answered."""

    status: str
    usage: Usage | None = None
    problem: dict[str, Any] | None = None


class Block(Model, frozen=True, kw_only=True):
    """One credit block. ``expires_at`` null: never."""

    id: str
    unit: str
    original_amount: int
    remaining_amount: int
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    source: str
    price_paid: int | None = None
    currency: str | None = None
    package_id: str | None = None
    external_payment_id: str | None = None
    subscription_id: str | None = None
    grant_template_id: str | None = None
    rolled_from_block_id: str | None = None
    reason: str | None = None
    metadata: dict[str, Any] | None = None
    status: str
    created_at: datetime


class BlockDelta(Model, frozen=True, kw_only=True):
    """What an entry changed in one block."""

    block_id: str
    delta: int


class Broken(Model, frozen=True, kw_only=True):
    """Where the books of an account first do not fit. Without ``sequence`` it is not one entry's fault."""

    environment_id: str
    customer_id: str
    unit: str
    check: str
    detail: str
    sequence: int | None = None
    entry_id: str | None = None


class CheckResults(Model, frozen=True, kw_only=True):
    """One answer for each check, in order; a check that could not be made has a ``problem`` instead."""

    results: tuple[dict[str, Any], ...]


class Clock(Model, frozen=True, kw_only=True):
    """The environment's time, and what ran because it moved, by time and customer."""

    now: datetime
    frozen: bool
    ran: tuple[Ran, ...] | None = None


class Contract(Model, frozen=True, kw_only=True):
    """The running term of a contract."""

    starts_at: datetime
    ends_at: datetime
    auto_renew: bool


class ContractTerms(Model, frozen=True, kw_only=True):
    """How long a subscriber is bound."""

    term_interval: str
    term_count: int
    auto_renew: bool
    ending_soon_days: int


class Customer(Model, frozen=True, kw_only=True):
    """A customer. ``low_balance_threshold`` and ``overage_policy`` null: the environment's apply."""

    customer_id: str
    external_customer_id: str
    display_name: str | None = None
    email: str | None = None
    metadata: dict[str, Any]
    low_balance_threshold: int | None
    overage_policy: str | None
    overage_limit: int | None = None
    created_at: datetime
    updated_at: datetime
    version: int


class Debit(Model, frozen=True, kw_only=True):
    """What a debit took, from which blocks; ``overage`` is the part that became overdraft."""

    amount: int
    blocks: tuple[Draw, ...]
    overage: int | None = None


class DebitAnswer(Model, frozen=True, kw_only=True):
    """What takes credits out answers."""

    customer_id: str
    external_customer_id: str | None
    debit: Debit
    account: Account
    version: int


class DeletedCustomer(Model, frozen=True, kw_only=True):
    """What is left of a deleted customer: the id under which the ledger stays."""

    customer_id: str
    deleted_at: datetime
    canceled_subscription_ids: tuple[str, ...]
    released_reservation_ids: tuple[str, ...]
    voided_block_ids: tuple[str, ...]
    version: int


class Delivery(Model, frozen=True, kw_only=True):
    """One event on its way to one endpoint, with every attempt. ``origin`` tells what made it."""

    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    customer_id: str | None = None
    sequence: int
    previous_sequence: int | None = None
    origin: str
    status: str
    attempts: tuple[Attempt, ...]
    next_attempt_at: datetime | None = None
    created_at: datetime
    finished_at: datetime | None = None


class Draw(Model, frozen=True, kw_only=True):
    """What one block paid."""

    block_id: str
    amount: int


class Effects(Model, frozen=True, kw_only=True):
    """What a trigger would do: its ledger entries and the types of its events, in order."""

    ledger: tuple[EntryEffect, ...]
    events: tuple[str, ...]


class Endpoint(Model, frozen=True, kw_only=True):
    """An endpoint as the API shows it. Its secret is shown once, where the server made it."""

    id: str
    url: str
    events: tuple[str, ...]
    severity: str | None = None
    billable_metric_key: str | None = None
    description: str | None = None
    format: str
    status: str
    disabled_reason: str | None = None
    disabled_at: datetime | None = None
    failing_since: str | None = None
    has_secret: bool
    previous_secret_until: str | None = None
    follows_config: bool | None = None
    created_at: datetime
    updated_at: datetime


class EndpointWithSecret(Model, frozen=True, kw_only=True):
    """An endpoint at its making or at a rotation, with the secret that the server made."""

    id: str
    url: str
    events: tuple[str, ...]
    severity: str | None = None
    billable_metric_key: str | None = None
    description: str | None = None
    format: str
    status: str
    disabled_reason: str | None = None
    disabled_at: datetime | None = None
    failing_since: str | None = None
    has_secret: bool
    previous_secret_until: str | None = None
    follows_config: bool | None = None
    created_at: datetime
    updated_at: datetime
    secret: str | None = None


class Endpoints(Model, frozen=True, kw_only=True):
    """All endpoints; there are never more than fit into one page."""

    data: tuple[Endpoint, ...]
    pagination: dict[str, Any]


class Entitlement(Model, frozen=True, kw_only=True):
    """What a variant says of one metric."""

    billable_metric_key: str
    value: dict[str, Any]
    plan_variant_id: str
    variant_version: int


class EntitlementAnswer(Model, frozen=True, kw_only=True):
    """The answer. ``affordable_units`` is null when nothing limits it."""

    allowed: bool
    reason: str
    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str
    type: str
    units: int | str
    unit: str
    balance: int
    reserved_balance: int
    effective_balance: int
    estimated_cost: int
    balance_after: int
    affordable_units: int | str | None
    subscription_status: str | None = None
    overage_policy: str
    value: dict[str, Any]
    value_source: str
    quota: QuotaStanding | None = None
    explanation: tuple[dict[str, Any], ...] | None = None


class Entry(Model, frozen=True, kw_only=True):
    """One ledger entry. Texts are left out where there are none or they were erased."""

    id: str
    sequence: int
    unit: str
    type: str
    delta: int
    reserved_delta: int
    balance_after: int
    reserved_after: int
    blocks: tuple[BlockDelta, ...]
    reference: Reference | None = None
    idempotency_key: str | None = None
    request_id: str | None = None
    actor: str
    reason: str | None = None
    metadata: dict[str, Any] | None = None
    occurred_at: datetime
    created_at: datetime
    hash: str


class EntryEffect(Model, frozen=True, kw_only=True):
    """A ledger entry that a trigger would write."""

    type: str
    unit: str
    delta: int
    balance_after: int


class Envelope(Model, frozen=True, kw_only=True):
    """An event of the log. ``external_customer_id`` is absent once the customer was deleted."""

    id: str
    type: str
    api_version: str
    environment: str
    tenant_id: str
    created_at: datetime
    sequence: int
    customer_id: str | None = None
    external_customer_id: str | None = None
    request_id: str | None = None
    data: Any


class EventTypeShown(Model, frozen=True, kw_only=True):
    """One type of the catalog. `schema` is that of `data`; `example` a whole event."""

    type: str
    group: str
    description: str
    is_default: bool
    schema: dict[str, Any]
    example: dict[str, Any]


class EventTypes(Model, frozen=True, kw_only=True):
    """The catalog."""

    data: tuple[EventTypeShown, ...]


class ExchangeAnswer(Model, frozen=True, kw_only=True):
    """Both legs of an exchange. ``account`` is that of the granted block."""

    customer_id: str
    external_customer_id: str | None
    debit: Debit
    block: Block
    account: Account
    version: int


class ForwardedDelivery(Model, frozen=True, kw_only=True):
    """A delivery to hand on: the body as it is to be sent, and the headers that are not signatures."""

    id: str
    event_id: str
    event_type: str
    headers: dict[str, str]
    body: str


class GrantAnswer(Model, frozen=True, kw_only=True):
    """What creates a block answers."""

    customer_id: str
    external_customer_id: str | None
    block: Block
    bonus_block: Block | None = None
    account: Account
    version: int


class LiabilityMonth(Model, frozen=True, kw_only=True):
    """One month of a unit, in millicredits. What goes out is shown without its sign."""

    month: str
    opening: int | None = None
    granted_paid: int | None = None
    granted_free: int | None = None
    adjusted: int | None = None
    overage_billed: int | None = None
    spent: int | None = None
    expired: int | None = None
    refunded: int | None = None
    voided: int | None = None
    withdrawn: int | None = None
    closing: int | None = None


class LiabilityReport(Model, frozen=True, kw_only=True):
    """One row for each month, oldest first."""

    unit: str
    data: tuple[LiabilityMonth, ...]


class Listener(Model, frozen=True, kw_only=True):
    """A listener, and the secret by which what it hands on is signed; shown once."""

    id: str
    events: tuple[str, ...]
    secret: str | None = None


class Metric(Model, frozen=True, kw_only=True):
    """A billable metric as it is answered."""

    id: str
    key: str
    name: str
    description: str | None = None
    type: str
    aggregation: str | None = None
    default_value: dict[str, Any] | None = None
    scale: int
    unit: str
    archived_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class NewApiKey(Model, frozen=True, kw_only=True):
    """A key at its making, with its text: the only time that it is shown."""

    id: str
    name: str
    key_prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    key: str


class OverrideView(Model, frozen=True, kw_only=True):
    """A customer's override of one metric. ``expires_at`` is left out of one that stays."""

    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str
    value: dict[str, Any]
    expires_at: datetime | None = None
    reason: str | None = None
    created_at: datetime
    updated_at: datetime
    version: int


class Package(Model, frozen=True, kw_only=True):
    """A topup package. ``expires_after_seconds`` null: its blocks never expire."""

    id: str
    name: str
    description: str | None = None
    credits: int
    unit: str
    price: int | None = None
    currency: str | None = None
    priority: int
    expires_after_seconds: int | None
    bonus_credits: int
    active: bool
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class PastTransition(Model, frozen=True, kw_only=True):
    """A step that the subscription took."""

    at: str
    trigger: str
    from_: str | None = field(name="from", default=None)
    to: str


class Plan(Model, frozen=True, kw_only=True):
    """A plan. Of one ``family`` a customer has at most one live subscription."""

    id: str
    key: str
    name: str
    description: str | None = None
    family: str
    metadata: dict[str, Any]
    archived_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class Preview(Model, frozen=True, kw_only=True):
    """What units would cost. ``rule_id`` is absent for a draft."""

    billable_metric_key: str
    units: int | str
    before: int | str
    cost: int
    unit: str
    rule_id: str | None = None
    tiers: tuple[PreviewTier, ...] | None = None


class PreviewTier(Model, frozen=True, kw_only=True):
    """The units that fall into one tier, and what they cost."""

    up_to: int | str | None
    units: int | str
    cost: int


class PulledDeliveries(Model, frozen=True, kw_only=True):
    """What waits, in order."""

    deliveries: tuple[ForwardedDelivery, ...]


class QuotaStanding(Model, frozen=True, kw_only=True):
    """Where an asset stands in its quota: the tier that decides, and how much is left. ``limit`` and
    ``remaining`` are absent when no tier refuses by the value alone.
    """

    level: str
    policy: str
    value: int | str
    limit: int | str | None = None
    remaining: int | str | None = None
    resets_at: datetime


class Ran(Model, frozen=True, kw_only=True):
    """One thing that time did, at its own instant."""

    kind: str
    customer_id: str
    at: str


class Readiness(Model, frozen=True, kw_only=True):
    """``ready`` when every check is ``ok``; else the failed ones say why."""

    ready: bool
    checks: dict[str, str]


class Reference(Model, frozen=True, kw_only=True):
    """What an entry is about."""

    type: str
    id: str


class RefundAnswer(Model, frozen=True, kw_only=True):
    """What a refund could take. ``spent`` of the block is gone for good, ``held`` stayed for holds."""

    customer_id: str
    external_customer_id: str | None
    debit: Debit
    spent: int
    held: int
    account: Account
    version: int


class ReplayAnswer(Model, frozen=True, kw_only=True):
    """How many events of the span are sent again."""

    endpoint_id: str
    events: int


class Reservation(Model, frozen=True, kw_only=True):
    """A reservation. What a commit adds is there once it was committed."""

    id: str
    status: str
    customer_id: str
    external_customer_id: str | None
    unit: str
    reserved_amount: int
    billable_metric_key: str | None = None
    estimated_units: int | str | None = None
    dimensions: dict[str, str] | None = None
    rule_id: str | None = None
    metadata: dict[str, Any] | None = None
    actual_units: int | str | None = None
    committed_amount: int | None = None
    returned_amount: int | None = None
    usage_id: str | None = None
    blocks: tuple[Draw, ...] | None = None
    overage: int | None = None
    quota: QuotaStanding | None = None
    balance: int | None = None
    reserved_balance: int | None = None
    effective_balance: int | None = None
    ledger_sequence: int | None = None
    expires_at: datetime
    ended_at: datetime | None = None
    created_at: datetime
    version: int | None = None


class Reset(Model, frozen=True, kw_only=True):
    """Nothing: what was is out of reach."""


class Reversal(Model, frozen=True, kw_only=True):
    """What a reversal gave back: ``blocks`` are what went to each block, new ones included."""

    usage: Usage
    refunded: int
    blocks: tuple[Draw, ...]
    account: Account


class Rule(Model, frozen=True, kw_only=True):
    """A metering rule as it is answered; only the fields of its ``cost_type`` are there."""

    id: str
    billable_metric_key: str
    cost_type: str
    flat_cost: int | None = None
    unit_cost: int | None = None
    per_units: int | None = None
    tiers: tuple[Tier, ...] | None = None
    tier_mode: str | None = None
    tier_scope: str | None = None
    rounding: str
    match: dict[str, str]
    overage_policy: str | None
    overage_limit: int | None
    active: bool
    active_from: str
    active_to: str | None
    created_at: datetime


class ScheduledTransition(Model, frozen=True, kw_only=True):
    """A step that time will take if nobody does anything before; ``to`` is the status after it."""

    at: str
    trigger: str
    to: str
    plan_variant_id: str | None = None
    grant_template_id: str | None = None


class StripeResult(Model, frozen=True, kw_only=True):
    """What came of an event: ``granted``, ``renewed``, ``refunded``, ``suspended`` or ``ignored``."""

    result: str
    detail: str | None = None


class Subscription(Model, frozen=True, kw_only=True):
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
    trial_ends_at: datetime | None = None
    renewal_due_at: datetime | None = None
    grace_ends_at: datetime | None = None
    paid_through: datetime | None = None
    paused_at: datetime | None = None
    pause_resumes_at: datetime | None = None
    cancel_at_period_end: bool
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    pending_plan_variant_id: str | None = None
    grandfathered: bool
    contract: Contract | None = None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    version: int | None = None
    effects: Effects | None = None


class Template(Model, frozen=True, kw_only=True):
    """What a variant grants, and when. Amounts are millicredits."""

    id: str
    credits: int
    unit: str
    recurrence: str
    interval_seconds: int | None = None
    expires_after_seconds: int | None = None
    expires_with_cycle: bool
    priority: int
    source: str
    rollover_percentage: int
    rollover_max: int | None = None
    accumulation_cap: int | None = None
    in_trial: bool
    metadata: dict[str, Any]
    created_at: datetime | None = None


class TenantConfig(Model, frozen=True, kw_only=True):
    """The environment's settings, defaults filled in. Secrets are never shown. ``stripe_webhook_path`` is
    where Stripe's events go, null until ``stripe_webhook_secret`` is set.
    """

    webhook_url: str | None = None
    stripe_webhook_path: str | None = None
    overage_policy: str | None = None
    overage_limit: int | None = None
    low_balance_threshold: int | None = None
    priority_order: str | None = None
    default_free_plan_variant_id: str | None = None
    requests_per_minute: int | None = None
    late_event_window: int | None = None


class Tier(Model, frozen=True, kw_only=True):
    """One step of a tiered price; ``up_to`` null is the last one."""

    up_to: int | str | None
    unit_cost: int
    per_units: int
    flat_cost: int


class Timeline(Model, frozen=True, kw_only=True):
    """The last 100 transitions, oldest first, and the next one of each kind, soonest first."""

    id: str
    customer_id: str
    external_customer_id: str | None
    status: str
    past: tuple[PastTransition, ...]
    scheduled: tuple[ScheduledTransition, ...]
    version: int | None = None


class TriggerAnswer(Model, frozen=True, kw_only=True):
    """The sample's id, and a delivery of it for each endpoint that wants its type."""

    event_id: str
    deliveries: tuple[Delivery, ...]


class Usage(Model, frozen=True, kw_only=True):
    """A usage event. The balances and the quota are those of the moment it was charged: only the answer to
    the request that made it has them.
    """

    id: str
    status: str
    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str | None = None
    units: int | str | None = None
    value: int | str | None = None
    cost: int
    unit: str
    rule_id: str | None = None
    reservation_id: str | None = None
    blocks: tuple[Draw, ...]
    overage: int
    quota: QuotaStanding | None = None
    balance: int | None = None
    reserved_balance: int | None = None
    effective_balance: int | None = None
    ledger_sequence: int | None = None
    timestamp: datetime
    dimensions: dict[str, str] | None = None
    metadata: dict[str, Any] | None = None
    enforcement: str | None = None
    dry_run: bool | None = None
    idempotency_key: str | None = None
    reversed_at: datetime | None = None
    refunded: int | None = None
    problem: dict[str, Any] | None = None
    created_at: datetime
    version: int | None = None


class Variant(Model, frozen=True, kw_only=True):
    """A variant in one version, with what it grants and entitles to. ``contract`` null: none."""

    id: str
    version: int
    plan_id: str
    key: str
    name: str
    rank: int | None = None
    billing_mode: str
    interval: str
    interval_count: int
    price: int | None = None
    currency: str | None = None
    trial_days: int
    renewal_due_days: int
    grace_period_days: int
    allow_usage_while_overdue: bool
    overage_policy: str | None = None
    overage_limit: int | None = None
    contract: ContractTerms | None
    metadata: dict[str, Any]
    credit_grants: tuple[Template, ...]
    entitlements: dict[str, dict[str, Any]]
    archived_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class Verification(Model, frozen=True, kw_only=True):
    """What was checked, and what is broken: at most the first hundred accounts."""

    ok: bool | None = None
    customers: int | None = None
    accounts: int | None = None
    entries: int | None = None
    broken: tuple[Broken, ...] | None = None


class Version(Model, frozen=True, kw_only=True):
    """What runs here."""

    version: str
    python: str


class Check(TypedDict, total=False):
    """One check of a batch. It names exactly one customer."""

    customer_id: str
    external_customer_id: str
    billable_metric_key: str
    units: Units
    current: Units
    dimensions: Mapping[str, str]
    explain: bool
    end_user_id: str
    feature_key: str


class ContractBody(TypedDict, total=False):
    """How long a subscriber is bound, and whether the contract renews itself."""

    term_interval: Required[Literal["day", "month", "week", "year"]]
    term_count: int
    auto_renew: bool
    ending_soon_days: int


class ExchangeGrant(TypedDict, total=False):
    """The block that an exchange buys."""

    credits: Required[int]
    unit: str
    source: Literal[
        "adjustment", "exchange", "plan_grant", "promotional", "refund", "rollover", "topup", "trial"
    ]
    reason: str
    priority: int
    effective_at: datetime | str
    expires_at: datetime | str | None
    expires_after_seconds: int
    metadata: Mapping[str, Any]


class ForwardResultBody(TypedDict, total=False):
    """What the local receiver said."""

    delivery_id: Required[str]
    status: int | None
    error: str | None
    duration_ms: int
    answer: str


class TierBody(TypedDict, total=False):
    """One tier: up to ``up_to`` units, the last one null."""

    up_to: Required[int | str | None]
    unit_cost: int
    per_units: int
    flat_cost: int


__all__ = [
    "Accepted",
    "Account",
    "Alive",
    "ApiKey",
    "Asset",
    "AssetPeriod",
    "Attempt",
    "AuditEntry",
    "AutoTopup",
    "Batch",
    "BatchResult",
    "Block",
    "BlockDelta",
    "Broken",
    "Check",
    "CheckResults",
    "Clock",
    "Contract",
    "ContractBody",
    "ContractTerms",
    "Customer",
    "Debit",
    "DebitAnswer",
    "DeletedCustomer",
    "Delivery",
    "Draw",
    "Effects",
    "Endpoint",
    "EndpointWithSecret",
    "Endpoints",
    "Entitlement",
    "EntitlementAnswer",
    "Entry",
    "EntryEffect",
    "Envelope",
    "EventTypeShown",
    "EventTypes",
    "ExchangeAnswer",
    "ExchangeGrant",
    "ForwardResultBody",
    "ForwardedDelivery",
    "GrantAnswer",
    "LiabilityMonth",
    "LiabilityReport",
    "Listener",
    "Metric",
    "NewApiKey",
    "OverrideView",
    "Package",
    "Pagination",
    "PastTransition",
    "Plan",
    "Preview",
    "PreviewTier",
    "PulledDeliveries",
    "QuotaStanding",
    "Ran",
    "Readiness",
    "Reference",
    "RefundAnswer",
    "ReplayAnswer",
    "Reservation",
    "Reset",
    "Reversal",
    "Rule",
    "ScheduledTransition",
    "StripeResult",
    "Subscription",
    "Template",
    "TenantConfig",
    "Tier",
    "TierBody",
    "Timeline",
    "TriggerAnswer",
    "Units",
    "Usage",
    "Variant",
    "Verification",
    "Version",
]
