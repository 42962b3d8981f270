"""Our signatures are those of Standard Webhooks: the published vector, and the official library's own answer."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from quotastack.core.errors import ValidationFailedError
from quotastack.core.signing import read_secret, show_secret, sign_payload, signature_header

# The example of the Standard Webhooks and Svix documentation.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
VECTOR_SECONDS = 1614265330
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_vector() -> None:
    secret = read_secret(VECTOR_SECRET, pointer="/secret")
    assert sign_payload(secret, VECTOR_ID, VECTOR_SECONDS, VECTOR_BODY) == VECTOR_SIGNATURE


@given(st.binary(min_size=16, max_size=64), st.uuids(), st.text(max_size=200))
def test_the_official_library_agrees(secret: bytes, message_id: object, text: str) -> None:
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    library = Webhook(base64.b64encode(secret).decode()).sign(str(message_id), at, text)
    assert sign_payload(secret, str(message_id), int(at.timestamp()), text.encode()) == library


def test_a_rotation_signs_with_both() -> None:
    seconds = int(datetime.now(UTC).timestamp())
    old, new = bytes(32), bytes(range(32))
    header = signature_header((new, old), "id", seconds, b"{}")
    headers = {"webhook-id": "id", "webhook-timestamp": str(seconds), "webhook-signature": header}
    assert header.split(" ")[0] == sign_payload(new, "id", seconds, b"{}")
    for secret in (old, new):
        Webhook(show_secret(secret)).verify(b"{}", headers)


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "not base64!", "c2hvcnQ=", base64.b64encode(bytes(65)).decode(), "whsec_é", "AAA"],
)
def test_a_secret_that_is_none(text: str) -> None:
    with pytest.raises(ValidationFailedError):
        read_secret(text, pointer="/secret")


def test_a_secret_with_and_without_prefix() -> None:
    secret = bytes(range(24))
    assert read_secret(show_secret(secret), pointer="") == secret
    assert read_secret(show_secret(secret).removeprefix("whsec_"), pointer="") == secret
