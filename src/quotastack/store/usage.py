"""Usage events: reads. The engine writes them; a page is ordered by id, which is the order of arrival."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.changes import UsageEvent

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

_SELECT_USAGE: Final = """
    SELECT json_build_object(
        'id', u.id, 'billable_metric_key', u.billable_metric_key, 'status', u.status,
        'units', u.units, 'value', u.value, 'cost_mc', u.cost, 'unit', u.unit,
        'overage_mc', u.overage, 'draws', u.draws, 'rule_id', u.rule_id,
        'reservation_id', u.reservation_id, 'timestamp', u.timestamp, 'dimensions', u.dimensions,
        'metadata', u.metadata, 'idempotency_key', u.idempotency_key,
        'ledger_sequence', u.ledger_sequence, 'details', u.details, 'created_at', u.created_at
        )::text AS doc, u.customer_id::text AS customer_id, c.external_id
      FROM usage_events AS u
      JOIN customers AS c ON c.environment_id = u.environment_id AND c.id = u.customer_id
     WHERE u.environment_id = current_setting('quotastack.environment_id')::uuid
"""
_FILTERS: Final = """
       AND ($2::text IS NULL OR u.billable_metric_key = $2)
       AND ($3::text IS NULL OR u.status = $3)
       AND ($4::timestamptz IS NULL OR u.timestamp >= $4)
       AND ($5::timestamptz IS NULL OR u.timestamp < $5)
       AND ($6::jsonb IS NULL OR u.dimensions @> $6)
       AND ($7::uuid IS NULL OR u.reservation_id = $7)
"""
_DESC: Final = """
       AND ($8::uuid IS NULL OR u.id < $8)
     ORDER BY u.id DESC
     LIMIT $9
"""
_ASC: Final = """
       AND ($8::uuid IS NULL OR u.id > $8)
     ORDER BY u.id
     LIMIT $9
"""
# One customer's events stand together under the primary key, all customers' under the index by id: two
# statements, because one plan for both would read the environment for the sake of one customer.
_OF_CUSTOMER: Final = " AND u.customer_id = $1::uuid"
_OF_ANYONE: Final = " AND $1::uuid IS NULL"
SELECT_USAGE_DESC: Final = _SELECT_USAGE + _OF_ANYONE + _FILTERS + _DESC
SELECT_USAGE_ASC: Final = _SELECT_USAGE + _OF_ANYONE + _FILTERS + _ASC
SELECT_USAGE_OF_CUSTOMER_DESC: Final = _SELECT_USAGE + _OF_CUSTOMER + _FILTERS + _DESC
SELECT_USAGE_OF_CUSTOMER_ASC: Final = _SELECT_USAGE + _OF_CUSTOMER + _FILTERS + _ASC
SELECT_USAGE_EVENT: Final = _SELECT_USAGE + " AND u.id = $1::uuid"

_decode = msgspec.json.Decoder(UsageEvent).decode


class UsageRow(msgspec.Struct, frozen=True):
    """One event and whose it is; ``external_id`` is None once the customer was deleted."""

    event: UsageEvent
    customer_id: str
    external_id: str | None


def _row(row: Any) -> UsageRow:
    return UsageRow(_decode(row["doc"]), row["customer_id"], row["external_id"])


async def select_usage_event(tx: Connection, usage_id: str) -> UsageRow | None:
    """One event, or None."""
    row = await tx.fetchrow(SELECT_USAGE_EVENT, usage_id)
    return None if row is None else _row(row)


async def select_usage_events(
    tx: Connection,
    *,
    customer_id: str | None = None,
    metric_key: str | None = None,
    status: str | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    dimension: tuple[str, str] | None = None,
    reservation_id: str | None = None,
    after_id: str | None,
    is_ascending: bool,
    limit: int,
) -> list[UsageRow]:
    """A page of events; ``dimension`` is one name with its value, times are those of the events."""
    if customer_id is None:
        statement = SELECT_USAGE_ASC if is_ascending else SELECT_USAGE_DESC
    else:
        statement = SELECT_USAGE_OF_CUSTOMER_ASC if is_ascending else SELECT_USAGE_OF_CUSTOMER_DESC
    wanted = None if dimension is None else msgspec.json.encode(dict([dimension])).decode()
    rows = await tx.fetch(
        statement,
        customer_id,
        metric_key,
        status,
        from_at,
        to_at,
        wanted,
        reservation_id,
        after_id,
        limit,
    )
    return [_row(row) for row in rows]
