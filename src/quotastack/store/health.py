"""What the health pages ask the database."""

from __future__ import annotations

from typing import Final

from quotastack.runtime.database import Pool

SELECT_SWEEP_LAG: Final = "SELECT coalesce(quotastack.sweep_lag_seconds(), 0)"


async def select_sweep_lag(pool: Pool) -> float:
    """For how many seconds the longest waiting customer has been due; 0 when nobody waits."""
    return await pool.fetchval(SELECT_SWEEP_LAG)
