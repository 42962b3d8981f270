"""The audit log: who changed what, on which object, from what to what. Only ever inserted."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection

INSERT_AUDIT_ENTRY: Final = """
    INSERT INTO quotastack.audit_log
        (environment_id, id, created_at, actor, key_id, action, object_type, object_id, before, after, request_id)
    VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8, $9::jsonb, $10::jsonb, $11)
"""

SELECT_AUDIT_ENTRIES_DESC: Final = """
    SELECT id::text, created_at, actor, key_id, action, object_type, object_id, before, after, request_id
      FROM quotastack.audit_log
     WHERE environment_id = $1::uuid AND ($2::uuid IS NULL OR id < $2::uuid)
       AND ($4::text IS NULL OR object_type = $4) AND ($5::text IS NULL OR object_id = $5)
       AND ($6::timestamptz IS NULL OR created_at >= $6) AND ($7::timestamptz IS NULL OR created_at < $7)
     ORDER BY id DESC
     LIMIT $3
"""

SELECT_AUDIT_ENTRIES_ASC: Final = """
    SELECT id::text, created_at, actor, key_id, action, object_type, object_id, before, after, request_id
      FROM quotastack.audit_log
     WHERE environment_id = $1::uuid AND ($2::uuid IS NULL OR id > $2::uuid)
       AND ($4::text IS NULL OR object_type = $4) AND ($5::text IS NULL OR object_id = $5)
       AND ($6::timestamptz IS NULL OR created_at >= $6) AND ($7::timestamptz IS NULL OR created_at < $7)
     ORDER BY id
     LIMIT $3
"""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change, as the contract shows it. ``before`` and ``after`` are JSON as stored."""

    id: str
    created_at: datetime
    actor: str
    key_id: str | None
    action: str
    object_type: str
    object_id: str
    before: msgspec.Raw | None
    after: msgspec.Raw | None
    request_id: str


async def insert_audit_entry(tx: Connection, environment_id: EnvironmentId, *, entry: AuditEntry) -> None:
    """Insert an entry in the transaction of the change that it tells of."""
    await tx.execute(
        INSERT_AUDIT_ENTRY,
        environment_id,
        entry.id,
        entry.created_at,
        entry.actor,
        entry.key_id,
        entry.action,
        entry.object_type,
        entry.object_id,
        None if entry.before is None else bytes(entry.before).decode(),
        None if entry.after is None else bytes(entry.after).decode(),
        entry.request_id,
    )


async def select_audit_entries(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    after_id: str | None,
    is_ascending: bool,
    limit: int,
    object_type: str | None = None,
    object_id: str | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
) -> list[AuditEntry]:
    """A page of entries in the order of their making; the filters are exact."""
    statement = SELECT_AUDIT_ENTRIES_ASC if is_ascending else SELECT_AUDIT_ENTRIES_DESC
    rows: list[Any] = await tx.fetch(
        statement, environment_id, after_id, limit, object_type, object_id, from_at, to_at
    )
    return [_read(row) for row in rows]


def _read(row: Any) -> AuditEntry:
    return AuditEntry(
        id=row["id"],
        created_at=row["created_at"],
        actor=row["actor"],
        key_id=row["key_id"],
        action=row["action"],
        object_type=row["object_type"],
        object_id=row["object_id"],
        before=_read_json(row["before"]),
        after=_read_json(row["after"]),
        request_id=row["request_id"],
    )


def _read_json(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())
