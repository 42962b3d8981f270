"""Entitlements: the check in all its forms, and a customer's overrides.

The GET checks are the hottest operation of all: a repeated one is answered with kept bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from quotastack.api.errors import describe_problem, known_refusal
from quotastack.api.fields import (
    Body,
    CustomerQuery,
    Dimensions,
    ExternalId,
    Instant,
    Key,
    LongText,
    PageQuery,
    Query,
    Units,
    UnitsText,
    Uuid,
)
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import REPLAYED, Request, Response, Route, stored_response
from quotastack.core.amounts import AmountOverflowError
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.entitlement_check import EntitlementAnswer, EntitlementQuery
from quotastack.core.errors import ProblemError, ValidationFailedError
from quotastack.core.overrides import DeleteOverride, OverrideView, PutOverride
from quotastack.services.commands import submit_command
from quotastack.services.entitlements import check_entitlement, list_entitlements, recall_check

TAG: Final = "Entitlements"
CHECKS_MAX: Final = 100
VALUE_BYTES_MAX: Final = 64 * 1024

Consistency = Annotated[
    Literal["cached", "strong"],
    Meta(
        description="`cached` is at most 100 ms behind what another process wrote; `strong` reads the database."
    ),
]
DimensionsText = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=2000,
        pattern=r"^[^:,]{1,100}:[^,]{0,255}(?:,[^:,]{1,100}:[^,]{0,255})*(?!\n)$",
        description="Dimensions of the event, as `name:value`, several separated by commas.",
        examples=["model:large"],
    ),
]
Value = Annotated[
    dict[str, Any],
    Meta(
        extra={"max_bytes": VALUE_BYTES_MAX},
        description="By the metric's type: metered `{}` or `{enabled, quota}`, gauge `{cap}` or `{quota}`, boolean "
        "`{enabled}`, static `{config}`.",
    ),
]


class CheckQuery(Query, frozen=True, kw_only=True):
    """What is asked: may the customer use so many ``units`` now? For a gauge, ``current`` replaces the reading."""

    units: UnitsText | UnsetType = UNSET
    current: UnitsText | UnsetType = UNSET
    dimensions: DimensionsText | UnsetType = UNSET
    explain: bool = False
    consistency: Consistency = "cached"


class NamedCheckQuery(CustomerQuery, frozen=True, kw_only=True):
    """A check that names customer and metric; ``end_user_id`` and ``feature_key`` are accepted as their names."""

    billable_metric_key: Key
    units: UnitsText | UnsetType = UNSET
    current: UnitsText | UnsetType = UNSET
    dimensions: DimensionsText | UnsetType = UNSET
    explain: bool = False
    consistency: Consistency = "cached"


class EntitlementList(PageQuery, frozen=True, kw_only=True):
    """All metrics of a customer, by key."""

    order: Literal["desc", "asc"] = "asc"
    consistency: Consistency = "cached"


class Check(Body, frozen=True, kw_only=True):
    """One check of a batch. It names exactly one customer."""

    customer_id: Uuid | UnsetType = UNSET
    external_customer_id: ExternalId | UnsetType = UNSET
    billable_metric_key: Key
    units: Units | UnsetType = UNSET
    current: Units | UnsetType = UNSET
    dimensions: Dimensions | UnsetType = UNSET
    explain: bool = False


class CheckBatch(Body, frozen=True, kw_only=True):
    """Up to 100 checks, answered in order."""

    checks: Annotated[list[Check], Meta(min_length=1, max_length=CHECKS_MAX)]


class CheckBatchQuery(Query, frozen=True, kw_only=True):
    """How fresh the answers must be."""

    consistency: Consistency = "cached"


class CheckProblem(msgspec.Struct, frozen=True, kw_only=True):
    """In place of an answer: why this one check could not be made (an unknown customer or metric)."""

    problem: dict[str, Any]


class CheckResults(msgspec.Struct, frozen=True, kw_only=True):
    """One answer for each check, in order; a check that could not be made has a ``problem`` instead."""

    results: list[dict[str, Any]]


class Override(Body, frozen=True, kw_only=True):
    """A customer's own value of a metric; it counts until ``expires_at``."""

    value: Value
    expires_at: Instant | UnsetType | None = UNSET
    reason: LongText | UnsetType | None = UNSET


def _given(value: Any) -> Any:
    return None if value is UNSET else value


def _read_dimensions(text: str | UnsetType) -> dict[str, str]:
    if text is UNSET:
        return {}
    pairs = [pair.split(":", 1) for pair in text.split(",")]
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValidationFailedError.at("/dimensions", "A dimension is there twice.")
    return found


def _check(request: Request, metric_key: str) -> Response | Awaitable[Response]:
    query: CheckQuery | NamedCheckQuery = request.query
    memo_key = (metric_key, request.query_string)
    if query.consistency != "strong":
        kept = recall_check(request.app, request.caller, request.the_customer, memo_key)
        if kept is not None:
            return Response(200, kept)
    return _decide_check(request, query, metric_key, memo_key)


async def _decide_check(
    request: Request, query: CheckQuery | NamedCheckQuery, metric_key: str, memo_key: tuple[str, bytes]
) -> Response:
    body = await check_entitlement(
        request.app,
        request.caller,
        request.the_customer,
        EntitlementQuery(
            billable_metric_key=metric_key,
            units=_given(query.units),
            current=_given(query.current),
            dimensions=_read_dimensions(query.dimensions),
            explain=query.explain,
        ),
        strong=query.consistency == "strong",
        memo_key=memo_key,
    )
    return Response(200, body)


def get_check(request: Request) -> Response | Awaitable[Response]:
    """The answer, for a customer and a metric in the path."""
    return _check(request, request.params["billable_metric_key"])


