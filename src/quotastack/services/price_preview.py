"""Price preview: what units would cost, by a draft or by a rule, without writing anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import AmountOverflowError, units_on_the_wire
from quotastack.core.catalog import Catalog, MeteringRule, Metric
from quotastack.core.errors import FieldFault, NotFoundError, ValidationFailedError
from quotastack.core.metering import require_rule
from quotastack.core.metering_terms import read_rule
from quotastack.core.pricing import price_usage, split_by_tier
from quotastack.core.usage import read_event_units, require_metric
from quotastack.services.metering import refuse_faults, require_rule_id

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.services.caller import Caller
    from quotastack.services.container import Services


class PreviewTier(msgspec.Struct, frozen=True, kw_only=True):
    """The units that fall into one tier, and what they cost."""

    up_to: int | str | None
    units: int | str
    cost: int


class PreviewView(msgspec.Struct, frozen=True, kw_only=True):
    """What units would cost. ``rule_id`` is absent for a draft."""

    billable_metric_key: str
    units: int | str
    before: int | str
    cost: int
    unit: str
    rule_id: str | UnsetType = UNSET
    tiers: tuple[PreviewTier, ...] | UnsetType = UNSET


async def preview_price(services: Services, caller: Caller, *, terms: Any) -> PreviewView:
    """Price units by a draft, by a rule of the past or by the one in force; nothing is written.

    Raises:
        NotFoundError: no such metric or rule.
        ValidationFailedError: faults of the draft, of the units, or a cost beyond the bound.
        NoActiveMeteringRuleError: no rule in force matches the dimensions.
    """
    environment = await services.environments.refresh(caller.environment_id)
    catalog = environment.catalog
    now = services.environments.now(environment)
    metric = require_metric(catalog, terms.billable_metric_key)
    rule = _previewed_rule(catalog, metric, terms=terms, now=now)
    units = read_event_units(terms.units, metric, pointer="/units") or 0
    before = read_event_units(None if terms.before is UNSET else terms.before, metric, pointer="/before") or 0
    refuse_faults(
        [
            FieldFault(f"/{name}", "Must be 0 or more.")
            for name, n in (("units", units), ("before", before))
            if n < 0
        ]
    )
    try:
        cost_mc = price_usage(rule, units=units, before=before, scale=metric.scale)
    except AmountOverflowError as overflow:
        raise ValidationFailedError.at("/units", f"The cost is out of range: {overflow}.") from overflow
    shares = split_by_tier(rule, units=units, before=before, scale=metric.scale)
    return PreviewView(
        billable_metric_key=metric.key,
        units=units_on_the_wire(units, metric.scale),
        before=units_on_the_wire(before, metric.scale),
        cost=cost_mc,
        unit=metric.unit,
        rule_id=rule.id or UNSET,
        tiers=UNSET
        if rule.cost_type != "tiered"
        else tuple(
            PreviewTier(
                up_to=None if share.up_to is None else units_on_the_wire(share.up_to, metric.scale),
                units=units_on_the_wire(share.units, metric.scale),
                cost=share.cost_mc,
            )
            for share in shares
        ),
    )


def _previewed_rule(catalog: Catalog, metric: Metric, *, terms: Any, now: datetime) -> MeteringRule:
    if terms.cost_type is not UNSET:
        draft, faults = read_rule(terms, metric, rule_id="", at=now)
        refuse_faults(faults)
        assert draft is not None
        return draft
    if terms.rule_id is not UNSET:
        rule = require_rule_id(catalog, terms.rule_id)
        if rule.billable_metric_key != metric.key:
            raise NotFoundError("There is no such metering rule of this metric.")
        return rule
    return require_rule(catalog, metric.key, {} if terms.dimensions is UNSET else terms.dimensions, now)
