"""Customers: create, list, read, change, delete."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import (
    Body,
    Email,
    ExternalId,
    Metadata,
    Name,
    NonNegativeAmount,
    OveragePolicy,
    TimedPageQuery,
)
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.core.customers import ChangeCustomer, CustomerView, DeletedCustomerView
from quotastack.services.customers import (
    change_customer,
    create_customer,
    delete_customer,
    list_customers,
    read_customer,
)

TAG: Final = "Customers"


class NewCustomer(Body, frozen=True, kw_only=True):
    """A customer to create."""

    external_id: ExternalId
    display_name: Name | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class CustomerPatch(Body, frozen=True, kw_only=True):
    """What to change; what is left out stays, null puts a field back to nothing. Metadata is merged key by key."""

    display_name: Name | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    low_balance_threshold: NonNegativeAmount | UnsetType | None = UNSET
    overage_policy: OveragePolicy | UnsetType | None = UNSET
    overage_limit: NonNegativeAmount | UnsetType | None = UNSET


class CustomerList(TimedPageQuery, frozen=True, kw_only=True):
    """``external_id`` and ``email`` are exact, ``q`` is a prefix of external id, email or display name."""

    external_id: ExternalId | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    q: (
        Annotated[
            str, Meta(min_length=1, max_length=255, description="A prefix; upper and lower case are one.")
        ]
        | UnsetType
    ) = UNSET


def _given(body: Body, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(body, name)) is not UNSET}


async def post_customer(request: Request) -> Response:
    """The new customer."""
    body: NewCustomer = request.body
    outcome = await create_customer(
        request.app,
        request.caller,
        external_id=body.external_id,
        fields=_given(body, ("display_name", "email", "metadata")),
        key=request.the_key,
    )
    return stored_response(outcome.status, outcome.body, replayed=outcome.is_replayed)


async def get_customers(request: Request) -> Response:
    """One page of customers."""
    page = read_page(request)
    query: CustomerList = request.query
    filters = {
        name: value
        for name, value in (
            ("external_id", query.external_id),
            ("email", query.email),
            ("prefix", query.q),
            ("from_at", query.from_at),
            ("to_at", query.to_at),
        )
        if value is not UNSET
    }
    rows = await list_customers(
        request.app,
        request.caller,
        after=page.after,
        is_ascending=page.is_ascending,
        limit=page.fetch,
        **filters,
    )
    return page_response(request, rows, position=lambda row: (row.created_at, row.customer_id))


async def get_customer(request: Request) -> Response:
    """The customer as of now."""
    return Response(200, await read_customer(request.app, request.caller, request.the_customer))


async def patch_customer(request: Request) -> Response:
    """The customer after the change."""
    body: CustomerPatch = request.body
    names = ("display_name", "email", "metadata", "low_balance_threshold", "overage_policy", "overage_limit")
    outcome = await change_customer(
        request.app,
        request.caller,
        request.the_customer,
        change=ChangeCustomer(**_given(body, names)),
        key=request.the_key,
    )
    return stored_response(outcome.status, outcome.body, replayed=outcome.is_replayed)


async def remove_customer(request: Request) -> Response:
    """What was ended."""
    outcome = await delete_customer(request.app, request.caller, request.the_customer, key=request.key)
    return stored_response(outcome.status, outcome.body, replayed=outcome.is_replayed)


ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/customers",
        handler=post_customer,
        scope="customers:write",
        tag=TAG,
        summary="Create a customer",
        description="The external id is stored verbatim. One that is taken answers 409 with the customer's id.",
        body=NewCustomer,
        answers={201: CustomerView},
        errors=("conflict",),
        key="required",
        example={"external_id": "user_123", "email": "ada@example.com", "metadata": {"plan": "free"}},
    ),
    Route(
        method="GET",
        path="/v1/customers",
        handler=get_customers,
        scope="customers:read",
        tag=TAG,
        summary="List customers",
        query=CustomerList,
        answers={200: PageOf[CustomerView]},
    ),
    Route(
        method="GET",
        path="/v1/{customer}",
        handler=get_customer,
        scope="customers:read",
        tag=TAG,
        summary="Read a customer",
        answers={200: CustomerView},
        errors=("customer-not-found",),
    ),
    Route(
        method="PATCH",
        path="/v1/{customer}",
        handler=patch_customer,
        scope="customers:write",
        tag=TAG,
        summary="Change a customer",
        description="Metadata is merged: a key set to null is deleted, keys that are left out stay.",
        body=CustomerPatch,
        answers={200: CustomerView},
        errors=("customer-not-found",),
        key="required",
        example={"low_balance_threshold": 5000, "metadata": {"plan": None}},
    ),
    Route(
        method="DELETE",
        path="/v1/{customer}",
        handler=remove_customer,
        scope="customers:write",
        tag=TAG,
        summary="Delete a customer",
        description=(
            "Cancels subscriptions, releases holds, voids blocks, erases personal fields and texts, and frees the "
            "external id. The ledger stays under the id. Keys of the customer answer 409 afterwards."
        ),
        answers={200: DeletedCustomerView},
        errors=("customer-not-found",),
        key="optional",
    ),
)
