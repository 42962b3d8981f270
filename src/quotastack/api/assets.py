"""Assets: one customer's use of one metric: value, level, history; suspend, resume, topup, withdraw."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import UNSET, UnsetType

from quotastack.api.fields import (
    Body,
    Instant,
    LongText,
    Metadata,
    PageQuery,
    PositiveAmount,
    Priority,
    Query,
    SpanSeconds,
)
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.core.asset_views import AssetPeriod, AssetView
from quotastack.core.assets import ResumeAsset, SuspendAsset, TopupAsset, WithdrawFromAsset
from quotastack.core.commands import Command
from quotastack.core.credits import DebitAnswer
from quotastack.core.customer_state import BlockSource
from quotastack.core.grants import GrantAnswer, GrantTerms
from quotastack.services.assets import read_asset, read_assets, read_periods
from quotastack.services.commands import submit_command

TAG: Final = "Assets"
METRIC: Final = "billable_metric_key"


class AssetQuery(Query, frozen=True, kw_only=True):
    """Now, or ``at`` an instant of the past."""

    at: Instant | UnsetType = UNSET


class AssetList(PageQuery, frozen=True, kw_only=True):
    """All assets of a customer, by metric; ``at`` an instant of the past."""

    order: Literal["desc", "asc"] = "asc"
    at: Instant | UnsetType = UNSET


class AssetTopup(Body, frozen=True, kw_only=True):
    """A block to grant to the account that the metric draws from."""

    credits: PositiveAmount
    source: BlockSource = "topup"
    reason: LongText | UnsetType = UNSET
    priority: Priority = 0
    effective_at: Instant | UnsetType = UNSET
    expires_at: Instant | UnsetType | None = UNSET
    expires_after_seconds: SpanSeconds | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class AssetWithdrawal(Body, frozen=True, kw_only=True):
    """Credits to take out of the account that the metric draws from."""

    credits: PositiveAmount
    reason: LongText | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


def _given(value: Any, otherwise: Any = None) -> Any:
    return otherwise if value is UNSET else value


async def _submit(request: Request, command: Command) -> Response:
    outcome = await submit_command(
        request.app, request.caller, request.the_customer, command, key=request.the_key
    )
    return stored_response(outcome.status, outcome.body, replayed=outcome.is_replayed)


async def get_assets(request: Request) -> Response:
    """One page of assets."""
    page = read_page(request)
    assets = await read_assets(
        request.app,
        request.caller,
        request.the_customer,
        at=_given(request.query.at),
        after_key=page.after_id,
        is_ascending=page.is_ascending,
        limit=page.fetch,
    )
    return page_response(request, assets, position=lambda asset: (asset.billable_metric_key,))


async def get_asset(request: Request) -> Response:
    """The asset."""
    asset = await read_asset(
        request.app,
        request.caller,
        request.the_customer,
        request.params[METRIC],
        at=_given(request.query.at),
    )
    return Response(200, asset)


async def get_history(request: Request) -> Response:
    """One page of past periods."""
    page = read_page(request)
    placed = await read_periods(
        request.app,
        request.caller,
        request.the_customer,
        request.params[METRIC],
        after=None if page.after is None else (page.after[0], page.after[1]),
        is_ascending=page.is_ascending,
        limit=page.fetch,
    )
    kinds = {id(period): kind for period, kind in placed}
    rows = [period for period, _ in placed]
    return page_response(request, rows, position=lambda row: (row.period_start, kinds[id(row)]))


async def post_suspend(request: Request) -> Response:
    """The asset."""
    return await _submit(request, SuspendAsset(billable_metric_key=request.params[METRIC]))


async def post_resume(request: Request) -> Response:
    """The asset."""
    return await _submit(request, ResumeAsset(billable_metric_key=request.params[METRIC]))


async def post_topup(request: Request) -> Response:
    """The block and the account."""
    body: AssetTopup = request.body
    terms = GrantTerms(
        credits_mc=body.credits,
        source=body.source,
        priority=body.priority,
        effective_at=_given(body.effective_at),
        expires_at=_given(body.expires_at),
        expires_after_seconds=_given(body.expires_after_seconds),
        reason=_given(body.reason),
        metadata=_given(body.metadata, {}),
    )
    return await _submit(request, TopupAsset(billable_metric_key=request.params[METRIC], terms=terms))


async def post_withdraw(request: Request) -> Response:
    """The debit and the account."""
    body: AssetWithdrawal = request.body
    command = WithdrawFromAsset(
        billable_metric_key=request.params[METRIC],
        amount_mc=body.credits,
        reason=_given(body.reason),
        metadata=_given(body.metadata, {}),
    )
    return await _submit(request, command)


_ERRORS: Final = ("customer-not-found", "not-found")

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/{customer}/assets",
        handler=get_assets,
        scope="usage:read",
        tag=TAG,
        summary="List a customer's assets",
        description="One for each metric that the customer used or has a quota for, by key.",
        query=AssetList,
        answers={200: PageOf[AssetView]},
        errors=("customer-not-found",),
    ),
    Route(
        method="GET",
        path="/v1/{customer}/assets/{billable_metric_key}",
        handler=get_asset,
        scope="usage:read",
        tag=TAG,
        summary="Read an asset",
        query=AssetQuery,
        answers={200: AssetView},
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/v1/{customer}/assets/{billable_metric_key}/history",
        handler=get_history,
        scope="usage:read",
        tag=TAG,
        summary="List an asset's past periods",
        query=PageQuery,
        answers={200: PageOf[AssetPeriod]},
        errors=_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/{customer}/assets/{billable_metric_key}/suspend",
        handler=post_suspend,
        scope="usage:write",
        tag=TAG,
        summary="Suspend an asset",
        description="Every later usage and reserve of the metric is refused until it is resumed.",
        answers={200: AssetView},
        errors=_ERRORS,
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/{customer}/assets/{billable_metric_key}/resume",
        handler=post_resume,
        scope="usage:write",
        tag=TAG,
        summary="Resume an asset",
        answers={200: AssetView},
        errors=_ERRORS,
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/{customer}/assets/{billable_metric_key}/topup",
        handler=post_topup,
        scope="credits:write",
        tag=TAG,
        summary="Grant credits to the account that the metric draws from",
        body=AssetTopup,
        answers={201: GrantAnswer},
        errors=(*_ERRORS, "conflict"),
        key="required",
        example={"credits": 5_000_000, "reason": "goodwill"},
    ),
    Route(
        method="POST",
        path="/v1/{customer}/assets/{billable_metric_key}/withdraw",
        handler=post_withdraw,
        scope="credits:write",
        tag=TAG,
        summary="Withdraw credits from the account that the metric draws from",
        body=AssetWithdrawal,
        answers={200: DebitAnswer},
        errors=(*_ERRORS, "insufficient-credits", "asset-suspended"),
        key="required",
        example={"credits": 1_000_000, "reason": "payout"},
    ),
)
