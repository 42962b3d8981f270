"""Batch writes: what a batch changed in one environment, with few set-based statements.

``write_hot`` is one statement for all that a usual debit touches: customers, accounts, blocks,
counters, ledger, usage, keys and the notice to other processes. ``write_objects`` writes what is
rarer, one statement for each kind of row that there is. Only ``engine/batch.py`` calls them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.changes import Changes, LedgerEntry, UsageEvent
from quotastack.core.customer_state import Account, Block, Counter, Customer, Hold, Subscription

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

# Every array is one column of rows that were decided in memory. The customers' rows are locked, so
# no row here can be another's at the same time; the keys' primary key settles what lanes cannot.
WRITE_HOT: Final = """
    WITH customer_rows AS (
        UPDATE customers AS c
           SET version = u.version, event_sequence = u.event_sequence, last_entry_at = u.last_entry_at
          FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[])
               AS u (id, version, event_sequence, last_entry_at)
         WHERE c.environment_id = $1::uuid AND c.id = u.id
    ), account_rows AS (
        UPDATE accounts AS a
           SET blocks_mc = u.blocks_mc, reserved_mc = u.reserved_mc, overdraft_mc = u.overdraft_mc,
               lifetime_earned_mc = u.earned_mc, lifetime_spent_mc = u.spent_mc,
               lifetime_expired_mc = u.expired_mc, status = u.status, sequence = u.sequence,
               hash = u.hash, is_low = u.is_low, is_exhausted = u.is_exhausted
          FROM unnest($6::uuid[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[],
                      $11::bigint[], $12::bigint[], $13::bigint[], $14::text[], $15::bigint[],
                      $16::bytea[], $17::boolean[], $18::boolean[])
               AS u (customer_id, unit, blocks_mc, reserved_mc, overdraft_mc, earned_mc, spent_mc,
                     expired_mc, status, sequence, hash, is_low, is_exhausted)
         WHERE a.environment_id = $1::uuid AND a.customer_id = u.customer_id AND a.unit = u.unit
    ), block_rows AS (
        UPDATE blocks AS b
           SET remaining_mc = u.remaining_mc, status = u.status,
               is_live = u.status IN ('pending', 'active')
          FROM unnest($19::uuid[], $20::uuid[], $21::bigint[], $22::text[])
               AS u (customer_id, id, remaining_mc, status)
         WHERE b.environment_id = $1::uuid AND b.customer_id = u.customer_id AND b.id = u.id
    ), counter_rows AS (
        UPDATE counters AS n
           SET period_end = u.period_end, value = u.value, max = u.max,
               overage_units = u.overage_units, cost_mc = u.cost_mc, is_current = u.is_current,
               details = u.details
          FROM unnest($23::uuid[], $24::text[], $25::text[], $26::timestamptz[], $27::timestamptz[],
                      $28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[], $32::boolean[],
                      $33::jsonb[])
               AS u (customer_id, billable_metric_key, kind, period_start, period_end, value, max,
                     overage_units, cost_mc, is_current, details)
         WHERE n.environment_id = $1::uuid AND n.customer_id = u.customer_id
           AND n.billable_metric_key = u.billable_metric_key AND n.kind = u.kind
           AND n.period_start = u.period_start
    ), ledger_rows AS (
        INSERT INTO ledger_entries (environment_id, customer_id, unit, sequence, id, type, delta,
               reserved_delta, balance_after, reserved_after, blocks, reference_type, reference_id,
               request_id, actor, occurred_at, created_at, details, texts_digest, hash)
        SELECT $1::uuid, u.*
          FROM unnest($34::uuid[], $35::text[], $36::bigint[], $37::uuid[], $38::text[],
                      $39::bigint[], $40::bigint[], $41::bigint[], $42::bigint[], $43::jsonb[],
                      $44::text[], $45::text[], $46::text[], $47::text[], $48::timestamptz[],
                      $49::timestamptz[], $50::jsonb[], $51::bytea[], $52::bytea[]) AS u
    ), usage_rows AS (
        INSERT INTO usage_events (environment_id, customer_id, id, billable_metric_key, status,
               units, value, cost, unit, overage, draws, rule_id, reservation_id, timestamp,
               dimensions, metadata, idempotency_key, text_salt, ledger_sequence, details, created_at)
        SELECT $1::uuid, u.*
          FROM unnest($53::uuid[], $54::uuid[], $55::text[], $56::text[], $57::bigint[],
                      $58::bigint[], $59::bigint[], $60::text[], $61::bigint[], $62::jsonb[],
                      $63::uuid[], $64::uuid[], $65::timestamptz[], $66::jsonb[], $67::jsonb[],
                      $68::text[], $69::bytea[], $70::bigint[], $71::jsonb[], $72::timestamptz[]) AS u
    ), key_rows AS (
        INSERT INTO idempotency_keys (environment_id, key_digest, key, fingerprint, status, body,
               customer_id, is_money, created_at)
        SELECT $1::uuid, u.*
          FROM unnest($73::bytea[], $74::text[], $75::bytea[], $76::smallint[], $77::bytea[],
                      $78::uuid[], $79::boolean[], $80::timestamptz[]) AS u
    )
    SELECT pg_notify('quotastack_customers', payload) FROM unnest($81::text[]) AS payload
"""

# The objects of a customer that are written whole, by kind.
UPSERT_RESERVATIONS: Final = """
    INSERT INTO reservations AS r (environment_id, customer_id, id, is_live, status,
           billable_metric_key, created_at, doc)
    SELECT $1::uuid, u.*
      FROM unnest($2::uuid[], $3::uuid[], $4::boolean[], $5::text[], $6::text[], $7::timestamptz[],
                  $8::jsonb[]) AS u
        ON CONFLICT (environment_id, customer_id, id)
        DO UPDATE SET is_live = excluded.is_live, status = excluded.status, doc = excluded.doc
"""
UPSERT_SUBSCRIPTIONS: Final = """
    INSERT INTO subscriptions AS s (environment_id, customer_id, id, is_live, status, plan_id,
           plan_variant_id, created_at, doc)
    SELECT $1::uuid, u.*
      FROM unnest($2::uuid[], $3::uuid[], $4::boolean[], $5::text[], $6::uuid[], $7::uuid[],
                  $8::timestamptz[], $9::jsonb[]) AS u
        ON CONFLICT (environment_id, customer_id, id)
        DO UPDATE SET is_live = excluded.is_live, status = excluded.status,
           plan_variant_id = excluded.plan_variant_id, doc = excluded.doc
"""
UPSERT_BLOCKS: Final = """
    INSERT INTO blocks AS b (environment_id, customer_id, id, unit, original_mc, remaining_mc,
           priority, effective_at, expires_at, source, status, is_live, created_at, doc)
    SELECT $1::uuid, u.*
      FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                  $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::boolean[],
                  $13::timestamptz[], $14::jsonb[]) AS u
        ON CONFLICT (environment_id, customer_id, id)
        DO UPDATE SET remaining_mc = excluded.remaining_mc, expires_at = excluded.expires_at,
           status = excluded.status, is_live = excluded.is_live, doc = excluded.doc
