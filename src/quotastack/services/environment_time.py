"""The environment's time inside a transaction of the catalog: what is published is dated by it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from quotastack.core.errors import NotFoundError
from quotastack.store.environments import select_environment
from quotastack.store.states import read_clock

if TYPE_CHECKING:
    from quotastack.core.ids import EnvironmentId
    from quotastack.runtime.database import Connection


async def read_environment_time(tx: Connection, environment_id: EnvironmentId) -> datetime:
    """Now by the environment's clock: the database's, or the test clock's.

    The caller holds the environment's lock, so the clock does not move before the transaction ends.
    """
    row = await select_environment(tx, environment_id)
    if row is None:
        raise NotFoundError("The environment is gone.")
    frozen_at: datetime | None = row["clock_frozen_at"]
    if frozen_at is not None:
        return frozen_at
    return await read_clock(tx) + timedelta(microseconds=row["clock_offset_us"])
