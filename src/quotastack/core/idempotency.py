"""Idempotency keys: what names an act, and what proves that two requests are the same act.

The same key with the same fingerprint is answered again; with another fingerprint it is refused. A
key is scoped to its environment and not to an API key, so a retry after a key rotation still matches.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

import msgspec

from quotastack.core.errors import ValidationFailedError

FINGERPRINT_VERSION: Final = b"\x01"

_encode_canonical = msgspec.json.Encoder(order="deterministic").encode
_is_key = re.compile(r"[\x21-\x7e]{1,255}").fullmatch
_QUOTED_PAIR: Final = re.compile(r'\\(["\\])')


class IdempotencyKey(msgspec.Struct, frozen=True, gc=False):
    """``key`` as the caller wrote it, ``digest`` its SHA-256, ``fingerprint`` that of the request.

    The digest outlives the key itself: after a deletion or the retention only it is kept.
    """

    key: str
    digest: bytes
    fingerprint: bytes


def read_key_text(text: str, *, pointer: str) -> str:
    """The key out of a header or a body field: 1 to 255 visible ASCII characters.

    A key in quotation marks (the IETF form, a structured-field string) is the same key as without.

    Raises:
        ValidationFailedError: empty, too long, or with spaces, control or non-ASCII characters.
    """
    key = text
    if len(text) > 1 and text[0] == '"' and text[-1] == '"':
        key = _QUOTED_PAIR.sub(r"\1", text[1:-1])
    if not _is_key(key):
        raise ValidationFailedError.at(
            pointer, "An idempotency key has 1 to 255 printable ASCII characters and no spaces."
        )
    return key


def make_idempotency_key(key: str, *, method: str, path: str, body: Any) -> IdempotencyKey:
    """The key of one request; what else is given, ``fingerprint_content`` takes."""
    return name_act(key, fingerprint_content(method=method, path=path, body=body))


def fingerprint_content(*, method: str, path: str, body: Any) -> bytes:
    """What a request's fingerprint is made of.

    ``path`` is the concrete path as requested; ``body`` the decoded body without ``idempotency_key``,
    before defaults are filled in, None when there was none. The order of fields, white space and
    escapes do not matter.
    """
    return b"\x00".join(
        (
            FINGERPRINT_VERSION,
            method.encode(),
            path.encode(),
            _encode_canonical({} if body is None else body),
        )
    )


def name_act(key: str, content: bytes) -> IdempotencyKey:
    """The key of a request with that ``fingerprint_content``."""
    return IdempotencyKey(key, sha256(key.encode()).digest(), sha256(content).digest())
