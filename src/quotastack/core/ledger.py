"""The ledger: how one immutable line is made, numbered, chained and summed.

``append_entry`` is the only way to change an account's sums, so every change has its line. The hash
of an entry covers all its fields and the hash before it; erasable texts enter as a salted digest.
What a line adds to the lifetime sums follows from its type alone, here and in a replay.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.amounts import checked_amount, spell_number
from quotastack.core.changes import EntryTexts, LedgerEntry
from quotastack.core.derived_ids import derived_id

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.context import Context
    from quotastack.core.customer_state import Account
    from quotastack.core.draft import Draft

NO_DIGEST: Final = b""

# Credits that came in from outside. Not: what only moves (rollover_in) or comes back (refund).
EARNED_TYPES: Final = frozenset({"grant", "adjustment"})
# Credits that were used. Not: what was taken away (withdrawal, void, topup_refund, adjustment).
SPENT_TYPES: Final = frozenset({"usage", "commit", "exchange", "overage"})

_encode = msgspec.json.Encoder(order="deterministic").encode


def digest_texts(texts: EntryTexts) -> bytes:
    """What the hash keeps of erasable texts: unguessable without the salt beside them.

    Numbers of the metadata count by value: the database spells some of them in another way.
    """
    metadata = None if texts.metadata is None else _decode_exactly(_encode(texts.metadata))
    content = _encode((texts.idempotency_key, texts.reason, metadata))
    return sha256(texts.salt + content).digest()


_decode_exactly = msgspec.json.Decoder(float_hook=spell_number).decode


def lifetime_effect(entry_type: str, delta_mc: int, reference_type: str | None) -> tuple[int, int, int]:
    """What a line adds to the sums of earned, spent and expired credits; none of them is negative.

    The part of a negative adjustment that goes beyond the blocks is an ``overage`` that refers to an
    adjustment: nobody spent it.
    """
    if delta_mc > 0:
        return (delta_mc if entry_type in EARNED_TYPES else 0), 0, 0
    if entry_type in SPENT_TYPES and reference_type != "adjustment":
        return 0, -delta_mc, 0
    return 0, 0, (-delta_mc if entry_type == "expire" else 0)


def hash_entry(previous_hash: bytes, *, environment_id: str, customer_id: str, entry: LedgerEntry) -> bytes:
    """SHA-256 over the entry before and every field of ``entry`` but ``hash`` and its texts.

    The fields are a JSON array, in which no two different entries read the same.
    """
    content = _encode(
        (
            environment_id,
            customer_id,
            entry.unit,
            entry.sequence,
            entry.id,
            entry.type,
            entry.delta_mc,
            entry.reserved_delta_mc,
            entry.balance_after_mc,
            entry.reserved_after_mc,
            entry.blocks,
            entry.reference_type,
            entry.reference_id,
            entry.request_id,
            entry.actor,
            entry.occurred_at,
            entry.created_at,
            entry.details,
            entry.texts_digest.hex(),
        )
    )
    return sha256(previous_hash + content).digest()


def append_entry(
    draft: Draft,
    context: Context,
    account: Account,
    *,
    entry_type: str,
    delta_mc: int = 0,
    reserved_delta_mc: int = 0,
    blocks: tuple[tuple[str, int], ...] = (),
    reference: tuple[str, str] | None = None,
    reason: str | None = None,
    metadata: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
    occurred_at: datetime | None = None,
) -> LedgerEntry:
    """Write one line and the account whose sums it explains.

    ``account`` has its new sums and still the sequence, hash and lifetime sums of the line before.

    Raises:
        AmountOverflowError: a sum would pass the contract's bound. Commands check that first.
    """
    before = draft.account(account.unit)
    balance_mc = checked_amount(account.balance_mc)
    assert balance_mc == before.balance_mc + delta_mc, entry_type
    assert account.reserved_mc == before.reserved_mc + reserved_delta_mc, entry_type
    assert account.reserved_mc >= 0
    assert account.overdraft_mc >= 0
    sequence = before.sequence + 1
    reference_type, reference_id = reference or (None, None)
    texts = _take_texts(context, reason, metadata)
    entry = LedgerEntry(
        id=(
            derived_id(context.now, draft.customer.id, account.unit, str(sequence))
            if context.is_time
            else context.new_id()
        ),
        unit=account.unit,
        sequence=sequence,
        type=entry_type,
        delta_mc=delta_mc,
        reserved_delta_mc=reserved_delta_mc,
        balance_after_mc=balance_mc,
        reserved_after_mc=account.reserved_mc,
        blocks=blocks,
        reference_type=reference_type,
        reference_id=reference_id,
        request_id=context.request_id,
        actor=context.actor,
        occurred_at=occurred_at or context.now,
        created_at=context.now,
        texts=texts,
        texts_digest=NO_DIGEST if texts is None else digest_texts(texts),
        details=details if texts is not None or reason is None else {**(details or {}), "reason": reason},
        hash=NO_DIGEST,
    )
    _chain(draft, before, entry)
    draft.put_account(_sum_up(account, before, entry))
    draft.add_entry(entry)
    return entry


def append_usage(
    draft: Draft, context: Context, account: Account, block_id: str, paid_mc: int, usage_id: str
) -> tuple[Account, int]:
    """``append_entry`` for a usage that one block pays, of an account without overdraft whose sums have room.

    ``account`` is as it stood before. Returns it as it stands, and the line's sequence.
    """
    texts = _take_texts(context, None, None)
    sequence = account.sequence + 1
    blocks_mc = account.blocks_mc - paid_mc
    assert blocks_mc >= account.reserved_mc
    assert not account.overdraft_mc
    entry = LedgerEntry(
        id=context.new_id(),
        unit=account.unit,
        sequence=sequence,
        type="usage",
        delta_mc=-paid_mc,
        reserved_delta_mc=0,
        balance_after_mc=blocks_mc,
        reserved_after_mc=account.reserved_mc,
        blocks=((block_id, -paid_mc),),
        reference_type="usage",
        reference_id=usage_id,
        request_id=context.request_id,
        actor=context.actor,
        occurred_at=context.now,
        created_at=context.now,
        texts=texts,
        texts_digest=NO_DIGEST if texts is None else digest_texts(texts),
        details=None,
        hash=NO_DIGEST,
    )
    _chain(draft, account, entry)
    after = msgspec.structs.replace(
        account,
        blocks_mc=blocks_mc,
        lifetime_spent_mc=account.lifetime_spent_mc + paid_mc,
        sequence=sequence,
        hash=entry.hash,
    )
    draft.put_account(after)
    draft.add_entry(entry)
    return after, sequence


def _chain(draft: Draft, before: Account, entry: LedgerEntry) -> None:
    """Give a new entry its hash, over the last one of its account."""
    chained = hash_entry(
        before.hash, environment_id=draft.environment_id, customer_id=draft.customer.id, entry=entry
    )
    # Nobody has seen the entry yet; a copy of it for one field would cost as much as the hash.
    msgspec.structs.force_setattr(entry, "hash", chained)


def _take_texts(context: Context, reason: str | None, metadata: dict[str, Any] | None) -> EntryTexts | None:
    """The erasable texts of a caller's entry; what time writes has none."""
    if context.is_time or not (context.idempotency_key or reason or metadata):
        return None
    return EntryTexts(
        salt=context.new_salt(),
        idempotency_key=context.idempotency_key,
        reason=reason,
        metadata=metadata or None,
    )


def _sum_up(account: Account, before: Account, entry: LedgerEntry) -> Account:
    """``account`` with the entry's sequence and hash, and with what it adds to the lifetime sums."""
    earned_mc, spent_mc, expired_mc = lifetime_effect(entry.type, entry.delta_mc, entry.reference_type)
    return msgspec.structs.replace(
        account,
        sequence=entry.sequence,
        hash=entry.hash,
        lifetime_earned_mc=checked_amount(before.lifetime_earned_mc + earned_mc),
        lifetime_spent_mc=checked_amount(before.lifetime_spent_mc + spent_mc),
        lifetime_expired_mc=before.lifetime_expired_mc + expired_mc,
    )
