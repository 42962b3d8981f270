"""Topups over HTTP: packages, payments that count once, refunds that touch nothing spent, auto-topups."""

import uuid
from datetime import timedelta
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from tests.api.stories import START, Json, Story, answer, at_once, refused, same_instant, slug

PACK: Json = {
    "name": "Pack M",
    "credits": 500_000,
    "price": 4_900,
    "currency": "EUR",
    "priority": 5,
    "expires_after_seconds": 86_400,
    "bonus_credits": 50_000,
}


def package(story: Story, **terms: Any) -> str:
    return answer(story.post("/v1/topup/packages", {**PACK, **terms}), 201)["id"]


def topup(story: Story, customer: str, **body: Any) -> Any:
    return story.post("/v1/topup/grant", {"customer_id": customer, **body})


def paid(story: Story, customer: str, credits_mc: int, **body: Any) -> str:
    body = {"credits": credits_mc, "price_paid": 100, "currency": "EUR", **body}
    return answer(topup(story, customer, **body), 201)["block"]["id"]


def refund(story: Story, block: str, **body: Any) -> Any:
    return story.post(f"/v1/topup/{block}/refund", body)


def test_packages(story: Story) -> None:
    made = answer(story.post("/v1/topup/packages", PACK), 201)
    assert (made["active"], made["unit"], made["metadata"]) == (True, "credits", {})
    path = f"/v1/topup/packages/{made['id']}"
    assert answer(story.api.get(path), 200) == made
    changed = answer(story.api.patch(path, {"active": False, "price": None}), 200)
    assert changed["active"] is False
    assert "price" not in changed
    other = package(story, name="Pack L")
    listed = answer(story.api.get("/v1/topup/packages"), 200)["data"]
    assert [row["id"] for row in listed] == [other, made["id"]]
    listed = answer(story.api.get("/v1/topup/packages", active="true"), 200)["data"]
    assert [row["id"] for row in listed] == [other]
    refused(story.api.get(f"/v1/topup/packages/{uuid.uuid4()}"), 404, "not-found")
    refused(story.post("/v1/topup/packages", {"name": "x", "credits": 0}), 400, "validation-error")


def test_a_package_fills_what_the_request_leaves_out(story: Story) -> None:
    story.freeze()
    customer = story.customer()
    pack = package(story)
    made = answer(topup(story, customer, package_id=pack), 201)
    block, bonus = made["block"], made["bonus_block"]
    assert (block["original_amount"], block["price_paid"], block["currency"]) == (500_000, 4_900, "EUR")
    assert (block["priority"], block["package_id"], block["source"]) == (5, pack, "topup")
    same_instant(block["expires_at"], START + timedelta(days=1))
    assert (bonus["original_amount"], bonus["priority"], "price_paid" in bonus) == (50_000, 5, False)
    assert made["account"]["balance"] == 550_000
    assert [block["id"] for block in story.live_blocks(customer)] == [bonus["id"], block["id"]]

    body = {"package_id": pack, "credits": 7, "price_paid": 1, "priority": 9, "expires_after_seconds": 60}
    made = answer(topup(story, customer, **body), 201)
    assert (made["block"]["original_amount"], made["block"]["price_paid"]) == (7, 1)
    assert made["block"]["priority"] == 9
    same_instant(made["block"]["expires_at"], START + timedelta(seconds=60))
    story.verify(customer)


def test_topups_refuse_what_makes_no_sense(story: Story) -> None:
    customer = story.customer()
    refused(topup(story, customer), 400, "validation-error")
    refused(topup(story, customer, package_id=str(uuid.uuid4())), 404, "not-found")
    inactive = package(story, active=False)
    refused(topup(story, customer, package_id=inactive), 409, "conflict")
    refused(story.post("/v1/topup/grant", {"credits": 5}), 400, "customer-identifier-conflict")
    unknown = topup(story, str(uuid.uuid4()), credits=5)
    refused(unknown, 404, "customer-not-found")


