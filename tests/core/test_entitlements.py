"""Entitlements: values by type and source, the reasons in their order, and what a check tells."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.core.assets_world import APRIL, BEGIN, LADDER, World, metric_of, quota, tier

from quotastack.core.catalog import MeteringRule, Variant
from quotastack.core.customer_state import Account, Asset, Block, Subscription
from quotastack.core.draft import replace
from quotastack.core.entitlement_check import Decided, EntitlementAnswer, EntitlementQuery, decide_entitlement
from quotastack.core.entitlements import require_entitled
from quotastack.core.errors import AssetSuspendedError, NotEntitledError, NotFoundError, ValidationFailedError
from quotastack.core.value_faults import value_faults
from quotastack.core.values import resolve_value

DENY = tier(None, "OverUsage", "Deny")


def decide(world: World, **query: Any) -> Decided:
    asked = EntitlementQuery(billable_metric_key=world.metric.key, **query)
    return decide_entitlement(world.draft, world.context, asked)


def check(world: World, **query: Any) -> EntitlementAnswer:
    before = world.draft.writes
    answer = decide(world, **query).answer
    assert world.draft.writes == before, "a check writes nothing"
    return answer


def give_credits(world: World, amount_mc: int, *, reserved_mc: int = 0) -> None:
    block = Block(
        id="block",
        unit="credits",
        original_mc=amount_mc,
        remaining_mc=amount_mc,
        priority=0,
        effective_at=BEGIN,
        expires_at=None,
        source="promotional",
        created_at=BEGIN,
    )
    world.draft.add_block(block)
    world.draft.put_account(Account(unit="credits", blocks_mc=amount_mc, reserved_mc=reserved_mc))


def set_price(world: World, unit_cost: int, **more: Any) -> None:
    rule = MeteringRule(
        id="rule",
        billable_metric_key=world.metric.key,
        cost_type="per_unit",
        unit_cost=unit_cost,
        active_from=BEGIN,
        created_at=BEGIN,
        **more,
    )
    world.catalog = replace(world.catalog, rules={world.metric.key: (rule,)}, rules_by_id={"rule": rule})


def subscribe(world: World, entitlements: dict[str, Any], **more: Any) -> Subscription:
    number = len(world.draft.subscriptions)
    variant = Variant(
        id=f"variant-{number}",
        version=1,
        plan_id="plan",
        plan_key="plan",
        family=f"family-{number}",
        key="pro",
        name="Pro",
        entitlements=entitlements,
        created_at=BEGIN,
        updated_at=BEGIN,
        allow_usage_while_overdue=more.pop("allow_usage_while_overdue", True),
    )
    world.catalog = replace(world.catalog, variants={**world.catalog.variants, (variant.id, 1): variant})
    fields: dict[str, Any] = {
        "id": f"sub-{number}",
        "plan_id": "plan",
        "family": variant.family,
        "plan_variant_id": variant.id,
        "variant_version": 1,
        "status": "active",
        "billing_mode": "postpaid",
        "anchor_at": BEGIN,
        "current_period_start": BEGIN,
        "current_period_end": BEGIN + timedelta(days=31),
        "created_at": BEGIN + timedelta(seconds=number),
        "updated_at": BEGIN,
    }
    subscription = Subscription(**(fields | more))
    world.draft.put_subscription(subscription)
    return subscription


@pytest.mark.parametrize(
    ("metric", "value", "source", "is_allowed"),
    [
        ({"type": "metered"},                                    {},                  "default", True),
        ({"type": "gauge", "aggregation": "Gauge"},              {},                  "default", True),
        ({"type": "boolean", "aggregation": None},               {"enabled": False},  "default", False),
        ({"type": "static", "aggregation": None},                {"config": None},    "default", True),
        ({"type": "metered", "default_value": {"enabled": False}}, {"enabled": False}, "default", False),
        ({"type": "boolean", "aggregation": None, "default_value": {"enabled": True}},
         {"enabled": True}, "default", True),
    ],
)  # fmt: skip
def test_without_override_and_plan_the_default_counts(
    *, metric: dict[str, Any], value: dict[str, Any], source: str, is_allowed: bool
) -> None:
    answer = check(World(**metric))
    assert (answer.value, answer.value_source, answer.allowed) == (value, source, is_allowed)
    assert answer.reason == ("ok" if is_allowed else "not_entitled")


def test_an_override_beats_the_plan_until_it_expires() -> None:
    world = World(type="boolean", aggregation=None)
    subscribe(world, {"calls": {"enabled": True}})
    world.override({"enabled": False}, expires_at=APRIL)
    assert (check(world).allowed, check(world).value_source) == (False, "override")
    world.go(APRIL - timedelta(microseconds=1))
    assert check(world).allowed is False
    world.draft.subscriptions = {}
    world.go(APRIL)
    assert (check(world).allowed, check(world).value_source) == (False, "default")


@pytest.mark.parametrize(
    ("metric", "values", "winner"),
    [
        ({"type": "boolean", "aggregation": None}, [{"enabled": False}, {"enabled": True}], 1),
        ({"type": "gauge", "aggregation": "Gauge"}, [{"cap": 5}, {"cap": 7}, {"cap": 6}], 1),
        ({"type": "gauge", "aggregation": "Gauge"}, [{"cap": 5}, quota(tier(9), DENY)], 1),
        ({"type": "gauge", "aggregation": "Gauge"}, [{"cap": 500}, quota(tier(None))], 1),
        ({"type": "metered"}, [quota(tier(10), DENY), quota(tier(5), tier(11, "Warning"), DENY)], 1),
        ({"type": "metered"}, [quota(tier(10), DENY), {}], 1),
        ({"type": "metered"}, [{"enabled": False}, quota(tier(10), DENY)], 1),
        ({"type": "metered"},
         [quota(tier(10), tier(None, "Warning", "AllowWithGrace", grace_units=5)), quota(tier(14), DENY)], 0),
        ({"type": "static", "aggregation": None}, [{"config": {"a": 1}}, {"config": {"b": 2}}], 1),
    ],
)  # fmt: skip
def test_the_most_permissive_variant_wins(
    metric: dict[str, Any], values: list[dict[str, Any]], winner: int
) -> None:
    world = World(**metric)
    for value in values:
        assert value_faults(world.metric, value) == []
        subscribe(world, {"calls": value})
    found = resolve_value(world.draft, world.catalog, world.metric)
    assert (found.value, found.value_source) == (values[winner], "plan_variant")


def spoil(world: World, reason: str) -> None:
    """Make one of the check's conditions fail."""
    if reason == "not_entitled":
        world.override({"enabled": False})
    elif reason.startswith("subscription"):
        status = reason.removeprefix("subscription_")
        value = {"quota": LADDER["quota"]}
        subscribe(world, {"calls": value}, status=status, allow_usage_while_overdue=False)
    elif reason == "suspended":
        world.draft.put_asset(Asset(billable_metric_key="calls", is_suspended=True))
    elif reason == "quota_exceeded":
        world.override(quota(tier(0), DENY))
    elif reason == "rate_limited":
        rate = {"units": 1, "seconds": 60, "burst": 1}
        world.override(quota(tier(None, policy="RateLimit", rate=rate)))
        world.use(1)
    elif reason == "no_matching_rule":
        set_price(world, 1, match={"model": "large"})
    elif reason == "insufficient_credits":
        set_price(world, 1)


