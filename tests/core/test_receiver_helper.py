"""``quotastack.webhooks.verify``: what is signed passes, and everything else is one kind of error."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from quotastack.core.signing import show_secret, sign_payload
from quotastack.webhooks import WebhookError, verify

SECRET = bytes(range(32))
OTHER = bytes(32)
NOW = 1_774_951_200
BODY = b'{"id":"1","type":"credit.granted","data":{"amount":1000}}'


def headers(body: bytes = BODY, *, secret: bytes = SECRET, at: int = NOW, **more: str) -> dict[str, str]:
    signature = sign_payload(secret, "evt_1", at, body)
    return {"Webhook-Id": "evt_1", "webhook-timestamp": str(at), "WEBHOOK-SIGNATURE": signature, **more}


def test_a_delivery_verifies() -> None:
    for secret in (
        show_secret(SECRET),
        base64.b64encode(SECRET).decode(),
        [show_secret(OTHER), show_secret(SECRET)],
    ):
        assert verify(BODY, headers(), secret, now_seconds=NOW) == json.loads(BODY)
    assert verify(BODY.decode(), headers(), show_secret(SECRET), now_seconds=NOW)["id"] == "1"


def test_what_the_official_library_signs_verifies() -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    signature = Webhook(show_secret(SECRET)).sign("evt_1", at, BODY.decode())
    made = {"webhook-id": "evt_1", "webhook-timestamp": str(NOW), "webhook-signature": signature}
    assert verify(BODY, made, show_secret(SECRET), now_seconds=NOW)


def test_either_signature_of_a_rotation_will_do() -> None:
    both = f"{sign_payload(OTHER, 'evt_1', NOW, BODY)} {sign_payload(SECRET, 'evt_1', NOW, BODY)}"
    made = {**headers(), "WEBHOOK-SIGNATURE": f"v1a,xyz {both} v2,abc"}
    for secret in (SECRET, OTHER):
        assert verify(BODY, made, show_secret(secret), now_seconds=NOW)


WRONG: list[tuple[str, bytes | str, dict[str, str]]] = [
    ("another secret", BODY, headers(secret=OTHER)),
    ("another body", BODY + b" ", headers()),
    ("too old", BODY, headers(at=NOW - 301)),
    ("too far ahead", BODY, headers(at=NOW + 301)),
    ("no headers", BODY, {}),
    ("no comma", BODY, {**headers(), "WEBHOOK-SIGNATURE": "v1"}),
    ("no base64", BODY, {**headers(), "WEBHOOK-SIGNATURE": "v1,!!!"}),
    ("odd base64", BODY, {**headers(), "WEBHOOK-SIGNATURE": "v1,abc"}),
    ("empty", BODY, {**headers(), "WEBHOOK-SIGNATURE": ""}),
    ("not ASCII", BODY, {**headers(), "WEBHOOK-SIGNATURE": "v1,é"}),
    ("a float time", BODY, {**headers(), "webhook-timestamp": f"{NOW}.0"}),
    ("a time in other digits", BODY, {**headers(), "webhook-timestamp": "١٧٧٤"}),
    ("a huge time", BODY, {**headers(), "webhook-timestamp": "9" * 400}),
    ("no UTF-8", b"\xff\xfe", headers(b"\xff\xfe")),
    ("no JSON", b"{", headers(b"{")),
    ("no object", b"[]", headers(b"[]")),
    ("deep", b"[" * 100_000, headers(b"[" * 100_000)),
    ("a lone surrogate", "\ud800", headers()),
]


@pytest.mark.parametrize(("body", "made"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_everything_else_is_one_error(body: bytes | str, made: dict[str, str]) -> None:
    with pytest.raises(WebhookError):
        verify(body, made, show_secret(SECRET), now_seconds=NOW)


@given(
    st.binary() | st.text(),
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "Other"]),
        st.text() | st.just(str(NOW)) | st.just("v1,AAAA v1"),
    ),
)
def test_nothing_else_is_ever_raised(body: bytes | str, made: dict[str, str]) -> None:
    with pytest.raises(WebhookError):
        verify(body, made, show_secret(SECRET), now_seconds=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "no base64!", [""]])
def test_a_wrong_secret_is_ones_own_mistake(secret: Any) -> None:
    with pytest.raises(ValueError, match="base64"):
        verify(BODY, headers(), secret, now_seconds=NOW)
