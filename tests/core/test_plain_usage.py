"""Plain usage: what is decided in one pass is what every capability asked in turn would have decided."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.metering_world import START, World

from quotastack.core import usage
from quotastack.core.amounts import AMOUNT_MAX, AmountOverflowError
from quotastack.core.changes import Changes, RareChanges
from quotastack.core.commands import HistoryNeededError, RefusedWithChangesError
from quotastack.core.commits import CommitReservation
from quotastack.core.customer_state import Asset, AutoTopup, Override
from quotastack.core.draft import replace
from quotastack.core.errors import ProblemError
from quotastack.core.plain_usage import find_plain
from quotastack.core.reservations import Reserve
from quotastack.core.usage import RecordUsage

DAY = timedelta(days=1)


@contextmanager
def asking_in_turn() -> Iterator[None]:
    """Within it no event is plain."""
    found, usage.find_plain = usage.find_plain, lambda *_: None
    try:
        yield
    finally:
        usage.find_plain = found


def everything(world: World) -> dict[str, Any]:
    """All that a draft holds and wrote, but how many steps it took."""
    changes = world.draft.changes
    common = {name: getattr(changes, name) for name in Changes.__slots__ if name != "_rare"}
    rare = {name: getattr(changes.rare, name) for name in RareChanges.__slots__}
    return {"state": world.draft.freeze(), "untold": world.draft.untold_balances, **common, **rare}


def plain_world(**terms: Any) -> World:
    """A customer whose next event is plain: positions and counters are there."""
    world = World()
    world.metric()
    world.rule(**{"unit_cost": 10, **terms})
    world.grant(10_000)
    world.run(RecordUsage(billable_metric_key="calls"))
    return world


def is_plain(world: World, **more: Any) -> bool:
    return (
        find_plain(RecordUsage(billable_metric_key="calls", **more), world.draft, world.context()) is not None
    )


@pytest.mark.parametrize(
    "terms",
    [{}, {"per_units": 7, "rounding": "half_even"}, {"cost_type": "flat", "flat_cost": 3}],
    ids=["per_unit", "per_units", "flat"],
)
def test_the_event_that_most_events_are_is_plain(terms: dict[str, Any]) -> None:
    world = plain_world(**terms)
    assert is_plain(world)
    assert is_plain(world, units=3, dimensions={"model": "large"}, metadata={"job": 1})


@pytest.mark.parametrize(
    "more",
    [
        {"units": 0},
        {"units": -1},
        {"units": "1"},
        {"units": True},
        {"units": AMOUNT_MAX},
        {"value": 1},
        {"timestamp": START},
        {"enforcement": "record"},
        {"dry_run": True},
        {"units": 999},
    ],
    ids=lambda more: " ".join(f"{name}={value}" for name, value in more.items()),
)
def test_what_else_has_a_say_in_is_not_plain(more: dict[str, Any]) -> None:
    # 999 units use up all that is left, which ends the block.
    assert not is_plain(plain_world(), **more)


def test_a_customer_about_whom_there_is_more_to_know_is_not_plain() -> None:
    suspended = plain_world()
    suspended.draft.put_account(replace(suspended.account(), status="suspended"))
    assert not is_plain(suspended)
    overridden = plain_world()
    overridden.draft.put_override(
        Override(billable_metric_key="calls", value={"enabled": False}, created_at=START, updated_at=START)
    )
    assert not is_plain(overridden)
    listening = plain_world()
    listening.named_events = frozenset({"credit.consumed"})
    assert not is_plain(listening)
    next_month = plain_world()
    next_month.now = datetime(2041, 4, 1, tzinfo=UTC)
    assert not is_plain(next_month)


@pytest.mark.parametrize(
    "terms",
    [
        {"unit_cost": 0},
        {"unit_cost": 3, "match": {"model": "large"}},
        {"tiers": ({"up_to": 10, "unit_cost": 9}, {"up_to": None, "unit_cost": 4})},
    ],
    ids=["free", "of one model", "tiered"],
)
def test_a_price_that_is_more_than_a_number_is_not_plain(terms: dict[str, Any]) -> None:
    world = plain_world()
    world.rule(**terms)
    assert not is_plain(world, dimensions={"model": "large"})


def test_a_metric_that_counts_otherwise_is_not_plain() -> None:
    for terms in (
        {"aggregation": "UpDownCounter"},
        {"scale": 2},
        {"type": "gauge"},
        {"default_value": {"enabled": True}},
    ):
        world = plain_world()
        world.metrics["calls"] = replace(world.metrics["calls"], **terms)
        assert not is_plain(world), terms


def test_a_subscriber_is_not_plain() -> None:
    world = plain_world()
    # Which one it is matters to nobody here: a subscription may bring a quota, a period, a policy.
    world.draft.subscriptions = {"one": object()}  # type: ignore[dict-item]
    assert not is_plain(world)


def test_an_account_that_is_more_than_a_sum_of_blocks_is_not_plain() -> None:
    for terms in ({"overdraft_mc": 1}, {"lifetime_spent_mc": AMOUNT_MAX}):
        world = plain_world()
        world.draft.put_account(replace(world.account(), **terms))
        assert not is_plain(world), terms


def test_a_counter_that_has_not_begun_is_not_counted_in_plainly() -> None:
    world = plain_world()
    counter = world.draft.counters["calls", "asset"]
    world.draft.put_counter(replace(counter, period_start=world.now + DAY))
    assert not is_plain(world)


@pytest.mark.parametrize("kind", ["asset", "price:{}"])
def test_the_first_event_of_a_counter_is_not_plain(kind: str) -> None:
    world = plain_world()
    del world.draft.counters["calls", kind]
    assert not is_plain(world)


def test_a_customer_who_never_had_credits_is_refused_as_everywhere() -> None:
    world = World()
    world.metric()
    world.rule(unit_cost=0)
    world.run(RecordUsage(billable_metric_key="calls"))
    world.rule(unit_cost=10)
    assert "credits" not in world.draft.accounts
    assert not is_plain(world)


def test_an_account_without_a_live_block_is_refused_as_everywhere() -> None:
    world = plain_world()
    world.run(RecordUsage(billable_metric_key="calls", units=999))
    assert not world.draft.live_blocks("credits")
    assert not is_plain(world)


def test_a_suspended_asset_is_not_passed_over() -> None:
    world = plain_world()
    world.draft.put_asset(Asset(billable_metric_key="calls", is_suspended=True))
    assert not is_plain(world)


def test_the_second_event_of_a_later_month_is_plain_again() -> None:
    world = plain_world()
    world.now = datetime(2041, 4, 1, tzinfo=UTC)
    world.run(RecordUsage(billable_metric_key="calls"))
    # The month that closed left a note of the grid that it was counted in.
    assert "calls" in world.draft.assets
    assert is_plain(world)


def test_a_position_of_another_period_is_not_moved_plainly() -> None:
    world = plain_world()
    position = world.draft.counters["calls", "price:{}"]
    world.draft.put_counter(replace(position, period_end=position.period_end + DAY))
    assert not is_plain(world)


def test_a_block_that_is_new_in_its_batch_stays_new() -> None:
    world = plain_world()
    (block,) = world.draft.live_blocks("credits")
    assert world.draft.changes.rare.new_blocks == {block.id: block}
    world.draft.take_changes()
    world.run(RecordUsage(billable_metric_key="calls"))
    assert list(world.draft.changes.changed_blocks) == [block.id]


def test_what_holds_need_is_not_spent_plainly() -> None:
    world = plain_world()
    world.run(Reserve(credits_mc=9_980))
    assert is_plain(world)
    assert not is_plain(world, units=2)


def test_a_block_that_may_not_pay_is_passed_by_another_way() -> None:
    world = plain_world()
    (block,) = world.draft.live_blocks("credits")
    world.draft.change_block(block, replace(block, is_locked=True))
    assert not is_plain(world)


def test_sums_that_would_pass_their_bound_are_refused_as_everywhere() -> None:
    world = plain_world()
    counter = world.draft.counters["calls", "asset"]
    world.draft.put_counter(replace(counter, value=AMOUNT_MAX))
    assert not is_plain(world)
    with pytest.raises(AmountOverflowError):
        world.run(RecordUsage(billable_metric_key="calls"))


# Two customers of the same life, of whom one is asked in turn for each event.

units = st.one_of(st.none(), st.integers(-1, 40), st.sampled_from([AMOUNT_MAX, "2", "1.5"]))
dimensions = st.sampled_from([{}, {"model": "large"}, {"model": "small", "region": "eu"}])
events = st.fixed_dictionaries(
    {"billable_metric_key": st.sampled_from(["calls", "calls", "calls", "tokens", "none"])},
    optional={
        "units": units,
        "dimensions": dimensions,
        "metadata": st.just({"job": 1}),
        "timestamp": st.sampled_from([START - DAY, START, START + DAY]),
        "enforcement": st.sampled_from(["enforce", "record"]),
        "dry_run": st.booleans(),
    },
)
rules = st.fixed_dictionaries(
    {"cost_type": st.sampled_from(["flat", "per_unit", "per_unit", "tiered"])},
    optional={
        "unit_cost": st.integers(0, 30),
        "flat_cost": st.integers(0, 30),
        "per_units": st.integers(1, 4),
        "rounding": st.sampled_from(["up", "down", "half_even"]),
        "match": st.sampled_from([{}, {"model": "large"}]),
        "overage_policy": st.sampled_from(["block", "allow", "notify"]),
    },
)
grants = st.fixed_dictionaries(
    {"credits_mc": st.integers(1, 900)},
    optional={
        "priority": st.integers(0, 2),
        "expires_at": st.sampled_from([START + DAY, START + 40 * DAY]),
        "price_paid": st.just(5),
        "effective_at": st.just(START + DAY),
    },
)
steps = st.one_of(
    st.tuples(st.just("event"), events),
    st.tuples(st.just("event"), events),
    st.tuples(st.just("event"), events),
    st.tuples(st.just("rule"), rules),
    st.tuples(st.just("grant"), grants),
    st.tuples(st.just("hold"), st.integers(1, 300)),
    st.tuples(st.just("commit"), st.integers(0, 300)),
    st.tuples(st.just("wait"), st.sampled_from([timedelta(seconds=1), DAY, 30 * DAY])),
    st.tuples(st.just("write"), st.none()),
    st.tuples(st.just("listen"), st.sampled_from([frozenset[str](), frozenset({"credit.consumed"})])),
)


def take_step(world: World, kind: str, what: Any) -> Any:
    """The answer of one step, or what it was refused with."""
    if kind == "rule":
        tiers = ({"up_to": 10, "unit_cost": 9}, {"up_to": None, "unit_cost": 4})
        return world.rule(**what, **({"tiers": tiers} if what["cost_type"] == "tiered" else {}))
    if kind == "wait":
        world.now += what
    elif kind == "write":
        world.draft.take_changes()
    elif kind == "listen":
        world.named_events = what
    try:
        if kind == "event":
            return world.run(RecordUsage(**what), idempotency_key="usage:1")
        if kind == "grant":
            return world.grant(**what)
        if kind == "hold":
            return world.run(Reserve(credits_mc=what))
        if kind == "commit" and world.draft.holds:
            return world.run(CommitReservation(reservation_id=min(world.draft.holds), actual_credits_mc=what))
    except RefusedWithChangesError as refusal:
        return repr(refusal.error)
    except (ProblemError, AmountOverflowError, HistoryNeededError) as refusal:
        return repr(refusal)
    return None


def make_world(threshold: int | None, *, tops_up: bool) -> World:
    world = World(low_balance_threshold=threshold)
    world.metric()
    world.metric("tokens", scale=1)
    world.rule(unit_cost=10)
    world.grant(500)
    if tops_up:
        topup = AutoTopup(unit="credits", threshold=300, credits=50, created_at=START, updated_at=START)
        world.draft.put_auto_topup(topup)
    return world


@settings(max_examples=300)
@given(
    lives=st.lists(steps, min_size=1, max_size=25),
    threshold=st.one_of(st.none(), st.integers(0, 600)),
    tops_up=st.booleans(),
)
def test_both_ways_decide_the_same(
    lives: list[tuple[str, Any]], threshold: int | None, *, tops_up: bool
) -> None:
    one, other = (make_world(threshold, tops_up=tops_up) for _ in range(2))
    for kind, what in lives:
        answer = take_step(one, kind, what)
        with asking_in_turn():
            assert take_step(other, kind, what) == answer
        assert everything(one) == everything(other)
