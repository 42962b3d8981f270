"""S1 Quickstart: a grant, a check, a charge, and the same charge again."""

from tests.api.stories import Story, answer


def test_s1_quickstart(story: Story) -> None:
    customer = story.customer("user_quickstart")
    story.metric("api_call")
    story.rule("api_call", cost_type="per_unit", unit_cost=1_000)
    granted = story.grant(customer, 100_000)
    assert granted["block"]["original_amount"] == granted["block"]["remaining_amount"] == 100_000
    assert granted["account"]["balance"] == 100_000

    check = story.check(customer, "api_call")
    assert check["allowed"] is True
    assert check["reason"] == "ok"
    assert check["estimated_cost"] == 1_000
    assert check["balance_after"] == 99_000
    assert check["affordable_units"] == 100
    assert check["external_customer_id"] == "user_quickstart"

    first = story.use(customer, "api_call", 1, key="usage:1")
    used = answer(first, 201)
    assert (used["cost"], used["balance"], used["effective_balance"]) == (1_000, 99_000, 99_000)
    assert used["blocks"] == [{"block_id": granted["block"]["id"], "amount": 1_000}]
    assert used["overage"] == 0
    assert "x-idempotent-replayed" not in first.headers

    again = story.use(customer, "api_call", 1, key="usage:1")
    assert answer(again, 201) == used
    assert again.headers["x-idempotent-replayed"] == "true"
    account = story.account(customer)
    assert account["balance"] == 99_000
    assert account["lifetime_earned"] == 100_000
    assert account["lifetime_spent"] == 1_000
    story.verify(customer)


def test_s1_by_external_id(story: Story) -> None:
    """The same story told with the tenant's own name for the customer."""
    story.customer("user_quickstart")
    story.priced("api_call", 1_000)
    grant = {"credits": 100_000, "source": "promotional"}
    answer(story.post("/v1/customer-by-external-id/user_quickstart/credits/grant", grant), 201)

    query = {"external_customer_id": "user_quickstart", "billable_metric_key": "api_call", "units": 100}
    check = answer(story.api.get("/v1/entitlements/check", **query), 200)
    assert (check["allowed"], check["estimated_cost"], check["balance_after"]) == (True, 100_000, 0)
    beyond = answer(story.api.get("/v1/entitlements/check", **{**query, "units": 101}), 200)
    assert (beyond["allowed"], beyond["reason"]) == (False, "insufficient_credits")

    body = {"external_customer_id": "user_quickstart", "billable_metric_key": "api_call"}
    assert answer(story.post("/v1/usage", body), 201)["units"] == 1
    account = answer(story.api.get("/v1/customer-by-external-id/user_quickstart/credits"), 200)
    assert account["balance"] == 99_000
    assert account["external_customer_id"] == "user_quickstart"
