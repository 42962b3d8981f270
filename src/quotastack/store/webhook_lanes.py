"""Lanes at work: claiming them, taking the delivery at their head, and writing down what became of it.

A lane is held by whoever's lease id stands in it. Its row is locked before its deliveries are looked at, and the
statement that looks comes after the one that locks: so a delivery that was queued meanwhile is always seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple

import msgspec

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection

CLAIM_LANES: Final = """
    SELECT environment_id::text, endpoint_id::text, lane_id::text
      FROM quotastack.claim_webhook_lanes($1::uuid, $2, $3, $4::uuid[])
"""

CLAIM_NEWEST_LANES: Final = """
    SELECT environment_id::text, endpoint_id::text, lane_id::text
      FROM quotastack.claim_newest_webhook_lanes($1::uuid, $2, $3, $4, $5::uuid[])
"""

SECONDS_TO_DUE: Final = "SELECT quotastack.seconds_to_webhook_due()"

LOCK_LANES: Final = """
    SELECT l.endpoint_id::text, l.lane_id::text
      FROM quotastack.webhook_lanes AS l
      JOIN unnest($2::uuid[], $3::uuid[], $4::uuid[]) AS mine (endpoint_id, lane_id, lease_id)
        ON mine.endpoint_id = l.endpoint_id AND mine.lane_id = l.lane_id AND mine.lease_id = l.lease_id
     WHERE l.environment_id = $1::uuid
     ORDER BY l.endpoint_id, l.lane_id
       FOR UPDATE OF l
"""

# A delivery that was canceled while it was on the wire stays canceled, unless it arrived.
UPDATE_DELIVERIES: Final = """
    UPDATE quotastack.webhook_deliveries AS d
       SET attempts = d.attempts || jsonb_build_array(r.attempt::jsonb),
           status = CASE WHEN d.status = 'pending' OR r.status = 'succeeded' THEN r.status ELSE d.status END,
           finished_at = CASE WHEN r.status = 'pending' THEN d.finished_at ELSE clock_timestamp() END,
           next_attempt_at = CASE WHEN d.status = 'pending' AND r.status = 'pending'
                                  THEN clock_timestamp() + make_interval(secs => r.wait_seconds) END,
           previous_sequence = r.previous_sequence
      FROM unnest($2::uuid[], $3::text[], $4::text[], $5::double precision[], $6::bigint[])
           AS r (id, attempt, status, wait_seconds, previous_sequence)
     WHERE d.environment_id = $1::uuid AND d.id = r.id
"""

# The oldest pending delivery of each lane decides: none, the lane sleeps; one that waits for its retry, the lane is due
# then; else the lease runs on and the delivery is to be sent. Lanes of an endpoint that is not active, or of a test
# environment that was reset, sleep too.
TAKE_HEADS: Final = """
    UPDATE quotastack.webhook_lanes AS l
       SET last_sequence = coalesce(lane.finished_sequence, l.last_sequence),
           due_at = CASE WHEN lane.head_id IS NULL THEN NULL
                         WHEN lane.next_attempt_at > statement_timestamp() THEN lane.next_attempt_at
                         WHEN $6 THEN statement_timestamp() + make_interval(secs => $5)
                         ELSE statement_timestamp() END,
           lease_id = CASE WHEN $6 AND lane.head_id IS NOT NULL
                            AND coalesce(lane.next_attempt_at <= statement_timestamp(), true) THEN l.lease_id END
      FROM (
        SELECT mine.endpoint_id, mine.lane_id, mine.finished_sequence,
               head.id AS head_id, head.next_attempt_at, head.event_id, head.event_type, head.customer_id,
               head.sequence, head.origin, head.body, head.previous_sequence, head.failures,
               e.url, e.format, e.secret, e.previous_secret, e.previous_secret_until > clock_timestamp() AS is_rotating
          FROM unnest($2::uuid[], $3::uuid[], $4::bigint[]) AS mine (endpoint_id, lane_id, finished_sequence)
          JOIN quotastack.webhook_endpoints AS e
            ON e.environment_id = $1::uuid AND e.id = mine.endpoint_id
          LEFT JOIN LATERAL (
            SELECT d.id, d.next_attempt_at, d.event_id, d.event_type, d.customer_id, d.sequence, d.origin, d.body,
                   d.previous_sequence, jsonb_array_length(d.attempts) AS failures
              FROM quotastack.webhook_deliveries AS d
             WHERE d.environment_id = $1::uuid AND d.endpoint_id = mine.endpoint_id AND d.lane_id = mine.lane_id
               AND d.status = 'pending' AND e.status = 'active' AND e.deleted_at IS NULL AND e.secret IS NOT NULL
               AND EXISTS (SELECT FROM quotastack.environments AS r WHERE r.id = $1::uuid AND r.retired_at IS NULL)
             ORDER BY d.sequence
             LIMIT 1
          ) AS head ON true
      ) AS lane
     WHERE l.environment_id = $1::uuid AND l.endpoint_id = lane.endpoint_id AND l.lane_id = lane.lane_id
    RETURNING l.endpoint_id::text, l.lane_id::text, l.lease_id::text, l.last_sequence,
              lane.head_id::text AS delivery_id, lane.event_id::text, lane.event_type, lane.customer_id::text,
              lane.sequence, lane.origin, lane.body, lane.previous_sequence, lane.failures,
              lane.url, lane.format, lane.secret, lane.previous_secret, lane.is_rotating
