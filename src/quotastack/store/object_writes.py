"""Object writes: the rarer rows of a batch, one statement for each kind of row that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quotastack.core.changes import Changes, UsageEvent
from quotastack.core.customer_state import Block, Customer, Subscription
from quotastack.store.row_values import Row, columns_of, json_object, json_pairs, json_text

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

# The objects of a customer that are written whole, by kind.
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
        rare = changes.rare
        for unit in rare.new_accounts:
            self.add(INSERT_ACCOUNTS, (customer_id, unit))
        for block in rare.new_blocks.values():
            self.add(UPSERT_BLOCKS, _block_row(customer_id, block))
        for block_id in rare.reworked_blocks:
            self.add(UPSERT_BLOCKS, _block_row(customer_id, changes.changed_blocks[block_id]))
        for subscription in rare.subscriptions.values():
            self.add(UPSERT_SUBSCRIPTIONS, _subscription_row(customer_id, subscription))
        for asset in rare.assets.values():
            self.add(UPSERT_ASSETS, (customer_id, asset.billable_metric_key, json_text(asset)))
        for override in rare.overrides.values():
            self.add(UPSERT_OVERRIDES, (customer_id, override.billable_metric_key, json_text(override)))
        for metric_key in rare.deleted_overrides:
            self.add(DELETE_OVERRIDES, (customer_id, metric_key))
        for auto_topup in rare.auto_topups.values():
            self.add(UPSERT_AUTO_TOPUPS, (customer_id, auto_topup.unit, json_text(auto_topup)))
        for unit in rare.deleted_auto_topups:
            self.add(DELETE_AUTO_TOPUPS, (customer_id, unit))
        for event in rare.usage_updates.values():
            self.add(UPDATE_USAGE_EVENTS, _usage_update_row(customer_id, event))
        for payment_id, block_id in rare.payments:
            self.add(INSERT_PAYMENTS, (payment_id, block_id, customer_id))
        if rare.is_customer_changed:
            self.add(UPDATE_CUSTOMERS, _customer_row(customer))


def _block_row(customer_id: str, block: Block) -> Row:
    return (
        customer_id, block.id, block.unit, block.original_mc, block.remaining_mc, block.priority,
        block.effective_at, block.expires_at, block.source, block.status,
        block.status in {"pending", "active"}, block.created_at, json_text(block),
    )  # fmt: skip


def _subscription_row(customer_id: str, subscription: Subscription) -> Row:
    return (
        customer_id, subscription.id, subscription.is_live, subscription.status,
        subscription.plan_id, subscription.plan_variant_id, subscription.created_at,
        json_text(subscription),
    )  # fmt: skip


def _usage_update_row(customer_id: str, event: UsageEvent) -> Row:
    return (
        customer_id, event.id, event.status, event.units, event.cost_mc, event.overage_mc,
        json_pairs(event.draws), event.rule_id, event.ledger_sequence, json_object(event.details),
    )  # fmt: skip


def _customer_row(customer: Customer) -> Row:
    return (
        customer.id, customer.external_id, customer.display_name, customer.email,
        json_text(customer.metadata), customer.low_balance_threshold, customer.overage_policy,
        customer.overage_limit, customer.updated_at, customer.deleted_at,
    )  # fmt: skip


async def write_objects(tx: Connection, environment_id: str, rows: ObjectRows) -> None:
    """Write the collected rarer rows of one environment: one statement for each kind there is.

    Raises:
        asyncpg.UniqueViolationError: ``payment_ids_pkey``: the payment was granted meanwhile.
    """
    for statement, found in rows.rows.items():
        await tx.execute(statement, environment_id, *columns_of(sorted(found, key=_order), 0))


def _order(row: Row) -> tuple[str, str]:
    # Sorted, so that registries shared by customers never wait for each other in a circle.
    return (str(row[0]), str(row[1]))