ORDER = [
    "not_entitled",
    "subscription_paused",
    "suspended",
    "quota_exceeded",
    "no_matching_rule",
]


@pytest.mark.parametrize(
    "reason",
    [*ORDER, "subscription_overdue", "rate_limited", "insufficient_credits"],
)
def test_each_reason_refuses(reason: str) -> None:
    world = World()
    spoil(world, reason)
    answer = check(world)
    assert (answer.allowed, answer.reason) == (False, reason)


@pytest.mark.parametrize("place", range(len(ORDER) - 1))
def test_the_first_reason_is_told(place: int) -> None:
    world = World()
    for reason in reversed(ORDER[place:]):
        if reason == "quota_exceeded" and "not_entitled" in ORDER[place:]:
            continue
        spoil(world, reason)
    assert check(world).reason == ORDER[place]


def test_one_governing_subscription_that_lets_it_through_is_enough() -> None:
    world = World()
    subscribe(world, {"calls": {}}, status="paused")
    assert check(world).reason == "subscription_paused"
    with pytest.raises(NotEntitledError):
        require_entitled(world.draft, world.context, world.metric)
    subscribe(world, {"calls": {}}, status="overdue")
    answer = check(world)
    assert (answer.reason, answer.subscription_status) == ("ok", "overdue")
    require_entitled(world.draft, world.context, world.metric)


def test_a_subscription_does_not_govern_what_its_variant_does_not_list() -> None:
    world = World()
    subscribe(world, {}, status="paused")
    answer = check(world)
    assert (answer.reason, answer.subscription_status) == ("ok", "paused")


def test_a_suspended_account_refuses() -> None:
    world = World()
    world.draft.put_account(Account(unit="credits", status="suspended"))
    assert check(world).reason == "suspended"
    with pytest.raises(AssetSuspendedError):
        require_entitled(world.draft, world.context, world.metric)


