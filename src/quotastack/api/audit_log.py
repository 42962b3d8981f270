"""The audit log: who changed what in the catalog, the settings and the keys."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, UnsetType

from quotastack.api.fields import Name, TimedPageQuery
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Request, Response, Route
from quotastack.services.audit import AuditEntry, list_audit_entries


class AuditFilter(TimedPageQuery, frozen=True, kw_only=True):
    """Filters are exact."""

    object_type: Name | UnsetType = UNSET
    object_id: Name | UnsetType = UNSET


async def get_audit_log(request: Request) -> Response:
    """One page of entries."""
    page = read_page(request)
    query: AuditFilter = request.query
    filters = {
        name: value
        for name in ("object_type", "object_id", "from_at", "to_at")
        if (value := getattr(query, name)) is not UNSET
    }
    rows = await list_audit_entries(
        request.app,
        request.caller,
        after_id=page.after_id,
        is_ascending=page.is_ascending,
        limit=page.fetch,
        **filters,
    )
    return page_response(request, rows, position=lambda row: (row.id,))


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/audit-log",
        handler=get_audit_log,
        scope="audit:read",
        tag="Audit log",
        summary="List changes of catalog, settings and keys",
        query=AuditFilter,
        answers={200: PageOf[AuditEntry]},
    ),
)
