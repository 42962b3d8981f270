"""Topups: packages, grants of what was paid for, refunds, auto-topups."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import (
    Body,
    Currency,
    CustomerBody,
    FractionOfOne,
    Instant,
    LongText,
    Metadata,
    Money,
    Name,
    NonNegativeAmount,
    PageQuery,
    PositiveAmount,
    PositiveInt,
    Priority,
    Query,
    SpanSeconds,
    Unit,
    Uuid,
)
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.core.amounts import read_share
from quotastack.core.errors import FieldFault, ValidationFailedError
from quotastack.core.grants import GrantAnswer
from quotastack.core.topup_views import PackageView, view_package
from quotastack.core.topups import (
    AutoTopupView,
    DeleteAutoTopup,
    GrantTopup,
    RefundAnswer,
    RefundTopup,
    SetAutoTopup,
)
from quotastack.services.topups import (
    change_auto_topup,
    change_package,
    create_package,
    grant_topup,
    list_packages,
    read_auto_topup,
    read_package,
    refund_topup,
)

TAG: Final = "Topups"
DEFAULT_UNIT: Final = "credits"


class NewPackage(Body, frozen=True, kw_only=True):
    """A package to sell."""

    name: Name
    description: LongText | UnsetType | None = UNSET
    credits: PositiveAmount
    unit: Unit = DEFAULT_UNIT
    price: Money | UnsetType | None = UNSET
    currency: Currency | UnsetType | None = UNSET
    priority: Priority = 0
    expires_after_seconds: SpanSeconds | UnsetType | None = UNSET
    bonus_credits: NonNegativeAmount = 0
    active: bool = True
    metadata: Metadata | UnsetType = UNSET


class PackagePatch(Body, frozen=True, kw_only=True):
    """What to change; what is left out stays, null takes an optional value away."""

    name: Name | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    credits: PositiveAmount | UnsetType = UNSET
    unit: Unit | UnsetType = UNSET
    price: Money | UnsetType | None = UNSET
    currency: Currency | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    expires_after_seconds: SpanSeconds | UnsetType | None = UNSET
    bonus_credits: NonNegativeAmount | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class PackageList(PageQuery, frozen=True, kw_only=True):
    """``active`` shows only those that are, or are not, for sale."""

    active: bool | UnsetType = UNSET


class TopupGrant(CustomerBody, frozen=True, kw_only=True):
    """What was paid for. The package fills what is left out; what is given wins."""

    credits: PositiveAmount | UnsetType = UNSET
    package_id: Uuid | UnsetType = UNSET
    price_paid: Money | UnsetType = UNSET
    currency: Currency | UnsetType = UNSET
    external_payment_id: Name | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    expires_at: Instant | UnsetType = UNSET
    expires_after_seconds: SpanSeconds | UnsetType = UNSET
    unit: Unit | UnsetType = UNSET
    reason: LongText | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class TopupRefund(Body, frozen=True, kw_only=True):
    """How much to take back: all that is left, ``credits``, or a ``fraction`` of what was bought."""

    credits: PositiveAmount | UnsetType = UNSET
    fraction: FractionOfOne | UnsetType = UNSET
    reason: LongText | UnsetType = UNSET


class AutoTopupTerms(Body, frozen=True, kw_only=True):
    """When to ask for a topup: at or below ``threshold``. Exactly one of ``package_id`` and ``credits``."""

    threshold: NonNegativeAmount
    package_id: Uuid | UnsetType = UNSET
    credits: PositiveAmount | UnsetType = UNSET
    max_per_period: PositiveInt | UnsetType | None = UNSET
    period: Literal["day", "week", "month", "year"] = "month"
    cooldown_seconds: Annotated[int, Meta(ge=0, le=366 * 86_400)] = 0
    unit: Unit = DEFAULT_UNIT


class UnitQuery(Query, frozen=True, kw_only=True):
    """Which account."""

    unit: Unit = DEFAULT_UNIT


def _given(body: Body, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(body, name)) is not UNSET}


async def post_package(request: Request) -> Response:
    """The new package."""
    body: NewPackage = request.body
    stored = await create_package(
        request.app, request.caller, values=_given(body, *body.__struct_fields__), key=request.the_key
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def get_packages(request: Request) -> Response:
    """One page of packages."""
    page = read_page(request)
    active = request.query.active
    rows = await list_packages(
        request.app,
        request.caller,
        active=None if active is UNSET else active,
        after=page.after,
        is_ascending=page.is_ascending,
        limit=page.fetch,
    )
    views = [view_package(row) for row in rows]
    return page_response(request, views, position=lambda view: (view.created_at, view.id))


async def get_package(request: Request) -> Response:
    """One package."""
    package = await read_package(request.app, request.caller, request.params["package_id"])
    return Response(200, view_package(package))


async def patch_package(request: Request) -> Response:
    """The package after the change."""
    body: PackagePatch = request.body
    stored = await change_package(
        request.app,
        request.caller,
        request.params["package_id"],
        values=_given(body, *body.__struct_fields__),
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_grant(request: Request) -> Response:
    """The block, the bonus block where there is one, and the account."""
    body: TopupGrant = request.body
    names = (
        "package_id",
        "price_paid",
        "currency",
        "external_payment_id",
        "priority",
        "expires_at",
        "expires_after_seconds",
        "unit",
        "reason",
        "metadata",
    )
    credits_mc = None if body.credits is UNSET else body.credits
    topup = GrantTopup(credits_mc=credits_mc, **_given(body, *names))
    outcome = await grant_topup(
        request.app, request.caller, request.the_customer, topup=topup, key=request.the_key
    )
    return stored_response(outcome.status, outcome.body, replayed=outcome.is_replayed)


async def post_refund(request: Request) -> Response:
    """What could be taken back, what was spent, what is held."""
    body: TopupRefund = request.body
    fraction = None
    if body.fraction is not UNSET:
        if body.credits is not UNSET:
            raise ValidationFailedError.at("/fraction", "Give credits or fraction, not both.")
        fraction = read_share(body.fraction)
        if fraction is None:
            raise ValidationFailedError.at("/fraction", "A fraction is above 0 and at most 1.")
    refund = RefundTopup(
        block_id=request.params["block_id"],
        credits_mc=None if body.credits is UNSET else body.credits,
        fraction=fraction,
        reason=None if body.reason is UNSET else body.reason,
    )
    outcome = await refund_topup(request.app, request.caller, refund=refund, key=request.the_key)
    return stored_response(outcome.status, outcome.body, replayed=outcome.is_replayed)


async def put_auto_topup(request: Request) -> Response:
    """The auto-topup as set."""
    body: AutoTopupTerms = request.body
    if (body.package_id is UNSET) == (body.credits is UNSET):
        detail = "Give exactly one of package_id and credits."
        faults = (FieldFault("/package_id", detail), FieldFault("/credits", detail))
        raise ValidationFailedError(detail, errors=faults)
    command = SetAutoTopup(
        unit=body.unit,
        threshold=body.threshold,
        package_id=None if body.package_id is UNSET else body.package_id,
        credits_mc=None if body.credits is UNSET else body.credits,
        max_per_period=None if body.max_per_period is UNSET else body.max_per_period,
        period=body.period,
        cooldown_seconds=body.cooldown_seconds,
    )
    outcome = await change_auto_topup(
        request.app, request.caller, request.the_customer, command=command, key=request.key
    )
    return stored_response(outcome.status, outcome.body, replayed=outcome.is_replayed)


async def get_auto_topup(request: Request) -> Response:
    """The auto-topup of a unit."""
    view = await read_auto_topup(request.app, request.caller, request.the_customer, unit=request.query.unit)
    return Response(200, view)


async def delete_auto_topup(request: Request) -> Response:
    """Nothing."""
    outcome = await change_auto_topup(
        request.app,
        request.caller,
        request.the_customer,
        command=DeleteAutoTopup(unit=request.query.unit),
        key=request.key,
    )
    return Response(outcome.status)


ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/topup/packages",
        handler=post_package,
        scope="catalog:write",
        tag=TAG,
        summary="Create a topup package",
        body=NewPackage,
        answers={201: PackageView},
        key="required",
        example={"name": "Pack M", "credits": 500_000, "price": 4_900, "currency": "EUR"},
    ),
    Route(
        method="GET",
        path="/v1/topup/packages",
        handler=get_packages,
        scope="catalog:read",
        tag=TAG,
        summary="List topup packages",
        query=PackageList,
        answers={200: PageOf[PackageView]},
    ),
    Route(
        method="GET",
        path="/v1/topup/packages/{package_id}",
        handler=get_package,
        scope="catalog:read",
        tag=TAG,
        summary="Read a topup package",
        answers={200: PackageView},
        errors=("not-found",),
    ),
    Route(
        method="PATCH",
        path="/v1/topup/packages/{package_id}",
        handler=patch_package,
        scope="catalog:write",
        tag=TAG,
        summary="Change a topup package",
        description="Blocks that were bought keep the terms they were bought at.",
        body=PackagePatch,
        answers={200: PackageView},
        errors=("not-found",),
        key="required",
        example={"active": False},
    ),
    Route(
        method="POST",
        path="/v1/topup/grant",
        handler=post_grant,
        scope="credits:write",
        tag=TAG,
        summary="Grant what was paid for",
        description=(
            "Creates an unknown external customer. A payment counts once for ever: another grant for the same "
            "`external_payment_id` answers 409 with the first block's id."
        ),
        body=TopupGrant,
        answers={201: GrantAnswer},
        errors=("customer-not-found", "not-found", "conflict"),
        key="required",
        example={
            "external_customer_id": "user_123",
            "credits": 500_000,
            "price_paid": 4_900,
            "currency": "EUR",
            "external_payment_id": "pay_8d1f",
        },
    ),
    Route(
        method="POST",
        path="/v1/topup/{block_id}/refund",
        handler=post_refund,
        scope="credits:write",
        tag=TAG,
        summary="Refund a topup",
        description="Takes back what is left of the block; credits that are spent or held are not touched.",
        body=TopupRefund,
        answers={200: RefundAnswer},
        errors=("not-found", "conflict"),
        key="required",
        example={"fraction": "0.5"},
    ),
    Route(
        method="PUT",
        path="/v1/{customer}/auto-topup",
        handler=put_auto_topup,
        scope="credits:write",
        tag=TAG,
        summary="Set the auto-topup",
        description="Asks your app by the event `topup.requested`; it never charges anybody.",
        body=AutoTopupTerms,
        answers={200: AutoTopupView},
        errors=("customer-not-found", "not-found", "conflict"),
        key="optional",
        example={"threshold": 10_000, "credits": 100_000, "max_per_period": 3, "period": "month"},
    ),
    Route(
        method="GET",
        path="/v1/{customer}/auto-topup",
        handler=get_auto_topup,
        scope="credits:read",
        tag=TAG,
        summary="Read the auto-topup",
        query=UnitQuery,
        answers={200: AutoTopupView},
        errors=("customer-not-found", "not-found"),
    ),
    Route(
        method="DELETE",
        path="/v1/{customer}/auto-topup",
        handler=delete_auto_topup,
        scope="credits:write",
        tag=TAG,
        summary="Delete the auto-topup",
        query=UnitQuery,
        answers={204: None},
        errors=("customer-not-found", "not-found"),
        key="optional",
    ),
)
