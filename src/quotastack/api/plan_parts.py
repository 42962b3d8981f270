"""Credit grant templates and entitlements of a variant."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import (
    Body,
    Key,
    Metadata,
    PageQuery,
    PositiveAmount,
    Priority,
    SpanSeconds,
    Unit,
)
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.plans import given, position_of_id
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.core.errors import FieldFault, NotFoundError, ValidationFailedError
from quotastack.core.plan_views import EntitlementView, TemplateView, view_entitlement, view_template
from quotastack.services.variant_parts import (
    create_template,
    delete_entitlement,
    delete_template,
    put_entitlement,
)
from quotastack.services.variants import get_variant

INTERVAL_SECONDS_MIN: Final = 60

Percentage = Annotated[int, Meta(ge=0, le=100, description="0 to 100.")]
IntervalSeconds = Annotated[
    int,
    Meta(
        ge=INTERVAL_SECONDS_MIN,
        le=10 * 366 * 86_400,
        description="From one tick of the fixed grid to the next; a minute at least.",
    ),
]
Value = Annotated[dict[str, Any], Meta(description="Its shape follows the metric's type.")]


class TemplateBody(Body, frozen=True, kw_only=True):
    """What the variant grants. A cycle grant ends with its cycle unless it says when it expires."""

    credits: PositiveAmount
    unit: Unit | UnsetType = UNSET
    recurrence: Literal["activation", "cycle", "interval"] | UnsetType = UNSET
    interval_seconds: IntervalSeconds | UnsetType = UNSET
    expires_after_seconds: SpanSeconds | UnsetType = UNSET
    expires_with_cycle: bool | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    source: Literal["plan_grant", "promotional", "trial", "topup"] | UnsetType = UNSET
    rollover_percentage: Percentage | UnsetType = UNSET
    rollover_max: PositiveAmount | UnsetType = UNSET
    accumulation_cap: PositiveAmount | UnsetType = UNSET
    in_trial: bool | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class EntitlementBody(Body, frozen=True, kw_only=True):
    """The value of a metric for subscribers of the variant. ``feature_key`` names the metric too."""

    billable_metric_key: Key
    value: Value


class EntitlementPatch(Body, frozen=True, kw_only=True):
    """The value, replaced as a whole."""

    value: Value


def read_template(body: TemplateBody) -> dict[str, Any]:
    """The terms of a template, defaults filled in.

    Raises:
        ValidationFailedError: terms that contradict each other.
    """
    terms = given(body)
    recurrence = terms.setdefault("recurrence", "cycle")
    has_span = "expires_after_seconds" in terms
    terms.setdefault("expires_with_cycle", recurrence == "cycle" and not has_span)
    faults: list[FieldFault] = []
    if (recurrence == "interval") != ("interval_seconds" in terms):
        faults.append(FieldFault("/interval_seconds", "Required for recurrence interval, and only there."))
    if terms["expires_with_cycle"] and has_span:
        faults.append(
            FieldFault("/expires_with_cycle", "Either expires_after_seconds or expires_with_cycle.")
        )
    if terms.get("rollover_percentage") and not (recurrence == "cycle" and terms["expires_with_cycle"]):
        faults.append(FieldFault("/rollover_percentage", "Only what ends with its cycle rolls over."))
    if faults:
        raise ValidationFailedError("The terms of the template contradict each other.", errors=faults)
    return terms


def _page(request: Request, rows: list[Any], position: Any) -> Response:
    """A page of rows that are all at hand, ascending by their position."""
    page = read_page(request)
    ordered = sorted(rows, key=position, reverse=not page.is_ascending)
    after = page.after
    if after is not None:
        ordered = [
            row for row in ordered if (position(row) > after if page.is_ascending else position(row) < after)
        ]
    return page_response(request, ordered[: page.fetch], position=position)


def _position_of_key(row: EntitlementView) -> tuple[Any, ...]:
    return (row.billable_metric_key,)


async def post_template(request: Request) -> Response:
    """The template as created."""
    stored = await create_template(
        request.app,
        request.caller,
        plan_id=request.params["id"],
        variant_id=request.params["vid"],
        terms=read_template(request.body),
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def get_templates(request: Request) -> Response:
    """One page of a variant's templates."""
    variant = await get_variant(
        request.app, request.caller, plan_id=request.params["id"], variant_id=request.params["vid"]
    )
    return _page(request, [view_template(template) for template in variant.templates], position_of_id)


async def get_template(request: Request) -> Response:
    """One template."""
    variant = await get_variant(
        request.app, request.caller, plan_id=request.params["id"], variant_id=request.params["vid"]
    )
    for template in variant.templates:
        if template.id == request.params["gid"]:
            return Response(200, view_template(template))
    raise NotFoundError("There is no such credit grant template.")


