"""One usage event, decided in memory: order of refusals, arithmetic, overage, late events, what is told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.core.metering_world import START, World

from quotastack.core.amounts import AMOUNT_MAX, AmountOverflowError
from quotastack.core.changes import UsageEvent
from quotastack.core.commands import HistoryNeededError
from quotastack.core.draft import replace
from quotastack.core.errors import (
    AssetSuspendedError,
    InsufficientCreditsError,
    NoActiveMeteringRuleError,
    NotFoundError,
    TimestampOutOfRangeError,
    ValidationFailedError,
)
from quotastack.core.usage import AcceptUsage, RecordUsage

API_TIERS = (
    {"up_to": 10_000, "unit_cost": 10},
    {"up_to": 100_000, "unit_cost": 8},
    {"up_to": None, "unit_cost": 5},
)


@pytest.fixture
def world() -> World:
    world = World()
    world.metric()
    return world


def use(world: World, units: Any = None, metric: str = "calls", **more: Any) -> Any:
    return world.run(RecordUsage(billable_metric_key=metric, units=units, **more))


def test_answer_of_a_charged_event(world: World) -> None:
    rule = world.rule(unit_cost=10)
    block = world.grant(1_000)
    answer = world.run(
        RecordUsage(billable_metric_key="calls", units=7, dimensions={"model": "large"}, metadata={"job": 1}),
        idempotency_key="usage:1",
    )
    assert (answer.cost, answer.units, answer.status, answer.rule_id) == (70, 7, "applied", rule.id)
    assert [(draw.block_id, draw.amount) for draw in answer.blocks] == [(block.id, 70)]
    assert (answer.overage, answer.balance, answer.reserved_balance, answer.effective_balance) == (
        0,
        930,
        0,
        930,
    )
    assert (answer.ledger_sequence, answer.created_at, answer.timestamp) == (2, START, START)
    assert (answer.dimensions, answer.metadata) == ({"model": "large"}, {"job": 1})
    (entry,) = world.entries("usage")
    assert (entry.delta_mc, entry.blocks, entry.reference_id) == (-70, ((block.id, -70),), answer.id)
    stored = world.usage(answer.id)
    assert (stored.draws, stored.ledger_sequence, stored.idempotency_key) == (((block.id, 70),), 2, "usage:1")
    assert world.account().lifetime_spent_mc == 70
    world.check_sums()


@pytest.mark.parametrize("units", [None, 1])
def test_one_unit_when_none_is_named(world: World, units: int | None) -> None:
    world.rule(unit_cost=10)
    world.grant(1_000)
    assert use(world, units).cost == 10


def test_a_metric_without_rules_costs_nothing_and_writes_no_line(world: World) -> None:
    answer = use(world, 5)
    assert (answer.cost, answer.blocks, answer.balance) == (0, (), 0)
    assert world.entries() == []
    assert world.usage(answer.id).ledger_sequence is None


@pytest.mark.parametrize(
    ("command", "pointer", "detail"),
    [
        ({"units": -1},                        "/units", "Units of a CumulativeCounter are 0 or more."),
        ({"units": "1"},                       "/units", f"Must be an integer, within {AMOUNT_MAX}."),
        ({"units": True},                      "/units", f"Must be an integer, within {AMOUNT_MAX}."),
        ({"units": AMOUNT_MAX + 1},            "/units", f"Must be an integer, within {AMOUNT_MAX}."),
        ({"value": 3},                         "/value", "A CumulativeCounter takes units, not a value."),
        ({"value": "3"},                       "/value", f"Must be an integer, within {AMOUNT_MAX}."),
        ({"metric": "total"},                  "/value", "A TotalCounter takes a value."),
        ({"metric": "total", "units": 1},      "/value", "A TotalCounter takes a value."),
        ({"metric": "total", "units": 1, "value": 1}, "/units", "A TotalCounter takes a value, not units."),
        ({"metric": "total", "value": -1},     "/value", "Must be 0 or more."),
        ({"metric": "switch"},                 "/billable_metric_key", "A boolean metric is never counted."),
        ({"metric": "fine", "units": "1.234"}, "/units",
         f"Must be an integer or a decimal string of at most 2 decimals, within {AMOUNT_MAX}."),
    ],
)  # fmt: skip
def test_refused_requests(world: World, command: dict[str, Any], pointer: str, detail: str) -> None:
    world.metric("total", aggregation="TotalCounter")
    world.metric("switch", type="boolean", aggregation=None)
    world.metric("fine", scale=2)
    with pytest.raises(ValidationFailedError) as refusal:
        use(world, command.pop("units", None), command.pop("metric", "calls"), **command)
    assert refusal.value.errors == ((pointer, detail),)


@pytest.mark.parametrize("units", [0, AMOUNT_MAX])
def test_units_reach_their_bounds(world: World, units: int) -> None:
    assert use(world, units).units == units


def test_an_unknown_metric_is_not_found(world: World) -> None:
    with pytest.raises(NotFoundError, match=r"^There is no billable metric nothing\.$"):
        use(world, metric="nothing")


# The window in which events are taken: 5 minutes ahead, 31 days behind; both ends are in it.
AHEAD, BEHIND, MICROSECOND = timedelta(minutes=5), timedelta(days=31), timedelta(microseconds=1)
WINDOW = [
    # timestamp                    what the refusal tells
    (START + AHEAD,                None),
    (START + AHEAD + MICROSECOND,  {"latest": START + AHEAD}),
    (START - BEHIND,               None),
    (START - BEHIND - MICROSECOND, {"earliest": START - BEHIND}),
]  # fmt: skip


@pytest.mark.parametrize(("timestamp", "told"), WINDOW)
def test_events_are_taken_within_a_window(
    world: World, timestamp: datetime, told: dict[str, datetime] | None
) -> None:
    world.draft.extra["counters", "calls"] = ()
    if told is None:
        assert use(world, timestamp=timestamp).timestamp == timestamp
        return
    with pytest.raises(TimestampOutOfRangeError) as refusal:
        use(world, timestamp=timestamp)
    assert refusal.value.extra == told
    words = {
        "latest": f"The timestamp is more than 5 minutes ahead of {START.isoformat()}.",
        "earliest": f"The timestamp is before {(START - BEHIND).isoformat()}, the oldest that is taken now.",
    }
    assert refusal.value.detail == words[next(iter(told))]


def test_refusals_come_in_the_order_of_the_check(world: World) -> None:
    world.rule(unit_cost=10, match={"model": "large"})
    world.draft.put_account(replace(world.account(), status="suspended"))
    with pytest.raises(AssetSuspendedError):
        use(world)
    world.draft.put_account(replace(world.account(), status="active"))
    with pytest.raises(NoActiveMeteringRuleError):
        use(world)
    with pytest.raises(InsufficientCreditsError) as refusal:
        use(world, 3, dimensions={"model": "large"})
    assert refusal.value.extra == {"required": 30, "available": 0, "shortfall": 30}


def test_decimal_units_at_the_scale(world: World) -> None:
    world.metric("fine", scale=2)
    world.rule("fine", unit_cost=100)
    world.grant(1_000)
    answer = use(world, "1.25", "fine")
    assert (answer.units, answer.cost) == ("1.25", 125)
    assert use(world, 2, "fine").units == "2.00"
    assert use(world, None, "fine").cost == 100


def test_cost_beyond_the_bound(world: World) -> None:
    world.rule(unit_cost=2, overage_policy="allow")
    with pytest.raises(AmountOverflowError):
        use(world, AMOUNT_MAX)


# -- rules ---------------------------------------------------------------------------------------------


def test_most_matching_dimensions_win(world: World) -> None:
    world.rule(unit_cost=1)
    world.rule(unit_cost=10, match={"model": "large"})
    world.rule(unit_cost=100, match={"model": "large", "tier": "gold"})
    world.grant(10_000)
    cases: list[tuple[dict[str, str], int]] = [
        ({}, 1),
        ({"model": "small"}, 1),
        ({"model": "large"}, 10),
        ({"model": "large", "tier": "silver"}, 10),
        ({"model": "large", "tier": "gold", "more": "x"}, 100),
    ]
    assert [use(world, dimensions=dimensions).cost for dimensions, _ in cases] == [cost for _, cost in cases]


def test_each_match_has_a_position_of_its_own(world: World) -> None:
    world.rule(tiers=({"up_to": 1, "unit_cost": 10}, {"up_to": None, "unit_cost": 1}))
    world.rule(tiers=({"up_to": 1, "unit_cost": 20}, {"up_to": None, "unit_cost": 2}), match={"m": "x"})
    world.grant(10_000)
    costs = [use(world, dimensions=d).cost for d in ({}, {"m": "x"}, {}, {"m": "x"})]
    assert costs == [10, 20, 1, 2]


def test_rule_in_force_at_the_timestamp_and_the_position_carries_on(world: World) -> None:
    first = world.rule(tiers=({"up_to": 10, "unit_cost": 10}, {"up_to": None, "unit_cost": 5}))
    world.grant(10_000)
    assert use(world, 8).cost == 80
    world.now = START + timedelta(hours=1)
    second = world.rule(tiers=({"up_to": 10, "unit_cost": 100}, {"up_to": None, "unit_cost": 50}))
    new = use(world, 4)
    assert (new.cost, new.rule_id) == (2 * 100 + 2 * 50, second.id)
    late = use(world, 1, timestamp=START + timedelta(minutes=30))
    assert (late.cost, late.rule_id) == (5, first.id), "at position 12 of the first rule"
    with pytest.raises(NoActiveMeteringRuleError):
        use(world, 1, timestamp=START - timedelta(hours=1))


def test_a_deactivated_price_is_no_free_price(world: World) -> None:
    rule = world.rule(unit_cost=10)
    world.rules["calls"] = (replace(rule, active_to=START + timedelta(hours=1)),)
    world.grant(100)
    assert use(world).cost == 10
    world.now = START + timedelta(hours=1)
    with pytest.raises(NoActiveMeteringRuleError):
        use(world)


# -- periods -------------------------------------------------------------------------------------------


def test_position_starts_anew_with_the_month(world: World) -> None:
    world.rule(tiers=API_TIERS)
    world.grant(10_000_000)
    world.now = datetime(2041, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert use(world, 10_001).cost == 100_008
    world.now = datetime(2041, 4, 1, tzinfo=UTC)
    assert use(world, 1).cost == 10


def test_late_event_finds_the_position_of_its_closed_month(world: World) -> None:
    world.rule(tiers=API_TIERS)
    world.grant(10_000_000)
    world.now = datetime(2041, 3, 31, tzinfo=UTC)
    use(world, 9_999)
    world.now = datetime(2041, 4, 2, tzinfo=UTC)
    use(world, 1)
    late = RecordUsage(billable_metric_key="calls", units=2, timestamp=datetime(2041, 3, 31, 5, tzinfo=UTC))
    with pytest.raises(HistoryNeededError) as needed:
        world.run(late)
    ((metric, at),) = needed.value.needs.counters_at
    world.draft.extra["counters", metric] = ()
    world.draft.extra["counters_at", metric] = {at}
    assert world.run(late).cost == 10 + 8, "what this batch wrote counts as loaded"
    assert world.run(late).cost == 16
    assert use(world, 1).cost == 10


def test_timestamp_a_little_ahead_counts_now(world: World) -> None:
    world.rule(unit_cost=10)
    world.grant(100)
    world.now = datetime(2041, 3, 31, 23, 58, tzinfo=UTC)
    ahead = world.now + timedelta(minutes=5)
    answer = use(world, 1, timestamp=ahead)
    assert (answer.cost, answer.timestamp) == (10, ahead)
    counter = world.draft.counters["calls", "price:{}"]
    assert counter.period_end == datetime(2041, 4, 1, tzinfo=UTC)


# -- overage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "customer", "config", "is_allowed"),
    [
        (None, None, "block", False),
        (None, None, "allow", True),
        (None, "block", "allow", False),
        (None, "notify", "block", True),
        ("block", "allow", "allow", False),
        ("allow", "block", "block", True),
    ],
)
def test_first_policy_that_is_set_decides(
    rule: Any,
    customer: Any,
    config: Any,
    is_allowed: bool,  # noqa: FBT001
) -> None:
    world = World(overage_policy=config)
    world.metric()
    world.rule(unit_cost=10, overage_policy=rule)
    world.draft.put_customer(replace(world.draft.customer, overage_policy=customer))
    world.grant(5)
    if not is_allowed:
        with pytest.raises(InsufficientCreditsError):
            use(world)
        assert world.account().balance_mc == 5
        return
    answer = use(world)
    assert (answer.cost, answer.overage, answer.balance) == (10, 5, -5)
    assert [entry.type for entry in world.entries()] == ["grant", "usage", "overage"]
    assert answer.ledger_sequence == 3
    world.check_sums()


def test_limit_bounds_the_whole_overdraft() -> None:
    world = World(overage_policy="allow", overage_limit=15)
    world.metric()
    world.rule(unit_cost=10)
    assert use(world).balance == -10
    with pytest.raises(InsufficientCreditsError) as refusal:
        use(world)
    assert refusal.value.extra == {"required": 10, "available": -5, "shortfall": 15}
    world.grant(3)
    assert world.account().overdraft_mc == 7
    with pytest.raises(InsufficientCreditsError):
        use(world)
    world.grant(2)
    assert use(world).balance == -15
    world.check_sums()


def test_notify_tells_the_first_overage_of_a_period() -> None:
    world = World(overage_policy="notify")
    world.metric()
    world.rule(unit_cost=10)
    for _ in range(3):
        use(world)
    (told,) = world.events("usage.overage")
    assert (told["overage"], told["overdraft"], told["balance"], told["billable_metric_key"]) == (
        10,
        10,
        -10,
        "calls",
    )
    world.now = datetime(2041, 4, 1, tzinfo=UTC)
    use(world)
    use(world)
    assert len(world.events("usage.overage")) == 2
    periods = [(row["period_start"], row["period_end"]) for row in world.events("usage.overage")]
    march, april, may = (datetime(2041, month, 1, tzinfo=UTC) for month in (3, 4, 5))
    assert periods == [(march, april), (april, may)]
    # One mark for each period; only that of the running one is current.
    marks = {
        start: counter.is_current
        for (_, kind, start), counter in world.draft.changes.counters.items()
        if kind == "overage:credits"
    }
    assert marks == {march: False, april: True}


def test_record_is_refused_neither_by_balance_nor_by_limit(world: World) -> None:
    world.rule(unit_cost=10)
    world.grant(5)
    answer = use(world, 3, enforcement="record")
    assert (answer.cost, answer.overage, answer.balance, answer.enforcement) == (30, 25, -25, "record")
    assert world.usage(answer.id).details == {"enforcement": "record"}
    world.check_sums()


def test_dry_run_answers_and_leaves_nothing(world: World) -> None:
    world.rule(unit_cost=10)
    world.grant(100)
    before = world.draft.freeze()
    answer = use(world, 3, dry_run=True)
    assert (answer.cost, answer.balance, answer.dry_run) == (30, 70, True)
    assert world.draft.freeze() == before
    with pytest.raises(InsufficientCreditsError):
        use(world, 11, dry_run=True)


def test_consumed_is_told_only_to_who_named_it(world: World) -> None:
    world.rule(unit_cost=10)
    world.grant(100)
    use(world)
    assert world.events("credit.consumed") == []
    world.named_events = frozenset({"credit.consumed"})
    answer = use(world, 2)
    (told,) = world.events("credit.consumed")
    assert told == {
        "usage_id": answer.id,
        "unit": "credits",
        "billable_metric_key": "calls",
        "units": 2,
        "cost": 20,
        "balance": 70,
        "effective_balance": 70,
    }


def test_total_counter_is_charged_for_its_increase(world: World) -> None:
    world.metric("total", aggregation="TotalCounter")
    world.rule("total", unit_cost=100)
    world.grant(10_000)
    readings = [5, 8, 3, 4]
    answers = [use(world, None, "total", value=value) for value in readings]
    assert [answer.cost for answer in answers] == [0, 300, 300, 100]
    assert [(answer.units, answer.value) for answer in answers] == [(0, 5), (3, 8), (3, 3), (1, 4)]
    world.now = START + timedelta(hours=1)
    assert use(world, None, "total", value=9).cost == 500
    stale = use(world, None, "total", value=2, timestamp=START - timedelta(hours=1))
    assert (stale.cost, stale.units) == (0, 0)
    assert use(world, None, "total", value=10).cost == 100


# -- accepted for later ----------------------------------------------------------------------------------


def accept(world: World, units: int) -> Any:
    return world.run(
        AcceptUsage(usage=RecordUsage(billable_metric_key="calls", units=units)), idempotency_key="usage:1"
    )


def test_accepted_event_is_applied_where_it_stands(world: World) -> None:
    world.rule(unit_cost=10)
    world.grant(100)
    answer = accept(world, 3)
    assert answer.status == "accepted"
    assert world.usage(answer.id).status == "applied"
    assert world.account().balance_mc == 70


def test_refused_event_is_kept_and_told(world: World) -> None:
    world.rule(unit_cost=10)
    world.grant(20)
    answer = accept(world, 3)
    stored = world.usage(answer.id)
    assert (stored.status, stored.units, stored.cost_mc) == ("rejected", 3, 0)
    assert stored.details["problem"]["type"] == "/errors/insufficient-credits"
    assert stored.details["problem"]["shortfall"] == 10
    (told,) = world.events("usage.rejected")
    assert (told["usage_id"], told["units"]) == (answer.id, 3)
    assert world.account().balance_mc == 20


def test_a_wrong_request_is_refused_at_once(world: World) -> None:
    with pytest.raises(ValidationFailedError):
        accept(world, -1)
    with pytest.raises(NotFoundError):
        world.run(AcceptUsage(usage=RecordUsage(billable_metric_key="nothing")))
    with pytest.raises(TimestampOutOfRangeError):
        world.run(AcceptUsage(usage=RecordUsage(billable_metric_key="calls", timestamp=START + 2 * AHEAD)))
    assert world.draft.changes.usage_events == []


REJECTED: list[tuple[dict[str, Any], dict[str, Any], int, int | None, int | str]] = [
    # the metric                            the event          units and value as kept, units as told
    ({},                                    {"units": 3},      3,     None, 3),
    ({},                                    {},                1,     None, 1),
    ({"scale": 2},                          {},                100,   None, "1.00"),
    ({"scale": 2},                          {"units": "0.5"},  50,    None, "0.50"),
    ({"aggregation": "TotalCounter"},       {"value": 7},      0,     7,    0),
]  # fmt: skip


@pytest.mark.parametrize(("terms", "fields", "units", "value", "told_units"), REJECTED)
def test_a_refused_event_keeps_what_it_said(
    terms: dict[str, Any], fields: dict[str, Any], units: int, value: int | None, told_units: int | str
) -> None:
    world = World()
    world.metric(**terms)
    world.draft.put_account(replace(world.account(), status="suspended"))
    at = START - timedelta(minutes=1)
    event = RecordUsage(
        billable_metric_key="calls",
        timestamp=at,
        dimensions={"model": "large"},
        metadata={"job": 1},
        **fields,
    )
    answer = world.run(AcceptUsage(usage=event), idempotency_key="usage:1")
    assert (answer.status, answer.customer_id, answer.external_customer_id) == (
        "accepted", world.draft.customer.id, "user",
    )  # fmt: skip
    stored = world.usage(answer.id)
    problem = {
        "type": "/errors/asset-suspended",
        "detail": "The account credits is suspended.",
        "metric": "calls",
        "unit": "credits",
    }
    assert stored == UsageEvent(
        id=answer.id,
        billable_metric_key="calls",
        status="rejected",
        units=units,
        value=value,
        timestamp=at,
        dimensions={"model": "large"},
        metadata={"job": 1},
        idempotency_key="usage:1",
        details={"problem": problem},
        created_at=START,
    )
    assert world.events("usage.rejected") == [
        {"usage_id": answer.id, "billable_metric_key": "calls", "units": told_units, "problem": problem}
    ]


def test_a_result_beyond_the_bound_is_a_refusal_too(world: World) -> None:
    world.rule(unit_cost=AMOUNT_MAX)
    answer = accept(world, 2)
    stored = world.usage(answer.id)
    assert stored.status == "rejected"
    assert stored.details["problem"] == {
        "type": "/errors/validation-error",
        "detail": "The result is out of range: 2 units at position 0 are beyond what can be charged.",
    }
    assert [row["usage_id"] for row in world.events("usage.rejected")] == [answer.id]


def test_a_refusal_that_suspends_is_kept_as_well(world: World) -> None:
    tiers = [
        {"up_to": 2, "level": "Normal", "policy": "NotifyOnly"},
        {"up_to": None, "level": "OverUsage", "policy": "SuspendUsage"},
    ]
    world.metric(default_value={"quota": {"period": "month", "tiers": tiers}})
    answer = accept(world, 3)
    assert world.usage(answer.id).details["problem"]["type"] == "/errors/asset-suspended"
    assert world.draft.assets["calls"].is_suspended
    assert [row["usage_id"] for row in world.events("usage.rejected")] == [answer.id]
