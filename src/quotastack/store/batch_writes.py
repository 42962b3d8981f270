"""Batch writes: what a batch changed in one environment, with few set-based statements.

``write_hot`` is one call for all that a usual debit touches: customers, accounts, blocks, counters, holds,
ledger and its texts, usage, keys and the notice to other processes; ``write_known`` is the same call as a transaction
of its own, for what was decided on remembered states. What is rarer is in
``store/object_writes.py``. Only the engine's batch calls either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from quotastack.core.changes import Changes, LedgerEntry, OutboxEvent, RareChanges, UsageEvent
from quotastack.core.customer_state import Account, Counter, Customer, Hold
from quotastack.store.row_values import Row, json_object, json_pairs, json_text

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

# A part is what is written in one environment: one array of rows for each table, as the type says. See the functions'
# own comments in the migration.
WRITE_HOT: Final = "SELECT quotastack.write_part($1::quotastack.batch_part_with_texts)"
WRITE_KNOWN: Final = "SELECT quotastack.write_known_batches($1::quotastack.batch_part_with_texts[])"

DELETE_EXTERNAL_IDS: Final = """
    DELETE FROM external_ids WHERE environment_id = $1::uuid AND customer_id = ANY($2::uuid[])
"""
DELETE_DUE: Final = """
    DELETE FROM customer_due WHERE environment_id = $1::uuid AND customer_id = ANY($2::uuid[])
"""
INSERT_CUSTOMERS: Final = """
    WITH taken AS (
        INSERT INTO external_ids (environment_id, external_id, customer_id)
        SELECT $1::uuid, u.* FROM unnest($2::text[], $3::uuid[]) AS u
            ON CONFLICT ON CONSTRAINT external_ids_pkey DO NOTHING
        RETURNING external_id, customer_id
    )
    INSERT INTO customers (environment_id, id, external_id, created_at, updated_at)
    SELECT $1::uuid, t.customer_id, t.external_id, $4, $4 FROM taken AS t
    RETURNING external_id
"""
DELETE_CUSTOMERS: Final = """
    DELETE FROM customers WHERE environment_id = $1::uuid AND id = ANY($2::uuid[])
"""

_NOTHING_RARE: Final = RareChanges()


def account_row(customer_id: str, account: Account) -> Row:
    """The columns of ``write_hot`` for one account."""
    return (
        customer_id, account.unit, account.blocks_mc, account.reserved_mc, account.overdraft_mc,
        account.lifetime_earned_mc, account.lifetime_spent_mc, account.lifetime_expired_mc,
        account.status, account.sequence, account.hash, account.is_low, account.is_exhausted,
    )  # fmt: skip


def counter_row(customer_id: str, counter: Counter) -> Row:
    """The columns of ``write_hot`` for one counter."""
    return (
        customer_id, counter.billable_metric_key, counter.kind, counter.period_start,
        counter.period_end, counter.value, counter.max, counter.overage_units, counter.cost_mc,
        counter.is_current, json_object(counter.details),
    )  # fmt: skip


def entry_row(customer_id: str, entry: LedgerEntry) -> Row:
    """The columns of ``write_hot`` for one ledger entry."""
    return (
        customer_id, entry.unit, entry.sequence, entry.id, entry.type, entry.delta_mc,
        entry.reserved_delta_mc, entry.balance_after_mc, entry.reserved_after_mc,
        json_pairs(entry.blocks), entry.reference_type, entry.reference_id, entry.request_id,
        entry.actor, entry.occurred_at, entry.created_at,
        None if entry.details is None else json_text(entry.details), entry.texts_digest, entry.hash,
    )  # fmt: skip


def usage_row(customer_id: str, event: UsageEvent, salt: bytes | None) -> Row:
    """The columns of ``write_hot`` for one usage event; ``salt`` is that of its entry's texts."""
    return (
        customer_id, event.id, event.billable_metric_key, event.status, event.units, event.value,
        event.cost_mc, event.unit, event.overage_mc, json_pairs(event.draws), event.rule_id,
        event.reservation_id, event.timestamp, json_object(event.dimensions), json_object(event.metadata),
        event.idempotency_key, salt, event.ledger_sequence, json_object(event.details),
        event.created_at,
    )  # fmt: skip


def hold_row(customer_id: str, hold: Hold) -> Row:
    """The columns of ``write_hot`` for one reservation."""
    return (
        customer_id, hold.id, hold.status == "active", hold.status, hold.billable_metric_key,
        hold.created_at, json_text(hold),
    )  # fmt: skip


def event_row(customer_id: str, event: OutboxEvent) -> Row:
    """The columns of ``write_hot`` for one event."""
    return (
        customer_id, event.sequence, event.id, event.type, json_text(event.data), event.request_id,
        event.created_at,
    )  # fmt: skip


