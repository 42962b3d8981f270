"""S12 Down for a week: every missed boundary runs once, in order, at its own time.

The clock is moved without the sweep, which is what a server that was off looks like from inside;
tests/races/test_http_kills.py does the same with a server that is really off.
"""

from datetime import UTC, datetime, timedelta

from tests.api.stories import Story, instant

BEGIN = datetime(2041, 6, 1, 8, tzinfo=UTC)
DAYS = [BEGIN + timedelta(days=day) for day in range(8)]


def day_plan(story: Story) -> str:
    story.freeze(BEGIN)
    plan = story.plan("daily")
    variant = story.variant(plan, billing_mode="postpaid", interval="day")
    story.template(plan, variant, 1_000)
    return variant


def assert_seven_boundaries(story: Story, customer: str) -> None:
    renewed = story.events("subscription.renewed", customer)
    assert [instant(event["created_at"]) for event in renewed] == DAYS[1:]
    sequences = [event["sequence"] for event in story.events(customer=customer)]
    assert sequences == list(range(1, len(sequences) + 1))
    grants = [entry for entry in story.ledger(customer) if entry["type"] == "grant"]
    assert [instant(entry["occurred_at"]) for entry in grants] == DAYS
    expired = [entry for entry in story.ledger(customer) if entry["type"] == "expire"]
    assert [(instant(entry["occurred_at"]), entry["delta"]) for entry in expired] == [
        (at, -1_000) for at in DAYS[1:]
    ]
    (block,) = story.live_blocks(customer)
    assert block["remaining_amount"] == 1_000
    assert instant(block["expires_at"]) == BEGIN + timedelta(days=8)
    story.verify(customer)


def test_s12_a_week_in_one_step(story: Story) -> None:
    variant = day_plan(story)
    customer = story.customer()
    story.subscribe(customer, variant)
    ran = story.advance(days=7)["ran"]
    assert {row["customer_id"] for row in ran} == {customer}
    assert sorted({instant(row["at"]) for row in ran}) == DAYS[1:]
    assert_seven_boundaries(story, customer)


def test_s12_a_week_found_by_the_next_command(story: Story) -> None:
    variant = day_plan(story)
    customer = story.customer()
    story.subscribe(customer, variant)
    story.advance(days=7, sweep=False)
    story.grant(customer, 5)
    grants = [entry["delta"] for entry in story.ledger(customer) if entry["type"] == "grant"]
    assert grants == [1_000] * 8 + [5]
    assert len(story.events("subscription.renewed", customer)) == 7
    story.verify(customer)
