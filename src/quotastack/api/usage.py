"""Usage: one event, many events, taking one back, and what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from quotastack.api.errors import PROBLEM_KINDS, describe_problem
from quotastack.api.fields import (
    Body,
    CustomerBody,
    Dimensions,
    Instant,
    Key,
    Metadata,
    TimedCustomerFilter,
    Units,
    Uuid,
)
from quotastack.api.json_body import BodyReader, named_customer
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import REPLAYED, Queued, Request, Response, Route, show_outcome
from quotastack.core.errors import (
    FieldFault,
    IdempotencyKeyRequiredError,
    ProblemError,
    ValidationFailedError,
)
from quotastack.core.idempotency import make_idempotency_key, read_key_text
from quotastack.core.usage import RecordUsage
from quotastack.core.usage_views import AcceptedView, ReversalView, UsageView
from quotastack.services.commands import submit_command
from quotastack.services.usage import (
    BatchEvent,
    accept_usage,
    list_usage,
    read_usage,
    record_batch,
    record_usage,
    reverse_usage,
)

TAG: Final = "Usage"
EVENTS_MAX: Final = 1_000
EVENTS_AT_ONCE: Final = 32
BATCH_MAX_BYTES: Final = 8 * 1024 * 1024
USAGE_PATH: Final = "/v1/usage"
_APPLIED: Final = (b"preference-applied", b"respond-async")


class UsageBody(CustomerBody, frozen=True, kw_only=True):
    """One usage event. `units` (default 1), or `value` for a TotalCounter or a Gauge."""

    billable_metric_key: Key
    units: Units | UnsetType = UNSET
    value: Units | UnsetType = UNSET
    timestamp: Instant | UnsetType = UNSET
    dimensions: Dimensions | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    enforcement: Literal["enforce", "record"] = "enforce"
    dry_run: bool = False


class BatchBody(Body, frozen=True, kw_only=True):
    """Events as `POST /v1/usage` takes them, each with its own `idempotency_key`."""

    events: Annotated[
        list[Any],
        Meta(
            min_length=1,
            max_length=EVENTS_MAX,
            description="Bodies of `POST /v1/usage`, each with an `idempotency_key` of its own.",
        ),
    ]


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event: its usage, or the problem that `POST /v1/usage` would have answered."""

    status: Literal["created", "replayed", "failed"]
    usage: UsageView | UnsetType = UNSET
    problem: dict[str, Any] | UnsetType = UNSET


class BatchView(msgspec.Struct, frozen=True, kw_only=True):
    """One result for each event, in their order."""

    results: list[BatchResult]


class UsageFilter(TimedCustomerFilter, frozen=True, kw_only=True):
    """Filters are exact; `from` and `to` are about the events' `timestamp`; `dimension` is `name:value`."""

    billable_metric_key: Key | UnsetType = UNSET
    status: Literal["accepted", "applied", "reversed", "rejected"] | UnsetType = UNSET
    dimension: (
        Annotated[str, Meta(min_length=2, max_length=400, pattern="^[^:]+:", examples=["model:large"])]
        | UnsetType
    ) = UNSET
    reservation_id: Uuid | UnsetType = UNSET


def _said(value: Any) -> Any:
    return None if value is UNSET else value


def _command(body: UsageBody) -> RecordUsage:
    return RecordUsage(
        billable_metric_key=body.billable_metric_key,
        units=None if body.units is UNSET else body.units,
        value=None if body.value is UNSET else body.value,
        timestamp=None if body.timestamp is UNSET else body.timestamp,
        dimensions={} if body.dimensions is UNSET else body.dimensions,
        metadata={} if body.metadata is UNSET else body.metadata,
        enforcement=body.enforcement,
        dry_run=body.dry_run,
    )


def _prefers_async(request: Request) -> bool:
    prefer = request.headers.get(b"prefer")
    return prefer is not None and b"respond-async" in (
        token.split(b";")[0].strip().lower() for token in prefer.split(b",")
    )