def test_credits_limit_what_is_affordable() -> None:
    world = World()
    set_price(world, 1_000)
    give_credits(world, 100_000, reserved_mc=30_000)
    answer = check(world, units=70)
    assert (answer.allowed, answer.estimated_cost, answer.affordable_units) == (True, 70_000, 70)
    assert (answer.balance, answer.effective_balance, answer.balance_after) == (100_000, 70_000, 30_000)
    answer = check(world, units=71)
    assert (answer.allowed, answer.reason) == (False, "insufficient_credits")


def test_overage_lets_through_up_to_its_limit() -> None:
    world = World()
    set_price(world, 1_000, overage_policy="allow", overage_limit=5_000)
    give_credits(world, 10_000)
    assert [check(world, units=units).reason for units in (10, 11, 15, 16)] == [
        "ok", "overage", "overage", "insufficient_credits",
    ]  # fmt: skip
    assert check(world).affordable_units == 15
    set_price(world, 1_000, overage_policy="allow")
    assert check(world, units=10**9).reason == "overage"
    assert check(world).affordable_units is None


def test_a_quota_limits_what_is_affordable() -> None:
    world = World(LADDER)
    world.use(1_050)
    world.hold(10)
    answer = check(world, units=40)
    assert (answer.allowed, answer.affordable_units) == (True, 40)
    assert answer.quota is not None
    assert (answer.quota.value, answer.quota.limit, answer.quota.remaining) == (1_050, 1_100, 40)
    assert (answer.quota.level, answer.quota.policy, answer.quota.resets_at) == (
        "Critical", "AllowWithOverage", APRIL,
    )  # fmt: skip
    refused = check(world, units=41)
    assert (refused.reason, refused.quota.level, refused.quota.policy) == (
        "quota_exceeded", "OverUsage", "Deny",
    )  # fmt: skip
    assert check(world, units=0).allowed is True


def test_a_gauge_is_asked_with_its_current_reading() -> None:
    world = World({"cap": 3}, aggregation="Gauge")
    world.read(1)
    assert [check(world, current=current).allowed for current in (None, 2, 3)] == [True, True, False]
    assert check(world, current=2).quota.value == 2
    assert [check(world, units=units).allowed for units in (2, 3)] == [True, False]
    with pytest.raises(ValidationFailedError):
        check(World(), current=2)


def test_priced_tiers_are_the_price() -> None:
    world = World(quota(tier(10, unit_cost=1), tier(None, "Warning", unit_cost=5)))
    set_price(world, 1_000)
    give_credits(world, 100)
    assert check(world, units=12).estimated_cost == 10 + 10
    assert check(world).affordable_units == 10 + 18


def test_units_are_read_at_the_scale() -> None:
    world = World(scale=2)
    set_price(world, 100)
    assert check(world, units="1.25").estimated_cost == 125
    assert check(world).units == "1.00"
    for units in ("1.255", "-1", "x"):
        with pytest.raises(ValidationFailedError):
            check(world, units=units)
    with pytest.raises(ValidationFailedError):
        check(World(), units="1.5")


def test_an_unknown_metric_is_not_found() -> None:
    world = World()
    with pytest.raises(NotFoundError):
        decide_entitlement(world.draft, world.context, EntitlementQuery(billable_metric_key="other"))


def test_the_answer_tells_until_when_time_alone_cannot_change_it() -> None:
    world = World(LADDER)
    decided = decide(world)
    assert (decided.valid_until, decided.is_repeatable) == (APRIL, True)
    assert decide(world, explain=True).is_repeatable is False
    rate = {"units": 1, "seconds": 60, "burst": 1}
    world.override(quota(tier(None, policy="RateLimit", rate=rate)))
    assert decide(world).is_repeatable is False
    set_price(world, 1, active_to=BEGIN + timedelta(hours=1))
    assert decide(world).valid_until == BEGIN + timedelta(hours=1)


def test_the_explanation_shows_every_step_and_marks_the_one_that_decided() -> None:
    world = World(LADDER)
    set_price(world, 1_000)
    give_credits(world, 5_000)
    steps = check(world, units=7, explain=True).explanation
    assert [(step["step"], step["passed"], step.get("decided", False)) for step in steps] == [
        ("value", True, False),
        ("subscription", True, False),
        ("suspension", True, False),
        ("quota", True, False),
        ("price", True, False),
        ("credits", False, True),
    ]
    assert steps[5]["blocks"] == [{"block_id": "block", "amount": 5_000}]
    assert (steps[4]["rule_id"], steps[4]["unit_cost"]) == ("rule", 1_000)
    assert steps[3]["tier"]["up_to"] == 800


