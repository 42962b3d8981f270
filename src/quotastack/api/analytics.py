"""Analytics: reports over the ledger, as JSON or CSV."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.api.fields import ExternalId, Instant, Query, Unit, Uuid
from quotastack.api.routing import Request, Response, Route
from quotastack.core.liability import COLUMNS, LiabilityMonth
from quotastack.services.analytics import read_liability

CSV_TYPE: Final = b"text/csv; charset=utf-8"


class LiabilityQuery(Query, frozen=True, kw_only=True):
    """The account's unit, the months that ``from`` and ``to`` touch, and one customer where named."""

    unit: Unit = "credits"
    from_at: Instant | UnsetType = msgspec.field(name="from", default=UNSET)
    to_at: Instant | UnsetType = msgspec.field(name="to", default=UNSET)
    customer_id: Uuid | UnsetType = UNSET
    external_customer_id: ExternalId | UnsetType = UNSET


class LiabilityReport(msgspec.Struct, frozen=True):
    """One row for each month, oldest first."""

    unit: str
    data: list[LiabilityMonth]


async def get_liability(request: Request) -> Response:
    """The report, as CSV where the caller asks for it."""
    query: LiabilityQuery = request.query
    months = await read_liability(
        request.app,
        request.caller,
        unit=query.unit,
        customer=request.customer,
        from_at=None if query.from_at is UNSET else query.from_at,
        to_at=None if query.to_at is UNSET else query.to_at,
    )
    if b"text/csv" not in request.headers.get(b"accept", b""):
        return Response(200, LiabilityReport(query.unit, months))
    lines = [COLUMNS, *(tuple(str(getattr(row, name)) for name in COLUMNS) for row in months)]
    text = "".join(",".join(line) + "\r\n" for line in lines)
    return Response(200, text.encode(), content_type=CSV_TYPE)


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/analytics/liability",
        handler=get_liability,
        scope="credits:read",
        tag="Operations",
        summary="Report the liability by month",
        description=(
            "opening + granted (paid, free) + adjusted + overage billed - spent - expired - refunded - voided - "
            "withdrawn = closing. Refunds of usage lower `spent`. CSV with `Accept: text/csv`."
        ),
        query=LiabilityQuery,
        answers={200: LiabilityReport},
        errors=("customer-not-found",),
    ),
)
