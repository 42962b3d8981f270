"""Reservations: hold now, pay for what was used, or give it back."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import UNSET, UnsetType

from quotastack.api.fields import (
    Body,
    CustomerBody,
    CustomerFilter,
    Dimensions,
    Key,
    Metadata,
    NonNegativeAmount,
    PositiveAmount,
    TtlSeconds,
    Unit,
    Units,
)
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Queued, Request, Response, Route, show_outcome
from quotastack.core.commits import CommitReservation
from quotastack.core.errors import FieldFault, ValidationFailedError
from quotastack.core.reservation_views import ReservationView
from quotastack.core.reservations import (
    TTL_SECONDS_DEFAULT,
    ExtendReservation,
    OneReservation,
    ReleaseReservation,
    Reserve,
)
from quotastack.services.commands import Submission
from quotastack.services.reservations import (
    change_reservation,
    list_reservations,
    note_reserved,
    read_reservation,
    reserve,
)

if TYPE_CHECKING:
    from quotastack.services.commands import Outcome

TAG: Final = "Reservations"


class ReserveBody(CustomerBody, frozen=True, kw_only=True):
    """What to hold: `estimated_units` of a metric, or plain `credits` of a `unit`."""

    billable_metric_key: Key | UnsetType = UNSET
    estimated_units: Units | UnsetType = UNSET
    dimensions: Dimensions | UnsetType = UNSET
    credits: PositiveAmount | UnsetType = UNSET
    unit: Unit | UnsetType = UNSET
    ttl_seconds: TtlSeconds = TTL_SECONDS_DEFAULT
    metadata: Metadata | UnsetType = UNSET


class CommitBody(Body, frozen=True, kw_only=True):
    """What was used; nothing means the estimate, 0 is allowed."""

    actual_units: Units | UnsetType = UNSET
    actual_credits: NonNegativeAmount | UnsetType = UNSET


class ExtendBody(Body, frozen=True, kw_only=True):
    """How long the reservation lives from now on."""

    ttl_seconds: TtlSeconds


class ReservationFilter(CustomerFilter, frozen=True, kw_only=True):
    """Filters are exact."""

    status: Literal["active", "committed", "released", "expired"] | UnsetType = UNSET
    billable_metric_key: Key | UnsetType = UNSET


def _said(value: Any) -> Any:
    return None if value is UNSET else value


def _check_terms(body: ReserveBody) -> None:
    """Refuse a mixture of the two forms.

    Raises:
        ValidationFailedError: neither form, both, or a field of the other one.
    """
    has_metric = body.billable_metric_key is not UNSET
    has_credits = body.credits is not UNSET
    faults: list[FieldFault] = []
    if has_metric == has_credits:
        faults.append(FieldFault("/credits", "Name either billable_metric_key or credits."))
    elif has_metric:
        if body.estimated_units is UNSET:
            faults.append(FieldFault("/estimated_units", "Is required with billable_metric_key."))
        if body.unit is not UNSET:
            faults.append(FieldFault("/unit", "Belongs to plain credits: a metric has its own unit."))
    else:
        faults.extend(
            FieldFault(f"/{name}", "Belongs to a metric, not to plain credits.")
            for name in ("estimated_units", "dimensions")
            if getattr(body, name) is not UNSET
        )
    if faults:
        raise ValidationFailedError(f"{faults[0].pointer[1:]}: {faults[0].detail}", errors=faults)


def post_reserve(request: Request) -> Queued:
    """The new reservation."""
    body: ReserveBody = request.body
    _check_terms(body)
    command = Reserve(
        billable_metric_key=_said(body.billable_metric_key),
        estimated_units=_said(body.estimated_units),
        dimensions={} if body.dimensions is UNSET else body.dimensions,
        credits_mc=_said(body.credits),
        unit=_said(body.unit),
        ttl_seconds=body.ttl_seconds,
        metadata={} if body.metadata is UNSET else body.metadata,
    )
    submission = reserve(request.caller, request.the_customer, command=command, key=request.the_key)

    def show(outcome: Outcome) -> Response:
        note_reserved(request.caller, outcome)
        return show_outcome(outcome)

    return Queued(submission, show)


def _change(request: Request, command: OneReservation) -> Queued | Awaitable[Queued]:
    submission = change_reservation(request.app, request.caller, command=command, key=request.the_key)
    if isinstance(submission, Submission):
        return Queued(submission, show_outcome)
    return _change_found(submission)


async def _change_found(finding: Awaitable[Submission]) -> Queued:
    return Queued(await finding, show_outcome)


def post_commit(request: Request) -> Queued | Awaitable[Queued]:
    """The reservation, committed."""
    body: CommitBody = request.body
    command = CommitReservation(
        reservation_id=request.params["id"],
        actual_units=_said(body.actual_units),
        actual_credits_mc=_said(body.actual_credits),
    )
    return _change(request, command)


def post_release(request: Request) -> Queued | Awaitable[Queued]:
    """The reservation, released."""
    return _change(request, ReleaseReservation(reservation_id=request.params["id"]))


def post_extend(request: Request) -> Queued | Awaitable[Queued]:
    """The reservation with its new end."""
    body: ExtendBody = request.body
    return _change(
        request, ExtendReservation(reservation_id=request.params["id"], ttl_seconds=body.ttl_seconds)
    )


async def get_reservations(request: Request) -> Response:
    """One page of reservations."""
    page = read_page(request)
    query: ReservationFilter = request.query
    rows = await list_reservations(
        request.app,
        request.caller,
        customer=request.customer,
        metric_key=_said(query.billable_metric_key),
        status=_said(query.status),
        after_id=page.after_id,
        is_ascending=page.is_ascending,
        limit=page.fetch,
    )
    return page_response(request, rows, position=lambda row: (row.id,))


async def get_reservation(request: Request) -> Response:
    """One reservation, at this instant."""
    view = await read_reservation(request.app, request.caller, reservation_id=request.params["id"])
    return Response(200, view)


_FINAL: Final = ("not-found", "reservation-not-active")

ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/reserve",
        handler=post_reserve,
        is_shed=True,
        scope="reservations:write",
        tag=TAG,
        summary="Hold credits, and units in the quota",
        body=ReserveBody,
        answers={201: ReservationView},
        errors=(
            "customer-not-found",
            "not-found",
            "not-entitled",
            "asset-suspended",
            "quota-exceeded",
            "quota-rate-limited",
            "no-active-metering-rule",
            "insufficient-credits",
            "conflict",
        ),
        key="required",
        example={
            "external_customer_id": "user_123",
            "billable_metric_key": "api_calls",
            "estimated_units": 3,
            "ttl_seconds": 120,
        },
    ),
    Route(
        method="POST",
        path="/v1/reserve/{id}/commit",
        handler=post_commit,
        is_shed=True,
        scope="reservations:write",
        tag=TAG,
        summary="Pay for what was used and free the rest",
        body=CommitBody,
        answers={200: ReservationView},
        errors=(*_FINAL, "insufficient-credits", "asset-suspended"),
        key="required",
        example={"actual_units": 2},
    ),
    Route(
        method="POST",
        path="/v1/reserve/{id}/release",
        handler=post_release,
        is_shed=True,
        scope="reservations:write",
        tag=TAG,
        summary="Give all of a reservation back",
        answers={200: ReservationView},
        errors=_FINAL,
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/reserve/{id}/extend",
        handler=post_extend,
        is_shed=True,
        scope="reservations:write",
        tag=TAG,
        summary="Let a reservation live longer",
        description="`ttl_seconds` counts from now; a reservation lives for 7 days at most.",
        body=ExtendBody,
        answers={200: ReservationView},
        errors=(*_FINAL, "conflict"),
        key="required",
        example={"ttl_seconds": 600},
    ),
    Route(
        method="GET",
        path="/v1/reserve",
        handler=get_reservations,
        scope="usage:read",
        tag=TAG,
        summary="List reservations",
        query=ReservationFilter,
        answers={200: PageOf[ReservationView]},
        errors=("customer-not-found",),
    ),
    Route(
        method="GET",
        path="/v1/reserve/{id}",
        handler=get_reservation,
        scope="usage:read",
        tag=TAG,
        summary="Read a reservation",
        answers={200: ReservationView},
        errors=("not-found",),
    ),
)
