"""History: the rows beyond the state that a command named in its ``needs``, for ``draft.extra``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.changes import UsageEvent
from quotastack.core.counters import Recount
from quotastack.core.customer_state import Block, Counter, Hold, Subscription

if TYPE_CHECKING:
    from quotastack.core.commands import Needs
    from quotastack.runtime.database import Connection

_DOCS: Final = """
    SELECT t.doc::text AS doc
      FROM {table} AS t
     WHERE t.environment_id = current_setting('quotastack.environment_id')::uuid
       AND t.customer_id = $1::uuid AND t.id = ANY($2::uuid[])
"""
SELECT_HOLDS: Final = _DOCS.format(table="reservations")
SELECT_SUBSCRIPTIONS: Final = _DOCS.format(table="subscriptions")

SELECT_BLOCKS: Final = """
    SELECT (b.doc || jsonb_build_object('remaining_mc', b.remaining_mc, 'status', b.status))::text AS doc
      FROM blocks AS b
     WHERE b.environment_id = current_setting('quotastack.environment_id')::uuid
       AND b.customer_id = $1::uuid AND b.id = ANY($2::uuid[])
"""

SELECT_USAGE_EVENTS: Final = """
    SELECT json_build_object(
        'id', u.id, 'billable_metric_key', u.billable_metric_key, 'status', u.status,
        'units', u.units, 'value', u.value, 'cost_mc', u.cost, 'unit', u.unit,
        'overage_mc', u.overage, 'draws', u.draws, 'rule_id', u.rule_id,
        'reservation_id', u.reservation_id, 'timestamp', u.timestamp, 'dimensions', u.dimensions,
        'metadata', u.metadata, 'idempotency_key', u.idempotency_key,
        'ledger_sequence', u.ledger_sequence, 'details', u.details, 'created_at', u.created_at
    )::text AS doc
      FROM usage_events AS u
     WHERE u.environment_id = current_setting('quotastack.environment_id')::uuid
       AND u.customer_id = $1::uuid AND u.id = ANY($2::uuid[])
"""

SELECT_PAYMENTS: Final = """
    SELECT external_payment_id, block_id::text AS block_id
      FROM payment_ids
     WHERE environment_id = current_setting('quotastack.environment_id')::uuid
       AND external_payment_id = ANY($1::text[])
"""

SELECT_COUNTERS_AT: Final = """
    SELECT json_build_object(
        'billable_metric_key', n.billable_metric_key, 'kind', n.kind,
        'period_start', n.period_start, 'period_end', n.period_end, 'value', n.value,
        'max', n.max, 'overage_units', n.overage_units, 'cost_mc', n.cost_mc,
        'details', n.details, 'is_current', n.is_current)::text AS doc
      FROM counters AS n
     WHERE n.environment_id = current_setting('quotastack.environment_id')::uuid
       AND n.customer_id = $1::uuid AND n.billable_metric_key = $2
       AND n.period_start <= $3 AND n.period_end > $3 AND NOT n.is_current
"""

# The sums over a metric's own events; ``reading_before`` is what a Gauge's period began with.
SELECT_RECOUNT: Final = """
    SELECT coalesce(sum(u.units), 0)::bigint AS units, coalesce(sum(u.cost), 0)::bigint AS cost,
           max(u.value) AS highest,
           (SELECT b.value FROM usage_events AS b
             WHERE b.environment_id = current_setting('quotastack.environment_id')::uuid
               AND b.customer_id = $1::uuid AND b.billable_metric_key = $2
               AND b.timestamp < $3 AND b.status <> ALL('{accepted,rejected,reversed}'::text[])
             ORDER BY b.timestamp DESC, b.id DESC LIMIT 1) AS reading_before
      FROM usage_events AS u
     WHERE u.environment_id = current_setting('quotastack.environment_id')::uuid
       AND u.customer_id = $1::uuid AND u.billable_metric_key = $2
       AND u.timestamp >= $3 AND u.timestamp < $4
       AND u.status <> ALL('{accepted,rejected,reversed}'::text[])
"""

_decode_hold = msgspec.json.Decoder(Hold).decode
_decode_block = msgspec.json.Decoder(Block).decode
_decode_subscription = msgspec.json.Decoder(Subscription).decode
_decode_usage_event = msgspec.json.Decoder(UsageEvent).decode
_decode_counter = msgspec.json.Decoder(Counter).decode


async def _select_docs(tx: Connection, statement: str, customer_id: str, ids: Sequence[str]) -> list[str]:
    return [row["doc"] for row in await tx.fetch(statement, customer_id, ids)]


async def load_history(tx: Connection, customer_id: str, needs: Needs, extra: dict[Any, Any]) -> None:
    """Put the rows that exist into ``extra``, under the keys that ``Needs`` describes.

    One statement for each kind named; closed counters add to those loaded for another instant.
    """
    if needs.usage_ids:
        for doc in await _select_docs(tx, SELECT_USAGE_EVENTS, customer_id, needs.usage_ids):
            event = _decode_usage_event(doc)
            extra["usage", event.id] = event
    if needs.hold_ids:
        for doc in await _select_docs(tx, SELECT_HOLDS, customer_id, needs.hold_ids):
            hold = _decode_hold(doc)
            extra["hold", hold.id] = hold
    if needs.block_ids:
        for doc in await _select_docs(tx, SELECT_BLOCKS, customer_id, needs.block_ids):
            block = _decode_block(doc)
            extra["block", block.id] = block
    if needs.subscription_ids:
        for doc in await _select_docs(tx, SELECT_SUBSCRIPTIONS, customer_id, needs.subscription_ids):
            subscription = _decode_subscription(doc)
            extra["subscription", subscription.id] = subscription
    if needs.payment_ids:
        for row in await tx.fetch(SELECT_PAYMENTS, needs.payment_ids):
            extra["payment", row["external_payment_id"]] = row["block_id"]
    for metric_key, at in needs.counters_at:
        rows = await _load_counters_at(tx, customer_id, metric_key, at)
        extra["counters", metric_key] = (*extra.get(("counters", metric_key), ()), *rows)
        extra.setdefault(("counters_at", metric_key), set()).add(at)
    for metric_key, start, end in needs.recounts:
        extra["recount", metric_key, start] = await _load_recount(
            tx, customer_id, metric_key, start=start, end=end
        )


async def _load_recount(
    tx: Connection, customer_id: str, metric_key: str, *, start: datetime, end: datetime
) -> Recount:
    row = await tx.fetchrow(SELECT_RECOUNT, customer_id, metric_key, start, end)
    assert row is not None
    readings = [value for value in (row["highest"], row["reading_before"]) if value is not None]
    return Recount(units=row["units"], cost_mc=row["cost"], max=max(readings, default=None))


async def _load_counters_at(
    tx: Connection, customer_id: str, metric_key: str, at: datetime
) -> tuple[Counter, ...]:
    rows = await tx.fetch(SELECT_COUNTERS_AT, customer_id, metric_key, at)
    return tuple(_decode_counter(row["doc"]) for row in rows)
