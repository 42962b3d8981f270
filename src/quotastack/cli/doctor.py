"""``quotastack doctor``: every check of an installation, each with its result."""

from __future__ import annotations

from typing import Final

import asyncpg

from quotastack.runtime.bootstrap import open_installation
from quotastack.runtime.clock import ERROR_MAX_US, DatabaseClock
from quotastack.runtime.database import WRITES, Database
from quotastack.runtime.migrate import list_migrations
from quotastack.runtime.self_check import IsolationError
from quotastack.runtime.settings import Settings

SHOW: Final = "SELECT current_setting($1)"
DURABLE: Final = ("fsync", "full_page_writes", "synchronous_commit")


async def examine(settings: Settings) -> int:
    """Print the checks; returns 1 when one of them found a fault, else 0."""
    try:
        async with open_installation(settings) as installation:
            connection = await asyncpg.connect(**installation.target.app_arguments("doctor", WRITES))
            try:
                version = connection.get_server_version()
                _report("ok", f"database reached: PostgreSQL {version.major}.{version.micro}")
                _report("ok", f"schema up to date: {len(list_migrations())} migrations")
                _report("ok", "isolation: the role can bypass nothing, the catalogue is clean")
                faults = [await _check_durability(connection)]
            finally:
                await connection.close()
            database = Database(installation.target)
            try:
                await database.open()
                faults.append(await _check_clock(database))
            finally:
                await database.close()
            return int(any(faults))
    except IsolationError as error:
        for fault in error.faults:
            _report("FAULT", fault)
        return 1


async def _check_durability(connection: asyncpg.Connection) -> bool:
    is_faulty = False
    for name in DURABLE:
        value = await connection.fetchval(SHOW, name)
        if value == "off":
            is_faulty = True
            _report("FAULT", f"{name} is off: an acknowledged write can be lost")
    if not is_faulty:
        _report("ok", "durability: fsync, full_page_writes and synchronous_commit are on")
    return is_faulty


async def _check_clock(database: Database) -> bool:
    clock = DatabaseClock(database.read_clock_us)
    await clock.sample()
    if clock.is_synchronised:
        _report("ok", f"clock: within {clock.error_bound_us} us of the database's")
        return False
    _report("FAULT", f"clock: {clock.error_bound_us} us from the database's, more than {ERROR_MAX_US}")
    return True


def _report(result: str, text: str) -> None:
    print(f"{result:6}{text}", flush=True)
