"""What units cost, by the words of metering.md: fractions, and one rounding at the end."""

from fractions import Fraction
from typing import Any

Rule = dict[str, Any]


def rounded(amount: Fraction, how: str) -> int:
    """The whole millicredits of an exact amount."""
    below = amount.numerator // amount.denominator
    rest = amount - below
    if rest == 0 or how == "down":
        return below
    if how == "up" or rest > Fraction(1, 2):
        return below + 1
    if rest < Fraction(1, 2):
        return below
    return below + below % 2  # half_even


def total_price(rule: Rule, units: Fraction) -> int:
    """The price of ``units`` counted from nothing."""
    how = rule.get("rounding", "up")
    kind = rule["cost_type"]
    if kind == "flat":
        return rule["flat_cost"]
    if kind == "per_unit":
        return rounded(units * rule["unit_cost"] / rule.get("per_units", 1), how)
    if rule["tier_mode"] == "volume":
        tier = next(tier for tier in rule["tiers"] if tier["up_to"] is None or units <= tier["up_to"])
        entered = tier.get("flat_cost", 0) if units > 0 else 0
        return rounded(entered + _rate(tier) * units, how)
    return rounded(_graduated(rule["tiers"], units), how)


def _rate(tier: Rule) -> Fraction:
    return Fraction(tier.get("unit_cost", 0), tier.get("per_units", 1))


def _graduated(tiers: list[Rule], units: Fraction) -> Fraction:
    """The exact sum over all tiers that are entered; ``base_cost`` is a quota's word for flat_cost."""
    total, lower = Fraction(0), Fraction(0)
    for tier in tiers:
        if units <= lower:
            break
        upper = units if tier["up_to"] is None else min(units, Fraction(tier["up_to"]))
        total += tier.get("flat_cost", tier.get("base_cost", 0)) + _rate(tier) * (upper - lower)
        lower = upper if tier["up_to"] is None else Fraction(tier["up_to"])
    return total


def by_position(rule: Rule) -> bool:
    """Whether the position in the period matters."""
    if rule["cost_type"] != "tiered":
        return False
    default = "period" if rule["tier_mode"] == "graduated" else "event"
    return rule.get("tier_scope", default) == "period"


def event_price(rule: Rule, before: Fraction, units: Fraction) -> int:
    """What one event costs that starts at position ``before``."""
    if by_position(rule):
        return total_price(rule, before + units) - total_price(rule, before)
    return total_price(rule, units)


def quota_price(tiers: list[Rule], before: Fraction, units: Fraction) -> int:
    """What an event costs by the priced tiers of a quota."""
    return rounded(_graduated(tiers, before + units), "up") - rounded(_graduated(tiers, before), "up")


def pick_rule(rules: list[Rule], dimensions: dict[str, str], at: int) -> Rule | None:
    """The rule in force at ``at`` with the most matching dimensions."""
    fitting = [
        rule
        for rule in rules
        if rule["from"] <= at < rule["until"]
        and all(dimensions.get(name) == value for name, value in rule["match"].items())
    ]
    return max(fitting, key=lambda rule: len(rule["match"]), default=None)
