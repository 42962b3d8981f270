"""Credits: lists of blocks and ledger entries. What they mean was decided in ``core`` and written once."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.changes import EntryTexts, LedgerEntry
from quotastack.core.customer_state import Block
from quotastack.runtime.database import Connection

_SELECT_BLOCKS: Final = """
    SELECT (b.doc || jsonb_build_object('remaining_mc', b.remaining_mc, 'status', b.status))::text AS doc
      FROM blocks AS b
     WHERE b.environment_id = current_setting('quotastack.environment_id')::uuid
       AND b.customer_id = $1::uuid AND b.unit = $2
       AND ($3::text IS NULL OR b.status = $3) AND ($4::text IS NULL OR b.source = $4)
"""
SELECT_BLOCKS_BY_CREATION_DESC: Final = (
    _SELECT_BLOCKS
    + """
       AND ($5::timestamptz IS NULL OR (b.created_at, b.id) < ($5, $6::uuid))
     ORDER BY b.created_at DESC, b.id DESC LIMIT $7
"""
)
SELECT_BLOCKS_BY_CREATION_ASC: Final = (
    _SELECT_BLOCKS
    + """
       AND ($5::timestamptz IS NULL OR (b.created_at, b.id) > ($5, $6::uuid))
     ORDER BY b.created_at, b.id LIMIT $7
"""
)
SELECT_BLOCKS_BY_EXPIRY_DESC: Final = (
    _SELECT_BLOCKS
    + """
       AND ($5::timestamptz IS NULL OR (coalesce(b.expires_at, '9999-01-01Z'), b.id) < ($5, $6::uuid))
     ORDER BY coalesce(b.expires_at, '9999-01-01Z') DESC, b.id DESC LIMIT $7
"""
)
SELECT_BLOCKS_BY_EXPIRY_ASC: Final = (
    _SELECT_BLOCKS
    + """
       AND ($5::timestamptz IS NULL OR (coalesce(b.expires_at, '9999-01-01Z'), b.id) > ($5, $6::uuid))
     ORDER BY coalesce(b.expires_at, '9999-01-01Z'), b.id LIMIT $7
"""
)

# The key of a usage entry stands on its usage event, which a commit's entry names through its reservation.
_ENTRY_COLUMNS: Final = """
    SELECT l.id::text AS id, l.unit, l.sequence, l.type, l.delta, l.reserved_delta, l.balance_after,
           l.reserved_after, l.blocks, l.reference_type, l.reference_id, l.request_id, l.actor,
           l.occurred_at, l.created_at, l.details, l.texts_digest, l.hash,
           coalesce(t.salt, u.text_salt) AS salt,
           coalesce(t.idempotency_key, u.idempotency_key) AS idempotency_key, t.reason, t.metadata
      FROM ledger_entries AS l
      LEFT JOIN ledger_texts AS t USING (environment_id, customer_id, unit, sequence)
      LEFT JOIN reservations AS r
        ON l.reference_type = 'reservation' AND l.reserved_delta <= 0
       AND r.environment_id = l.environment_id AND r.customer_id = l.customer_id
       AND r.id = CASE l.reference_type WHEN 'reservation' THEN l.reference_id::uuid END
      LEFT JOIN usage_events AS u
        ON u.environment_id = l.environment_id AND u.customer_id = l.customer_id
       AND u.id = CASE l.reference_type WHEN 'usage' THEN l.reference_id::uuid
                                        WHEN 'reservation' THEN (r.doc->>'usage_id')::uuid END
       AND u.unit = l.unit AND u.ledger_sequence = l.sequence
     WHERE l.environment_id = current_setting('quotastack.environment_id')::uuid
       AND l.customer_id = $1::uuid
"""
_ENTRY_FILTERS: Final = """
       AND l.unit = $2
       AND ($3::text IS NULL OR l.type = $3)
       AND ($4::timestamptz IS NULL OR l.created_at >= $4)
       AND ($5::timestamptz IS NULL OR l.created_at < $5)
       AND ($6::text IS NULL OR l.reference_id = $6)
       AND ($7::text IS NULL OR l.blocks @> jsonb_build_array(jsonb_build_array($7::text))
            OR l.details->>'block_id' = $7)
