"""The log: events and deliveries as they are listed, and deliveries that are made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection
from quotastack.store.webhook_lanes import StoredEvent
from quotastack.store.webhooks import WAKE_CHANNEL

_EVENT_COLUMNS: Final = """
    ev.id::text, ev.type, ev.data::text, ev.request_id, ev.created_at, ev.sequence, ev.customer_id::text,
    c.external_id, e.tenant_id::text, e.environment
"""
_EVENT_TABLES: Final = """
    quotastack.events AS ev
      JOIN quotastack.environments AS e ON e.id = ev.environment_id
      LEFT JOIN quotastack.customers AS c ON c.environment_id = ev.environment_id AND c.id = ev.customer_id
"""
_EVENT_FILTERS: Final = """
    ev.environment_id = $1::uuid
       AND ($6::uuid IS NULL OR ev.customer_id = $6::uuid) AND ($7::text[] IS NULL OR ev.type = ANY ($7::text[]))
       AND ($8::timestamptz IS NULL OR ev.created_at >= $8) AND ($9::timestamptz IS NULL OR ev.created_at < $9)
"""

# Events of one customer at one instant are told apart by their sequence; ids of one instant are not in order.
SELECT_EVENTS_DESC: Final = f"""
    SELECT {_EVENT_COLUMNS} FROM {_EVENT_TABLES} WHERE {_EVENT_FILTERS}
       AND ($2::timestamptz IS NULL OR (ev.created_at, ev.customer_id, ev.sequence) < ($2, $3::uuid, $4::bigint))
     ORDER BY ev.created_at DESC, ev.customer_id DESC, ev.sequence DESC
     LIMIT $5
"""
SELECT_EVENTS_ASC: Final = f"""
    SELECT {_EVENT_COLUMNS} FROM {_EVENT_TABLES} WHERE {_EVENT_FILTERS}
       AND ($2::timestamptz IS NULL OR (ev.created_at, ev.customer_id, ev.sequence) > ($2, $3::uuid, $4::bigint))
     ORDER BY ev.created_at, ev.customer_id, ev.sequence
     LIMIT $5
"""
SELECT_EVENT: Final = f"""
    SELECT {_EVENT_COLUMNS} FROM {_EVENT_TABLES} WHERE ev.environment_id = $1::uuid AND ev.id = $2::uuid
"""

SELECT_EVENTS_TO_REPLAY: Final = """
    SELECT ev.customer_id::text, ev.sequence, ev.id::text, ev.type
      FROM quotastack.events AS ev
     WHERE ev.environment_id = $1::uuid AND ev.created_at >= $2 AND ev.created_at < $3 AND ev.type = ANY ($4::text[])
       AND ($5::text IS NULL OR ev.data ->> 'severity' = $5)
       AND ($6::text IS NULL OR ev.data ->> 'billable_metric_key' = $6)
     ORDER BY ev.created_at, ev.customer_id, ev.sequence
     LIMIT $7
"""

_DELIVERY_COLUMNS: Final = """
    id::text, endpoint_id::text, lane_id::text, customer_id::text, sequence, event_id::text, event_type, origin, status,
    attempts, next_attempt_at, previous_sequence, body, created_at, finished_at
"""
_DELIVERY_FILTERS: Final = """
    environment_id = $1::uuid
       AND ($5::text IS NULL OR status = $5) AND ($6::uuid IS NULL OR endpoint_id = $6::uuid)
       AND ($7::uuid IS NULL OR customer_id = $7::uuid) AND ($8::uuid IS NULL OR event_id = $8::uuid)
       AND ($9::timestamptz IS NULL OR created_at >= $9) AND ($10::timestamptz IS NULL OR created_at < $10)
"""
SELECT_DELIVERIES_DESC: Final = f"""
    SELECT {_DELIVERY_COLUMNS} FROM quotastack.webhook_deliveries WHERE {_DELIVERY_FILTERS}
       AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
     ORDER BY created_at DESC, id DESC
     LIMIT $4
"""
SELECT_DELIVERIES_ASC: Final = f"""
    SELECT {_DELIVERY_COLUMNS} FROM quotastack.webhook_deliveries WHERE {_DELIVERY_FILTERS}
       AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3::uuid))
     ORDER BY created_at, id
     LIMIT $4
