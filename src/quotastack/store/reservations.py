"""Reservations: reads. The engine writes them; a page is ordered by id, which is the order of arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.customer_state import Hold

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

_SELECT_HOLD: Final = """
    SELECT r.doc::text AS doc, r.customer_id::text AS customer_id, c.external_id
      FROM reservations AS r
      JOIN customers AS c ON c.environment_id = r.environment_id AND c.id = r.customer_id
     WHERE r.environment_id = current_setting('quotastack.environment_id')::uuid
"""
_FILTERS: Final = """
       AND ($2::text IS NULL OR r.billable_metric_key = $2)
       AND ($3::text IS NULL OR r.status = $3)
"""
_DESC: Final = """
       AND ($4::uuid IS NULL OR r.id < $4)
     ORDER BY r.id DESC
     LIMIT $5
"""
_ASC: Final = """
       AND ($4::uuid IS NULL OR r.id > $4)
     ORDER BY r.id
     LIMIT $5
"""
# Two statements, because one plan for both would read the environment for the sake of one customer.
_OF_CUSTOMER: Final = " AND r.customer_id = $1::uuid"
_OF_ANYONE: Final = " AND $1::uuid IS NULL"
SELECT_RESERVATIONS_DESC: Final = _SELECT_HOLD + _OF_ANYONE + _FILTERS + _DESC
SELECT_RESERVATIONS_ASC: Final = _SELECT_HOLD + _OF_ANYONE + _FILTERS + _ASC
SELECT_RESERVATIONS_OF_CUSTOMER_DESC: Final = _SELECT_HOLD + _OF_CUSTOMER + _FILTERS + _DESC
SELECT_RESERVATIONS_OF_CUSTOMER_ASC: Final = _SELECT_HOLD + _OF_CUSTOMER + _FILTERS + _ASC
SELECT_RESERVATION: Final = _SELECT_HOLD + " AND r.id = $1::uuid"

_decode = msgspec.json.Decoder(Hold).decode


class ReservationRow(msgspec.Struct, frozen=True):
    """One reservation and whose it is."""

    hold: Hold
    customer_id: str
    external_id: str | None


def _row(row: Any) -> ReservationRow:
    return ReservationRow(_decode(row["doc"]), row["customer_id"], row["external_id"])


async def select_reservation(tx: Connection, reservation_id: str) -> ReservationRow | None:
    """One reservation as it was last written, or None."""
    row = await tx.fetchrow(SELECT_RESERVATION, reservation_id)
    return None if row is None else _row(row)


async def select_reservations(
    tx: Connection,
    *,
    customer_id: str | None = None,
    metric_key: str | None = None,
    status: str | None = None,
    after_id: str | None,
    is_ascending: bool,
    limit: int,
) -> list[ReservationRow]:
    """A page of reservations."""
    if customer_id is None:
        statement = SELECT_RESERVATIONS_ASC if is_ascending else SELECT_RESERVATIONS_DESC
    elif is_ascending:
        statement = SELECT_RESERVATIONS_OF_CUSTOMER_ASC
    else:
        statement = SELECT_RESERVATIONS_OF_CUSTOMER_DESC
    rows = await tx.fetch(statement, customer_id, metric_key, status, after_id, limit)
    return [_row(row) for row in rows]
