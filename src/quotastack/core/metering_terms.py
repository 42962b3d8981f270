"""Metering terms: metrics and rules as callers write and read them, and every fault that they can have.

A tier table is checked whole: each fault comes with the pointer of its field, so that a price list of
twenty tiers is corrected in one go.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import AMOUNT_MAX, read_units, units_on_the_wire
from quotastack.core.catalog import Aggregation, MeteringRule, Metric, MetricType, PriceTier
from quotastack.core.errors import FieldFault

if TYPE_CHECKING:
    from collections.abc import Iterable

TIERS_MAX: Final = 1_000
AGGREGATIONS: Final[dict[MetricType, tuple[Aggregation, ...]]] = {
    "metered": ("CumulativeCounter", "TotalCounter", "UpDownCounter"),
    "gauge": ("Gauge", "UpDownCounter"),
    "boolean": (),
    "static": (),
}
PRICED: Final = frozenset({"CumulativeCounter", "TotalCounter"})

# What each kind of price is made of; the rest of the price fields does not apply to it.
_FIELDS_OF: Final = {
    "flat": frozenset({"flat_cost"}),
    "per_unit": frozenset({"unit_cost", "per_units"}),
    "tiered": frozenset({"tiers", "tier_mode", "tier_scope"}),
}
_PRICE_FIELDS: Final = ("flat_cost", "unit_cost", "per_units", "tiers", "tier_mode", "tier_scope")


class MetricView(msgspec.Struct, frozen=True, kw_only=True):
    """A billable metric as it is answered."""

    id: str
    key: str
    name: str
    description: str | UnsetType = UNSET
    type: str
    aggregation: str | UnsetType = UNSET
    default_value: dict[str, Any] | UnsetType = UNSET
    scale: int
    unit: str
    archived_at: datetime | UnsetType = UNSET
    created_at: datetime
    updated_at: datetime


class TierView(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a tiered price; ``up_to`` null is the last one."""

    up_to: int | str | None
    unit_cost: int
    per_units: int
    flat_cost: int


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A metering rule as it is answered; only the fields of its ``cost_type`` are there."""

    id: str
    billable_metric_key: str
    cost_type: str
    flat_cost: int | UnsetType = UNSET
    unit_cost: int | UnsetType = UNSET
    per_units: int | UnsetType = UNSET
    tiers: tuple[TierView, ...] | UnsetType = UNSET
    tier_mode: str | UnsetType = UNSET
    tier_scope: str | UnsetType = UNSET
    rounding: str
    match: dict[str, str]
    overage_policy: str | None
    overage_limit: int | None
    active: bool
    active_from: datetime
    active_to: datetime | None
    created_at: datetime


def view_metric(metric: Metric) -> MetricView:
    """A metric as it is answered."""
    return MetricView(
        id=metric.id,
        key=metric.key,
        name=metric.name,
        description=UNSET if metric.description is None else metric.description,
        type=metric.type,
        aggregation=UNSET if metric.aggregation is None else metric.aggregation,
        default_value=UNSET if metric.default_value is None else metric.default_value,
        scale=metric.scale,
        unit=metric.unit,
        archived_at=UNSET if metric.archived_at is None else metric.archived_at,
        created_at=metric.created_at,
        updated_at=metric.updated_at,
    )


def view_rule(rule: MeteringRule, *, scale: int) -> RuleView:
    """A rule as it is answered; ``scale`` is its metric's."""
    is_tiered = rule.cost_type == "tiered"
    is_per_unit = rule.cost_type == "per_unit"
    return RuleView(
        id=rule.id,
        billable_metric_key=rule.billable_metric_key,
        cost_type=rule.cost_type,
        flat_cost=rule.flat_cost if rule.cost_type == "flat" else UNSET,
        unit_cost=rule.unit_cost if is_per_unit else UNSET,
        per_units=rule.per_units if is_per_unit else UNSET,
        tiers=tuple(_view_tier(tier, scale) for tier in rule.tiers) if is_tiered else UNSET,
        tier_mode=rule.tier_mode if is_tiered else UNSET,
        tier_scope=rule.tier_scope if is_tiered else UNSET,
        rounding=rule.rounding,
        match=rule.match,
        overage_policy=rule.overage_policy,
        overage_limit=rule.overage_limit,
        active=rule.active_to is None,
        active_from=rule.active_from,
        active_to=rule.active_to,
        created_at=rule.created_at,
    )


def _view_tier(tier: PriceTier, scale: int) -> TierView:
    return TierView(
        up_to=None if tier.up_to is None else units_on_the_wire(tier.up_to, scale),
        unit_cost=tier.unit_cost,
        per_units=tier.per_units,
        flat_cost=tier.flat_cost,
    )


def find_aggregation(type_: MetricType, aggregation: Aggregation | None) -> Aggregation | None:
    """The aggregation named, or the type's own when none is; None for types that are never counted."""
    if aggregation is not None:
        return aggregation
    allowed = AGGREGATIONS[type_]
    return allowed[0] if allowed else None


def metric_faults(metric: Metric) -> list[FieldFault]:
    """What keeps a metric from being one; its ``default_value`` is checked by the value's own rules."""
    allowed = AGGREGATIONS[metric.type]
    faults: list[FieldFault] = []
    if metric.aggregation is not None and metric.aggregation not in allowed:
        choice = " or ".join(allowed) if allowed else "none"
        faults.append(FieldFault("/aggregation", f"A {metric.type} metric takes {choice}."))
    if metric.type in {"boolean", "static"} and metric.scale:
        faults.append(FieldFault("/scale", f"A {metric.type} metric is never counted and has no decimals."))
    return faults


class RuleTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller asks of a price; UNSET where nothing was said."""

    cost_type: str
    flat_cost: int | UnsetType = UNSET
    unit_cost: int | UnsetType = UNSET
    per_units: int | UnsetType = UNSET
    tiers: tuple[Any, ...] | UnsetType = UNSET
    tier_mode: str | UnsetType = UNSET
    tier_scope: str | UnsetType = UNSET
    rounding: str | UnsetType = UNSET
    match: dict[str, str] | UnsetType = UNSET
    overage_policy: str | None = None
    overage_limit: int | None = None


def read_rule(
    terms: Any, metric: Metric, *, rule_id: str, at: datetime
) -> tuple[MeteringRule | None, list[FieldFault]]:
    """The rule that ``terms`` (anything with the fields of ``RuleTerms``) describe, in force from ``at``.

    Returns None and all faults where there are any.
    """
    faults = list(_rule_faults(terms, metric))
    tiers: tuple[PriceTier, ...] = ()
    if terms.cost_type == "tiered" and terms.tiers is not UNSET:
        tiers, found = _read_tiers(terms.tiers, metric.scale)
        faults.extend(found)
    if faults:
        return None, faults
    mode = _said(terms.tier_mode, "graduated")
    scope = _said(terms.tier_scope, "period" if mode == "graduated" else "event")
    is_tiered = terms.cost_type == "tiered"
    return MeteringRule(
        id=rule_id,
        billable_metric_key=metric.key,
        cost_type=terms.cost_type,
        flat_cost=_said(terms.flat_cost, 0),
        unit_cost=_said(terms.unit_cost, 0),
        per_units=_said(terms.per_units, 1),
        tiers=tiers,
        tier_mode=mode,
        tier_scope=scope if is_tiered else "event",
        rounding=_said(terms.rounding, "up"),
        match=dict(sorted(_said(terms.match, {}).items())),
        overage_policy=terms.overage_policy,
        overage_limit=terms.overage_limit,
        active_from=at,
        created_at=at,
    ), []


def _said(value: Any, default: Any) -> Any:
    return default if value is UNSET else value


def _rule_faults(terms: Any, metric: Metric) -> Iterable[FieldFault]:
    if metric.aggregation not in PRICED:
        what = metric.aggregation or f"{metric.type} metric"
        yield FieldFault("/billable_metric_key", f"A {what} carries no price.")
    fields = _FIELDS_OF[terms.cost_type]
    for name in _PRICE_FIELDS:
        if getattr(terms, name) is not UNSET and name not in fields:
            yield FieldFault(f"/{name}", f"Does not apply to cost_type {terms.cost_type}.")
    for name in ("flat_cost", "unit_cost", "tiers"):
        if name in fields and getattr(terms, name) is UNSET:
            yield FieldFault(f"/{name}", f"Is required with cost_type {terms.cost_type}.")
    if terms.tier_mode == "volume" and terms.tier_scope == "period":
        yield FieldFault("/tier_scope", "Volume tiers price each event alone: only event is possible.")
    if terms.overage_limit is not None and terms.overage_policy in {None, "block"}:
        yield FieldFault("/overage_limit", "Needs overage_policy allow or notify beside it.")


def _read_tiers(tiers: Any, scale: int) -> tuple[tuple[PriceTier, ...], list[FieldFault]]:
    """The tiers at ``scale`` and every fault of the table: bounds that do not rise, a missing end."""
    faults: list[FieldFault] = []
    if not 1 <= len(tiers) <= TIERS_MAX:
        return (), [FieldFault("/tiers", f"Takes 1 to {TIERS_MAX} tiers.")]
    read: list[PriceTier] = []
    lower = 0
    for index, tier in enumerate(tiers):
        is_last = index == len(tiers) - 1
        pointer = f"/tiers/{index}/up_to"
        up_to: int | None = None
        if tier.up_to is None:
            if not is_last:
                faults.append(FieldFault(pointer, "Only the last tier has no end (null)."))
        elif is_last:
            faults.append(FieldFault(pointer, "The last tier has no end: it must be null."))
        else:
            up_to = read_units(tier.up_to, scale)
            if up_to is None:
                decimals = f"a number of at most {scale} decimals" if scale else "an integer"
                faults.append(FieldFault(pointer, f"Must be {decimals}, at most {AMOUNT_MAX} as an integer."))
            elif up_to <= lower:
                detail = "Must be above 0." if index == 0 else "Must be above the tier's before."
                faults.append(FieldFault(pointer, detail))
            else:
                lower = up_to
        read.append(
            PriceTier(
                up_to=up_to, unit_cost=tier.unit_cost, per_units=tier.per_units, flat_cost=tier.flat_cost
            )
        )
    return tuple(read), faults


def find_tie(rule: MeteringRule, others: Iterable[MeteringRule]) -> MeteringRule | None:
    """A rule in force that an event could match just as well as ``rule``; None when there is none.

    Same number of dimensions, not the same match (that one is replaced), and no dimension on which
    the two want different values.
    """
    for other in others:
        if other.active_to is not None or len(other.match) != len(rule.match) or other.match == rule.match:
            continue
        if all(rule.match.get(name, value) == value for name, value in other.match.items()):
            return other
    return None
