"""Stripe: whether an event is Stripe's, and what it asks of a customer's credits.

Only four types mean something here; all others are taken and ignored. What to do stands in the
metadata that the app put on the payment: ``customer_id`` or ``external_customer_id``, and ``credits``
or ``package_id`` to grant (with ``unit``, ``priority``, ``expires_after_seconds``), or
``subscription_id`` to renew. Amounts are read exactly; nothing is ever charged.
"""

from __future__ import annotations

import hmac
import re
from typing import Any, Final

import msgspec

from quotastack.core.amounts import AMOUNT_MAX, Share
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import ValidationFailedError
from quotastack.core.ids import read_uuid
from quotastack.core.topups import GrantTopup

TOLERANCE_SECONDS: Final = 300
SIGNATURES_MAX: Final = 10

_is_unit = re.compile(r"[a-z0-9_]{1,100}").fullmatch
_is_timestamp = re.compile(r"[0-9]{1,12}").fullmatch
_is_number = re.compile(r"-?[0-9]{1,16}").fullmatch


class StripeData(msgspec.Struct, frozen=True):
    """The object as it is now, and what of it was different before."""

    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class StripeEvent(msgspec.Struct, frozen=True):
    """The part of an event that is read."""

    id: str
    type: str
    data: StripeData
    livemode: bool = False


class GrantAct(msgspec.Struct, frozen=True):
    """A payment was made: grant what it bought."""

    customer: CustomerRef
    topup: GrantTopup


class RenewAct(msgspec.Struct, frozen=True):
    """A payment was made for a subscription's period."""

    subscription_id: str


class TakeBackAct(msgspec.Struct, frozen=True):
    """A share of a payment was given back; the payment goes by one of ``payment_ids``."""

    payment_ids: tuple[str, ...]
    fraction: Share


class SuspendAct(msgspec.Struct, frozen=True):
    """A payment is disputed."""

    payment_ids: tuple[str, ...]


StripeAct = GrantAct | RenewAct | TakeBackAct | SuspendAct


def is_signed(secret: str, header: str, body: bytes, *, now_seconds: int) -> bool:
    """Whether a ``Stripe-Signature`` header was made with ``secret`` for these very bytes, lately.

    The scheme: HMAC-SHA256 over ``{t}.{body}`` in hex, under ``v1``; several while a secret is rolled.
    """
    timestamp: str | None = None
    signatures: list[str] = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t":
            timestamp = value
        elif name == "v1":
            signatures.append(value)
    if timestamp is None or not _is_timestamp(timestamp):
        return False
    if abs(now_seconds - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    expected = hmac.digest(secret.encode(), timestamp.encode() + b"." + body, "sha256").hex()
    return any(
        hmac.compare_digest(expected.encode(), signature.encode())
        for signature in signatures[:SIGNATURES_MAX]
    )


def plan_act(event: StripeEvent) -> StripeAct | None:
    """What an event asks for; None when it asks for nothing.

    Raises:
        ValidationFailedError: the metadata names something that cannot be read.
    """
    found = event.data.object
    if event.type == "checkout.session.completed":
        # In subscription mode the invoice tells of the payment.
        is_paid = found.get("payment_status") in {"paid", "no_payment_required"}
        if found.get("mode") == "subscription" or not is_paid:
            return None
        return _plan_payment(found, price=found.get("amount_total"))
    if event.type == "invoice.paid":
        return _plan_payment(found, price=found.get("amount_paid"))
    if event.type == "charge.refunded":
        return _plan_refund(found, event.data.previous_attributes or {})
    if event.type == "charge.dispute.created":
        return SuspendAct(_payment_ids(found))
    return None


def _plan_payment(found: dict[str, Any], *, price: Any) -> StripeAct | None:
    metadata = _metadata(found)
    if "subscription_id" in metadata:
        return RenewAct(_uuid(metadata, "subscription_id"))
    if "credits" not in metadata and "package_id" not in metadata:
        return None
    customer_id = _uuid(metadata, "customer_id") if "customer_id" in metadata else None
    external_id = metadata.get("external_customer_id")
    if external_id is None and customer_id is None:
        external_id = found.get("client_reference_id")
    unit = metadata.get("unit")
    if unit is not None and not _is_unit(unit):
        raise _unreadable("unit")
    currency = found.get("currency")
    topup = GrantTopup(
        credits_mc=_number(metadata, "credits", least=1),
        package_id=_uuid(metadata, "package_id") if "package_id" in metadata else None,
        price_paid=price if isinstance(price, int) and 0 <= price <= AMOUNT_MAX else None,
        currency=currency.upper() if isinstance(currency, str) else None,
        external_payment_id=_payment_ids(found)[0],
        priority=_number(metadata, "priority", least=-1_000_000, most=1_000_000),
        expires_after_seconds=_number(metadata, "expires_after_seconds", least=1),
        unit=unit,
    )
    return GrantAct(CustomerRef.one_of(customer_id, external_id), topup)


def _plan_refund(charge: dict[str, Any], before: dict[str, Any]) -> StripeAct | None:
    amount, refunded = charge.get("amount"), charge.get("amount_refunded")
    earlier = before.get("amount_refunded", 0)
    if not (isinstance(amount, int) and isinstance(refunded, int) and isinstance(earlier, int)):
        return None
    share = refunded - earlier
    if amount <= 0 or not 0 < share <= amount:
        return None
    return TakeBackAct(_payment_ids(charge), Share(share, amount))


def _metadata(found: dict[str, Any]) -> dict[str, str]:
    """The app's metadata; an invoice carries that of its subscription or of its lines as well."""
    parent = _object(_object(found, "parent"), "subscription_details")
    lines = _object(found, "lines").get("data")
    first = lines[0] if isinstance(lines, list) and lines and isinstance(lines[0], dict) else {}
    merged: dict[str, str] = {}
    for holder in (first, _object(found, "subscription_details"), parent, found):
        merged |= {k: v for k, v in _object(holder, "metadata").items() if isinstance(v, str)}
    return merged


def _object(holder: dict[str, Any], name: str) -> dict[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _payment_ids(found: dict[str, Any]) -> tuple[str, ...]:
    """The names under which a payment may be known, the most stable first."""
    names: list[str] = []
    for field in ("payment_intent", "invoice", "charge", "id"):
        value = found.get(field)
        if isinstance(value, dict):
            value = value.get("id")
        if isinstance(value, str) and value:
            names.append(value)
    if not names:
        raise _unreadable("id")
    return tuple(names)


def _number(metadata: dict[str, str], name: str, *, least: int, most: int = AMOUNT_MAX) -> int | None:
    text = metadata.get(name)
    if text is None:
        return None
    if not _is_number(text) or not least <= int(text) <= most:
        raise _unreadable(name)
    return int(text)


def _uuid(metadata: dict[str, str], name: str) -> str:
    found = read_uuid(metadata[name])
    if found is None:
        raise _unreadable(name)
    return found


def _unreadable(name: str) -> ValidationFailedError:
    return ValidationFailedError.at(f"/data/object/metadata/{name}", f"{name} cannot be read.")