"""
UPSERT_COUNTERS: Final = """
    INSERT INTO counters AS n (environment_id, customer_id, billable_metric_key, kind,
           period_start, period_end, value, max, overage_units, cost_mc, is_current, details)
    SELECT $1::uuid, u.*
      FROM unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                  $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::boolean[],
                  $12::jsonb[]) AS u
        ON CONFLICT (environment_id, customer_id, billable_metric_key, kind, period_start)
        DO UPDATE SET period_end = excluded.period_end, value = excluded.value,
           max = excluded.max, overage_units = excluded.overage_units,
           cost_mc = excluded.cost_mc, is_current = excluded.is_current,
           details = excluded.details
"""
INSERT_ACCOUNTS: Final = """
    INSERT INTO accounts (environment_id, customer_id, unit)
    SELECT $1::uuid, u.* FROM unnest($2::uuid[], $3::text[]) AS u
"""
_UPSERT_DOCS: Final = """
    INSERT INTO {table} AS t (environment_id, customer_id, {key}, doc)
    SELECT $1::uuid, u.* FROM unnest($2::uuid[], $3::text[], $4::jsonb[]) AS u
        ON CONFLICT (environment_id, customer_id, {key}) DO UPDATE SET doc = excluded.doc
"""
UPSERT_ASSETS: Final = _UPSERT_DOCS.format(table="assets", key="billable_metric_key")
UPSERT_OVERRIDES: Final = _UPSERT_DOCS.format(table="overrides", key="billable_metric_key")
UPSERT_AUTO_TOPUPS: Final = _UPSERT_DOCS.format(table="auto_topups", key="unit")
_DELETE_DOCS: Final = """
    DELETE FROM {table} AS t
     USING unnest($2::uuid[], $3::text[]) AS u (customer_id, key)
     WHERE t.environment_id = $1::uuid AND t.customer_id = u.customer_id AND t.{key} = u.key
