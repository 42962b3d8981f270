"""Tenants and environments: their rows, their configuration and the versions that caches compare."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.ids import EnvironmentId, TenantId
from quotastack.runtime.database import Connection, Pool

CREATE_TENANT: Final = "SELECT quotastack.create_tenant($1::uuid, $2, $3::uuid, $4::uuid, $5)"
RESET_TEST_ENVIRONMENT: Final = "SELECT quotastack.reset_test_environment($1::uuid, $2)"
LIST_ENVIRONMENTS: Final = (
    "SELECT id::text, tenant_id::text, tenant_name, environment FROM quotastack.list_environments()"
)

# Writers of catalog, configuration and clock take it exclusively; engine batches take it shared in their first
# statement. So nothing is decided by a price list that was replaced before the decision.
LOCK_ENVIRONMENT: Final = "SELECT pg_advisory_xact_lock(quotastack.environment_lock_key($1::uuid))"

# Several servers may start at once on an empty database; one of them makes the first tenant.
LOCK_FIRST_TENANT: Final = "SELECT pg_advisory_xact_lock(8246776014470148212)"

READ_VERSIONS: Final = "SELECT id::text, version FROM quotastack.environment_versions($1::uuid[])"

SELECT_CONFIG: Final = "SELECT config, version FROM quotastack.environments WHERE id = $1::uuid"

UPDATE_CONFIG: Final = "UPDATE quotastack.environments SET config = $2::jsonb WHERE id = $1::uuid"

# Listeners drop what they cached of the environment when the transaction commits.
RAISE_VERSION: Final = """
    WITH raised AS (
        UPDATE quotastack.environments
           SET version = version + 1, catalog_version = catalog_version + $2::bigint
         WHERE id = $1::uuid
        RETURNING id, version
    )
    SELECT version, pg_notify('quotastack_environments', id || ':' || version) FROM raised
"""


class EnvironmentRow(msgspec.Struct, frozen=True):
    """An environment in use, and whose it is."""

    id: EnvironmentId
    tenant_id: TenantId
    tenant_name: str
    environment: str


async def insert_tenant(
    tx: Connection,
    tenant_id: TenantId,
    *,
    name: str,
    live_id: EnvironmentId,
    test_id: EnvironmentId,
    created_at: datetime,
) -> None:
    """Insert a tenant with its two environments."""
    await tx.execute(CREATE_TENANT, tenant_id, name, live_id, test_id, created_at)


async def replace_test_environment(tx: Connection, new_id: EnvironmentId, *, retired_at: datetime) -> None:
    """Retire the transaction's own test environment and move its keys to a new, empty one.

    The caller holds the environment's lock.
    """
    await tx.execute(RESET_TEST_ENVIRONMENT, new_id, retired_at)


async def select_environments(connection: Connection) -> list[EnvironmentRow]:
    """Every environment in use, by id; the only place where tenants are seen together."""
    rows = await connection.fetch(LIST_ENVIRONMENTS)
    return [
        EnvironmentRow(EnvironmentId(row[0]), TenantId(row[1]), tenant_name=row[2], environment=row[3])
        for row in rows
    ]


async def read_versions(pool: Pool, environment_ids: Collection[EnvironmentId]) -> dict[EnvironmentId, int]:
    """The versions of those environments that are in use, whosever they are."""
    rows = await pool.fetch(READ_VERSIONS, list(environment_ids))
    return {EnvironmentId(row["id"]): row["version"] for row in rows}


async def lock_first_tenant(tx: Connection) -> None:
    """Wait for whoever makes the first tenant, until the transaction ends."""
    await tx.execute(LOCK_FIRST_TENANT)


async def lock_environment(tx: Connection, environment_id: EnvironmentId) -> None:
    """Wait for the decisions under way in the environment and hold off new ones until the transaction ends."""
    await tx.execute(LOCK_ENVIRONMENT, environment_id)


async def select_config(tx: Connection, environment_id: EnvironmentId) -> dict[str, Any]:
    """The stored configuration: only what was ever set."""
    row = await tx.fetchrow(SELECT_CONFIG, environment_id)
    return {} if row is None else msgspec.json.decode(row["config"])


async def update_config(tx: Connection, environment_id: EnvironmentId, *, config: dict[str, Any]) -> None:
    """Replace the stored configuration; ``raise_version`` goes with it."""
    await tx.execute(UPDATE_CONFIG, environment_id, msgspec.json.encode(config).decode())


async def raise_version(tx: Connection, environment_id: EnvironmentId, *, is_catalog: bool) -> int:
    """Tell every cache that catalog, configuration, clock or keys of the environment have changed.

    The caller holds the environment's lock where what changed decides something.
    """
    version: int | None = await tx.fetchval(RAISE_VERSION, environment_id, 1 if is_catalog else 0)
    assert version is not None, "the environment of the transaction exists"
    return version


SELECT_ENVIRONMENT: Final = """
    SELECT environment, tenant_id::text AS tenant_id, version, config, clock_frozen_at, clock_offset_us
      FROM quotastack.environments
     WHERE id = $1::uuid
"""


async def select_environment(tx: Connection, environment_id: EnvironmentId) -> dict[str, Any] | None:
    """The environment's own row as it stands: kind, tenant, version, configuration (text), clock."""
    row = await tx.fetchrow(SELECT_ENVIRONMENT, environment_id)
    return None if row is None else dict(row)
