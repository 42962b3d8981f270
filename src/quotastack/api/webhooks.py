"""Webhook endpoints, listeners, and the catalog of events."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET

from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.api.webhook_types import (
    CreateEndpoint,
    CreateListener,
    EventTypes,
    EventTypeShown,
    PatchEndpoint,
    Pull,
    Replay,
    RotateSecret,
    SendTest,
    TriggerEvent,
)
from quotastack.core.errors import ValidationFailedError
from quotastack.core.events import API_VERSION, EVENT_TYPES, data_schema
from quotastack.services.idempotency import Stored
from quotastack.services.webhook_log import Delivery, ReplayAnswer, replay_span
from quotastack.services.webhook_samples import (
    SAMPLE_CUSTOMER,
    ForwardedDelivery,
    ForwardResult,
    Listener,
    TriggerAnswer,
    create_listener,
    pull_deliveries,
    send_test,
    trigger_event,
)
from quotastack.services.webhooks import (
    Endpoint,
    EndpointTerms,
    EndpointWithSecret,
    create_endpoint,
    list_endpoints,
    patch_endpoint,
    read_endpoint,
    remove_endpoint,
    rotate_secret,
)

TAG: Final = "Webhooks"


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """All endpoints; there are never more than fit into one page."""

    data: list[Endpoint]
    pagination: dict[str, Any]


class PulledDeliveries(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, in order."""

    deliveries: list[ForwardedDelivery]


def _answer(stored: Stored) -> Response:
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


def _terms(body: Any) -> EndpointTerms:
    fields = {name: getattr(body, name, UNSET) for name in EndpointTerms.__struct_fields__}
    return EndpointTerms(**fields)


async def post_endpoint(request: Request) -> Response:
    """The endpoint, with its secret where the server made it."""
    return _answer(
        await create_endpoint(request.app, request.caller, _terms(request.body), key=request.the_key)
    )


async def get_endpoints(request: Request) -> Response:
    """Every endpoint."""
    rows = await list_endpoints(request.app, request.caller)
    return Response(200, {"data": rows, "pagination": {"has_more": False, "next_cursor": None}})


async def get_endpoint(request: Request) -> Response:
    """One endpoint."""
    return Response(200, await read_endpoint(request.app, request.caller, endpoint_id=request.params["id"]))


async def change_endpoint(request: Request) -> Response:
    """The endpoint after the change."""
    return _answer(
        await patch_endpoint(
            request.app,
            request.caller,
            endpoint_id=request.params["id"],
            terms=_terms(request.body),
            key=request.the_key,
        )
    )


