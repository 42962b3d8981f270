"""Credits over HTTP: every endpoint of credits.md, its answers and its refusals."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.api.stories import START, Story, answer, instant, pages, refused, wire


def credits_path(customer: str, rest: str = "") -> str:
    return f"/v1/customers/{customer}/credits{rest}"


def test_account_of_a_new_customer(story: Story) -> None:
    customer = story.customer("u1")
    assert story.account(customer) == {
        "customer_id": customer,
        "external_customer_id": "u1",
        "unit": "credits",
        "balance": 0,
        "reserved_balance": 0,
        "effective_balance": 0,
        "overdraft": 0,
        "lifetime_earned": 0,
        "lifetime_spent": 0,
        "lifetime_expired": 0,
        "status": "active",
        "version": 1,
    }
    assert story.account(customer, unit="tokens")["balance"] == 0


def test_grant_answers_block_and_account(story: Story) -> None:
    customer = story.customer()
    made = story.grant(customer, 5_000, priority=3, reason="welcome", metadata={"why": 1})
    block = made["block"]
    assert (block["original_amount"], block["remaining_amount"], block["status"]) == (5_000, 5_000, "active")
    assert (block["priority"], block["reason"], block["metadata"]) == (3, "welcome", {"why": 1})
    assert block["expires_at"] is None
    assert (made["account"]["balance"], made["version"]) == (5_000, 2)
    assert story.account(customer)["version"] == 2
    (entry,) = story.ledger(customer)
    assert entry["blocks"] == [{"block_id": block["id"], "delta": 5_000}]
    assert entry["reference"] == {"type": "block", "id": block["id"]}
    assert (entry["reason"], entry["metadata"], entry["sequence"]) == ("welcome", {"why": 1}, 1)
    assert entry["idempotency_key"]
    assert entry["request_id"]
    story.verify(customer)


WRONG_GRANTS: list[tuple[dict[str, Any], str]] = [
    ({}, "/credits"),
    ({"credits": 0}, "/credits"),
    ({"credits": -5}, "/credits"),
    ({"credits": 1.5}, "/credits"),
    ({"credits": "5"}, "/credits"),
    ({"credits": 2**53}, "/credits"),
    ({"credits": 5, "source": "gift"}, "/source"),
    ({"credits": 5, "unit": "Not A Unit"}, "/unit"),
    ({"credits": 5, "colour": "red"}, "/colour"),
    ({"credits": 5, "expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
    ({"credits": 5, "expires_at": "2300-01-01T00:00:00Z"}, "/expires_at"),
    (
        {"credits": 5, "expires_at": "2100-01-01T00:00:00Z", "expires_after_seconds": 5},
        "/expires_after_seconds",
    ),
]


@pytest.mark.parametrize(("body", "pointer"), WRONG_GRANTS)
def test_wrong_grants(story: Story, body: Any, pointer: str) -> None:
    customer = story.customer()
    problem = refused(story.post(credits_path(customer, "/grant"), body), 400, "validation-error")
    assert pointer in [fault["pointer"] for fault in problem["errors"]]
    assert story.ledger(customer) == []


def test_adjustments(story: Story) -> None:
    customer = story.wallet(1_000)
    path = credits_path(customer, "/adjust")
    added = answer(story.post(path, {"delta": 200, "reason": "sorry"}), 201)
    assert added["block"]["source"] == "adjustment"
    refused(story.post(path, {"delta": -1_201, "reason": "fraud"}), 402, "insufficient-credits")
    taken = answer(story.post(path, {"delta": -1_100, "reason": "fraud"}), 200)
    assert taken["debit"]["amount"] == 1_100
    assert [draw["amount"] for draw in taken["debit"]["blocks"]] == [1_000, 100]
    body = {"delta": -300, "reason": "fraud", "allow_negative": True}
    overdrawn = answer(story.post(path, body), 200)
    assert (overdrawn["account"]["balance"], overdrawn["account"]["overdraft"]) == (-200, 200)
    granted = story.grant(customer, 500)
    assert (granted["account"]["balance"], granted["block"]["remaining_amount"]) == (300, 300)
    for body in ({"delta": 5}, {"delta": 5, "reason": ""}, {"delta": 0, "reason": "x"}):
        refused(story.post(path, body), 400, "validation-error")
    story.verify(customer)


def test_withdraw_void_and_exchange(story: Story) -> None:
    customer = story.wallet(1_000)
    path = credits_path(customer, "/withdraw")
    problem = refused(story.post(path, {"credits": 1_001}), 402, "insufficient-credits")
    assert (problem["required"], problem["available"], problem["shortfall"]) == (1_001, 1_000, 1)
    answer(story.post(path, {"credits": 400}), 200)
    (block,) = story.live_blocks(customer)
    voided = answer(story.post(credits_path(customer, f"/blocks/{block['id']}/void"), {}), 200)
    assert voided["debit"] == {"amount": 600, "blocks": [{"block_id": block["id"], "amount": 600}]}
    again = story.post(credits_path(customer, f"/blocks/{block['id']}/void"), {})
    assert refused(again, 409, "conflict")["block_status"] == "voided"
    nobody = story.post(credits_path(customer, f"/blocks/{uuid.uuid4()}/void"), {})
    refused(nobody, 404, "not-found")
    other = story.wallet(50)
    (foreign,) = story.live_blocks(other)
    refused(story.post(credits_path(customer, f"/blocks/{foreign['id']}/void"), {}), 404, "not-found")
    exchange = {"debit_credits": 1, "grant": {"credits": 10, "unit": "tokens"}}
    refused(story.post(credits_path(customer, "/exchange"), exchange), 402, "insufficient-credits")
    assert story.balance(customer, unit="tokens") == 0
    story.verify(customer)


def test_suspend_and_resume(story: Story) -> None:
    customer = story.wallet(1_000)
    suspended = answer(story.post(credits_path(customer, "/suspend"), {}), 200)
    assert (suspended["status"], suspended["version"]) == ("suspended", 3)
    for rest, body in (
        ("/withdraw", {"credits": 1}),
        ("/adjust", {"delta": -1, "reason": "x"}),
        ("/exchange", {"debit_credits": 1, "grant": {"credits": 1}}),
    ):
        refused(story.post(credits_path(customer, rest), body), 403, "asset-suspended")
    refused(story.post("/v1/reserve", {"customer_id": customer, "credits": 1}), 403, "asset-suspended")
    story.grant(customer, 5)
    answer(story.post(credits_path(customer, "/withdraw"), {"credits": 1, "unit": "tokens"}), 402)
    answer(story.post(credits_path(customer, "/resume"), {}), 200)
    answer(story.post(credits_path(customer, "/withdraw"), {"credits": 1}), 200)


def test_block_lists(story: Story) -> None:
    customer = story.customer()
    late = story.grant(customer, 10, expires_at="2150-01-01T00:00:00Z")["block"]["id"]
    never = story.grant(customer, 10, priority=-1)["block"]["id"]
    soon = story.grant(customer, 10, expires_at="2149-01-01T00:00:00Z", source="topup")["block"]["id"]
    ahead = story.grant(customer, 10, effective_at="2150-01-01T00:00:00Z")["block"]["id"]

    def listed(**query: Any) -> list[str]:
        return [block["id"] for block in story.blocks(customer, **query)]

    assert listed() == [ahead, soon, never, late]
    assert listed(order="asc") == [late, never, soon, ahead]
    assert listed(sort="burn_order") == [never, soon, late]
    assert listed(sort="expires_at")[:2] == [soon, late]
    assert listed(sort="expires_at", order="desc")[-1] == soon
    assert listed(status="pending") == [ahead]
    assert listed(source="topup") == [soon]
    assert [block["id"] for block in story.live_blocks(customer)] == [never, soon, late]
    for sort in ("burn_order", "expires_at", "created_at"):
        walked: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = answer(story.api.get(credits_path(customer, "/blocks"), sort=sort, limit=1, **cursor), 200)
            walked += [block["id"] for block in page["data"]]
            if not page["pagination"]["has_more"]:
                break
            cursor = {"cursor": page["pagination"]["next_cursor"]}
        assert walked == listed(sort=sort)
    wrong = story.api.get(credits_path(customer, "/blocks"), sort="burn_order", status="expired")
    refused(wrong, 400, "validation-error")


def test_ledger_filters(story: Story) -> None:
    customer = story.wallet(1_000)
    (block,) = story.live_blocks(customer)
    second = story.grant(customer, 500, priority=5)["block"]["id"]
    answer(story.post(credits_path(customer, "/withdraw"), {"credits": 1_200}), 200)
    story.grant(customer, 9, unit="tokens")

    def listed(**query: Any) -> list[int]:
        return [entry["sequence"] for entry in story.ledger(customer, **query)]

    assert listed() == [1, 2, 3]
    assert listed(type="grant") == [1, 2]
    assert listed(block_id=block["id"]) == [1, 3]
    assert listed(block_id=second) == [2, 3]
    assert listed(reference_id=second) == [2]
    assert listed(unit="tokens") == [1]
    third = story.ledger(customer)[2]["created_at"]
    assert listed(**{"from": third}) == [3]
    assert listed(to=third) == [1, 2]
    newest_first = list(pages(story.api, credits_path(customer, "/ledger")))
    assert [entry["sequence"] for entry in newest_first] == [3, 2, 1]
    refused(story.api.get(credits_path(customer, "/ledger"), type="gift"), 400, "validation-error")
    story.verify(customer)


def test_the_account_as_it_was(story: Story) -> None:
    story.freeze()
    customer = story.wallet(1_000, expires_at=wire(START + timedelta(hours=2)))
    story.advance(hours=1)
    answer(story.post(credits_path(customer, "/withdraw"), {"credits": 300}), 200)
    body = {"delta": -900, "reason": "x", "allow_negative": True}
    answer(story.post(credits_path(customer, "/adjust"), body), 200)
    story.advance(hours=3)
    story.grant(customer, 450)

    def then(at: datetime) -> tuple[int, int, int]:
        account = story.account(customer, at=wire(at), include_blocks="true")
        assert sum(block["remaining_amount"] for block in account["blocks"]) == (
            account["balance"] + account["overdraft"]
        )
        return account["balance"], account["overdraft"], account["lifetime_earned"]

    assert then(START - timedelta(microseconds=1)) == (0, 0, 0)
    assert then(START) == (1_000, 0, 1_000)
    assert then(START + timedelta(hours=1) - timedelta(microseconds=1)) == (1_000, 0, 1_000)
    assert then(START + timedelta(hours=1)) == (-200, 200, 1_000)
    assert then(START + timedelta(hours=4)) == (250, 0, 1_450)
    ahead = story.api.get(credits_path(customer), at=wire(START + timedelta(hours=5)))
    refused(ahead, 400, "validation-error")


def test_expiry_needs_no_sweep(story: Story) -> None:
    story.freeze()
    customer = story.wallet(1_000, expires_at=wire(START + timedelta(hours=1)))
    story.advance(hours=1, sweep=False)
    assert story.balance(customer) == 0
    refused(story.post(credits_path(customer, "/withdraw"), {"credits": 1}), 402, "insufficient-credits")
    (entry,) = [entry for entry in story.ledger(customer) if entry["type"] == "expire"]
    assert instant(entry["created_at"]) == START + timedelta(hours=1)
    assert (entry["delta"], entry["actor"]) == (-1_000, "system")
    (block,) = story.blocks(customer)
    assert (block["status"], block["remaining_amount"]) == ("expired", 0)
    assert story.account(customer)["lifetime_expired"] == 1_000
    story.verify(customer)


def test_balance_events(story: Story) -> None:
    customer = story.customer()
    answer(story.api.patch(f"/v1/customers/{customer}", {"low_balance_threshold": 500}), 200)
    story.grant(customer, 400)
    story.grant(customer, 600)
    withdraw = credits_path(customer, "/withdraw")
    answer(story.post(withdraw, {"credits": 499}), 200)
    assert story.events("credit.balance_low", customer) == []
    answer(story.post(withdraw, {"credits": 1}), 200)
    answer(story.post(withdraw, {"credits": 100}), 200)
    (low,) = story.events("credit.balance_low", customer)
    assert low["data"] == {"threshold": 500, "unit": "credits", "balance": 500, "effective_balance": 500}
    answer(story.post(withdraw, {"credits": 400}), 200)
    assert len(story.events("credit.exhausted", customer)) == 1
    story.grant(customer, 501)
    answer(story.post(withdraw, {"credits": 501}), 200)
    assert len(story.events("credit.balance_low", customer)) == 2
    assert len(story.events("credit.exhausted", customer)) == 2
    sequences = [event["sequence"] for event in story.events(customer=customer)]
    assert sequences == list(range(1, len(sequences) + 1))
