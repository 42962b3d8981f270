"""Webhook endpoints, and the deliveries that an event makes for them.

Who writes an endpoint holds the environment's lock exclusively and raises its version, so every batch of the
engine fans out to the endpoints that exist when it commits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from quotastack.core.changes import OutboxEvent
from quotastack.core.derived_ids import derived_id
from quotastack.core.event_patterns import EndpointFilter, named_types, wants_event
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection

WAKE_CHANNEL: Final = "quotastack_deliveries"

SELECT_ENDPOINT_FILTERS: Final = """
    SELECT id::text, patterns, severity, billable_metric_key, kind = 'listener' AS is_pulled
      FROM quotastack.webhook_endpoints
     WHERE environment_id = $1::uuid AND deleted_at IS NULL AND status = 'active' AND secret IS NOT NULL
     ORDER BY id
"""

SELECT_ENDPOINTS: Final = """
    SELECT id::text, kind, url, description, patterns, severity, billable_metric_key, format, status,
           disabled_reason, disabled_at, secret, previous_secret, previous_secret_until, failing_since, pulled_at,
           created_at, updated_at
      FROM quotastack.webhook_endpoints
     WHERE environment_id = $1::uuid AND deleted_at IS NULL
       AND ($2::uuid IS NULL OR id = $2::uuid) AND ($3::text IS NULL OR kind = $3)
     ORDER BY id
"""

COUNT_ENDPOINTS: Final = """
    SELECT count(*) FROM quotastack.webhook_endpoints
     WHERE environment_id = $1::uuid AND deleted_at IS NULL AND kind = $2
"""

INSERT_ENDPOINT: Final = """
    INSERT INTO quotastack.webhook_endpoints
        (environment_id, id, kind, url, description, patterns, severity, billable_metric_key, format, status,
         disabled_reason, disabled_at, secret, previous_secret, previous_secret_until, failing_since, pulled_at,
         created_at, updated_at)
    VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
"""

UPDATE_ENDPOINT: Final = """
    UPDATE quotastack.webhook_endpoints
       SET url = $3, description = $4, patterns = $5, severity = $6, billable_metric_key = $7, format = $8,
           status = $9, disabled_reason = $10, disabled_at = $11, secret = $12, previous_secret = $13,
           previous_secret_until = $14, failing_since = $15, pulled_at = $16, updated_at = $17
     WHERE environment_id = $1::uuid AND id = $2::uuid AND deleted_at IS NULL
"""

DELETE_ENDPOINT: Final = """
    UPDATE quotastack.webhook_endpoints
       SET deleted_at = $3, secret = NULL, previous_secret = NULL, previous_secret_until = NULL
     WHERE environment_id = $1::uuid AND id = $2::uuid AND deleted_at IS NULL
    RETURNING true
"""

# Once, however many failures cross the limit together: only the first finds it active.
DISABLE_ENDPOINT: Final = """
    UPDATE quotastack.webhook_endpoints
       SET status = 'disabled', disabled_reason = $3, disabled_at = clock_timestamp(), updated_at = clock_timestamp()
     WHERE environment_id = $1::uuid AND id = $2::uuid AND deleted_at IS NULL AND status = 'active'
    RETURNING true
"""

# Whoever changes deliveries of a lane holds its row first, in this order; so do workers.
LOCK_LANES_OF_ENDPOINT: Final = """
    SELECT FROM quotastack.webhook_lanes
     WHERE environment_id = $1::uuid AND endpoint_id = $2::uuid AND due_at IS NOT NULL
     ORDER BY endpoint_id, lane_id
       FOR UPDATE
"""

CANCEL_DELIVERIES: Final = """
    WITH canceled AS (
        UPDATE quotastack.webhook_deliveries
           SET status = 'canceled', finished_at = clock_timestamp(), next_attempt_at = NULL
         WHERE environment_id = $1::uuid AND endpoint_id = $2::uuid AND status = 'pending'
           AND ($3::text[] IS NULL OR event_type <> ALL ($3::text[]))
        RETURNING 1
    )
    SELECT count(*) FROM canceled
