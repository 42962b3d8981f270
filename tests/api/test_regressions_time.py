"""Regression rows of reliability.md section 6 about periods, renewals and what time does; R7 to R16, R26 to R31."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from tests.api.stories import Story, answer, at_once, instant, refused, same_instant, wire


def plan_of(
    story: Story, *, credits_mc: int = 1_000, template: dict[str, object] | None = None, **terms: object
) -> str:
    """A postpaid variant with one grant a cycle, unless said otherwise; the variant's id."""
    plan = story.plan(f"plan_{next(story.numbers)}")
    variant = story.variant(plan, **{"billing_mode": "postpaid", **terms})
    story.template(plan, variant, credits_mc, **(template or {}))
    return variant


def month_end(year: int, month: int, day: int) -> int:
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return min(day, (following - timedelta(days=1)).day)


@pytest.mark.parametrize("day", [28, 29, 30, 31])
def test_r08_r09_anchor_days_come_back(story: Story, day: int) -> None:
    """R8, R9: an anchor at a month's end is clamped in short months and is back in long ones."""
    begin = datetime(2043, 12, day, 10, 30, tzinfo=UTC)
    story.freeze(begin)
    customer = story.customer()
    story.subscribe(customer, plan_of(story))
    story.advance(days=450)
    told = [instant(event["created_at"]) for event in story.events("subscription.renewed", customer)]
    months = [(2044 + number // 12, number % 12 + 1) for number in range(14)]
    expected = [
        datetime(year, month, month_end(year, month, day), 10, 30, tzinfo=UTC) for year, month in months
    ]
    assert told == expected[: len(told)]
    assert len(told) >= 14
    grants = [entry for entry in story.ledger(customer) if entry["type"] == "grant"]
    assert len(grants) == len(told) + 1, "each period granted once"


def test_r10_equal_usage_equal_charge(story: Story) -> None:
    """R7, R10: days are 24 hours everywhere; the nights in which clocks change cost what others cost."""
    story.freeze(datetime(2041, 3, 28, tzinfo=UTC))
    story.metric("hours")
    story.rule(
        "hours",
        cost_type="tiered",
        tier_mode="graduated",
        tiers=[{"up_to": 10, "unit_cost": 10}, {"up_to": None, "unit_cost": 1}],
    )
    plan = story.plan("daily")
    variant = story.variant(plan, billing_mode="postpaid", interval="day")
    story.entitle(plan, variant, "hours", {})
    customer = story.wallet(100_000)
    story.subscribe(customer, variant)
    costs = []
    for _ in range(6):
        costs.append([story.used(customer, "hours", 8)["cost"] for _ in range(3)])
        story.advance(days=1)
    assert costs == [[80, 26, 8]] * 6
    told = [instant(event["created_at"]) for event in story.events("subscription.renewed", customer)]
    assert {later - before for before, later in pairwise(told)} == {timedelta(days=1)}


def test_r11_boundaries_run_once_however_often_they_are_asked_for(story: Story) -> None:
    story.freeze(datetime(2041, 3, 1, tzinfo=UTC))
    customer = story.customer()
    story.subscribe(customer, plan_of(story, interval="day"))
    until = wire(datetime(2041, 3, 6, tzinfo=UTC))
    responses = at_once([lambda: story.api.post("/v1/test-clock/advance", {"to": until})] * 5)
    assert {response.status for response in responses} <= {200, 409}
    grants = [entry["occurred_at"] for entry in story.ledger(customer) if entry["type"] == "grant"]
    assert len(grants) == len(set(grants)) == 6
    assert len(story.events("subscription.renewed", customer)) == 5
    story.verify(customer)


def test_r12_thirty_concurrent_creates(story: Story) -> None:
    variant = plan_of(story)
    body = {"external_customer_id": "eager", "plan_variant_id": variant}
    responses = at_once([lambda: story.api.post("/v1/subscriptions", body)] * 30)
    assert sorted(response.status for response in responses) == [201] + [409] * 29
    (made,) = [response.json for response in responses if response.status == 201]
    assert story.balance(made["customer_id"]) == 1_000
    assert len(story.events("subscription.created", made["customer_id"])) == 1


def test_r14_usage_right_after_the_boundary_spends_the_new_grant(story: Story) -> None:
    begin = datetime(2041, 3, 1, tzinfo=UTC)
    story.freeze(begin)
    story.priced("look", 100)
    template = {"rollover_percentage": 50}
    customer = story.customer()
    story.subscribe(customer, plan_of(story, interval="day", template=template))
    story.used(customer, "look", 2)
    story.advance(days=1, sweep=False)
    used = story.used(customer, "look", 1)
    assert used["balance"] == 1_000 + 400 - 100
    kinds = [entry["type"] for entry in story.ledger(customer)]
    assert kinds == ["grant", "usage", "rollover_out", "expire", "rollover_in", "grant", "usage"]
    story.advance(seconds=0)
    assert story.balance(customer) == 1_300, "no later step throws fresh credits away"
    story.verify(customer)


def test_r16_r48_each_transition_is_told_once(story: Story) -> None:
    story.freeze(datetime(2041, 3, 1, tzinfo=UTC))
    variant = plan_of(story, billing_mode="prepaid")
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    answer(story.trigger(subscription, "cancel", when="period_end"), 200)
    answer(story.trigger(subscription, "reactivate"), 200)
    for name, told in (("pause", "subscription.paused"), ("resume", "subscription.resumed")):
        answer(story.trigger(subscription, name), 200)
        problem = refused(story.trigger(subscription, name), 409, "subscription-state-conflict")
        assert "pause" in problem["detail"] or "resume" in problem["detail"]
        assert len(story.events(told, customer)) == 1
    answer(story.trigger(subscription, "cancel", when="now"), 200)
    refused(story.trigger(subscription, "cancel", when="now"), 409, "subscription-state-conflict")
    refused(story.trigger(subscription, "renew"), 409, "subscription-state-conflict")
    refused(story.trigger(subscription, "pause"), 409, "subscription-state-conflict")
    assert len(story.events("subscription.canceled", customer)) == 1
    assert len(story.events("subscription.cancel_scheduled", customer)) == 1
    assert story.balance(customer) == 0, "plan blocks expire by default"
    story.verify(customer)


def test_r27_events_at_the_instant_of_a_boundary(story: Story) -> None:
    """What happens exactly at a boundary belongs to the new period, and counts once."""
    begin = datetime(2041, 3, 1, tzinfo=UTC)
    story.freeze(begin)
    story.metric("calls")
    plan = story.plan("daily")
    variant = story.variant(plan, billing_mode="postpaid", interval="day")
    tiers = [{"up_to": None, "level": "Normal", "policy": "NotifyOnly"}]
    story.entitle(
        plan, variant, "calls", {"quota": {"period": "day", "alignment": "anniversary", "tiers": tiers}}
    )
    customer = story.customer()
    story.subscribe(customer, variant)
    boundary = begin + timedelta(days=1)
    story.advance(days=1, seconds=60)
    story.used(customer, "calls", 1, timestamp=wire(boundary))
    story.used(customer, "calls", 10, timestamp=wire(boundary - timedelta(microseconds=1)))
    story.used(customer, "calls", 100)
    assert story.asset(customer, "calls")["value"] == 101
    (past,) = answer(story.api.get(f"/v1/customers/{customer}/assets/calls/history"), 200)["data"]
    assert past["value"] == 10


def test_r27_grant_at_the_instant_of_a_boundary_stays(story: Story) -> None:
    begin = datetime(2041, 3, 1, tzinfo=UTC)
    story.freeze(begin)
    customer = story.customer()
    story.subscribe(customer, plan_of(story, interval="day"))
    story.advance(days=1, sweep=False)
    story.grant(customer, 77)
    assert story.balance(customer) == 1_077
    story.advance(seconds=1)
    assert story.balance(customer) == 1_077
    story.verify(customer)


def test_r28_late_events_do_not_disturb_the_running_period(story: Story) -> None:
    story.freeze(datetime(2041, 3, 20, tzinfo=UTC))
    story.metric("calls")
    customer = story.customer()
    story.used(customer, "calls", 5)
    story.advance_to(datetime(2041, 4, 10, tzinfo=UTC))
    story.used(customer, "calls", 7)
    story.used(customer, "calls", 100, timestamp="2041-03-31T23:59:59.999999Z")
    assert story.asset(customer, "calls")["value"] == 7
    (past,) = answer(story.api.get(f"/v1/customers/{customer}/assets/calls/history"), 200)["data"]
    assert past["value"] == 105
    early = wire(datetime(2041, 4, 10, tzinfo=UTC) - timedelta(days=31, seconds=1))
    refused(story.use(customer, "calls", timestamp=early), 422, "timestamp-out-of-range")
    ahead = wire(datetime(2041, 4, 10, tzinfo=UTC) + timedelta(minutes=5, seconds=1))
    refused(story.use(customer, "calls", timestamp=ahead), 422, "timestamp-out-of-range")
    story.used(customer, "calls", timestamp=wire(datetime(2041, 4, 10, 0, 5, tzinfo=UTC)))


def test_r29_late_usage_is_charged_to_todays_blocks(story: Story) -> None:
    begin = datetime(2041, 3, 1, tzinfo=UTC)
    story.freeze(begin)
    story.priced("look", 100)
    customer = story.customer()
    story.subscribe(customer, plan_of(story, interval="day"))
    (old,) = story.live_blocks(customer)
    story.advance(days=1, seconds=1)
    (new,) = story.live_blocks(customer)
    used = story.used(customer, "look", 1, timestamp=wire(begin + timedelta(hours=1)))
    assert [row["block_id"] for row in used["blocks"]] == [new["id"]]
    assert new["id"] != old["id"]
    story.verify(customer)


def test_r29_late_usage_has_the_price_of_its_time(story: Story) -> None:
    begin = datetime(2041, 3, 1, tzinfo=UTC)
    story.freeze(begin)
    story.priced("look", 100)
    customer = story.wallet(10_000)
    story.advance(days=1)
    story.rule("look", cost_type="per_unit", unit_cost=999)
    assert story.used(customer, "look", timestamp=wire(begin + timedelta(hours=1)))["cost"] == 100
    assert story.used(customer, "look", timestamp=wire(begin + timedelta(days=1)))["cost"] == 999
    assert story.used(customer, "look")["cost"] == 999


def test_r30_expiry_counts_from_each_grant(story: Story) -> None:
    begin = datetime(2041, 1, 15, 12, tzinfo=UTC)
    story.freeze(begin)
    customer = story.customer()
    template = {"expires_after_seconds": 90 * 86_400}
    story.subscribe(customer, plan_of(story, template=template))
    story.advance(days=24 * 31)
    blocks = story.blocks(customer)
    assert len(blocks) >= 24
    for block in blocks:
        assert instant(block["expires_at"]) - instant(block["created_at"]) == timedelta(days=90)
    story.verify(customer)


def test_r31_interval_grants_keep_their_grid(story: Story) -> None:
    begin = datetime(2041, 1, 31, 10, tzinfo=UTC)
    story.freeze(begin)
    customer = story.customer()
    template = {"recurrence": "interval", "interval_seconds": 6 * 3_600}
    story.subscribe(customer, plan_of(story, credits_mc=500, template=template))
    story.advance(days=3, seconds=-1)
    grants = [instant(entry["occurred_at"]) for entry in story.ledger(customer) if entry["type"] == "grant"]
    assert grants == [begin + timedelta(hours=6 * tick) for tick in range(12)]
    assert story.balance(customer) == 500, "each block ends when the next one lands"
    story.verify(customer)


def test_pause_moves_everything_by_its_length(story: Story) -> None:
    begin = datetime(2041, 1, 31, 10, tzinfo=UTC)
    story.freeze(begin)
    story.priced("look", 100)
    customer = story.customer()
    subscription = story.subscribe(customer, plan_of(story, interval="day"))["id"]
    story.advance(hours=6)
    paused = answer(story.trigger(subscription, "pause"), 200)
    assert paused["status"] == "paused"
    story.advance(days=10)
    assert story.balance(customer) == 1_000, "expiry stands still"
    resumed = answer(story.trigger(subscription, "resume"), 200)
    assert resumed["status"] == "active"
    end = begin + timedelta(days=11)
    same_instant(resumed["current_period_end"], end)
    (block,) = story.live_blocks(customer)
    same_instant(block["expires_at"], end)
    story.advance_to(end)
    assert len(story.events("subscription.renewed", customer)) == 1
    same_instant(story.subscription(subscription)["current_period_end"], end + timedelta(days=1))
    story.verify(customer)
