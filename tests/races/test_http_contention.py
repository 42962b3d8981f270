"""Many callers want the same thing at the same time, on two servers of one database."""

from collections import Counter
from functools import partial

import pytest
from tests.api.stories import Story, answer, at_once

CALLERS = 64


def statuses(responses: list[object]) -> Counter[int]:
    return Counter(response.status for response in responses)  # type: ignore[attr-defined]


@pytest.mark.parametrize("credits_for", [0, 1, 17, 63, 64])
def test_64_reserves_and_usages_share_credits_for_k(both: list[Story], credits_for: int) -> None:
    first, _ = both
    first.priced("look", 1_000)
    customer = first.wallet(1_000 * credits_for + 999)
    calls = []
    for number in range(CALLERS):
        story = both[number % 2]
        call = story.use if number % 4 < 2 else story.reserve
        calls.append(lambda call=call: call(customer, "look"))
    responses = at_once(calls)
    assert statuses(responses) == Counter({201: credits_for, 402: CALLERS - credits_for}) - Counter(
        {201: 0, 402: 0}
    )
    account = first.account(customer)
    assert account["effective_balance"] == 999
    used = sum(1 for number, response in enumerate(responses) if response.status == 201 and number % 4 < 2)
    assert account["balance"] == 1_000 * (credits_for - used) + 999
    first.verify(customer)


def test_64_usages_of_one_block_that_expires(both: list[Story]) -> None:
    """R13, R46: one block, many consumers, on both servers: exactly what is in it is spent."""
    first, _ = both
    first.priced("look", 1_000)
    customer = first.wallet(10_000)
    calls = [lambda story=both[number % 2]: story.use(customer, "look", 1) for number in range(CALLERS)]
    assert statuses(at_once(calls)) == {201: 10, 402: CALLERS - 10}
    account = first.account(customer)
    assert (account["balance"], account["lifetime_spent"]) == (0, 10_000)
    sequences = [entry["sequence"] for entry in first.ledger(customer)]
    assert sequences == list(range(1, 12))
    first.verify(customer)


def test_64_usages_meet_a_deny_tier(both: list[Story]) -> None:
    """Quota units are never shared either."""
    first, _ = both
    first.metric("job")
    customer = first.customer()
    tiers = [
        {"up_to": 20, "level": "Normal", "policy": "NotifyOnly"},
        {"up_to": None, "level": "OverUsage", "policy": "Deny"},
    ]
    first.override(customer, "job", {"quota": {"period": "month", "alignment": "calendar", "tiers": tiers}})
    calls = []
    for number in range(CALLERS):
        story = both[number % 2]
        call = story.use if number % 4 < 2 else story.reserve
        calls.append(lambda call=call: call(customer, "job"))
    responses = at_once(calls)
    assert statuses(responses) == {201: 20, 403: CALLERS - 20}
    asset = first.asset(customer, "job")
    assert asset["value"] + asset["reserved_units"] == 20
    told = [event["data"]["level"] for event in first.events("quota.level_changed", customer)]
    assert told.count("OverUsage") == 1, "the refusal is told once a period"


def test_64_usages_meet_a_rate_limit(both: list[Story]) -> None:
    """The token bucket is exact over two processes: the clock stands, so the burst is all there is."""
    first, _ = both
    first.freeze()
    first.metric("request")
    customer = first.customer()
    rate = {"units": 1, "seconds": 60, "burst": 25}
    tiers = [{"up_to": None, "level": "Normal", "policy": "RateLimit", "rate": rate}]
    first.override(
        customer, "request", {"quota": {"period": "month", "alignment": "calendar", "tiers": tiers}}
    )
    calls = [lambda story=both[number % 2]: story.use(customer, "request") for number in range(CALLERS)]
    responses = at_once(calls)
    assert statuses(responses) == {201: 25, 429: CALLERS - 25}
    assert {response.headers.get("retry-after") for response in responses if response.status == 429} == {"60"}
    first.advance(seconds=119)
    assert statuses([first.use(customer, "request"), both[1].use(customer, "request")]) == {201: 1, 429: 1}


def test_one_hold_ends_once(both: list[Story]) -> None:
    """R34: commit, release and extend of one hold from all sides: one terminal state, one entry for it."""
    first, second = both
    first.priced("look", 1_000)
    customer = first.wallet(100_000)
    for _ in range(5):
        hold = answer(first.reserve(customer, "look", 3), 201)["id"]
        before = first.balance(customer)
        calls = []
        for story in (first, second, first, second):
            commit = partial(story.post, f"/v1/reserve/{hold}/commit", {"actual_units": 2})
            calls += [commit, partial(story.post, f"/v1/reserve/{hold}/release")]
        responses = at_once(calls)
        assert statuses(responses) == {200: 1, 409: 7}
        (won,) = [response.json for response in responses if response.status == 200]
        paid = 2_000 if won["status"] == "committed" else 0
        account = first.account(customer)
        assert (account["balance"], account["reserved_balance"]) == (before - paid, 0)
        entries = [row for row in first.ledger(customer) if row["type"] in {"commit", "release"}]
        assert entries[-1]["type"] == ("commit" if paid else "release")
    assert len([row for row in first.ledger(customer) if row["type"] in {"commit", "release"}]) == 5
    first.verify(customer)


def test_customers_are_created_once(both: list[Story]) -> None:
    """One external id, many first requests: one customer."""
    first, second = both
    path = "/v1/topup/grant"
    calls = [
        lambda story=story, number=number: story.post(
            path, {"external_customer_id": "same", "credits": number + 1}
        )
        for number, story in enumerate((first, second) * 10)
    ]
    responses = at_once(calls)
    assert statuses(responses) == {201: 20}
    assert len({response.json["account"]["customer_id"] for response in responses}) == 1
    customer = responses[0].json["account"]["customer_id"]
    assert first.balance(customer) == sum(range(1, 21))
    first.verify(customer)


def test_debits_of_many_customers_in_batches_never_deadlock(both: list[Story]) -> None:
    """P12: batches that name the same customers in opposite orders, on two servers."""
    first, _ = both
    first.priced("look", 1_000)
    customers = [first.wallet(1_000_000) for _ in range(8)]

    def batch(story: Story, order: list[str], run: int) -> object:
        events = [
            {
                "customer_id": customer,
                "billable_metric_key": "look",
                "idempotency_key": f"{run}:{customer}:{number}",
            }
            for number in range(4)
            for customer in order
        ]
        return story.post("/v1/usage/batch", {"events": events})

    calls = [
        lambda run=run: batch(both[run % 2], customers if run % 4 < 2 else customers[::-1], run)
        for run in range(16)
    ]
    assert statuses(at_once(calls)) == {201: 16}
    for customer in customers:
        assert first.balance(customer) == 1_000_000 - 16 * 4 * 1_000
        first.verify(customer)
