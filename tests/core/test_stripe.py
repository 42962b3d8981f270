"""Stripe's signature scheme, and what its events ask for, as tables."""

import hashlib
import hmac
from typing import Any

import pytest

from quotastack.core.amounts import AMOUNT_MAX
from quotastack.core.customer_ref import CustomerRef
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
from quotastack.core.topups import GrantTopup

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
        (f"t={NOW + 300},v1={signature(b'{}', at=NOW + 300)}", True),
        (f"t={NOW + 301},v1={signature(b'{}', at=NOW + 301)}", False),
        (f"t={NOW},{'v1=00,' * 9}v1={signature(b'{}')}", True),
        (f"t={NOW},{'v1=00,' * 10}v1={signature(b'{}')}", False),
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


BOUGHT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # what of the payment is another                       what of the grant is another
    ({},                                                   {}),
    ({"amount_paid": 0},                                   {"price_paid": 0}),
    ({"amount_paid": AMOUNT_MAX},                          {"price_paid": AMOUNT_MAX}),
    ({"amount_paid": AMOUNT_MAX + 1},                      {"price_paid": None}),
    ({"amount_paid": -1},                                  {"price_paid": None}),
    ({"amount_paid": "490"},                               {"price_paid": None}),
    ({"amount_paid": None, "currency": None},              {"price_paid": None, "currency": None}),
    ({"payment_intent": {"id": "pi_2"}},                   {"external_payment_id": "pi_2"}),
    ({"payment_intent": {"object": "x"}},                  {"external_payment_id": "obj_1"}),
    ({"payment_intent": ""},                               {"external_payment_id": "obj_1"}),
    ({"payment_intent": None, "charge": "ch_1"},           {"external_payment_id": "ch_1"}),
    ({"payment_intent": None, "invoice": {"id": "in_1"}},  {"external_payment_id": "in_1"}),
]  # fmt: skip
MEANT: list[tuple[dict[str, str], dict[str, Any]]] = [
    # what the metadata says besides                       what of the grant is another
    ({"credits": "1"},                                     {"credits_mc": 1}),
    ({"credits": str(AMOUNT_MAX)},                         {"credits_mc": AMOUNT_MAX}),
    ({"unit": "tokens"},                                   {"unit": "tokens"}),
    ({"priority": "-1000000"},                             {"priority": -1_000_000}),
    ({"priority": "1000000"},                              {"priority": 1_000_000}),
    ({"expires_after_seconds": "1"},                       {"expires_after_seconds": 1}),
    ({"package_id": UUID},                                 {"package_id": UUID}),
]  # fmt: skip
PAID: dict[str, Any] = {"amount_paid": 490, "currency": "eur", "payment_intent": "pi_1"}


@pytest.mark.parametrize(
    ("payment", "metadata", "terms"),
    [(payment, {}, terms) for payment, terms in BOUGHT] + [({}, said, terms) for said, terms in MEANT],
)
def test_a_payment_grants_what_its_metadata_say(
    payment: dict[str, Any], metadata: dict[str, str], terms: dict[str, Any]
) -> None:
    named = {"external_customer_id": "user_1", "credits": "5", **metadata}
    planned = act("invoice.paid", {**PAID, **payment, "metadata": named})
    usual = {"credits_mc": 5, "price_paid": 490, "currency": "EUR", "external_payment_id": "pi_1"}
    assert planned == GrantAct(CustomerRef.by_external_id("user_1"), GrantTopup(**{**usual, **terms}))


def test_a_package_needs_no_credits_beside_it_and_a_customer_goes_by_either_name() -> None:
    metadata = {"customer_id": UUID, "package_id": UUID}
    planned = act("invoice.paid", {"client_reference_id": "user_2", "metadata": metadata})
    assert planned.customer == CustomerRef.by_id(UUID)
    assert (planned.topup.package_id, planned.topup.credits_mc) == (UUID, None)


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
    ("charge.refunded", {"amount": 100, "amount_refunded": "40"}, None),
    ("charge.refunded", {"amount": 100, "amount_refunded": 40}, {"amount_refunded": "0"}),
    ("charge.refunded", {"amount": 100, "amount_refunded": 101}, None),
    ("charge.refunded", {"amount": 0, "amount_refunded": 0}, {"amount_refunded": -1}),
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
    ("metadata", "name"),
    [
        ({"credits": "five"},                                "credits"),
        ({"credits": "0"},                                   "credits"),
        ({"credits": "9007199254740992"},                    "credits"),
        ({"credits": "5", "priority": "low"},                "priority"),
        ({"credits": "5", "priority": "-1000001"},           "priority"),
        ({"credits": "5", "priority": "1000001"},            "priority"),
        ({"credits": "5", "expires_after_seconds": "0"},     "expires_after_seconds"),
        ({"credits": "5", "unit": "Not A Unit"},             "unit"),
        ({"package_id": "pack"},                             "package_id"),
        ({"subscription_id": "sub_1"},                       "subscription_id"),
        ({"credits": "5", "customer_id": "cus_1"},           "customer_id"),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_read(metadata: dict[str, str], name: str) -> None:
    with pytest.raises(ValidationFailedError) as refusal:
        act("invoice.paid", {"metadata": {"external_customer_id": "u", **metadata}})
    assert refusal.value.errors == ((f"/data/object/metadata/{name}", f"{name} cannot be read."),)


def test_the_apps_own_metadata_win_over_those_of_the_lines() -> None:
    found = {
        "metadata": {"credits": "1"},
        "parent": {"subscription_details": {"metadata": {"credits": "2", "external_customer_id": "parent"}}},
        "subscription_details": {"metadata": {"credits": "3", "external_customer_id": "details"}},
        "lines": {"data": [{"metadata": {"credits": "4", "external_customer_id": "line", "unit": "tokens"}}]},
    }
    planned = act("invoice.paid", found)
    assert planned.customer.external_id == "parent"
    assert (planned.topup.credits_mc, planned.topup.unit) == (1, "tokens")


def test_a_payment_without_any_name_is_refused() -> None:
    nameless = StripeEvent("evt_1", "charge.dispute.created", StripeData({"charge": {}, "id": 7}))
    with pytest.raises(ValidationFailedError) as refusal:
        plan_act(nameless)
    assert [fault.pointer for fault in refusal.value.errors] == ["/data/object/metadata/id"]


def test_a_payment_names_one_customer() -> None:
    paid = {"payment_status": "paid", "metadata": {"credits": "5"}}
    with pytest.raises(CustomerIdentifierConflictError):
        act("checkout.session.completed", paid)
    named = act("checkout.session.completed", {**paid, "client_reference_id": "user_2"})
    assert named.customer.external_id == "user_2"


@pytest.mark.parametrize(
    ("amount", "refunded", "earlier", "fraction"),
    [
        (100, 100, None, (100, 100)),
        (100, 25, None, (25, 100)),
        (100, 75, 25, (50, 100)),
        (3, 3, 2, (1, 3)),
        (1, 1, None, (1, 1)),
    ],
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
