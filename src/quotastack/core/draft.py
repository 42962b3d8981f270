"""Draft: a CustomerState while commands and time work on it, and what they changed.

A draft shares the parts of its state until it writes to them, so a debit of a customer with a
thousand blocks copies one list of references and nothing else. Every write goes through a method
here, which keeps three things together: the value, the ``Changes`` to be written, and ``due_at``.
Commands check everything first and write afterwards: a refusal leaves the draft as it was.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, TypeVar

import msgspec

from quotastack.core.burn_down import burn_order, order_anew
from quotastack.core.changes import Changes, LedgerEntry, OutboxEvent, Ran, UsageEvent
from quotastack.core.customer_state import Account, CustomerState
from quotastack.core.derived_ids import derived_id
from quotastack.core.events import OFF_BY_DEFAULT

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from quotastack.core.context import Context
    from quotastack.core.customer_state import (
        Asset,
        AutoTopup,
        Block,
        Counter,
        Customer,
        Hold,
        Override,
        Subscription,
    )


T = TypeVar("T", bound=msgspec.Struct)


class Draft:
    """Works on one state. ``extra`` holds the rows of history that a command named in its needs.

    ``writes`` counts every write; the engine compares it to know whether a command changed
    anything, and to prove that a refusal did not.
    """

    __slots__ = (
        "_owned", "accounts", "assets", "auto_topups", "block_moves", "blocks", "changes",
        "counters", "customer", "due_at", "environment_id", "event_sequence", "extra", "holds",
        "is_descending", "is_due_stale", "is_new", "last_entry_at", "overrides", "pending_blocks",
        "subscriptions", "untold_balances", "version", "writes", "written_due_at",
    )  # fmt: skip

    def __init__(self, state: CustomerState, *, priority_order: str = "asc") -> None:
        self.environment_id = state.environment_id
        self.customer = state.customer
        self.version = state.version
        self.event_sequence = state.event_sequence
        self.last_entry_at = state.last_entry_at
        self.due_at = state.due_at
        self.written_due_at = state.written_due_at
        self.is_due_stale = False
        self.is_new = state.version == 0
        self.is_descending = priority_order == "desc"
        self.accounts = state.accounts
        self.blocks = state.blocks
        if state.is_descending != self.is_descending:
            self.blocks = order_anew(state.blocks, is_descending=self.is_descending)
        self.pending_blocks = state.pending_blocks
        self.holds = state.holds
        self.counters = state.counters
        self.assets = state.assets
        self.overrides = state.overrides
        self.subscriptions = state.subscriptions
        self.auto_topups = state.auto_topups
        self.extra: dict[Any, Any] = {}
        self.changes = Changes()
        # Balances as they were before what the balance events have not looked at yet, by unit.
        self.untold_balances: dict[str, int] = {}
        # Rises when a block comes, starts, freezes or gets another expiry: what time does to blocks changed.
        self.block_moves = 0
        self.writes = 0
        self._owned: set[str] = set()

    @property
    def next_version(self) -> int:
        """The version that the customer has once the running command is written."""
        return self.version + 1

    def _own(self, name: str) -> Any:
        self.writes += 1
        held = getattr(self, name)
        if name in self._owned:
            return held
        self._owned.add(name)
        owned = dict(held)
        setattr(self, name, owned)
        return owned

    def freeze(self) -> CustomerState:
        """The state as it stands now; what the draft writes afterwards does not reach it."""
        self._owned.clear()
        return CustomerState(
            environment_id=self.environment_id,
            customer=self.customer,
            version=self.version,
            event_sequence=self.event_sequence,
            last_entry_at=self.last_entry_at,
            due_at=self.due_at,
            written_due_at=self.written_due_at,
            accounts=self.accounts,
            is_descending=self.is_descending,
            blocks=self.blocks,
            pending_blocks=self.pending_blocks,
            holds=self.holds,
            counters=self.counters,
            assets=self.assets,
            overrides=self.overrides,
            subscriptions=self.subscriptions,
            auto_topups=self.auto_topups,
        )

    # Customer and accounts

    def put_customer(self, customer: Customer) -> None:
        """Replace the customer's own row."""
        self.writes += 1
        self.customer = customer
        self.changes.rare.is_customer_changed = True

    def account(self, unit: str) -> Account:
        """The account of ``unit``; one of zeros when nothing was ever in it."""
        found = self.accounts.get(unit)
        return Account(unit=unit) if found is None else found

    def put_account(self, account: Account) -> None:
        """Replace the account of ``account.unit``, or open it."""
        before = self.accounts.get(account.unit)
        if before is None:
            self.changes.rare.new_accounts.add(account.unit)
        if account.unit not in self.untold_balances:
            self.untold_balances[account.unit] = 0 if before is None else before.balance_mc
        self.changes.changed_accounts.add(account.unit)
        self._own("accounts")[account.unit] = account

    # Blocks

    def live_blocks(self, unit: str) -> tuple[Block, ...]:
        """Active blocks of ``unit`` in burn order, kept rests included."""
        return self.blocks.get(unit, ())

    def find_block(self, block_id: str) -> Block | None:
        """The active or pending block of that id, or None."""
        for blocks in (*self.blocks.values(), self.pending_blocks):
            for block in blocks:
                if block.id == block_id:
                    return block
        return None

    def current_block(self, block: Block) -> Block | None:
        """What became of an active or pending block whose terms have not moved; None when it is neither."""
        if block.status == "pending":
            return next((found for found in self.pending_blocks if found.id == block.id), None)
        blocks = self.live_blocks(block.unit)
        place = self._place(block)
        return blocks[place] if place < len(blocks) and blocks[place].id == block.id else None

    def _place(self, block: Block) -> int:
        order = burn_order(block, is_descending=self.is_descending)
        return bisect_left(
            self.live_blocks(block.unit),
            order,
            key=lambda other: burn_order(other, is_descending=self.is_descending),
        )

    def add_block(self, block: Block) -> None:
        """Put a new block, active or pending, in its place."""
        self.changes.rare.new_blocks[block.id] = block
        if block.status == "pending":
            self.writes += 1
            self._put_pending(block)
        else:
            self._insert_active(block)

    def _put_pending(self, block: Block) -> None:
        self.block_moves += 1
        pending = sorted((*self.pending_blocks, block), key=lambda b: (b.effective_at, b.id))
        self.pending_blocks = tuple(pending)
        self.due_at = min(self.due_at, block.effective_at)

    def _insert_active(self, block: Block) -> None:
        self.block_moves += 1
        blocks = self.live_blocks(block.unit)
        place = self._place(block)
        self._own("blocks")[block.unit] = (*blocks[:place], block, *blocks[place:])
        if block.expires_at is not None and not block.is_frozen:
            self.due_at = min(self.due_at, block.expires_at)

    def change_block(self, before: Block, after: Block) -> None:
        """Replace an active or pending block; one that is no longer either leaves the state.

        The place in burn order is found anew when the terms moved (``expires_at``).
        """
        if self.changes.is_new_block(after.id):
            self.changes.rare.new_blocks[after.id] = after
        else:
            self.changes.changed_blocks[after.id] = after
            if before.moving_terms != after.moving_terms:
                self.changes.rare.reworked_blocks.add(after.id)
        if before.status == "pending":
            self.writes += 1
            self.pending_blocks = tuple(b for b in self.pending_blocks if b.id != before.id)
            if after.status == "pending":
                self._put_pending(after)
            elif after.status == "active":
                self._insert_active(after)
            return
        blocks = self.live_blocks(before.unit)
        # Mostly it is the first to burn that changes.
        place = 0 if blocks[0].id == before.id else self._place(before)
        assert blocks[place].id == before.id
        is_same_place = after.status == "active" and after.expires_at == before.expires_at
        middle = (after,) if is_same_place else ()
        self._own("blocks")[before.unit] = (*blocks[:place], *middle, *blocks[place + 1 :])
        if after.status == "active" and not is_same_place:
            self._insert_active(after)
        if after.is_frozen != before.is_frozen:
            self.block_moves += 1
            self.is_due_stale = True

    def lower_block(self, block: Block, amount_mc: int) -> None:
        """Take less than all of the first live block of its unit, which stays the first."""
        after = msgspec.structs.replace(block, remaining_mc=block.remaining_mc - amount_mc)
        changes = self.changes
        changed = changes.rare.new_blocks if changes.is_new_block(block.id) else changes.changed_blocks
        changed[block.id] = after
        self._own("blocks")[block.unit] = (after, *self.live_blocks(block.unit)[1:])

    def revive_block(self, block: Block) -> None:
        """Put a depleted block back among the live ones, with what was given back to it."""
        if self.changes.is_new_block(block.id):
            self.changes.rare.new_blocks[block.id] = block
        else:
            self.changes.changed_blocks[block.id] = block
            self.changes.rare.reworked_blocks.add(block.id)
        self._insert_active(block)

    # Other objects

    def put_hold(self, hold: Hold) -> None:
        """Replace or add a hold; a final one leaves the state."""
        self.changes.holds[hold.id] = hold
        holds = self._own("holds")
        if hold.status == "active":
            holds[hold.id] = hold
            self.due_at = min(self.due_at, hold.expires_at)
        else:
            holds.pop(hold.id, None)

    def put_counter(self, counter: Counter) -> None:
        """Replace or add a counter; one that is no longer current leaves the state."""
        place = (counter.billable_metric_key, counter.kind, counter.period_start)
        self.changes.counters[place] = counter
        key = (counter.billable_metric_key, counter.kind)
        counters = self._own("counters")
        known = counters.get(key)
        if known is None or known.period_start != counter.period_start:
            self.changes.rare.new_counters.add(place)
        if counter.is_current:
            counters[key] = counter
            if known is None or known.period_end != counter.period_end:
                self.is_due_stale = True
        elif known is not None and known.period_start == counter.period_start:
            del counters[key]

    def move_counter(self, counter: Counter) -> None:
        """Replace a current counter by one of the same period."""
        key = (counter.billable_metric_key, counter.kind)
        self.changes.counters[(*key, counter.period_start)] = counter
        self._own("counters")[key] = counter

    def put_asset(self, asset: Asset) -> None:
        """Replace or add what outlives the periods of a metric."""
        self.changes.rare.assets[asset.billable_metric_key] = asset
        self._own("assets")[asset.billable_metric_key] = asset

    def put_override(self, override: Override) -> None:
        """Replace or add the override of a metric."""
        self.changes.rare.deleted_overrides.discard(override.billable_metric_key)
        self.changes.rare.overrides[override.billable_metric_key] = override
        self._own("overrides")[override.billable_metric_key] = override
        self.is_due_stale = True

    def delete_override(self, billable_metric_key: str) -> None:
        """Take the override of a metric away."""
        self.changes.rare.overrides.pop(billable_metric_key, None)
        self.changes.rare.deleted_overrides.add(billable_metric_key)
        self._own("overrides").pop(billable_metric_key, None)
        self.is_due_stale = True

    def put_subscription(self, subscription: Subscription) -> None:
        """Replace or add a subscription; one that ended leaves the state."""
        self.changes.rare.subscriptions[subscription.id] = subscription
        subscriptions = self._own("subscriptions")
        if subscription.is_live:
            subscriptions[subscription.id] = subscription
        else:
            subscriptions.pop(subscription.id, None)
            # A later command of the batch may name it: what it loaded is older than this.
            self.extra["subscription", subscription.id] = subscription
        self.is_due_stale = True

    def put_auto_topup(self, auto_topup: AutoTopup) -> None:
        """Replace or add the auto-topup of a unit."""
        self.changes.rare.deleted_auto_topups.discard(auto_topup.unit)
        self.changes.rare.auto_topups[auto_topup.unit] = auto_topup
        self._own("auto_topups")[auto_topup.unit] = auto_topup

    def delete_auto_topup(self, unit: str) -> None:
        """Take the auto-topup of a unit away."""
        self.changes.rare.auto_topups.pop(unit, None)
        self.changes.rare.deleted_auto_topups.add(unit)
        self._own("auto_topups").pop(unit, None)

    # What is appended

    def add_entry(self, entry: LedgerEntry) -> None:
        """Append a ledger entry (only ``core/ledger.py`` makes one)."""
        self.writes += 1
        self.changes.entries.append(entry)
        if self.last_entry_at is None or entry.created_at > self.last_entry_at:
            self.last_entry_at = entry.created_at

    def add_usage_event(self, event: UsageEvent) -> None:
        """Append a usage event."""
        self.writes += 1
        self.changes.usage_events.append(event)

    def change_usage_event(self, event: UsageEvent) -> None:
        """Write another status or other details of a usage event that was loaded as history."""
        self.writes += 1
        self.changes.rare.usage_updates[event.id] = event

    def add_payment(self, external_payment_id: str, block_id: str) -> None:
        """Register a payment for ever in the environment."""
        self.writes += 1
        self.changes.rare.payments.append((external_payment_id, block_id))

    def add_event(self, context: Context, type_: str, data: dict[str, Any]) -> None:
        """Queue an event of ``webhooks.md`` with the customer's next sequence.

        A type that is off by default is queued only where some endpoint names it.
        """
        if type_ in OFF_BY_DEFAULT and type_ not in context.catalog.named_events:
            return
        self.writes += 1
        self.event_sequence += 1
        if context.is_time:
            event_id = derived_id(context.now, self.customer.id, "event", str(self.event_sequence), type_)
        else:
            event_id = context.new_id()
        self.changes.events.append(
            OutboxEvent(
                id=event_id,
                sequence=self.event_sequence,
                type=type_,
                data=data,
                request_id=context.request_id,
                created_at=context.now,
            )
        )

    def add_ran(self, kind: str, at: datetime) -> None:
        """Note that time did something, for the answer of the test clock."""
        self.changes.rare.ran.append(Ran(kind, self.customer.id, at))

    def take_changes(self) -> Changes:
        """The changes so far; the draft starts to collect anew."""
        changes, self.changes = self.changes, Changes()
        return changes


def replace(value: T, /, **changes: Any) -> T:
    """``value`` with ``changes``, as a new value."""
    return msgspec.structs.replace(value, **changes)
