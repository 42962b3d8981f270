"""Reservations over HTTP: what is held, how it ends, and what happens when several ends come at once."""

from typing import Any

import pytest
from tests.api.stories import Story, answer, at_once, pages, refused


@pytest.fixture
def customer(story: Story) -> str:
    story.priced("look", 1_000)
    return story.wallet(10_000)


def hold_of(story: Story, customer: str, units: Any = 3, **more: Any) -> dict[str, Any]:
    return answer(story.reserve(customer, "look", units, **more), 201)


def commit(story: Story, hold: dict[str, Any], **body: Any) -> Any:
    return story.post(f"/v1/reserve/{hold['id']}/commit", body)


def test_every_field(story: Story, customer: str) -> None:
    hold = hold_of(story, customer, dimensions={"model": "x"}, metadata={"job": 1}, ttl_seconds=60)
    assert (hold["status"], hold["reserved_amount"], hold["estimated_units"]) == ("active", 3_000, 3)
    assert (hold["effective_balance"], hold["reserved_balance"], hold["balance"]) == (7_000, 3_000, 10_000)
    kept = answer(story.api.get(f"/v1/reserve/{hold['id']}"), 200)
    assert {name: hold[name] for name in kept} == kept
    done = answer(commit(story, hold, actual_units=2), 200)
    assert (done["status"], done["committed_amount"], done["returned_amount"]) == ("committed", 2_000, 1_000)
    assert (done["balance"], done["reserved_balance"], done["actual_units"]) == (8_000, 0, 2)
    assert [row["amount"] for row in done["blocks"]] == [2_000]
    used = answer(story.api.get(f"/v1/usage/{done['usage_id']}"), 200)
    assert (used["reservation_id"], used["units"], used["cost"]) == (hold["id"], 2, 2_000)
    assert (used["dimensions"], used["metadata"]) == ({"model": "x"}, {"job": 1})
    assert answer(story.api.get(f"/v1/reserve/{hold['id']}"), 200)["status"] == "committed"
    types = [entry["type"] for entry in story.ledger(customer)]
    assert types == ["grant", "reserve", "commit"]
    story.verify(customer)


def test_a_commit_can_be_taken_back(story: Story, customer: str) -> None:
    done = answer(commit(story, hold_of(story, customer)), 200)
    told = answer(story.post(f"/v1/usage/{done['usage_id']}/reverse"), 200)
    assert (told["refunded"], told["account"]["balance"]) == (3_000, 10_000)
    story.verify(customer)


def test_plain_credits_of_another_unit(story: Story) -> None:
    customer = story.wallet(500, unit="tokens")
    body = {"customer_id": customer, "credits": 200, "unit": "tokens"}
    hold = answer(story.post("/v1/reserve", body), 201)
    assert (hold["unit"], hold["reserved_amount"]) == ("tokens", 200)
    assert "estimated_units" not in hold
    done = answer(commit(story, hold, actual_credits=150), 200)
    assert (done["committed_amount"], done["returned_amount"], done["balance"]) == (150, 50, 350)
    story.verify(customer)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, ["/credits"]),
        ({"billable_metric_key": "look", "estimated_units": 1, "credits": 5}, ["/credits"]),
        ({"billable_metric_key": "look"}, ["/estimated_units"]),
        ({"billable_metric_key": "look", "estimated_units": 1, "unit": "tokens"}, ["/unit"]),
        ({"credits": 5, "estimated_units": 1, "dimensions": {}}, ["/estimated_units", "/dimensions"]),
        ({"credits": 0}, ["/credits"]),
        ({"credits": 5, "ttl_seconds": 0}, ["/ttl_seconds"]),
        ({"credits": 5, "ttl_seconds": 86_401}, ["/ttl_seconds"]),
        ({"billable_metric_key": "look", "estimated_units": -1}, ["/estimated_units"]),
    ],
)
def test_bad_requests(story: Story, customer: str, body: dict[str, Any], wrong: list[str]) -> None:
    problem = refused(story.post("/v1/reserve", {"customer_id": customer, **body}), 400, "validation-error")
    assert [fault["pointer"] for fault in problem["errors"]] == wrong
    assert story.effective(customer) == 10_000