"""
SELECT_DELIVERY: Final = f"""
    SELECT {_DELIVERY_COLUMNS} FROM quotastack.webhook_deliveries WHERE environment_id = $1::uuid AND id = $2::uuid
"""

INSERT_REDELIVERY: Final = f"""
    WITH queued AS (
        INSERT INTO quotastack.webhook_deliveries
            (environment_id, id, endpoint_id, lane_id, customer_id, sequence, event_id, event_type, origin,
             previous_sequence, body)
        SELECT environment_id, $3::uuid, endpoint_id, $3::uuid, customer_id, sequence, event_id, event_type,
               'redelivery', previous_sequence, body
          FROM quotastack.webhook_deliveries
         WHERE environment_id = $1::uuid AND id = $2::uuid
        RETURNING environment_id, endpoint_id, lane_id, customer_id
    ), lanes AS (
        INSERT INTO quotastack.webhook_lanes (environment_id, endpoint_id, lane_id, customer_id, due_at)
        SELECT environment_id, endpoint_id, lane_id, customer_id, now() FROM queued
    )
    SELECT pg_notify('{WAKE_CHANNEL}', '')
"""

INSERT_SAMPLES: Final = f"""
    WITH given AS (
        SELECT *
          FROM unnest($2::uuid[], $3::uuid[], $4::bytea[], $5::boolean[]) AS given (id, endpoint_id, body, is_pulled)
    ), queued AS (
        INSERT INTO quotastack.webhook_deliveries
            (environment_id, id, endpoint_id, lane_id, sequence, event_id, event_type, origin, body)
        SELECT $1::uuid, id, endpoint_id, id, 0, $6::uuid, $7, 'test', body FROM given
    ), lanes AS (
        INSERT INTO quotastack.webhook_lanes (environment_id, endpoint_id, lane_id, due_at)
        SELECT $1::uuid, endpoint_id, id, now() FROM given WHERE NOT is_pulled
    )
    SELECT pg_notify('{WAKE_CHANNEL}', '')
"""

LOCK_LANE: Final = """
    SELECT FROM quotastack.webhook_lanes
     WHERE environment_id = $1::uuid AND endpoint_id = $2::uuid AND lane_id = $3::uuid
       FOR UPDATE
"""
SELECT_HEAD_ID: Final = """
    SELECT id::text FROM quotastack.webhook_deliveries
     WHERE environment_id = $1::uuid AND endpoint_id = $2::uuid AND lane_id = $3::uuid AND status = 'pending'
     ORDER BY sequence
     LIMIT 1
"""
# A lane that is leased stays so: its worker finds the delivery canceled when it is back, and goes on with the next.
SKIP_DELIVERY: Final = f"""
    WITH skipped AS (
        UPDATE quotastack.webhook_deliveries
           SET status = 'canceled', finished_at = clock_timestamp(), next_attempt_at = NULL
         WHERE environment_id = $1::uuid AND id = $2::uuid
        RETURNING endpoint_id, lane_id, sequence
    ), lane AS (
        UPDATE quotastack.webhook_lanes AS l
           SET last_sequence = skipped.sequence,
               due_at = CASE WHEN l.lease_id IS NULL OR l.due_at IS NULL THEN now() ELSE l.due_at END
          FROM skipped
         WHERE l.environment_id = $1::uuid AND l.endpoint_id = skipped.endpoint_id AND l.lane_id = skipped.lane_id
    )
    SELECT pg_notify('{WAKE_CHANNEL}', '')
"""


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as stored. ``attempts`` is JSON."""

    id: str
    endpoint_id: str
    lane_id: str
    customer_id: str | None
    sequence: int
    event_id: str
    event_type: str
    origin: Literal["event", "redelivery", "replay", "test"]
    status: Literal["pending", "succeeded", "failed", "canceled"]
    attempts: str
    next_attempt_at: datetime | None
    previous_sequence: int | None
    body: bytes | None
    created_at: datetime
    finished_at: datetime | None


class EventToReplay(msgspec.Struct, frozen=True):
    """An event that is sent again."""

    customer_id: str
    sequence: int
    id: str
    type: str


