"""Ids of what time produces: the same object, computed early or late, gets the same id.

A check may expire a block in memory long before a sweep writes it; both must name the same entry.
So these ids are not random: they are UUIDv7 of the due instant whose random bits are a hash of
what the object is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LENGTH_BYTES: Final = 4


def derived_id(at: datetime, *parts: str) -> str:
    """UUIDv7 of the instant ``at`` whose 74 random bits are a hash of ``parts``.

    ``parts`` are length-prefixed in the hash: ("ab", "c") and ("a", "bc") give different ids.
    """
    digest = sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(_LENGTH_BYTES, "big"))
        digest.update(encoded)
    random_bits = int.from_bytes(digest.digest()[:10], "big")
    milliseconds = (at - EPOCH) // _MILLISECOND
    value = (milliseconds & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76
    value |= ((random_bits >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random_bits & ((1 << 62) - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
