"""Stripe's signature scheme, and what its events ask for, as tables."""

import hashlib
import hmac
from typing import Any

import pytest

from quotastack.core.errors import CustomerIdentifierConflictError, ValidationFailedError
from quotastack.core.stripe import (
    GrantAct,
    RenewAct,
    StripeData,
    StripeEvent,
    SuspendAct,
    TakeBackAct,
    is_signed,
    plan_act,
)

SECRET = "whsec_test_secret_of_an_endpoint"
UUID = "0190a000-0000-7000-8000-00000000000a"
NOW = 1_800_000_000


def signature(body: bytes, *, at: int = NOW, secret: str = SECRET) -> str:
    """As Stripe's documentation says, by hand."""
    return hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("header", "is_valid"),
    [
        (f"t={NOW},v1={signature(b'{}')}", True),
        (f"t={NOW}, v1={signature(b'{}')}", True),
        (f"t={NOW},v1={'0' * 64},v1={signature(b'{}')}", True),
        (f"t={NOW - 300},v1={signature(b'{}', at=NOW - 300)}", True),
        (f"t={NOW - 301},v1={signature(b'{}', at=NOW - 301)}", False),
        (f"t={NOW + 301},v1={signature(b'{}', at=NOW + 301)}", False),
        (f"t={NOW - 1},v1={signature(b'{}')}", False),
        (f"t={NOW},v1={signature(b'{ }')}", False),
        (f"t={NOW},v1={signature(b'{}', secret='another')}", False),
        (f"t={NOW},v0={signature(b'{}')}", False),
        (f"v1={signature(b'{}')}", False),
        (f"t=now,v1={signature(b'{}')}", False),
        ("", False),
        ("t=\u00b2,v1=00", False),
        ("t=" + "9" * 400 + ",v1=\u00e9", False),
    ],
)
def test_signatures(header: str, *, is_valid: bool) -> None:
    assert is_signed(SECRET, header, b"{}", now_seconds=NOW) is is_valid


def act(kind: str, found: dict[str, Any], before: dict[str, Any] | None = None) -> Any:
    return plan_act(StripeEvent("evt_1", kind, StripeData({"id": "obj_1", **found}, before)))


def test_a_paid_checkout_grants() -> None:
    found = {
        "payment_status": "paid",
        "mode": "payment",
        "payment_intent": "pi_1",
        "amount_total": 4_900,
        "currency": "eur",
        "metadata": {"external_customer_id": "user_1", "credits": "500000", "priority": "5"},
    }
    planned = act("checkout.session.completed", found)
    assert isinstance(planned, GrantAct)
    assert planned.customer.external_id == "user_1"
    topup = planned.topup
    assert (topup.credits_mc, topup.price_paid, topup.currency) == (500_000, 4_900, "EUR")
    assert (topup.external_payment_id, topup.priority, topup.unit) == ("pi_1", 5, None)


IGNORED: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("customer.created", {}, None),
    ("checkout.session.completed", {"payment_status": "unpaid", "metadata": {"credits": "5"}}, None),
    (
        "checkout.session.completed",
        {"payment_status": "paid", "mode": "subscription", "metadata": {"credits": "5"}},
        None,
    ),
    ("invoice.paid", {"metadata": {"other": "x"}}, None),
    ("invoice.paid", {"metadata": None, "lines": {"data": []}}, None),
    ("charge.refunded", {"amount": 100, "amount_refunded": 0}, None),
    ("charge.refunded", {"amount": 100, "amount_refunded": 40}, {"amount_refunded": 40}),
    ("charge.refunded", {"amount": "100", "amount_refunded": 40}, None),
]


@pytest.mark.parametrize(("kind", "found", "before"), IGNORED)
def test_what_asks_for_nothing(kind: str, found: dict[str, Any], before: dict[str, Any] | None) -> None:
    assert act(kind, found, before) is None


@pytest.mark.parametrize(
    "found",
    [
        {"metadata": {"subscription_id": UUID}},
        {"subscription_details": {"metadata": {"subscription_id": UUID}}},
        {"parent": {"subscription_details": {"metadata": {"subscription_id": UUID}}}},
        {"lines": {"data": [{"metadata": {"subscription_id": UUID.upper()}}]}},
    ],
)
def test_an_invoice_renews_by_the_metadata_of_whoever_has_it(found: dict[str, Any]) -> None:
    assert act("invoice.paid", found) == RenewAct(UUID)


@pytest.mark.parametrize(
    "metadata",
    [
        {"credits": "five"},
        {"credits": "0"},
        {"credits": "9007199254740992"},
        {"credits": "5", "priority": "low"},
        {"credits": "5", "unit": "Not A Unit"},
        {"package_id": "pack"},
        {"subscription_id": "sub_1"},
        {"credits": "5", "customer_id": "cus_1"},
    ],
)
def test_metadata_that_cannot_be_read(metadata: dict[str, str]) -> None:
    with pytest.raises(ValidationFailedError):
        act("invoice.paid", {"metadata": {"external_customer_id": "u", **metadata}})


def test_a_payment_names_one_customer() -> None:
    paid = {"payment_status": "paid", "metadata": {"credits": "5"}}
    with pytest.raises(CustomerIdentifierConflictError):
        act("checkout.session.completed", paid)
    named = act("checkout.session.completed", {**paid, "client_reference_id": "user_2"})
    assert named.customer.external_id == "user_2"


@pytest.mark.parametrize(
    ("amount", "refunded", "earlier", "fraction"),
    [(100, 100, None, (100, 100)), (100, 25, None, (25, 100)), (100, 75, 25, (50, 100)), (3, 3, 2, (1, 3))],
)
def test_a_refund_takes_the_difference(
    amount: int, refunded: int, earlier: int | None, fraction: tuple[int, int]
) -> None:
    before = None if earlier is None else {"amount_refunded": earlier}
    found = {"amount": amount, "amount_refunded": refunded, "payment_intent": "pi_1", "invoice": "in_1"}
    planned = act("charge.refunded", found, before)
    assert isinstance(planned, TakeBackAct)
    assert planned.payment_ids == ("pi_1", "in_1", "obj_1")
    assert planned.fraction == fraction


def test_a_dispute_suspends() -> None:
    assert act("charge.dispute.created", {"charge": "ch_1"}) == SuspendAct(("ch_1", "obj_1"))
