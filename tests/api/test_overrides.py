"""Overrides over HTTP: put, replace, expire, delete; a quota with other periods is recounted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.api.stories import START, Story, answer, refused, wire

MONTH_10 = {"period": "month", "tiers": [{"up_to": 10, "level": "Normal", "policy": "NotifyOnly"}]}
DENY = {"up_to": None, "level": "OverUsage", "policy": "Deny"}


def quota(period: str, up_to: int, **more: object) -> dict[str, object]:
    normal = {"up_to": up_to, "level": "Normal", "policy": "NotifyOnly"}
    return {"quota": {"period": period, "tiers": [normal, DENY], **more}}


def test_an_override_is_answered_replaced_and_deleted(story: Story) -> None:
    story.freeze()
    story.metric("calls")
    customer = story.customer("user_1")
    path = f"/v1/customers/{customer}/entitlements/calls"
    expires_at = wire(START + timedelta(days=1))
    made = answer(story.api.put(path, {"value": {"enabled": False}, "expires_at": expires_at}), 200)
    assert (made["customer_id"], made["external_customer_id"]) == (customer, "user_1")
    assert (made["billable_metric_key"], made["value"]) == ("calls", {"enabled": False})
    assert made["expires_at"].startswith("2041-03-02")
    assert "reason" not in made
    story.advance(seconds=60)
    again = answer(story.api.put(path, {"value": {}, "reason": "peace"}), 200)
    assert "expires_at" not in again
    assert (again["created_at"], again["reason"]) == (made["created_at"], "peace")
    assert again["updated_at"] > made["updated_at"]
    assert story.api.delete(path).status == 204
    refused(story.api.delete(path), 404, "not-found")
    by_name = "/v1/customer-by-external-id/user_1/entitlements/calls"
    answer(story.api.put(by_name, {"value": {"enabled": False}}), 200)
    assert story.check(customer, "calls")["allowed"] is False


def test_a_put_with_a_key_is_replayed(story: Story) -> None:
    story.metric("calls")
    path = f"/v1/customers/{story.customer()}/entitlements/calls"
    first = story.api.put(path, {"value": {"enabled": False}}, key="o-1")
    second = story.api.put(path, {"value": {"enabled": False}}, key="o-1")
    assert (second.json, second.headers["x-idempotent-replayed"]) == (first.json, "true")
    refused(story.api.put(path, {"value": {}}, key="o-1"), 422, "idempotency-key-reused")


def test_an_override_must_expire_in_the_future(story: Story) -> None:
    story.freeze()
    story.metric("calls")
    path = f"/v1/customers/{story.customer()}/entitlements/calls"
    problem = refused(story.api.put(path, {"value": {}, "expires_at": wire(START)}), 400, "validation-error")
    assert problem["errors"][0]["pointer"] == "/expires_at"


def test_every_fault_of_a_quota_is_told(story: Story) -> None:
    story.metric("calls")
    path = f"/v1/customers/{story.customer()}/entitlements/calls"
    bad = {"quota": {"period": "hour", "tiers": [DENY, {"up_to": 5, "level": "Loud", "policy": "RateLimit"}]}}
    problem = refused(story.api.put(path, {"value": bad}), 400, "validation-error")
    assert [fault["pointer"] for fault in problem["errors"]] == [
        "/value/quota/period",
        "/value/quota/tiers/0/up_to",
        "/value/quota/tiers/1/up_to",
        "/value/quota/tiers/1/level",
        "/value/quota/tiers/1/policy",
        "/value/quota/tiers/1/rate",
    ]
    refused(story.api.put(path, {"value": 1}), 400, "validation-error")
    refused(story.api.put(path, {}), 400, "validation-error")
    refused(story.api.put(f"{path}x", {"value": {}}), 404, "not-found")


def test_a_quota_with_other_periods_is_recounted_from_the_events(story: Story) -> None:
    story.freeze(START + timedelta(days=9))
    story.metric("calls")
    customer = story.customer()
    story.used(customer, "calls", 30)
    story.advance(days=1)
    story.used(customer, "calls", 4)
    story.override(customer, "calls", quota("day", 10))
    asset = story.asset(customer, "calls")
    assert (asset["value"], asset["level"]) == (4, "Normal")
    assert asset["period_start"].startswith("2041-03-11")
    story.used(customer, "calls", 6)
    refused(story.use(customer, "calls"), 403, "quota-exceeded")

    story.advance(days=1)
    story.used(customer, "calls", 1)
    story.override(customer, "calls", quota("month", 50))
    assert story.asset(customer, "calls")["value"] == 41
    assert story.check(customer, "calls", units=9)["allowed"] is True
    assert story.check(customer, "calls", units=10)["allowed"] is False
    path = f"/v1/customers/{customer}/entitlements/calls"
    assert story.api.delete(path).status == 204
    assert story.asset(customer, "calls")["value"] == 41
    history = story.api.get(f"/v1/customers/{customer}/assets/calls/history").json["data"]
    assert [(row["value"], row["period_start"][:10]) for row in history] == [(10, "2041-03-11")]


def test_a_quota_of_a_plan_with_other_periods_is_recounted_by_who_looks_first(story: Story) -> None:
    story.freeze(START + timedelta(days=9))
    story.metric("calls")
    customer = story.customer()
    story.used(customer, "calls", 7)
    story.advance(days=1)
    story.used(customer, "calls", 3)
    plan = story.plan("crm")
    variant = story.variant(plan, billing_mode="postpaid")
    story.entitle(plan, variant, "calls", quota("day", 5))
    story.subscribe(customer, variant)
    for _ in range(2):
        found = story.check(customer, "calls", units=2)
        assert (found["allowed"], found["quota"]["value"], found["quota"]["remaining"]) == (True, 3, 2)
    assert story.asset(customer, "calls")["value"] == 3
    refused(story.use(customer, "calls", 3), 403, "quota-exceeded")
    story.used(customer, "calls", 2)


@pytest.mark.parametrize("unit", ["days", "hours"])
def test_when_an_override_expires_the_quota_before_counts_again(story: Story, unit: str) -> None:
    story.freeze(START)
    story.metric("calls")
    customer = story.customer()
    story.override(customer, "calls", quota("month", 10))
    story.used(customer, "calls", 4)
    expires_at = START + timedelta(**{unit: 2})
    story.override(customer, "calls", quota("day", 100), expires_at=wire(expires_at))
    story.used(customer, "calls", 50)
    story.advance_to(expires_at, sweep=False)
    assert story.check(customer, "calls")["value_source"] == "default"
    assert story.asset(customer, "calls")["value"] == 54
    assert "level" not in story.asset(customer, "calls")
