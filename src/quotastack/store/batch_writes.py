"""Batch writes: what a batch changed in one environment, with few set-based statements.

``write_hot`` is one statement for all that a usual debit touches: customers, accounts, blocks,
counters, ledger, usage, keys and the notice to other processes. What is rarer is in
``store/object_writes.py``. Only the engine's batch calls either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from quotastack.core.changes import Changes, LedgerEntry, UsageEvent
from quotastack.core.customer_state import Account, Counter, Customer
from quotastack.store.row_values import Row, columns_of, json_object, json_pairs, json_text

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

# Each array holds the rows of one table, as they were decided. The customers' rows are locked, so
# no row here can be another's at the same time; the keys' primary key settles what lanes cannot.
WRITE_HOT: Final = """
    WITH customer_rows AS (
        UPDATE customers AS c
           SET version = u.version, event_sequence = u.event_sequence, last_entry_at = u.last_entry_at
          FROM unnest($2::customer_change[]) AS u
         WHERE c.environment_id = $1::uuid AND c.id = u.id
    ), account_rows AS (
        UPDATE accounts AS a
           SET blocks_mc = u.blocks_mc, reserved_mc = u.reserved_mc, overdraft_mc = u.overdraft_mc,
               lifetime_earned_mc = u.lifetime_earned_mc, lifetime_spent_mc = u.lifetime_spent_mc,
               lifetime_expired_mc = u.lifetime_expired_mc, status = u.status,
               sequence = u.sequence, hash = u.hash, is_low = u.is_low, is_exhausted = u.is_exhausted
          FROM unnest($3::account_change[]) AS u
         WHERE a.environment_id = $1::uuid AND a.customer_id = u.customer_id AND a.unit = u.unit
    ), block_rows AS (
        UPDATE blocks AS b
           SET remaining_mc = u.remaining_mc, status = u.status,
               is_live = u.status IN ('pending', 'active')
          FROM unnest($4::block_change[]) AS u
         WHERE b.environment_id = $1::uuid AND b.customer_id = u.customer_id AND b.id = u.id
    ), counter_rows AS (
        UPDATE counters AS n
           SET period_end = u.period_end, value = u.value, max = u.max,
               overage_units = u.overage_units, cost_mc = u.cost_mc, is_current = u.is_current,
               details = u.details
          FROM unnest($5::counter_change[]) AS u
         WHERE n.environment_id = $1::uuid AND n.customer_id = u.customer_id
           AND n.billable_metric_key = u.billable_metric_key AND n.kind = u.kind
           AND n.period_start = u.period_start
    ), ledger_rows AS (
        INSERT INTO ledger_entries (environment_id, customer_id, unit, sequence, id, type, delta,
               reserved_delta, balance_after, reserved_after, blocks, reference_type, reference_id,
               request_id, actor, occurred_at, created_at, details, texts_digest, hash)
        SELECT $1::uuid, u.* FROM unnest($6::new_ledger_entry[]) AS u
    ), usage_rows AS (
        INSERT INTO usage_events (environment_id, customer_id, id, billable_metric_key, status,
               units, value, cost, unit, overage, draws, rule_id, reservation_id, timestamp,
               dimensions, metadata, idempotency_key, text_salt, ledger_sequence, details, created_at)
        SELECT $1::uuid, u.* FROM unnest($7::new_usage_event[]) AS u
    ), key_rows AS (
        INSERT INTO idempotency_keys (environment_id, key_digest, key, fingerprint, status, body,
               customer_id, is_money, created_at)
        SELECT $1::uuid, u.* FROM unnest($8::new_idempotency_key[]) AS u
    )
    SELECT pg_notify('quotastack_customers', payload) FROM unnest($9::text[]) AS payload
"""

DELETE_EXTERNAL_IDS: Final = """
    DELETE FROM external_ids WHERE environment_id = $1::uuid AND customer_id = ANY($2::uuid[])
"""
UPSERT_DUE: Final = """
    INSERT INTO customer_due AS d (environment_id, customer_id, due_at)
    SELECT $1::uuid, u.* FROM unnest($2::uuid[], $3::timestamptz[]) AS u
        ON CONFLICT (environment_id, customer_id)
        DO UPDATE SET due_at = excluded.due_at, claimed_until = NULL
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


