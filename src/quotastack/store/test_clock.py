"""The clock of a test environment: its row, and who becomes due when it moves."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from quotastack.core.ids import EnvironmentId

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

UPDATE_CLOCK: Final = """
    UPDATE environments SET clock_frozen_at = $2, clock_offset_us = $3 WHERE id = $1::uuid
"""

SELECT_DUE_CUSTOMERS: Final = """
    SELECT customer_id::text AS customer_id
      FROM customer_due
     WHERE environment_id = $1::uuid AND due_at <= $2 AND ($3::uuid IS NULL OR customer_id > $3)
     ORDER BY customer_id
     LIMIT $4
"""

_MICROSECOND: Final = timedelta(microseconds=1)


async def update_clock(
    tx: Connection, environment_id: EnvironmentId, *, frozen_at: datetime | None, offset: timedelta
) -> None:
    """Write the clock; ``raise_version`` goes with it, under the environment's lock."""
    await tx.execute(UPDATE_CLOCK, environment_id, frozen_at, offset // _MICROSECOND)


async def select_due_customers(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    due_at: datetime,
    after_id: str | None,
    limit: int,
) -> list[str]:
    """Customers for whom time has something to do at or before ``due_at``, by id."""
    rows = await tx.fetch(SELECT_DUE_CUSTOMERS, environment_id, due_at, after_id, limit)
    return [row["customer_id"] for row in rows]