"""

# One statement for the events of a whole batch. A lane that waits for nothing becomes due; one that is due, waits for
# a retry or is leased is left as it is. The upsert waits for a worker that just settles the lane, and the worker for
# us: whoever comes second sees what the first one wrote, so no event is left without a due lane.
INSERT_DELIVERIES: Final = f"""
    WITH given AS (
        SELECT *
          FROM unnest(
                $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::bigint[], $7::uuid[], $8::text[], $9::boolean[]
               ) AS given (id, endpoint_id, lane_id, customer_id, sequence, event_id, event_type, is_pulled)
    ), queued AS (
        INSERT INTO quotastack.webhook_deliveries
            (environment_id, id, endpoint_id, lane_id, customer_id, sequence, event_id, event_type, origin)
        SELECT $1::uuid, id, endpoint_id, lane_id, customer_id, sequence, event_id, event_type, $10 FROM given
    ), lanes AS (
        INSERT INTO quotastack.webhook_lanes (environment_id, endpoint_id, lane_id, customer_id, due_at)
        SELECT DISTINCT $1::uuid, endpoint_id, lane_id, customer_id, now()
          FROM given
         WHERE NOT is_pulled
         ORDER BY endpoint_id, lane_id
        ON CONFLICT (environment_id, endpoint_id, lane_id) DO UPDATE
            SET due_at = excluded.due_at
          WHERE webhook_lanes.due_at IS NULL
    )
    SELECT pg_notify('{WAKE_CHANNEL}', '')
"""

EndpointKind = Literal["endpoint", "shortcut", "listener"]


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as stored; secrets are sealed."""

    id: str
    kind: EndpointKind = "endpoint"
    url: str | None
    description: str | None = None
    patterns: tuple[str, ...]
    severity: str | None = None
    billable_metric_key: str | None = None
    format: Literal["standard", "cloudevents"] = "standard"
    status: Literal["active", "disabled"] = "active"
    disabled_reason: str | None = None
    disabled_at: datetime | None = None
    secret: bytes | None = None
    previous_secret: bytes | None = None
    previous_secret_until: datetime | None = None
    failing_since: datetime | None = None
    pulled_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class NewDelivery(msgspec.Struct, frozen=True, gc=False):
    """One event on its way to one endpoint."""

    id: str
    endpoint_id: str
    lane_id: str
    customer_id: str
    sequence: int
    event_id: str
    event_type: str
    is_pulled: bool = False


async def load_endpoint_filters(tx: Connection, environment_id: EnvironmentId) -> tuple[EndpointFilter, ...]:
    """The active endpoints that have a secret: ``Catalog.endpoints``. One without is sent nothing."""
    rows = await tx.fetch(SELECT_ENDPOINT_FILTERS, environment_id)
    return tuple(
        EndpointFilter(
            id=row["id"],
            patterns=tuple(row["patterns"]),
            severity=row["severity"],
            billable_metric_key=row["billable_metric_key"],
            is_pulled=row["is_pulled"],
        )
        for row in rows
    )


async def load_named_events(tx: Connection, environment_id: EnvironmentId) -> frozenset[str]:
    """The off-by-default types that some active endpoint names.

    Whoever loads the whole catalog has the endpoints at hand: ``named_types(endpoints)`` says the same.
    """
    return named_types(await load_endpoint_filters(tx, environment_id))


async def insert_deliveries(
    tx: Connection,
    environment_id: EnvironmentId,
    events: Iterable[tuple[str, OutboxEvent]],
    endpoints: Sequence[EndpointFilter],
) -> int:
    """Queue each ``(customer_id, event)`` for every endpoint that wants it; returns how many deliveries that makes.

    Called by the engine in the transaction that writes the events, with ``catalog.endpoints``, when there are
    any. At most one statement, none when nobody wants anything; workers are woken at COMMIT. A delivery's id
    is derived from its event and endpoint: the same event can never be queued twice for one endpoint.

    Locks: lane rows, ascending by (endpoint, customer), after the customers' rows.
    """
    deliveries = [
        NewDelivery(
            derived_id(event.created_at, event.id, endpoint.id),
            endpoint.id,
            customer_id,
            customer_id,
            event.sequence,
            event.id,
            event.type,
            endpoint.is_pulled,
        )
        for customer_id, event in events
        for endpoint in endpoints
        if wants_event(endpoint, event.type, event.data)
    ]
    if deliveries:
        await insert_new_deliveries(tx, environment_id, deliveries, origin="event")
    return len(deliveries)


