"""Billable metrics and metering rules: what is counted, and its price list."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import (
    Body,
    Dimensions,
    Instant,
    Key,
    LongText,
    Name,
    NonNegativeAmount,
    OveragePolicy,
    PageQuery,
    PositiveInt,
    Scale,
    Unit,
    Units,
    Uuid,
)
from quotastack.api.pagination import PageOf, page_response, read_page
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.core.metering_terms import MetricView, RuleView
from quotastack.services.metering import (
    change_metric,
    create_metric,
    create_rule,
    deactivate_rule,
    list_metrics,
    list_rules,
    read_metering_rule,
    read_metric,
)
from quotastack.services.price_preview import PreviewView, preview_price

MetricType = Literal["metered", "gauge", "boolean", "static"]
Aggregation = Literal["CumulativeCounter", "TotalCounter", "Gauge", "UpDownCounter"]
CostType = Literal["flat", "per_unit", "tiered"]
TierMode = Literal["graduated", "volume"]
TierScope = Literal["period", "event"]
Rounding = Literal["up", "down", "half_even"]
Value = Annotated[
    dict[str, Any], Meta(description="The entitlement value where neither plan nor override says one.")
]


class MetricBody(Body, frozen=True, kw_only=True):
    """A new metric. ``unit`` and ``scale`` are fixed once it is used."""

    key: Key
    name: Name | UnsetType = UNSET
    description: LongText | UnsetType = UNSET
    type: MetricType | UnsetType = UNSET
    aggregation: Aggregation | UnsetType = UNSET
    default_value: Value | UnsetType = UNSET
    scale: Scale | UnsetType = UNSET
    unit: Unit | UnsetType = UNSET


class MetricChange(Body, frozen=True, kw_only=True):
    """What to change. ``archived_at`` null brings an archived metric back; other nulls clear the field."""

    key: Key | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    type: MetricType | UnsetType = UNSET
    aggregation: Aggregation | UnsetType = UNSET
    default_value: Value | UnsetType | None = UNSET
    scale: Scale | UnsetType = UNSET
    unit: Unit | UnsetType = UNSET
    archived_at: Instant | UnsetType | None = UNSET


class TierBody(Body, frozen=True, kw_only=True):
    """One tier: up to ``up_to`` units, the last one null."""

    up_to: Units | None
    unit_cost: NonNegativeAmount = 0
    per_units: PositiveInt = 1
    flat_cost: NonNegativeAmount = 0


Tiers = Annotated[tuple[TierBody, ...], Meta(min_length=1, max_length=1000)]


class RuleBody(Body, frozen=True, kw_only=True):
    """A price that is in force from now on, in place of the one of the same ``match``."""

    billable_metric_key: Key
    cost_type: CostType
    flat_cost: NonNegativeAmount | UnsetType = UNSET
    unit_cost: NonNegativeAmount | UnsetType = UNSET
    per_units: PositiveInt | UnsetType = UNSET
    tiers: Tiers | UnsetType = UNSET
    tier_mode: TierMode | UnsetType = UNSET
    tier_scope: TierScope | UnsetType = UNSET
    rounding: Rounding | UnsetType = UNSET
    match: Dimensions | UnsetType = UNSET
    overage_policy: OveragePolicy | None = None
    overage_limit: NonNegativeAmount | None = None


class PreviewBody(Body, frozen=True, kw_only=True):
    """Units to price: by a draft (its terms beside the units), by ``rule_id``, or by the rule in force."""

    billable_metric_key: Key
    units: Units = 1
    before: Units | UnsetType = UNSET
    dimensions: Dimensions | UnsetType = UNSET
    rule_id: Uuid | UnsetType = UNSET
    cost_type: CostType | UnsetType = UNSET
    flat_cost: NonNegativeAmount | UnsetType = UNSET
    unit_cost: NonNegativeAmount | UnsetType = UNSET
    per_units: PositiveInt | UnsetType = UNSET
    tiers: Tiers | UnsetType = UNSET
    tier_mode: TierMode | UnsetType = UNSET
    tier_scope: TierScope | UnsetType = UNSET
    rounding: Rounding | UnsetType = UNSET
    match: Dimensions | UnsetType = UNSET
    overage_policy: OveragePolicy | None = None
    overage_limit: NonNegativeAmount | None = None


class MetricFilter(PageQuery, frozen=True, kw_only=True):
    """Which metrics: archived ones stand among the others unless ``archived`` says otherwise."""

    type: MetricType | UnsetType = UNSET
    archived: bool | UnsetType = UNSET


class RuleFilter(PageQuery, frozen=True, kw_only=True):
    """Which rules: of one metric, in force (``active=true``) or ended."""

    billable_metric_key: Key | UnsetType = UNSET
    active: bool | UnsetType = UNSET


def _page_of(request: Request, views: list[Any]) -> Response:
    """A page of views that are all at hand, by the time of their making and their id."""
    page = read_page(request)
    rows = sorted(views, key=lambda view: (view.created_at, view.id), reverse=not page.is_ascending)
    if page.after is not None:
        after = tuple(page.after)
        rows = [
            view
            for view in rows
            if (
                (view.created_at, view.id) > after
                if page.is_ascending
                else (view.created_at, view.id) < after
            )
        ]
    return page_response(request, rows[: page.fetch], position=lambda view: (view.created_at, view.id))


async def post_metric(request: Request) -> Response:
    """The metric as created."""
    stored = await create_metric(request.app, request.caller, terms=request.body, key=request.the_key)
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def get_metrics(request: Request) -> Response:
    """One page of metrics."""
    query: MetricFilter = request.query
    views = [
        view
        for view in await list_metrics(request.app, request.caller)
        if (query.type is UNSET or view.type == query.type)
        and (query.archived is UNSET or (view.archived_at is not UNSET) == query.archived)
    ]
    return _page_of(request, views)


async def get_metric(request: Request) -> Response:
    """One metric."""
    return Response(200, await read_metric(request.app, request.caller, metric_key=request.params["key"]))


async def patch_metric(request: Request) -> Response:
    """The metric after the change."""
    body: MetricChange = request.body
    change = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET}
    stored = await change_metric(
        request.app,
        request.caller,
        metric_key=request.params["key"],
        change=change,
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_rule(request: Request) -> Response:
    """The rule as created."""
    stored = await create_rule(request.app, request.caller, terms=request.body, key=request.the_key)
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def get_rules(request: Request) -> Response:
    """One page of rules, with all that ever were."""
    query: RuleFilter = request.query
    views = await list_rules(
        request.app,
        request.caller,
        metric_key=None if query.billable_metric_key is UNSET else query.billable_metric_key,
        is_active=None if query.active is UNSET else query.active,
    )
    return _page_of(request, views)


async def get_rule(request: Request) -> Response:
    """One rule."""
    return Response(200, await read_metering_rule(request.app, request.caller, rule_id=request.params["id"]))


async def post_deactivate(request: Request) -> Response:
    """The rule, no longer in force."""
    stored = await deactivate_rule(
        request.app, request.caller, rule_id=request.params["id"], key=request.the_key
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_preview(request: Request) -> Response:
    """What the units would cost."""
    return Response(200, await preview_price(request.app, request.caller, terms=request.body))


_TIERED: Final = {
    "billable_metric_key": "api_call",
    "cost_type": "tiered",
    "tiers": [
        {"up_to": 10_000, "unit_cost": 10},
        {"up_to": 100_000, "unit_cost": 8},
        {"up_to": None, "unit_cost": 5},
    ],
}

ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/billable-metrics",
        handler=post_metric,
        scope="catalog:write",
        tag="Metering",
        summary="Create a billable metric",
        body=MetricBody,
        answers={201: MetricView},
        errors=("conflict",),
        key="required",
        example={"key": "api_call", "name": "API calls"},
    ),
    Route(
        method="GET",
        path="/v1/billable-metrics",
        handler=get_metrics,
        scope="catalog:read",
        tag="Metering",
        summary="List billable metrics",
        query=MetricFilter,
        answers={200: PageOf[MetricView]},
    ),
    Route(
        method="GET",
        path="/v1/billable-metrics/{key}",
        handler=get_metric,
        scope="catalog:read",
        tag="Metering",
        summary="Read a billable metric",
        answers={200: MetricView},
        errors=("not-found",),
    ),
    Route(
        method="PATCH",
        path="/v1/billable-metrics/{key}",
        handler=patch_metric,
        scope="catalog:write",
        tag="Metering",
        summary="Change a billable metric",
        description="`key`, `type`, `aggregation`, `unit` and `scale` are fixed once the metric is used.",
        body=MetricChange,
        answers={200: MetricView},
        errors=("not-found", "conflict"),
        key="required",
        example={"name": "API calls, all regions"},
    ),
    Route(
        method="POST",
        path="/v1/metering-rules",
        handler=post_rule,
        scope="catalog:write",
        tag="Metering",
        summary="Put a price in force",
        description="It replaces the rule of the same metric and `match` from now on; the old one is kept for ever.",
        body=RuleBody,
        answers={201: RuleView},
        errors=("not-found", "conflict"),
        key="required",
        example=_TIERED,
    ),
    Route(
        method="GET",
        path="/v1/metering-rules",
        handler=get_rules,
        scope="catalog:read",
        tag="Metering",
        summary="List prices, past ones included",
        query=RuleFilter,
        answers={200: PageOf[RuleView]},
    ),
    Route(
        method="GET",
        path="/v1/metering-rules/{id}",
        handler=get_rule,
        scope="catalog:read",
        tag="Metering",
        summary="Read a price",
        answers={200: RuleView},
        errors=("not-found",),
    ),
    Route(
        method="POST",
        path="/v1/metering-rules/{id}/deactivate",
        handler=post_deactivate,
        scope="catalog:write",
        tag="Metering",
        summary="End a price without another in its place",
        answers={200: RuleView},
        errors=("not-found", "conflict"),
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/metering-rules/preview",
        handler=post_preview,
        scope="catalog:read",
        tag="Metering",
        summary="Price units without writing anything",
        body=PreviewBody,
        answers={200: PreviewView},
        errors=("not-found", "no-active-metering-rule"),
        example={**_TIERED, "units": 25_000},
    ),
)
