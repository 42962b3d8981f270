"""Subscriptions: creating one, its triggers, reading it and its timeline."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import Body, CustomerBody, CustomerFilter, Instant, Metadata, Uuid
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.plans import Days, given
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.core.plan_changes import ChangePlan
from quotastack.core.subscription_views import SubscriptionView, TimelineView
from quotastack.core.subscriptions import (
    CancelSubscription,
    CreateSubscription,
    PatchSubscription,
    PauseSubscription,
    ReactivateSubscription,
    RenewSubscription,
    ResumeSubscription,
    SubscriptionTrigger,
)
from quotastack.services.subscriptions import (
    create_subscription,
    list_subscriptions,
    read_subscription,
    read_timeline,
    trigger_subscription,
)

Status = Literal["trialing", "active", "overdue", "paused", "canceled", "expired"]
DryRun = Annotated[bool, Meta(description="Show the effects and change nothing; needs no idempotency key.")]


class SubscriptionBody(CustomerBody, frozen=True, kw_only=True):
    """A new subscription. An unknown ``external_customer_id`` becomes a customer."""

    plan_variant_id: Uuid
    starts_at: Instant | UnsetType = UNSET
    trial_days: Days | UnsetType = UNSET
    grandfathered: bool | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    dry_run: DryRun = False


class SubscriptionPatch(Body, frozen=True, kw_only=True):
    """What to change. Metadata is merged, null deletes a key; ``grandfathered`` pins the version."""

    metadata: Metadata | UnsetType = UNSET
    grandfathered: bool | UnsetType = UNSET


class TriggerBody(Body, frozen=True, kw_only=True):
    """A trigger without terms of its own."""

    dry_run: DryRun = False


class PauseBody(TriggerBody, frozen=True, kw_only=True):
    """Without ``resumes_at`` the pause lasts until it is resumed."""

    resumes_at: Instant | UnsetType = UNSET


class CancelBody(TriggerBody, frozen=True, kw_only=True):
    """When the subscription ends, and what becomes of its blocks."""

    when: Literal["now", "period_end"] = "now"
    credits: Literal["expire", "keep"] = "expire"


class ChangePlanBody(TriggerBody, frozen=True, kw_only=True):
    """The variant to change to. Upgrades are made now and prorated, downgrades at the period's end."""

    plan_variant_id: Uuid
    when: Literal["now", "period_end"] | UnsetType = UNSET
    credits: Literal["keep", "prorate", "reset"] | UnsetType = UNSET


class SubscriptionFilter(CustomerFilter, frozen=True, kw_only=True):
    """Which subscriptions, ended ones included."""

    status: Status | UnsetType = UNSET
    plan_id: Uuid | UnsetType = UNSET
    plan_variant_id: Uuid | UnsetType = UNSET


def _answered(outcome: Any, *, is_dry_run: bool) -> Response:
    status = 200 if is_dry_run else outcome.status
    return stored_response(status, outcome.body, replayed=outcome.is_replayed)


def _or_none(value: Any) -> Any:
    return None if value is UNSET else value


async def post_subscription(request: Request) -> Response:
    """The subscription as created."""
    body: SubscriptionBody = request.body
    command = CreateSubscription(
        plan_variant_id=body.plan_variant_id,
        starts_at=_or_none(body.starts_at),
        trial_days=_or_none(body.trial_days),
        grandfathered=body.grandfathered is True,
        metadata={} if body.metadata is UNSET else body.metadata,
        dry_run=body.dry_run,
    )
    outcome = await create_subscription(
        request.app, request.caller, request.the_customer, command, key=request.key
    )
    return _answered(outcome, is_dry_run=body.dry_run)


async def get_subscriptions(request: Request) -> Response:
    """One page of subscriptions."""
    query: SubscriptionFilter = request.query
    page = read_page(request)
    rows = await list_subscriptions(
        request.app,
        request.caller,
        customer=request.customer,
        status=_or_none(query.status),
        plan_id=_or_none(query.plan_id),
        plan_variant_id=_or_none(query.plan_variant_id),
        after=None if page.after is None else (page.after[0], page.after[1]),
        is_ascending=page.is_ascending,
        limit=page.fetch,
    )
    return page_response(request, rows, position=lambda row: (row.created_at, row.id))


async def get_subscription(request: Request) -> Response:
    """One subscription."""
    view = await read_subscription(request.app, request.caller, subscription_id=request.params["id"])
    return Response(200, view)


async def get_timeline(request: Request) -> Response:
    """What lies behind and ahead of one subscription."""
    view = await read_timeline(request.app, request.caller, subscription_id=request.params["id"])
    return Response(200, view)


async def _trigger(request: Request, command: SubscriptionTrigger) -> Response:
    outcome = await trigger_subscription(request.app, request.caller, command, key=request.key)
    return _answered(outcome, is_dry_run=command.dry_run)


