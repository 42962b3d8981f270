"""The catalog of one environment as a value: what can be counted, at which price, in which plan.

A snapshot is loaded whole and replaced whole, by ``version``. Commands decide on the snapshot whose
version was read under the environment's lock, so nothing is decided by an old price list.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from quotastack.core.event_patterns import EndpointFilter

MetricType = Literal["metered", "gauge", "boolean", "static"]
Aggregation = Literal["CumulativeCounter", "TotalCounter", "Gauge", "UpDownCounter"]
OveragePolicy = Literal["block", "allow", "notify"]
Rounding = Literal["up", "down", "half_even"]
GrantSource = Literal["plan_grant", "promotional", "trial", "topup"]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A billable metric. ``aggregation`` is None for boolean and static metrics."""

    key: str
    id: str
    name: str
    description: str | None = None
    type: MetricType = "metered"
    aggregation: Aggregation | None = "CumulativeCounter"
    default_value: dict[str, Any] | None = None
    scale: int = 0
    unit: str = "credits"
    archived_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class PriceTier(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a tiered price. ``up_to`` is at the metric's scale; None is the last tier."""

    up_to: int | None
    unit_cost: int = 0
    per_units: int = 1
    flat_cost: int = 0


class MeteringRule(msgspec.Struct, frozen=True, kw_only=True):
    """A price in force from ``active_from`` until ``active_to`` (exclusive, None: still).

    Amounts are millicredits; ``unit_cost`` is for ``per_units`` whole units, whatever the scale.
    """

    id: str
    billable_metric_key: str
    cost_type: Literal["flat", "per_unit", "tiered"]
    flat_cost: int = 0
    unit_cost: int = 0
    per_units: int = 1
    tiers: tuple[PriceTier, ...] = ()
    tier_mode: Literal["graduated", "volume"] = "graduated"
    tier_scope: Literal["period", "event"] = "period"
    rounding: Rounding = "up"
    match: dict[str, str] = {}
    overage_policy: OveragePolicy | None = None
    overage_limit: int | None = None
    active_from: datetime
    active_to: datetime | None = None
    created_at: datetime


class GrantTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """What a variant grants, and when. Amounts are millicredits of ``unit``."""

    id: str
    credits: int
    unit: str = "credits"
    recurrence: Literal["activation", "cycle", "interval"] = "cycle"
    interval_seconds: int | None = None
    expires_after_seconds: int | None = None
    expires_with_cycle: bool = False
    priority: int = 0
    source: GrantSource = "plan_grant"
    rollover_percentage: int = 0
    rollover_max: int | None = None
    accumulation_cap: int | None = None
    in_trial: bool = False
    metadata: dict[str, Any] = {}
    created_at: datetime | None = None


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """The term that a variant binds its subscriber for."""

    term_interval: Literal["day", "week", "month", "year"]
    term_count: int = 1
    auto_renew: bool = True
    ending_soon_days: int = 30


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One published version of a plan variant: terms, grants and entitlements together.

    ``plan_id`` and ``family`` are the plan's; (``id``, ``version``) is unique and never changes.
    """

    id: str
    version: int
    plan_id: str
    plan_key: str
    family: str
    key: str
    name: str
    rank: int | None = None
    billing_mode: Literal["prepaid", "postpaid"] = "prepaid"
    interval: Literal["day", "week", "month", "year"] = "month"
    interval_count: int = 1
    price: int | None = None
    currency: str | None = None
    trial_days: int = 0
    renewal_due_days: int = 3
    grace_period_days: int = 3
    allow_usage_while_overdue: bool = True
    overage_policy: OveragePolicy | None = None
    overage_limit: int | None = None
    contract: Contract | None = None
    metadata: dict[str, Any] = {}
    templates: tuple[GrantTemplate, ...] = ()
    entitlements: dict[str, dict[str, Any]] = {}
    archived_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """A topup package: values that fill what a grant request leaves out."""

    id: str
    name: str
    description: str | None = None
    credits: int
    unit: str = "credits"
    price: int | None = None
    currency: str | None = None
    priority: int = 0
    expires_after_seconds: int | None = None
    bonus_credits: int = 0
    active: bool = True
    metadata: dict[str, Any] = {}
    created_at: datetime
    updated_at: datetime


class EnvironmentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The environment's settings that decide something (operations.md)."""

    overage_policy: OveragePolicy = "block"
    overage_limit: int | None = None
    low_balance_threshold: int | None = None
    priority_order: Literal["asc", "desc"] = "asc"
    default_free_plan_variant_id: str | None = None
    requests_per_minute: int | None = None
    late_event_window_seconds: int = msgspec.field(default=31 * 86_400, name="late_event_window")


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one environment that commands decide by, at ``version``.

    ``rules`` holds every rule that ever was, per metric, oldest first. ``variants`` holds all
    versions by (id, version); ``latest_variants`` the newest by id. ``named_events`` are the event
    types that some endpoint subscribed to by name: those that are off by default are written only
    when they stand in it. ``endpoints`` are the active webhook endpoints, with what each wants.
    """

    version: int
    config: EnvironmentConfig = EnvironmentConfig()
    metrics: dict[str, Metric] = {}
    rules: dict[str, tuple[MeteringRule, ...]] = {}
    rules_by_id: dict[str, MeteringRule] = {}
    variants: dict[tuple[str, int], Variant] = {}
    latest_variants: dict[str, Variant] = {}
    packages: dict[str, Package] = {}
    named_events: frozenset[str] = frozenset()
    endpoints: tuple[EndpointFilter, ...] = ()
