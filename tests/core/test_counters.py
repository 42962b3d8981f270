"""Counters: four aggregations over a period, late events, carry-over, and a change of periods."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.assets_world import APRIL, BEGIN, MARCH, MAY, MICROSECOND, World, quota, tier

from quotastack.core.changes import UsageEvent
from quotastack.core.commands import HistoryNeededError
from quotastack.core.counters import SOURCES_MAX, check_event_fields, to_us
from quotastack.core.customer_state import Counter
from quotastack.core.errors import ValidationFailedError
from quotastack.core.quotas import reverse_count

OPEN = quota(tier(None), period="month")


def test_the_same_readings_mean_four_things() -> None:
    readings = (5, 8, 3, 4)
    cumulative, total = World(), World(aggregation="TotalCounter")
    gauge, up_down = World(aggregation="Gauge"), World(aggregation="UpDownCounter")
    for reading in readings:
        cumulative.use(reading)
        total.read(reading)
        gauge.read(reading)
    for units in (5, 8, -3, 4):
        up_down.use(units)
    assert (cumulative.value, total.value, gauge.value, up_down.value) == (20, 7, 4, 14)
    assert gauge.counter.max == 8


@pytest.mark.parametrize(
    ("aggregation", "units", "value", "pointer"),
    [
        ("CumulativeCounter", 1,    None, None),
        ("CumulativeCounter", 0,    None, None),
        ("CumulativeCounter", -1,   None, "/units"),
        ("CumulativeCounter", None, 1,    "/value"),
        ("UpDownCounter",     -1,   None, None),
        ("UpDownCounter",     None, 1,    "/value"),
        ("TotalCounter",      None, 0,    None),
        ("TotalCounter",      None, -1,   "/value"),
        ("TotalCounter",      None, None, "/value"),
        ("TotalCounter",      1,    1,    "/units"),
        ("Gauge",             None, 1,    None),
        ("Gauge",             None, None, "/value"),
    ],
)  # fmt: skip
def test_an_event_carries_what_its_aggregation_counts(
    aggregation: str, units: int | None, value: int | None, pointer: str | None
) -> None:
    metric = World(aggregation=aggregation).metric
    if pointer is None:
        check_event_fields(metric, units=units, value=value)
        return
    with pytest.raises(ValidationFailedError) as refusal:
        check_event_fields(metric, units=units, value=value)
    assert [fault.pointer for fault in refusal.value.errors] == [pointer]


def test_a_total_counter_keeps_the_last_reading_of_each_source_over_periods() -> None:
    world = World(aggregation="TotalCounter")
    for source, reading in (("a", 10), ("b", 100), ("a", 15), ("b", 101)):
        world.read(reading, dimensions={"source": source})
    assert world.value == 6
    world.go(APRIL)
    assert world.value == 0
    world.read(18, dimensions={"source": "a"})
    assert (world.value, world.plan.charged_units) == (3, 3)


def test_a_reading_older_than_the_last_of_its_source_changes_nothing() -> None:
    world = World(aggregation="TotalCounter")
    world.read(10)
    world.wait(hours=1)
    world.read(20)
    world.read(500, at=world.now - timedelta(minutes=1))
    assert (world.value, world.plan.charged_units, world.plan.movement.reading) == (10, 0, None)
    world.read(21)
    assert world.value == 11


def test_a_refused_reading_is_not_stored_so_its_increase_comes_with_the_next() -> None:
    world = World(quota(tier(10), tier(None, "OverUsage", "Deny")), aggregation="TotalCounter")
    world.read(100)
    assert world.read(111) == "quota-exceeded"
    assert world.read(110) == "ok"
    assert world.value == 10
    assert world.read(112) == "quota-exceeded"
    world.go(APRIL)
    assert world.read(112) == "ok"
    assert world.value == 2


def test_only_so_many_sources_are_remembered() -> None:
    world = World(aggregation="TotalCounter")
    for number in range(SOURCES_MAX + 1):
        world.read(1, dimensions={"source": str(number)}, at=BEGIN + number * MICROSECOND)
    last = world.draft.assets["calls"].details["last"]
    assert len(last) == SOURCES_MAX
    assert "0" not in last


def test_a_gauge_takes_the_latest_by_timestamp_and_carries_over() -> None:
    world = World(aggregation="Gauge")
    world.read(8)
    world.wait(hours=1)
    world.read(4)
    world.read(9, at=world.now - timedelta(minutes=1))
    assert (world.value, world.counter.max) == (4, 8)
    world.go(APRIL)
    assert (world.value, world.counter.max, world.counter.period_start) == (4, 4, APRIL)
    (closed,) = world.events("asset.period_closed")
    assert (closed["value"], closed["max"]) == (4, 8)
    world.go(MAY)
    assert [event["value"] for event in world.events("asset.period_closed")] == [4, 4]


def test_a_gauge_at_zero_still_knows_when_it_was_read() -> None:
    world = World(aggregation="Gauge")
    world.read(0)
    world.go(APRIL)
    assert not world.draft.counters
    world.draft.extra["counters", "calls"] = ()
    world.read(7, at=BEGIN - timedelta(hours=1))
    assert world.value == 0
    world.read(7)
    assert world.value == 7


def test_an_up_down_counter_never_falls_below_zero_and_carries_over() -> None:
    world = World(aggregation="UpDownCounter")
    world.use(5)
    assert world.use(-6) == "conflict"
    world.go(APRIL)
    assert world.value == 5
    assert world.use(-5) == "ok"
    assert world.value == 0
    world.go(MAY)
    assert not world.draft.counters


@pytest.mark.parametrize(
    ("at", "is_in_march"),
    [(MARCH, True), (APRIL - MICROSECOND, True), (APRIL, False), (APRIL + timedelta(days=2), False)],
)
def test_a_late_event_counts_in_the_period_of_its_timestamp(*, at: datetime, is_in_march: bool) -> None:
    world = World(at=MARCH)
    world.use(5)
    world.go(APRIL + timedelta(days=3))
    march = next(iter(world.draft.changes.counters.values()))
    world.draft.extra["counters", "calls"] = (march,)
    world.use(2, at=at)
    if not is_in_march:
        assert world.value == 2
        return
    assert world.value == 0
    assert world.draft.changes.counters["calls", "asset", MARCH].value == 7
    assert ("calls", "asset") not in world.draft.counters


def test_a_late_event_meets_the_tiers_of_its_own_period() -> None:
    world = World(quota(tier(10), tier(None, "OverUsage", "Deny")), at=MARCH)
    world.use(9)
    world.go(APRIL)
    world.draft.extra["counters", "calls"] = ()
    late = APRIL - MICROSECOND
    assert [world.use(2, at=late), world.use(1, at=late), world.use(1, at=late)] == [
        "quota-exceeded", "ok", "quota-exceeded",
    ]  # fmt: skip
    assert world.use(10) == "ok"


def test_a_late_event_asks_for_the_counter_of_its_period() -> None:
    world = World(at=APRIL)
    with pytest.raises(HistoryNeededError) as needed:
        world.use(1, at=APRIL - MICROSECOND)
    assert needed.value.needs.counters_at == (("calls", APRIL - MICROSECOND),)
    assert world.draft.writes == 0


@pytest.mark.parametrize(
    ("terms", "period"),
    [
        ({"period": "day"},   (datetime(2041, 3, 10, tzinfo=UTC), datetime(2041, 3, 11, tzinfo=UTC))),
        ({"period": "week"},  (datetime(2041, 3, 4, tzinfo=UTC), datetime(2041, 3, 11, tzinfo=UTC))),
        ({"period": "month"}, (MARCH, APRIL)),
        ({"period": "year"},  (datetime(2041, 1, 1, tzinfo=UTC), datetime(2042, 1, 1, tzinfo=UTC))),
        ({"period": "month", "alignment": "anniversary"}, (BEGIN, BEGIN.replace(month=4))),
        ({"period": "week", "alignment": "anniversary"},  (BEGIN, BEGIN + timedelta(days=7))),
    ],
)  # fmt: skip
def test_a_quota_says_which_periods_are_counted(
    terms: dict[str, str], period: tuple[datetime, datetime]
) -> None:
    world = World(quota(tier(10), tier(None, "OverUsage", "Deny"), **terms))
    world.use(10)
    assert (world.counter.period_start, world.counter.period_end) == period
    world.go(period[1] - MICROSECOND)
    assert world.use(1) == "quota-exceeded"
    world.go(period[1])
    assert world.use(1) == "ok"


def test_a_quota_with_other_periods_is_recounted_from_the_events() -> None:
    world = World()
    world.use(30)
    world.override(quota(tier(20), tier(None, "OverUsage", "Deny"), period="day"))
    with pytest.raises(HistoryNeededError) as needed:
        world.use(1)
    (recount,) = needed.value.needs.recounts
    assert recount[1:] == (BEGIN.replace(hour=0), BEGIN.replace(hour=0) + timedelta(days=1))
    world.give_history(units=18)
    assert [world.use(2), world.use(1)] == ["ok", "quota-exceeded"]
    assert world.value == 20
    assert list(world.draft.counters) == [("calls", "asset:day")]
    assert world.draft.changes.counters["calls", "asset", MARCH].details["replaced"] is True
    world.go(APRIL)
    assert [event["value"] for event in world.events("asset.period_closed")] == [20]


def test_a_gauge_keeps_its_value_when_its_periods_change() -> None:
    world = World(aggregation="Gauge")
    world.read(8)
    world.read(4)
    world.override({"quota": {"period": "day", "tiers": [tier(None)]}})
    world.give_history(highest=8)
    assert (world.value, world.counter.max) == (4, 8)


def test_what_was_never_used_needs_no_recount() -> None:
    world = World(quota(tier(None), period="day"))
    assert world.value == 0
    world.use(1)
    world.wait(days=1)
    assert world.value == 0
    world.override(OPEN)
    with pytest.raises(HistoryNeededError):
        assert world.value


def event_of(world: World, units: int, **more: Any) -> UsageEvent:
    return UsageEvent(
        id="event",
        billable_metric_key="calls",
        status="applied",
        units=units,
        timestamp=world.now,
        created_at=world.now,
        **more,
    )


def test_a_reversal_moves_the_counter_back_but_not_the_price() -> None:
    world = World(quota(tier(10, base_cost=50, unit_cost=1), tier(None, "Warning", unit_cost=2)))
    world.use(8)
    reverse_count(world.draft, world.context, world.metric, event_of(world, 8, cost_mc=58))
    assert (world.value, world.counter.cost_mc) == (0, 0)
    world.use(4)
    assert world.plan.price_mc == 2 * 1 + 2 * 2


def test_the_reversal_of_the_last_reading_brings_back_the_one_before() -> None:
    world = World(aggregation="Gauge")
    world.read(3)
    world.wait(seconds=1)
    world.read(9)
    event = event_of(world, 0, value=9, details=world.plan.details)
    reverse_count(world.draft, world.context, world.metric, event)
    assert (world.value, world.counter.details["at"]) == (3, to_us(BEGIN))


def test_the_plain_case_writes_one_counter_and_nothing_else() -> None:
    world = World()
    writes = world.draft.writes
    world.use(3)
    assert world.draft.writes == writes + 1
    assert (world.draft.assets, world.draft.changes.events) == ({}, [])
    counter: Counter = world.draft.counters["calls", "asset"]
    assert (counter.value, counter.details) == (3, {})


@given(readings=st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_a_total_counter_is_the_sum_of_what_was_charged(readings: list[int]) -> None:
    world = World(aggregation="TotalCounter")
    charged = 0
    for reading in readings:
        world.read(reading)
        charged += world.plan.charged_units
    assert world.value == charged
    rises = [b - a if b >= a else b for a, b in itertools.pairwise(readings)]
    assert world.value == sum(rises)


@given(steps=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), min_size=1, max_size=20))
def test_a_gauge_shows_the_latest_reading_whatever_the_order(steps: list[tuple[int, int]]) -> None:
    world = World(aggregation="Gauge", at=MARCH)
    world.go(MARCH + timedelta(hours=1))
    seen: list[tuple[int, int, int]] = []
    for place, (second, reading) in enumerate(steps):
        world.read(reading, at=MARCH + timedelta(seconds=second))
        seen.append((second, place, reading))
    # Of equal times the one that arrived later wins.
    assert world.value == max(seen)[2]