async def patch_subscription(request: Request) -> Response:
    """The subscription after the change."""
    command = PatchSubscription(subscription_id=request.params["id"], **given(request.body))
    return await _trigger(request, command)


async def post_renew(request: Request) -> Response:
    """The subscription after the payment."""
    return await _trigger(request, RenewSubscription(subscription_id=request.params["id"], **_terms(request)))


async def post_pause(request: Request) -> Response:
    """The subscription, paused."""
    return await _trigger(request, PauseSubscription(subscription_id=request.params["id"], **_terms(request)))


async def post_resume(request: Request) -> Response:
    """The subscription, running on."""
    command = ResumeSubscription(subscription_id=request.params["id"], **_terms(request))
    return await _trigger(request, command)


async def post_cancel(request: Request) -> Response:
    """The subscription, ended or about to."""
    terms: dict[str, Any] = {"when": "now", **_terms(request)}
    command = CancelSubscription(subscription_id=request.params["id"], **terms)
    return await _trigger(request, command)


async def post_reactivate(request: Request) -> Response:
    """The subscription, running again."""
    command = ReactivateSubscription(subscription_id=request.params["id"], **_terms(request))
    return await _trigger(request, command)


async def post_change_plan(request: Request) -> Response:
    """The subscription on its new variant, or about to be."""
    return await _trigger(request, ChangePlan(subscription_id=request.params["id"], **_terms(request)))


def _terms(request: Request) -> dict[str, Any]:
    return {} if request.body is None else given(request.body)


_STATE: Final = ("not-found", "subscription-state-conflict")


def _trigger_route(
    name: str,
    handler: Any,
    body: type[TriggerBody],
    summary: str,
    *,
    errors: tuple[str, ...] = (),
    example: Any = None,
) -> Route:
    return Route(
        method="POST",
        path=f"/v1/subscriptions/{{id}}/{name}",
        handler=handler,
        scope="subscriptions:write",
        tag="Subscriptions",
        summary=summary,
        body=body,
        answers={200: SubscriptionView},
        errors=(*_STATE, *errors),
        key="required",
        example=example,
    )


ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/subscriptions",
        handler=post_subscription,
        scope="subscriptions:write",
        tag="Subscriptions",
        summary="Subscribe a customer to a plan variant",
        description="An unknown external customer is created. A trial or the first period begins at once.",
        body=SubscriptionBody,
        answers={201: SubscriptionView, 200: SubscriptionView},
        errors=("customer-not-found", "customer-identifier-conflict", "not-found", "conflict"),
        key="required",
        example={
            "external_customer_id": "user_123",
            "plan_variant_id": "019d43b6-8285-7b92-a1d7-0e6f4c2d1965",
        },
    ),
    Route(
        method="GET",
        path="/v1/subscriptions",
        handler=get_subscriptions,
        scope="subscriptions:read",
        tag="Subscriptions",
        summary="List subscriptions",
        query=SubscriptionFilter,
        answers={200: PageOf[SubscriptionView]},
        errors=("customer-not-found",),
    ),
    Route(
        method="GET",
        path="/v1/subscriptions/{id}",
        handler=get_subscription,
        scope="subscriptions:read",
        tag="Subscriptions",
        summary="Read a subscription",
        answers={200: SubscriptionView},
        errors=("not-found",),
    ),
    Route(
        method="PATCH",
        path="/v1/subscriptions/{id}",
        handler=patch_subscription,
        scope="subscriptions:write",
        tag="Subscriptions",
        summary="Change a subscription's metadata, or pin its version",
        body=SubscriptionPatch,
        answers={200: SubscriptionView},
        errors=("not-found",),
        key="required",
        example={"grandfathered": True},
    ),
    _trigger_route("renew", post_renew, TriggerBody, "Report the payment of one period"),
    _trigger_route("pause", post_pause, PauseBody, "Let a subscription stand still"),
    _trigger_route("resume", post_resume, TriggerBody, "Let a paused subscription run on"),
    _trigger_route(
        "cancel",
        post_cancel,
        CancelBody,
        "End a subscription now or with its period",
        example={"when": "period_end"},
    ),
    _trigger_route(
        "reactivate",
        post_reactivate,
        TriggerBody,
        "Take a scheduled end back, or start an ended subscription again",
        errors=("conflict",),
    ),
    _trigger_route(
        "change-plan",
        post_change_plan,
        ChangePlanBody,
        "Move a subscription to another variant",
        errors=("conflict",),
        example={
            "plan_variant_id": "019d43b6-8285-7b92-a1d7-0e6f4c2d1965",
            "when": "now",
            "credits": "prorate",
        },
    ),
    Route(
        method="GET",
        path="/v1/subscriptions/{id}/timeline",
        handler=get_timeline,
        scope="subscriptions:read",
        tag="Subscriptions",
        summary="Read what a subscription went through and what lies ahead",
        answers={200: TimelineView},
        errors=("not-found",),
    ),
)
