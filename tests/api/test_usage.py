"""Usage over HTTP: fields, lists, batch, reversal, and requests whose outcome nobody waits for."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.api.stories import START, Story, answer, at_once, pages, refused, slug, wire

LARGE = {"model": "large"}


@pytest.fixture
def customer(story: Story) -> str:
    story.priced("calls", 10)
    return story.wallet(10_000)


def test_every_field_of_an_event(story: Story, customer: str) -> None:
    told = story.used(customer, "calls", 3, dimensions=LARGE, metadata={"job": "7"}, key="usage:1")
    assert (told["status"], told["units"], told["cost"], told["unit"]) == ("applied", 3, 30, "credits")
    assert (told["balance"], told["reserved_balance"], told["effective_balance"]) == (9_970, 0, 9_970)
    assert (told["dimensions"], told["metadata"], told["overage"]) == (LARGE, {"job": "7"}, 0)
    assert told["external_customer_id"] == "user_1"
    entry = story.ledger(customer)[-1]
    assert (entry["sequence"], entry["type"], entry["delta"]) == (told["ledger_sequence"], "usage", -30)
    assert (entry["reference"], entry["idempotency_key"]) == ({"type": "usage", "id": told["id"]}, "usage:1")
    kept = answer(story.api.get(f"/v1/usage/{told['id']}"), 200)
    for name in (
        "id",
        "units",
        "cost",
        "rule_id",
        "blocks",
        "dimensions",
        "metadata",
        "timestamp",
        "created_at",
    ):
        assert kept[name] == told[name], name
    assert kept["idempotency_key"] == "usage:1"
    assert "balance" not in kept


def test_aliases_are_the_same_request(story: Story, customer: str) -> None:
    body = {"end_user_id": "user_1", "feature_key": "calls", "units": 1}
    first = story.post("/v1/usage", body, key="usage:1")
    real = {"external_customer_id": "user_1", "billable_metric_key": "calls", "units": 1}
    again = story.post("/v1/usage", real, key="usage:1")
    assert answer(again, 201) == answer(first, 201)


@pytest.mark.parametrize(
    ("units", "told", "cost"),
    [("1.25", "1.25", 125), (2, "2.00", 200), ("0.01", "0.01", 1), ("0.015", None, 0)],
)
def test_decimal_units(story: Story, units: Any, told: str | None, cost: int) -> None:
    story.metric("hours", scale=2)
    story.rule("hours", cost_type="per_unit", unit_cost=100)
    customer = story.wallet(1_000)
    response = story.use(customer, "hours", units)
    if told is None:
        problem = refused(response, 400, "validation-error")
        assert [fault["pointer"] for fault in problem["errors"]] == ["/units"]
    else:
        assert (answer(response, 201)["units"], response.json["cost"]) == (told, cost)


@pytest.mark.parametrize("units", [-1, 1.5, True, "1", 2**53, None])
def test_units_are_integers(story: Story, customer: str, units: Any) -> None:
    refused(story.use(customer, "calls", units), 400, "validation-error")


def test_lists_and_filters(story: Story, customer: str) -> None:
    story.metric("other")
    other = story.customer()
    first = story.used(customer, "calls", 1, dimensions=LARGE)["id"]
    second = story.used(customer, "other", 2, dimensions={"model": "small"})["id"]
    third = story.used(other, "other", 3)["id"]

    def found(**query: Any) -> list[str]:
        return [row["id"] for row in pages(story.api, "/v1/usage", **query)]

    assert found() == [third, second, first]
    assert found(order="asc") == [first, second, third]
    assert found(customer_id=customer) == [second, first]
    assert found(external_customer_id="user_1", billable_metric_key="calls") == [first]
    assert found(billable_metric_key="other") == [third, second]
    assert found(dimension="model:large") == [first]
    assert found(dimension="model:none") == []
    story.post(f"/v1/usage/{first}/reverse")
    assert found(status="reversed") == [first]
    assert found(status="applied") == [third, second]
    page = answer(story.api.get("/v1/usage", limit=2), 200)
    assert [row["id"] for row in page["data"]] == [third, second]
    rest = answer(story.api.get("/v1/usage", limit=2, cursor=page["pagination"]["next_cursor"]), 200)
    assert [row["id"] for row in rest["data"]] == [first]
    refused(story.api.get("/v1/usage", status="unknown"), 400, "validation-error")


def test_overage_policies_and_limit(story: Story, customer: str) -> None:
    story.configure(overage_policy="allow", overage_limit=50)
    told = story.used(customer, "calls", 1_005)
    assert (told["cost"], told["overage"], told["balance"]) == (10_050, 50, -50)
    problem = refused(story.use(customer, "calls", 1), 402, "insufficient-credits")
    assert (problem["required"], problem["available"], problem["shortfall"]) == (10, -50, 60)
    recorded = story.used(customer, "calls", 1, enforcement="record")
    assert (recorded["overage"], recorded["balance"], recorded["enforcement"]) == (10, -60, "record")
    story.grant(customer, 100)
    assert story.account(customer)["overdraft"] == 0
    assert story.balance(customer) == 40
    story.verify(customer)


def test_notify_tells_once(story: Story) -> None:
    story.priced("calls", 10, overage_policy="notify")
    customer = story.wallet(5)
    for _ in range(3):
        story.used(customer, "calls")
    (event,) = story.events("usage.overage", customer)
    assert (event["data"]["overage"], event["data"]["balance"]) == (5, -5)


def test_late_events(story: Story) -> None:
    story.freeze(datetime(2041, 3, 31, 12, tzinfo=UTC))
    story.metric("calls")
    tiers = [{"up_to": 10, "unit_cost": 10}, {"up_to": None, "unit_cost": 1}]
    story.rule("calls", cost_type="tiered", tiers=tiers)
    customer = story.wallet(10_000)
    story.used(customer, "calls", 8)
    story.advance_to(datetime(2041, 4, 2, tzinfo=UTC))
    story.used(customer, "calls", 8)
    march = wire(datetime(2041, 3, 31, 12, 30, tzinfo=UTC))
    costs = [story.used(customer, "calls", 1, timestamp=march)["cost"] for _ in range(3)]
    assert costs == [10, 10, 1], "at the positions of March"
    late = [lambda: story.use(customer, "calls", 1, timestamp=march)] * 8
    assert [answer(response, 201)["cost"] for response in at_once(late)] == [1] * 8
    assert story.used(customer, "calls", 2)["cost"] == 20, "April went on where it was"
    assert story.asset(customer, "calls")["value"] == 10
    story.verify(customer)


def test_window_for_late_events(story: Story) -> None:
    story.freeze(START + timedelta(days=60))
    story.metric("calls")
    customer = story.customer()
    now = START + timedelta(days=60)
    story.used(customer, "calls", timestamp=wire(now - timedelta(days=31)))
    early = wire(now - timedelta(days=31, microseconds=1))
    refused(story.use(customer, "calls", timestamp=early), 422, "timestamp-out-of-range")
    story.configure(late_event_window=3_600)
    early = wire(now - timedelta(seconds=3_601))
    refused(story.use(customer, "calls", timestamp=early), 422, "timestamp-out-of-range")
    story.used(customer, "calls", timestamp=wire(now - timedelta(seconds=3_600)))


# -- reversal ------------------------------------------------------------------------------------------


def test_reversal(story: Story, customer: str) -> None:
    used = story.used(customer, "calls", 3)
    response = story.post(f"/v1/usage/{used['id']}/reverse", key="reverse:1")
    told = answer(response, 200)
    assert (told["refunded"], told["account"]["balance"], told["usage"]["status"]) == (30, 10_000, "reversed")
    assert told["blocks"] == used["blocks"]
    again = story.post(f"/v1/usage/{used['id']}/reverse", key="reverse:1")
    assert (answer(again, 200), again.headers["x-idempotent-replayed"]) == (told, "true")
    refused(story.post(f"/v1/usage/{used['id']}/reverse"), 409, "conflict")
    assert answer(story.api.get(f"/v1/usage/{used['id']}"), 200)["status"] == "reversed"
    assert story.asset(customer, "calls")["value"] == 0
    assert len(story.events("usage.reversed", customer)) == 1
    story.verify(customer)


def test_reversal_of_what_used_a_block_up(story: Story, customer: str) -> None:
    used = story.used(customer, "calls", 1_000)
    assert story.balance(customer) == 0
    told = answer(story.post(f"/v1/usage/{used['id']}/reverse"), 200)
    assert told["blocks"] == used["blocks"]
    assert [block["remaining_amount"] for block in story.live_blocks(customer)] == [10_000]
    story.verify(customer)


def test_reversal_into_an_expired_block(story: Story) -> None:
    story.freeze()
    story.priced("calls", 10)
    customer = story.wallet(1_000, expires_at=wire(START + timedelta(hours=1)), priority=4)
    used = story.used(customer, "calls", 10)
    story.advance(hours=2)
    told = answer(story.post(f"/v1/usage/{used['id']}/reverse"), 200)
    (block,) = story.live_blocks(customer)
    assert told["blocks"] == [{"block_id": block["id"], "amount": 100}]
    assert (block["source"], block["priority"], block["remaining_amount"]) == ("refund", 4, 100)
    assert block["expires_at"] == wire(START + timedelta(hours=2, days=30))
    story.verify(customer)


def test_one_of_many_reversals_wins(story: Story, customer: str) -> None:
    used = story.used(customer, "calls", 3)["id"]
    responses = at_once([lambda: story.post(f"/v1/usage/{used}/reverse")] * 8)
    assert sorted(response.status for response in responses) == [200, *[409] * 7]
    assert story.balance(customer) == 10_000
    story.verify(customer)


# -- batch ---------------------------------------------------------------------------------------------


def event(customer: str, key: str, **more: Any) -> dict[str, Any]:
    return {"customer_id": customer, "billable_metric_key": "calls", "idempotency_key": key, **more}


def test_batch_is_many_single_requests(story: Story, customer: str) -> None:
    answer(story.use(customer, "calls", 2, key="single"), 201)
    events = [
        event(customer, "single", units=2),
        event(customer, "a", units=1),
        event(customer, "b", units=5_000),
        event(customer, "c", units=-1),
        {**event(customer, "d"), "idempotency_key": None},
        {"customer_id": customer, "billable_metric_key": "calls"},
        event(customer, "e", nonsense=1),
        "no object",
        event(customer, "a", units=1),
    ]
    told = answer(story.api.post("/v1/usage/batch", {"events": events}), 207)["results"]
    words = ["replayed", "created", "failed", "failed", "failed", "failed", "failed", "failed", "replayed"]
    assert [row["status"] for row in told] == words
    kinds = [row["problem"]["type"].rsplit("/", 1)[-1] for row in told if row["status"] == "failed"]
    assert kinds == [
        "insufficient-credits",
        "validation-error",
        "idempotency-key-required",
        "idempotency-key-required",
        "validation-error",
        "validation-error",
    ]
    assert story.balance(customer) == 10_000 - 30
    again = story.use(customer, "calls", 1, key="a")
    assert (answer(again, 201), again.headers["x-idempotent-replayed"]) == (told[1]["usage"], "true")
    story.verify(customer)


def test_batch_keeps_the_order_of_a_customer(story: Story) -> None:
    story.metric("calls")
    story.rule(
        "calls", cost_type="tiered", tiers=[{"up_to": 5, "unit_cost": 10}, {"up_to": None, "unit_cost": 1}]
    )
    customer = story.wallet(10_000)
    events = [event(customer, f"e:{number}", units=2) for number in range(5)]
    told = answer(story.api.post("/v1/usage/batch", {"events": events}), 201)["results"]
    assert [row["usage"]["cost"] for row in told] == [20, 20, 11, 2, 2]
    sequences = [row["usage"]["ledger_sequence"] for row in told]
    assert sequences == sorted(sequences)


@pytest.mark.parametrize("count", [0, 1_001])
def test_batch_of_a_wrong_size(story: Story, customer: str, count: int) -> None:
    events = [event(customer, f"e:{number}") for number in range(count)]
    refused(story.api.post("/v1/usage/batch", {"events": events}), 400, "validation-error")
    assert story.balance(customer) == 10_000


def test_batch_above_a_mebibyte(story: Story, customer: str) -> None:
    events = [event(customer, f"e:{number}", metadata={"text": "x" * 12_000}) for number in range(150)]
    answer(story.api.post("/v1/usage/batch", {"events": events}), 201)
    assert story.balance(customer) == 10_000 - 1_500


# -- accepted for later ----------------------------------------------------------------------------------


def later(story: Story, customer: str, units: int, key: str | None = None) -> Any:
    body = {"customer_id": customer, "billable_metric_key": "calls", "units": units}
    headers = {"Prefer": "respond-async", "Idempotency-Key": key or str(uuid4())}
    return story.api._call("POST", "/v1/usage", json=body, headers=headers)


def test_accepted_event_is_applied(story: Story, customer: str) -> None:
    response = later(story, customer, 3, "usage:1")
    told = answer(response, 202)
    assert (told["status"], response.headers["preference-applied"]) == ("accepted", "respond-async")
    kept = answer(story.api.get(f"/v1/usage/{told['id']}"), 200)
    assert (kept["status"], kept["cost"]) == ("applied", 30)
    again = later(story, customer, 3, "usage:1")
    assert (answer(again, 202), again.headers["x-idempotent-replayed"]) == (told, "true")
    assert story.balance(customer) == 9_970
    story.verify(customer)


def test_rejected_event_is_told_and_visible(story: Story, customer: str) -> None:
    told = answer(later(story, customer, 5_000, "usage:1"), 202)
    kept = answer(story.api.get(f"/v1/usage/{told['id']}"), 200)
    assert (kept["status"], kept["cost"], kept["units"]) == ("rejected", 0, 5_000)
    assert kept["problem"]["type"].endswith("/errors/insufficient-credits")
    assert (kept["problem"]["status"], kept["problem"]["shortfall"]) == (402, 40_000)
    (event_,) = story.events("usage.rejected", customer)
    assert event_["data"]["usage_id"] == told["id"]
    assert [row["id"] for row in pages(story.api, "/v1/usage", status="rejected")] == [told["id"]]
    story.grant(customer, 100_000)
    assert answer(later(story, customer, 5_000, "usage:1"), 202) == told, "the key is consumed"
    assert answer(later(story, customer, 5_000), 202)["id"] != told["id"]
    assert story.balance(customer) == 60_000
    refused(story.post(f"/v1/usage/{told['id']}/reverse"), 409, "conflict")


def test_wrong_requests_are_refused_at_once(story: Story, customer: str) -> None:
    assert slug(later(story, customer, -1)) == "validation-error"
    assert slug(later(story, "019d43b6-8280-7c31-9a54-6b1e0c2f7a10", 1)) == "customer-not-found"


def test_order_of_arrival(story: Story, customer: str) -> None:
    """What was accepted first is applied first, whoever waits."""
    for units in (400, 500):
        answer(later(story, customer, units), 202)
    refused(story.use(customer, "calls", 101), 402, "insufficient-credits")
    assert story.used(customer, "calls", 100)["balance"] == 0
