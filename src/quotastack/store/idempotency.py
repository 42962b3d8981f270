"""Idempotency keys of operations outside the engine: claim, read, and bind to an answer."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection

# Whoever inserts first works; the others wait here for its transaction, no longer than the contract says.
LIMIT_KEY_WAIT: Final = "SET LOCAL lock_timeout = '10s'"
LIMIT_LOCK_WAIT: Final = "SET LOCAL lock_timeout = '5s'"

CLAIM_KEY: Final = """
    INSERT INTO quotastack.idempotency_keys (environment_id, key_digest, key, fingerprint, is_money, created_at)
    VALUES ($1::uuid, $2, $3, $4, false, $5)
    ON CONFLICT (environment_id, key_digest) DO NOTHING
    RETURNING true
"""

SELECT_STORED_ANSWER: Final = """
    SELECT fingerprint, status, body
      FROM quotastack.idempotency_keys
     WHERE environment_id = $1::uuid AND key_digest = $2
"""

BIND_ANSWER: Final = """
    UPDATE quotastack.idempotency_keys
       SET status = $3, body = $4
     WHERE environment_id = $1::uuid AND key_digest = $2
"""


class StoredAnswer(msgspec.Struct, frozen=True):
    """What a key was used for, and what was answered."""

    fingerprint: bytes
    status: int | None
    body: bytes | None


async def claim_key(
    tx: Connection, environment_id: EnvironmentId, *, key: IdempotencyKey, created_at: datetime
) -> bool:
    """Take the key for this transaction; false when it was used before.

    Locks: the key, until the transaction ends. A transaction that holds it already is waited for.

    Raises:
        asyncpg.LockNotAvailableError: it did not end within ten seconds.
    """
    await tx.execute(LIMIT_KEY_WAIT)
    claimed = await tx.fetchval(CLAIM_KEY, environment_id, key.digest, key.key, key.fingerprint, created_at)
    await tx.execute(LIMIT_LOCK_WAIT)
    return claimed is not None


async def select_stored_answer(
    tx: Connection, environment_id: EnvironmentId, *, key_digest: bytes
) -> StoredAnswer | None:
    """What the key is bound to; None when nobody has used it."""
    row = await tx.fetchrow(SELECT_STORED_ANSWER, environment_id, key_digest)
    return None if row is None else StoredAnswer(row["fingerprint"], row["status"], row["body"])


async def bind_answer(
    tx: Connection, environment_id: EnvironmentId, *, key_digest: bytes, status: int, body: bytes
) -> None:
    """Bind the key to the answer; both become visible with the effect itself."""
    await tx.execute(BIND_ANSWER, environment_id, key_digest, status, body)
