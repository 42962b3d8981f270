"""For receivers: is this request from QuotaStack, and what does it say?

    from quotastack_client import WebhookError, verify

    event = verify(request.body, request.headers, "whsec_...")

Answer 2xx when ``verify`` returned and the event is stored or handled;
answer 400 on ``WebhookError``. Deliveries are repeated until a 2xx, so drop what you have seen, by ``event["id"]``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["TOLERANCE_SECONDS", "WebhookError", "verify"]

TOLERANCE_SECONDS: Final = 300

_PREFIX: Final = "whsec_"


class WebhookError(ValueError):
    """The request is not a delivery that was signed with the secret lately; the message says what is wrong.

    Whatever a stranger sends, ``verify`` raises this and nothing else.
    """


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str | Iterable[str],
    *,
    tolerance_seconds: int = TOLERANCE_SECONDS,
    now_seconds: float | None = None,
) -> dict[str, Any]:
    """The event, once its signature and its time are found right.

    Args:
        body: the exact bytes of the request; what was decoded and encoded again does not verify.
        headers: of the request, names in any case.
        secret: the endpoint's, with or without ``whsec_``; several while one replaces another.
        tolerance_seconds: how old, or how far ahead, a delivery's time may be.
        now_seconds: Unix time instead of the machine's, for tests.

    Raises:
        WebhookError: a header is missing or unreadable, the time is too far off, no signature fits, or the
            body is not a JSON object.
        ValueError: a secret is not base64: that is your mistake, not the sender's.
    """
    keys = [_read_secret(one) for one in ([secret] if isinstance(secret, str) else secret)]
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    message_id, sent_at, signatures = _read_headers(headers)
    now = time.time() if now_seconds is None else now_seconds
    if abs(now - sent_at) > tolerance_seconds:
        raise WebhookError("The delivery's time is too far from now.")
    signed = b"%b.%d.%b" % (message_id.encode("utf-8", "replace"), sent_at, raw)
    expected = [hmac.digest(key, signed, "sha256") for key in keys]
    if not any(hmac.compare_digest(given, wanted) for given in signatures for wanted in expected):
        raise WebhookError("No signature fits: another secret, or another body.")
    return _read_event(raw)


def _read_secret(text: str) -> bytes:
    try:
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not secret:
        raise ValueError("a webhook secret is base64, with or without whsec_")
    return secret


def _read_headers(headers: Mapping[str, str]) -> tuple[str, int, list[bytes]]:
    found = {str(name).lower(): value for name, value in headers.items()}
    values: list[str] = []
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        value = found.get(name)
        if not isinstance(value, str) or not value:
            raise WebhookError(f"The header {name} is missing.")
        values.append(value)
    message_id, sent_at, signature_list = values
    if not sent_at.isascii() or not sent_at.isdigit() or len(sent_at) > 12:
        raise WebhookError("webhook-timestamp is not a Unix time in whole seconds.")
    signatures: list[bytes] = []
    for part in signature_list.split(" "):
        version, comma, encoded = part.partition(",")
        if version != "v1" or not comma:
            continue
        try:
            signatures.append(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError):
            continue
    if not signatures:
        raise WebhookError("webhook-signature holds no v1 signature.")
    return message_id, int(sent_at), signatures


def _read_event(raw: bytes) -> dict[str, Any]:
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        raise WebhookError("The body is not JSON.") from None
    if not isinstance(event, dict):
        raise WebhookError("The body is not a JSON object.")
    return event
