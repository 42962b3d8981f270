"""S9 Quota ladder: four levels on one counter, each told once, the last one refuses."""

from datetime import timedelta

from tests.api.stories import START, Story, refused, same_instant

LADDER = {
    "period": "month",
    "alignment": "calendar",
    "tiers": [
        {"up_to": 800, "level": "Normal", "policy": "NotifyOnly"},
        {"up_to": 1_000, "level": "Warning", "policy": "NotifyOnly"},
        {"up_to": 1_100, "level": "Critical", "policy": "AllowWithOverage"},
        {"up_to": None, "level": "OverUsage", "policy": "Deny"},
    ],
}
NEXT_MONTH = START.replace(month=4)


def levels(story: Story, customer: str) -> list[str]:
    """The levels that were signalled, in order, the first one left out: everyone starts there."""
    told = [event["data"]["level"] for event in story.events("quota.level_changed", customer)]
    return [level for level in told if level != "Normal"]


def ladder(story: Story) -> str:
    story.freeze(START + timedelta(days=9))
    customer = story.customer()
    story.metric("api_call", aggregation="CumulativeCounter")
    story.override(customer, "api_call", {"quota": LADDER})
    return customer


def test_s9_quota_ladder(story: Story) -> None:
    customer = ladder(story)
    for units in (799, 1):
        story.used(customer, "api_call", units)
        assert story.asset(customer, "api_call")["level"] == "Normal"
    assert levels(story, customer) == []

    story.used(customer, "api_call", 1)
    asset = story.asset(customer, "api_call")
    assert (asset["value"], asset["level"], asset["policy"]) == (801, "Warning", "NotifyOnly")
    assert levels(story, customer) == ["Warning"]
    story.used(customer, "api_call", 1)
    assert levels(story, customer) == ["Warning"], "a level is told once a period"

    story.used(customer, "api_call", 1_050 - 802)
    asset = story.asset(customer, "api_call")
    assert (asset["value"], asset["overage_units"], asset["level"]) == (1_050, 50, "Critical")
    assert levels(story, customer) == ["Warning", "Critical"]

    problem = refused(story.use(customer, "api_call", 51), 403, "quota-exceeded")
    assert (problem["metric"], problem["level"], problem["policy"]) == ("api_call", "OverUsage", "Deny")
    same_instant(problem["resets_at"], NEXT_MONTH)
    assert story.asset(customer, "api_call")["value"] == 1_050
    assert levels(story, customer) == ["Warning", "Critical", "OverUsage"]

    story.used(customer, "api_call", 50)
    assert story.asset(customer, "api_call")["overage_units"] == 100
    refused(story.use(customer, "api_call", 1), 403, "quota-exceeded")
    story.used(customer, "api_call", 0)
    assert story.asset(customer, "api_call")["value"] == 1_100
    check = story.check(customer, "api_call")
    assert (check["allowed"], check["reason"]) == (False, "quota_exceeded")
    assert check["quota"]["remaining"] == 0
    assert levels(story, customer) == ["Warning", "Critical", "OverUsage"]


def test_s9_next_month_starts_at_nothing(story: Story) -> None:
    customer = ladder(story)
    story.used(customer, "api_call", 1_100)
    assert levels(story, customer) == ["Warning", "Critical"], "each level passed is told, in order"
    asset = story.asset(customer, "api_call")
    same_instant(asset["period_start"], START)
    same_instant(asset["period_end"], NEXT_MONTH)

    story.advance_to(NEXT_MONTH)
    asset = story.asset(customer, "api_call")
    assert (asset["value"], asset["level"], asset["overage_units"]) == (0, "Normal", 0)
    (closed,) = story.events("asset.period_closed", customer)
    assert (closed["data"]["value"], closed["data"]["overage_units"]) == (1_100, 100)
    (past,) = story.api.get(f"/v1/customers/{customer}/assets/api_call/history").json["data"]
    assert (past["value"], past["overage_units"]) == (1_100, 100)

    story.used(customer, "api_call", 801)
    assert levels(story, customer) == ["Warning", "Critical", "Warning"], "and again in the next period"


def test_s9_one_event_may_not_jump_over_the_refusal(story: Story) -> None:
    customer = ladder(story)
    refused(story.use(customer, "api_call", 1_101), 403, "quota-exceeded")
    assert story.asset(customer, "api_call")["value"] == 0
    story.used(customer, "api_call", 1_100)


def test_s9_recorded_facts_are_never_refused(story: Story) -> None:
    customer = ladder(story)
    story.used(customer, "api_call", 1_500, enforcement="record")
    asset = story.asset(customer, "api_call")
    assert (asset["value"], asset["level"]) == (1_500, "OverUsage")
    refused(story.use(customer, "api_call", 1), 403, "quota-exceeded")