@pytest.mark.parametrize(
    ("metric", "value", "pointers"),
    [
        ({}, {}, []),
        ({}, {"enabled": True, **LADDER}, []),
        ({}, [], ["/value"]),
        ({}, {"cap": 1}, ["/value/cap"]),
        ({}, {"enabled": "yes"}, ["/value/enabled"]),
        ({"type": "boolean", "aggregation": None}, {}, ["/value/enabled"]),
        ({"type": "boolean", "aggregation": None}, {"enabled": 1}, ["/value/enabled"]),
        ({"type": "static", "aggregation": None}, {"config": {"any": [1]}}, []),
        ({"type": "static", "aggregation": None}, {"config": 1}, ["/value/config"]),
        ({"type": "gauge", "aggregation": "Gauge"}, {}, ["/value"]),
        ({"type": "gauge", "aggregation": "Gauge"}, {"cap": -1}, ["/value/cap"]),
        ({"type": "gauge", "aggregation": "Gauge"}, {"cap": 1, **LADDER}, ["/value"]),
        ({}, {"quota": {}}, ["/value/quota/period", "/value/quota/tiers"]),
        ({}, {"quota": {"period": "hour", "alignment": "x", "tiers": [], "y": 1}},
         ["/value/quota/y", "/value/quota/period", "/value/quota/alignment", "/value/quota/tiers"]),
        ({}, quota(tier(10)), ["/value/quota/tiers/0/up_to"]),
        ({}, quota(tier(None), tier(None)), ["/value/quota/tiers/0/up_to"]),
        ({}, quota(tier(10), tier(10), tier(None)), ["/value/quota/tiers/1/up_to"]),
        ({}, quota(tier(1.5), tier(None)), ["/value/quota/tiers/0/up_to"]),
        ({}, quota(tier({"percent": 50}), tier(None)), ["/value/quota/tiers/0/up_to"]),
        ({}, quota(tier({"percent": 50}), tier(None), allowance=10), []),
        ({}, quota(tier({"percent": -1}), tier(None), allowance=10), ["/value/quota/tiers/0/up_to/percent"]),
        ({}, quota(tier(1, policy="Deny"), tier(None)), ["/value/quota/tiers/1/policy"]),
        ({}, quota(tier(1, policy="SuspendUsage"), tier(None)), ["/value/quota/tiers/1/policy"]),
        ({}, quota(tier(1, policy="AllowWithGrace", grace_units=1), tier(None)),
         ["/value/quota/tiers/1/policy"]),
        ({}, quota(tier(1, policy="AllowWithGrace", grace_units=1), DENY), []),
        ({}, quota(tier(None, policy="AllowWithGrace")), ["/value/quota/tiers/0"]),
        ({}, quota(tier(None, policy="AllowWithGrace", grace_units=1, grace_seconds=1)),
         ["/value/quota/tiers/0"]),
        ({}, quota(tier(None, policy="AllowWithGrace", grace_seconds=0)),
         ["/value/quota/tiers/0/grace_seconds"]),
        ({}, quota(tier(None, policy="RateLimit")), ["/value/quota/tiers/0/rate"]),
        ({}, quota(tier(None, policy="RateLimit", rate={"units": 0, "seconds": 0})),
         ["/value/quota/tiers/0/rate/units", "/value/quota/tiers/0/rate/seconds"]),
        ({}, quota(tier(None, resume="manual")), ["/value/quota/tiers/0/resume"]),
        ({}, quota(tier(None, policy="SuspendUsage", resume="later")), ["/value/quota/tiers/0/resume"]),
        ({}, quota(tier(None, "Loud", "Shout")), ["/value/quota/tiers/0/level", "/value/quota/tiers/0/policy"]),
        ({}, quota(tier(None, unit_cost=-1, per_units=0)),
         ["/value/quota/tiers/0/unit_cost", "/value/quota/tiers/0/per_units"]),
        ({"type": "gauge", "aggregation": "Gauge"}, quota(tier(None, unit_cost=1)),
         ["/value/quota/tiers/0/unit_cost"]),
        ({}, quota(tier(None, colour="red")), ["/value/quota/tiers/0/colour"]),
    ],
)  # fmt: skip
def test_a_value_must_fit_its_metric_and_every_fault_is_told(
    metric: dict[str, Any], value: Any, pointers: list[str]
) -> None:
    faults = value_faults(metric_of(**metric), value)
    assert [fault.pointer for fault in faults] == pointers
