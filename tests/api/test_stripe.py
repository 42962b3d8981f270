"""Stripe's webhook over HTTP: off by default, signed, once per event."""

import hashlib
import hmac
import itertools
import json
import time
from typing import Any

import pytest
from tests.api.stories import Json, Story, answer

SECRET = "whsec_a_secret_of_some_length"


class Stripe:
    """Sends events as Stripe does."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.numbers = itertools.count(1)
        self.path = story.configure(stripe_webhook_secret=SECRET)["stripe_webhook_path"]

    def send(self, kind: str, found: Json, *, event_id: str | None = None, **more: Any) -> Any:
        data = {"object": found, "previous_attributes": more.pop("before", None)}
        event = {"id": event_id or f"evt_{next(self.numbers)}", "type": kind, "livemode": False, "data": data}
        return self.post(json.dumps({**event, **more}).encode())

    def post(self, body: bytes, *, header: str | None = None) -> Any:
        at = int(time.time())
        signed = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": header or f"t={at},v1={signed}"}
        return self.story.api.http.post(self.path, content=body, headers=headers)

    def result(self, kind: str, found: Json, **more: Any) -> str:
        response = self.send(kind, found, **more)
        assert response.status_code == 200, response.text
        return response.json()["result"]


@pytest.fixture
def stripe(story: Story) -> Stripe:
    return Stripe(story)


def paid(**metadata: str) -> Json:
    return {
        "id": "cs_1",
        "payment_status": "paid",
        "payment_intent": "pi_1",
        "amount_total": 900,
        "currency": "eur",
        "metadata": {"external_customer_id": "user_1", **metadata},
    }


def test_a_payment_grants_once(stripe: Stripe) -> None:
    story = stripe.story
    kind = "checkout.session.completed"
    assert stripe.result(kind, paid(credits="10000"), event_id="evt_a") == "granted"
    assert stripe.result(kind, paid(credits="10000"), event_id="evt_a") == "granted"
    assert stripe.result(kind, paid(credits="10000"), event_id="evt_b") == "ignored"
    customer = answer(story.api.get("/v1/customer-by-external-id/user_1"), 200)["customer_id"]
    (block,) = story.blocks(customer)
    assert (block["original_amount"], block["price_paid"], block["currency"]) == (10_000, 900, "EUR")
    assert block["external_payment_id"] == "pi_1"
    (entry,) = story.ledger(customer)
    assert (entry["actor"], entry["idempotency_key"]) == ("stripe", "evt_a")

    charge = {"id": "ch_1", "payment_intent": "pi_1", "amount": 900, "amount_refunded": 300}
    assert stripe.result("charge.refunded", charge, event_id="evt_c") == "refunded"
    assert stripe.result("charge.refunded", charge, event_id="evt_c") == "refunded"
    assert story.balance(customer) == 10_000 - 3_333
    more = {**charge, "amount_refunded": 900}
    assert stripe.result("charge.refunded", more, before={"amount_refunded": 300}) == "refunded"
    assert story.balance(customer) == 10_000 - 3_333 - 6_666

    dispute = {"id": "dp_1", "charge": "ch_1", "payment_intent": "pi_1"}
    assert stripe.result("charge.dispute.created", dispute) == "suspended"
    assert story.account(customer)["status"] == "suspended"
    story.verify(customer)


def test_an_invoice_renews(stripe: Stripe) -> None:
    story = stripe.story
    story.freeze()
    plan = story.plan("stripe_plan")
    variant = story.variant(plan)
    customer = story.customer()
    subscription = story.subscribe(customer, variant)["id"]
    invoice = {
        "id": "in_1",
        "amount_paid": 900,
        "currency": "eur",
        "metadata": {"subscription_id": subscription},
    }
    before = story.subscription(subscription)
    assert stripe.result("invoice.paid", invoice) in {"renewed", "ignored"}
    story.advance(days=29)
    assert stripe.result("invoice.paid", {**invoice, "id": "in_2"}) == "renewed"
    assert story.subscription(subscription)["paid_through"] > before["current_period_end"]


def test_what_is_not_stripes_is_refused(stripe: Stripe) -> None:
    for header in ("", "t=1,v1=00", f"t={int(time.time())},v1={'0' * 64}"):
        assert stripe.post(b"{}", header=header or "nothing").status_code == 401
    assert stripe.post(b"[]").status_code == 400
    assert stripe.post(b"\xff").status_code == 400
    live = stripe.send("invoice.paid", {"id": "in_1"}, livemode=True)
    assert live.status_code == 400
    unknown = stripe.send("charge.refunded", {"id": "ch_9", "amount": 5, "amount_refunded": 5})
    assert unknown.json()["result"] == "ignored"
    missing = stripe.send(
        "checkout.session.completed", paid(package_id="0190a000-0000-7000-8000-00000000000a")
    )
    assert missing.status_code == 404


def test_off_until_configured(story: Story, stripe: Stripe) -> None:
    config = story.configure(stripe_webhook_secret=None)
    assert config["stripe_webhook_path"] is None
    assert stripe.post(b"{}").status_code == 404
    nowhere = story.api.http.post("/v1/integrations/stripe/webhook/0190a000-0000-7000-8000-00000000000a")
    assert nowhere.status_code == 404
    shown = json.dumps(story.configure(stripe_webhook_secret=SECRET))
    assert SECRET not in shown