def test_an_unknown_external_customer_is_created(story: Story) -> None:
    body = {"external_customer_id": "new:1", "credits": 5_000, "price_paid": 5, "currency": "EUR"}
    made = answer(story.post("/v1/topup/grant", body), 201)
    assert (made["external_customer_id"], made["account"]["balance"]) == ("new:1", 5_000)
    kinds = [event["type"] for event in story.events(customer=made["customer_id"])]
    assert kinds == ["customer.created", "credit.granted"]
    wrong = {"external_customer_id": "new:2", "package_id": str(uuid.uuid4())}
    refused(story.post("/v1/topup/grant", wrong), 404, "not-found")
    refused(story.api.get("/v1/customer-by-external-id/new:2"), 404, "customer-not-found")


def test_a_payment_counts_once_for_ever(story: Story) -> None:
    first, second = story.customer(), story.customer()
    block = paid(story, first, 1_000, external_payment_id="pay_1")
    for customer in (first, second):
        again = topup(story, customer, credits=1_000, external_payment_id="pay_1")
        assert refused(again, 409, "conflict")["block_id"] == block
    answer(story.api.delete(f"/v1/customers/{first}"), 200)
    refused(topup(story, second, credits=1_000, external_payment_id="pay_1"), 409, "conflict")
    assert story.balance(second) == 0


def test_one_payment_at_once_for_many_customers(story: Story) -> None:
    customers = [story.customer() for _ in range(6)]
    calls = [
        lambda customer=customer: topup(story, customer, credits=1_000, external_payment_id="pay_2")
        for customer in customers * 2
    ]
    answers = at_once(calls)
    assert sorted(response.status for response in answers) == [201] + [409] * 11
    assert {slug(response) for response in answers if response.status == 409} == {"conflict"}
    assert sum(story.balance(customer) for customer in customers) == 1_000


def test_a_whole_refund_takes_what_is_left(story: Story) -> None:
    customer = story.customer()
    block = paid(story, customer, 10_000)
    answer(story.post(f"/v1/customers/{customer}/credits/withdraw", {"credits": 2_500}), 200)
    answer(story.post("/v1/reserve", {"customer_id": customer, "credits": 1_500}), 201)
    back = answer(refund(story, block), 200)
    assert back["debit"] == {"amount": 6_000, "blocks": [{"block_id": block, "amount": 6_000}]}
    assert (back["spent"], back["held"]) == (2_500, 1_500)
    assert (back["account"]["balance"], back["account"]["effective_balance"]) == (1_500, 0)
    again = answer(refund(story, block), 200)
    assert (again["debit"]["amount"], again["spent"], again["held"]) == (0, 2_500, 1_500)
    (told,) = story.events("credit.refunded", customer)
    assert (told["data"]["amount"], told["data"]["block_id"]) == (6_000, block)
    story.verify(customer)


@pytest.mark.parametrize(
    ("body", "taken", "left"),
    [
        ({"credits": 3_000}, 3_000, 7_001),
        ({"credits": 30_000}, 10_001, 0),
        ({"fraction": "0.5"}, 5_000, 5_001),
        ({"fraction": 0.25}, 2_500, 7_501),
        ({"fraction": 1}, 10_001, 0),
    ],
)
def test_partial_refunds(story: Story, body: Any, taken: int, left: int) -> None:
    customer = story.customer()
    block = paid(story, customer, 10_001)
    back = answer(refund(story, block, **body), 200)
    assert (back["debit"]["amount"], back["spent"], back["held"]) == (taken, 0, 0)
    assert story.balance(customer) == left
    story.verify(customer)


def test_refunds_refuse(story: Story) -> None:
    customer = story.customer()
    block = paid(story, customer, 1_000)
    for body in ({"fraction": 0}, {"fraction": "1.01"}, {"credits": 1, "fraction": "0.5"}, {"credits": 0}):
        refused(refund(story, block, **body), 400, "validation-error")
    refused(refund(story, str(uuid.uuid4())), 404, "not-found")
    gift = story.grant(customer, 5)["block"]["id"]
    refused(refund(story, gift), 409, "conflict")


