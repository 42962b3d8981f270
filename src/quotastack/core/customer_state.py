"""CustomerState: everything that decides what one customer may do and owes, as one frozen value.

A few dozen rows at most for a usual customer: accounts, live blocks, active holds, current
counters, live subscriptions, overrides, sequence numbers, ``version``. History (the ledger, past
events, ended holds, closed periods) is not in it. The value is shared between the cache, checks and
commands, so nothing in it is ever changed in place: a command works on a ``Draft`` of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)

BlockSource = Literal[
    "topup",
    "promotional",
    "plan_grant",
    "trial",
    "rollover",
    "adjustment",
    "refund",
    "exchange",
]


class Customer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who the customer is, and the settings that are theirs alone.

    ``external_id`` is None once the customer was deleted.
    """

    id: str
    external_id: str | None
    display_name: str | None = None
    email: str | None = None
    metadata: dict[str, Any] = {}
    low_balance_threshold: int | None = None
    overage_policy: Literal["block", "allow", "notify"] | None = None
    overage_limit: int | None = None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The sums of one unit. ``sequence`` and ``hash`` are those of its newest ledger entry.

    ``blocks_mc`` is the sum of its active blocks' remainders, so
    ``balance_mc = blocks_mc - overdraft_mc``. ``is_low`` and ``is_exhausted`` say that the balance
    events were sent and not re-armed yet.
    """

    unit: str
    blocks_mc: int = 0
    reserved_mc: int = 0
    overdraft_mc: int = 0
    lifetime_earned_mc: int = 0
    lifetime_spent_mc: int = 0
    lifetime_expired_mc: int = 0
    status: Literal["active", "suspended"] = "active"
    sequence: int = 0
    hash: bytes = b""
    is_low: bool = False
    is_exhausted: bool = False

    @property
    def balance_mc(self) -> int:
        """What is left in all live blocks minus the overdraft."""
        return self.blocks_mc - self.overdraft_mc

    @property
    def effective_mc(self) -> int:
        """What a new charge may use; negative only through overdraft."""
        return self.blocks_mc - self.overdraft_mc - self.reserved_mc

    @property
    def free_mc(self) -> int:
        """Credits in blocks that no hold needs: what a debit, a settlement or an expiry may take."""
        return max(0, self.blocks_mc - self.reserved_mc)


class Block(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One deposit with its own terms; only ``remaining_mc`` and ``status`` change.

    An active block that met its expiry while holds needed it is a kept rest (``is_kept``): it counts
    in the balance, pays only for commits of holds made before that instant, and ends with them. A
    frozen block belongs to a paused subscription, a locked one to an overdue one without usage. A
    cycle block (``is_cycle``) expires in its subscription's turn, not on its own, while that lives.
    """

    id: str
    unit: str
    original_mc: int
    remaining_mc: int
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    source: BlockSource
    price_paid: int | None = None
    currency: str | None = None
    package_id: str | None = None
    external_payment_id: str | None = None
    subscription_id: str | None = None
    grant_template_id: str | None = None
    rolled_from_block_id: str | None = None
    reason: str | None = None
    metadata: dict[str, Any] = {}
    status: Literal["pending", "active", "depleted", "expired", "voided"] = "active"
    is_frozen: bool = False
    is_locked: bool = False
    is_cycle: bool = False
    is_expiring_told: bool = False
    is_kept: bool = False
    unspent_mc: int = 0
    created_at: datetime

    @property
    def moving_terms(self) -> tuple[Any, ...]:
        """What may change of a block besides what is left of it and its status."""
        return (
            self.expires_at, self.is_frozen, self.is_locked, self.is_expiring_told, self.is_kept, self.unspent_mc,
        )  # fmt: skip


class Hold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A reservation. ``terms`` keeps what later steps need to know of reserve time (the price)."""

    id: str
    unit: str
    status: Literal["active", "committed", "released", "expired"] = "active"
    reserved_mc: int
    billable_metric_key: str | None = None
    estimated_units: int | None = None
    dimensions: dict[str, str] = {}
    rule_id: str | None = None
    terms: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    committed_mc: int | None = None
    returned_mc: int | None = None
    usage_id: str | None = None
    ended_at: datetime | None = None
    expires_at: datetime
    created_at: datetime


class Counter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was counted in one period: an asset's value, or a pricing position.

    ``kind`` is ``asset`` for the counter of the monitored asset, else ``price:`` and the canonical
    match of the rules it positions. ``value`` and ``max`` are at the metric's scale. ``details``
    holds what only some kinds need (last readings by source, sent levels, grace, parts of a cost).
    """

    billable_metric_key: str
    kind: str
    period_start: datetime
    period_end: datetime
    value: int = 0
    max: int | None = None
    overage_units: int = 0
    cost_mc: int = 0
    details: dict[str, Any] = {}
    is_current: bool = True