def post_usage(request: Request) -> Queued | Awaitable[Response]:
    """The charged event, or what it would be; 202 for a caller who does not wait."""
    body: UsageBody = request.body
    usage = _command(body)
    if body.dry_run:
        return _try_usage(request, usage)
    if b"prefer" in request.headers and _prefers_async(request):
        return _accept(request, usage)
    return Queued(
        record_usage(request.caller, request.the_customer, usage=usage, key=request.the_key), show_outcome
    )


async def _try_usage(request: Request, usage: RecordUsage) -> Response:
    outcome = await submit_command(request.app, request.caller, request.the_customer, usage, key=None)
    return Response(200, outcome.body)


async def _accept(request: Request, usage: RecordUsage) -> Response:
    outcome = await accept_usage(
        request.app, request.caller, request.the_customer, usage=usage, key=request.the_key
    )
    headers = (*REPLAYED, _APPLIED) if outcome.is_replayed else (_APPLIED,)
    return Response(outcome.status, outcome.body, headers=headers)


_reader = BodyReader(UsageBody)


def _read_event(value: Any) -> BatchEvent:
    """One event of a batch, read as ``POST /v1/usage`` reads its body.

    Raises:
        ProblemError: what that request would be refused with.
    """
    value = _reader.replace_aliases(value)
    if not isinstance(value, dict):
        raise ValidationFailedError("An event is an object.", errors=(FieldFault("", "Expected an object."),))
    key = value.pop("idempotency_key", None)
    if key is None:
        raise IdempotencyKeyRequiredError("Each event of a batch names its act in idempotency_key.")
    if not isinstance(key, str):
        raise ValidationFailedError.at("/idempotency_key", "idempotency_key must be a string.")
    text = read_key_text(key, pointer="/idempotency_key")
    body: UsageBody = _reader.read(value, len(msgspec.json.encode(value.get("metadata"))))
    if body.dry_run:
        raise ValidationFailedError.at("/dry_run", "A batch has no dry runs: send the event alone.")
    return BatchEvent(
        customer=named_customer(body),
        usage=_command(body),
        key=make_idempotency_key(text, method="POST", path=USAGE_PATH, body=value),
    )


def _try_read(value: Any) -> BatchEvent | ProblemError:
    try:
        return _read_event(value)
    except ProblemError as refusal:
        # Kept among the events, it would hold the frame that keeps them.
        return refusal.with_traceback(None)


async def post_batch(request: Request) -> Response:
    """A result for each event: 201 when every one was created or replayed, else 207."""
    body: BatchBody = request.body
    events: list[BatchEvent | ProblemError] = []
    for number, value in enumerate(body.events, 1):
        events.append(_try_read(value))
        if not number % EVENTS_AT_ONCE:
            # A check that comes meanwhile waits for some of the events, not for all of them.
            await asyncio.sleep(0)
    outcomes = await record_batch(request.app, request.caller, events)
    results: list[dict[str, Any]] = []
    status = 201
    for outcome in outcomes:
        if isinstance(outcome, ProblemError):
            status = 207
            problem = describe_problem(outcome, base_url=request.base_url)
            if outcome.retry_after_seconds is not None:
                problem["retry_after"] = outcome.retry_after_seconds
            results.append({"status": "failed", "problem": problem})
        else:
            word = "replayed" if outcome.is_replayed else "created"
            results.append({"status": word, "usage": msgspec.Raw(outcome.body)})
    return Response(status, {"results": results})


async def get_usage_events(request: Request) -> Response:
    """One page of events."""
    page = read_page(request)
    query: UsageFilter = request.query
    dimension: tuple[str, str] | None = None
    if query.dimension is not UNSET:
        name, _, value = query.dimension.partition(":")
        dimension = (name, value)
    rows = await list_usage(
        request.app,
        request.caller,
        customer=request.customer,
        metric_key=_said(query.billable_metric_key),
        status=_said(query.status),
        from_at=_said(query.from_at),
        to_at=_said(query.to_at),
        dimension=dimension,
        reservation_id=_said(query.reservation_id),
        after_id=page.after_id,
        is_ascending=page.is_ascending,
        limit=page.fetch,
    )
    shown = [_show(row, request.base_url) for row in rows]
    return page_response(request, shown, position=lambda row: (row.id,))


