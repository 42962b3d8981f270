"""Edges of the money kernel: the exact bound, the exact instant, the order of what falls on one instant."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from tests.core.chronicle import Chronicle, metric, rule
from tests.core.lives import START, Life
from tests.core.metering_world import START as NOW
from tests.core.metering_world import World
from tests.core.plans import Subscriber, template, variant

from quotastack.core import blocks
from quotastack.core.advance import FEW_SOURCES, MANY_SOURCES, refresh_due_at
from quotastack.core.amounts import AMOUNT_MAX, AmountOverflowError
from quotastack.core.burn_down import is_spendable, pays_for_hold, plan_burn_down
from quotastack.core.catalog import PriceTier
from quotastack.core.commands import Advance
from quotastack.core.counters import Recount, _with_batch
from quotastack.core.credits import TakeAdjustment, WithdrawCredits
from quotastack.core.customer_state import (
    NEVER,
    Account,
    Asset,
    AutoTopup,
    Block,
    Counter,
    Hold,
    Override,
)
from quotastack.core.draft import Draft, replace
from quotastack.core.errors import ConflictError, InsufficientCreditsError, ValidationFailedError
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.overrides import DeleteOverride, PutOverride
from quotastack.core.pricing import affordable_units, price_usage
from quotastack.core.reservations import ExtendReservation, Reserve
from quotastack.core.subscriptions import CreateSubscription
from quotastack.core.topups import GrantTopup
from quotastack.core.usage import RecordUsage

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


def block_of(remaining_mc: int = 10, **terms: Any) -> Block:
    values: dict[str, Any] = {
        "id": "b",
        "unit": "credits",
        "original_mc": 10,
        "remaining_mc": remaining_mc,
        "priority": 0,
        "effective_at": START,
        "expires_at": None,
        "source": "promotional",
        "created_at": START,
    }
    return Block(**{**values, **terms})


SPENDABLE = [
    ({}, True),
    ({"is_locked": True}, False),
    ({"is_kept": True}, False),
    ({"is_locked": True, "is_frozen": True}, False),
    ({"expires_at": START}, False),
    ({"expires_at": START + MICROSECOND}, True),
    ({"expires_at": START, "is_frozen": True}, True),
]


@pytest.mark.parametrize(("terms", "expected"), SPENDABLE)
def test_what_a_new_charge_may_draw_from(terms: dict[str, Any], expected: Any) -> None:
    assert is_spendable(block_of(**terms), START) is expected


HELD = [
    ({"expires_at": START, "is_kept": True}, START, False),
    ({"expires_at": START, "is_kept": True}, START - MICROSECOND, True),
    ({"expires_at": START}, START, False),
    ({"is_kept": True}, START, True),
    ({"expires_at": START + HOUR, "is_locked": True}, START, True),
]


@pytest.mark.parametrize(("terms", "held_since", "expected"), HELD)
def test_what_a_commit_may_draw_from(terms: dict[str, Any], held_since: Any, expected: Any) -> None:
    assert pays_for_hold(block_of(**terms), held_since, START) is expected


def test_a_burn_down_names_only_blocks_that_pay() -> None:
    empty, full, spare = block_of(0, id="empty"), block_of(5, id="full"), block_of(5, id="spare")
    draws, missing_mc = plan_burn_down([empty, full, spare], 5)
    assert [(draw.block.id, draw.amount_mc) for draw in draws] == [("full", 5)]
    assert missing_mc == 0
    assert plan_burn_down([empty, full], 7) == ((draws[0],), 2)


def test_room_for_blocks_counts_live_and_pending_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LIVE_BLOCKS_MAX", 3)
    life = Life()
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1)))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1, effective_at=START + HOUR)))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1, unit="tokens")))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1)))
    with pytest.raises(ConflictError, match="has 3 live blocks"):
        life.run(GrantCredits(terms=GrantTerms(credits_mc=1)))
    with pytest.raises(ConflictError):
        blocks.require_room_for_block(life.draft, "tokens", amount_mc=1, count=3)
    blocks.require_room_for_block(life.draft, "tokens", amount_mc=1, count=2)


def test_sums_reach_the_bound_and_not_beyond() -> None:
    life = Life()
    life.run(GrantCredits(terms=GrantTerms(credits_mc=5, effective_at=START + HOUR)))
    with pytest.raises(ValidationFailedError) as refusal:
        life.run(GrantCredits(terms=GrantTerms(credits_mc=AMOUNT_MAX - 4)))
    assert refusal.value.errors == (("/credits", f"The account's sums would pass {AMOUNT_MAX}."),)
    assert (
        life.run(GrantCredits(terms=GrantTerms(credits_mc=AMOUNT_MAX - 5))).account.balance == AMOUNT_MAX - 5
    )


def test_an_overdraft_reaches_the_bound_and_not_beyond() -> None:
    life = Life()
    life.run(TakeAdjustment(amount_mc=5, reason="x", allow_negative=True))
    with pytest.raises(ValidationFailedError) as refusal:
        life.run(TakeAdjustment(amount_mc=AMOUNT_MAX - 4, reason="x", allow_negative=True))
    assert refusal.value.errors == (("/delta", f"The overdraft would pass {AMOUNT_MAX}."),)
    assert (
        life.run(TakeAdjustment(amount_mc=AMOUNT_MAX - 5, reason="x", allow_negative=True)).account.balance
        == -AMOUNT_MAX
    )


def test_locked_blocks_stand_in_the_balance_and_pay_for_nothing() -> None:
    life = Subscriber(variant("month", template(100), allow_usage_while_overdue=False))
    life.subscribe()
    life.run(GrantCredits(terms=GrantTerms(credits_mc=30)))
    life.later(days=31)
    assert life.balance() == 130
    with pytest.raises(InsufficientCreditsError):
        life.run(WithdrawCredits(amount_mc=31))
    assert life.run(WithdrawCredits(amount_mc=30)).account.balance == 100


# What happens at one instant happens in this order, whatever the ids are.
RANKS = [
    "reservation_expired",
    "block_expired",
    "block_started",
    "subscription_period_end",
    "interval_grant",
    "asset_period_closed",
    "override_expired",
]


def test_what_falls_on_one_instant_has_an_order() -> None:
    daily = template(5, "t", recurrence="interval", interval_seconds=86_400)
    life = Chronicle(
        variant("day", daily, billing_mode="postpaid", interval="day"),
        metrics=[metric("calls")],
        rules=[rule("r", "calls", unit_cost=1)],
    )
    end = START + timedelta(days=1)
    quota = {
        "quota": {"period": "day", "tiers": [{"up_to": None, "level": "Normal", "policy": "NotifyOnly"}]}
    }
    life.act(CreateSubscription(plan_variant_id="day"))
    life.act(PutOverride(billable_metric_key="calls", value=quota, expires_at=end))
    life.act(GrantCredits(terms=GrantTerms(credits_mc=9, expires_at=end)))
    life.act(GrantCredits(terms=GrantTerms(credits_mc=9, effective_at=end)))
    life.act(Reserve(credits_mc=3, ttl_seconds=86_400))
    life.use("calls", 1)
    due = [
        due
        for source in MANY_SOURCES + FEW_SOURCES
        for due in source(life.draft, life.catalog)
        if due.at == end
    ]
    ranks = {item.kind: item.rank for item in due}
    assert list(ranks) == RANKS
    assert all(first < second for first, second in pairwise(ranks.values()))
    refresh_due_at(life.draft, life.catalog)
    assert (life.draft.due_at, life.draft.is_due_stale) == (end, False)
    # What blocks do has one place in the order, the announcement of an expiry too.
    life.act(GrantCredits(terms=GrantTerms(credits_mc=9, expires_at=START + 9 * DAY)))
    soon = [due for source in MANY_SOURCES for due in source(life.draft, life.catalog)]
    assert {due.rank for due in soon if due.kind == "block_expiring_soon"} == {ranks["block_expired"]}


def test_a_draft_freezes_all_that_it_holds() -> None:
    """Each field with something of its own in it: none is forgotten, none stands in for another."""
    life = Life()
    at = {"created_at": START, "updated_at": START}
    counter = Counter(billable_metric_key="calls", kind="asset", period_start=START, period_end=START)
    filled = {
        "accounts": {"credits": Account(unit="credits", blocks_mc=7)},
        "blocks": {"credits": (block_of(),)},
        "pending_blocks": (block_of(id="later", status="pending"),),
        "holds": {"h": Hold(id="h", unit="credits", reserved_mc=1, expires_at=START, created_at=START)},
        "counters": {("calls", "asset"): counter},
        "assets": {"calls": Asset(billable_metric_key="calls")},
        "overrides": {"calls": Override(billable_metric_key="calls", value={}, **at)},
        "subscriptions": {"s": "stands for one"},
        "auto_topups": {"credits": AutoTopup(unit="credits", threshold=1, **at)},
        "version": 7,
        "event_sequence": 8,
        "last_entry_at": START,
        "due_at": START + HOUR,
        "written_due_at": START + 2 * HOUR,
        "is_descending": True,
    }  # fmt: skip
    state = replace(life.draft.freeze(), **filled)
    assert set(filled) | {"environment_id", "customer"} == set(state.__struct_fields__)
    for name in state.__struct_fields__:
        frozen = Draft(state, priority_order="desc").freeze()
        assert getattr(frozen, name) == getattr(state, name), name
    # The state's own due_at is exact: nothing has to be looked at before the first comparison.
    assert (Draft(state).is_due_stale, Draft(state).is_new, Draft(state).is_descending) == (
        False,
        False,
        False,
    )
    assert Draft(replace(state, version=0)).is_new is True
    assert Draft(state, priority_order="desc").is_descending is True


def test_what_moves_the_next_due_instant_says_so() -> None:
    life = Chronicle(variant("m", template(1)), metrics=[metric("calls")])
    held = life.act(Reserve(credits_mc=0, ttl_seconds=60))
    life.act(PutOverride(billable_metric_key="calls", value={"enabled": True}, expires_at=START + HOUR))
    for command in (
        ExtendReservation(reservation_id=held.id, ttl_seconds=7_200),
        DeleteOverride(billable_metric_key="calls"),
    ):
        refresh_due_at(life.draft, life.catalog)
        assert not life.draft.is_due_stale
        life.act(command)
        assert life.draft.is_due_stale, command
    refresh_due_at(life.draft, life.catalog)
    assert life.draft.due_at == START + 2 * HOUR
    life.act(Advance())
    life.draft.put_hold(replace(life.draft.holds[held.id], status="released"))
    life.draft.put_hold(replace(life.known["hold", held.id], status="released"))
    refresh_due_at(life.draft, life.catalog)
    assert life.draft.due_at == NEVER


TIERS = (
    PriceTier(up_to=10, unit_cost=3, per_units=4),
    PriceTier(up_to=None, unit_cost=1, per_units=2, flat_cost=2),
)
VOLUMES = [
    # Units, and what they cost rounded up, down and half to even.
    (1, 1, 0, 1),
    (2, 2, 1, 2),
    (6, 5, 4, 4),
    (10, 8, 7, 8),
    (11, 8, 7, 8),
    (13, 9, 8, 8),
    (0, 0, 0, 0),
]


@pytest.mark.parametrize(("units", "up", "down", "even"), VOLUMES)
def test_volume_prices_round_as_told(units: int, up: int, down: int, even: int) -> None:
    tiers = [msgspec.structs.asdict(tier) for tier in TIERS]
    priced = [
        rule("r", "calls", tiers=tiers, tier_mode="volume", rounding=rounding)
        for rounding in ("up", "down", "half_even")
    ]
    told = [price_usage(one, units=units, before=0, scale=0) for one in priced]
    assert told == [up, down, even]


@pytest.mark.parametrize("rounding", ["up", "down", "half_even"])
@pytest.mark.parametrize("scale", [0, 1])
@pytest.mark.parametrize("terms", [{"tier_mode": "volume"}, {"tier_scope": "event"}, {}])
def test_what_is_affordable_is_the_last_that_fits(rounding: Any, scale: int, terms: dict[str, str]) -> None:
    """Against the price itself, for every small budget, odd ones and even ones."""
    priced = rule(
        "r", "calls", tiers=[msgspec.structs.asdict(tier) for tier in TIERS], rounding=rounding, **terms
    )
    before = 0 if terms else 3
    costs = [price_usage(priced, units=units, before=before, scale=scale) for units in range(40 * 10**scale)]
    for budget_mc in range(-1, 9):
        fitting = [units for units, cost in enumerate(costs) if cost <= budget_mc]
        expected = max(fitting, default=0)
        assert affordable_units(priced, budget_mc=budget_mc, before=before, scale=scale) == expected, (
            budget_mc
        )


def test_a_price_reaches_the_bound_and_not_beyond() -> None:
    one = rule("r", "calls", unit_cost=1)
    assert price_usage(one, units=AMOUNT_MAX, before=0, scale=0) == AMOUNT_MAX
    assert (
        price_usage(
            rule("f", "calls", cost_type="flat", flat_cost=1), units=1, before=AMOUNT_MAX - 1, scale=0
        )
        == 1
    )
    for units, before in ((AMOUNT_MAX + 1, 0), (1, AMOUNT_MAX), (2, AMOUNT_MAX - 1)):
        with pytest.raises(AmountOverflowError):
            price_usage(one, units=units, before=before, scale=0)


def test_a_refund_for_a_dead_block_keeps_what_was_paid_for_it() -> None:
    life = Chronicle(
        variant("m", template(1)), metrics=[metric("calls")], rules=[rule("r", "calls", unit_cost=10)]
    )
    life.act(GrantTopup(credits_mc=50, price_paid=700, currency="EUR", priority=-2, expires_after_seconds=60))
    used = life.use("calls", 4)
    life.wait(hours=1)
    life.reverse(used)
    (block,) = life.draft.live_blocks("credits")
    told = (block.source, block.remaining_mc, block.price_paid, block.currency, block.priority)
    assert told == ("refund", 40, 700, "EUR", -2)
    assert block.expires_at == life.now + timedelta(days=30)


def test_more_than_a_burst_is_refused_for_good() -> None:
    rate = {"units": 2, "seconds": 60, "burst": 5}
    rated = {"up_to": None, "level": "Warning", "policy": "RateLimit", "rate": rate}
    value = {"quota": {"period": "day", "tiers": [rated]}}
    life = Chronicle(variant("m", template(1)), metrics=[metric("calls")])
    life.act(PutOverride(billable_metric_key="calls", value=value))
    assert life.use("calls", 6).slug == "quota-exceeded"
    assert life.lines[-1]["refused"]["extra"]["limit"] == 5
    assert life.use("calls", 5).status == "applied"
    assert life.use("calls", 1).slug == "quota-rate-limited"
    assert life.lines[-1]["refused"]["retry_after_seconds"] == 30


def test_a_recount_knows_what_its_own_batch_wrote() -> None:
    """Nothing of the batch is in the database yet: its events are added, what it reversed is taken off."""
    world = World()
    world.metric()
    world.metric("other")
    world.rule(unit_cost=2, active_from=NOW - DAY)
    world.grant(100_000)
    at = {"timestamp": NOW - HOUR}
    old = world.run(RecordUsage(billable_metric_key="calls", units=4, **at))
    world.run(RecordUsage(billable_metric_key="calls", units=30, **at))
    world.run(RecordUsage(billable_metric_key="other", units=500, **at))
    gone = world.run(RecordUsage(billable_metric_key="calls", units=7_000, **at))
    changes = world.draft.changes
    first, *_, last = changes.usage_events
    # One was written by an earlier batch and is reversed in this one; one is written and reversed in this one.
    changes.usage_events = [event for event in changes.usage_events if event.id != old.id]
    changes.rare.usage_updates = {
        old.id: replace(first, status="reversed"),
        gone.id: replace(last, status="reversed"),
    }
    counter = Counter(billable_metric_key="calls", kind="asset", period_start=NOW - HOUR, period_end=NOW)
    read = Recount(units=104, cost_mc=208, max=None)
    told = _with_batch(world.draft, "calls", counter, read)
    assert (told.units, told.cost_mc, told.max) == (130, 260, None)
    before = replace(counter, period_start=NOW - DAY, period_end=NOW - HOUR)
    assert _with_batch(world.draft, "calls", before, read) == read
    changes.usage_events = [
        replace(event, value=value) for event, value in zip(changes.usage_events, (3, 9, 8), strict=True)
    ]
    assert _with_batch(world.draft, "calls", counter, read).max == 3


def test_paying_ahead_names_the_end_of_the_next_period() -> None:
    life = Subscriber(variant("month", template(10)))
    sub = life.subscribe()
    life.later(days=30)
    assert life.trigger("renew", sub).paid_through == START.replace(month=5)
    assert [step.trigger for step in life.sub(sub).transitions][-1] == "renew"
    overdue = Subscriber(variant("month", template(10)))
    sub = overdue.subscribe()
    overdue.later(days=32)
    overdue.trigger("renew", sub)
    assert [step.trigger for step in overdue.sub(sub).transitions][-2:] == ["period_end", "renew"]
