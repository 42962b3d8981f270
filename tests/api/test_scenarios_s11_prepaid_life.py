"""S11 Prepaid life: due, overdue, renewed in grace, expired; and boundaries that never drift."""

from datetime import UTC, datetime, timedelta

from tests.api.stories import Story, answer, instant, refused, same_instant

ANCHOR = datetime(2041, 1, 31, 10, tzinfo=UTC)
FEBRUARY = datetime(2041, 2, 28, 10, tzinfo=UTC)
MARCH = datetime(2041, 3, 31, 10, tzinfo=UTC)
APRIL = datetime(2041, 4, 30, 10, tzinfo=UTC)


def month_plan(story: Story, **terms: object) -> str:
    """A prepaid month of 30,000 credits that list `api_call` at 1,000; the variant's id."""
    story.freeze(ANCHOR)
    story.priced("api_call", 1_000)
    plan = story.plan("month")
    variant = story.variant(plan, **terms)
    story.template(plan, variant, 30_000)
    story.entitle(plan, variant, "api_call", {})
    return variant


def test_s11_prepaid_life(story: Story) -> None:
    variant = month_plan(story)
    free_plan = story.plan("free")
    free = story.variant(free_plan, billing_mode="postpaid")
    story.template(free_plan, free, 2_000)
    story.configure(default_free_plan_variant_id=free)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    assert story.balance(customer) == 30_000

    story.advance_to(FEBRUARY - timedelta(days=3, seconds=1))
    assert story.events("subscription.renewal_due", customer) == []
    story.advance(seconds=1)
    (due,) = story.events("subscription.renewal_due", customer)
    same_instant(due["created_at"], FEBRUARY - timedelta(days=3))

    story.advance_to(FEBRUARY)
    overdue = story.subscription(subscription)
    assert overdue["status"] == "overdue"
    same_instant(overdue["grace_ends_at"], FEBRUARY + timedelta(days=3))
    assert len(story.events("subscription.overdue", customer)) == 1
    check = story.check(customer, "api_call")
    assert (check["allowed"], check["subscription_status"]) == (True, "overdue")
    assert story.used(customer, "api_call", 5)["balance"] == 25_000

    story.advance(days=2)
    renewed = answer(story.trigger(subscription, "renew"), 200)
    assert renewed["status"] == "active"
    same_instant(renewed["current_period_start"], FEBRUARY)
    same_instant(renewed["current_period_end"], MARCH)
    assert story.balance(customer) == 30_000, "the old cycle's rest expired with the renewal"

    story.advance_to(MARCH)
    assert story.subscription(subscription)["status"] == "overdue"
    story.advance_to(MARCH + timedelta(days=3, seconds=-1))
    assert story.subscription(subscription)["status"] == "overdue"
    assert story.balance(customer) == 30_000
    story.advance(seconds=1)
    expired = story.subscription(subscription)
    assert expired["status"] == "expired"
    same_instant(expired["ended_at"], MARCH + timedelta(days=3))
    assert len(story.events("subscription.expired", customer)) == 1
    assert story.balance(customer) == 2_000, "only the free plan's credits are left"
    live = answer(story.api.get("/v1/subscriptions", customer_id=customer), 200)["data"]
    (fallback,) = [row for row in live if row["status"] == "active"]
    assert fallback["plan_variant_id"] == free
    same_instant(fallback["current_period_start"], MARCH + timedelta(days=3))
    story.verify(customer)


def test_s11_boundaries_come_back_to_the_anchor(story: Story) -> None:
    variant = month_plan(story)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)
    same_instant(subscription["current_period_end"], FEBRUARY)
    for boundary, following in (
        (FEBRUARY, MARCH),
        (MARCH, APRIL),
        (APRIL, datetime(2041, 5, 31, 10, tzinfo=UTC)),
    ):
        story.advance_to(boundary - timedelta(hours=2))
        answer(story.trigger(subscription["id"], "renew"), 200)
        story.advance_to(boundary)
        now = story.subscription(subscription["id"])
        same_instant(now["current_period_start"], boundary)
        same_instant(now["current_period_end"], following)
    told = [instant(event["created_at"]) for event in story.events("subscription.renewed", customer)]
    assert told == [FEBRUARY, MARCH, APRIL]
    story.verify(customer)


def test_s11_overdue_without_usage(story: Story) -> None:
    """With `allow_usage_while_overdue: false` the plan's credits cannot be spent in grace."""
    variant = month_plan(story, allow_usage_while_overdue=False)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    story.advance_to(FEBRUARY)
    check = story.check(customer, "api_call")
    assert (check["allowed"], check["reason"]) == (False, "subscription_overdue")
    refused(story.use(customer, "api_call"), 403, "not-entitled")
    story.advance(days=1)
    assert answer(story.trigger(subscription, "renew"), 200)["status"] == "active"
    story.used(customer, "api_call")
    story.verify(customer)


def test_s11_renewed_too_early_is_refused(story: Story) -> None:
    variant = month_plan(story)
    subscription = story.subscribe(story.customer(), variant)["id"]
    refused(story.trigger(subscription, "renew"), 409, "subscription-state-conflict")
    story.advance_to(FEBRUARY - timedelta(days=3))
    answer(story.trigger(subscription, "renew"), 200)


def test_s11_late_renewal_pays_one_period(story: Story) -> None:
    """A renewal in a grace longer than the period: that period's own end applies at once."""
    variant = month_plan(story, interval="day", grace_period_days=3)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    story.advance(days=3)
    assert story.subscription(subscription)["status"] == "overdue"
    renewed = answer(story.trigger(subscription, "renew"), 200)
    assert renewed["status"] == "overdue"
    same_instant(renewed["current_period_start"], ANCHOR + timedelta(days=1))
    story.verify(customer)
