"""Where two rules of credits.md meet: found by random lives, told here as short stories."""

from datetime import timedelta

from tests.api.stories import START, Story, answer, instant, wire


def month(story: Story, **terms: object) -> tuple[str, str]:
    """A customer on a plan of 1,000 credits a cycle, and the subscription."""
    story.freeze()
    story.priced("look", 1_000)
    plan = story.plan("plan")
    variant = story.variant(plan, **{"billing_mode": "postpaid", "overage_policy": "block", **terms})
    story.template(plan, variant, 1_000)
    customer = story.customer()
    return customer, story.subscribe(customer, variant)["id"]


def assert_nothing_expired_is_live(story: Story, customer: str) -> None:
    """Expiry takes effect at `expires_at` exactly; there are no holds here that could keep a rest."""
    now = story.now()
    live = story.live_blocks(customer)
    over = [
        block for block in live if block["expires_at"] is not None and instant(block["expires_at"]) <= now
    ]
    assert over == []


def test_refund_to_a_plans_block_ends_at_the_blocks_own_expiry(story: Story) -> None:
    """The plan was canceled and taken up again: its periods end at other instants than the old block."""
    customer, subscription = month(story)
    usage = story.used(customer, "look")["id"]
    story.advance(seconds=100)
    answer(story.trigger(subscription, "cancel", when="now"), 200)
    story.advance(hours=1)
    answer(story.trigger(subscription, "reactivate"), 200)
    answer(story.post(f"/v1/usage/{usage}/reverse"), 200)
    assert story.balance(customer) == 2_000
    story.advance_to(START.replace(month=4))
    assert_nothing_expired_is_live(story, customer)
    story.verify(customer)


def test_refund_to_a_block_spent_in_a_pause_ends_some_day(story: Story) -> None:
    """The block was spent while it stood still; what comes back to it after the pause has an end again."""
    customer, subscription = month(story)
    answer(story.trigger(subscription, "pause"), 200)
    usage = story.used(customer, "look")["id"]
    story.advance(days=40)
    answer(story.trigger(subscription, "resume"), 200)
    answer(story.post(f"/v1/usage/{usage}/reverse"), 200)
    assert story.balance(customer) == 1_000
    assert_nothing_expired_is_live(story, customer)
    story.advance(days=32)
    assert_nothing_expired_is_live(story, customer)
    story.verify(customer)


def test_a_commit_never_takes_what_another_hold_needs(story: Story) -> None:
    """A kept rest pays for its own holds only, so its hold must not spend what a later hold stands on."""
    story.freeze()
    customer = story.customer()
    story.grant(customer, 60, priority=10, expires_at=wire(START + timedelta(seconds=60)))
    first = answer(
        story.post("/v1/reserve", {"customer_id": customer, "credits": 60, "ttl_seconds": 3_600}), 201
    )
    story.advance(seconds=60)
    assert story.balance(customer) == 60, "the hold keeps what it needs"
    story.grant(customer, 60, priority=0)
    second = answer(
        story.post("/v1/reserve", {"customer_id": customer, "credits": 60, "ttl_seconds": 3_600}), 201
    )
    assert story.effective(customer) == 0
    answer(story.post(f"/v1/reserve/{first['id']}/commit"), 200)
    account = story.account(customer)
    assert (account["effective_balance"], account["overdraft"]) == (0, 0), "the second hold is still covered"
    answer(story.post(f"/v1/reserve/{second['id']}/commit"), 200)
    account = story.account(customer)
    assert (account["balance"], account["overdraft"]) == (0, 0), "nobody overspends under the policy block"
    story.verify(customer)


def test_overdraft_is_settled_when_a_late_renewal_brings_credits(story: Story) -> None:
    """One renewal pays a period that is over already: its credits live on in the grace, and settle at once."""
    customer, subscription = month(story, billing_mode="prepaid", interval="day", overage_policy="allow")
    plan_credits = 1_000
    story.used(customer, "look", 1)
    adjust = {"delta": -5_000, "reason": "debt", "allow_negative": True}
    answer(story.post(f"/v1/customers/{customer}/credits/adjust", adjust))
    assert story.account(customer)["overdraft"] == 5_000
    story.advance(days=3)
    assert story.subscription(subscription)["status"] == "overdue"
    answer(story.trigger(subscription, "renew"), 200)
    account = story.account(customer)
    assert account["balance"] == plan_credits - 5_000
    assert account["overdraft"] == 5_000 - plan_credits, "free credits beside an overdraft"
    story.verify(customer)
