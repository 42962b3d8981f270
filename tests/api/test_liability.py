"""The liability report over HTTP, as JSON and as CSV."""

from datetime import UTC, datetime

from tests.api.stories import Json, Story, answer, wire

MARCH = datetime(2041, 3, 10, tzinfo=UTC)
APRIL = datetime(2041, 4, 10, tzinfo=UTC)


def test_liability_by_month(story: Story) -> None:
    story.freeze(MARCH)
    story.priced("liable", 10)
    customer = story.customer()
    bought: Json = {"customer_id": customer, "credits": 10_000, "price_paid": 100, "currency": "EUR"}
    block = answer(story.post("/v1/topup/grant", bought), 201)["block"]["id"]
    story.grant(customer, 500, expires_at=wire(APRIL), priority=9)
    story.used(customer, "liable", 100)
    story.advance_to(APRIL)
    answer(story.post(f"/v1/topup/{block}/refund", {"credits": 2_000}), 200)
    path = f"/v1/customers/{customer}/credits"
    answer(story.post(f"{path}/withdraw", {"credits": 300}), 200)
    answer(story.post(f"{path}/adjust", {"delta": -50, "reason": "x"}), 200)
    other = story.wallet(7)

    march, april = answer(story.api.get("/v1/analytics/liability"), 200)["data"]
    assert (march["month"], march["opening"], march["closing"]) == ("2041-03", 0, 9_500)
    assert (march["granted_paid"], march["granted_free"], march["spent"]) == (10_000, 500, 1_000)
    assert (april["opening"], april["expired"], april["refunded"]) == (9_500, 500, 2_000)
    assert (april["withdrawn"], april["adjusted"], april["granted_free"]) == (300, -50, 7)
    assert april["closing"] == story.balance(customer) + story.balance(other)

    (mine,) = answer(story.api.get("/v1/analytics/liability", customer_id=other), 200)["data"]
    assert (mine["month"], mine["closing"]) == ("2041-04", 7)
    (only,) = answer(story.api.get("/v1/analytics/liability", **{"from": wire(APRIL)}), 200)["data"]
    assert only == april
    first = datetime(2041, 4, 1, tzinfo=UTC)
    (only,) = answer(story.api.get("/v1/analytics/liability", to=wire(first)), 200)["data"]
    assert only == march

    table = story.api.http.get("/v1/analytics/liability", headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    head, *rows = table.text.splitlines()
    assert head.split(",")[:3] == ["month", "opening", "granted_paid"]
    assert [row.split(",")[-1] for row in rows] == [str(march["closing"]), str(april["closing"])]
