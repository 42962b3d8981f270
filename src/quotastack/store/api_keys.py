"""API keys: insert, look up, list, revoke, and note their use."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.ids import ApiKeyId, EnvironmentId, TenantId
from quotastack.runtime.database import Connection, Pool

INSERT_API_KEY: Final = """
    INSERT INTO quotastack.api_keys (environment_id, id, key_id, secret_hash, name, scopes, created_at)
    VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6, $7)
"""

FIND_API_KEY: Final = """
    SELECT id::text, environment_id::text, tenant_id::text, environment, secret_hash, scopes, revoked_at,
           environment_version, requests_per_minute
      FROM quotastack.find_api_key($1)
"""

SELECT_API_KEY: Final = """
    SELECT id::text, key_id, name, scopes, created_at, last_used_at, revoked_at
      FROM quotastack.api_keys
     WHERE environment_id = $1::uuid AND id = $2::uuid
"""

SELECT_API_KEYS_DESC: Final = """
    SELECT id::text, key_id, name, scopes, created_at, last_used_at, revoked_at
      FROM quotastack.api_keys
     WHERE environment_id = $1::uuid AND ($2::uuid IS NULL OR id < $2::uuid)
     ORDER BY id DESC
     LIMIT $3
"""

SELECT_API_KEYS_ASC: Final = """
    SELECT id::text, key_id, name, scopes, created_at, last_used_at, revoked_at
      FROM quotastack.api_keys
     WHERE environment_id = $1::uuid AND ($2::uuid IS NULL OR id > $2::uuid)
     ORDER BY id
     LIMIT $3
"""

REVOKE_API_KEY: Final = """
    UPDATE quotastack.api_keys
       SET revoked_at = coalesce(revoked_at, $3)
     WHERE environment_id = $1::uuid AND id = $2::uuid
"""

TOUCH_API_KEYS: Final = "SELECT quotastack.touch_api_keys($1::uuid[], $2::uuid[], $3::timestamptz[])"


class ApiKeyRow(msgspec.Struct, frozen=True):
    """A key as it may be shown: everything but what proves it."""

    id: ApiKeyId
    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class KnownKey(msgspec.Struct, frozen=True):
    """A row that a key id leads to: what proves the key, and where it leads.

    All of it is of the instant at which the environment had ``environment_version``.
    """

    id: ApiKeyId
    environment_id: EnvironmentId
    tenant_id: TenantId
    environment: str
    secret_hash: bytes
    scopes: tuple[str, ...]
    revoked_at: datetime | None
    environment_version: int
    requests_per_minute: int | None


async def insert_api_key(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    api_key_id: ApiKeyId,
    key_id: str,
    secret_hash: bytes,
    name: str,
    scopes: Sequence[str],
    created_at: datetime,
) -> None:
    """Insert a key; its text is known to the caller alone."""
    await tx.execute(
        INSERT_API_KEY, environment_id, api_key_id, key_id, secret_hash, name, list(scopes), created_at
    )


async def lookup_api_key(pool: Pool, key_id: str) -> list[KnownKey]:
    """The keys with that key id, of whatever environment: none, or one."""
    rows = await pool.fetch(FIND_API_KEY, key_id)
    return [
        KnownKey(
            ApiKeyId(row["id"]),
            EnvironmentId(row["environment_id"]),
            TenantId(row["tenant_id"]),
            environment=row["environment"],
            secret_hash=row["secret_hash"],
            scopes=tuple(row["scopes"]),
            revoked_at=row["revoked_at"],
            environment_version=row["environment_version"],
            requests_per_minute=row["requests_per_minute"],
        )
        for row in rows
    ]


async def select_api_key(
    tx: Connection, environment_id: EnvironmentId, *, api_key_id: ApiKeyId
) -> ApiKeyRow | None:
    """One key of the environment."""
    row = await tx.fetchrow(SELECT_API_KEY, environment_id, api_key_id)
    return None if row is None else _read(row)


async def select_api_keys(
    tx: Connection, environment_id: EnvironmentId, *, after_id: str | None, is_ascending: bool, limit: int
) -> list[ApiKeyRow]:
    """A page of keys in the order of their making, revoked ones included."""
    statement = SELECT_API_KEYS_ASC if is_ascending else SELECT_API_KEYS_DESC
    return [_read(row) for row in await tx.fetch(statement, environment_id, after_id, limit)]


async def revoke_api_key(
    tx: Connection, environment_id: EnvironmentId, *, api_key_id: ApiKeyId, revoked_at: datetime
) -> None:
    """End a key; one that is revoked already keeps its instant."""
    await tx.execute(REVOKE_API_KEY, environment_id, api_key_id, revoked_at)


async def touch_api_keys(pool: Pool, used: Sequence[tuple[EnvironmentId, ApiKeyId, datetime]]) -> None:
    """Note the last use of many keys at once; sorted, so that two processes cannot wait for each other."""
    ordered = sorted(used)
    await pool.execute(
        TOUCH_API_KEYS, [use[0] for use in ordered], [use[1] for use in ordered], [use[2] for use in ordered]
    )


def _read(row: Any) -> ApiKeyRow:
    return ApiKeyRow(
        ApiKeyId(row["id"]),
        row["key_id"],
        name=row["name"],
        scopes=tuple(row["scopes"]),
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )
