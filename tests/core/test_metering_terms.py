"""Price lists as callers write them: every fault with its pointer, ties, what is filled in."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from quotastack.core.catalog import MeteringRule, Metric
from quotastack.core.metering_terms import RuleTerms, find_aggregation, find_tie, metric_faults, read_rule

AT = datetime(2041, 3, 1, tzinfo=UTC)


class Tier(msgspec.Struct, kw_only=True):
    up_to: Any = None
    unit_cost: int = 0
    per_units: int = 1
    flat_cost: int = 0


def metric(**terms: Any) -> Metric:
    return Metric(**{"key": "m", "id": "m", "name": "m", "created_at": AT, "updated_at": AT, **terms})


def faults_of(on: Metric | None = None, **terms: Any) -> list[tuple[str, str]]:
    rule, faults = read_rule(RuleTerms(**terms), on or metric(), rule_id="r", at=AT)
    assert (rule is None) == bool(faults)
    return [(fault.pointer, fault.detail) for fault in faults]


def tiers(*bounds: Any) -> tuple[Tier, ...]:
    return tuple(Tier(up_to=bound, unit_cost=1) for bound in bounds)


@pytest.mark.parametrize(
    ("bounds", "pointers"),
    [
        ((None,), []),
        ((10, 20, None), []),
        ((), ["/tiers"]),
        ((10,), ["/tiers/0/up_to"]),
        ((10, 10, None), ["/tiers/1/up_to"]),
        ((10, 5, None), ["/tiers/1/up_to"]),
        ((0, 5, None), ["/tiers/0/up_to"]),
        ((None, 5, None), ["/tiers/0/up_to"]),
        ((10, None, 5, 30), ["/tiers/1/up_to", "/tiers/2/up_to", "/tiers/3/up_to"]),
        ((20, 10, 5, 7), ["/tiers/1/up_to", "/tiers/2/up_to", "/tiers/3/up_to"]),
        (("1.5", None), ["/tiers/0/up_to"]),
        (((1,) * 1_001), ["/tiers"]),
    ],
)
def test_every_fault_of_a_tier_table_has_its_pointer(bounds: tuple[Any, ...], pointers: list[str]) -> None:
    found = faults_of(cost_type="tiered", tiers=tiers(*bounds))
    assert [pointer for pointer, _ in found] == pointers


def test_a_bound_is_told_what_it_must_be_above() -> None:
    assert faults_of(cost_type="tiered", tiers=tiers(0, 5, None)) == [("/tiers/0/up_to", "Must be above 0.")]
    assert faults_of(cost_type="tiered", tiers=tiers(5, 5, None)) == [
        ("/tiers/1/up_to", "Must be above the tier's before.")
    ]


def test_a_rule_has_what_its_terms_say_and_defaults_for_the_rest() -> None:
    per_unit, _ = read_rule(RuleTerms(cost_type="per_unit", unit_cost=7), metric(), rule_id="r", at=AT)
    assert per_unit is not None
    assert (per_unit.unit_cost, per_unit.per_units, per_unit.flat_cost) == (7, 1, 0)
    flat, _ = read_rule(RuleTerms(cost_type="flat", flat_cost=3), metric(), rule_id="r", at=AT)
    assert flat is not None
    assert (flat.unit_cost, flat.per_units, flat.flat_cost) == (0, 1, 3)
    table = (
        Tier(up_to=10, unit_cost=4, per_units=2, flat_cost=9),
        Tier(unit_cost=5, per_units=3, flat_cost=8),
    )
    tiered, _ = read_rule(RuleTerms(cost_type="tiered", tiers=table), metric(), rule_id="r", at=AT)
    assert tiered is not None
    assert [(tier.up_to, tier.unit_cost, tier.per_units, tier.flat_cost) for tier in tiered.tiers] == [
        (10, 4, 2, 9), (None, 5, 3, 8),
    ]  # fmt: skip


def test_bounds_at_the_scale_of_the_metric() -> None:
    rule, faults = read_rule(
        RuleTerms(cost_type="tiered", tiers=tiers("1.5", 3, None)), metric(scale=2), rule_id="r", at=AT
    )
    assert not faults
    assert rule is not None
    assert [tier.up_to for tier in rule.tiers] == [150, 300, None]
    assert faults_of(metric(scale=2), cost_type="tiered", tiers=tiers("1.505", None)) == [
        ("/tiers/0/up_to", "Must be a number of at most 2 decimals, at most 9007199254740991 as an integer.")
    ]


@pytest.mark.parametrize(
    ("terms", "pointers"),
    [
        ({"cost_type": "flat"}, ["/flat_cost"]),
        ({"cost_type": "per_unit"}, ["/unit_cost"]),
        ({"cost_type": "tiered"}, ["/tiers"]),
        ({"cost_type": "flat", "flat_cost": 1, "unit_cost": 2}, ["/unit_cost"]),
        ({"cost_type": "per_unit", "unit_cost": 1, "tiers": tiers(None)}, ["/tiers"]),
        ({"cost_type": "per_unit", "unit_cost": 1, "tier_scope": "event"}, ["/tier_scope"]),
        (
            {"cost_type": "tiered", "tiers": tiers(None), "unit_cost": 2, "flat_cost": 3},
            ["/flat_cost", "/unit_cost"],
        ),
        (
            {"cost_type": "tiered", "tiers": tiers(None), "tier_mode": "volume", "tier_scope": "period"},
            ["/tier_scope"],
        ),
        ({"cost_type": "flat", "flat_cost": 1, "overage_limit": 5}, ["/overage_limit"]),
        (
            {"cost_type": "flat", "flat_cost": 1, "overage_policy": "block", "overage_limit": 5},
            ["/overage_limit"],
        ),
        ({"cost_type": "flat", "flat_cost": 1, "overage_policy": "notify", "overage_limit": 5}, []),
    ],
)
def test_fields_belong_to_their_cost_type(terms: dict[str, Any], pointers: list[str]) -> None:
    assert [pointer for pointer, _ in faults_of(**terms)] == pointers


@pytest.mark.parametrize("aggregation", ["Gauge", "UpDownCounter"])
def test_levels_carry_no_price(aggregation: str) -> None:
    level = metric(type="gauge", aggregation=aggregation)
    found = faults_of(level, cost_type="per_unit", unit_cost=1)
    assert found == [("/billable_metric_key", f"A {aggregation} carries no price.")]


@pytest.mark.parametrize(
    ("said", "mode", "scope"),
    [
        ({}, "graduated", "period"),
        ({"tier_scope": "event"}, "graduated", "event"),
        ({"tier_mode": "volume"}, "volume", "event"),
        ({"tier_mode": "volume", "tier_scope": "event"}, "volume", "event"),
    ],
)
def test_scope_follows_the_mode(said: dict[str, Any], mode: str, scope: str) -> None:
    rule, faults = read_rule(
        RuleTerms(cost_type="tiered", tiers=tiers(5, None), **said), metric(), rule_id="r", at=AT
    )
    assert not faults
    assert rule is not None
    assert (rule.tier_mode, rule.tier_scope) == (mode, scope)


def rule_of(match: dict[str, str], **terms: Any) -> MeteringRule:
    return MeteringRule(
        id="r",
        billable_metric_key="m",
        cost_type="flat",
        match=match,
        active_from=AT,
        created_at=AT,
        **terms,
    )


@pytest.mark.parametrize(
    ("new", "old", "is_tie"),
    [
        ({}, {}, False),  # replaces it
        ({"a": "1"}, {"a": "1"}, False),
        ({"a": "1"}, {}, False),  # the one with more dimensions wins
        ({"a": "1"}, {"a": "2"}, False),  # no event matches both
        ({"a": "1"}, {"b": "1"}, True),
        ({"a": "1", "b": "2"}, {"a": "1", "c": "3"}, True),
        ({"a": "1", "b": "2"}, {"a": "2", "c": "3"}, False),
    ],
)
def test_ties(new: dict[str, str], old: dict[str, str], is_tie: bool) -> None:  # noqa: FBT001
    assert (find_tie(rule_of(new), [rule_of(old)]) is not None) == is_tie
    assert find_tie(rule_of(new), [rule_of(old, active_to=AT)]) is None


@pytest.mark.parametrize(
    ("type_", "aggregation", "pointers"),
    [
        ("metered", "CumulativeCounter", []),
        ("metered", "TotalCounter", []),
        ("metered", "UpDownCounter", []),
        ("metered", "Gauge", ["/aggregation"]),
        ("gauge", "Gauge", []),
        ("gauge", "UpDownCounter", []),
        ("gauge", "TotalCounter", ["/aggregation"]),
        ("boolean", "Gauge", ["/aggregation"]),
        ("static", "CumulativeCounter", ["/aggregation"]),
    ],
)
def test_aggregations_of_each_type(type_: Any, aggregation: Any, pointers: list[str]) -> None:
    found = metric_faults(metric(type=type_, aggregation=aggregation))
    assert [fault.pointer for fault in found] == pointers


@pytest.mark.parametrize(
    ("type_", "aggregation"),
    [("metered", "CumulativeCounter"), ("gauge", "Gauge"), ("boolean", None), ("static", None)],
)
def test_aggregation_when_none_is_named(type_: Any, aggregation: str | None) -> None:
    assert find_aggregation(type_, None) == aggregation
    assert RuleTerms(cost_type="flat").flat_cost is UNSET
