"""Quota tiers with a memory, met by many callers at once on two servers."""

from collections import Counter

import pytest
from tests.api.stories import START, Story, answer, at_once

CALLERS = 48


def tiers(*last: dict[str, object]) -> dict[str, object]:
    first = {"up_to": 20, "level": "Normal", "policy": "NotifyOnly"}
    return {"quota": {"period": "month", "tiers": [first, *last]}}


def hammer(both: list[Story], customer: str, count: int = CALLERS) -> Counter[int]:
    calls = [lambda story=both[number % 2]: story.use(customer, "job") for number in range(count)]
    return Counter(response.status for response in at_once(calls))


def test_suspension_happens_once(both: list[Story]) -> None:
    first, second = both
    first.metric("job")
    customer = first.customer()
    first.override(customer, "job", tiers({"up_to": None, "level": "OverUsage", "policy": "SuspendUsage"}))
    assert hammer(both, customer) == {201: 20, 403: CALLERS - 20}
    assert first.asset(customer, "job")["value"] == 20
    assert second.check(customer, "job", consistency="strong")["reason"] == "suspended"
    assert len(first.events("asset.suspended", customer)) == 1
    assert len(first.events("quota.level_changed", customer)) == 1


@pytest.mark.parametrize(("grace", "passes"), [({"grace_units": 7}, 27), ({"grace_seconds": 5}, CALLERS)])
def test_a_grace_is_exact(both: list[Story], grace: dict[str, int], passes: int) -> None:
    first, _ = both
    first.freeze(START)
    first.metric("job")
    customer = first.customer()
    tier = {"up_to": None, "level": "Critical", "policy": "AllowWithGrace", **grace}
    first.override(customer, "job", tiers(tier))
    found = hammer(both, customer)
    assert found == Counter({201: passes, 403: CALLERS - passes}) - Counter()
    first.advance(seconds=5)
    assert hammer(both, customer, 4) == {403: 4}
    told = [
        event["data"].get("grace_ended", False) for event in first.events("quota.level_changed", customer)
    ]
    assert told == [False, True]


def test_a_bucket_refills_exactly_between_rushes(both: list[Story]) -> None:
    first, _ = both
    first.freeze(START)
    first.metric("job")
    customer = first.customer()
    rate = {"units": 3, "seconds": 2, "burst": 10}
    tier = {"up_to": None, "level": "Normal", "policy": "RateLimit", "rate": rate}
    answer(first.api.put(f"/v1/customers/{customer}/entitlements/job", {"value": {"quota": {
        "period": "month", "tiers": [tier],
    }}}))  # fmt: skip
    assert hammer(both, customer) == {201: 10, 429: CALLERS - 10}
    for seconds, refilled in ((1, 1), (1, 2), (3, 4), (1, 2), (60, 10)):
        first.advance(seconds=seconds)
        assert hammer(both, customer)[201] == refilled
