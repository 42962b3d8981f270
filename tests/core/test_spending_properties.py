"""Random lives: whatever a customer does, costs add up to the price of the total and sums stay true."""

import contextlib
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.metering_world import START, World

from quotastack.core.commands import Advance
from quotastack.core.commits import CommitReservation
from quotastack.core.errors import ProblemError
from quotastack.core.pricing import price_usage, split_by_tier
from quotastack.core.reservations import ExtendReservation, ReleaseReservation, Reserve
from quotastack.core.reversal import ReverseUsage
from quotastack.core.usage import RecordUsage

RATES = st.tuples(st.integers(0, 30), st.sampled_from([1, 3, 7, 100]), st.integers(0, 20))


@st.composite
def tier_tables(draw: st.DrawFn) -> tuple[dict[str, Any], ...]:
    bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=3)))
    rates = [draw(RATES) for _ in range(len(bounds) + 1)]
    return tuple(
        {"up_to": up_to, "unit_cost": cost, "per_units": per_units, "flat_cost": flat}
        for up_to, (cost, per_units, flat) in zip([*bounds, None], rates, strict=True)
    )


@given(
    tier_tables(),
    st.sampled_from(["up", "down", "half_even"]),
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 9), st.booleans()), max_size=15),
    st.integers(0, 2),
    st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_events_and_commits_cost_the_price_of_their_total(
    tiers: tuple[dict[str, Any], ...],
    rounding: str,
    acts: list[tuple[int, int, bool]],
    scale: int,
    random: Random,
) -> None:
    """Single events, late ones, recorded ones and commits of holds, in any order of a period."""
    world = World(overage_policy="allow")
    metric = world.metric(scale=scale)
    rule = world.rule(tiers=tiers, rounding=rounding)
    world.now = START + timedelta(days=9)
    step = 10**scale
    costs, total = [], 0
    for units, hours, is_held in acts:
        wire = f"{units // step}.{units % step:0{scale}}" if scale else units
        if is_held:
            hold = world.run(Reserve(billable_metric_key="calls", estimated_units=random.randrange(9)))
            done = world.run(CommitReservation(reservation_id=hold.id, actual_units=wire))
            costs.append(done.committed_amount)
        else:
            timestamp = None if hours == 0 else world.now - timedelta(hours=hours)
            command = RecordUsage(
                billable_metric_key="calls",
                units=wire,
                timestamp=timestamp,
                enforcement=random.choice(["enforce", "record"]),
            )
            costs.append(world.run(command).cost)
        total += units
    assert sum(costs) == price_usage(rule, units=total, before=0, scale=scale)
    world.check_sums()
    if not acts:
        return
    counter = world.draft.counters["calls", "price:{}"]
    row = counter.details["rules"][rule.id]
    assert (counter.value, counter.cost_mc, row["units"], row["cost"]) == (
        total,
        sum(costs),
        total,
        sum(costs),
    )
    shares = {tuple(tier) for tier in row["tiers"]}
    expected = split_by_tier(rule, units=total, before=0, scale=metric.scale)
    assert shares == {(share.up_to, share.units, share.cost_mc) for share in expected}


class Life:
    """Does random things to one customer and keeps an eye on every sum."""

    def __init__(self, random: Random, **config: Any) -> None:
        self.random = random
        self.world = World(**config)
        self.world.metric()
        self.world.rule(tiers=({"up_to": 20, "unit_cost": 10}, {"up_to": None, "unit_cost": 3}))
        self.holds: list[str] = []
        self.events: list[str] = []
        self.reversed: set[str] = set()

    def step(self) -> None:
        act = self.random.choice(
            ["grant", "use", "use", "reserve", "commit", "release", "extend", "reverse", "wait"]
        )
        with contextlib.suppress(ProblemError):
            getattr(self, act)()
        self.world.check_sums()

    def grant(self) -> None:
        life = self.random.choice([None, timedelta(minutes=2), timedelta(minutes=10)])
        expires_at = None if life is None else self.world.now + life
        self.world.grant(
            self.random.randint(1, 200), priority=self.random.randint(0, 2), expires_at=expires_at
        )

    def use(self) -> None:
        enforcement = self.random.choice(["enforce", "enforce", "record"])
        command = RecordUsage(
            billable_metric_key="calls", units=self.random.randint(0, 12), enforcement=enforcement
        )
        self.events.append(self.world.run(command).id)

    def reserve(self) -> None:
        ttl_seconds = self.random.choice([30, 120, 600])
        if self.random.random() < 0.5:
            command = Reserve(credits_mc=self.random.randint(1, 80), ttl_seconds=ttl_seconds)
        else:
            units = self.random.randint(0, 9)
            command = Reserve(billable_metric_key="calls", estimated_units=units, ttl_seconds=ttl_seconds)
        self.holds.append(self.world.run(command).id)

    def _hold(self) -> str:
        return self.random.choice(self.holds) if self.holds else "none"

    def commit(self) -> None:
        hold = self.world.draft.holds.get(self._hold())
        if hold is None:
            return
        more: dict[str, Any] = {}
        if self.random.random() < 0.7:
            name = "actual_credits_mc" if hold.billable_metric_key is None else "actual_units"
            more[name] = self.random.randint(0, 100 if hold.billable_metric_key is None else 12)
        done = self.world.run(CommitReservation(reservation_id=hold.id, **more))
        assert done.committed_amount + done.returned_amount >= hold.reserved_mc
        self.events.append(done.usage_id)

    def release(self) -> None:
        self.world.run(ReleaseReservation(reservation_id=self._hold()))

    def extend(self) -> None:
        self.world.run(ExtendReservation(reservation_id=self._hold(), ttl_seconds=300))

    def reverse(self) -> None:
        if not self.events:
            return
        event = self.world.usage(self.random.choice(self.events))
        blocks = {block.id: block for block in self.world.draft.changes.rare.new_blocks.values()}
        blocks.update(self.world.draft.changes.changed_blocks)
        self.world.draft.extra["usage", event.id] = event
        self.world.run(Advance())
        before = self.world.account().balance_mc
        answer = self.world.run(ReverseUsage(usage_id=event.id, block_ids=tuple(b for b, _ in event.draws)))
        assert event.id not in self.reversed, "taken back twice"
        self.reversed.add(event.id)
        assert answer.refunded == event.cost_mc
        assert answer.account.balance - before == event.cost_mc

    def wait(self) -> None:
        self.world.now += timedelta(seconds=self.random.choice([1, 30, 60, 240]))


@given(st.integers(0, 2**32), st.sampled_from(["block", "allow", "notify"]), st.sampled_from([None, 0, 60]))
@settings(max_examples=60, deadline=None)
def test_sums_stay_true_in_any_life(seed: int, policy: Any, limit: int | None) -> None:
    life = Life(Random(seed), overage_policy=policy, overage_limit=limit)
    for _ in range(60):
        life.step()
