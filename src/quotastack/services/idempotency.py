"""Idempotency outside the engine: configuration, catalog, keys and endpoints in plain transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import msgspec

from quotastack.core.errors import IdempotencyKeyInFlightError, IdempotencyKeyReusedError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import REQUEST_SECONDS, Connection
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.store.idempotency import StoredAnswer, bind_answer, claim_key, select_stored_answer

_encode = msgspec.json.Encoder().encode


class Stored(msgspec.Struct, frozen=True):
    """An answer that is committed: ``body`` as it goes on the wire, ``replayed`` when it is an earlier one."""

    status: int
    body: bytes
    replayed: bool


Work = Callable[[Connection], Awaitable[tuple[int, Any]]]


async def run_once(
    services: Services,
    caller: Caller,
    key: IdempotencyKey | None,
    work: Work,
    *,
    seconds_max: float | None = REQUEST_SECONDS,
) -> Stored:
    """Run ``work`` in a transaction of the caller's environment and bind its answer to the key, in that transaction.

    ``work`` returns a status and a body (bytes as they are, anything else encoded as JSON). Without a key it
    simply runs. What ``work`` raises undoes everything, the key included.

    Locks: the key; then what ``work`` takes.
    Replay: the stored status and bytes; ``work`` does not run.

    Raises:
        IdempotencyKeyInFlightError: another request with the key has not ended within ten seconds.
        IdempotencyKeyReusedError: the key was used for another request.
        TimeoutError: all of it, the wait for a connection included, took more than ``seconds_max``. Unless that was
            at COMMIT, nothing was written.
    """
    async with (
        asyncio.timeout(seconds_max),
        environment_transaction(services.database.writes, caller.environment_id) as tx,
    ):
        if key is not None:
            stored = await _claim_or_replay(tx, services, caller.environment_id, key)
            if stored is not None:
                return stored
        status, body = await work(tx)
        encoded = bytes(body) if isinstance(body, (bytes, msgspec.Raw)) else _encode(body)
        if key is not None:
            await bind_answer(tx, caller.environment_id, key_digest=key.digest, status=status, body=encoded)
    services.environment_changed(caller.environment_id)
    return Stored(status, encoded, replayed=False)


def replay_answer(stored: StoredAnswer | None, key: IdempotencyKey) -> Stored:
    """The answer that a used key stands for.

    Raises:
        IdempotencyKeyReusedError: the fingerprint differs.
        IdempotencyKeyInFlightError: the key is there without an answer.
    """
    if stored is not None and stored.fingerprint != key.fingerprint:
        raise IdempotencyKeyReusedError(
            "This idempotency key was used for another request. A key names one act: use a new key for a new act."
        )
    if stored is None or stored.status is None or stored.body is None:
        raise _in_flight()
    return Stored(stored.status, stored.body, replayed=True)


async def _claim_or_replay(
    tx: Connection, services: Services, environment_id: EnvironmentId, key: IdempotencyKey
) -> Stored | None:
    try:
        if await claim_key(tx, environment_id, key=key, created_at=services.clock.now()):
            return None
    except asyncpg.LockNotAvailableError:
        raise _in_flight() from None
    return replay_answer(await select_stored_answer(tx, environment_id, key_digest=key.digest), key)


def _in_flight() -> IdempotencyKeyInFlightError:
    return IdempotencyKeyInFlightError(
        "A request with this idempotency key is still being worked on. Repeat it in a moment, with the same key.",
        retry_after_seconds=1,
    )
