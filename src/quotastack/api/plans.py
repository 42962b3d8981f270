"""Plans and their variants."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import (
    Body,
    Currency,
    Instant,
    Key,
    LongText,
    Metadata,
    Money,
    Name,
    NonNegativeAmount,
    OveragePolicy,
    PageQuery,
    Query,
)
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.core.catalog import Contract
from quotastack.core.errors import ValidationFailedError
from quotastack.core.plan_views import PlanView, VariantView, view_variant
from quotastack.services.plans import PlanChanges, create_plan, get_plan, list_plans, patch_plan
from quotastack.services.variants import create_variant, get_variant, list_variants, patch_variant

IntervalName = Literal["day", "week", "month", "year"]
Days = Annotated[int, Meta(ge=0, le=3_650, description="Days of 24 hours.")]
IntervalCount = Annotated[int, Meta(ge=1, le=3_650, description="Intervals in one period.")]
Rank = Annotated[int, Meta(ge=-1_000_000, le=1_000_000, description="A higher rank is an upgrade.")]

# A period is at most ten years long, so that calendar arithmetic stays inside the calendar.
_COUNT_MAX: Final = {"day": 3_650, "week": 520, "month": 120, "year": 10}


class PlanBody(Body, frozen=True, kw_only=True):
    """A new plan. Of one ``family`` a customer has at most one live subscription."""

    key: Key
    name: Name | UnsetType = UNSET
    description: LongText | UnsetType = UNSET
    family: Key | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class PlanPatch(Body, frozen=True, kw_only=True):
    """What to change. Metadata is merged, null deletes a key; ``archived_at`` null takes it back."""

    name: Name | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    family: Key | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    archived_at: Instant | UnsetType | None = UNSET


class ContractBody(Body, frozen=True, kw_only=True):
    """How long a subscriber is bound, and whether the contract renews itself."""

    term_interval: IntervalName
    term_count: IntervalCount = 1
    auto_renew: bool = True
    ending_soon_days: Days = 30


class VariantTerms(Body, frozen=True, kw_only=True):
    """The terms that a variant may be created with and changed in."""

    billing_mode: Literal["prepaid", "postpaid"] | UnsetType = UNSET
    interval: IntervalName | UnsetType = UNSET
    interval_count: IntervalCount | UnsetType = UNSET
    trial_days: Days | UnsetType = UNSET
    renewal_due_days: Days | UnsetType = UNSET
    grace_period_days: Days | UnsetType = UNSET
    allow_usage_while_overdue: bool | UnsetType = UNSET
    overage_policy: OveragePolicy | UnsetType | None = UNSET
    overage_limit: NonNegativeAmount | UnsetType | None = UNSET
    contract: ContractBody | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class VariantBody(VariantTerms, frozen=True, kw_only=True):
    """A new variant of a plan."""

    key: Key
    name: Name | UnsetType = UNSET
    rank: Rank | UnsetType = UNSET
    price: Money | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET


class VariantPatch(VariantTerms, frozen=True, kw_only=True):
    """What to change; with subscribers it is published as a new version."""

    name: Name | UnsetType = UNSET
    rank: Rank | UnsetType | None = UNSET
    price: Money | UnsetType | None = UNSET
    currency: Currency | UnsetType | None = UNSET
    archived_at: Instant | UnsetType | None = UNSET


class VersionQuery(Query, frozen=True, kw_only=True):
    """Which version: the newest by default."""

    version: Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType = UNSET


def given(body: msgspec.Struct) -> dict[str, Any]:
    """The fields that the caller sent."""
    return {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET}


def read_terms(body: VariantTerms, *, interval: str, interval_count: int) -> dict[str, Any]:
    """The terms that were sent, as the catalog keeps them.

    Raises:
        ValidationFailedError: a period or a contract's term is longer than ten years.
    """
    terms = given(body)
    interval = terms.get("interval", interval)
    if terms.get("interval_count", interval_count) > _COUNT_MAX[interval]:
        raise ValidationFailedError.at("/interval_count", "A period is at most ten years long.")
    contract: ContractBody | None = terms.get("contract")
    if contract is not None:
        if contract.term_count > _COUNT_MAX[contract.term_interval]:
            raise ValidationFailedError.at("/contract/term_count", "A term is at most ten years long.")
        terms["contract"] = Contract(**given(contract))
    return terms


def position_of_id(row: Any) -> tuple[Any, ...]:
    """The position of a row in a list by id."""
    return (row.id,)


async def post_plan(request: Request) -> Response:
    """The plan as created."""
    body: PlanBody = request.body
    stored = await create_plan(
        request.app,
        request.caller,
        plan_key=body.key,
        name=body.key if body.name is UNSET else body.name,
        description=None if body.description is UNSET else body.description,
        family=None if body.family is UNSET else body.family,
        metadata={} if body.metadata is UNSET else body.metadata,
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def get_plans(request: Request) -> Response:
    """One page of plans."""
    page = read_page(request)
    rows = await list_plans(
        request.app, request.caller, after_id=page.after_id, is_ascending=page.is_ascending, limit=page.fetch
    )
    return page_response(request, rows, position=position_of_id)


async def get_one_plan(request: Request) -> Response:
    """One plan."""
    return Response(200, await get_plan(request.app, request.caller, plan_id=request.params["id"]))


async def patch_one_plan(request: Request) -> Response:
    """The plan after the change."""
    stored = await patch_plan(
        request.app,
        request.caller,
        plan_id=request.params["id"],
        changes=PlanChanges(**given(request.body)),
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_variant(request: Request) -> Response:
    """The variant as created."""
    body: VariantBody = request.body
    terms = read_terms(body, interval="month", interval_count=1)
    variant_key = terms.pop("key")
    stored = await create_variant(
        request.app,
        request.caller,
        plan_id=request.params["id"],
        variant_key=variant_key,
        terms={"name": variant_key, **terms},
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def get_variants(request: Request) -> Response:
    """One page of a plan's variants."""
    page = read_page(request)
    rows = await list_variants(
        request.app,
        request.caller,
        plan_id=request.params["id"],
        after_id=page.after_id,
        is_ascending=page.is_ascending,
        limit=page.fetch,
    )
    return page_response(request, rows, position=position_of_id)


