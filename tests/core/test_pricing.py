"""Prices: tables of the contract's numbers, and properties over random rules."""

from datetime import UTC, datetime
from fractions import Fraction
from math import floor
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quotastack.core.amounts import AMOUNT_MAX, AmountOverflowError
from quotastack.core.catalog import MeteringRule, PriceTier
from quotastack.core.pricing import affordable_units, price_usage, split_by_tier

AT = datetime(2041, 3, 1, tzinfo=UTC)
API_TIERS = (
    PriceTier(up_to=10_000, unit_cost=10),
    PriceTier(up_to=100_000, unit_cost=8),
    PriceTier(up_to=None, unit_cost=5),
)


def rule_of(cost_type: str, **terms: object) -> MeteringRule:
    return MeteringRule(
        id="rule", billable_metric_key="m", cost_type=cost_type, active_from=AT, created_at=AT, **terms
    )


def tiered(tiers: tuple[PriceTier, ...], **terms: object) -> MeteringRule:
    return rule_of("tiered", tiers=tiers, **terms)


@pytest.mark.parametrize(
    ("before", "units", "cost"),
    [
        (0, 0, 0),
        (0, 1, 10),
        (0, 10_000, 100_000),
        (0, 25_000, 220_000),
        (0, 150_000, 1_070_000),
        (9_990, 20, 180),
        (9_999, 1, 10),
        (10_000, 1, 8),
        (100_000, 1, 5),
    ],
)
def test_graduated_prices_by_position(before: int, units: int, cost: int) -> None:
    assert price_usage(tiered(API_TIERS), units=units, before=before, scale=0) == cost


@pytest.mark.parametrize(
    ("units", "cost"), [(0, 0), (1, 10), (10_000, 100_000), (10_001, 80_008), (100_001, 500_005)]
)
def test_volume_prices_all_units_at_the_rate_reached(units: int, cost: int) -> None:
    rule = tiered(API_TIERS, tier_mode="volume", tier_scope="event")
    assert price_usage(rule, units=units, before=99, scale=0) == cost


@pytest.mark.parametrize(
    ("rounding", "units", "cost"),
    [
        ("up", 1, 1),
        ("up", 500, 2),
        ("up", 1_000, 3),
        ("down", 1, 0),
        ("down", 999, 2),
        ("half_even", 500, 2),  # 1.5 is between 1 and 2: the even one
        ("half_even", 166, 0),
        ("half_even", 167, 1),
        ("half_even", 833, 2),
        ("half_even", 834, 3),
        ("half_even", 2_500, 8),  # 7.5: the even one
    ],
)
def test_per_unit_rounds_once(rounding: str, units: int, cost: int) -> None:
    rule = rule_of("per_unit", unit_cost=3, per_units=1_000, rounding=rounding)
    assert price_usage(rule, units=units, before=7, scale=0) == cost


def test_flat_whatever_the_units() -> None:
    rule = rule_of("flat", flat_cost=250)
    assert [price_usage(rule, units=n, before=0, scale=0) for n in (0, 1, 9_999)] == [250, 250, 250]


def test_scale_prices_whole_units() -> None:
    rule = rule_of("per_unit", unit_cost=1_000)
    assert price_usage(rule, units=125, before=0, scale=2) == 1_250
    tiers = (
        PriceTier(up_to=150, unit_cost=100, flat_cost=7),
        PriceTier(up_to=None, unit_cost=10, flat_cost=3),
    )
    assert price_usage(tiered(tiers), units=250, before=0, scale=2) == 150 + 7 + 10 + 3


def test_flat_cost_of_a_tier_when_first_entered() -> None:
    tiers = (PriceTier(up_to=10, flat_cost=100), PriceTier(up_to=None, unit_cost=1, flat_cost=50))
    rule = tiered(tiers)
    costs = [price_usage(rule, units=1, before=before, scale=0) for before in (0, 1, 9, 10, 11)]
    assert costs == [100, 0, 0, 51, 1]


def test_beyond_the_bound_is_refused() -> None:
    rule = rule_of("per_unit", unit_cost=2)
    assert price_usage(rule, units=AMOUNT_MAX // 2, before=0, scale=0) == AMOUNT_MAX - 1
    with pytest.raises(AmountOverflowError):
        price_usage(rule, units=AMOUNT_MAX // 2 + 1, before=0, scale=0)
    with pytest.raises(AmountOverflowError):
        price_usage(tiered(API_TIERS), units=1, before=AMOUNT_MAX, scale=0)


# -- Properties ----------------------------------------------------------------------------------------

ROUNDINGS = st.sampled_from(["up", "down", "half_even"])
RATES = st.tuples(st.integers(0, 50), st.sampled_from([1, 2, 3, 7, 10, 1_000]), st.integers(0, 40))


@st.composite
def tier_tables(draw: st.DrawFn) -> tuple[PriceTier, ...]:
    bounds = sorted(draw(st.sets(st.integers(1, 120), max_size=4)))
    rates = [draw(RATES) for _ in range(len(bounds) + 1)]
    return tuple(
        PriceTier(up_to=up_to, unit_cost=unit_cost, per_units=per_units, flat_cost=flat_cost)
        for up_to, (unit_cost, per_units, flat_cost) in zip([*bounds, None], rates, strict=True)
    )


@st.composite
def rules(draw: st.DrawFn) -> MeteringRule:
    cost_type = draw(st.sampled_from(["flat", "per_unit", "tiered", "tiered"]))
    rounding = draw(ROUNDINGS)
    if cost_type == "flat":
        return rule_of("flat", flat_cost=draw(st.integers(0, 60)), rounding=rounding)
    if cost_type == "per_unit":
        unit_cost, per_units, _ = draw(RATES)
        return rule_of("per_unit", unit_cost=unit_cost, per_units=per_units, rounding=rounding)
    mode, scope = draw(
        st.sampled_from([("graduated", "period"), ("graduated", "event"), ("volume", "event")])
    )
    return tiered(draw(tier_tables()), tier_mode=mode, tier_scope=scope, rounding=rounding)


def exact(rule: MeteringRule, total: int, scale: int) -> Fraction:
    """The contract's words in rational numbers, one unit of the scale at a time."""
    step = Fraction(1, 10**scale)
    if rule.cost_type == "flat":
        return Fraction(rule.flat_cost)
    if rule.cost_type == "per_unit":
        return total * step * Fraction(rule.unit_cost, rule.per_units)
    amount, entered = Fraction(0), set()
    for place in range(1, total + 1):
        reached = place if rule.tier_mode == "graduated" else total
        index = next(i for i, t in enumerate(rule.tiers) if t.up_to is None or reached <= t.up_to)
        amount += step * Fraction(rule.tiers[index].unit_cost, rule.tiers[index].per_units)
        if index not in entered:
            entered.add(index)
            amount += rule.tiers[index].flat_cost
    return amount


def rounded(amount: Fraction, rounding: str) -> int:
    if rounding == "up":
        return -floor(-amount)
    return floor(amount) if rounding == "down" else round(amount)


@pytest.mark.parametrize(
    ("unit_cost", "per_units", "rounding", "units", "cost"),
    [
        (1, 3, "up", 9_007_199_254_740_991, 3_002_399_751_580_331),
        (29, 100, "down", 100, 29),
        (57, 100, "down", 100, 57),
        (1, 49, "down", 49, 1),
    ],
)
def test_prices_that_no_float_holds(
    unit_cost: int, per_units: int, rounding: str, units: int, cost: int
) -> None:
    rule = tiered((PriceTier(up_to=None, unit_cost=unit_cost, per_units=per_units),), rounding=rounding)
    assert price_usage(rule, units=units, before=0, scale=0) == cost


@given(rules(), st.integers(0, 150), st.integers(0, 150), st.integers(0, 3))
@settings(max_examples=400, deadline=None)
def test_price_is_the_exact_sum_rounded_once(rule: MeteringRule, before: int, units: int, scale: int) -> None:
    cost = price_usage(rule, units=units, before=before, scale=scale)
    if rule.cost_type == "tiered" and rule.tier_scope == "period":
        until = rounded(exact(rule, before + units, scale), rule.rounding)
        assert cost == until - rounded(exact(rule, before, scale), rule.rounding)
    else:
        assert cost == rounded(exact(rule, units, scale), rule.rounding)
    assert cost >= 0


@given(tier_tables(), ROUNDINGS, st.lists(st.integers(0, 60), max_size=12), st.integers(0, 3), st.randoms())
@settings(max_examples=300, deadline=None)
def test_costs_of_a_period_add_up_however_it_is_split(
    tiers: tuple[PriceTier, ...], rounding: str, parts: list[int], scale: int, random: Random
) -> None:
    rule = tiered(tiers, rounding=rounding)
    total = sum(parts)
    whole = price_usage(rule, units=total, before=0, scale=scale)
    for _ in range(3):
        random.shuffle(parts)
        before, cost, shares = 0, 0, {}
        for units in parts:
            part = price_usage(rule, units=units, before=before, scale=scale)
            split = split_by_tier(rule, units=units, before=before, scale=scale)
            assert sum(share.cost_mc for share in split) == part
            assert sum(share.units for share in split) == units
            for share in split:
                known = shares.get(share.up_to, (0, 0))
                shares[share.up_to] = (known[0] + share.units, known[1] + share.cost_mc)
            before, cost = before + units, cost + part
        assert cost == whole
        expected = split_by_tier(rule, units=total, before=0, scale=scale)
        assert shares == {share.up_to: (share.units, share.cost_mc) for share in expected}


@given(rules(), st.integers(0, 400), st.integers(0, 150), st.integers(0, 2))
@settings(max_examples=400, deadline=None)
def test_affordable_units_are_the_most(rule: MeteringRule, budget: int, before: int, scale: int) -> None:
    found = affordable_units(rule, budget_mc=budget, before=before, scale=scale)

    def cost(units: int) -> int:
        return price_usage(rule, units=units, before=before, scale=scale)

    if found is None:
        assert cost(10**9) <= budget
        return
    assert found == 0 or cost(found) <= budget
    # Volume prices can fall at a bound: look well past the last one.
    assert all(cost(more) > budget for more in range(found + 1, found + 300))


def test_nothing_is_affordable_below_zero() -> None:
    assert affordable_units(tiered(API_TIERS), budget_mc=-1, before=0, scale=0) == 0


@pytest.mark.parametrize("mode", ["graduated", "volume"])
def test_large_prices_are_exact_too(mode: str) -> None:
    """Beyond 2^53 a float would round: here one unit more or less shows."""
    table = (PriceTier(up_to=None, unit_cost=999_983, per_units=1_000_003, flat_cost=0),)
    rule = tiered(table, tier_mode=mode, tier_scope="event", rounding="up")
    for units in (999_999_999_999_999, 999_999_999_999_998, 900_719_925_474_099):
        assert price_usage(rule, units=units, before=0, scale=0) == rounded(exact_of(units), "up")


def exact_of(units: int) -> Fraction:
    return Fraction(units * 999_983, 1_000_003)


def test_units_that_no_counter_could_hold_are_no_limit() -> None:
    rule = rule_of("per_unit", unit_cost=1)
    assert affordable_units(rule, budget_mc=AMOUNT_MAX - 10, before=10, scale=0) == AMOUNT_MAX - 10
    assert affordable_units(rule, budget_mc=AMOUNT_MAX - 9, before=10, scale=0) is None
