"""S3 SaaS subscription: four kinds of credits, and the order in which they burn."""

from datetime import UTC, datetime, timedelta

from tests.api.stories import Story, answer, same_instant, wire

BEGIN = datetime(2041, 1, 10, 10, tzinfo=UTC)
SECOND = datetime(2041, 2, 10, 10, tzinfo=UTC)
THIRD = datetime(2041, 3, 10, 10, tzinfo=UTC)


def subscribed(story: Story) -> tuple[str, str]:
    """A customer on 10,000,000 a month, half of what is left rolls over; and the subscription."""
    story.freeze(BEGIN)
    story.priced("spend", 1)
    plan = story.plan("saas")
    variant = story.variant(plan)
    story.template(plan, variant, 10_000_000, priority=0, rollover_percentage=50)
    customer = story.customer()
    return customer, story.subscribe(customer, variant)["id"]


def renew_at(story: Story, subscription: str, boundary: datetime) -> None:
    story.advance_to(boundary - timedelta(hours=1))
    renewed = answer(story.trigger(subscription, "renew"), 200)
    same_instant(renewed["paid_through"], _next(boundary))
    story.advance_to(boundary)


def _next(boundary: datetime) -> datetime:
    return boundary.replace(month=boundary.month + 1)


def test_s3_burn_order(story: Story) -> None:
    customer, subscription = subscribed(story)
    story.used(customer, "spend", 6_000_000)
    renew_at(story, subscription, SECOND)
    wallet = story.grant(customer, 1_000_000, source="topup", priority=10)["block"]
    pack = {"source": "topup", "priority": 5, "expires_at": wire(SECOND + timedelta(days=90))}
    packed = story.grant(customer, 5_000_000, **pack)["block"]

    cycle, rollover, third, fourth = story.live_blocks(customer)
    assert (cycle["source"], cycle["priority"], cycle["remaining_amount"]) == ("plan_grant", 0, 10_000_000)
    assert (rollover["source"], rollover["priority"], rollover["remaining_amount"]) == (
        "rollover",
        5,
        2_000_000,
    )
    same_instant(cycle["expires_at"], THIRD)
    same_instant(rollover["expires_at"], THIRD)
    assert (third["id"], fourth["id"]) == (packed["id"], wallet["id"])

    used = story.used(customer, "spend", 13_500_000)
    assert used["blocks"] == [
        {"block_id": cycle["id"], "amount": 10_000_000},
        {"block_id": rollover["id"], "amount": 2_000_000},
        {"block_id": packed["id"], "amount": 1_500_000},
    ]
    assert used["balance"] == 4_500_000
    story.verify(customer)


def test_s3_renewal_rolls_half_of_what_is_left(story: Story) -> None:
    customer, subscription = subscribed(story)
    (first,) = story.live_blocks(customer)
    story.used(customer, "spend", 10_000_000 - 3_000_001)
    renew_at(story, subscription, SECOND)
    cycle, rollover = story.live_blocks(customer)
    assert rollover["remaining_amount"] == 1_500_000
    assert rollover["rolled_from_block_id"] == first["id"]
    assert cycle["remaining_amount"] == 10_000_000
    account = story.account(customer)
    assert account["balance"] == 11_500_000
    assert account["lifetime_earned"] == 20_000_000, "rollover is not counted twice"
    assert account["lifetime_expired"] == 1_500_001
    entries = [(entry["type"], entry["delta"]) for entry in story.ledger(customer)][2:]
    boundary = [
        ("rollover_out", -1_500_000),
        ("expire", -1_500_001),
        ("rollover_in", 1_500_000),
        ("grant", 10_000_000),
    ]
    assert entries == boundary
    story.verify(customer)


def test_s3_rollover_does_not_roll_again(story: Story) -> None:
    customer, subscription = subscribed(story)
    renew_at(story, subscription, SECOND)
    assert story.balance(customer) == 15_000_000
    renew_at(story, subscription, THIRD)
    amounts = [(block["source"], block["remaining_amount"]) for block in story.live_blocks(customer)]
    assert amounts == [("plan_grant", 10_000_000), ("rollover", 5_000_000)]
    story.verify(customer)


def test_s3_paying_twice_inside_the_window_is_refused(story: Story) -> None:
    _, subscription = subscribed(story)
    story.advance_to(SECOND - timedelta(days=1))
    answer(story.trigger(subscription, "renew"), 200)
    again = story.trigger(subscription, "renew")
    assert again.status == 409
    assert again.json["type"].endswith("/subscription-state-conflict")
