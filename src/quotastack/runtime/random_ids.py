"""Randomness: fresh ids and random bytes, for who hands them to the rules."""

from __future__ import annotations

import secrets

import uuid_utils


def new_id() -> str:
    """A fresh UUIDv7 as lowercase text: ids made later sort later."""
    return str(uuid_utils.uuid7())


def random_bytes(count: int) -> bytes:
    """Secret random bytes."""
    return secrets.token_bytes(count)
