"""Signatures of deliveries, as Standard Webhooks wants them.

The library of that name signs a wrong timestamp when it is given an aware datetime of another zone, and wants
texts where we have bytes; so the scheme, ten lines, stands here. Tests hold it to the library's own answers.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable
from typing import Final

from quotastack.core.errors import ValidationFailedError

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the mark that says that something is one
SECRET_BYTES: Final = 32
SECRET_BYTES_MIN: Final = 16
SECRET_BYTES_MAX: Final = 64


def sign_payload(secret: bytes, message_id: str, sent_at_seconds: int, body: bytes) -> str:
    """Signature of one delivery: ``v1,`` then base64 of an HMAC-SHA256.

    Signs ``{message_id}.{sent_at_seconds}.{body}`` over the exact bytes that go on the wire: a body that is
    encoded again after signing will not verify. ``sent_at_seconds`` is Unix time in whole seconds and changes
    on each attempt; ``message_id`` does not, so a receiver can use it to drop repeats.
    """
    signed = b"%b.%d.%b" % (message_id.encode(), sent_at_seconds, body)
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def signature_header(secrets: Iterable[bytes], message_id: str, sent_at_seconds: int, body: bytes) -> str:
    """The ``webhook-signature`` header: one signature for each secret in force, the newest first."""
    return " ".join(sign_payload(secret, message_id, sent_at_seconds, body) for secret in secrets)


def read_secret(text: str, *, pointer: str) -> bytes:
    """The secret out of its base64 form, with or without ``whsec_``.

    Raises:
        ValidationFailedError: not base64, or not 16 to 64 bytes long.
    """
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValidationFailedError.at(pointer, "A secret is base64, with or without whsec_.") from None
    if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
        raise ValidationFailedError.at(
            pointer, f"A secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes once decoded."
        )
    return secret


def show_secret(secret: bytes) -> str:
    """The form in which a secret is shown, once."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()
