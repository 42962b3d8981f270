"""Health: whether this process should get requests."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg
import msgspec

from quotastack.services.container import Services
from quotastack.store.health import select_sweep_lag

CHECK_SECONDS: Final = 2.0
SWEEP_LAG_MAX_SECONDS: Final = 60.0


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """``ready`` when every check is ``ok``; else the failed ones say why."""

    ready: bool
    checks: dict[str, str]


async def check_readiness(services: Services) -> Readiness:
    """Look at the database, the migrations (they are what the query runs on), the clock and the sweeps."""
    checks = {"database": "ok", "migrations": "ok", "clock": "ok", "sweeps": "ok"}
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            lag_seconds = await select_sweep_lag(services.database.workers)
    except asyncpg.UndefinedFunctionError:
        checks["migrations"] = "behind this version: run quotastack migrate"
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        checks["database"] = "cannot be reached"
    else:
        if lag_seconds > SWEEP_LAG_MAX_SECONDS:
            checks["sweeps"] = f"{int(lag_seconds)} seconds behind"
    if not services.clock.is_synchronised:
        checks["clock"] = "not synchronised with the database"
    return Readiness(ready=all(told == "ok" for told in checks.values()), checks=checks)
