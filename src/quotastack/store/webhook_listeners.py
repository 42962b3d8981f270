"""Listeners: endpoints whose deliveries are fetched. They have no lanes; what is pending is what waits."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection
from quotastack.store.webhook_lanes import StoredEvent

TOUCH_LISTENER: Final = """
    UPDATE quotastack.webhook_endpoints SET pulled_at = $3 WHERE environment_id = $1::uuid AND id = $2::uuid
"""

DELETE_STALE_LISTENERS: Final = """
    WITH stale AS (
        UPDATE quotastack.webhook_endpoints
           SET deleted_at = clock_timestamp(), secret = NULL
         WHERE environment_id = $1::uuid AND kind = 'listener' AND deleted_at IS NULL AND pulled_at < $2
        RETURNING id
    ), canceled AS (
        UPDATE quotastack.webhook_deliveries AS d
           SET status = 'canceled', finished_at = clock_timestamp()
          FROM stale
         WHERE d.environment_id = $1::uuid AND d.endpoint_id = stale.id AND d.status = 'pending'
    )
    SELECT count(*) FROM stale
"""

FINISH_PULLED: Final = """
    UPDATE quotastack.webhook_deliveries
       SET status = CASE WHEN $4 THEN 'succeeded' ELSE 'failed' END, finished_at = clock_timestamp(),
           attempts = attempts || jsonb_build_array($5::jsonb)
     WHERE environment_id = $1::uuid AND endpoint_id = $2::uuid AND id = $3::uuid AND status = 'pending'
"""

SELECT_PULLED: Final = """
    SELECT d.id::text AS delivery_id, d.event_id::text, d.event_type, d.origin, d.body,
           (SELECT max(p.sequence) FROM quotastack.webhook_deliveries AS p
             WHERE p.environment_id = d.environment_id AND p.endpoint_id = d.endpoint_id AND p.lane_id = d.lane_id
               AND p.sequence < d.sequence) AS previous_sequence,
           ev.id::text, ev.type, ev.data::text, ev.request_id, ev.created_at, ev.sequence, ev.customer_id::text,
           c.external_id, e.tenant_id::text, e.environment
      FROM quotastack.webhook_deliveries AS d
      JOIN quotastack.environments AS e ON e.id = d.environment_id
      LEFT JOIN quotastack.events AS ev
        ON ev.environment_id = d.environment_id AND ev.customer_id = d.customer_id AND ev.sequence = d.sequence
      LEFT JOIN quotastack.customers AS c ON c.environment_id = d.environment_id AND c.id = d.customer_id
     WHERE d.environment_id = $1::uuid AND d.endpoint_id = $2::uuid AND d.status = 'pending'
     ORDER BY d.created_at, d.sequence, d.id
     LIMIT $3
"""

_EVENT_FIELDS: Final = StoredEvent.__struct_fields__


class PulledDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that waits to be fetched: with its event, or with a body of its own."""

    id: str
    event_id: str
    event_type: str
    origin: str
    body: bytes | None
    previous_sequence: int | None
    event: StoredEvent | None


async def touch_listener(
    tx: Connection, environment_id: EnvironmentId, *, listener_id: str, at: datetime
) -> None:
    """Note that the listener is there."""
    await tx.execute(TOUCH_LISTENER, environment_id, listener_id, at)


async def delete_stale_listeners(tx: Connection, environment_id: EnvironmentId, *, before: datetime) -> int:
    """Remove listeners that have not fetched since, with what waits for them; how many."""
    count: int | None = await tx.fetchval(DELETE_STALE_LISTENERS, environment_id, before)
    return count or 0


async def finish_pulled(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    listener_id: str,
    delivery_id: str,
    is_success: bool,
    attempt: bytes,
) -> None:
    """Write the one attempt of a fetched delivery; nothing when it is not pending any more."""
    await tx.execute(FINISH_PULLED, environment_id, listener_id, delivery_id, is_success, attempt.decode())


async def select_pulled(
    tx: Connection, environment_id: EnvironmentId, *, listener_id: str, limit: int
) -> list[PulledDelivery]:
    """What waits for a listener, in the order in which it was queued, each customer's by sequence."""
    rows = await tx.fetch(SELECT_PULLED, environment_id, listener_id, limit)
    return [_read(row) for row in rows]


def _read(row: Any) -> PulledDelivery:
    event = None
    if row["id"] is not None:
        event = StoredEvent(**{name: row[name] for name in _EVENT_FIELDS})
    return PulledDelivery(
        id=row["delivery_id"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        origin=row["origin"],
        body=row["body"],
        previous_sequence=row["previous_sequence"],
        event=event,
    )
