"""API keys: their form, their checksum and their hash.

``qs_live_`` or ``qs_test_``, the key id of 10 characters, ``_``, a secret of 43, and at its very end a
checksum of 6, all base62. The id finds the row, the secret proves, the checksum lets anyone who finds a key in
a public place know that it is one, and lets us refuse a mistyped key without asking the database.
"""

from __future__ import annotations

import hmac
import re
import zlib
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, cast

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
KEY_ID_LENGTH: Final = 10
SECRET_LENGTH: Final = 43
CHECKSUM_LENGTH: Final = 6

_match = re.compile(
    rf"(qs_(live|test)_([0-9A-Za-z]{{{KEY_ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}}))([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
).fullmatch


class ParsedKey(NamedTuple):
    """A key whose form and checksum are right; whether it exists is not known yet."""

    environment: Literal["live", "test"]
    key_id: str
    secret: str


def parse_api_key(text: str) -> ParsedKey | None:
    """The parts of a key; None when it cannot be one of ours (form or checksum)."""
    match = _match(text)
    if match is None or checksum(match[1]) != match[5]:
        return None
    return ParsedKey(cast("Literal['live', 'test']", match[2]), match[3], match[4])


def make_api_key(
    environment: Literal["live", "test"], random_bytes: Callable[[int], bytes]
) -> tuple[str, ParsedKey]:
    """A new key as text, and its parts; about 256 random bits are in the secret."""
    key_id = _draw(KEY_ID_LENGTH, random_bytes)
    secret = _draw(SECRET_LENGTH, random_bytes)
    head = f"qs_{environment}_{key_id}_{secret}"
    return head + checksum(head), ParsedKey(environment, key_id, secret)


def checksum(head: str) -> str:
    """CRC-32 of everything before it, as six base62 digits."""
    rest = zlib.crc32(head.encode("ascii"))
    digits: list[str] = []
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def hash_secret(secret: str, pepper: bytes) -> bytes:
    """What is stored of a secret. No slow hash: there is nothing to guess in 256 random bits."""
    return hmac.digest(pepper, secret.encode("ascii"), "sha256")


def is_secret(secret: str, pepper: bytes, stored_hash: bytes) -> bool:
    """Whether a secret is the stored one, in a time that says nothing about how wrong it is."""
    return hmac.compare_digest(hash_secret(secret, pepper), stored_hash)


def _draw(length: int, random_bytes: Callable[[int], bytes]) -> str:
    """Uniform base62 digits: bytes from 248 up are thrown away, as 256 is no multiple of 62."""
    digits: list[str] = []
    while len(digits) < length:
        digits += [ALPHABET[byte % 62] for byte in random_bytes(length * 2) if byte < 248]
    return "".join(digits[:length])
