"""Pricing: what units cost under one metering rule, exactly and rounded once.

This file is the only place that multiplies units by a price. Everything is integer arithmetic: a sum
over tiers is kept as a numerator over one common denominator and rounded at the very end, so no
order of events and no way of splitting them can gain or lose a millicredit.
"""

from __future__ import annotations

from math import lcm
from typing import TYPE_CHECKING

import msgspec

from quotastack.core.amounts import AMOUNT_MAX, AmountOverflowError

if TYPE_CHECKING:
    from quotastack.core.catalog import MeteringRule, PriceTier, Rounding


class TierShare(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The part of some units that fell into one tier; ``up_to`` and ``units`` at the metric's scale."""

    up_to: int | None
    units: int
    cost_mc: int


def price_usage(rule: MeteringRule, *, units: int, before: int, scale: int) -> int:
    """Millicredits for ``units`` after ``before`` units of the same period.

    ``before`` matters to period-scoped tiers only: there the cost is ``price(before + units) -
    price(before)``, so that the costs of a period add up to the price of its total. Everything else is
    priced as if it were alone.

    Raises:
        AmountOverflowError: the cost, or the position it leads to, is beyond the contract's bound.
    """
    assert units >= 0
    cost_type = rule.cost_type
    if cost_type == "per_unit":
        numerator = units * rule.unit_cost
        denominator = rule.per_units if scale == 0 else rule.per_units * 10**scale
        cost_mc = numerator if denominator == 1 else _rounded(numerator, denominator, rule.rounding)
    elif cost_type == "flat":
        cost_mc = rule.flat_cost
    elif rule.tier_mode == "volume":
        cost_mc = _price_volume(rule, units, scale)
    elif rule.tier_scope == "event":
        cost_mc = price_total(rule, units, scale)
    else:
        cost_mc = price_total(rule, before + units, scale) - price_total(rule, before, scale)
    if cost_mc > AMOUNT_MAX or before + units > AMOUNT_MAX:
        raise AmountOverflowError(f"{units} units at position {before} are beyond what can be charged")
    return cost_mc


def price_total(rule: MeteringRule, total: int, scale: int) -> int:
    """The price of ``total`` units from the first one on, under graduated tiers.

    Each tier prices the units that fall into it; its ``flat_cost`` is due once a unit does.
    """
    numerator, denominator, lower = 0, 1, 0
    for tier in rule.tiers:
        if total <= lower:
            break
        upper = total if tier.up_to is None else min(total, tier.up_to)
        if tier.per_units != denominator:
            shared = lcm(denominator, tier.per_units)
            numerator *= shared // denominator
            denominator = shared
        numerator += (upper - lower) * tier.unit_cost * (denominator // tier.per_units)
        numerator += tier.flat_cost * denominator * 10**scale
        lower = upper
    return _rounded(numerator, denominator * 10**scale, rule.rounding)


def _price_volume(rule: MeteringRule, units: int, scale: int) -> int:
    """All units at the rate of the tier that their number falls into; none cost nothing."""
    if units == 0:
        return 0
    tier = _tier_of(rule.tiers, units)
    denominator = tier.per_units * 10**scale
    return _rounded(units * tier.unit_cost + tier.flat_cost * denominator, denominator, rule.rounding)


def _tier_of(tiers: tuple[PriceTier, ...], units: int) -> PriceTier:
    for tier in tiers:
        if tier.up_to is None or units <= tier.up_to:
            return tier
    raise AssertionError("the last tier has no end")


def _rounded(numerator: int, denominator: int, rounding: Rounding) -> int:
    quotient, rest = divmod(numerator, denominator)
    if rest == 0 or rounding == "down":
        return quotient
    if rounding == "up":
        return quotient + 1
    twice = rest * 2
    return quotient + (twice > denominator or (twice == denominator and quotient % 2 == 1))


def split_by_tier(
    rule: MeteringRule, *, units: int, before: int, scale: int, cost_mc: int | None = None
) -> tuple[TierShare, ...]:
    """Which tiers the units fell into, and what each part cost: the parts add up to ``price_usage``.

    A tier's cost is ``price(upper end reached) - price(where the units entered it)``, so the shares of
    the events of a period add up to the shares of its total. Empty for rules without tiers. Who knows
    ``cost_mc`` already spares the sums for units that stay in one tier.
    """
    if rule.cost_type != "tiered" or units == 0:
        return ()
    if rule.tier_mode == "volume":
        whole_mc = _price_volume(rule, units, scale) if cost_mc is None else cost_mc
        return (TierShare(up_to=_tier_of(rule.tiers, units).up_to, units=units, cost_mc=whole_mc),)
    start = before if rule.tier_scope == "period" else 0
    end = start + units
    shares: list[TierShare] = []
    lower = 0
    for tier in rule.tiers:
        upper = end if tier.up_to is None else min(end, tier.up_to)
        entry = max(start, lower)
        if upper > entry:
            if cost_mc is None or upper - entry != units:
                share_mc = price_total(rule, upper, scale) - price_total(rule, entry, scale)
            else:
                share_mc = cost_mc
            shares.append(TierShare(up_to=tier.up_to, units=upper - entry, cost_mc=share_mc))
        if tier.up_to is None or tier.up_to >= end:
            break
        lower = tier.up_to
    return tuple(shares)


def affordable_units(rule: MeteringRule, *, budget_mc: int, before: int, scale: int) -> int | None:
    """The most units that one event may have to cost at most ``budget_mc``; None: the price sets no limit."""
    if budget_mc < 0:
        return 0
    if rule.cost_type == "flat":
        return None if rule.flat_cost <= budget_mc else 0
    if rule.cost_type == "per_unit":
        denominator = rule.per_units * 10**scale
        found = _fitting(_highest_numerator(budget_mc, denominator, rule.rounding), rule.unit_cost)
    elif rule.tier_mode == "volume":
        found = _affordable_volume(rule, budget_mc, scale)
    else:
        start = before if rule.tier_scope == "period" else 0
        total = _affordable_total(rule, price_total(rule, start, scale) + budget_mc, start, scale)
        found = None if total is None else total - start
    return None if found is None or found > AMOUNT_MAX - before else found


def _highest_numerator(amount_mc: int, denominator: int, rounding: Rounding) -> int:
    """The largest numerator over ``denominator`` that is rounded to ``amount_mc`` or less."""
    if rounding == "up":
        return amount_mc * denominator
    if rounding == "down":
        return (amount_mc + 1) * denominator - 1
    return ((2 * amount_mc + 1) * denominator - amount_mc % 2) // 2


def _fitting(numerator: int, unit_cost: int) -> int | None:
    return None if unit_cost == 0 else numerator // unit_cost


def _affordable_volume(rule: MeteringRule, budget_mc: int, scale: int) -> int | None:
    """The largest affordable number over all tiers: a later tier may be cheaper than an earlier one."""
    best, lower = 0, 0
    for tier in rule.tiers:
        denominator = tier.per_units * 10**scale
        highest = _highest_numerator(budget_mc, denominator, rule.rounding) - tier.flat_cost * denominator
        if highest >= 0:
            found = _fitting(highest, tier.unit_cost)
            if tier.up_to is None and found is None:
                return None
            upper = tier.up_to if found is None else found
            if tier.up_to is not None and upper is not None:
                upper = min(upper, tier.up_to)
            if upper is not None and upper > lower:
                best = upper
        lower = tier.up_to or lower
    return best


def _affordable_total(rule: MeteringRule, price_mc: int, start: int, scale: int) -> int | None:
    """The highest position, at or above ``start``, whose graduated price is at most ``price_mc``."""
    shared = lcm(*(tier.per_units for tier in rule.tiers)) * 10**scale
    highest = _highest_numerator(price_mc, shared, rule.rounding)
    numerator, lower = 0, 0
    for tier in rule.tiers:
        rate = tier.unit_cost * (shared // (tier.per_units * 10**scale))
        at_entry = numerator + tier.flat_cost * shared
        if highest - at_entry < 0:
            return max(start, lower)
        found = _fitting(highest - at_entry, rate)
        if tier.up_to is None:
            return None if found is None else max(start, lower + found)
        if found is not None and lower + found < tier.up_to:
            return max(start, lower + found)
        numerator = at_entry + (tier.up_to - lower) * rate
        lower = tier.up_to
    return None
