"""The check before serving: could this server, by its role or by the schema, see what it must not?

A server that fails it does not start. ``quotastack doctor`` prints the same list.
"""

from __future__ import annotations

from typing import Final

import asyncpg

from quotastack.runtime.catalogue_lint import lint_catalogue
from quotastack.runtime.database import APP_ROLE, Connection

SELECT_ROLE: Final = """
    SELECT current_user AS name, session_user AS login, r.rolsuper, r.rolbypassrls, r.rolcreaterole
      FROM pg_roles AS r WHERE r.rolname = session_user
"""
PROBE_WITHOUT_ENVIRONMENT: Final = "SELECT count(*) FROM quotastack.environments"
DISABLE_ROW_SECURITY: Final = "SET LOCAL row_security = off"
CLEAR_ENVIRONMENT: Final = "SET LOCAL quotastack.environment_id = ''"


# First releases without CVE-2025-8713, by which statistics showed rows that a policy hides.
MINOR_VERSIONS_MIN: Final = {15: 14, 16: 10, 17: 6}


class IsolationError(Exception):
    """The server's role or the schema would let tenants see each other; ``faults`` says how."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(
            "Isolation between tenants is not given; the server does not start.\n" + "\n".join(faults)
        )
        self.faults = faults


async def check_isolation(connection: Connection) -> None:
    """Refuse a connection that could pass by row-level security.

    Raises:
        IsolationError: listing everything that was found.
    """
    faults = [*_check_version(connection), *await _check_role(connection), *await _check_probes(connection)]
    faults += [str(fault) for fault in await lint_catalogue(connection)]
    if faults:
        raise IsolationError(faults)


def _check_version(connection: Connection) -> list[str]:
    version = connection.get_server_version()
    # asyncpg calls the second number of 15.14 micro, as it was before PostgreSQL 10.
    minor_min = MINOR_VERSIONS_MIN.get(version.major, 0)
    if version.micro >= minor_min:
        return []
    return [
        f"PostgreSQL {version.major}.{version.micro} leaks rows past policies; update to {version.major}.{minor_min}"
    ]


async def _check_role(connection: Connection) -> list[str]:
    role = await connection.fetchrow(SELECT_ROLE)
    assert role is not None
    faults: list[str] = []
    if role["name"] != APP_ROLE or role["login"] != APP_ROLE:
        faults.append(f"the server is logged in as {role['login']}, not as {APP_ROLE}")
    faults += [
        f"the role {role['login']} has {attribute}"
        for attribute, is_set in (
            ("SUPERUSER", role["rolsuper"]),
            ("BYPASSRLS", role["rolbypassrls"]),
            ("CREATEROLE", role["rolcreaterole"]),
        )
        if is_set
    ]
    return faults


async def _check_probes(connection: Connection) -> list[str]:
    """What must fail has to fail in fact, whatever the catalogue says."""
    faults: list[str] = []
    probes = (
        (CLEAR_ENVIRONMENT, "tenant data can be read without an environment"),
        (DISABLE_ROW_SECURITY, "row-level security can be switched off"),
    )
    for preparation, fault in probes:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(preparation)
            await connection.execute(PROBE_WITHOUT_ENVIRONMENT)
            faults.append(fault)
        except asyncpg.PostgresError:
            pass
        finally:
            await transaction.rollback()
    return faults