class Sample(msgspec.Struct, frozen=True):
    """A sample event for one endpoint, in its format."""

    delivery_id: str
    endpoint_id: str
    body: bytes
    is_pulled: bool


async def select_events(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    after: tuple[Any, ...] | None,
    is_ascending: bool,
    limit: int,
    customer_id: str | None = None,
    types: Sequence[str] | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> list[StoredEvent]:
    """A page of events by (created_at, customer, sequence); ``after`` is that of the last row before."""
    statement = SELECT_EVENTS_ASC if is_ascending else SELECT_EVENTS_DESC
    position = after or (None, None, None)
    wanted = None if types is None else list(types)
    rows = await tx.fetch(statement, environment_id, *position, limit, customer_id, wanted, from_at, to_at)
    return [StoredEvent(**row) for row in rows]


async def select_event(tx: Connection, environment_id: EnvironmentId, *, event_id: str) -> StoredEvent | None:
    """The event of that id."""
    row = await tx.fetchrow(SELECT_EVENT, environment_id, event_id)
    return None if row is None else StoredEvent(**row)


async def select_events_to_replay(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    from_at: datetime,
    to_at: datetime,
    types: Sequence[str],
    severity: str | None,
    billable_metric_key: str | None,
    limit: int,
) -> list[EventToReplay]:
    """Events of the span that an endpoint wants, oldest first, each customer's in sequence."""
    rows = await tx.fetch(
        SELECT_EVENTS_TO_REPLAY,
        environment_id,
        from_at,
        to_at,
        list(types),
        severity,
        billable_metric_key,
        limit,
    )
    return [EventToReplay(*row) for row in rows]


async def select_deliveries(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    after: tuple[Any, ...] | None,
    is_ascending: bool,
    limit: int,
    status: str | None = None,
    endpoint_id: str | None = None,
    customer_id: str | None = None,
    event_id: str | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> list[DeliveryRow]:
    """A page of deliveries by (created_at, id); ``after`` is that of the last row before."""
    statement = SELECT_DELIVERIES_ASC if is_ascending else SELECT_DELIVERIES_DESC
    filters = (status, endpoint_id, customer_id, event_id, from_at, to_at)
    rows = await tx.fetch(statement, environment_id, *(after or (None, None)), limit, *filters)
    return [DeliveryRow(**row) for row in rows]


async def select_delivery(
    tx: Connection, environment_id: EnvironmentId, *, delivery_id: str
) -> DeliveryRow | None:
    """The delivery of that id."""
    row = await tx.fetchrow(SELECT_DELIVERY, environment_id, delivery_id)
    return None if row is None else DeliveryRow(**row)


async def insert_redelivery(
    tx: Connection, environment_id: EnvironmentId, *, delivery_id: str, redelivery_id: str
) -> None:
    """Queue the delivery once more, in a lane of its own: it waits for nobody and holds nobody up."""
    await tx.execute(INSERT_REDELIVERY, environment_id, delivery_id, redelivery_id)


async def insert_samples(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    samples: Sequence[Sample],
    event_id: str,
    event_type: str,
) -> None:
    """Queue one sample event for several endpoints, each in a lane of its own."""
    await tx.execute(
        INSERT_SAMPLES,
        environment_id,
        [sample.delivery_id for sample in samples],
        [sample.endpoint_id for sample in samples],
        [sample.body for sample in samples],
        [sample.is_pulled for sample in samples],
        event_id,
        event_type,
    )


async def lock_lane_of(tx: Connection, environment_id: EnvironmentId, *, delivery: DeliveryRow) -> str | None:
    """Lock the delivery's lane; the id of the delivery at its head, None when nothing waits in it."""
    lane = (environment_id, delivery.endpoint_id, delivery.lane_id)
    await tx.execute(LOCK_LANE, *lane)
    return await tx.fetchval(SELECT_HEAD_ID, *lane)


async def skip_delivery(tx: Connection, environment_id: EnvironmentId, *, delivery_id: str) -> None:
    """Cancel the head of a lane that is locked, and let the lane go on at once."""
    await tx.execute(SKIP_DELIVERY, environment_id, delivery_id)
