"""The test clock: freeze, advance, release, reset; what runs, and that one jump is many steps."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.api.stories import Json, Story, answer, instant, pages, refused, same_instant, wire

BEGIN = datetime(2041, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def day_plan(story: Story, key: str = "daily", **terms: Any) -> str:
    plan = story.plan(key)
    variant = story.variant(plan, billing_mode="postpaid", interval="day", **terms)
    story.template(plan, variant, 1_000)
    return variant


def test_reads_and_freezes(story: Story) -> None:
    free = answer(story.api.get("/v1/test-clock"), 200)
    assert free["frozen"] is False
    frozen = answer(story.api.post("/v1/test-clock", {"frozen_at": wire(BEGIN)}), 200)
    assert (frozen["frozen"], frozen["ran"]) == (True, [])
    same_instant(frozen["now"], BEGIN)
    assert story.now() == BEGIN


def test_never_goes_back(story: Story) -> None:
    story.freeze(BEGIN)
    before = {"frozen_at": wire(BEGIN - DAY)}
    refused(story.api.post("/v1/test-clock", before), 409, "conflict")
    refused(story.api.post("/v1/test-clock/advance", {"to": wire(BEGIN - DAY)}), 409, "conflict")
    assert story.now() == BEGIN


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"seconds": 5, "to": "2041-04-01T00:00:00Z"},
        {"seconds": -1},
        {"seconds": 6_300_000_000},
        {"to": "2300-01-01T00:00:00Z"},
        {"to": "tomorrow"},
    ],
)
def test_says_how_far_by_one_of_two(story: Story, body: Json) -> None:
    story.freeze(BEGIN)
    refused(story.api.post("/v1/test-clock/advance", body), 400, "validation-error")


def test_release_runs_on_from_where_it_stands(story: Story) -> None:
    story.freeze(BEGIN)
    released = answer(story.api.post("/v1/test-clock/release"), 200)
    assert released["frozen"] is False
    later = story.now()
    assert BEGIN <= later < BEGIN + timedelta(minutes=10)
    story.advance(days=2)
    assert BEGIN + 2 * DAY <= story.now() < BEGIN + 3 * DAY, "a running clock is moved, not frozen"


def test_live_keys_have_no_clock(story: Story, tenant: Any) -> None:
    live = story.api.with_key(tenant.live_key)
    refused(live.get("/v1/test-clock"), 403, "insufficient-scope")
    refused(live.post("/v1/test-clock", {"frozen_at": wire(BEGIN)}), 403, "insufficient-scope")
    refused(live.post("/v1/test-clock/advance", {"seconds": 1}), 403, "insufficient-scope")
    refused(live.post("/v1/test-clock/release"), 403, "insufficient-scope")
    refused(live.post("/v1/test/reset"), 403, "insufficient-scope")


def test_reports_what_ran_in_time_order_over_customers(story: Story) -> None:
    story.freeze(BEGIN)
    variant = day_plan(story)
    customers = [story.customer() for _ in range(4)]
    for customer in customers:
        story.subscribe(customer, variant)
        story.advance(hours=1)
    ran = story.advance(days=3)["ran"]
    keys = [(instant(row["at"]), row["customer_id"]) for row in ran]
    assert keys == sorted(keys)
    boundaries = [row for row in ran if row["kind"] == "subscription_period_end"]
    assert len(boundaries) == 3 * len(customers)


def test_the_same_key_moves_once(story: Story) -> None:
    story.freeze(BEGIN)
    customer = story.customer()
    story.subscribe(customer, day_plan(story))
    first = story.post("/v1/test-clock/advance", {"seconds": 86_400}, key="step-1")
    again = story.post("/v1/test-clock/advance", {"seconds": 86_400}, key="step-1")
    assert answer(first, 200) == answer(again, 200)
    assert len(first.json["ran"]) == 1
    assert story.now() == BEGIN + DAY


def test_without_sweep_only_the_clock_moves(story: Story) -> None:
    story.freeze(BEGIN)
    customer = story.customer()
    story.subscribe(customer, day_plan(story))
    assert story.advance(days=2, sweep=False)["ran"] == []
    assert story.balance(customer) == 1_000
    (block,) = story.live_blocks(customer)
    same_instant(block["created_at"], BEGIN + 2 * DAY)


def test_freezing_ahead_runs_what_is_due(story: Story) -> None:
    story.freeze(BEGIN)
    customer = story.customer()
    story.subscribe(customer, day_plan(story))
    body = {"frozen_at": wire(BEGIN + 2 * DAY)}
    assert len(answer(story.api.post("/v1/test-clock", body), 200)["ran"]) == 2


def told_of(story: Story, customer: str) -> str:
    """Ledger and events as text, each id replaced by the order in which it first appears.

    Hashes and keys cover the ids; everything else, every instant and amount, stays as it is.
    """
    hidden = {"hash", "request_id", "idempotency_key", "tenant_id", "environment_id"}
    rows = [*story.ledger(customer), *story.events(customer=customer)]
    text = json.dumps([{key: value for key, value in row.items() if key not in hidden} for row in rows])
    seen: dict[str, str] = {}
    return re.sub(
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda m: seen.setdefault(m[0], f"#{len(seen)}"), text
    )


def two_years_begin(story: Story) -> str:
    story.freeze(BEGIN)
    plan = story.plan("main")
    contract = {"term_interval": "month", "term_count": 7}
    variant = story.variant(plan, billing_mode="postpaid", contract=contract)
    # No two blocks expire at one instant: their order there is that of their ids, which differ.
    story.template(plan, variant, 10_000)
    story.template(plan, variant, 70, recurrence="interval", interval_seconds=5 * 86_400 + 3_600)
    customer = story.customer("user")
    story.subscribe(customer, variant)
    return customer


@pytest.mark.slow
def test_two_years_in_one_call_are_two_years_day_by_day(story: Story) -> None:
    """Lived in one jump, and again after a reset in 731 steps: ledgers and events agree to the byte."""
    jumper = two_years_begin(story)
    ran = story.advance(days=731)["ran"]
    jumped = told_of(story, jumper)
    story.verify(jumper)

    answer(story.api.post("/v1/test/reset"))
    walker = two_years_begin(story)
    steps: list[Json] = []
    for _ in range(731):
        steps += story.advance(days=1)["ran"]
    assert told_of(story, walker) == jumped
    story.verify(walker)
    assert [(row["at"], row["kind"]) for row in steps] == [(row["at"], row["kind"]) for row in ran]
    assert len([row for row in ran if row["kind"] == "subscription_period_end"]) == 24


def test_reset_gives_an_empty_environment(story: Story) -> None:
    story.freeze(BEGIN)
    customer = story.customer()
    answer(story.api.post("/v1/test/reset"))
    assert answer(story.api.get("/v1/test-clock"), 200)["frozen"] is False
    assert list(pages(story.api, "/v1/plans")) == []
    refused(story.api.get(f"/v1/customers/{customer}"), 404, "customer-not-found")
    story.freeze(BEGIN)
    story.customer()
