"""Quota policies: each one at its bound - 1, bound and bound + 1, and at the ends of a period."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.assets_world import APRIL, BEGIN, LADDER, MARCH, MICROSECOND, World, quota, tier

from quotastack.core.quota_terms import Quota, quota_in
from quotastack.core.tiers import overage_units

DENY = tier(None, "OverUsage", "Deny")
SUSPEND = tier(None, "OverUsage", "SuspendUsage")


def policy(name: str, **more: object) -> dict[str, object]:
    return quota(tier(10), tier(None, "Critical", name, **more))


@pytest.mark.parametrize(
    ("value", "before", "units", "told"),
    [
        (policy("NotifyOnly"),                      9,   1, "ok"),
        (policy("NotifyOnly"),                      10,  1, "ok"),
        (policy("AllowWithOverage"),                10,  1, "ok"),
        (policy("Deny"),                            9,   0, "ok"),
        (policy("Deny"),                            9,   1, "ok"),
        (policy("Deny"),                            9,   2, "quota-exceeded"),
        (policy("Deny"),                            10,  0, "ok"),
        (policy("Deny"),                            10,  1, "quota-exceeded"),
        (policy("SuspendUsage"),                    9,   1, "ok"),
        (policy("SuspendUsage"),                    9,   2, "asset-suspended"),
        (policy("AllowWithGrace", grace_units=5),   10,  4, "ok"),
        (policy("AllowWithGrace", grace_units=5),   10,  5, "ok"),
        (policy("AllowWithGrace", grace_units=5),   10,  6, "quota-exceeded"),
        (policy("AllowWithGrace", grace_units=5),   0,  15, "ok"),
        (policy("AllowWithGrace", grace_units=5),   0,  16, "quota-exceeded"),
        (policy("AllowWithGrace", grace_seconds=9), 10, 99, "ok"),
        (policy("RateLimit", rate={"units": 1, "seconds": 1, "burst": 3}), 10, 2, "ok"),
        (policy("RateLimit", rate={"units": 1, "seconds": 1, "burst": 3}), 10, 3, "ok"),
        (policy("RateLimit", rate={"units": 1, "seconds": 1, "burst": 3}), 10, 4, "quota-exceeded"),
        (policy("RateLimit", rate={"units": 1, "seconds": 1, "burst": 3}), 8,  5, "ok"),
        (policy("RateLimit", rate={"units": 1, "seconds": 1, "burst": 3}), 8,  6, "quota-exceeded"),
        ({"quota": {"period": "month", "allowance": 20,
                    "tiers": [tier({"percent": 50}), DENY]}},              9,  1, "ok"),
        ({"quota": {"period": "month", "allowance": 20,
                    "tiers": [tier({"percent": 50}), DENY]}},              9,  2, "quota-exceeded"),
    ],
)  # fmt: skip
def test_a_policy_at_its_bound(value: dict[str, object], before: int, units: int, told: str) -> None:
    world = World(value)
    assert world.use(before) == "ok"
    assert world.use(units) == told
    assert world.value == (before + units if told == "ok" else before)


@pytest.mark.parametrize("at", [MARCH, APRIL - MICROSECOND])
def test_the_first_and_the_last_microsecond_belong_to_the_period(at: object) -> None:
    world = World(LADDER, at=MARCH)
    world.go(at)
    assert world.use(1_100) == "ok"
    assert world.use(1) == "quota-exceeded"
    world.go(APRIL - MICROSECOND)
    assert (world.value, world.use(1)) == (1_100, "quota-exceeded")
    world.go(APRIL)
    assert (world.value, world.use(1_100)) == (0, "ok")
    assert world.counter.period_start == APRIL
    (closed,) = world.events("asset.period_closed")
    assert (closed["value"], closed["overage_units"], closed["period_end"]) == (1_100, 100, APRIL)


def test_a_level_is_told_once_a_period_on_the_way_up() -> None:
    world = World(LADDER)
    for units in (800, 1, 1):
        assert world.use(units) == "ok"
    assert world.signals() == ["Warning"]
    world.use(1_050 - 802)
    assert world.counter.overage_units == 50
    for _ in range(2):
        assert world.use(51) == "quota-exceeded"
    assert world.signals() == ["Warning", "Critical", "OverUsage"]
    world.go(APRIL)
    world.use(1_001)
    assert world.signals()[3:] == ["Warning", "Critical"]


def test_a_refused_event_tells_its_own_level_alone() -> None:
    world = World(LADDER)
    assert world.use(1_101) == "quota-exceeded"
    assert (world.signals(), world.value) == (["OverUsage"], 0)
    assert world.use(1_001) == "ok"
    assert world.signals() == ["OverUsage", "Warning", "Critical"]


def test_a_recorded_fact_is_never_refused_and_its_excess_is_overage() -> None:
    world = World(LADDER)
    assert world.use(1_500, is_recorded=True) == "ok"
    assert (world.value, world.level, world.counter.overage_units) == (1_500, "OverUsage", 500)
    assert world.signals() == ["Warning", "Critical", "OverUsage"]
    assert world.use(1) == "quota-exceeded"
    assert world.use(0) == "ok"


def test_held_units_are_counted() -> None:
    world = World(policy("Deny"))
    assert [world.hold(6), world.hold(5), world.use(5), world.hold(4)] == [
        "ok", "quota-exceeded", "quota-exceeded", "ok",
    ]  # fmt: skip
    assert (world.value, world.use(1)) == (0, "quota-exceeded")


def test_a_commit_is_never_refused_and_signals_only_what_it_adds() -> None:
    world = World(policy("Deny"))
    world.hold(10)
    world.draft.put_hold(next(iter(world.draft.holds.values())))
    assert world.use(14, held_units_delta=-10, is_recorded=True) == "ok"
    assert (world.value, world.counter.overage_units) == (14, 4)


def test_grace_by_units_tells_when_it_is_entered_and_when_it_ran_out() -> None:
    world = World(quota(tier(10), tier(None, "Warning", "AllowWithGrace", grace_units=5)))
    world.use(10)
    assert world.signals() == []
    world.use(1)
    assert world.signals() == ["Warning"]
    world.use(4)
    for _ in range(2):
        assert world.use(1) == "quota-exceeded"
    assert world.signals() == ["Warning", "Warning ended"]
    world.go(APRIL)
    assert world.use(15) == "ok"
    assert world.signals()[2:] == ["Warning"]


def test_grace_by_seconds_ends_at_its_instant() -> None:
    world = World(quota(tier(10), tier(None, "Warning", "AllowWithGrace", grace_seconds=60)))
    world.use(10)
    world.wait(hours=1)
    assert world.use(1) == "ok"
    crossed_at = world.now
    world.go(crossed_at + timedelta(seconds=60) - MICROSECOND)
    assert world.use(1) == "ok"
    assert world.signals() == ["Warning"]
    world.go(crossed_at + timedelta(seconds=60))
    assert world.signals() == ["Warning", "Warning ended"]
    assert (world.use(1), world.value) == ("quota-exceeded", 12)
    assert world.use(0) == "ok"
    world.go(APRIL)
    assert world.use(11) == "ok"


def test_units_recorded_after_a_grace_by_seconds_are_overage() -> None:
    world = World(quota(tier(10), tier(None, "Warning", "AllowWithGrace", grace_seconds=60)))
    world.use(12)
    world.wait(seconds=60)
    world.use(5, is_recorded=True)
    assert world.counter.overage_units == 5


def test_a_rate_limit_is_exact() -> None:
    rate = {"units": 10, "seconds": 60, "burst": 5}
    world = World(quota(tier(None, "Warning", "RateLimit", rate=rate)))
    assert [world.use(1) for _ in range(6)] == ["ok"] * 5 + ["quota-rate-limited"]
    world.wait(seconds=6)
    world.go(world.now - MICROSECOND)
    assert world.use(1) == "quota-rate-limited"
    world.go(world.now + MICROSECOND)
    assert [world.use(1), world.use(1)] == ["ok", "quota-rate-limited"]
    world.wait(days=1)
    assert [world.use(5), world.use(1), world.use(6)] == ["ok", "quota-rate-limited", "quota-exceeded"]
    assert world.signals() == ["Warning"]


@pytest.mark.parametrize(("resume", "is_suspended_in_april"), [("manual", True), ("next_period", False)])
def test_suspension_lasts_until_resumed(*, resume: str, is_suspended_in_april: bool) -> None:
    world = World(quota(tier(10), tier(None, "OverUsage", "SuspendUsage", resume=resume)))
    world.use(10)
    assert world.use(1) == "asset-suspended"
    assert world.is_suspended
    assert world.signals() == ["OverUsage"]
    (told,) = world.events("asset.suspended")
    assert (told["reason"], told["resume"]) == ("quota", resume)
    world.go(APRIL - MICROSECOND)
    assert world.is_suspended
    world.go(APRIL)
    assert world.is_suspended is is_suspended_in_april
    assert len(world.events("asset.resumed")) == (not is_suspended_in_april)


def test_priced_tiers_are_summed_exactly_and_charge_their_base_once() -> None:
    world = World(
        quota(tier(10, base_cost=100, unit_cost=1, per_units=3), tier(None, "Warning", unit_cost=7))
    )
    costs = [world.use(units) == "ok" and world.plan.price_mc for units in (1, 1, 1, 7, 1, 0)]
    assert costs == [101, 0, 0, 3, 7, 0]
    assert world.counter.cost_mc == 111
    world.go(APRIL)
    world.use(1)
    assert world.plan.price_mc == 101


tiers = st.lists(st.integers(0, 60), min_size=1, max_size=4, unique=True).map(sorted)
policies = st.sampled_from(["NotifyOnly", "AllowWithOverage"])


@st.composite
def quotas(draw: st.DrawFn) -> dict[str, object]:
    bounds = draw(tiers)
    steps = [tier(bound, "Warning", draw(policies)) for bound in bounds]
    return quota(*steps, draw(st.sampled_from([DENY, SUSPEND, tier(None, "Critical")])))


@given(value=quotas(), split=st.lists(st.integers(0, 30), max_size=8))
def test_overage_and_level_depend_on_the_value_alone(value: dict[str, object], split: list[int]) -> None:
    world = World(value)
    for units in split:
        world.use(units)
    found = quota_in(value, world.metric)
    assert isinstance(found, Quota)
    fresh = World(value)
    assert fresh.use(world.value) == "ok"
    assert (
        world.counter.overage_units
        == fresh.counter.overage_units
        == overage_units(found, world.counter, world.value)
    )
    assert world.level == fresh.level
    if found.limit is not None:
        assert world.value <= found.limit


@given(value=quotas(), split=st.lists(st.integers(0, 30), max_size=8))
def test_each_level_is_told_at_most_once_and_nothing_else_changes_on_a_refusal(
    value: dict[str, object], split: list[int]
) -> None:
    world = World(value)
    for units in split:
        before = world.value
        if world.use(units) != "ok":
            assert world.value == before
    assert len(world.signals()) == len(set(world.signals()))


@given(
    takes=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 5_000_000)), max_size=30),
    rate=st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 6)),
)
def test_a_bucket_never_gives_more_than_its_burst_and_rate(
    takes: list[tuple[int, int]], rate: tuple[int, int, int]
) -> None:
    units, seconds, burst = rate
    world = World(
        quota(tier(None, policy="RateLimit", rate={"units": units, "seconds": seconds, "burst": burst}))
    )
    given_units = 0
    for take, wait_us in takes:
        world.go(world.now + timedelta(microseconds=wait_us))
        given_units += take if world.use(take) == "ok" else 0
        elapsed_us = (world.now - BEGIN) // MICROSECOND
        assert given_units * seconds * 1_000_000 <= burst * seconds * 1_000_000 + elapsed_us * units