async def delete_one_template(request: Request) -> Response:
    """Nothing: the template is gone."""
    stored = await delete_template(
        request.app,
        request.caller,
        plan_id=request.params["id"],
        variant_id=request.params["vid"],
        template_id=request.params["gid"],
        key=request.key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_entitlement(request: Request) -> Response:
    """The entitlement as created."""
    body: EntitlementBody = request.body
    return await _put_entitlement(request, body.billable_metric_key, body.value, is_new=True)


async def patch_entitlement(request: Request) -> Response:
    """The entitlement after the change."""
    body: EntitlementPatch = request.body
    return await _put_entitlement(request, request.params["metric"], body.value, is_new=False)


async def _put_entitlement(
    request: Request, metric_key: str, value: dict[str, Any], *, is_new: bool
) -> Response:
    stored = await put_entitlement(
        request.app,
        request.caller,
        plan_id=request.params["id"],
        variant_id=request.params["vid"],
        metric_key=metric_key,
        value=value,
        is_new=is_new,
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def get_entitlements(request: Request) -> Response:
    """One page of a variant's entitlements."""
    variant = await get_variant(
        request.app, request.caller, plan_id=request.params["id"], variant_id=request.params["vid"]
    )
    views = [view_entitlement(variant, key) for key in variant.entitlements]
    return _page(request, views, _position_of_key)


async def get_entitlement(request: Request) -> Response:
    """What the variant says of one metric."""
    variant = await get_variant(
        request.app, request.caller, plan_id=request.params["id"], variant_id=request.params["vid"]
    )
    metric_key = request.params["metric"]
    if metric_key not in variant.entitlements:
        raise NotFoundError(f"The variant has no value for {metric_key}.")
    return Response(200, view_entitlement(variant, metric_key))


async def delete_one_entitlement(request: Request) -> Response:
    """Nothing: the variant does not govern the metric any more."""
    stored = await delete_entitlement(
        request.app,
        request.caller,
        plan_id=request.params["id"],
        variant_id=request.params["vid"],
        metric_key=request.params["metric"],
        key=request.key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


_GRANTS: Final = "/v1/plans/{id}/variants/{vid}/credit-grants"
_ENTITLEMENTS: Final = "/v1/plans/{id}/variants/{vid}/entitlements"

ROUTES: Final = (
    Route(
        method="POST",
        path=_GRANTS,
        handler=post_template,
        scope="catalog:write",
        tag="Plans",
        summary="Add a credit grant template",
        body=TemplateBody,
        answers={201: TemplateView},
        errors=("not-found", "conflict"),
        key="required",
        example={"credits": 10_000_000, "recurrence": "cycle", "rollover_percentage": 50},
    ),
    Route(
        method="GET",
        path=_GRANTS,
        handler=get_templates,
        scope="catalog:read",
        tag="Plans",
        summary="List the credit grant templates of a variant",
        query=PageQuery,
        answers={200: PageOf[TemplateView]},
        errors=("not-found",),
    ),
    Route(
        method="GET",
        path=f"{_GRANTS}/{{gid}}",
        handler=get_template,
        scope="catalog:read",
        tag="Plans",
        summary="Read a credit grant template",
        answers={200: TemplateView},
        errors=("not-found",),
    ),
    Route(
        method="DELETE",
        path=f"{_GRANTS}/{{gid}}",
        handler=delete_one_template,
        scope="catalog:write",
        tag="Plans",
        summary="Delete a credit grant template",
        description="What it has granted stays.",
        answers={204: None},
        errors=("not-found",),
        key="optional",
    ),
    Route(
        method="POST",
        path=_ENTITLEMENTS,
        handler=post_entitlement,
        scope="catalog:write",
        tag="Plans",
        summary="Give a metric a value in a variant",
        body=EntitlementBody,
        answers={201: EntitlementView},
        errors=("not-found", "conflict"),
        key="required",
        example={"billable_metric_key": "max_seats", "value": {"cap": 10}},
    ),
    Route(
        method="GET",
        path=_ENTITLEMENTS,
        handler=get_entitlements,
        scope="catalog:read",
        tag="Plans",
        summary="List the entitlements of a variant",
        query=PageQuery,
        answers={200: PageOf[EntitlementView]},
        errors=("not-found",),
    ),
    Route(
        method="GET",
        path=f"{_ENTITLEMENTS}/{{metric}}",
        handler=get_entitlement,
        scope="catalog:read",
        tag="Plans",
        summary="Read an entitlement of a variant",
        answers={200: EntitlementView},
        errors=("not-found",),
    ),
    Route(
        method="PATCH",
        path=f"{_ENTITLEMENTS}/{{metric}}",
        handler=patch_entitlement,
        scope="catalog:write",
        tag="Plans",
        summary="Change an entitlement of a variant",
        body=EntitlementPatch,
        answers={200: EntitlementView},
        errors=("not-found",),
        key="required",
        example={"value": {"cap": 25}},
    ),
    Route(
        method="DELETE",
        path=f"{_ENTITLEMENTS}/{{metric}}",
        handler=delete_one_entitlement,
        scope="catalog:write",
        tag="Plans",
        summary="Take a metric out of a variant",
        answers={204: None},
        errors=("not-found",),
        key="optional",
    ),
)
