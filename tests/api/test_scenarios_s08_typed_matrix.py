"""S8 Typed matrix: four types of entitlement; defaults, plans and overrides."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.api.stories import Story, answer, refused, wire

BEGIN = datetime(2041, 5, 1, tzinfo=UTC)


@pytest.fixture
def matrix(story: Story) -> Story:
    story.freeze(BEGIN)
    story.metric("sso", type="boolean")
    story.metric("max_seats", type="gauge", default_value={"cap": 1})
    story.metric("api_call")
    story.metric("model_access", type="static", default_value={"config": {"models": []}})
    return story


def test_s8_defaults_without_a_subscription(matrix: Story) -> None:
    customer = matrix.customer()
    sso = matrix.check(customer, "sso")
    assert (sso["allowed"], sso["reason"], sso["type"]) == (False, "not_entitled", "boolean")
    assert (sso["value"], sso["value_source"]) == ({"enabled": False}, "default")
    assert "subscription_status" not in sso

    seat = matrix.check(customer, "max_seats")
    assert (seat["allowed"], seat["reason"], seat["value"]) == (True, "ok", {"cap": 1})
    second = matrix.check(customer, "max_seats", current=1)
    assert (second["allowed"], second["reason"]) == (False, "quota_exceeded")
    assert matrix.check(customer, "max_seats", units=2)["allowed"] is False

    call = matrix.check(customer, "api_call")
    assert (call["allowed"], call["estimated_cost"], call["affordable_units"]) == (True, 0, None)
    models = matrix.check(customer, "model_access")
    assert (models["allowed"], models["value"]) == (True, {"config": {"models": []}})


def test_s8_static_without_default_is_a_null_config(matrix: Story) -> None:
    matrix.metric("theme", type="static")
    assert matrix.check(matrix.customer(), "theme")["value"] == {"config": None}


def test_s8_override_beats_the_default_until_it_expires(matrix: Story) -> None:
    customer = matrix.customer()
    matrix.override(
        customer, "sso", {"enabled": True}, expires_at=wire(BEGIN + timedelta(days=7)), reason="trial"
    )
    sso = matrix.check(customer, "sso")
    assert (sso["allowed"], sso["value"], sso["value_source"]) == (True, {"enabled": True}, "override")
    matrix.advance(days=7, seconds=-1, sweep=False)
    assert matrix.check(customer, "sso")["allowed"] is True
    matrix.advance(seconds=1, sweep=False)
    sso = matrix.check(customer, "sso")
    assert (sso["allowed"], sso["value_source"]) == (False, "default")


def test_s8_override_ends_when_deleted(matrix: Story) -> None:
    customer = matrix.customer()
    path = f"/v1/customers/{customer}/entitlements/max_seats"
    matrix.override(customer, "max_seats", {"cap": 3})
    assert matrix.check(customer, "max_seats", current=2)["allowed"] is True
    assert matrix.api.delete(path).status in {200, 204}
    assert matrix.check(customer, "max_seats", current=2)["allowed"] is False


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("sso", {"cap": 1}),
        ("sso", {"enabled": 1}),
        ("max_seats", {"enabled": True}),
        ("max_seats", {"cap": -1}),
        ("api_call", {"config": {}}),
        ("model_access", {"enabled": True}),
    ],
)
def test_s8_value_must_fit_the_type(matrix: Story, metric: str, value: dict[str, object]) -> None:
    customer = matrix.customer()
    path = f"/v1/customers/{customer}/entitlements/{metric}"
    refused(matrix.api.put(path, {"value": value}), 400, "validation-error")


def test_s8_disabled_metered_is_refused_before_anything_else(matrix: Story) -> None:
    customer = matrix.customer()
    matrix.override(customer, "api_call", {"enabled": False})
    assert matrix.check(customer, "api_call")["reason"] == "not_entitled"
    refused(matrix.use(customer, "api_call"), 403, "not-entitled")


def test_s8_all_metrics_of_a_customer(matrix: Story) -> None:
    customer = matrix.customer()
    rows = answer(matrix.api.get(f"/v1/customers/{customer}/entitlements"), 200)["data"]
    allowed = {row["billable_metric_key"]: row["allowed"] for row in rows}
    assert allowed == {"sso": False, "max_seats": True, "api_call": True, "model_access": True}


def test_s8_variants_attach_values(matrix: Story) -> None:
    plan = matrix.plan("crm")
    free = matrix.variant(plan, "free", billing_mode="postpaid", rank=0)
    pro = matrix.variant(plan, "pro", billing_mode="postpaid", rank=1)
    matrix.entitle(plan, free, "max_seats", {"cap": 2})
    matrix.entitle(plan, pro, "sso", {"enabled": True})
    matrix.entitle(plan, pro, "max_seats", {"cap": 10})
    matrix.entitle(plan, pro, "model_access", {"config": {"models": ["large"]}})
    customer = matrix.customer()
    subscription = matrix.subscribe(customer, free)
    seat = matrix.check(customer, "max_seats", current=1)
    assert (seat["allowed"], seat["value"], seat["value_source"]) == (True, {"cap": 2}, "plan_variant")
    assert seat["subscription_status"] == "active"
    assert matrix.check(customer, "sso")["allowed"] is False

    body = {"plan_variant_id": pro, "when": "now", "credits": "keep"}
    answer(matrix.trigger(subscription["id"], "change-plan", **body), 200)
    assert matrix.check(customer, "sso")["value_source"] == "plan_variant"
    assert matrix.check(customer, "max_seats", current=9)["allowed"] is True
    assert matrix.check(customer, "max_seats", current=10)["allowed"] is False
    assert matrix.check(customer, "model_access")["value"] == {"config": {"models": ["large"]}}

    expires_at = wire(BEGIN + timedelta(days=3))
    matrix.override(customer, "max_seats", {"cap": 20}, expires_at=expires_at)
    assert matrix.check(customer, "max_seats", current=19)["value_source"] == "override"
    matrix.advance(days=3)
    seat = matrix.check(customer, "max_seats", current=10)
    assert (seat["allowed"], seat["value_source"]) == (False, "plan_variant")


def test_s8_most_permissive_variant_wins(matrix: Story) -> None:
    customer = matrix.customer()
    for key, cap in (("crm", 5), ("addon", 7)):
        plan = matrix.plan(key)
        variant = matrix.variant(plan, billing_mode="postpaid")
        matrix.entitle(plan, variant, "max_seats", {"cap": cap})
        matrix.subscribe(customer, variant)
    assert matrix.check(customer, "max_seats")["value"] == {"cap": 7}


def test_s8_variant_value_must_fit_the_type(matrix: Story) -> None:
    plan = matrix.plan("crm")
    variant = matrix.variant(plan)
    body = {"billable_metric_key": "sso", "value": {"cap": 3}}
    path = f"/v1/plans/{plan}/variants/{variant}/entitlements"
    refused(matrix.api.post(path, body), 400, "validation-error")
