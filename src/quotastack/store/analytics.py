"""Analytics: sums over the ledger of a whole environment."""

from __future__ import annotations

from typing import Any, Final

from quotastack.core.liability import EntrySum
from quotastack.runtime.database import Connection

SELECT_ENTRY_SUMS: Final = """
    SELECT to_char(l.created_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, l.type,
           coalesce((l.details->>'price_paid')::bigint > 0, false) AS is_paid,
           coalesce(l.reference_type = 'adjustment', false) AS is_adjustment,
           sum(l.delta)::bigint AS delta
      FROM ledger_entries AS l
     WHERE l.environment_id = current_setting('quotastack.environment_id')::uuid
       AND l.unit = $1 AND l.delta <> 0 AND ($2::uuid IS NULL OR l.customer_id = $2)
     GROUP BY 1, 2, 3, 4
"""


async def select_entry_sums(tx: Connection, *, unit: str, customer_id: str | None) -> list[EntrySum]:
    """The deltas of all entries of a unit, by month and kind; of one customer where named."""
    rows: list[Any] = await tx.fetch(SELECT_ENTRY_SUMS, unit, customer_id)
    return [
        EntrySum(row["month"], row["type"], row["is_paid"], row["is_adjustment"], row["delta"])
        for row in rows
    ]