def _show(view: UsageView, base_url: str) -> UsageView:
    """A rejected event's problem as it would have been answered: with the status and title of its type."""
    if view.problem is UNSET:
        return view
    slug = view.problem["type"].rsplit("/", 1)[-1]
    kind = PROBLEM_KINDS[slug]
    problem = {
        **view.problem,
        "type": f"{base_url}/errors/{slug}",
        "title": kind.title,
        "status": kind.status,
    }
    return msgspec.structs.replace(view, problem=problem)


async def get_usage_event(request: Request) -> Response:
    """One event."""
    view = await read_usage(request.app, request.caller, usage_id=request.params["id"])
    return Response(200, _show(view, request.base_url))


async def post_reverse(request: Request) -> Response:
    """What was given back."""
    outcome = await reverse_usage(
        request.app, request.caller, usage_id=request.params["id"], key=request.the_key
    )
    return Response(outcome.status, outcome.body, headers=REPLAYED if outcome.is_replayed else ())


_EXAMPLE: Final = {"external_customer_id": "user_123", "billable_metric_key": "api_calls", "units": 3}
_REFUSALS: Final = (
    "customer-not-found",
    "not-found",
    "not-entitled",
    "asset-suspended",
    "quota-exceeded",
    "quota-rate-limited",
    "no-active-metering-rule",
    "timestamp-out-of-range",
    "insufficient-credits",
    "conflict",
)

ROUTES: Final = (
    Route(
        method="POST",
        path=USAGE_PATH,
        handler=post_usage,
        is_shed=True,
        scope="usage:write",
        tag=TAG,
        summary="Record and charge a usage event",
        description="Entitlement, quota, price and debit are decided in one transaction; the balance in the answer is "
        "final. With `Prefer: respond-async` the answer is 202 and a refusal becomes the event `usage.rejected`. "
        "With `dry_run` (200) nothing is kept.",
        body=UsageBody,
        answers={201: UsageView, 200: UsageView, 202: AcceptedView},
        errors=_REFUSALS,
        key="required",
        example=_EXAMPLE,
    ),
    Route(
        method="POST",
        path="/v1/usage/batch",
        handler=post_batch,
        is_shed=True,
        scope="usage:write",
        tag=TAG,
        summary="Record many usage events, each on its own",
        description="1 to 1,000 events, 8 MiB. 201 when every event was created or replayed, else 207.",
        body=BatchBody,
        answers={201: BatchView, 207: BatchView},
        body_max_bytes=BATCH_MAX_BYTES,
        example={"events": [{**_EXAMPLE, "idempotency_key": "usage:request-1"}]},
    ),
    Route(
        method="GET",
        path=USAGE_PATH,
        handler=get_usage_events,
        scope="usage:read",
        tag=TAG,
        summary="List usage events",
        query=UsageFilter,
        answers={200: PageOf[UsageView]},
        errors=("customer-not-found",),
    ),
    Route(
        method="GET",
        path="/v1/usage/{id}",
        handler=get_usage_event,
        scope="usage:read",
        tag=TAG,
        summary="Read a usage event",
        answers={200: UsageView},
        errors=("not-found",),
    ),
    Route(
        method="POST",
        path="/v1/usage/{id}/reverse",
        handler=post_reverse,
        scope="usage:write",
        tag=TAG,
        summary="Take a usage event back",
        description="Gives back exactly what it cost, once; the counter moves back, the pricing position does not.",
        answers={200: ReversalView},
        errors=("not-found", "conflict"),
        key="required",
    ),
)