async def get_one_variant(request: Request) -> Response:
    """One variant, in its newest version or the one asked for."""
    query: VersionQuery = request.query
    variant = await get_variant(
        request.app,
        request.caller,
        plan_id=request.params["id"],
        variant_id=request.params["vid"],
        version=None if query.version is UNSET else query.version,
    )
    return Response(200, view_variant(variant))


async def patch_one_variant(request: Request) -> Response:
    """The variant after the change."""
    body: VariantPatch = request.body
    plan_id, variant_id = request.params["id"], request.params["vid"]
    known = await get_variant(request.app, request.caller, plan_id=plan_id, variant_id=variant_id)
    stored = await patch_variant(
        request.app,
        request.caller,
        plan_id=plan_id,
        variant_id=variant_id,
        changes=read_terms(body, interval=known.interval, interval_count=known.interval_count),
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


_VARIANT_EXAMPLE: Final = {
    "key": "pro_monthly",
    "name": "Pro, monthly",
    "rank": 1,
    "billing_mode": "prepaid",
    "interval": "month",
    "interval_count": 1,
    "price": 4_900,
    "currency": "EUR",
    "trial_days": 14,
}

ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/plans",
        handler=post_plan,
        scope="catalog:write",
        tag="Plans",
        summary="Create a plan",
        body=PlanBody,
        answers={201: PlanView},
        errors=("conflict",),
        key="required",
        example={"key": "pro", "name": "Pro"},
    ),
    Route(
        method="GET",
        path="/v1/plans",
        handler=get_plans,
        scope="catalog:read",
        tag="Plans",
        summary="List plans",
        query=PageQuery,
        answers={200: PageOf[PlanView]},
    ),
    Route(
        method="GET",
        path="/v1/plans/{id}",
        handler=get_one_plan,
        scope="catalog:read",
        tag="Plans",
        summary="Read a plan",
        answers={200: PlanView},
        errors=("not-found",),
    ),
    Route(
        method="PATCH",
        path="/v1/plans/{id}",
        handler=patch_one_plan,
        scope="catalog:write",
        tag="Plans",
        summary="Change or archive a plan",
        description="An archived plan takes no new subscriptions; those that run, run on.",
        body=PlanPatch,
        answers={200: PlanView},
        errors=("not-found", "conflict"),
        key="required",
        example={"name": "Pro 2.0"},
    ),
    Route(
        method="POST",
        path="/v1/plans/{id}/variants",
        handler=post_variant,
        scope="catalog:write",
        tag="Plans",
        summary="Create a variant of a plan",
        body=VariantBody,
        answers={201: VariantView},
        errors=("not-found", "conflict"),
        key="required",
        example=_VARIANT_EXAMPLE,
    ),
    Route(
        method="GET",
        path="/v1/plans/{id}/variants",
        handler=get_variants,
        scope="catalog:read",
        tag="Plans",
        summary="List the variants of a plan",
        query=PageQuery,
        answers={200: PageOf[VariantView]},
        errors=("not-found",),
    ),
    Route(
        method="GET",
        path="/v1/plans/{id}/variants/{vid}",
        handler=get_one_variant,
        scope="catalog:read",
        tag="Plans",
        summary="Read a variant, also in an earlier version",
        query=VersionQuery,
        answers={200: VariantView},
        errors=("not-found",),
    ),
    Route(
        method="PATCH",
        path="/v1/plans/{id}/variants/{vid}",
        handler=patch_one_variant,
        scope="catalog:write",
        tag="Plans",
        summary="Change or archive a variant",
        description="With subscribers a new version is published: running periods keep their terms.",
        body=VariantPatch,
        answers={200: VariantView},
        errors=("not-found", "conflict"),
        key="required",
        example={"price": 5_900},
    ),
)
