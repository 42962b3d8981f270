"""The audit log of catalog, configuration and key changes."""

from __future__ import annotations

from typing import Any

import msgspec

from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.store.audit_log import AuditEntry, insert_audit_entry, select_audit_entries

_encode = msgspec.json.Encoder(order="deterministic").encode

__all__ = ["AuditEntry", "list_audit_entries", "record_audit"]


async def record_audit(
    tx: Connection,
    services: Services,
    caller: Caller,
    *,
    action: str,
    object_type: str,
    object_id: str,
    before: Any = None,
    after: Any = None,
) -> None:
    """Write an entry in the transaction of the change, so that neither exists without the other.

    ``action`` is ``<object>.<verb in the past>``, as event types are. ``before`` and ``after`` are the object as the
    API shows it, or the fields that changed; never a secret. None: there was, or is, nothing.
    """
    entry = AuditEntry(
        id=new_id(),
        created_at=services.clock.now(),
        actor=caller.actor,
        key_id=caller.key_id,
        action=action,
        object_type=object_type,
        object_id=object_id,
        before=None if before is None else msgspec.Raw(_encode(before)),
        after=None if after is None else msgspec.Raw(_encode(after)),
        request_id=caller.request_id,
    )
    await insert_audit_entry(tx, caller.environment_id, entry=entry)


async def list_audit_entries(services: Services, caller: Caller, **page: Any) -> list[AuditEntry]:
    """A page of the environment's entries; the arguments are those of ``select_audit_entries``."""
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        return await select_audit_entries(tx, caller.environment_id, **page)
