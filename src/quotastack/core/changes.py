"""Changes: what commands and time did to one customer, as rows to write.

Ledger entries, usage events and outbox events are appended in order. Everything else is the last
value of an object: however often a batch touched a block, it is written once.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from quotastack.core.customer_state import (
        Asset,
        AutoTopup,
        Block,
        Counter,
        Hold,
        Override,
        Subscription,
    )


class EntryTexts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The erasable texts of an entry; the entry's hash holds only ``digest`` of them and the salt."""

    salt: bytes
    idempotency_key: str | None = None
    reason: str | None = None
    metadata: dict[str, Any] | None = None


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One immutable line of an account. ``blocks`` are (block id, delta) pairs."""

    id: str
    unit: str
    sequence: int
    type: str
    delta_mc: int
    reserved_delta_mc: int
    balance_after_mc: int
    reserved_after_mc: int
    blocks: tuple[tuple[str, int], ...]
    reference_type: str | None
    reference_id: str | None
    request_id: str | None
    actor: str
    occurred_at: datetime
    created_at: datetime
    texts: EntryTexts | None
    texts_digest: bytes
    details: dict[str, Any] | None
    hash: bytes


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happened, and what it cost. ``units`` and ``value`` are at the metric's scale.

    ``draws`` are the (block id, amount) pairs that paid; ``details`` what a reversal needs.
    """

    id: str
    billable_metric_key: str
    status: str
    units: int
    value: int | None = None
    cost_mc: int = 0
    unit: str = "credits"
    overage_mc: int = 0
    draws: tuple[tuple[str, int], ...] = ()
    rule_id: str | None = None
    reservation_id: str | None = None
    timestamp: datetime
    dimensions: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    idempotency_key: str | None = None
    ledger_sequence: int | None = None
    details: dict[str, Any] = {}
    created_at: datetime


class OutboxEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event of the catalog of webhooks.md, frozen; ``sequence`` is gapless per customer."""

    id: str
    sequence: int
    type: str
    data: dict[str, Any]
    request_id: str | None
    created_at: datetime


class Ran(msgspec.Struct, frozen=True, gc=False):
    """One thing that time did, for the answer of the test clock."""

    kind: str
    customer_id: str
    at: datetime


class RareChanges:
    """What most commands do not change."""

    __slots__ = (
        "assets", "auto_topups", "deleted_auto_topups", "deleted_overrides", "is_customer_changed", "is_erased",
        "new_accounts", "new_blocks", "new_counters", "overrides", "payments", "ran", "reworked_blocks",
        "subscriptions", "usage_updates",
    )  # fmt: skip

    def __init__(self) -> None:
        self.is_customer_changed = False
        # The customer was deleted: personal fields and texts are erased in the same transaction.
        self.is_erased = False
        # Usage events written by an earlier command whose status or details changed (reversal).
        self.usage_updates: dict[str, UsageEvent] = {}
        self.new_accounts: set[str] = set()
        self.new_blocks: dict[str, Block] = {}
        # Of the changed blocks, those of which more than what is left and the status moved.
        self.reworked_blocks: set[str] = set()
        # Of the counters, those that may have no row yet.
        self.new_counters: set[tuple[str, str, datetime]] = set()
        self.assets: dict[str, Asset] = {}
        self.overrides: dict[str, Override] = {}
        self.deleted_overrides: set[str] = set()
        self.subscriptions: dict[str, Subscription] = {}
        self.auto_topups: dict[str, AutoTopup] = {}
        self.deleted_auto_topups: set[str] = set()
        # (external_payment_id, block id): registered for ever in the environment.
        self.payments: list[tuple[str, str]] = []
        self.ran: list[Ran] = []


class Changes:
    """Collects the changes of one draft; the engine writes and clears it.

    ``rare`` comes into being when somebody asks for it: who only looks asks ``has_rare`` first, since making and
    freeing fifteen empty collections would cost a debit more than its arithmetic.
    """

    __slots__ = (
        "_rare", "changed_accounts", "changed_blocks", "counters", "entries", "events", "holds", "usage_events",
    )  # fmt: skip

    def __init__(self) -> None:
        self.entries: list[LedgerEntry] = []
        self.usage_events: list[UsageEvent] = []
        self.events: list[OutboxEvent] = []
        self.changed_accounts: set[str] = set()
        self.changed_blocks: dict[str, Block] = {}
        self.holds: dict[str, Hold] = {}
        self.counters: dict[tuple[str, str, datetime], Counter] = {}
        self._rare: RareChanges | None = None

    @property
    def has_rare(self) -> bool:
        """Whether anything rare may have changed."""
        return self._rare is not None

    @property
    def rare(self) -> RareChanges:
        """What is rarely changed."""
        if self._rare is None:
            self._rare = RareChanges()
        return self._rare

    def is_new_block(self, block_id: str) -> bool:
        """Whether the block was made by what is collected here."""
        return self._rare is not None and block_id in self._rare.new_blocks