"""
DELETE_OVERRIDES: Final = _DELETE_DOCS.format(table="overrides", key="billable_metric_key")
DELETE_AUTO_TOPUPS: Final = _DELETE_DOCS.format(table="auto_topups", key="unit")

INSERT_LEDGER_TEXTS: Final = """
    INSERT INTO ledger_texts (environment_id, customer_id, unit, sequence, salt, idempotency_key,
           reason, metadata)
    SELECT $1::uuid, u.*
      FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::bytea[], $6::text[], $7::text[],
                  $8::jsonb[]) AS u
"""
INSERT_EVENTS: Final = """
    INSERT INTO events (environment_id, customer_id, sequence, id, type, data, request_id, created_at)
    SELECT $1::uuid, u.*
      FROM unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::jsonb[], $7::text[],
                  $8::timestamptz[]) AS u
"""
UPDATE_USAGE_EVENTS: Final = """
    UPDATE usage_events AS e
       SET status = u.status, units = u.units, cost = u.cost, overage = u.overage, draws = u.draws,
           rule_id = u.rule_id, ledger_sequence = u.ledger_sequence, details = u.details
      FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                  $8::jsonb[], $9::uuid[], $10::bigint[], $11::jsonb[])
           AS u (customer_id, id, status, units, cost, overage, draws, rule_id, ledger_sequence, details)
     WHERE e.environment_id = $1::uuid AND e.customer_id = u.customer_id AND e.id = u.id
"""
INSERT_PAYMENTS: Final = """
    INSERT INTO payment_ids (environment_id, external_payment_id, block_id, customer_id)
    SELECT $1::uuid, u.* FROM unnest($2::text[], $3::uuid[], $4::uuid[]) AS u
"""
UPDATE_CUSTOMERS: Final = """
    UPDATE customers AS c
       SET external_id = u.external_id, display_name = u.display_name, email = u.email,
           metadata = u.metadata, low_balance_threshold = u.low_balance_threshold,
           overage_policy = u.overage_policy, overage_limit = u.overage_limit,
           updated_at = u.updated_at, deleted_at = u.deleted_at
      FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bigint[],
                  $8::text[], $9::bigint[], $10::timestamptz[], $11::timestamptz[])
           AS u (id, external_id, display_name, email, metadata, low_balance_threshold,
                 overage_policy, overage_limit, updated_at, deleted_at)
     WHERE c.environment_id = $1::uuid AND c.id = u.id
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

_json = msgspec.json.Encoder().encode

Row = tuple[Any, ...]


def _text(value: Any) -> str:
    return _json(value).decode()


_EMPTY_OBJECT: Final = "{}"
_EMPTY_ARRAY: Final = "[]"


def _object(value: dict[str, Any]) -> str:
    return _json(value).decode() if value else _EMPTY_OBJECT


def _pairs(pairs: tuple[tuple[str, int], ...]) -> str:
    return _json(pairs).decode() if pairs else _EMPTY_ARRAY


def _columns(rows: Sequence[Row], count: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]


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
        counter.is_current, _object(counter.details),
    )  # fmt: skip


def entry_row(customer_id: str, entry: LedgerEntry) -> Row:
    """The columns of WRITE_HOT for one ledger entry."""
    return (
        customer_id, entry.unit, entry.sequence, entry.id, entry.type, entry.delta_mc,
        entry.reserved_delta_mc, entry.balance_after_mc, entry.reserved_after_mc,
        _pairs(entry.blocks), entry.reference_type, entry.reference_id, entry.request_id,
        entry.actor, entry.occurred_at, entry.created_at,
        None if entry.details is None else _text(entry.details), entry.texts_digest, entry.hash,
    )  # fmt: skip


def usage_row(customer_id: str, event: UsageEvent, salt: bytes | None) -> Row:
    """The columns of WRITE_HOT for one usage event; ``salt`` is that of its entry's texts."""
    return (
        customer_id, event.id, event.billable_metric_key, event.status, event.units, event.value,
        event.cost_mc, event.unit, event.overage_mc, _pairs(event.draws), event.rule_id,
        event.reservation_id, event.timestamp, _object(event.dimensions), _object(event.metadata),
        event.idempotency_key, salt, event.ledger_sequence, _object(event.details),
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
                metadata = None if texts.metadata is None else _text(texts.metadata)
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
        *_columns(rows.customers, 4),
        *_columns(rows.accounts, 13),
        *_columns(rows.blocks, 4),
        *_columns(rows.counters, 11),
        *_columns(rows.entries, 19),
        *_columns(rows.usage, 20),
        *_columns(rows.keys, 8),
        notices,
    )