"""

# A lane that was made for one redelivery, test or replay is of no further use once it is empty.
DELETE_EMPTY_LANES: Final = """
    DELETE FROM quotastack.webhook_lanes AS l
     USING unnest($2::uuid[], $3::uuid[]) AS mine (endpoint_id, lane_id)
     WHERE l.environment_id = $1::uuid AND l.endpoint_id = mine.endpoint_id AND l.lane_id = mine.lane_id
       AND l.due_at IS NULL AND l.lane_id IS DISTINCT FROM l.customer_id
"""

SELECT_BODIES: Final = """
    SELECT ev.id::text, ev.type, ev.data::text, ev.request_id, ev.created_at, ev.sequence, ev.customer_id::text,
           c.external_id, e.tenant_id::text, e.environment
      FROM unnest($2::uuid[], $3::bigint[]) AS wanted (customer_id, sequence)
      JOIN quotastack.events AS ev
        ON ev.environment_id = $1::uuid AND ev.customer_id = wanted.customer_id AND ev.sequence = wanted.sequence
      JOIN quotastack.environments AS e ON e.id = $1::uuid
      LEFT JOIN quotastack.customers AS c ON c.environment_id = $1::uuid AND c.id = ev.customer_id
"""

# Only rows that change are written: an endpoint that works is not touched by its deliveries.
NOTE_RESULTS: Final = """
    WITH noted AS (
        UPDATE quotastack.webhook_endpoints AS e
           SET failing_since = CASE WHEN r.has_success THEN NULL ELSE clock_timestamp() END
          FROM unnest($2::uuid[], $3::boolean[]) AS r (id, has_success)
         WHERE e.environment_id = $1::uuid AND e.id = r.id AND (e.failing_since IS NULL) <> r.has_success
    )
    SELECT e.id::text, e.failing_since, clock_timestamp() AS now
      FROM quotastack.webhook_endpoints AS e
      JOIN unnest($2::uuid[], $3::boolean[]) AS r (id, has_success) ON r.id = e.id AND NOT r.has_success
     WHERE e.environment_id = $1::uuid AND e.failing_since IS NOT NULL
"""


class Lane(NamedTuple):
    """What is delivered one after the other."""

    environment_id: EnvironmentId
    endpoint_id: str
    lane_id: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery at the head of a lane that is ours to send now."""

    lane: Lane
    lease_id: str
    delivery_id: str
    event_id: str
    event_type: str
    customer_id: str | None
    sequence: int
    origin: Literal["event", "redelivery", "replay", "test"]
    body: bytes | None
    previous_sequence: int | None
    failures: int
    url: str
    format: Literal["standard", "cloudevents"]
    secret: bytes
    previous_secret: bytes | None


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log with what its envelope needs. ``data`` is JSON as stored."""

    id: str
    type: str
    data: str
    request_id: str | None
    created_at: datetime
    sequence: int
    customer_id: str
    external_id: str | None
    tenant_id: str
    environment: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt. ``wait_seconds`` counts where ``status`` stays pending."""

    head: Head
    status: Literal["pending", "succeeded", "failed", "canceled"]
    wait_seconds: float = 0.0
    attempt: bytes


class FailingEndpoint(NamedTuple):
    """An endpoint that just failed, and since when it does nothing else."""

    endpoint_id: str
    failing_since: datetime
    now: datetime


async def claim_lanes(
    connection: Connection,
    *,
    lease_id: str,
    lease_seconds: float,
    lanes_max: int,
    passed_over: Sequence[str] = (),
    looked_at_max: int | None = None,
) -> list[Lane]:
    """Claim due lanes of any environment for ``lease_seconds``, oldest first.

    With ``looked_at_max`` only among so many that became due last: lanes that are passed over cost no more than that.

    The only place where a worker sees environments together; what it does in one runs in a transaction there.
    """
    if looked_at_max is None:
        rows = await connection.fetch(CLAIM_LANES, lease_id, lease_seconds, lanes_max, list(passed_over))
    else:
        rows = await connection.fetch(
            CLAIM_NEWEST_LANES, lease_id, lease_seconds, lanes_max, looked_at_max, list(passed_over)
        )
    return [Lane(EnvironmentId(row[0]), row[1], row[2]) for row in rows]