def account_row(customer_id: str, account: Account) -> Row:
    """The columns of WRITE_HOT for one account."""
    return (
        customer_id, account.unit, account.blocks_mc, account.reserved_mc, account.overdraft_mc,
        account.lifetime_earned_mc, account.lifetime_spent_mc, account.lifetime_expired_mc,
        account.status, account.sequence, account.hash, account.is_low, account.is_exhausted,
    )  # fmt: skip


def counter_row(customer_id: str, counter: Counter) -> Row:
    """The columns of WRITE_HOT for one counter."""
    return (
        customer_id, counter.billable_metric_key, counter.kind, counter.period_start,
        counter.period_end, counter.value, counter.max, counter.overage_units, counter.cost_mc,
        counter.is_current, json_object(counter.details),
    )  # fmt: skip


def entry_row(customer_id: str, entry: LedgerEntry) -> Row:
    """The columns of WRITE_HOT for one ledger entry."""
    return (
        customer_id, entry.unit, entry.sequence, entry.id, entry.type, entry.delta_mc,
        entry.reserved_delta_mc, entry.balance_after_mc, entry.reserved_after_mc,
        json_pairs(entry.blocks), entry.reference_type, entry.reference_id, entry.request_id,
        entry.actor, entry.occurred_at, entry.created_at,
        None if entry.details is None else json_text(entry.details), entry.texts_digest, entry.hash,
    )  # fmt: skip


def usage_row(customer_id: str, event: UsageEvent, salt: bytes | None) -> Row:
    """The columns of WRITE_HOT for one usage event; ``salt`` is that of its entry's texts."""
    return (
        customer_id, event.id, event.billable_metric_key, event.status, event.units, event.value,
        event.cost_mc, event.unit, event.overage_mc, json_pairs(event.draws), event.rule_id,
        event.reservation_id, event.timestamp, json_object(event.dimensions), json_object(event.metadata),
        event.idempotency_key, salt, event.ledger_sequence, json_object(event.details),
        event.created_at,
    )  # fmt: skip


class HotRows:
    """The rows of one environment's batch that ``write_hot`` writes, collected customer by customer."""

    __slots__ = ("accounts", "blocks", "counters", "customers", "entries", "keys", "texts", "usage")

    def __init__(self) -> None:
        self.customers: list[Row] = []
        self.accounts: list[Row] = []
        self.blocks: list[Row] = []
        self.counters: list[Row] = []
        self.entries: list[Row] = []
        self.usage: list[Row] = []
        self.keys: list[Row] = []
        # Texts of entries that no usage event carries, for write_objects.
        self.texts: list[Row] = []

    def add_changes(self, customer: Customer, changes: Changes, accounts: dict[str, Account]) -> None:
        """Collect what one customer's draft changed."""
        customer_id = customer.id
        for unit in changes.changed_accounts:
            self.accounts.append(account_row(customer_id, accounts[unit]))
        for block in changes.changed_blocks.values():
            if block.id not in changes.reworked_blocks:
                self.blocks.append((customer_id, block.id, block.remaining_mc, block.status))
        for place, counter in changes.counters.items():
            if place not in changes.new_counters:
                self.counters.append(counter_row(customer_id, counter))
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


async def write_hot(tx: Connection, environment_id: str, rows: HotRows, notices: Sequence[str]) -> None:
    """Write the collected rows of one environment and queue the notices. One statement.

    Raises:
        asyncpg.UniqueViolationError: a key was used by a customer of another lane meanwhile.
    """
    await tx.execute(
        WRITE_HOT,
        environment_id,
        rows.customers,
        rows.accounts,
        rows.blocks,
        rows.counters,
        rows.entries,
        rows.usage,
        rows.keys,
        notices,
    )


async def write_due(
    tx: Connection, environment_id: str, due: Iterable[tuple[str, datetime]], gone: Sequence[str]
) -> None:
    """Tell the sweep when each customer is due next; ``gone`` have nothing ahead any more."""
    rows = sorted(due)
    if rows:
        await tx.execute(UPSERT_DUE, environment_id, *columns_of(rows, 2))
    if gone:
        await tx.execute(DELETE_DUE, environment_id, gone)


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
