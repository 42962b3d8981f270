"""S5 API platform: graduated prices by the position in the period, billed afterwards."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.api.stories import Story, answer, instant, same_instant

TIERS = [
    {"up_to": 10_000, "unit_cost": 10},
    {"up_to": 100_000, "unit_cost": 8},
    {"up_to": None, "unit_cost": 5},
]
BEGIN = datetime(2041, 3, 15, 10, tzinfo=UTC)


def price_list(story: Story) -> str:
    story.metric("api_call")
    story.rule("api_call", cost_type="tiered", tier_mode="graduated", tiers=TIERS)
    return "api_call"


@pytest.mark.parametrize(
    ("calls", "costs"),
    [
        ([10_000], [100_000]),
        ([25_000], [220_000]),
        ([150_000], [1_070_000]),
        ([9_990, 20], [99_900, 180]),
        ([10_000, 90_000, 50_000], [100_000, 720_000, 250_000]),
        ([0, 1, 0], [0, 10, 0]),
    ],
)
def test_s5_prices(story: Story, calls: list[int], costs: list[int]) -> None:
    metric = price_list(story)
    customer = story.wallet(2_000_000)
    told = [story.used(customer, metric, units)["cost"] for units in calls]
    assert told == costs
    assert story.balance(customer) == 2_000_000 - sum(costs)
    story.verify(customer)


def test_s5_check_prices_at_the_position(story: Story) -> None:
    metric = price_list(story)
    customer = story.wallet(2_000_000)
    story.used(customer, metric, 9_990)
    assert story.check(customer, metric, units=20)["estimated_cost"] == 180
    assert story.check(customer, metric, units=10)["estimated_cost"] == 100
    hold = answer(story.reserve(customer, metric, 20), 201)
    assert hold["reserved_amount"] == 180
    assert story.used(customer, metric, 10)["cost"] == 100, "held units never move the price"
    committed = answer(story.post(f"/v1/reserve/{hold['id']}/commit"), 200)
    assert committed["committed_amount"] == 160, "a commit is priced at its own position"
    story.verify(customer)


def test_s5_preview_and_next_month(story: Story) -> None:
    story.freeze(BEGIN)
    metric = price_list(story)
    customer = story.wallet(2_000_000)
    story.used(customer, metric, 10_000)
    assert story.used(customer, metric, 1)["cost"] == 8
    story.advance_to(datetime(2041, 4, 1, tzinfo=UTC))
    assert story.used(customer, metric, 1)["cost"] == 10, "a new month begins at the first tier"


def postpaid(story: Story, **terms: object) -> tuple[str, str]:
    metric = price_list(story)
    plan = story.plan("api")
    variant = story.variant(plan, billing_mode="postpaid", **terms)
    story.entitle(plan, variant, metric, {})
    return metric, variant


def test_s5_cycle_advances_alone_and_tells_its_usage(story: Story) -> None:
    story.freeze(BEGIN)
    metric, variant = postpaid(story)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)
    assert (subscription["status"], subscription["billing_mode"]) == ("active", "postpaid")
    assert story.used(customer, metric, 9_990)["cost"] == 99_900
    second = story.used(customer, metric, 15_010)
    assert (second["cost"], second["overage"]) == (120_100, 120_100)
    assert story.balance(customer) == -220_000
    assert story.account(customer)["overdraft"] == 220_000

    end = datetime(2041, 4, 15, 10, tzinfo=UTC)
    story.advance_to(end)
    renewed = story.subscription(subscription["id"])
    assert renewed["status"] == "active"
    same_instant(renewed["current_period_start"], end)
    (event,) = story.events("subscription.renewed", customer)
    summary = event["data"]["usage_summary"]
    same_instant(summary["period_start"], BEGIN)
    same_instant(summary["period_end"], end)
    assert (summary["total_cost"], summary["overage_cost"]) == (220_000, 220_000)
    (used,) = summary["metrics"]
    assert (used["billable_metric_key"], used["units"], used["cost"]) == (metric, 25_000, 220_000)
    tiers = [(tier["up_to"], tier["units"], tier["cost"]) for tier in used["tiers"] if tier["units"]]
    assert tiers == [(10_000, 10_000, 100_000), (100_000, 15_000, 120_000)]
    assert story.account(customer)["overdraft"] == 0
    assert story.balance(customer) == 0
    billed = [entry for entry in story.ledger(customer) if entry["type"] == "overage_billed"]
    assert [entry["delta"] for entry in billed] == [220_000]
    assert story.used(customer, metric, 10)["cost"] == 100, "the next cycle begins at the first tier"
    story.verify(customer)


def test_s5_late_event_is_told_in_the_next_summary(story: Story) -> None:
    story.freeze(BEGIN)
    metric, variant = postpaid(story)
    customer = story.customer()
    story.subscribe(customer, variant)
    story.used(customer, metric, 100)
    story.advance_to(datetime(2041, 4, 15, 12, tzinfo=UTC))
    story.used(customer, metric, 7, timestamp="2041-04-15T09:00:00Z")
    story.used(customer, metric, 3)
    story.advance_to(datetime(2041, 5, 15, 10, tzinfo=UTC))
    first, second = (
        event["data"]["usage_summary"] for event in story.events("subscription.renewed", customer)
    )
    assert [row["units"] for row in first["metrics"]] == [100]
    assert [row["units"] for row in second["metrics"]] == [3]
    assert [(row["billable_metric_key"], row["units"]) for row in second["late"]] == [(metric, 7)]


def test_s5_yearly_contract_on_monthly_cycles(story: Story) -> None:
    story.freeze(BEGIN)
    contract = {"term_interval": "year", "term_count": 1, "auto_renew": True, "ending_soon_days": 30}
    _, variant = postpaid(story, contract=contract)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)
    ends = datetime(2042, 3, 15, 10, tzinfo=UTC)
    same_instant(subscription["contract"]["ends_at"], ends)

    story.advance_to(ends - timedelta(days=30, seconds=1))
    assert story.events("contract.ending_soon", customer) == []
    story.advance(seconds=1)
    (soon,) = story.events("contract.ending_soon", customer)
    same_instant(soon["created_at"], ends - timedelta(days=30))
    assert len(story.events("subscription.renewed", customer)) == 10, "April to January"

    story.advance_to(ends)
    assert len(story.events("contract.renewed", customer)) == 1
    assert len(story.events("subscription.renewed", customer)) == 12
    renewed = story.subscription(subscription["id"])
    assert renewed["status"] == "active"
    same_instant(renewed["contract"]["ends_at"], datetime(2043, 3, 15, 10, tzinfo=UTC))
    boundaries = [instant(event["created_at"]) for event in story.events("subscription.renewed", customer)]
    assert {(at.day, at.hour) for at in boundaries} == {(15, 10)}


def test_s5_contract_without_renewal_ends(story: Story) -> None:
    story.freeze(BEGIN)
    contract = {"term_interval": "month", "term_count": 2, "auto_renew": False}
    _, variant = postpaid(story, contract=contract)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)
    story.advance_to(datetime(2041, 5, 15, 10, tzinfo=UTC))
    assert story.subscription(subscription["id"])["status"] == "canceled"
    assert len(story.events("contract.ended", customer)) == 1
