"""Assets: closed periods, and what an asset was at an instant of the past."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from quotastack.core.customer_state import Counter

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

# Rows of grids that another quota replaced are not periods: their events are counted in the new grid.
_SELECT_PERIODS: Final = """
    SELECT json_build_object(
        'billable_metric_key', n.billable_metric_key, 'kind', n.kind,
        'period_start', n.period_start, 'period_end', n.period_end, 'value', n.value,
        'max', n.max, 'overage_units', n.overage_units, 'cost_mc', n.cost_mc,
        'is_current', n.is_current)::text AS doc
      FROM counters AS n
     WHERE n.environment_id = current_setting('quotastack.environment_id')::uuid
       AND n.customer_id = $1::uuid AND n.billable_metric_key = $2 AND NOT n.is_current
       AND (n.kind = 'asset' OR n.kind LIKE 'asset:%') AND NOT n.details ? 'replaced'
"""
SELECT_PERIODS_DESC: Final = (
    _SELECT_PERIODS
    + """
       AND ($3::timestamptz IS NULL OR (n.period_start, n.kind) < ($3, $4::text))
     ORDER BY n.period_start DESC, n.kind DESC LIMIT $5
"""
)
SELECT_PERIODS_ASC: Final = (
    _SELECT_PERIODS
    + """
       AND ($3::timestamptz IS NULL OR (n.period_start, n.kind) > ($3, $4::text))
     ORDER BY n.period_start, n.kind LIMIT $5
"""
)

# What was known at $3: events written by then and not reversed by then. ``carried`` is all that ever was.
SELECT_USAGE_AT: Final = """
    WITH known AS (
        SELECT u.units, u.value, u.timestamp, u.id, u.billable_metric_key
          FROM usage_events AS u
         WHERE u.environment_id = current_setting('quotastack.environment_id')::uuid
           AND u.customer_id = $1::uuid AND u.billable_metric_key = $2 AND u.created_at <= $3
           AND (u.status = 'applied'
                OR (u.status = 'reversed' AND (u.details->>'reversed_at')::timestamptz > $3))
    )
    SELECT count(*) AS events,
           coalesce(sum(k.units), 0)::bigint AS carried,
           coalesce(sum(k.units) FILTER (WHERE k.timestamp >= $4 AND k.timestamp < $5), 0)::bigint AS counted,
           max(k.value) FILTER (WHERE k.timestamp >= $4 AND k.timestamp < $5) AS highest,
           (SELECT b.value FROM known AS b WHERE b.timestamp < $4
             ORDER BY b.timestamp DESC, b.id DESC LIMIT 1) AS reading_before,
           (SELECT b.value FROM known AS b ORDER BY b.timestamp DESC, b.id DESC LIMIT 1) AS reading
      FROM known AS k
"""

SELECT_HELD_AT: Final = """
    SELECT coalesce(sum((r.doc->>'estimated_units')::bigint), 0)::bigint AS units
      FROM reservations AS r
     WHERE r.environment_id = current_setting('quotastack.environment_id')::uuid
       AND r.customer_id = $1::uuid AND r.billable_metric_key = $2 AND r.created_at <= $3
       AND coalesce((r.doc->>'ended_at')::timestamptz, 'infinity') > $3
"""

SELECT_SUSPENSION_AT: Final = """
    SELECT e.type
      FROM events AS e
     WHERE e.environment_id = current_setting('quotastack.environment_id')::uuid
       AND e.customer_id = $1::uuid AND e.type = ANY('{asset.suspended,asset.resumed}'::text[])
       AND e.data->>'billable_metric_key' = $2 AND e.created_at <= $3
     ORDER BY e.sequence DESC LIMIT 1
"""

SELECT_BALANCE_AT: Final = """
    SELECT l.balance_after
      FROM ledger_entries AS l
     WHERE l.environment_id = current_setting('quotastack.environment_id')::uuid
       AND l.customer_id = $1::uuid AND l.unit = $2 AND l.created_at <= $3
     ORDER BY l.sequence DESC LIMIT 1
"""

_decode_counter = msgspec.json.Decoder(Counter).decode


class UsageAt(msgspec.Struct, frozen=True):
    """A metric's usage as it was known at an instant: in the period, and in all."""

    events: int
    carried: int
    counted: int
    highest: int | None
    reading_before: int | None
    reading: int | None


async def select_periods(
    tx: Connection,
    customer_id: str,
    metric_key: str,
    *,
    after: tuple[datetime, str] | None,
    is_ascending: bool,
    limit: int,
) -> Sequence[Counter]:
    """Closed periods of one asset, by their start. One statement."""
    statement = SELECT_PERIODS_ASC if is_ascending else SELECT_PERIODS_DESC
    start, kind = after or (None, None)
    rows = await tx.fetch(statement, customer_id, metric_key, start, kind, limit)
    return [_decode_counter(row["doc"]) for row in rows]


async def select_usage_at(
    tx: Connection, customer_id: str, metric_key: str, *, at: datetime, period: tuple[datetime, datetime]
) -> UsageAt:
    """What had been used by ``at``; it reads all events of the metric. One statement."""
    row = await tx.fetchrow(SELECT_USAGE_AT, customer_id, metric_key, at, *period)
    assert row is not None
    return UsageAt(**dict(row))


async def select_held_at(tx: Connection, customer_id: str, metric_key: str, at: datetime) -> int:
    """Units that reservations held at ``at``."""
    row = await tx.fetchrow(SELECT_HELD_AT, customer_id, metric_key, at)
    assert row is not None
    return row["units"]


async def select_suspension_at(tx: Connection, customer_id: str, metric_key: str, at: datetime) -> bool:
    """Whether the asset was suspended at ``at``, as far as the events still tell."""
    row = await tx.fetchrow(SELECT_SUSPENSION_AT, customer_id, metric_key, at)
    return row is not None and row["type"] == "asset.suspended"


async def select_balance_at(tx: Connection, customer_id: str, unit: str, at: datetime) -> int:
    """The account's balance at ``at``."""
    row = await tx.fetchrow(SELECT_BALANCE_AT, customer_id, unit, at)
    return 0 if row is None else row["balance_after"]
