"""Plans, variants and their versions, templates and entitlements, through HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.api.stories import Json, Story, answer, refused, same_instant

BEGIN = datetime(2041, 3, 1, tzinfo=UTC)
APRIL = datetime(2041, 4, 1, tzinfo=UTC)
NOBODY = "0190a000-0000-7000-8000-00000000dead"


def variant_path(plan: str, variant: str) -> str:
    return f"/v1/plans/{plan}/variants/{variant}"


def read_variant(story: Story, plan: str, variant: str, **query: Any) -> Json:
    return answer(story.api.get(variant_path(plan, variant), **query), 200)


def test_plan_is_made_read_changed_archived(story: Story) -> None:
    body = {"key": "pro", "name": "Pro", "description": "More", "metadata": {"tier": 1, "color": "red"}}
    plan = answer(story.api.post("/v1/plans", body), 201)
    assert plan["family"] == "pro"
    assert "archived_at" not in plan
    path = f"/v1/plans/{plan['id']}"
    assert answer(story.api.get(path), 200) == plan
    changed = answer(
        story.api.patch(path, {"name": "Pro 2", "description": None, "metadata": {"tier": None}})
    )
    assert (changed["name"], changed["metadata"]) == ("Pro 2", {"color": "red"})
    assert "description" not in changed
    archived = answer(story.api.patch(path, {"archived_at": "2041-01-01T00:00:00Z"}))
    assert archived["archived_at"]
    taken = refused(story.api.post("/v1/plans", {"key": "pro"}), 409, "conflict")
    assert taken["plan_id"] == plan["id"]
    refused(story.api.get(f"/v1/plans/{NOBODY}"), 404, "not-found")
    refused(story.api.get("/v1/plans/pro"), 404, "not-found")


def test_lists_are_paged_both_ways(story: Story) -> None:
    made = [story.plan(f"plan_{number}") for number in range(5)]
    first = answer(story.api.get("/v1/plans", limit=3), 200)
    assert [plan["id"] for plan in first["data"]] == made[:1:-1]
    cursor = first["pagination"]["next_cursor"]
    rest = answer(story.api.get("/v1/plans", limit=3, cursor=cursor), 200)
    assert [plan["id"] for plan in rest["data"]] == made[1::-1]
    plan = made[0]
    variant = story.variant(plan)
    templates = [story.template(plan, variant, 1_000 + number) for number in range(3)]
    path = variant_path(plan, variant) + "/credit-grants"
    page = answer(story.api.get(path, order="asc", limit=2), 200)
    assert [row["id"] for row in page["data"]] == templates[:2]
    page = answer(story.api.get(path, order="asc", limit=2, cursor=page["pagination"]["next_cursor"]), 200)
    assert [row["id"] for row in page["data"]] == templates[2:]
    assert answer(story.api.get(f"{path}/{templates[0]}"), 200)["credits"] == 1_000


def test_variant_defaults_and_terms(story: Story) -> None:
    plan = story.plan("pro")
    created = answer(story.api.post(f"/v1/plans/{plan}/variants", {"key": "monthly"}), 201)
    assert created["version"] == 1
    expected = {
        "billing_mode": "prepaid",
        "interval": "month",
        "interval_count": 1,
        "trial_days": 0,
        "renewal_due_days": 3,
        "grace_period_days": 3,
        "allow_usage_while_overdue": True,
        "contract": None,
        "credit_grants": [],
        "entitlements": {},
    }
    assert {name: created[name] for name in expected} == expected
    assert "rank" not in created
    refused(story.api.post(f"/v1/plans/{plan}/variants", {"key": "monthly"}), 409, "conflict")
    contract = {"term_interval": "year"}
    changed = answer(
        story.api.patch(variant_path(plan, created["id"]), {"rank": 3, "contract": contract}), 200
    )
    assert changed["rank"] == 3
    assert changed["contract"] == {
        "term_interval": "year",
        "term_count": 1,
        "auto_renew": True,
        "ending_soon_days": 30,
    }
    assert changed["version"] == 1, "nobody is subscribed: changed in place"
    cleared = answer(
        story.api.patch(variant_path(plan, created["id"]), {"rank": None, "contract": None}), 200
    )
    assert "rank" not in cleared
    assert cleared["contract"] is None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"interval": "year", "interval_count": 11}, "/interval_count"),
        ({"interval": "fortnight"}, "/interval"),
        ({"trial_days": -1}, "/trial_days"),
        ({"contract": {"term_interval": "month", "term_count": 121}}, "/contract/term_count"),
        ({"contract": {}}, "/contract/term_interval"),
        ({"billing_mode": "free"}, "/billing_mode"),
        ({"price": 1.5}, "/price"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_variant_faults(story: Story, body: Json, pointer: str) -> None:
    plan = story.plan("pro")
    problem = refused(
        story.api.post(f"/v1/plans/{plan}/variants", {"key": "monthly", **body}), 400, "validation-error"
    )
    assert pointer in {error["pointer"] for error in problem["errors"]}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"credits": 0}, "/credits"),
        ({"recurrence": "interval"}, "/interval_seconds"),
        ({"interval_seconds": 60}, "/interval_seconds"),
        ({"recurrence": "interval", "interval_seconds": 5}, "/interval_seconds"),
        ({"expires_after_seconds": 60, "expires_with_cycle": True}, "/expires_with_cycle"),
        ({"expires_after_seconds": 60, "rollover_percentage": 10}, "/rollover_percentage"),
        ({"recurrence": "activation", "rollover_percentage": 10}, "/rollover_percentage"),
        ({"rollover_percentage": 101}, "/rollover_percentage"),
        ({"source": "refund"}, "/source"),
    ],
)
def test_template_faults(story: Story, body: Json, pointer: str) -> None:
    plan = story.plan("pro")
    path = variant_path(plan, story.variant(plan)) + "/credit-grants"
    problem = refused(story.api.post(path, {"credits": 1_000, **body}), 400, "validation-error")
    assert pointer in {error["pointer"] for error in problem["errors"]}


def test_entitlements_are_checked_against_the_metric(story: Story) -> None:
    story.metric("seats", type="gauge")
    plan = story.plan("pro")
    variant = story.variant(plan)
    path = variant_path(plan, variant) + "/entitlements"
    made = story.entitle(plan, variant, "seats", {"cap": 3})
    assert made["value"] == {"cap": 3}
    body = {"billable_metric_key": "seats", "value": {"cap": 4}}
    refused(story.api.post(path, body), 409, "conflict")
    refused(story.api.post(path, {**body, "billable_metric_key": "nobody"}), 404, "not-found")
    refused(story.api.patch(f"{path}/seats", {"value": {"enabled": True}}), 400, "validation-error")
    refused(story.api.patch(f"{path}/nobody", {"value": {}}), 404, "not-found")
    assert answer(story.api.patch(f"{path}/seats", {"value": {"cap": 9}}), 200)["value"] == {"cap": 9}
    assert answer(story.api.get(f"{path}/seats"), 200)["value"] == {"cap": 9}
    assert story.api.delete(f"{path}/seats").status == 204
    refused(story.api.delete(f"{path}/seats"), 404, "not-found")
    assert answer(story.api.get(path), 200)["data"] == []


def test_subscribers_keep_their_version_until_the_boundary(story: Story) -> None:
    story.freeze(BEGIN)
    story.metric("seats", type="gauge")
    plan = story.plan("pro")
    variant = story.variant(plan, billing_mode="postpaid")
    old = story.template(plan, variant, 1_000)
    story.entitle(plan, variant, "seats", {"cap": 3})
    running, pinned = story.customer(), story.customer()
    subscription = story.subscribe(running, variant)
    pin = story.subscribe(pinned, variant)["id"]
    answer(story.api.patch(f"/v1/subscriptions/{pin}", {"grandfathered": True}), 200)

    story.advance(days=3)
    new = story.template(plan, variant, 5_000)
    assert story.api.delete(variant_path(plan, variant) + f"/credit-grants/{old}").status == 204
    answer(story.api.patch(variant_path(plan, variant) + "/entitlements/seats", {"value": {"cap": 50}}), 200)
    newest = read_variant(story, plan, variant)
    assert newest["version"] == 2, "the second version has no subscriber: all three changes are in it"
    assert [template["id"] for template in newest["credit_grants"]] == [new]
    assert [t["id"] for t in read_variant(story, plan, variant, version=1)["credit_grants"]] == [old]
    refused(story.api.get(variant_path(plan, variant), version=9), 404, "not-found")

    for customer in (running, pinned):
        assert story.check(customer, "seats")["value"] == {"cap": 3}
    assert story.subscription(subscription["id"])["variant_version"] == 1
    story.advance_to(APRIL)
    assert story.subscription(subscription["id"])["variant_version"] == 2
    assert (story.balance(running), story.check(running, "seats")["value"]) == (5_000, {"cap": 50})
    assert (story.balance(pinned), story.check(pinned, "seats")["value"]) == (1_000, {"cap": 3})


def test_archived_variants_take_no_new_subscriptions(story: Story) -> None:
    story.freeze(BEGIN)
    plan = story.plan("pro")
    variant = story.variant(plan, billing_mode="postpaid")
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    answer(story.api.patch(f"/v1/plans/{plan}", {"archived_at": "2041-02-01T00:00:00Z"}), 200)
    body = {"customer_id": story.customer(), "plan_variant_id": variant}
    refused(story.api.post("/v1/subscriptions", body), 409, "conflict")
    story.advance_to(APRIL)
    assert story.subscription(subscription)["status"] == "active", "those that run, run on"
    answer(story.api.patch(f"/v1/plans/{plan}", {"archived_at": None}), 200)
    answer(story.api.post("/v1/subscriptions", body), 201)
    answer(story.api.patch(variant_path(plan, variant), {"archived_at": "2041-02-01T00:00:00Z"}), 200)
    body = {"customer_id": story.customer(), "plan_variant_id": variant}
    refused(story.api.post("/v1/subscriptions", body), 409, "conflict")


def test_family_is_fixed_while_somebody_is_subscribed(story: Story) -> None:
    plan = story.plan("pro", family="main")
    story.subscribe(story.customer(), story.variant(plan))
    refused(story.api.patch(f"/v1/plans/{plan}", {"family": "other"}), 409, "conflict")
    answer(story.api.patch(f"/v1/plans/{plan}", {"family": "main", "name": "Main"}), 200)


def test_the_free_plan_must_be_fit_and_stay_so(story: Story) -> None:
    plan = story.plan("free")
    prepaid = story.variant(plan, "prepaid")
    config = f"/v1/tenants/{story.tenant.tenant_id}/config"
    for unfit in (prepaid, NOBODY):
        problem = refused(
            story.api.patch(config, {"default_free_plan_variant_id": unfit}), 400, "validation-error"
        )
        assert problem["errors"][0]["pointer"] == "/default_free_plan_variant_id"
    free = story.variant(plan, "free", billing_mode="postpaid")
    story.configure(default_free_plan_variant_id=free)
    refused(story.api.patch(variant_path(plan, free), {"trial_days": 3}), 409, "conflict")
    refused(story.api.patch(f"/v1/plans/{plan}", {"archived_at": "2041-01-01T00:00:00Z"}), 409, "conflict")


def test_writes_are_replayed_and_audited(story: Story) -> None:
    body = {"key": "pro", "name": "Pro"}
    first = story.post("/v1/plans", body, key="plan:pro")
    again = story.post("/v1/plans", body, key="plan:pro")
    assert first.json == again.json
    assert again.headers["x-idempotent-replayed"] == "true"
    refused(story.post("/v1/plans", {**body, "name": "P"}, key="plan:pro"), 422, "idempotency-key-reused")
    rows = answer(story.api.get("/v1/audit-log"), 200)["data"]
    assert "plan.created" in {row["action"] for row in rows}


def test_published_times_follow_the_test_clock(story: Story) -> None:
    story.freeze(BEGIN)
    plan = story.plan("pro")
    variant = story.variant(plan)
    same_instant(read_variant(story, plan, variant)["created_at"], BEGIN)
    story.advance(days=1)
    answer(story.api.patch(variant_path(plan, variant), {"rank": 1}), 200)
    same_instant(read_variant(story, plan, variant)["updated_at"], BEGIN + timedelta(days=1))