"""
SELECT_ENTRIES_DESC: Final = (
    _ENTRY_COLUMNS
    + _ENTRY_FILTERS
    + " AND ($8::bigint IS NULL OR l.sequence < $8) ORDER BY l.sequence DESC LIMIT $9"
)
SELECT_ENTRIES_ASC: Final = (
    _ENTRY_COLUMNS
    + _ENTRY_FILTERS
    + " AND ($8::bigint IS NULL OR l.sequence > $8) ORDER BY l.sequence LIMIT $9"
)
SELECT_ENTRIES_IN_ORDER: Final = (
    _ENTRY_COLUMNS
    + """
       AND ($2::text IS NULL OR l.unit = $2) AND ($3::timestamptz IS NULL OR l.created_at <= $3)
     ORDER BY l.unit, l.sequence
"""
)

_decode_block = msgspec.json.Decoder(Block).decode
_decode_pairs = msgspec.json.Decoder(tuple[tuple[str, int], ...]).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

BLOCK_STATEMENTS: Final = {
    ("created_at", False): SELECT_BLOCKS_BY_CREATION_DESC,
    ("created_at", True): SELECT_BLOCKS_BY_CREATION_ASC,
    ("expires_at", False): SELECT_BLOCKS_BY_EXPIRY_DESC,
    ("expires_at", True): SELECT_BLOCKS_BY_EXPIRY_ASC,
}


async def select_blocks(
    tx: Connection,
    customer_id: str,
    *,
    unit: str,
    status: str | None,
    source: str | None,
    sort: str,
    after: tuple[datetime, str] | None,
    is_ascending: bool,
    limit: int,
) -> list[Block]:
    """A page of an account's blocks, live or not, by ``created_at`` or ``expires_at`` (never last) and id."""
    after_at, after_id = after or (None, None)
    rows: list[Any] = await tx.fetch(
        BLOCK_STATEMENTS[sort, is_ascending], customer_id, unit, status, source, after_at, after_id, limit
    )
    return [_decode_block(row["doc"]) for row in rows]


def read_entry(row: Any) -> LedgerEntry:
    """One entry with its texts, None where it has none or they were erased."""
    salt = row["salt"]
    metadata = row["metadata"]
    return LedgerEntry(
        id=row["id"],
        unit=row["unit"],
        sequence=row["sequence"],
        type=row["type"],
        delta_mc=row["delta"],
        reserved_delta_mc=row["reserved_delta"],
        balance_after_mc=row["balance_after"],
        reserved_after_mc=row["reserved_after"],
        blocks=_decode_pairs(row["blocks"]),
        reference_type=row["reference_type"],
        reference_id=row["reference_id"],
        request_id=row["request_id"],
        actor=row["actor"],
        occurred_at=row["occurred_at"],
        created_at=row["created_at"],
        texts=(
            None
            if salt is None
            else EntryTexts(
                salt=salt,
                idempotency_key=row["idempotency_key"],
                reason=row["reason"],
                metadata=None if metadata is None else _decode_object(metadata),
            )
        ),
        texts_digest=row["texts_digest"],
        details=None if row["details"] is None else _decode_object(row["details"]),
        hash=row["hash"],
    )


async def select_entries(
    tx: Connection,
    customer_id: str,
    *,
    unit: str,
    entry_type: str | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    reference_id: str | None = None,
    block_id: str | None = None,
    after_sequence: int | None,
    is_ascending: bool,
    limit: int,
) -> list[LedgerEntry]:
    """A page of one account's ledger. ``block_id`` finds every entry that made, moved or changed the block."""
    rows: list[Any] = await tx.fetch(
        SELECT_ENTRIES_ASC if is_ascending else SELECT_ENTRIES_DESC,
        customer_id,
        unit,
        entry_type,
        from_at,
        to_at,
        reference_id,
        block_id,
        after_sequence,
        limit,
    )
    return [read_entry(row) for row in rows]
