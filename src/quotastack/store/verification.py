"""Verification: reading a customer's books whole, in one snapshot, to be compared with each other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.changes import LedgerEntry
from quotastack.core.customer_state import Account, Block
from quotastack.runtime.database import Connection
from quotastack.store.credits import SELECT_ENTRIES_IN_ORDER, read_entry

PREFETCH_ROWS: Final = 1_000

# The first statement of a transaction that reads several tables while others write to them.
ONE_SNAPSHOT: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"

SELECT_CUSTOMER_IDS: Final = """
    SELECT id::text
      FROM customers
     WHERE environment_id = current_setting('quotastack.environment_id')::uuid
       AND ($1::uuid IS NULL OR id > $1::uuid)
     ORDER BY id
     LIMIT $2
"""
SELECT_BOOKS: Final = """
    SELECT json_build_object(
        'deleted_at', c.deleted_at, 'event_sequence', c.event_sequence,
        'accounts', coalesce((SELECT json_agg(json_build_object(
                'unit', a.unit, 'blocks_mc', a.blocks_mc, 'reserved_mc', a.reserved_mc,
                'overdraft_mc', a.overdraft_mc, 'lifetime_earned_mc', a.lifetime_earned_mc,
                'lifetime_spent_mc', a.lifetime_spent_mc,
                'lifetime_expired_mc', a.lifetime_expired_mc, 'status', a.status,
                'sequence', a.sequence, 'hash', encode(a.hash, 'base64')))
            FROM accounts AS a
           WHERE a.environment_id = c.environment_id AND a.customer_id = c.id), '[]'),
        'blocks', coalesce((SELECT json_agg(b.doc || jsonb_build_object(
                'unit', b.unit, 'original_mc', b.original_mc, 'remaining_mc', b.remaining_mc,
                'priority', b.priority, 'effective_at', b.effective_at,
                'expires_at', b.expires_at, 'source', b.source, 'status', b.status))
            FROM blocks AS b
           WHERE b.environment_id = c.environment_id AND b.customer_id = c.id), '[]'),
        'holds', coalesce((SELECT json_agg(json_build_object(
                'id', r.id, 'unit', r.doc->'unit', 'reserved_mc', r.doc->'reserved_mc'))
            FROM reservations AS r
           WHERE r.environment_id = c.environment_id AND r.customer_id = c.id AND r.status = 'active'), '[]'),
        'event_count', (SELECT count(*) FROM events AS e
           WHERE e.environment_id = c.environment_id AND e.customer_id = c.id),
        'event_first', (SELECT min(e.sequence) FROM events AS e
           WHERE e.environment_id = c.environment_id AND e.customer_id = c.id),
        'event_last', (SELECT max(e.sequence) FROM events AS e
           WHERE e.environment_id = c.environment_id AND e.customer_id = c.id)
    )::text AS books
      FROM customers AS c
     WHERE c.environment_id = current_setting('quotastack.environment_id')::uuid AND c.id = $1::uuid
"""


class HeldAmount(msgspec.Struct, frozen=True):
    """An active hold."""

    id: str
    unit: str
    reserved_mc: int


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of one customer beside the ledger."""

    deleted_at: datetime | None
    event_sequence: int
    accounts: list[Account]
    blocks: list[Block]
    holds: list[HeldAmount]
    event_count: int
    event_first: int | None
    event_last: int | None


_decode_books = msgspec.json.Decoder(Books).decode


async def take_snapshot(tx: Connection) -> None:
    """Let every later statement of the transaction see the same instant. Must be its first."""
    await tx.execute(ONE_SNAPSHOT)


async def select_customer_ids(tx: Connection, *, after_id: str | None, limit: int) -> list[str]:
    """The next customers of the environment, by id, deleted ones included."""
    return [row["id"] for row in await tx.fetch(SELECT_CUSTOMER_IDS, after_id, limit)]


async def select_books(tx: Connection, customer_id: str) -> Books | None:
    """A customer's accounts, blocks, active holds and event numbers; None when there is no such customer."""
    text: str | None = await tx.fetchval(SELECT_BOOKS, customer_id)
    return None if text is None else _decode_books(text)


async def read_entries(
    tx: Connection, customer_id: str, *, unit: str | None = None, until: datetime | None = None
) -> AsyncIterator[LedgerEntry]:
    """The entries of all accounts of a customer, or of one, in order; ``until`` includes its instant.

    Streams by a cursor, so that a ledger of any length takes little memory.
    """
    rows: Any = tx.cursor(SELECT_ENTRIES_IN_ORDER, customer_id, unit, until, prefetch=PREFETCH_ROWS)
    async for row in rows:
        yield read_entry(row)
