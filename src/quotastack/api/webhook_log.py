"""The log of events and deliveries."""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET

from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.api.webhook_types import DeliveryFilter, EventFilter
from quotastack.core.envelopes import Envelope
from quotastack.core.event_patterns import check_patterns, wanted_types
from quotastack.core.events import OFF_BY_DEFAULT
from quotastack.services.webhook_log import (
    Delivery,
    list_deliveries,
    list_events,
    read_delivery,
    read_event,
    redeliver,
    skip_head,
)


def _given(query: Any, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(query, name)) is not UNSET}


async def get_events(request: Request) -> Response:
    """One page of events, as deliveries carry them."""
    page = read_page(request)
    query: EventFilter = request.query
    types: tuple[str, ...] | None = None
    if query.type is not UNSET:
        patterns = check_patterns([query.type], pointer="/type")
        # A reader of the log asks for what was written: a prefix means all of its types here.
        off = tuple(name for name in OFF_BY_DEFAULT if query.type in {"*", name.split(".", 1)[0] + ".*"})
        types = (*wanted_types(patterns), *off)
    rows = await list_events(
        request.app,
        request.caller,
        customer=request.customer,
        after=page.after,
        is_ascending=page.is_ascending,
        limit=page.fetch,
        types=types,
        **_given(query, "from_at", "to_at"),
    )
    return page_response(request, rows, position=lambda row: (row.created_at, row.customer_id, row.sequence))


async def get_event(request: Request) -> Response:
    """One event."""
    return Response(200, await read_event(request.app, request.caller, event_id=request.params["id"]))


async def get_deliveries(request: Request) -> Response:
    """One page of deliveries with their attempts."""
    page = read_page(request)
    rows = await list_deliveries(
        request.app,
        request.caller,
        customer=request.customer,
        after=page.after,
        is_ascending=page.is_ascending,
        limit=page.fetch,
        **_given(request.query, "status", "endpoint_id", "event_id", "from_at", "to_at"),
    )
    return page_response(request, rows, position=lambda row: (row.created_at, row.id))


async def get_delivery(request: Request) -> Response:
    """One delivery."""
    return Response(200, await read_delivery(request.app, request.caller, delivery_id=request.params["id"]))


async def post_redelivery(request: Request) -> Response:
    """The new delivery."""
    stored = await redeliver(
        request.app, request.caller, delivery_id=request.params["id"], key=request.the_key
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_skip(request: Request) -> Response:
    """The delivery, canceled."""
    stored = await skip_head(
        request.app, request.caller, delivery_id=request.params["id"], key=request.the_key
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/events",
        handler=get_events,
        scope="webhooks:read",
        tag="Events",
        summary="List events",
        description="Every event that was written, whether or not an endpoint wanted it.",
        query=EventFilter,
        answers={200: PageOf[Envelope]},
        errors=("customer-not-found",),
    ),
    Route(
        method="GET",
        path="/v1/events/{id}",
        handler=get_event,
        scope="webhooks:read",
        tag="Events",
        summary="Read an event",
        answers={200: Envelope},
        errors=("not-found",),
    ),
    Route(
        method="GET",
        path="/v1/webhooks/deliveries",
        handler=get_deliveries,
        scope="webhooks:read",
        tag="Webhooks",
        summary="List deliveries",
        description="With every attempt: status, duration and the first 2 KiB of the answer.",
        query=DeliveryFilter,
        answers={200: PageOf[Delivery]},
        errors=("customer-not-found",),
    ),
    Route(
        method="GET",
        path="/v1/webhooks/deliveries/{id}",
        handler=get_delivery,
        scope="webhooks:read",
        tag="Webhooks",
        summary="Read a delivery",
        answers={200: Delivery},
        errors=("not-found",),
    ),
    Route(
        method="POST",
        path="/v1/webhooks/deliveries/{id}/redeliver",
        handler=post_redelivery,
        scope="webhooks:write",
        tag="Webhooks",
        summary="Send a delivery again",
        description="Same id and body, outside the order of its lane, marked `webhook-redelivery: manual`.",
        answers={201: Delivery},
        errors=("not-found", "conflict"),
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/webhooks/deliveries/{id}/skip",
        handler=post_skip,
        scope="webhooks:write",
        tag="Webhooks",
        summary="Give up the delivery that its lane waits for",
        description="The events behind it go on at once; the receiver sees the gap.",
        answers={200: Delivery},
        errors=("not-found", "conflict"),
        key="required",
    ),
)
