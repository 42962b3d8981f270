"""Batches: the first word of the engine's transaction, everything that must be read under the locks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

# One round trip: the environment's shared lock and version, the customers' row locks in id order,
# then the keys, then the clock. See the function's own comment in the migration.
OPEN_BATCH: Final = "SELECT * FROM quotastack.open_batch($1::uuid[], $2::bytea[])"

FORGET_PLANS: Final = "DISCARD PLANS"


class StoredKey(msgspec.Struct, frozen=True, gc=False):
    """A used key. ``status`` is None when its customer was deleted or its answer was retired."""

    fingerprint: bytes
    status: int | None
    body: bytes | None


class OpenedBatch(msgspec.Struct, frozen=True):
    """What was read under the locks. ``now`` is the database's clock after the last lock."""

    environment_version: int | None
    now: datetime
    versions: dict[str, int]
    keys: dict[bytes, StoredKey]


async def open_batch(
    tx: Connection, customer_ids: Sequence[str], key_digests: Sequence[bytes]
) -> OpenedBatch:
    """Lock the environment (shared) and the customers (ascending by id); read versions, keys, clock.

    ``versions`` has the customers that exist; ``environment_version`` is None when the environment
    is gone.
    """
    row = await tx.fetchrow(OPEN_BATCH, customer_ids, key_digests)
    assert row is not None
    version, now, ids, versions, digests, fingerprints, statuses, bodies = row
    keys = {}
    if digests:
        found = zip(digests, fingerprints, statuses, bodies, strict=True)
        keys = {digest: StoredKey(*stored) for digest, *stored in found}
    return OpenedBatch(version, now, dict(zip(ids or (), versions or (), strict=True)), keys)


async def forget_plans(connection: Connection) -> None:
    """Have the connection's prepared statements planned anew at their next use."""
    await connection.execute(FORGET_PLANS)
