"""A check never contradicts what the caller was told before: entitlements.md, Freshness."""

import time

import pytest
from tests.api.stories import Story, answer

ROUNDS = 25
BOUND_SECONDS = 0.1


def checked(story: Story, customer: str, **query: object) -> int:
    return story.check(customer, "look", **query)["effective_balance"]


@pytest.fixture
def customer(both: list[Story]) -> str:
    first, second = both
    first.priced("look", 1_000)
    customer = first.wallet(1_000_000)
    assert checked(first, customer) == checked(second, customer, consistency="strong") == 1_000_000
    return customer


def test_same_process_reflects_every_mutation(both: list[Story], customer: str) -> None:
    first, _ = both
    expected = 1_000_000
    for round_number in range(ROUNDS):
        first.used(customer, "look", 2)
        expected -= 2_000
        assert checked(first, customer) == expected
        if round_number % 5 == 0:
            hold = answer(first.reserve(customer, "look"), 201)["id"]
            assert checked(first, customer) == expected - 1_000
            answer(first.post(f"/v1/reserve/{hold}/release"), 200)
            assert checked(first, customer) == expected


def test_strong_consistency_reflects_the_other_process(both: list[Story], customer: str) -> None:
    expected = 1_000_000
    for round_number in range(ROUNDS):
        writer, reader = both if round_number % 2 else both[::-1]
        assert checked(reader, customer, consistency="strong") == expected
        writer.used(customer, "look", 1)
        expected -= 1_000
        assert checked(reader, customer, consistency="strong") == expected


def test_other_process_follows_within_the_bound(both: list[Story], customer: str) -> None:
    """An old answer may only be given while the bound has not passed since the write was answered."""
    expected = 1_000_000
    for round_number in range(ROUNDS):
        writer, reader = both if round_number % 2 else both[::-1]
        before = checked(reader, customer, consistency="strong")
        writer.used(customer, "look", 1)
        answered_at = time.monotonic()
        expected -= 1_000
        while True:
            asked_at = time.monotonic()
            seen = checked(reader, customer)
            if seen == expected:
                break
            assert seen == before
            assert asked_at - answered_at <= BOUND_SECONDS, "an old answer after the bound"


def test_catalog_changes_follow_too(both: list[Story], customer: str) -> None:
    first, second = both
    for unit_cost in (2_000, 3_000, 4_000):
        first.rule("look", cost_type="per_unit", unit_cost=unit_cost)
        answered_at = time.monotonic()
        assert first.check(customer, "look")["estimated_cost"] == unit_cost
        assert second.check(customer, "look", consistency="strong")["estimated_cost"] == unit_cost
        while True:
            asked_at = time.monotonic()
            if second.check(customer, "look")["estimated_cost"] == unit_cost:
                break
            assert asked_at - answered_at <= BOUND_SECONDS, "an old price after the bound"
        assert second.used(customer, "look")["cost"] == unit_cost


def test_override_and_suspension_follow(both: list[Story], customer: str) -> None:
    first, second = both
    first.override(customer, "look", {"enabled": False})
    assert first.check(customer, "look")["reason"] == "not_entitled"
    assert second.check(customer, "look", consistency="strong")["reason"] == "not_entitled"
    answer(first.api.delete(f"/v1/customers/{customer}/entitlements/look"))
    answer(second.post(f"/v1/customers/{customer}/credits/suspend"))
    assert second.check(customer, "look")["reason"] == "suspended"
    assert first.check(customer, "look", consistency="strong")["reason"] == "suspended"


def test_lists_and_reads_reflect_the_other_process(both: list[Story], customer: str) -> None:
    """GETs other than checks read the database: all writes answered before, on any process."""
    first, second = both
    for round_number in range(5):
        usage = first.used(customer, "look", 1)
        assert answer(second.api.get(f"/v1/usage/{usage['id']}"), 200)["cost"] == 1_000
        assert second.balance(customer) == 1_000_000 - 1_000 * (round_number + 1)
        assert len(second.ledger(customer)) == round_number + 2
