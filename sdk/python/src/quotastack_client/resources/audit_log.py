"""``client.audit_log``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, opt
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class AuditLog(Resource):
    """``client.audit_log``."""

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.AuditEntry]:
        """List changes of catalog, settings and keys."""
        return self._pages(
            "/v1/audit-log",
            models.AuditEntry,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "object_type": opt(object_type),
                "object_id": opt(object_id),
            },
            options=options,
        )


class AsyncAuditLog(AsyncResource):
    """``client.audit_log``."""

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        object_type: str | None = None,
        object_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.AuditEntry]:
        """List changes of catalog, settings and keys."""
        return self._pages(
            "/v1/audit-log",
            models.AuditEntry,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "object_type": opt(object_type),
                "object_id": opt(object_id),
            },
            options=options,
        )