async def insert_new_deliveries(
    tx: Connection,
    environment_id: EnvironmentId,
    deliveries: Sequence[NewDelivery],
    *,
    origin: Literal["event", "replay", "redelivery"],
) -> None:
    """Queue deliveries in their lanes, in one statement."""
    columns: list[Callable[[NewDelivery], Any]] = [
        lambda d: d.id,
        lambda d: d.endpoint_id,
        lambda d: d.lane_id,
        lambda d: d.customer_id,
        lambda d: d.sequence,
        lambda d: d.event_id,
        lambda d: d.event_type,
        lambda d: d.is_pulled,
    ]
    arrays = [[column(delivery) for delivery in deliveries] for column in columns]
    await tx.execute(INSERT_DELIVERIES, environment_id, *arrays, origin)


async def select_endpoints(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    endpoint_id: str | None = None,
    kind: EndpointKind | None = None,
) -> list[EndpointRow]:
    """The environment's endpoints by id, or the one of that id or kind."""
    rows = await tx.fetch(SELECT_ENDPOINTS, environment_id, endpoint_id, kind)
    return [_read_endpoint(dict(row)) for row in rows]


def _read_endpoint(row: dict[str, Any]) -> EndpointRow:
    row["patterns"] = tuple(row["patterns"])
    return EndpointRow(**row)


async def count_endpoints(tx: Connection, environment_id: EnvironmentId, *, kind: EndpointKind) -> int:
    """How many endpoints of a kind there are."""
    count: int | None = await tx.fetchval(COUNT_ENDPOINTS, environment_id, kind)
    return count or 0


async def insert_endpoint(tx: Connection, environment_id: EnvironmentId, *, endpoint: EndpointRow) -> None:
    """Insert an endpoint. The caller holds the environment's lock."""
    await tx.execute(
        INSERT_ENDPOINT,
        environment_id,
        endpoint.id,
        endpoint.kind,
        endpoint.url,
        endpoint.description,
        list(endpoint.patterns),
        endpoint.severity,
        endpoint.billable_metric_key,
        endpoint.format,
        endpoint.status,
        endpoint.disabled_reason,
        endpoint.disabled_at,
        endpoint.secret,
        endpoint.previous_secret,
        endpoint.previous_secret_until,
        endpoint.failing_since,
        endpoint.pulled_at,
        endpoint.created_at,
        endpoint.updated_at,
    )


async def update_endpoint(tx: Connection, environment_id: EnvironmentId, *, endpoint: EndpointRow) -> None:
    """Write all fields that may change. The caller holds the environment's lock."""
    await tx.execute(
        UPDATE_ENDPOINT,
        environment_id,
        endpoint.id,
        endpoint.url,
        endpoint.description,
        list(endpoint.patterns),
        endpoint.severity,
        endpoint.billable_metric_key,
        endpoint.format,
        endpoint.status,
        endpoint.disabled_reason,
        endpoint.disabled_at,
        endpoint.secret,
        endpoint.previous_secret,
        endpoint.previous_secret_until,
        endpoint.failing_since,
        endpoint.pulled_at,
        endpoint.updated_at,
    )


async def delete_endpoint(
    tx: Connection, environment_id: EnvironmentId, *, endpoint_id: str, deleted_at: datetime
) -> bool:
    """Mark the endpoint as deleted and forget its secrets; its deliveries stay in the log."""
    return bool(await tx.fetchval(DELETE_ENDPOINT, environment_id, endpoint_id, deleted_at))


async def disable_endpoint(
    tx: Connection, environment_id: EnvironmentId, *, endpoint_id: str, reason: str
) -> bool:
    """Disable an active endpoint; false when somebody did before."""
    return bool(await tx.fetchval(DISABLE_ENDPOINT, environment_id, endpoint_id, reason))


async def cancel_deliveries(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    endpoint_id: str,
    kept_types: Sequence[str] | None = None,
) -> int:
    """Cancel what waits for the endpoint, except the types that it still wants.

    A delivery that is on the wire at this moment may still arrive. Locks: the endpoint's lanes.
    """
    await tx.execute(LOCK_LANES_OF_ENDPOINT, environment_id, endpoint_id)
    kept = None if kept_types is None else list(kept_types)
    count: int | None = await tx.fetchval(CANCEL_DELIVERIES, environment_id, endpoint_id, kept)
    return count or 0
