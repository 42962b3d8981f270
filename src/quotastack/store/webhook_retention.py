"""What the log forgets: old deliveries and events, a few thousand rows at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection

DELETE_OLD_DELIVERIES: Final = """
    WITH old AS (
        SELECT id FROM quotastack.webhook_deliveries
         WHERE environment_id = $1::uuid AND created_at < $2 AND status <> 'pending'
         ORDER BY created_at, id
         LIMIT $3
           FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM quotastack.webhook_deliveries AS d
         USING old
         WHERE d.environment_id = $1::uuid AND d.id = old.id
        RETURNING 1
    )
    SELECT count(*) FROM deleted
"""

DELETE_OLD_EVENTS: Final = """
    WITH old AS (
        SELECT customer_id, sequence FROM quotastack.events
         WHERE environment_id = $1::uuid AND created_at < $2
         ORDER BY created_at, id
         LIMIT $3
    ), deleted AS (
        DELETE FROM quotastack.events AS ev
         USING old
         WHERE ev.environment_id = $1::uuid AND ev.customer_id = old.customer_id AND ev.sequence = old.sequence
        RETURNING 1
    )
    SELECT count(*) FROM deleted
"""


async def delete_old_deliveries(
    tx: Connection, environment_id: EnvironmentId, *, before: datetime, limit: int
) -> int:
    """Delete deliveries that ended and are older; how many."""
    count: int | None = await tx.fetchval(DELETE_OLD_DELIVERIES, environment_id, before, limit)
    return count or 0


async def delete_old_events(
    tx: Connection, environment_id: EnvironmentId, *, before: datetime, limit: int
) -> int:
    """Delete events that are older, oldest first; how many. A delivery that still waits for one is canceled then."""
    count: int | None = await tx.fetchval(DELETE_OLD_EVENTS, environment_id, before, limit)
    return count or 0
