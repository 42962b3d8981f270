"""The installation's secret and what is derived from it.

One secret, many keys: each use has its own HMAC, so knowing one derived key says nothing about another. Any number
of processes that know the secret agree on all of them without talking to each other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SECRET_BYTES: Final = 32


class InstallationSecret:
    """The secret; its text never appears in ``repr`` or in a log."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ValueError("the installation's secret must have at least 16 characters")
        self._secret = secret

    def __repr__(self) -> str:
        return "InstallationSecret(...)"

    def reveal(self) -> bytes:
        """The secret itself: to store it, or to hand it to a process of this installation."""
        return self._secret

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same on every process of the installation."""
        return hmac.digest(self._secret, f"quotastack:{purpose}".encode(), "sha256")

    @property
    def fingerprint(self) -> bytes:
        """Kept in the database, to notice a server that was started with another secret."""
        return self.derive("fingerprint")[:16]

    @property
    def app_password(self) -> str:
        """The password of the role ``qs_app``."""
        return self.derive("role qs_app").hex()

    @property
    def key_pepper(self) -> bytes:
        """What the hashes of API keys are keyed with."""
        return self.derive("api keys")

    @property
    def cursor_key(self) -> bytes:
        """What pagination cursors are signed with."""
        return self.derive("cursors")

    def seal(self, plain: bytes, *, purpose: str) -> bytes:
        """Encrypt what must be readable again (a webhook secret) for storage; ``purpose`` is needed to open it."""
        nonce = secrets.token_bytes(12)
        return nonce + AESGCM(self.derive("sealing")).encrypt(nonce, plain, purpose.encode())

    def unseal(self, sealed: bytes, *, purpose: str) -> bytes:
        """Decrypt what ``seal`` made for the same purpose.

        Raises:
            cryptography.exceptions.InvalidTag: another secret or purpose, or somebody changed it.
        """
        return AESGCM(self.derive("sealing")).decrypt(sealed[:12], sealed[12:], purpose.encode())


def generate_secret() -> InstallationSecret:
    """A new random secret."""
    return InstallationSecret(secrets.token_hex(SECRET_BYTES).encode())


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, so that it is there completely or not at all."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def scram_verifier(password: str, *, salt: bytes, iterations: int = 4096) -> str:
    """What PostgreSQL stores for a password, so that the password itself never stands in a statement."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"