class HotRows:
    """The rows of one environment's batch that one call writes, collected customer by customer."""

    __slots__ = (
        "accounts", "blocks", "counters", "customers", "due", "entries", "events", "holds", "keys", "new_counters",
        "texts", "usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self.customers: list[Row] = []
        self.accounts: list[Row] = []
        self.blocks: list[Row] = []
        self.counters: list[Row] = []
        # Counters that may have no row yet: only these are looked for before they are written.
        self.new_counters: list[Row] = []
        self.entries: list[Row] = []
        self.usage: list[Row] = []
        self.keys: list[Row] = []
        self.holds: list[Row] = []
        self.events: list[Row] = []
        # When each customer is due next, for the sweep.
        self.due: list[Row] = []
        # Texts of entries that no usage event carries.
        self.texts: list[Row] = []

    def add_changes(self, customer: Customer, changes: Changes, accounts: dict[str, Account]) -> None:
        """Collect what one customer's draft changed."""
        customer_id = customer.id
        for unit in changes.changed_accounts:
            self.accounts.append(account_row(customer_id, accounts[unit]))
        rare = changes.rare if changes.has_rare else _NOTHING_RARE
        for block in changes.changed_blocks.values():
            if block.id not in rare.reworked_blocks:
                self.blocks.append((customer_id, block.id, block.remaining_mc, block.status))
        for place, counter in changes.counters.items():
            counters = self.new_counters if place in rare.new_counters else self.counters
            counters.append(counter_row(customer_id, counter))
        for hold in changes.holds.values():
            self.holds.append(hold_row(customer_id, hold))
        for event in changes.events:
            self.events.append(event_row(customer_id, event))
        salts: dict[tuple[str, int | None], bytes] = {}
        usage_entries = {(e.unit, e.ledger_sequence) for e in changes.usage_events}
        for entry in changes.entries:
            self.entries.append(entry_row(customer_id, entry))
            texts = entry.texts
            if texts is None:
                continue
            place = (entry.unit, entry.sequence)
            if texts.reason is None and texts.metadata is None and place in usage_entries:
                salts[place] = texts.salt
            else:
                metadata = None if texts.metadata is None else json_text(texts.metadata)
                self.texts.append(
                    (customer_id, entry.unit, entry.sequence, texts.salt, texts.idempotency_key,
                     texts.reason, metadata)
                )  # fmt: skip
        for event in changes.usage_events:
            salt = salts.get((event.unit, event.ledger_sequence))
            self.usage.append(usage_row(customer_id, event, salt))

    def part(
        self,
        environment_id: str,
        notices: Sequence[str],
        *,
        environment_version: int,
        refused_digests: Sequence[bytes] = (),
        idle: Sequence[Row] = (),
    ) -> Row:
        """All of it as the value that both functions take.

        ``refused_digests`` are keys of commands that were refused, ``idle`` customers that must be as they were.
        """
        part = (
            environment_id, environment_version, refused_digests, idle, self.customers, self.accounts, self.blocks,
            self.counters, self.new_counters, self.entries, self.usage, self.keys, self.holds, self.events,
            self.due, notices,
        )  # fmt: skip
        return part, self.texts


async def write_hot(tx: Connection, part: Row) -> None:
    """Write the rows of one environment, whose customers are locked, and queue the notices. One statement.

    Raises:
        asyncpg.UniqueViolationError: a key was used by a customer of another lane meanwhile.
        asyncpg.SerializationError: a row that was loaded is not what it was; nobody but the engine can have done that.
    """
    await tx.fetchval(WRITE_HOT, part)


async def write_known(connection: Connection, parts: Sequence[Row]) -> bool:
    """Write the parts, ascending by environment, in a transaction of their own, outside of any other. One round trip.

    False: an environment or a customer has moved on, or a key of a refused command was used before; nothing
    was written.

    Raises:
        asyncpg.UniqueViolationError: a key was used before; nothing was written.
    """
    is_written: Any = await connection.fetchval(WRITE_KNOWN, parts)
    return bool(is_written)


async def delete_due(tx: Connection, environment_id: str, customer_ids: Sequence[str]) -> None:
    """Take customers who have nothing ahead any more from what the sweep looks at."""
    await tx.execute(DELETE_DUE, environment_id, customer_ids)


async def insert_customers(
    tx: Connection, environment_id: str, wanted: dict[str, str], created_at: datetime
) -> set[str]:
    """Create customers for those external ids (external id -> new customer id) that are free.

    Returns the external ids that were created; the others are taken. Waits for a transaction that
    is creating the same one.
    """
    ids = sorted(wanted)
    rows = await tx.fetch(INSERT_CUSTOMERS, environment_id, ids, [wanted[i] for i in ids], created_at)
    return {row["external_id"] for row in rows}


async def delete_customers(tx: Connection, environment_id: str, customer_ids: Sequence[str]) -> None:
    """Take back customers that this transaction created and whose commands were all refused."""
    await tx.execute(DELETE_EXTERNAL_IDS, environment_id, customer_ids)
    await tx.execute(DELETE_CUSTOMERS, environment_id, customer_ids)


async def free_external_ids(tx: Connection, environment_id: str, customer_ids: Sequence[str]) -> None:
    """Let the external ids of deleted customers be taken again."""
    await tx.execute(DELETE_EXTERNAL_IDS, environment_id, customer_ids)
