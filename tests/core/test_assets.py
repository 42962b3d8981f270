"""Monitored assets: which there are, what is shown of them, and what an end of time does to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import UNSET
from tests.core.assets_world import APRIL, BEGIN, LADDER, MARCH, MAY, World, metric_of, quota, tier

from quotastack.core.asset_time import end_assets
from quotastack.core.asset_views import (
    AssetPeriod,
    has_asset,
    list_assets,
    require_asset,
    view_asset,
    view_period,
)
from quotastack.core.assets import ResumeAsset, SuspendAsset, TopupAsset, WithdrawFromAsset
from quotastack.core.customer_state import Account, Asset, Counter
from quotastack.core.draft import replace
from quotastack.core.errors import NotFoundError
from quotastack.core.grants import GrantTerms

OPEN = quota(tier(None))
GRACE = quota(tier(10), tier(None, "Warning", "AllowWithGrace", grace_seconds=60))
SECOND = timedelta(seconds=1)


def price_position(key: str) -> Counter:
    return Counter(billable_metric_key=key, kind="price:{}", period_start=MARCH, period_end=APRIL, value=5)


# What a customer did with the metric `calls`, and whether there is an asset of it then.
EXISTS = [
    # value   used   what else is there                                          is an asset
    (None,    False, None,                                                       False),
    (None,    True,  None,                                                       True),
    (OPEN,    False, None,                                                       True),
    (None,    False, Asset(billable_metric_key="calls"),                         True),
    (None,    False, Asset(billable_metric_key="other"),                         False),
    (None,    False, price_position("calls"),                                    False),
    (None,    False, replace(price_position("calls"), kind="asset"),             True),
    (None,    False, replace(price_position("other"), kind="asset"),             False),
]  # fmt: skip


@pytest.mark.parametrize(("value", "is_used", "more", "exists"), EXISTS)
def test_an_asset_exists_as_soon_as_there_is_usage_or_a_quota(
    value: dict[str, Any] | None, *, is_used: bool, more: Asset | Counter | None, exists: bool
) -> None:
    world = World(value)
    if is_used:
        world.use(0)
    if isinstance(more, Asset):
        world.draft.put_asset(more)
    elif more is not None:
        world.draft.put_counter(more)
    assert has_asset(world.draft, world.context, world.metric) is exists
    assert list_assets(world.draft, world.context) == [world.metric] * exists
    if exists:
        assert require_asset(world.draft, world.context, "calls") is world.metric
        return
    with pytest.raises(NotFoundError) as refusal:
        require_asset(world.draft, world.context, "calls")
    assert refusal.value.detail == "The customer has no asset calls."


def test_an_unknown_or_never_counted_metric_has_no_asset() -> None:
    world = World(type="boolean", aggregation=None)
    world.draft.put_asset(Asset(billable_metric_key="calls"))
    for key in ("calls", "unknown"):
        with pytest.raises(NotFoundError, match=f"no asset {key}"):
            require_asset(world.draft, world.context, key)
    world.catalog = replace(world.catalog, metrics={**world.catalog.metrics, "seats": metric_of("seats")})
    commands: list[Any] = [
        SuspendAsset(billable_metric_key="calls"),
        ResumeAsset(billable_metric_key="calls"),
        TopupAsset(billable_metric_key="calls", terms=GrantTerms(credits_mc=1)),
        WithdrawFromAsset(billable_metric_key="calls", amount_mc=1),
    ]
    for command in commands:
        with pytest.raises(NotFoundError) as refusal:
            command.decide(world.draft, world.context)
        assert refusal.value.detail == "A boolean metric has no asset."
        with pytest.raises(NotFoundError) as refusal:
            replace(command, billable_metric_key="unknown").decide(world.draft, world.context)
        assert refusal.value.detail == "There is no billable metric unknown."


def test_assets_are_listed_by_key() -> None:
    world = World(OPEN)
    others = {key: metric_of(key) for key in ("zebra", "apple", "never")}
    world.catalog = replace(world.catalog, metrics={**others, **world.catalog.metrics})
    for key in ("zebra", "apple"):
        world.draft.put_asset(Asset(billable_metric_key=key))
    assert [metric.key for metric in list_assets(world.draft, world.context)] == ["apple", "calls", "zebra"]


def test_an_asset_shows_where_it_stands() -> None:
    world = World(LADDER)
    world.draft.put_account(Account(unit="credits", blocks_mc=70, overdraft_mc=0))
    world.use(1_040)
    world.hold(10)
    view = view_asset(world.draft, world.context, world.metric)
    assert (view.billable_metric_key, view.aggregation, view.max) == ("calls", "CumulativeCounter", UNSET)
    assert (view.value, view.reserved_units, view.overage_units) == (1_040, 10, 40)
    assert (view.level, view.policy) == ("Critical", "AllowWithOverage")
    assert (view.period_start, view.period_end, view.resets_at) == (MARCH, APRIL, APRIL)
    assert view.tiers == tuple(LADDER["quota"]["tiers"])
    assert (view.suspended, view.unit, view.balance) == (False, "credits", 70)


def test_held_units_count_for_the_level() -> None:
    world = World(LADDER)
    world.use(790)
    assert view_asset(world.draft, world.context, world.metric).level == "Normal"
    world.hold(11)
    view = view_asset(world.draft, world.context, world.metric)
    assert (view.value, view.reserved_units, view.level, view.policy) == (790, 11, "Warning", "NotifyOnly")


def test_without_a_quota_there_are_no_levels() -> None:
    world = World(aggregation="Gauge", scale=1)
    world.read(85)
    world.read(40)
    view = view_asset(world.draft, world.context, world.metric)
    assert (view.value, view.max, view.overage_units, view.reserved_units) == ("4.0", "8.5", "0.0", "0.0")
    assert (view.level, view.policy, view.tiers) == (UNSET, UNSET, UNSET)
    assert (view.period_start, view.resets_at) == (MARCH, APRIL)


def test_a_gauge_that_was_never_read_shows_its_value_as_the_highest() -> None:
    world = World(quota(tier(None)), aggregation="Gauge")
    assert view_asset(world.draft, world.context, world.metric).max == 0


PAST = Counter(
    billable_metric_key="calls",
    kind="asset",
    period_start=MARCH,
    period_end=APRIL,
    value=1_100,
    max=1_250,
    overage_units=100,
    cost_mc=7,
    is_current=False,
)
SHOWN = [
    # scale, counter                    value     max      overage_units
    (0,      PAST,                      1_100,    1_250,   100),
    (0,      replace(PAST, max=None),   1_100,    UNSET,   100),
    (2,      PAST,                      "11.00",  "12.50", "1.00"),
]  # fmt: skip


@pytest.mark.parametrize(("scale", "counter", "value", "highest", "overage"), SHOWN)
def test_a_past_period_is_one_row(
    scale: int, counter: Counter, value: Any, highest: Any, overage: Any
) -> None:
    assert view_period(metric_of(scale=scale), counter) == AssetPeriod(
        billable_metric_key="calls",
        period_start=MARCH,
        period_end=APRIL,
        value=value,
        max=highest,
        overage_units=overage,
        cost=7,
    )


# Suspension


def test_a_hand_suspends_and_resumes_and_both_are_told() -> None:
    world = World(quota(tier(10), tier(None, "OverUsage", "SuspendUsage", resume="next_period")))
    world.use(4)
    told = SuspendAsset(billable_metric_key="calls").decide(world.draft, world.context)
    assert (told.suspended, told.value) == (True, 4)
    SuspendAsset(billable_metric_key="calls").decide(world.draft, world.context)
    assert world.events("asset.suspended") == [
        {"billable_metric_key": "calls", "reason": "manual", "resume": "manual", "value": 4}
    ]
    for _ in range(2):
        told = ResumeAsset(billable_metric_key="calls").decide(world.draft, world.context)
        assert told.suspended is False
    assert world.events("asset.resumed") == [{"billable_metric_key": "calls", "reason": "manual"}]
    asset = world.draft.assets["calls"]
    assert (asset.is_suspended, asset.resume, asset.suspended_at) == (False, "manual", None)


def test_a_suspension_until_the_next_period_says_when_and_why_it_ends() -> None:
    world = World(quota(tier(10), tier(None, "OverUsage", "SuspendUsage", resume="next_period")))
    assert world.use(11) == "asset-suspended"
    assert world.events("asset.suspended") == [
        {
            "billable_metric_key": "calls",
            "reason": "quota",
            "resume": "next_period",
            "value": 0,
            "resumes_at": APRIL,
        }
    ]
    assert world.draft.assets["calls"].suspended_at == BEGIN
    world.go(APRIL)
    assert world.events("asset.resumed") == [{"billable_metric_key": "calls", "reason": "next_period"}]


def test_a_hand_makes_a_suspension_last() -> None:
    world = World(quota(tier(10), tier(None, "OverUsage", "SuspendUsage", resume="next_period")))
    world.use(11)
    since = world.now
    world.wait(hours=1)
    SuspendAsset(billable_metric_key="calls").decide(world.draft, world.context)
    asset = world.draft.assets["calls"]
    assert (asset.resume, asset.suspended_at) == ("manual", since)
    assert len(world.events("asset.suspended")) == 1
    world.go(APRIL)
    assert world.is_suspended


def test_a_recorded_fact_suspends_too() -> None:
    """It is not refused; every later request is."""
    world = World(quota(tier(10), tier(None, "OverUsage", "SuspendUsage")))
    assert world.use(12, is_recorded=True) == "ok"
    assert (world.value, world.is_suspended, world.signals()) == (12, True, ["OverUsage"])
    (told,) = world.events("asset.suspended")
    assert (told["reason"], told["resume"], told["value"]) == ("quota", "manual", 12)


# Ends of periods


def test_a_deleted_customers_period_ends_now_and_tells_what_was_counted() -> None:
    world = World(LADDER)
    world.use(1_050)
    end_assets(world.draft, world.context)
    (told,) = world.events("asset.period_closed")
    assert told == {
        "billable_metric_key": "calls",
        "aggregation": "CumulativeCounter",
        "period_start": MARCH,
        "period_end": BEGIN,
        "value": 1_050,
        "overage_units": 50,
        "cost": 0,
    }
    assert world.draft.counters == {}


def test_a_period_that_begins_at_the_instant_of_its_end_is_not_empty() -> None:
    world = World(OPEN, at=MARCH)
    world.use(3)
    end_assets(world.draft, world.context)
    (told,) = world.events("asset.period_closed")
    assert (told["period_start"], told["period_end"]) == (MARCH, APRIL)
    (closed,) = world.draft.changes.counters.values()
    assert (closed.period_end, closed.is_current) == (APRIL, False)


def test_what_is_no_asset_and_what_has_no_metric_is_not_told() -> None:
    world = World(OPEN)
    world.draft.put_counter(price_position("calls"))
    world.draft.put_counter(replace(price_position("gone"), kind="asset"))
    world.use(3)
    end_assets(world.draft, world.context)
    assert [told["billable_metric_key"] for told in world.events("asset.period_closed")] == ["calls"]


# A grace by time that began in March, and what became of it by the reading at the end of the period.
CARRIED = [
    # last reading, is refused in April: the grace was used up already
    (12,            True),
    (11,            True),
    (10,            False),
    (0,             False),
]  # fmt: skip


@pytest.mark.parametrize(("last", "is_refused"), CARRIED)
def test_a_grace_is_carried_over_while_the_value_stays_above_its_tier(last: int, *, is_refused: bool) -> None:
    world = World(GRACE, aggregation="Gauge")
    assert world.read(11) == "ok"
    world.wait(seconds=60)
    world.read(last, is_recorded=True)
    world.go(APRIL + SECOND)
    assert world.value == last
    assert world.read(20) == ("quota-exceeded" if is_refused else "ok")
    world.go(MAY)
    assert world.level == ("Warning" if world.value > 10 else "Normal")
