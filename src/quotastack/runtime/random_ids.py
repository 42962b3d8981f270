"""Randomness: fresh ids and random bytes, for who hands them to the rules."""

from __future__ import annotations

import secrets
from typing import Final

import uuid_utils


def new_id() -> str:
    """A fresh UUIDv7 as lowercase text: ids made later sort later."""
    return str(uuid_utils.uuid7())


def random_bytes(count: int) -> bytes:
    """Secret random bytes."""
    return secrets.token_bytes(count)


SALT_BYTES: Final = 16
_SALTS_AT_ONCE: Final = 256
_salts: list[bytes] = []


def new_salt() -> bytes:
    """16 secret random bytes; fetched from the system by the hundred, because each ledger entry takes one."""
    if not _salts:
        drawn = secrets.token_bytes(SALT_BYTES * _SALTS_AT_ONCE)
        _salts.extend(drawn[i : i + SALT_BYTES] for i in range(0, len(drawn), SALT_BYTES))
    return _salts.pop()