class Asset(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What outlives the periods of one metric: suspension, and the tokens of a rate limit."""

    billable_metric_key: str
    is_suspended: bool = False
    resume: Literal["manual", "next_period"] = "manual"
    suspended_at: datetime | None = None
    details: dict[str, Any] = {}


class Override(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A customer's own value of a metric; it wins over every plan until ``expires_at``."""

    billable_metric_key: str
    value: dict[str, Any]
    expires_at: datetime | None = None
    reason: str | None = None
    created_at: datetime
    updated_at: datetime


class SubscriptionContract(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The running term of a subscription. Terms are counted from ``anchor_at``: ends never drift."""

    starts_at: datetime
    ends_at: datetime
    auto_renew: bool
    anchor_at: datetime
    term_index: int = 0
    is_ending_soon_told: bool = False


class Transition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step that a subscription took, for its timeline. ``from_status`` is None at creation."""

    at: datetime
    trigger: str
    from_status: str | None = None
    to_status: str


class TickGrid(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fixed grid of an interval template: tick ``n`` is ``origin_at`` plus ``n`` intervals."""

    origin_at: datetime
    next_index: int = 0


class Subscription(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One subscription and where its clock stands. Live: trialing, active, overdue, paused.

    ``period_index`` counts periods from ``anchor_at``. ``past_starts`` are the starts of the periods
    of the last 31 days, oldest first, for late events. ``granted`` are the templates that have granted
    (cycle ones in the running period, activation ones since the activation). ``grids`` are the
    interval grids by template. ``cancel_credits`` says what a scheduled end does to the plan's
    blocks. ``transitions`` are the last steps taken.
    """

    id: str
    plan_id: str
    family: str
    plan_variant_id: str
    variant_version: int
    status: Literal["trialing", "active", "overdue", "paused", "canceled", "expired"]
    billing_mode: Literal["prepaid", "postpaid"]
    anchor_at: datetime
    period_index: int = 0
    current_period_start: datetime
    current_period_end: datetime
    trial_ends_at: datetime | None = None
    renewal_due_at: datetime | None = None
    grace_ends_at: datetime | None = None
    paid_through: datetime | None = None
    paused_at: datetime | None = None
    pause_resumes_at: datetime | None = None
    paused_status: str | None = None
    cancel_at_period_end: bool = False
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    pending_plan_variant_id: str | None = None
    grandfathered: bool = False
    is_fallback: bool = False
    contract: SubscriptionContract | None = None
    metadata: dict[str, Any] = {}
    details: dict[str, Any] = {}
    past_starts: tuple[datetime, ...] = ()
    granted: tuple[str, ...] = ()
    grids: dict[str, TickGrid] = {}
    cancel_credits: Literal["expire", "keep"] = "expire"
    is_renewal_due_told: bool = False
    is_trial_ending_told: bool = False
    transitions: tuple[Transition, ...] = ()
    created_at: datetime
    updated_at: datetime

    @property
    def is_live(self) -> bool:
        """Whether it governs anything still."""
        return self.status in {"trialing", "active", "overdue", "paused"}


class AutoTopup(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When to ask the app for a topup of ``unit``, and how often it was asked in the period."""

    unit: str
    threshold: int
    package_id: str | None = None
    credits: int | None = None
    max_per_period: int | None = None
    period: Literal["day", "week", "month", "year"] = "month"
    cooldown_seconds: int = 0
    is_armed: bool = True
    last_requested_at: datetime | None = None
    period_start: datetime | None = None
    requested_in_period: int = 0
    created_at: datetime
    updated_at: datetime


class CustomerState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One customer at ``version``.

    ``blocks`` are the active blocks by unit in burn order (``is_descending`` tells which), ``pending_blocks`` those
    that start later, in order of start. ``counters`` are the current ones by (metric, kind); ``holds`` the
    active ones by id. ``due_at`` is at or before the next instant at which time changes the state
    (never after it); ``written_due_at`` is what the table of the sweep says. ``last_entry_at``
    bounds the clock: no entry is older than its predecessor.
    """

    environment_id: str
    customer: Customer
    version: int
    event_sequence: int = 0
    last_entry_at: datetime | None = None
    due_at: datetime = NEVER
    written_due_at: datetime = NEVER
    accounts: dict[str, Account] = {}
    is_descending: bool = False
    blocks: dict[str, tuple[Block, ...]] = {}
    pending_blocks: tuple[Block, ...] = ()
    holds: dict[str, Hold] = {}
    counters: dict[tuple[str, str], Counter] = {}
    assets: dict[str, Asset] = {}
    overrides: dict[str, Override] = {}
    subscriptions: dict[str, Subscription] = {}
    auto_topups: dict[str, AutoTopup] = {}


def new_state(environment_id: str, customer: Customer) -> CustomerState:
    """The state of a customer who was created this instant: no account, nothing due."""
    return CustomerState(environment_id=environment_id, customer=customer, version=0, due_at=NEVER)