class ObjectRows:
    """The rarer rows of one environment's batch: statement and rows, in the order of writing."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}

    def add(self, statement: str, row: Row) -> None:
        """One more row for ``statement``."""
        self.rows.setdefault(statement, []).append(row)

    def add_changes(self, customer: Customer, changes: Changes) -> None:
        """Collect what one customer's draft changed beyond the hot rows."""
        customer_id = customer.id
        for unit in changes.new_accounts:
            self.add(INSERT_ACCOUNTS, (customer_id, unit))
        for block in changes.new_blocks.values():
            self.add(UPSERT_BLOCKS, _block_row(customer_id, block))
        for block_id in changes.reworked_blocks:
            self.add(UPSERT_BLOCKS, _block_row(customer_id, changes.changed_blocks[block_id]))
        for place in changes.new_counters:
            self.add(UPSERT_COUNTERS, counter_row(customer_id, changes.counters[place]))
        for hold in changes.holds.values():
            self.add(UPSERT_RESERVATIONS, _hold_row(customer_id, hold))
        for subscription in changes.subscriptions.values():
            self.add(UPSERT_SUBSCRIPTIONS, _subscription_row(customer_id, subscription))
        for asset in changes.assets.values():
            self.add(UPSERT_ASSETS, (customer_id, asset.billable_metric_key, _text(asset)))
        for override in changes.overrides.values():
            self.add(UPSERT_OVERRIDES, (customer_id, override.billable_metric_key, _text(override)))
        for metric_key in changes.deleted_overrides:
            self.add(DELETE_OVERRIDES, (customer_id, metric_key))
        for auto_topup in changes.auto_topups.values():
            self.add(UPSERT_AUTO_TOPUPS, (customer_id, auto_topup.unit, _text(auto_topup)))
        for unit in changes.deleted_auto_topups:
            self.add(DELETE_AUTO_TOPUPS, (customer_id, unit))
        for event in changes.events:
            self.add(
                INSERT_EVENTS,
                (customer_id, event.sequence, event.id, event.type, _text(event.data),
                 event.request_id, event.created_at),
            )  # fmt: skip
        for event in changes.usage_updates.values():
            self.add(UPDATE_USAGE_EVENTS, _usage_update_row(customer_id, event))
        for payment_id, block_id in changes.payments:
            self.add(INSERT_PAYMENTS, (payment_id, block_id, customer_id))
        if changes.is_customer_changed:
            self.add(UPDATE_CUSTOMERS, _customer_row(customer))


def _block_row(customer_id: str, block: Block) -> Row:
    return (
        customer_id, block.id, block.unit, block.original_mc, block.remaining_mc, block.priority,
        block.effective_at, block.expires_at, block.source, block.status,
        block.status in {"pending", "active"}, block.created_at, _text(block),
    )  # fmt: skip


def _hold_row(customer_id: str, hold: Hold) -> Row:
    return (
        customer_id, hold.id, hold.status == "active", hold.status, hold.billable_metric_key,
        hold.created_at, _text(hold),
    )  # fmt: skip


def _subscription_row(customer_id: str, subscription: Subscription) -> Row:
    return (
        customer_id, subscription.id, subscription.is_live, subscription.status,
        subscription.plan_id, subscription.plan_variant_id, subscription.created_at,
        _text(subscription),
    )  # fmt: skip


def _usage_update_row(customer_id: str, event: UsageEvent) -> Row:
    return (
        customer_id, event.id, event.status, event.units, event.cost_mc, event.overage_mc,
        _pairs(event.draws), event.rule_id, event.ledger_sequence, _object(event.details),
    )  # fmt: skip


def _customer_row(customer: Customer) -> Row:
    return (
        customer.id, customer.external_id, customer.display_name, customer.email,
        _text(customer.metadata), customer.low_balance_threshold, customer.overage_policy,
        customer.overage_limit, customer.updated_at, customer.deleted_at,
    )  # fmt: skip


async def write_objects(tx: Connection, environment_id: str, rows: ObjectRows) -> None:
    """Write the collected rarer rows of one environment: one statement for each kind there is.

    Raises:
        asyncpg.UniqueViolationError: ``payment_ids_pkey``: the payment was granted meanwhile.
    """
    for statement, found in rows.rows.items():
        await tx.execute(statement, environment_id, *_columns(sorted(found, key=_order), 0))


def _order(row: Row) -> tuple[str, str]:
    # Sorted, so that registries shared by customers never wait for each other in a circle.
    return (str(row[0]), str(row[1]))


async def write_due(
    tx: Connection, environment_id: str, due: Iterable[tuple[str, datetime]], gone: Sequence[str]
) -> None:
    """Tell the sweep when each customer is due next; ``gone`` have nothing ahead any more."""
    rows = sorted(due)
    if rows:
        await tx.execute(UPSERT_DUE, environment_id, *_columns(rows, 2))
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
