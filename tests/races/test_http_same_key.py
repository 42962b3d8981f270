"""One idempotency key, many equal requests at once, two servers: one effect, equal bytes."""

import uuid
from typing import Any

import pytest
from tests.api.stories import Story, answer, at_once, refused

CALLERS = 50


def fifty(both: list[Story], path: str, body: Any) -> list[Any]:
    key = f"race:{uuid.uuid4()}"
    calls = [lambda story=both[number % 2]: story.post(path, body, key=key) for number in range(CALLERS)]
    return at_once(calls)


def assert_one_effect(responses: list[Any], status: int) -> None:
    assert {response.status for response in responses} == {status}
    contents = {getattr(response, "content", str(response.json)) for response in responses}
    assert len(contents) == 1, "every answer has the same bytes"
    replays = [response.headers.get("x-idempotent-replayed") for response in responses]
    assert replays.count("true") == CALLERS - 1


@pytest.fixture
def world(both: list[Story]) -> tuple[list[Story], str]:
    first, _ = both
    first.priced("look", 1_000)
    return both, first.wallet(1_000_000)


def test_usage(world: tuple[list[Story], str]) -> None:
    both, customer = world
    body = {"customer_id": customer, "billable_metric_key": "look", "units": 3}
    assert_one_effect(fifty(both, "/v1/usage", body), 201)
    assert both[0].balance(customer) == 997_000
    both[0].verify(customer)


def test_grant(world: tuple[list[Story], str]) -> None:
    """R1: fifty confirmations of one payment."""
    both, customer = world
    body = {"customer_id": customer, "credits": 5_000, "external_payment_id": "pay_1", "price_paid": 5}
    assert_one_effect(fifty(both, "/v1/topup/grant", body), 201)
    assert both[0].balance(customer) == 1_005_000
    both[0].verify(customer)


def test_reserve_and_commit(world: tuple[list[Story], str]) -> None:
    both, customer = world
    held = fifty(both, "/v1/reserve", {"customer_id": customer, "credits": 7_000})
    assert_one_effect(held, 201)
    assert both[0].account(customer)["reserved_balance"] == 7_000
    assert_one_effect(fifty(both, f"/v1/reserve/{held[0].json['id']}/commit", {"actual_credits": 5_000}), 200)
    assert both[0].balance(customer) == 995_000
    both[0].verify(customer)


def test_new_customer(world: tuple[list[Story], str]) -> None:
    """A key outside the engine keeps the same promise."""
    both, _ = world
    assert_one_effect(fifty(both, "/v1/customers", {"external_id": "raced"}), 201)
    rows = answer(both[0].api.get("/v1/customers", external_id="raced"), 200)["data"]
    assert len(rows) == 1


def test_new_metric(world: tuple[list[Story], str]) -> None:
    both, _ = world
    assert_one_effect(fifty(both, "/v1/billable-metrics", {"key": "raced", "name": "raced"}), 201)


def test_different_bodies_of_one_key(world: tuple[list[Story], str]) -> None:
    """Of two different requests with one key, one has an effect and the other is told."""
    both, customer = world
    bodies = [{"customer_id": customer, "billable_metric_key": "look", "units": units} for units in (1, 2)]
    calls = [
        lambda number=number: both[number % 2].post("/v1/usage", bodies[number // 2 % 2], key="one-key")
        for number in range(20)
    ]
    responses = at_once(calls)
    assert sorted({response.status for response in responses}) == [201, 422]
    done = [response for response in responses if response.status == 201]
    assert len(done) == 10
    refused(next(response for response in responses if response.status == 422), 422, "idempotency-key-reused")
    assert both[0].balance(customer) == 1_000_000 - done[0].json["cost"]
    both[0].verify(customer)


def test_batch_meets_single_requests(world: tuple[list[Story], str]) -> None:
    """An event's key is the same key alone and in a batch."""
    both, customer = world
    event = {"customer_id": customer, "billable_metric_key": "look", "units": 1}
    batch = {"events": [{**event, "idempotency_key": f"event:{number}"} for number in range(10)]}
    calls = [lambda story=both[number % 2]: story.post("/v1/usage/batch", batch) for number in range(4)]
    calls += [
        lambda number=number: both[number % 2].post("/v1/usage", event, key=f"event:{number}")
        for number in range(10)
    ]
    responses = at_once(calls)
    assert {response.status for response in responses} == {201}
    assert both[0].balance(customer) == 990_000
    both[0].verify(customer)
