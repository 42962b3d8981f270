"""S2 Landing page: the three calls of the landing page, word for word."""

from tests.api.stories import Story, answer


def test_s2_landing_page(story: Story) -> None:
    story.priced("api_calls", 1_000)
    plan = story.plan("pro")
    variant = story.variant(plan, billing_mode="prepaid")
    story.template(plan, variant, 49_000, recurrence="cycle")
    story.entitle(plan, variant, "api_calls", {})
    api = story.api

    body = {"end_user_id": "user_123", "plan_variant_id": variant}
    subscription = answer(api.post("/v1/subscriptions", body), 201)
    assert subscription["status"] == "active"
    assert subscription["external_customer_id"] == "user_123"

    check = answer(api.get("/v1/entitlements/check?end_user_id=user_123&feature_key=api_calls"), 200)
    assert (check["allowed"], check["balance"]) == (True, 49_000)
    assert check["subscription_status"] == "active"

    used = answer(
        api.post("/v1/usage", {"end_user_id": "user_123", "feature_key": "api_calls", "units": 1}), 201
    )
    assert (used["cost"], used["balance"]) == (1_000, 48_000)
    story.verify(used["customer_id"])


def test_s2_other_names_are_the_same_names(story: Story) -> None:
    """Both names of one thing in one request are a conflict, either alone works everywhere."""
    story.priced("api_calls", 1_000)
    story.wallet(10_000, "user_123")
    api = story.api
    hold = {"end_user_id": "user_123", "feature_key": "api_calls", "estimated_units": 2}
    assert answer(api.post("/v1/reserve", hold), 201)["reserved_amount"] == 2_000
    checks = {"checks": [{"end_user_id": "user_123", "feature_key": "api_calls"}]}
    (result,) = answer(api.post("/v1/entitlements/check", checks), 200)["results"]
    assert result["effective_balance"] == 8_000
    assert answer(api.get("/v1/usage", end_user_id="user_123", feature_key="api_calls"), 200)["data"] == []
    both = {"end_user_id": "user_123", "external_customer_id": "user_123", "feature_key": "api_calls"}
    assert api.post("/v1/usage", both).status == 400
    topup = {"end_user_id": "user_new", "credits": 5}
    assert answer(api.post("/v1/topup/grant", topup), 201)["account"]["external_customer_id"] == "user_new"