def get_named_check(request: Request) -> Response | Awaitable[Response]:
    """The answer, for a customer and a metric in the query."""
    return _check(request, request.query.billable_metric_key)


async def get_entitlements(request: Request) -> Response:
    """One page of answers, one for each metric."""
    page = read_page(request)
    answers = await list_entitlements(
        request.app,
        request.caller,
        request.the_customer,
        after_key=page.after_id,
        is_ascending=page.is_ascending,
        limit=page.fetch,
        strong=request.query.consistency == "strong",
    )
    return page_response(request, answers, position=lambda row: (row.billable_metric_key,))


async def post_checks(request: Request) -> Response:
    """The answers in order."""
    body: CheckBatch = request.body
    is_strong = request.query.consistency == "strong"
    results = [await _check_one(request, check, is_strong=is_strong) for check in body.checks]
    return Response(200, b'{"results":[' + b",".join(results) + b"]}")


async def _check_one(request: Request, check: Check, *, is_strong: bool) -> bytes:
    query = EntitlementQuery(
        billable_metric_key=check.billable_metric_key,
        units=_given(check.units),
        current=_given(check.current),
        dimensions={} if check.dimensions is UNSET else check.dimensions,
        explain=check.explain,
    )
    memo_key = (query.billable_metric_key, query.units, query.current, *sorted(query.dimensions.items()))
    try:
        customer = CustomerRef.one_of(_given(check.customer_id), _given(check.external_customer_id))
        if not is_strong and not check.explain:
            kept = recall_check(request.app, request.caller, customer, memo_key)
            if kept is not None:
                return kept
        return await check_entitlement(
            request.app, request.caller, customer, query, strong=is_strong, memo_key=memo_key
        )
    except (ProblemError, AmountOverflowError) as error:
        refusal = error if isinstance(error, ProblemError) else known_refusal(error)
        assert refusal is not None
        problem = describe_problem(refusal, base_url=request.base_url)
        return msgspec.json.encode(CheckProblem(problem=problem))


async def put_override(request: Request) -> Response:
    """The override."""
    body: Override = request.body
    command = PutOverride(
        billable_metric_key=request.params["billable_metric_key"],
        value=body.value,
        expires_at=_given(body.expires_at),
        reason=_given(body.reason),
    )
    outcome = await submit_command(
        request.app, request.caller, request.the_customer, command, key=request.key
    )
    return stored_response(outcome.status, outcome.body, replayed=outcome.is_replayed)


async def delete_override(request: Request) -> Response:
    """Nothing more to say."""
    command = DeleteOverride(billable_metric_key=request.params["billable_metric_key"])
    outcome = await submit_command(
        request.app, request.caller, request.the_customer, command, key=request.key
    )
    return Response(204, headers=REPLAYED if outcome.is_replayed else ())


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/{customer}/entitlements/{billable_metric_key}",
        handler=get_check,
        scope="entitlements:read",
        tag=TAG,
        summary="Check an entitlement",
        description="Read-only and advisory: it holds nothing. A check that says no is a 200 with `allowed: false` and "
        "the first `reason`. Reserve to be safe under concurrency.",
        query=CheckQuery,
        answers={200: EntitlementAnswer},
        errors=("customer-not-found", "not-found"),
        is_rate_limited=False,
    ),
    Route(
        method="GET",
        path="/v1/entitlements/check",
        handler=get_named_check,
        scope="entitlements:read",
        tag=TAG,
        summary="Check an entitlement, named in the query",
        query=NamedCheckQuery,
        answers={200: EntitlementAnswer},
        errors=("customer-identifier-conflict", "customer-not-found", "not-found"),
        is_rate_limited=False,
    ),
    Route(
        method="POST",
        path="/v1/entitlements/check",
        handler=post_checks,
        scope="entitlements:read",
        tag=TAG,
        summary="Check up to 100 entitlements",
        description="Each check is answered as if it had been asked alone; one that cannot be made (an unknown "
        "customer or metric) has a `problem` in its place.",
        body=CheckBatch,
        query=CheckBatchQuery,
        answers={200: CheckResults},
        is_rate_limited=False,
        example={
            "checks": [{"external_customer_id": "user_123", "billable_metric_key": "api_calls", "units": 5}]
        },
    ),
    Route(
        method="GET",
        path="/v1/{customer}/entitlements",
        handler=get_entitlements,
        scope="entitlements:read",
        tag=TAG,
        summary="Check all metrics of a customer",
        description="One unit of each metric that is not archived, by key.",
        query=EntitlementList,
        answers={200: PageOf[EntitlementAnswer]},
        errors=("customer-not-found",),
        is_rate_limited=False,
    ),
    Route(
        method="PUT",
        path="/v1/{customer}/entitlements/{billable_metric_key}",
        handler=put_override,
        scope="customers:write",
        tag=TAG,
        summary="Override a customer's entitlement",
        description="Replaces the customer's override of the metric. It wins over every plan and the default until "
        "`expires_at`.",
        body=Override,
        answers={200: OverrideView},
        errors=("customer-not-found", "not-found"),
        key="optional",
        example={"value": {"enabled": True}, "expires_at": "2041-06-01T00:00:00Z", "reason": "pilot"},
    ),
    Route(
        method="DELETE",
        path="/v1/{customer}/entitlements/{billable_metric_key}",
        handler=delete_override,
        scope="customers:write",
        tag=TAG,
        summary="Delete a customer's override",
        description="The plan's value, or the metric's default, counts again.",
        answers={204: None},
        errors=("customer-not-found", "not-found"),
        key="optional",
    ),
)