def test_final_ones_tell_their_status(story: Story, customer: str) -> None:
    hold = hold_of(story, customer)
    answer(story.post(f"/v1/reserve/{hold['id']}/release", key="release:1"), 200)
    again = story.post(f"/v1/reserve/{hold['id']}/release", key="release:1")
    assert again.headers["x-idempotent-replayed"] == "true"
    for act in ("release", "commit"):
        problem = refused(story.post(f"/v1/reserve/{hold['id']}/{act}"), 409, "reservation-not-active")
        assert problem["reservation_status"] == "released"
    extend = story.post(f"/v1/reserve/{hold['id']}/extend", {"ttl_seconds": 5})
    refused(extend, 409, "reservation-not-active")


def test_extend(story: Story, customer: str) -> None:
    story.freeze()
    hold = hold_of(story, customer, ttl_seconds=60)
    story.advance(seconds=59)
    answer(story.post(f"/v1/reserve/{hold['id']}/extend", {"ttl_seconds": 60}), 200)
    story.advance(seconds=59)
    assert story.effective(customer) == 7_000
    story.advance(seconds=1)
    assert story.effective(customer) == 10_000
    assert answer(story.api.get(f"/v1/reserve/{hold['id']}"), 200)["status"] == "expired"
    assert len(story.events("reservation.expired", customer)) == 1
    story.verify(customer)


def test_lists(story: Story, customer: str) -> None:
    other = story.wallet(1_000)
    first = hold_of(story, customer)["id"]
    second = answer(story.post("/v1/reserve", {"customer_id": customer, "credits": 5}), 201)["id"]
    third = hold_of(story, other, 1)["id"]
    answer(story.post(f"/v1/reserve/{second}/release"), 200)

    def found(**query: Any) -> list[str]:
        return [row["id"] for row in pages(story.api, "/v1/reserve", **query)]

    assert found() == [third, second, first]
    assert found(customer_id=customer, order="asc") == [first, second]
    assert found(status="active") == [third, first]
    assert found(billable_metric_key="look", customer_id=customer) == [first]


def test_eight_ends_of_one_hold(story: Story, customer: str) -> None:
    hold = hold_of(story, customer)
    calls = [
        lambda act=act: story.post(f"/v1/reserve/{hold['id']}/{act}") for act in ("commit", "release") * 4
    ]
    responses = at_once(calls)
    assert sorted(response.status for response in responses) == [200, *[409] * 7]
    final = answer(story.api.get(f"/v1/reserve/{hold['id']}"), 200)["status"]
    assert story.account(customer)["reserved_balance"] == 0
    assert story.balance(customer) == {"committed": 7_000, "released": 10_000}[final]
    story.verify(customer)


def test_holds_count_in_the_quota(story: Story, customer: str) -> None:
    tiers = [
        {"up_to": 5, "level": "Normal", "policy": "NotifyOnly"},
        {"up_to": None, "level": "OverUsage", "policy": "Deny"},
    ]
    quota = {"period": "month", "alignment": "calendar", "tiers": tiers}
    story.override(customer, "look", {"quota": quota})
    hold = hold_of(story, customer, 4)
    refused(story.use(customer, "look", 2), 403, "quota-exceeded")
    refused(story.reserve(customer, "look", 2), 403, "quota-exceeded")
    assert story.used(customer, "look", 1)["quota"]["value"] == 1
    assert story.asset(customer, "look")["reserved_units"] == 4
    done = answer(commit(story, hold, actual_units=6), 200)
    assert done["committed_amount"] == 6_000, "a commit is never refused by a quota"
    assert story.asset(customer, "look")["value"] == 7
    story.verify(customer)