async def select_seconds_to_due(connection: Connection) -> float | None:
    """Seconds until the next lane is due, below zero when one is overdue; None when nothing waits."""
    return await connection.fetchval(SECONDS_TO_DUE)


async def lock_lanes(
    tx: Connection, environment_id: EnvironmentId, *, lanes: Sequence[tuple[Lane, str]]
) -> set[Lane]:
    """Lock the lanes whose lease is still the given one; the others belong to another worker by now."""
    rows = await tx.fetch(
        LOCK_LANES,
        environment_id,
        [lane.endpoint_id for lane, _ in lanes],
        [lane.lane_id for lane, _ in lanes],
        [lease_id for _, lease_id in lanes],
    )
    return {Lane(environment_id, row[0], row[1]) for row in rows}


async def update_deliveries(
    tx: Connection, environment_id: EnvironmentId, *, outcomes: Sequence[Outcome]
) -> None:
    """Append each attempt to its delivery and write what follows from it. The lanes are locked."""
    await tx.execute(
        UPDATE_DELIVERIES,
        environment_id,
        [outcome.head.delivery_id for outcome in outcomes],
        [outcome.attempt.decode() for outcome in outcomes],
        [outcome.status for outcome in outcomes],
        [outcome.wait_seconds for outcome in outcomes],
        [outcome.head.previous_sequence for outcome in outcomes],
    )


async def take_heads(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    lanes: Sequence[tuple[Lane, int | None]],
    lease_seconds: float,
    keeps_lease: bool,
) -> list[Head]:
    """Settle locked lanes: those with something to send now are returned, leased anew; the others are given back.

    ``lanes`` are (lane, sequence that just finished in it). With ``keeps_lease`` false all are given back.
    """
    rows = await tx.fetch(
        TAKE_HEADS,
        environment_id,
        [lane.endpoint_id for lane, _ in lanes],
        [lane.lane_id for lane, _ in lanes],
        [finished for _, finished in lanes],
        lease_seconds,
        keeps_lease,
    )
    heads: list[Head] = []
    emptied: list[Lane] = []
    for row in rows:
        lane = Lane(environment_id, row["endpoint_id"], row["lane_id"])
        if row["delivery_id"] is None:
            emptied.append(lane)
        elif row["lease_id"] is not None:
            is_first_told = row["origin"] == "redelivery"
            heads.append(
                Head(
                    lane=lane,
                    lease_id=row["lease_id"],
                    delivery_id=row["delivery_id"],
                    event_id=row["event_id"],
                    event_type=row["event_type"],
                    customer_id=row["customer_id"],
                    sequence=row["sequence"],
                    origin=row["origin"],
                    body=row["body"],
                    previous_sequence=row["previous_sequence"] if is_first_told else row["last_sequence"],
                    failures=row["failures"],
                    url=row["url"],
                    format=row["format"],
                    secret=row["secret"],
                    previous_secret=row["previous_secret"] if row["is_rotating"] else None,
                )
            )
    if emptied:
        await tx.execute(
            DELETE_EMPTY_LANES,
            environment_id,
            [lane.endpoint_id for lane in emptied],
            [lane.lane_id for lane in emptied],
        )
    return heads


async def select_events_of_heads(
    tx: Connection, environment_id: EnvironmentId, *, heads: Sequence[Head]
) -> dict[str, StoredEvent]:
    """The events behind heads, by event id. One that retention took away is missing."""
    wanted = [head for head in heads if head.customer_id is not None]
    rows = await tx.fetch(
        SELECT_BODIES,
        environment_id,
        [head.customer_id for head in wanted],
        [head.sequence for head in wanted],
    )
    return {row["id"]: StoredEvent(**row) for row in rows}


async def note_results(
    tx: Connection, environment_id: EnvironmentId, *, has_success: dict[str, bool]
) -> list[FailingEndpoint]:
    """Write since when endpoints fail, or that they work again; returns those that failed now.

    Counts completed attempts only. Locks: the endpoints whose standing changes, after the lanes.
    """
    ids = sorted(has_success)
    rows = await tx.fetch(
        NOTE_RESULTS, environment_id, ids, [has_success[endpoint_id] for endpoint_id in ids]
    )
    return [FailingEndpoint(row["id"], row["failing_since"], row["now"]) for row in rows]
