"""Replay: what an account and its blocks must be, rebuilt from its ledger alone.

Two users: verification, which compares the result with what is stored and names the first entry
that does not fit; and the account as it was at an instant of the past. Every rule here is one of the
invariants of the ledger; none of them knows how an entry was decided.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.customer_state import Account
from quotastack.core.ledger import NO_DIGEST, digest_texts, hash_entry, lifetime_effect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quotastack.core.changes import LedgerEntry
    from quotastack.core.customer_state import Block

# What of a block never changes; ``expires_at`` moves by entries of type reschedule alone.
FIXED_TERMS: Final = (
    "priority",
    "source",
    "price_paid",
    "currency",
    "package_id",
    "external_payment_id",
    "subscription_id",
    "grant_template_id",
    "rolled_from_block_id",
)

_builtins = msgspec.to_builtins


class LedgerBrokenError(Exception):
    """The books do not fit together. ``check`` names the invariant; ``entry`` is where, if it is an entry."""

    def __init__(self, check: str, detail: str, *, entry: LedgerEntry | None = None) -> None:
        super().__init__(detail)
        self.check = check
        self.detail = detail
        self.entry = entry


class ReplayedBlock:
    """A block as its lines tell it. ``terms`` are those of the line that made it."""

    __slots__ = ("expires_at", "id", "is_pending", "original_mc", "remaining_mc", "terms")

    def __init__(self, block_id: str, *, amount_mc: int, terms: dict[str, Any], is_pending: bool) -> None:
        self.id = block_id
        self.original_mc = terms.get("original_amount", amount_mc)
        self.remaining_mc = amount_mc
        self.terms = terms
        self.expires_at = terms.get("expires_at")
        self.is_pending = is_pending

    def expires_now(self) -> datetime | None:
        """When it expires by the entries so far; details of stored entries hold instants as text."""
        at = self.expires_at
        return datetime.fromisoformat(at) if isinstance(at, str) else at


class AccountReplay:
    """Follows one account's entries from the first on."""

    def __init__(self, *, environment_id: str, customer_id: str, unit: str) -> None:
        self.environment_id = environment_id
        self.customer_id = customer_id
        self.unit = unit
        self.sequence = 0
        self.hash = b""
        self.created_at: datetime | None = None
        self.balance_mc = 0
        self.reserved_mc = 0
        self.blocks_mc = 0
        self.earned_mc = 0
        self.spent_mc = 0
        self.expired_mc = 0
        self.blocks: dict[str, ReplayedBlock] = {}
        self.holds: dict[str, int] = {}

    @property
    def overdraft_mc(self) -> int:
        """What was consumed beyond the blocks: it follows from the two sums."""
        return self.blocks_mc - self.balance_mc

    def apply(self, entry: LedgerEntry, *, are_texts_erased: bool = False) -> None:
        """Take the next entry in.

        Raises:
            LedgerBrokenError: it does not follow from those before it.
        """
        self._check_chain(entry, are_texts_erased=are_texts_erased)
        self.move(entry)
        self._check_sums(entry)

    def _check_chain(self, entry: LedgerEntry, *, are_texts_erased: bool) -> None:
        if entry.sequence != self.sequence + 1:
            detail = f"entry {entry.sequence} follows entry {self.sequence}"
            raise LedgerBrokenError("sequence", detail, entry=entry)
        if self.created_at is not None and entry.created_at < self.created_at:
            raise LedgerBrokenError("time", "the entry is older than the one before it", entry=entry)
        chained = hash_entry(
            self.hash, environment_id=self.environment_id, customer_id=self.customer_id, entry=entry
        )
        if chained != entry.hash:
            raise LedgerBrokenError("hash", "the hash does not cover what the entry says", entry=entry)
        if entry.texts is not None and digest_texts(entry.texts) != entry.texts_digest:
            raise LedgerBrokenError("texts", "reason, metadata or key were changed", entry=entry)
        if entry.texts is None and entry.texts_digest != NO_DIGEST and not are_texts_erased:
            raise LedgerBrokenError("texts", "reason, metadata or key are gone", entry=entry)
        self.sequence, self.hash, self.created_at = entry.sequence, entry.hash, entry.created_at

    def move(self, entry: LedgerEntry) -> None:
        """Let the entry change accounts, blocks and holds, without checking that it fits."""
        details = entry.details or {}
        if entry.type == "grant_scheduled":
            block_id = details["block_id"]
            amount_mc = details["original_amount"]
            self.blocks[block_id] = ReplayedBlock(
                block_id, amount_mc=amount_mc, terms=details, is_pending=True
            )
        elif entry.type == "reschedule":
            self._reschedule(entry, details)
            return
        for block_id, delta_mc in entry.blocks:
            self._move_block(entry, block_id, delta_mc, details)
        self.balance_mc += entry.delta_mc
        self.reserved_mc += entry.reserved_delta_mc
        earned_mc, spent_mc, expired_mc = lifetime_effect(entry.type, entry.delta_mc, entry.reference_type)
        self.earned_mc += earned_mc
        self.spent_mc += spent_mc
        self.expired_mc += expired_mc
        if entry.reserved_delta_mc and entry.reference_type == "reservation":
            assert entry.reference_id is not None
            self._move_hold(entry, entry.reference_id)

    def _move_block(self, entry: LedgerEntry, block_id: str, delta_mc: int, details: dict[str, Any]) -> None:
        block = self.blocks.get(block_id)
        if block is None:
            if delta_mc <= 0:
                raise LedgerBrokenError("blocks", f"block {block_id} was never granted", entry=entry)
            is_new = details.get("block_id") == block_id
            self.blocks[block_id] = ReplayedBlock(
                block_id, amount_mc=delta_mc, terms=details if is_new else {}, is_pending=False
            )
        elif block.is_pending:
            block.is_pending = False
            if delta_mc != block.remaining_mc:
                # Voided before it started: it never was part of the balance.
                block.remaining_mc = 0
        else:
            block.remaining_mc += delta_mc
            if block.remaining_mc < 0 or block.remaining_mc > block.original_mc:
                detail = f"block {block_id} would hold {block.remaining_mc} of {block.original_mc}"
                raise LedgerBrokenError("blocks", detail, entry=entry)
        self.blocks_mc += delta_mc

    def _reschedule(self, entry: LedgerEntry, details: dict[str, Any]) -> None:
        block = self.blocks.get(details.get("block_id") or entry.reference_id or "")
        if block is None:
            raise LedgerBrokenError("blocks", "the rescheduled block was never granted", entry=entry)
        if "expires_at" in details:
            block.expires_at = details["expires_at"]

    def _move_hold(self, entry: LedgerEntry, hold_id: str) -> None:
        held_mc = self.holds.get(hold_id, 0) + entry.reserved_delta_mc
        if held_mc < 0:
            raise LedgerBrokenError(
                "holds", f"reservation {hold_id} gave back more than it held", entry=entry
            )
        if held_mc:
            self.holds[hold_id] = held_mc
        else:
            self.holds.pop(hold_id, None)

    def _check_sums(self, entry: LedgerEntry) -> None:
        if entry.balance_after_mc != self.balance_mc:
            detail = f"the deltas add up to {self.balance_mc}, the entry says {entry.balance_after_mc}"
            raise LedgerBrokenError("balance", detail, entry=entry)
        if entry.reserved_after_mc != self.reserved_mc or self.reserved_mc < 0:
            detail = f"{self.reserved_mc} are held, the entry says {entry.reserved_after_mc}"
            raise LedgerBrokenError("reserved", detail, entry=entry)
        if self.overdraft_mc < 0:
            raise LedgerBrokenError("overdraft", "the blocks hold less than the balance", entry=entry)

    def account(self) -> Account:
        """The account that the entries so far lead to."""
        return Account(
            unit=self.unit,
            blocks_mc=self.blocks_mc,
            reserved_mc=self.reserved_mc,
            overdraft_mc=self.overdraft_mc,
            lifetime_earned_mc=self.earned_mc,
            lifetime_spent_mc=self.spent_mc,
            lifetime_expired_mc=self.expired_mc,
            sequence=self.sequence,
            hash=self.hash,
        )

    def compare_account(self, stored: Account | None) -> None:
        """Compare what is stored with what the entries lead to; no account is one of zeros.

        Raises:
            LedgerBrokenError: a sum, the sequence or the hash differs: lines are missing at the end,
                or the account was changed without one.
        """
        stored = Account(unit=self.unit) if stored is None else stored
        rebuilt = self.account()
        names = (
            "sequence",
            "hash",
            "blocks_mc",
            "reserved_mc",
            "overdraft_mc",
            "lifetime_earned_mc",
            "lifetime_spent_mc",
            "lifetime_expired_mc",
        )
        for name in names:
            if getattr(stored, name) != getattr(rebuilt, name):
                detail = f"{name} of the account is not what its entries lead to"
                raise LedgerBrokenError("account", detail)

    def compare_blocks(self, stored: Iterable[Block]) -> None:
        """Compare the stored blocks of the account with those that the entries lead to.

        Raises:
            LedgerBrokenError: a block is missing, unknown, or differs in what is left, in its status
                or in a term.
        """
        seen: set[str] = set()
        for block in stored:
            seen.add(block.id)
            rebuilt = self.blocks.get(block.id)
            if rebuilt is None:
                raise LedgerBrokenError("blocks", f"block {block.id} stands in no entry")
            _compare_block(block, rebuilt)
        missing = sorted(self.blocks.keys() - seen)
        if missing:
            raise LedgerBrokenError("blocks", f"block {missing[0]} is gone")

    def compare_holds(self, active: dict[str, int]) -> None:
        """Compare the active holds (amounts by id) with those that the entries leave open.

        Raises:
            LedgerBrokenError: the sums or one of the holds differ.
        """
        if sum(active.values()) != self.reserved_mc:
            raise LedgerBrokenError("holds", "the active holds do not add up to reserved_balance")
        if self.holds != {hold_id: amount for hold_id, amount in active.items() if amount}:
            raise LedgerBrokenError("holds", "the active holds are not those that the entries leave open")


def _compare_block(block: Block, rebuilt: ReplayedBlock) -> None:
    status = "pending" if rebuilt.is_pending else ("active" if rebuilt.remaining_mc else "gone")
    stored_status = block.status if block.status in {"pending", "active"} else "gone"
    facts = {
        "remaining_amount": (block.remaining_mc, rebuilt.remaining_mc),
        "original_amount": (block.original_mc, rebuilt.original_mc),
        "status": (stored_status, status),
    }
    if rebuilt.terms:
        facts["expires_at"] = (_builtins(block.expires_at), _builtins(rebuilt.expires_at))
        facts["effective_at"] = (
            _builtins(block.effective_at),
            _builtins(rebuilt.terms.get("effective_at")),
        )
        facts |= {name: (getattr(block, name), rebuilt.terms.get(name)) for name in FIXED_TERMS}
    for name, (stored, replayed) in facts.items():
        if stored != replayed:
            detail = f"{name} of block {block.id} is {stored}, its entries say {replayed}"
            raise LedgerBrokenError("blocks", detail)
