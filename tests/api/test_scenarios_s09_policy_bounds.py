"""S9, every policy at its bound: one below, on it, one above; and at the first and last microsecond of a period."""

from datetime import timedelta
from typing import Any

import pytest
from tests.api.stories import START, Story, answer, instant, refused, same_instant, wire

BOUND = 100
END = START.replace(month=4)
MICROSECOND = timedelta(microseconds=1)


def tier(policy: str, **more: Any) -> dict[str, Any]:
    return {"up_to": None, "level": "Critical", "policy": policy, **more}


POLICIES: dict[str, dict[str, Any]] = {
    "NotifyOnly": tier("NotifyOnly"),
    "AllowWithOverage": tier("AllowWithOverage"),
    "AllowWithGrace": tier("AllowWithGrace", grace_units=10),
    "RateLimit": tier("RateLimit", rate={"units": 1, "seconds": 10, "burst": 5}),
    "Deny": tier("Deny"),
    "SuspendUsage": tier("SuspendUsage", resume="manual"),
}


def limited(story: Story, last: dict[str, Any], *, period: str = "month") -> str:
    story.freeze(START + timedelta(days=1))
    customer = story.customer()
    story.metric("calls")
    first = {"up_to": BOUND, "level": "Normal", "policy": "NotifyOnly"}
    quota = {"period": period, "alignment": "calendar", "tiers": [first, last]}
    story.override(customer, "calls", {"quota": quota})
    return customer


@pytest.mark.parametrize("policy", list(POLICIES))
def test_below_and_on_the_bound_everything_passes(story: Story, policy: str) -> None:
    customer = limited(story, POLICIES[policy])
    story.used(customer, "calls", BOUND - 1)
    story.used(customer, "calls", 1)
    asset = story.asset(customer, "calls")
    assert (asset["value"], asset["level"], asset["overage_units"]) == (BOUND, "Normal", 0)


@pytest.mark.parametrize(
    ("policy", "status", "slug", "value"),
    [
        ("NotifyOnly", 201, None, BOUND + 1),
        ("AllowWithOverage", 201, None, BOUND + 1),
        ("AllowWithGrace", 201, None, BOUND + 1),
        ("RateLimit", 201, None, BOUND + 1),
        ("Deny", 403, "quota-exceeded", BOUND),
        ("SuspendUsage", 403, "asset-suspended", BOUND),
    ],
)
def test_one_above_the_bound(story: Story, policy: str, status: int, slug: str | None, value: int) -> None:
    customer = limited(story, POLICIES[policy])
    story.used(customer, "calls", BOUND)
    check = story.check(customer, "calls")
    assert check["allowed"] is (status == 201)
    response = story.use(customer, "calls")
    if slug is None:
        answer(response, 201)
    else:
        refused(response, status, slug)
    asset = story.asset(customer, "calls")
    assert asset["value"] == value
    assert asset["suspended"] is (policy == "SuspendUsage")
    assert asset["overage_units"] == (1 if policy == "AllowWithOverage" else 0)


def test_grace_in_units_ends_exactly(story: Story) -> None:
    customer = limited(story, POLICIES["AllowWithGrace"])
    story.used(customer, "calls", BOUND + 9)
    refused(story.use(customer, "calls", 2), 403, "quota-exceeded")
    story.used(customer, "calls", 1)
    refused(story.use(customer, "calls"), 403, "quota-exceeded")
    ended = [
        event for event in story.events("quota.level_changed", customer) if event["data"].get("grace_ended")
    ]
    assert len(ended) == 1


def test_grace_in_seconds_ends_exactly(story: Story) -> None:
    customer = limited(story, tier("AllowWithGrace", grace_seconds=60))
    story.used(customer, "calls", BOUND + 1)
    story.advance(seconds=59)
    story.used(customer, "calls")
    story.advance(seconds=1)
    refused(story.use(customer, "calls"), 403, "quota-exceeded")
    assert story.asset(customer, "calls")["value"] == BOUND + 2


def test_rate_limit_gives_tokens_back_exactly(story: Story) -> None:
    customer = limited(story, POLICIES["RateLimit"])
    story.used(customer, "calls", BOUND)
    refused(story.use(customer, "calls", 6), 403, "quota-exceeded")
    story.used(customer, "calls", 5)
    problem = story.use(customer, "calls", 2)
    refused(problem, 429, "quota-rate-limited")
    assert problem.headers["retry-after"] == "20"
    story.advance(seconds=19)
    assert story.use(customer, "calls", 2).status == 429
    story.advance(seconds=1)
    story.used(customer, "calls", 2)
    assert story.use(customer, "calls").status == 429


@pytest.mark.parametrize("resume", ["manual", "next_period"])
def test_suspension_lasts_as_long_as_it_says(story: Story, resume: str) -> None:
    customer = limited(story, tier("SuspendUsage", resume=resume))
    refused(story.use(customer, "calls", BOUND + 1), 403, "asset-suspended")
    refused(story.use(customer, "calls", 0), 403, "asset-suspended")
    assert story.check(customer, "calls")["reason"] == "suspended"
    assert len(story.events("asset.suspended", customer)) == 1
    story.advance_to(END)
    if resume == "manual":
        refused(story.use(customer, "calls"), 403, "asset-suspended")
        answer(story.post(f"/v1/customers/{customer}/assets/calls/resume"))
    story.used(customer, "calls")
    assert len(story.events("asset.resumed", customer)) == 1


@pytest.mark.parametrize("period", ["day", "week", "month", "year"])
def test_first_and_last_microsecond_of_a_period(story: Story, period: str) -> None:
    customer = limited(story, POLICIES["Deny"], period=period)
    asset = story.asset(customer, "calls")
    begins = {"day": 2, "week": 25, "month": 1, "year": 1}[period]
    assert asset["period_start"].startswith({"week": "2041-02", "year": "2041-01"}.get(period, "2041-03"))
    assert int(asset["period_start"][8:10]) == begins
    end = asset["period_end"]
    story.used(customer, "calls", BOUND)
    last = story.api.post("/v1/test-clock/advance", {"to": _before(end)})
    answer(last)
    problem = refused(story.use(customer, "calls"), 403, "quota-exceeded")
    assert problem["resets_at"] == asset["resets_at"]
    answer(story.api.post("/v1/test-clock/advance", {"to": end}))
    story.used(customer, "calls", BOUND)
    asset = story.asset(customer, "calls")
    assert asset["value"] == BOUND
    assert asset["period_start"] == end
    rows = answer(story.api.get(f"/v1/customers/{customer}/assets/calls/history"), 200)["data"]
    assert [row["value"] for row in rows] == [BOUND]


def _before(end: str) -> str:
    return wire(instant(end) - MICROSECOND)


def test_anniversary_counts_from_the_customers_creation(story: Story) -> None:
    created = START + timedelta(days=30, hours=10)
    story.freeze(created)
    customer = story.customer()
    story.metric("calls")
    tiers = [{"up_to": None, "level": "Normal", "policy": "NotifyOnly"}]
    quota = {"period": "month", "alignment": "anniversary", "tiers": tiers}
    story.override(customer, "calls", {"quota": quota})
    asset = story.asset(customer, "calls")
    same_instant(asset["period_start"], created)
    same_instant(asset["period_end"], created.replace(month=4, day=30))
    story.advance_to(created.replace(month=4, day=30))
    same_instant(story.asset(customer, "calls")["period_end"], created.replace(month=5, day=31))
