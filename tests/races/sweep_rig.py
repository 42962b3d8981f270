"""Several servers sweep the same boundaries at once: each boundary runs once, nothing is missing."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from tests.api.stories import Story, answer, instant, pages
from tests.races.servers import wait_until

BEGIN = datetime(2041, 6, 1, 8, tzinfo=UTC)


def sweep_together(stories: list[Story], *, subscriptions: int, boundaries: int) -> int:
    """Let daily boundaries of many subscriptions fall due at once; returns how many ran."""
    first = stories[0]
    first.freeze(BEGIN)
    plan = first.plan("daily")
    variant = first.variant(plan, billing_mode="postpaid", interval="day")
    first.template(plan, variant, 1_000, rollover_percentage=50)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: subscribe(stories, variant, number), range(subscriptions)))

    end = BEGIN + timedelta(days=boundaries)
    first.advance(days=boundaries, sweep=False)
    wait_until(
        lambda: all_stand_at(first, end),
        "every subscription stands at the last boundary",
        timeout_seconds=300,
    )

    expected = [BEGIN + timedelta(days=day) for day in range(1, boundaries + 1)]
    told: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for event in first.events("subscription.renewed"):
        key = (event["customer_id"], event["created_at"])
        assert key not in seen, "a boundary ran twice"
        seen.add(key)
        told[event["customer_id"]] += 1
        assert instant(event["created_at"]) in expected
    assert len(told) == subscriptions
    assert set(told.values()) == {boundaries}
    for customer in sorted(told)[:: max(1, subscriptions // 20)]:
        grants = [entry for entry in first.ledger(customer) if entry["type"] == "grant"]
        assert [instant(entry["occurred_at"]) for entry in grants] == [BEGIN, *expected]
        assert first.balance(customer) == 1_500
        first.verify(customer)
    return len(seen)


def subscribe(stories: list[Story], variant: str, number: int) -> None:
    """One more subscriber, through one of the servers."""
    body = {"external_customer_id": f"user_{number}", "plan_variant_id": variant}
    answer(stories[number % len(stories)].api.post("/v1/subscriptions", body), 201)


def all_stand_at(story: Story, end: datetime) -> bool:
    """Whether every subscription has begun the period at ``end``, in what was written."""
    return all(instant(row["current_period_start"]) == end for row in pages(story.api, "/v1/subscriptions"))
