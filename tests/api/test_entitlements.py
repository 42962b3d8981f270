"""Entitlement checks over HTTP: every form, freshness after every mutation, refusals of the request itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.api.stories import START, Story, answer, refused, wire

DENY_ABOVE_10 = {
    "quota": {
        "period": "month",
        "tiers": [
            {"up_to": 10, "level": "Normal", "policy": "NotifyOnly"},
            {"up_to": None, "level": "OverUsage", "policy": "Deny"},
        ],
    }
}


@pytest.fixture
def shop(story: Story) -> Story:
    """A metric at 1,000 mc and a customer `user_1` with 100,000 mc."""
    story.priced("api_call", 1_000)
    story.customer_id = story.wallet(100_000, "user_1")  # type: ignore[attr-defined]
    return story


def test_every_form_answers_the_same(shop: Story) -> None:
    customer: str = shop.customer_id  # type: ignore[attr-defined]
    wanted = answer(shop.api.get(f"/v1/customers/{customer}/entitlements/api_call", units=3), 200)
    assert wanted["estimated_cost"] == 3_000
    by_name = shop.api.get("/v1/customer-by-external-id/user_1/entitlements/api_call", units=3)
    assert by_name.json == wanted
    for named in (
        {"external_customer_id": "user_1", "billable_metric_key": "api_call"},
        {"customer_id": customer, "billable_metric_key": "api_call"},
        {"end_user_id": "user_1", "feature_key": "api_call"},
    ):
        assert answer(shop.api.get("/v1/entitlements/check", units=3, **named), 200) == wanted
    batch = {"checks": [{"end_user_id": "user_1", "feature_key": "api_call", "units": 3}]}
    assert answer(shop.api.post("/v1/entitlements/check", batch), 200) == {"results": [wanted]}
    (listed,) = answer(shop.api.get(f"/v1/customers/{customer}/entitlements"), 200)["data"]
    assert listed == shop.check(customer, "api_call")


def test_the_answer_has_all_its_fields(shop: Story) -> None:
    found = shop.check(shop.customer_id, "api_call")  # type: ignore[attr-defined]
    assert found == {
        "allowed": True,
        "reason": "ok",
        "customer_id": shop.customer_id,  # type: ignore[attr-defined]
        "external_customer_id": "user_1",
        "billable_metric_key": "api_call",
        "type": "metered",
        "units": 1,
        "unit": "credits",
        "balance": 100_000,
        "reserved_balance": 0,
        "effective_balance": 100_000,
        "estimated_cost": 1_000,
        "balance_after": 99_000,
        "affordable_units": 100,
        "overage_policy": "block",
        "value": {},
        "value_source": "default",
    }


def test_a_check_reflects_every_mutation_answered_before(shop: Story) -> None:
    customer: str = shop.customer_id  # type: ignore[attr-defined]
    path = f"/v1/customers/{customer}"

    def allowed() -> tuple[bool, str]:
        found = shop.check(customer, "api_call", units=5)
        strong = shop.check(customer, "api_call", units=5, consistency="strong")
        assert found == strong
        assert found == shop.check(customer, "api_call", units=5)
        return found["allowed"], found["reason"]

    for _ in range(3):
        assert allowed() == (True, "ok")
    shop.used(customer, "api_call", 96)
    assert allowed() == (False, "insufficient_credits")
    shop.grant(customer, 1_000)
    assert allowed() == (True, "ok")
    held = answer(shop.reserve(customer, "api_call", 1), 201)
    assert allowed() == (False, "insufficient_credits")
    answer(shop.api.post(f"/v1/reserve/{held['id']}/release"), 200)
    assert allowed() == (True, "ok")
    answer(shop.api.post(f"{path}/credits/suspend"), 200)
    assert allowed() == (False, "suspended")
    answer(shop.api.post(f"{path}/credits/resume"), 200)
    answer(shop.api.post(f"{path}/assets/api_call/suspend"), 200)
    assert allowed() == (False, "suspended")
    answer(shop.api.post(f"{path}/assets/api_call/resume"), 200)
    shop.override(customer, "api_call", DENY_ABOVE_10)
    assert allowed() == (False, "quota_exceeded")
    shop.api.delete(f"{path}/entitlements/api_call")
    assert allowed() == (True, "ok")
    shop.rule("api_call", cost_type="per_unit", unit_cost=2_000)
    assert allowed() == (False, "insufficient_credits")
    answer(shop.api.patch(path, {"overage_policy": "allow"}), 200)
    assert allowed() == (True, "overage")


def test_credits_that_expire_stop_counting_at_that_instant(story: Story) -> None:
    story.freeze()
    story.priced("api_call", 1_000)
    customer = story.wallet(1_000, expires_at=wire(START + timedelta(hours=1)))
    for _ in range(2):
        assert story.check(customer, "api_call")["allowed"] is True
    story.advance(seconds=3_599, sweep=False)
    assert story.check(customer, "api_call")["allowed"] is True
    story.advance(seconds=1, sweep=False)
    assert story.check(customer, "api_call")["reason"] == "insufficient_credits"
    assert story.check(customer, "api_call")["balance"] == 0


def test_a_kept_answer_ends_with_the_period_of_an_unused_quota(story: Story) -> None:
    story.freeze(START)
    story.metric("api_call")
    customer = story.customer()
    story.override(customer, "api_call", DENY_ABOVE_10)
    for _ in range(2):
        assert story.check(customer, "api_call")["quota"]["resets_at"].startswith("2041-04-01")
    story.advance_to(START.replace(month=4), sweep=False)
    assert story.check(customer, "api_call")["quota"]["resets_at"].startswith("2041-05-01")


def test_dimensions_pick_the_rule(story: Story) -> None:
    story.metric("tokens")
    story.rule("tokens", cost_type="per_unit", unit_cost=5, match={"model": "large"})
    customer = story.wallet(100)
    assert story.check(customer, "tokens")["reason"] == "no_matching_rule"
    assert story.check(customer, "tokens", dimensions="model:small")["reason"] == "no_matching_rule"
    large = story.check(customer, "tokens", dimensions="model:large", units=4)
    assert (large["allowed"], large["estimated_cost"], large["affordable_units"]) == (True, 20, 20)
    check = {"customer_id": customer, "billable_metric_key": "tokens", "dimensions": {"model": "large"}}
    (found,) = answer(story.api.post("/v1/entitlements/check", {"checks": [check]}), 200)["results"]
    assert found["estimated_cost"] == 5


def test_the_explanation_tells_each_step(shop: Story) -> None:
    customer: str = shop.customer_id  # type: ignore[attr-defined]
    shop.override(customer, "api_call", DENY_ABOVE_10)
    found = shop.check(customer, "api_call", units=11, explain="true")
    assert found["reason"] == "quota_exceeded"
    steps = {step["step"]: step for step in found["explanation"]}
    assert list(steps) == ["value", "subscription", "suspension", "quota", "price", "credits"]
    assert steps["quota"]["decided"] is True
    assert steps["quota"]["tier"]["policy"] == "Deny"
    assert steps["price"]["rule_id"]
    assert [block["amount"] for block in steps["credits"]["blocks"]] == [11_000]
    assert "explanation" not in shop.check(customer, "api_call", units=11)


def test_a_batch_answers_each_check_by_itself(shop: Story) -> None:
    customer: str = shop.customer_id  # type: ignore[attr-defined]
    checks: list[dict[str, Any]] = [
        {"customer_id": customer, "billable_metric_key": "api_call", "units": 101},
        {"external_customer_id": "nobody", "billable_metric_key": "api_call"},
        {"customer_id": customer, "billable_metric_key": "nothing"},
        {"customer_id": customer, "external_customer_id": "user_1", "billable_metric_key": "api_call"},
        {"external_customer_id": "user_1", "billable_metric_key": "api_call"},
    ]
    results = answer(shop.api.post("/v1/entitlements/check", {"checks": checks}), 200)["results"]
    assert [result.get("allowed") for result in results] == [False, None, None, None, True]
    slugs = [result["problem"]["type"].rsplit("/", 1)[-1] for result in results if "problem" in result]
    assert slugs == ["customer-not-found", "not-found", "customer-identifier-conflict"]
    refused(shop.api.post("/v1/entitlements/check", {"checks": checks * 21}), 400, "validation-error")
    refused(shop.api.post("/v1/entitlements/check", {"checks": []}), 400, "validation-error")


@pytest.mark.parametrize(
    ("query", "status", "slug"),
    [
        ({"units": "1.5"},        400, "validation-error"),
        ({"units": "-1"},         400, "validation-error"),
        ({"units": "many"},       400, "validation-error"),
        ({"current": "1"},        400, "validation-error"),
        ({"explain": "perhaps"},  400, "validation-error"),
        ({"consistency": "some"}, 400, "validation-error"),
        ({"colour": "red"},       400, "validation-error"),
        ({"dimensions": "model"}, 400, "validation-error"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_refused(shop: Story, query: dict[str, str], status: int, slug: str) -> None:
    path = f"/v1/customers/{shop.customer_id}/entitlements/api_call"  # type: ignore[attr-defined]
    refused(shop.api.get(path, **query), status, slug)
    answer(shop.api.get(path), 200)


def test_what_does_not_exist_is_not_found(shop: Story) -> None:
    customer: str = shop.customer_id  # type: ignore[attr-defined]
    refused(shop.api.get(f"/v1/customers/{customer}/entitlements/nothing"), 404, "not-found")
    nobody = "/v1/customer-by-external-id/nobody/entitlements/api_call"
    refused(shop.api.get(nobody), 404, "customer-not-found")
    refused(
        shop.api.get("/v1/entitlements/check", billable_metric_key="api_call"),
        400,
        "customer-identifier-conflict",
    )


def test_a_huge_estimate_is_a_bad_request(story: Story) -> None:
    story.priced("api_call", 2**52)
    customer = story.customer()
    refused(
        story.api.get(f"/v1/customers/{customer}/entitlements/api_call", units=2**52), 400, "validation-error"
    )


def test_the_list_is_paged_by_key_and_leaves_archived_metrics_out(story: Story) -> None:
    for key in ("c", "a", "d", "b"):
        story.metric(key)
    answer(story.api.patch("/v1/billable-metrics/d", {"archived_at": "2026-01-01T00:00:00Z"}))
    customer = story.customer()
    path = f"/v1/customers/{customer}/entitlements"
    page = answer(story.api.get(path, limit=2), 200)
    assert [row["billable_metric_key"] for row in page["data"]] == ["a", "b"]
    cursor = page["pagination"]["next_cursor"]
    page = answer(story.api.get(path, limit=2, cursor=cursor), 200)
    assert [row["billable_metric_key"] for row in page["data"]] == ["c"]
    assert page["pagination"] == {"has_more": False, "next_cursor": None}
    down = answer(story.api.get(path, order="desc"), 200)["data"]
    assert [row["billable_metric_key"] for row in down] == ["c", "b", "a"]


def test_decimal_units_follow_the_scale(story: Story) -> None:
    story.metric("hours", scale=2)
    story.rule("hours", cost_type="per_unit", unit_cost=1_000)
    customer = story.wallet(10_000)
    found = story.check(customer, "hours", units="2.50")
    assert (found["units"], found["estimated_cost"], found["affordable_units"]) == ("2.50", 2_500, "10.00")
    refused(
        story.api.get(f"/v1/customers/{customer}/entitlements/hours", units="2.555"), 400, "validation-error"
    )
