"""Subscriptions through HTTP: triggers and refusals, dry runs, timeline, lists, usage over changing periods."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.api.stories import Json, Story, answer, instant, pages, refused, same_instant, wire

BEGIN = datetime(2041, 3, 1, tzinfo=UTC)
APRIL = datetime(2041, 4, 1, tzinfo=UTC)
MAY = datetime(2041, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NOBODY = "0190a000-0000-7000-8000-00000000dead"


def month(story: Story, key: str = "month", credits_mc: int = 10_000, **terms: Any) -> str:
    plan_terms = {"family": terms.pop("family")} if "family" in terms else {}
    plan = story.plan(key, **plan_terms)
    variant = story.variant(plan, **terms)
    story.template(plan, variant, credits_mc)
    return variant


def kinds(story: Story, customer: str) -> list[str]:
    return [
        event["type"].removeprefix("subscription.")
        for event in story.events(customer=customer)
        if event["type"].startswith(("subscription.", "contract."))
    ]


def test_object_and_reads(story: Story) -> None:
    story.freeze(BEGIN)
    variant = month(story)
    body = {"external_customer_id": "new@user", "plan_variant_id": variant, "metadata": {"seat": 4}}
    made = answer(story.api.post("/v1/subscriptions", body), 201)
    assert made["external_customer_id"] == "new@user", "an unknown external customer is created"
    assert (made["status"], made["billing_mode"], made["metadata"]) == ("active", "prepaid", {"seat": 4})
    assert (made["cancel_at_period_end"], made["grandfathered"]) == (False, False)
    for name, at in {
        "anchor_at": BEGIN,
        "current_period_start": BEGIN,
        "current_period_end": APRIL,
        "paid_through": APRIL,
        "renewal_due_at": APRIL - 3 * DAY,
        "created_at": BEGIN,
    }.items():
        same_instant(made[name], at)
    assert not {"trial_ends_at", "grace_ends_at", "ended_at", "contract", "effects"} & made.keys()
    read = story.subscription(made["id"])
    assert {**read, "version": 0} == {**made, "version": 0}
    refused(story.api.get(f"/v1/subscriptions/{NOBODY}"), 404, "not-found")


def test_create_faults(story: Story) -> None:
    story.freeze(BEGIN)
    variant = month(story)
    customer = story.customer()
    body = {"customer_id": customer, "plan_variant_id": variant}
    post = story.api.post
    refused(post("/v1/subscriptions", {**body, "starts_at": wire(APRIL)}), 400, "validation-error")
    refused(post("/v1/subscriptions", {**body, "trial_days": -1}), 400, "validation-error")
    refused(post("/v1/subscriptions", {**body, "plan_variant_id": NOBODY}), 404, "not-found")
    refused(post("/v1/subscriptions", {**body, "customer_id": NOBODY}), 404, "customer-not-found")
    refused(post("/v1/subscriptions", {"plan_variant_id": variant}), 400, "customer-identifier-conflict")
    both = {**body, "external_customer_id": "user"}
    refused(post("/v1/subscriptions", both), 400, "customer-identifier-conflict")
    unknown = {"external_customer_id": "ghost", "plan_variant_id": NOBODY}
    refused(post("/v1/subscriptions", unknown), 404, "not-found")
    ghost = answer(story.api.get("/v1/customers", external_id="ghost"), 200)["data"]
    assert ghost == [], "a refused subscription leaves no customer"


def test_one_live_subscription_per_family(story: Story) -> None:
    small = month(story, "small", family="crm")
    big = month(story, "big", family="crm")
    customer = story.customer()
    first = story.subscribe(customer, small)["id"]
    body = {"customer_id": customer, "plan_variant_id": big}
    problem = refused(story.api.post("/v1/subscriptions", body), 409, "conflict")
    assert problem["subscription_id"] == first


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ("trialing", ["renew", "pause", "cancel"]),
        ("active", ["pause", "cancel", "change-plan"]),
        ("overdue", ["renew", "pause", "cancel"]),
        ("paused", ["resume", "cancel"]),
        ("canceled", ["reactivate"]),
        ("expired", ["reactivate"]),
    ],
)
def test_refusals_name_the_state_and_what_it_allows(story: Story, status: str, allowed: list[str]) -> None:
    story.freeze(BEGIN)
    variant = month(story, trial_days=14 if status == "trialing" else 0)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    if status == "paused":
        answer(story.trigger(subscription, "pause"), 200)
    elif status == "canceled":
        answer(story.trigger(subscription, "cancel", when="now"), 200)
    elif status in {"overdue", "expired"}:
        story.advance_to(APRIL + (0 if status == "overdue" else 3) * DAY)
    version = story.subscription(subscription)["version"]
    bodies: dict[str, Json] = {"change-plan": {"plan_variant_id": variant, "when": "now"}}
    for name in ("renew", "pause", "resume", "cancel", "reactivate", "change-plan"):
        if name in allowed:
            continue
        response = story.trigger(subscription, name, **bodies.get(name, {}))
        problem = refused(response, 409, "subscription-state-conflict")
        assert (problem["subscription_status"], problem["allowed_triggers"]) == (status, allowed)
    assert story.subscription(subscription)["version"] == version


def test_triggers_of_unknown_subscriptions(story: Story) -> None:
    for name in ("renew", "pause", "resume", "cancel", "reactivate"):
        refused(story.trigger(NOBODY, name), 404, "not-found")
    refused(story.trigger(NOBODY, "change-plan", plan_variant_id=NOBODY), 404, "not-found")
    refused(story.api.get(f"/v1/subscriptions/{NOBODY}/timeline"), 404, "not-found")
    refused(story.trigger("not-a-uuid", "renew"), 404, "not-found")


def test_every_trigger_can_be_tried_dry(story: Story) -> None:
    story.freeze(BEGIN)
    small, big = (
        month(story, "small", family="crm", rank=1),
        month(story, "big", 31_000, family="crm", rank=2),
    )
    customer = story.customer()
    body = {"customer_id": customer, "plan_variant_id": small, "dry_run": True}
    made = answer(story.api.post("/v1/subscriptions", body, key=""), 200)
    assert [entry["type"] for entry in made["effects"]["ledger"]] == ["grant"]
    assert list(pages(story.api, "/v1/subscriptions")) == []
    assert story.balance(customer) == 0

    subscription = story.subscribe(customer, small)["id"]
    before = (story.subscription(subscription), story.ledger(customer), story.events())
    for name, terms, told in (
        ("pause", {}, "subscription.paused"),
        ("cancel", {"when": "now"}, "subscription.canceled"),
        ("cancel", {"when": "period_end"}, "subscription.cancel_scheduled"),
        ("change-plan", {"plan_variant_id": big}, "subscription.plan_changed"),
    ):
        shown = answer(story.trigger(subscription, name, dry_run=True, **terms), 200)
        assert told in shown["effects"]["events"]
        assert (story.subscription(subscription), story.ledger(customer), story.events()) == before
    refused(story.trigger(subscription, "renew", dry_run=True), 409, "subscription-state-conflict")


def test_dry_run_of_a_new_customer_leaves_nobody(story: Story) -> None:
    body = {"external_customer_id": "ghost", "plan_variant_id": month(story), "dry_run": True}
    answer(story.api.post("/v1/subscriptions", body), 200)
    assert list(pages(story.api, "/v1/customers")) == []


def test_triggers_are_replayed(story: Story) -> None:
    story.freeze(BEGIN)
    customer = story.customer()
    subscription = story.subscribe(customer, month(story))["id"]
    path = f"/v1/subscriptions/{subscription}/pause"
    first = story.post(path, {}, key="pause:1")
    again = story.post(path, {}, key="pause:1")
    assert answer(first, 200) == answer(again, 200)
    assert again.headers["x-idempotent-replayed"] == "true"
    assert kinds(story, customer).count("paused") == 1


def test_pause_and_resume_move_the_period(story: Story) -> None:
    story.freeze(BEGIN)
    story.priced("look", 100)
    plan = story.plan("month")
    variant = story.variant(plan)
    story.template(plan, variant, 10_000)
    story.entitle(plan, variant, "look", {})
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    story.advance(days=10)
    paused = answer(story.trigger(subscription, "pause"), 200)
    same_instant(paused["paused_at"], BEGIN + 10 * DAY)
    check = story.check(customer, "look")
    assert (check["allowed"], check["reason"]) == (False, "subscription_paused")
    refused(story.use(customer, "look"), 403, "not-entitled")
    story.advance(days=100)
    assert story.balance(customer) == 10_000, "frozen credits stay"
    resumed = answer(story.trigger(subscription, "resume"), 200)
    same_instant(resumed["current_period_end"], APRIL + 100 * DAY)
    same_instant(resumed["anchor_at"], APRIL + 100 * DAY)
    assert story.used(customer, "look")["balance"] == 9_900
    (block,) = story.live_blocks(customer)
    same_instant(block["expires_at"], APRIL + 100 * DAY)
    assert [e["type"] for e in story.ledger(customer)] == ["grant", "reschedule", "reschedule", "usage"]
    story.verify(customer)


def test_pause_until(story: Story) -> None:
    story.freeze(BEGIN)
    customer = story.customer()
    subscription = story.subscribe(customer, month(story))["id"]
    refused(story.trigger(subscription, "pause", resumes_at=wire(BEGIN)), 400, "validation-error")
    answer(story.trigger(subscription, "pause", resumes_at=wire(BEGIN + 5 * DAY)), 200)
    story.advance(days=7)
    assert story.subscription(subscription)["status"] == "active"
    (resumed,) = story.events("subscription.resumed", customer)
    same_instant(resumed["created_at"], BEGIN + 5 * DAY)


def test_upgrade_prorates_and_downgrade_waits(story: Story) -> None:
    story.freeze(BEGIN)
    small = month(story, "small", family="crm", rank=1)
    big = month(story, "big", 31_000, family="crm", rank=2)
    customer = story.customer()
    subscription = story.subscribe(customer, small)["id"]
    story.advance(days=10)
    changed = answer(story.trigger(subscription, "change-plan", plan_variant_id=big), 200)
    assert changed["plan_variant_id"] == big
    assert story.balance(customer) == 21_000
    waiting = answer(story.trigger(subscription, "change-plan", plan_variant_id=small), 200)
    assert waiting["pending_plan_variant_id"] == small
    story.advance_to(APRIL - DAY)
    answer(story.trigger(subscription, "renew"), 200)
    story.advance_to(APRIL)
    after = story.subscription(subscription)
    assert after["plan_variant_id"] == small
    assert "pending_plan_variant_id" not in after
    assert story.balance(customer) == 10_000
    assert kinds(story, customer)[-2:] == ["renewed", "plan_changed"]
    story.verify(customer)


def test_reset_begins_pricing_anew(story: Story) -> None:
    story.freeze(BEGIN)
    story.metric("call")
    tiers = [{"up_to": 10, "unit_cost": 100}, {"up_to": None, "unit_cost": 10}]
    story.rule("call", cost_type="tiered", tier_mode="graduated", tiers=tiers)
    variants = []
    for key in ("one", "two"):
        plan = story.plan(key, family="crm")
        variant = story.variant(plan, billing_mode="postpaid")
        story.entitle(plan, variant, "call", {})
        variants.append(variant)
    customer = story.customer()
    subscription = story.subscribe(customer, variants[0])["id"]
    assert story.used(customer, "call", 10)["cost"] == 1_000
    story.advance(days=3)
    body = {"plan_variant_id": variants[1], "when": "now"}
    kept = answer(story.trigger(subscription, "change-plan", credits="keep", **body), 200)
    same_instant(kept["current_period_start"], BEGIN)
    assert story.used(customer, "call", 1)["cost"] == 10, "the period goes on"
    story.advance(days=3)
    body["plan_variant_id"] = variants[0]
    answer(story.trigger(subscription, "change-plan", credits="reset", **body), 200)
    (changed,) = [
        event
        for event in story.events("subscription.plan_changed", customer)
        if "usage_summary" in event["data"]
    ]
    assert changed["data"]["usage_summary"]["total_cost"] == 1_010
    assert story.account(customer)["overdraft"] == 0, "the period that was cut short is invoiced"
    assert story.used(customer, "call", 1)["cost"] == 100, "a new period begins at the first tier"
    story.verify(customer)


def test_trial_of_a_postpaid_plan(story: Story) -> None:
    story.freeze(BEGIN)
    variant = month(story, billing_mode="postpaid", trial_days=14)
    customer = story.customer()
    trial = story.subscribe(customer, variant)
    assert trial["status"] == "trialing"
    same_instant(trial["trial_ends_at"], BEGIN + 14 * DAY)
    assert story.balance(customer) == 0
    story.advance(days=14)
    active = story.subscription(trial["id"])
    assert active["status"] == "active"
    same_instant(active["anchor_at"], BEGIN + 14 * DAY)
    assert story.balance(customer) == 10_000
    assert kinds(story, customer) == ["created", "trial_ending", "activated"]


def test_timeline_shows_behind_and_ahead(story: Story) -> None:
    story.freeze(BEGIN)
    plan = story.plan("month")
    variant = story.variant(plan, contract={"term_interval": "year"})
    story.template(plan, variant, 10_000)
    tick = story.template(plan, variant, 5, recurrence="interval", interval_seconds=86_400)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    timeline = answer(story.api.get(f"/v1/subscriptions/{subscription}/timeline"), 200)
    assert [(row["trigger"], row["to"]) for row in timeline["past"]] == [("create", "active")]
    ahead = [(row["trigger"], row["to"], instant(row["at"])) for row in timeline["scheduled"]]
    assert ahead == [
        ("interval_grant", "active", BEGIN + DAY),
        ("renewal_due", "active", APRIL - 3 * DAY),
        ("period_end", "overdue", APRIL),
        ("contract_ending_soon", "active", datetime(2042, 1, 30, tzinfo=UTC)),
        ("contract_end", "active", datetime(2042, 3, 1, tzinfo=UTC)),
    ]
    assert timeline["scheduled"][0]["grant_template_id"] == tick
    story.advance_to(APRIL - DAY)
    answer(story.trigger(subscription, "renew"), 200)
    answer(story.trigger(subscription, "cancel", when="period_end"), 200)
    timeline = answer(story.api.get(f"/v1/subscriptions/{subscription}/timeline"), 200)
    ends = {row["trigger"]: row["to"] for row in timeline["scheduled"]}
    assert ends["period_end"] == "active", "the next period is paid"
    story.advance_to(MAY)
    timeline = answer(story.api.get(f"/v1/subscriptions/{subscription}/timeline"), 200)
    assert (timeline["status"], timeline["scheduled"]) == ("canceled", [])
    assert [row["trigger"] for row in timeline["past"]] == [
        "create", "renew", "cancel_at_period_end", "period_end", "period_end",
    ]  # fmt: skip


def test_lists_filter_and_page(story: Story) -> None:
    story.freeze(BEGIN)
    one, two = month(story, "one"), month(story, "two", billing_mode="postpaid")
    customers = [story.customer() for _ in range(3)]
    for customer in customers:
        story.subscribe(customer, one)
    story.subscribe(customers[0], two)
    everything = list(pages(story.api, "/v1/subscriptions"))
    assert len(everything) == 4
    first = answer(story.api.get("/v1/subscriptions", limit=3, order="asc"), 200)
    cursor = first["pagination"]["next_cursor"]
    rest = answer(story.api.get("/v1/subscriptions", limit=3, order="asc", cursor=cursor), 200)
    ids = [row["id"] for row in (*first["data"], *rest["data"])]
    assert ids == [row["id"] for row in reversed(everything)]
    assert len(list(pages(story.api, "/v1/subscriptions", plan_variant_id=one))) == 3
    assert len(list(pages(story.api, "/v1/subscriptions", customer_id=customers[0]))) == 2
    story.advance_to(APRIL, sweep=False)
    overdue = list(pages(story.api, "/v1/subscriptions", customer_id=customers[1]))
    assert [row["status"] for row in overdue] == ["overdue"], "one customer's list is as of now"
    story.advance(seconds=0)
    assert len(list(pages(story.api, "/v1/subscriptions", status="overdue"))) == 3
    refused(story.api.get("/v1/subscriptions", status="late"), 400, "validation-error")
    refused(story.api.get("/v1/subscriptions", customer_id=NOBODY), 404, "customer-not-found")


def test_patch_merges_metadata_and_pins(story: Story) -> None:
    customer = story.customer()
    subscription = story.subscribe(customer, month(story), metadata={"a": 1, "b": 2})["id"]
    path = f"/v1/subscriptions/{subscription}"
    patched = answer(story.api.patch(path, {"metadata": {"a": None, "c": 3}, "grandfathered": True}), 200)
    assert (patched["metadata"], patched["grandfathered"]) == ({"b": 2, "c": 3}, True)
    refused(story.api.patch(path, {"status": "active"}), 400, "validation-error")
    assert kinds(story, customer) == ["created"]


def test_deleting_the_customer_cancels_without_fallback(story: Story) -> None:
    story.freeze(BEGIN)
    free = month(story, "free", 5, billing_mode="postpaid")
    story.configure(default_free_plan_variant_id=free)
    customer = story.customer()
    subscription = story.subscribe(customer, month(story))["id"]
    answer(story.api.delete(f"/v1/customers/{customer}"))
    ended = story.subscription(subscription)
    assert ended["status"] == "canceled"
    refused(story.trigger(subscription, "reactivate"), 404, "customer-not-found")
    assert len(list(pages(story.api, "/v1/subscriptions"))) == 1


def test_fallback_gives_way_to_a_new_subscription(story: Story) -> None:
    story.freeze(BEGIN)
    free = month(story, "free", 5, billing_mode="postpaid")
    story.configure(default_free_plan_variant_id=free)
    customer = story.customer()
    paid = month(story)
    subscription = story.subscribe(customer, paid)["id"]
    answer(story.trigger(subscription, "cancel", when="now"), 200)
    assert story.balance(customer) == 5
    story.subscribe(customer, paid)
    assert story.balance(customer) == 10_000
    live = [
        row["plan_variant_id"]
        for row in pages(story.api, "/v1/subscriptions", customer_id=customer)
        if row["status"] == "active"
    ]
    assert live == [paid]
    assert kinds(story, customer) == ["created", "canceled", "created", "canceled", "created"]
    story.verify(customer)


def test_interval_grants_through_a_week(story: Story) -> None:
    story.freeze(BEGIN)
    plan = story.plan("companion")
    variant = story.variant(plan, billing_mode="postpaid")
    story.template(
        plan, variant, 100, recurrence="interval", interval_seconds=4 * 3_600, accumulation_cap=300
    )
    customer = story.customer()
    story.subscribe(customer, variant)
    story.advance(days=1)
    assert story.balance(customer) == 100, "each grant lands when the one before expires"
    grants = [entry["occurred_at"] for entry in story.ledger(customer) if entry["type"] == "grant"]
    assert [instant(at) for at in grants] == [BEGIN + timedelta(hours=4 * n) for n in range(7)]
    story.verify(customer)


def test_a_metric_is_invoiced_by_the_subscription_that_gives_its_period(story: Story) -> None:
    """Two postpaid subscriptions of one instant list the same metric: one summary has it."""
    story.freeze(BEGIN)
    story.priced("call", 10)
    customer = story.customer()
    for key in ("one", "two"):
        plan = story.plan(key)
        variant = story.variant(plan, billing_mode="postpaid")
        story.entitle(plan, variant, "call", {})
        story.subscribe(customer, variant)
    story.used(customer, "call", 7)
    story.advance_to(APRIL)
    summaries = [e["data"]["usage_summary"] for e in story.events("subscription.renewed", customer)]
    assert sorted(summary["total_cost"] for summary in summaries) == [0, 70]
    assert sorted(summary["overage_cost"] for summary in summaries) == [0, 70]
    assert story.balance(customer) == 0
    story.verify(customer)


def test_a_metric_that_leaves_the_plan_is_invoiced_at_the_change(story: Story) -> None:
    story.freeze(BEGIN)
    story.priced("call", 10)
    story.priced("look", 100)
    customer = story.customer()
    variants = []
    for key, metrics in (("one", ("call", "look")), ("two", ("call",))):
        plan = story.plan(key, family="crm")
        variant = story.variant(plan, billing_mode="postpaid")
        for metric in metrics:
            story.entitle(plan, variant, metric, {})
        variants.append(variant)
    subscription = story.subscribe(customer, variants[0])["id"]
    story.used(customer, "call", 5)
    story.used(customer, "look", 3)
    body = {"plan_variant_id": variants[1], "when": "now", "credits": "keep"}
    answer(story.trigger(subscription, "change-plan", **body), 200)
    story.used(customer, "call", 2)
    story.advance_to(APRIL)
    (changed,) = story.events("subscription.plan_changed", customer)
    (renewed,) = story.events("subscription.renewed", customer)
    assert changed["data"]["usage_summary"]["total_cost"] == 300
    assert renewed["data"]["usage_summary"]["total_cost"] == 70
    assert renewed["data"]["usage_summary"]["overage_cost"] == 370
    story.verify(customer)


def test_a_canceled_postpaid_subscription_is_invoiced(story: Story) -> None:
    story.freeze(BEGIN)
    story.priced("call", 10)
    plan = story.plan("api")
    variant = story.variant(plan, billing_mode="postpaid")
    story.entitle(plan, variant, "call", {})
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    story.used(customer, "call", 5)
    story.advance(days=3)
    answer(story.trigger(subscription, "cancel", when="now"), 200)
    (canceled,) = story.events("subscription.canceled", customer)
    summary = canceled["data"]["usage_summary"]
    assert (summary["total_cost"], summary["overage_cost"]) == (50, 50)
    same_instant(summary["period_end"], BEGIN + 3 * DAY)
    assert story.account(customer)["overdraft"] == 0
    story.verify(customer)


def test_locked_credits_pay_for_nothing_and_checks_know_it(story: Story) -> None:
    """Overdue without usage: other metrics go on, paid by other credits only."""
    story.freeze(BEGIN)
    story.priced("call", 100)
    story.priced("other", 100)
    plan = story.plan("month")
    variant = story.variant(plan, allow_usage_while_overdue=False)
    story.template(plan, variant, 10_000)
    story.entitle(plan, variant, "call", {})
    customer = story.customer()
    story.subscribe(customer, variant)
    story.advance_to(APRIL)
    assert story.check(customer, "call")["reason"] == "subscription_overdue"
    check = story.check(customer, "other")
    assert (check["allowed"], check["reason"]) == (False, "insufficient_credits")
    refused(story.use(customer, "other"), 402, "insufficient-credits")
    refused(story.reserve(customer, "other"), 402, "insufficient-credits")
    story.grant(customer, 250)
    assert story.check(customer, "other")["allowed"] is True
    assert story.used(customer, "other", 2)["blocks"][0]["amount"] == 200
    refused(story.use(customer, "other"), 402, "insufficient-credits")
    story.verify(customer)


def test_paused_plan_credits_may_be_spent_on_what_it_does_not_govern(story: Story) -> None:
    story.freeze(BEGIN)
    story.priced("call", 100)
    story.priced("other", 100)
    plan = story.plan("month")
    variant = story.variant(plan)
    story.template(plan, variant, 1_000)
    story.entitle(plan, variant, "call", {})
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    answer(story.trigger(subscription, "pause"), 200)
    refused(story.use(customer, "call"), 403, "not-entitled")
    assert story.used(customer, "other", 3)["balance"] == 700
    story.advance(days=60)
    assert story.used(customer, "other", 3)["balance"] == 400
    answer(story.trigger(subscription, "cancel", when="now", credits="keep"), 200)
    (block,) = story.live_blocks(customer)
    same_instant(block["expires_at"], APRIL + 60 * DAY)
    story.verify(customer)


def test_holds_live_through_a_boundary(story: Story) -> None:
    """What a hold needs of the old cycle is kept for it, and is no new charge's."""
    story.freeze(BEGIN)
    story.priced("call", 100)
    customer = story.customer()
    story.subscribe(customer, month(story, credits_mc=1_000, billing_mode="postpaid"))
    story.advance_to(APRIL - timedelta(minutes=1))
    hold = answer(story.reserve(customer, "call", 6, ttl_seconds=3_600), 201)["id"]
    story.advance_to(APRIL)
    assert story.balance(customer) == 1_600
    assert story.effective(customer) == 1_000
    answer(story.post(f"/v1/reserve/{hold}/commit", {"actual_units": 2}), 200)
    assert story.balance(customer) == 1_000, "the kept rest is gone with its hold"
    story.verify(customer)