async def delete_endpoint(request: Request) -> Response:
    """Nothing."""
    stored = await remove_endpoint(
        request.app, request.caller, endpoint_id=request.params["id"], key=request.key
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_rotation(request: Request) -> Response:
    """The endpoint, with the new secret where the server made it."""
    body: RotateSecret = request.body
    return _answer(
        await rotate_secret(
            request.app,
            request.caller,
            endpoint_id=request.params["id"],
            secret_text=None if body.secret is UNSET else body.secret,
            overlap_seconds=body.overlap_seconds,
            is_forced=body.force,
            key=request.the_key,
        )
    )


async def post_test(request: Request) -> Response:
    """The delivery of the sample."""
    body: SendTest = request.body
    return _answer(
        await send_test(
            request.app,
            request.caller,
            endpoint_id=request.params["id"],
            type_=None if body.type is UNSET else body.type,
            key=request.the_key,
        )
    )


async def post_replay(request: Request) -> Response:
    """How many events are sent again."""
    body: Replay = request.body
    if body.to_at <= body.from_at:
        raise ValidationFailedError.at("/to", "must be after from.")
    return _answer(
        await replay_span(
            request.app,
            request.caller,
            endpoint_id=request.params["id"],
            from_at=body.from_at,
            to_at=body.to_at,
            key=request.the_key,
        )
    )


async def post_trigger(request: Request) -> Response:
    """The sample's deliveries."""
    body: TriggerEvent = request.body
    return _answer(await trigger_event(request.app, request.caller, type_=body.type, key=request.the_key))


async def post_listener(request: Request) -> Response:
    """The listener, with its secret."""
    body: CreateListener = request.body
    patterns = ("*",) if body.events is UNSET else tuple(body.events)
    return _answer(await create_listener(request.app, request.caller, patterns=patterns, key=request.the_key))


async def post_pull(request: Request) -> Response:
    """What waits."""
    body: Pull = request.body
    results = [
        ForwardResult(
            delivery_id=result.delivery_id,
            status=result.status,
            error=result.error,
            duration_ms=result.duration_ms,
            answer=result.answer,
        )
        for result in (() if body.results is UNSET else body.results)
    ]
    deliveries = await pull_deliveries(
        request.app, request.caller, listener_id=request.params["id"], results=results
    )
    return Response(200, PulledDeliveries(deliveries=deliveries))


async def get_event_types(_request: Request) -> Response:
    """The catalog."""
    return Response(200, encoded_event_types())


@lru_cache(maxsize=1)
def encoded_event_types() -> bytes:
    """The catalog as it is answered; it changes with the version only."""
    shown = [
        EventTypeShown(
            type=known.type,
            group=known.group,
            description=known.description,
            is_default=known.is_default,
            schema=data_schema(known),
            example=example_event(known.type),
        )
        for known in EVENT_TYPES.values()
    ]
    return msgspec.json.encode(EventTypes(data=shown))


def example_event(type_: str) -> dict[str, Any]:
    """A whole event of the type, as a delivery carries it."""
    return {
        "id": "019d43b6-8288-7f05-b4da-3b927a5c4d98",
        "type": type_,
        "api_version": API_VERSION,
        "environment": "test",
        "tenant_id": "019d43b6-8289-7096-85eb-4ca38b6d5ea9",
        "created_at": "2026-03-31T10:00:00Z",
        "sequence": 7,
        "customer_id": SAMPLE_CUSTOMER,
        "external_customer_id": "user_sample",
        "request_id": "req_4f1c0a",
        "data": EVENT_TYPES[type_].example,
    }


ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/webhooks/endpoints",
        handler=post_endpoint,
        scope="webhooks:write",
        tag=TAG,
        summary="Create a webhook endpoint",
        description="Events from now on are delivered to it, signed with its secret.",
        body=CreateEndpoint,
        answers={201: EndpointWithSecret},
        errors=("conflict",),
        key="required",
        example={"url": "https://example.com/webhooks", "events": ["credit.*", "subscription.overdue"]},
    ),
    Route(
        method="GET",
        path="/v1/webhooks/endpoints",
        handler=get_endpoints,
        scope="webhooks:read",
        tag=TAG,
        summary="List webhook endpoints",
        answers={200: Endpoints},
    ),
    Route(
        method="GET",
        path="/v1/webhooks/endpoints/{id}",
        handler=get_endpoint,
        scope="webhooks:read",
        tag=TAG,
        summary="Read a webhook endpoint",
        answers={200: Endpoint},
        errors=("not-found",),
    ),
    Route(
        method="PATCH",
        path="/v1/webhooks/endpoints/{id}",
        handler=change_endpoint,
        scope="webhooks:write",
        tag=TAG,
        summary="Change a webhook endpoint",
        description="Disabling it, or taking an event type away, cancels the deliveries that wait.",
        body=PatchEndpoint,
        answers={200: Endpoint},
        errors=("not-found", "conflict"),
        key="required",
    ),
    Route(
        method="DELETE",
        path="/v1/webhooks/endpoints/{id}",
        handler=delete_endpoint,
        scope="webhooks:write",
        tag=TAG,
        summary="Delete a webhook endpoint",
        answers={204: None},
        errors=("not-found", "conflict"),
        key="optional",
    ),
    Route(
        method="POST",
        path="/v1/webhooks/endpoints/{id}/rotate-secret",
        handler=post_rotation,
        scope="webhooks:write",
        tag=TAG,
        summary="Rotate an endpoint's secret",
        description="Deliveries carry two signatures until the old secret's overlap is over.",
        body=RotateSecret,
        answers={200: EndpointWithSecret},
        errors=("not-found", "conflict"),
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/webhooks/endpoints/{id}/test",
        handler=post_test,
        scope="webhooks:write",
        tag=TAG,
        summary="Send a sample to an endpoint",
        body=SendTest,
        answers={201: Delivery},
        errors=("not-found", "conflict"),
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/webhooks/endpoints/{id}/replay",
        handler=post_replay,
        scope="webhooks:write",
        tag=TAG,
        summary="Send the events of a span again",
        body=Replay,
        answers={202: ReplayAnswer},
        errors=("not-found", "conflict"),
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/webhooks/trigger",
        handler=post_trigger,
        scope="webhooks:write",
        tag=TAG,
        summary="Send a sample to all that want its type",
        description="Test environments only: what `quotastack trigger` calls.",
        body=TriggerEvent,
        answers={201: TriggerAnswer},
        errors=("insufficient-scope",),
        key="required",
        example={"type": "subscription.overdue"},
    ),
    Route(
        method="POST",
        path="/v1/webhooks/listeners",
        handler=post_listener,
        scope="webhooks:write",
        tag=TAG,
        summary="Listen to a test environment's events",
        description="What `quotastack listen` calls. A listener that fetches nothing for a minute is removed.",
        body=CreateListener,
        answers={201: Listener},
        errors=("insufficient-scope", "conflict"),
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/webhooks/listeners/{id}/pull",
        handler=post_pull,
        scope="webhooks:write",
        tag=TAG,
        summary="Fetch what waits for a listener",
        description="Repeating it does no harm: a delivery is written down once and fetched until it is.",
        body=Pull,
        answers={200: PulledDeliveries},
        errors=("not-found",),
        key="optional",
    ),
    Route(
        method="GET",
        path="/v1/webhooks/event-types",
        handler=get_event_types,
        scope=None,
        tag=TAG,
        summary="List the types of events",
        description="Each with the JSON Schema of its data and an example; no API key is needed.",
        answers={200: EventTypes},
    ),
)