def test_a_fraction_that_is_none_is_named(story: Story, server: Any) -> None:
    """It was refused in the words of a library, about the whole body."""
    block = paid(story, story.customer(), 1_000)
    for fraction in ("half", "0,5", "", "0x1"):
        told = refused(refund(story, block, fraction=fraction), 400, "validation-error")
        fault = {"pointer": "/fraction", "detail": "must be a number in decimal digits, such as 0.5."}
        assert told["errors"] == [fault]
    document = httpx2.get(f"{server.base_url}/openapi.json").json()
    schema = document["components"]["schemas"]["TopupRefund"]["properties"]["fraction"]
    fits = [
        fraction for fraction in (0.25, 1, "0.5", 0, 2, "half") if jsonschema_rs.is_valid(schema, fraction)
    ]
    assert fits == [0.25, 1, "0.5"]


def auto(story: Story, customer: str, **terms: Any) -> Any:
    return story.api.put(f"/v1/customers/{customer}/auto-topup", terms)


def spend(story: Story, customer: str, credits_mc: int) -> None:
    answer(story.post(f"/v1/customers/{customer}/credits/withdraw", {"credits": credits_mc}), 200)


def test_auto_topup_asks_when_the_balance_falls(story: Story) -> None:
    customer = story.wallet(10_000)
    pack = package(story)
    terms = {"threshold": 2_000, "package_id": pack, "max_per_period": 2}
    answer(auto(story, customer, **terms), 200)
    spend(story, customer, 7_999)
    assert story.events("topup.requested", customer) == []
    spend(story, customer, 1)
    spend(story, customer, 500)
    (asked,) = story.events("topup.requested", customer)
    assert asked["data"] == {
        "unit": "credits",
        "threshold": 2_000,
        "balance": 2_000,
        "effective_balance": 2_000,
        "package_id": pack,
        "credits": 500_000,
        "price": 4_900,
        "currency": "EUR",
    }
    for _ in range(2):
        story.grant(customer, 10_000)
        spend(story, customer, 10_000)
    assert len(story.events("topup.requested", customer)) == 2, "max_per_period"
    shown = answer(story.api.get(f"/v1/customers/{customer}/auto-topup"), 200)
    assert (shown["requested_in_period"], shown["threshold"]) == (2, 2_000)


def test_auto_topup_cools_down(story: Story) -> None:
    story.freeze()
    customer = story.wallet(10_000)
    answer(auto(story, customer, threshold=9_000, credits=100, cooldown_seconds=3_600), 200)
    spend(story, customer, 1_000)
    spend(story, customer, 1_000)
    assert len(story.events("topup.requested", customer)) == 1
    story.advance(hours=1)
    spend(story, customer, 1_000)
    assert len(story.events("topup.requested", customer)) == 2


def test_auto_topup_of_a_low_balance_asks_at_once(story: Story) -> None:
    customer = story.customer()
    answer(auto(story, customer, threshold=0, credits=100), 200)
    assert len(story.events("topup.requested", customer)) == 1
    path = f"/v1/customers/{customer}/auto-topup"
    assert story.api.delete(path).status == 204
    refused(story.api.get(path), 404, "not-found")
    refused(story.api.delete(path), 404, "not-found")
    refused(auto(story, customer, threshold=5), 400, "validation-error")
    refused(
        auto(story, customer, threshold=5, credits=1, package_id=str(uuid.uuid4())), 400, "validation-error"
    )
    refused(auto(story, customer, threshold=5, package_id=str(uuid.uuid4())), 404, "not-found")
    pack = package(story, unit="tokens")
    refused(auto(story, customer, threshold=5, package_id=pack), 400, "validation-error")
    answer(auto(story, customer, threshold=5, package_id=pack, unit="tokens"), 200)
