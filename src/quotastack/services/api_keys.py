"""API keys: make, list, revoke, and recognise them.

A key's text exists at its making only; what is stored cannot be turned back into it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.api_keys import ParsedKey, hash_secret, is_secret, make_api_key
from quotastack.core.errors import FieldFault, NotFoundError, ValidationFailedError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.ids import ApiKeyId, EnvironmentId
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id, random_bytes
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.audit import record_audit
from quotastack.services.caller import SCOPES, Caller
from quotastack.services.container import Services
from quotastack.services.idempotency import Stored, run_once
from quotastack.store.api_keys import (
    ApiKeyRow,
    KnownKey,
    insert_api_key,
    lookup_api_key,
    revoke_api_key,
    select_api_key,
    select_api_keys,
    touch_api_keys,
)
from quotastack.store.environments import raise_version, read_versions

NAME_LENGTH_MAX: Final = 255

# Compared on a miss, so that an unknown key id takes as long as a wrong secret.
_NO_HASH: Final = bytes(32)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key as the API shows it. ``key_id`` is the part of its text by which it can be recognised."""

    id: ApiKeyId
    name: str
    key_prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class NewApiKey(ApiKey, frozen=True, kw_only=True, omit_defaults=True):
    """A key at its making, with its text: the only time that it is shown."""

    key: str


def show_api_key(row: ApiKeyRow, *, environment: str) -> ApiKey:
    """A row as the API shows it."""
    return ApiKey(
        id=row.id,
        name=row.name,
        key_prefix=f"qs_{environment}_{row.key_id}",
        scopes=row.scopes,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


async def insert_new_key(
    tx: Connection,
    services: Services,
    caller: Caller,
    *,
    name: str,
    scopes: Iterable[str],
    draw: Callable[[int], bytes] = random_bytes,
) -> NewApiKey:
    """Make a key of the caller's environment in a transaction that is open there; ``draw`` gives its random bytes."""
    text, parsed = make_api_key(caller.environment, draw)
    api_key_id = ApiKeyId(new_id())
    created_at = services.clock.now()
    ordered = tuple(scope for scope in SCOPES if scope in set(scopes))
    await insert_api_key(
        tx,
        caller.environment_id,
        api_key_id=api_key_id,
        key_id=parsed.key_id,
        secret_hash=hash_secret(parsed.secret, services.secret.key_pepper),
        name=name,
        scopes=ordered,
        created_at=created_at,
    )
    made = NewApiKey(
        id=api_key_id,
        name=name,
        key_prefix=f"qs_{caller.environment}_{parsed.key_id}",
        scopes=ordered,
        created_at=created_at,
        key=text,
    )
    await record_audit(
        tx,
        services,
        caller,
        action="api_key.created",
        object_type="api_key",
        object_id=api_key_id,
        after=_without_text(made),
    )
    return made


async def create_api_key(
    services: Services, caller: Caller, *, name: str, scopes: tuple[str, ...], key: IdempotencyKey
) -> Stored:
    """Make a key; one without scopes has full access to its environment.

    Raises:
        ValidationFailedError: the name's length, or a scope that does not exist.

    Replay: the same answer, the key's text included, so that whoever lost the first answer can still have it. The
    text is stored nowhere: it is drawn from the installation's secret and the idempotency key, and drawn again.
    """
    faults = [
        FieldFault(f"/scopes/{position}", f"{scope!r} is not a scope. Scopes are: {', '.join(SCOPES)}.")
        for position, scope in enumerate(scopes)
        if scope not in SCOPES
    ]
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        faults.insert(0, FieldFault("/name", f"Must have 1 to {NAME_LENGTH_MAX} printable characters."))
    if faults:
        raise ValidationFailedError("The key cannot be made.", errors=faults)

    async def work(tx: Connection) -> tuple[int, Any]:
        draw = _make_stream(services, caller, key)
        made = await insert_new_key(tx, services, caller, name=name, scopes=scopes, draw=draw)
        return 201, _without_text(made)

    stored = await run_once(services, caller, key, work)
    text, _ = make_api_key(caller.environment, _make_stream(services, caller, key))
    body = {**msgspec.json.decode(stored.body), "key": text}
    return Stored(stored.status, msgspec.json.encode(body), stored.replayed)


def _without_text(made: NewApiKey) -> dict[str, Any]:
    shown = msgspec.to_builtins(made)
    del shown["key"]
    return shown


def _make_stream(services: Services, caller: Caller, key: IdempotencyKey) -> Callable[[int], bytes]:
    """Bytes that only this installation can draw, the same ones again for the same act."""
    seed = services.secret.derive(f"api key text {caller.environment_id} {key.digest.hex()}")
    position = 0

    def draw(count: int) -> bytes:
        nonlocal position
        position += 1
        return hashlib.shake_256(seed + position.to_bytes(4, "big")).digest(count)

    return draw


async def list_api_keys(
    services: Services, caller: Caller, *, after_id: str | None, is_ascending: bool, limit: int
) -> list[ApiKey]:
    """A page of the environment's keys, revoked ones included."""
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        rows = await select_api_keys(
            tx, caller.environment_id, after_id=after_id, is_ascending=is_ascending, limit=limit
        )
    return [show_api_key(row, environment=caller.environment) for row in rows]


async def revoke_key(services: Services, caller: Caller, *, api_key_id: str, key: IdempotencyKey) -> Stored:
    """End a key for good; requests with it are refused from the commit on. Revoking twice changes nothing.

    Raises:
        NotFoundError: no such key in this environment.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        before = await select_api_key(tx, caller.environment_id, api_key_id=ApiKeyId(api_key_id))
        if before is None:
            raise NotFoundError("There is no such API key.")
        await revoke_api_key(tx, caller.environment_id, api_key_id=before.id, revoked_at=services.clock.now())
        await raise_version(tx, caller.environment_id, is_catalog=False)
        after = await select_api_key(tx, caller.environment_id, api_key_id=before.id)
        assert after is not None
        shown = show_api_key(after, environment=caller.environment)
        if before.revoked_at is None:
            await record_audit(
                tx,
                services,
                caller,
                action="api_key.revoked",
                object_type="api_key",
                object_id=before.id,
                before=show_api_key(before, environment=caller.environment),
                after=shown,
            )
        return 200, shown

    return await run_once(services, caller, key, work)


async def find_key(services: Services, parsed: ParsedKey) -> KnownKey | None:
    """The key that a parsed text proves; None when unknown, wrong, revoked, or of the other environment.

    One statement, without an environment: it is not known before. The caller may keep the answer for as long as
    the environment has the version that came with it.
    """
    pepper = services.secret.key_pepper
    rows = await lookup_api_key(services.database.reads, parsed.key_id)
    for row in rows:
        if is_secret(parsed.secret, pepper, row.secret_hash):
            return row if row.revoked_at is None and row.environment == parsed.environment else None
    is_secret(parsed.secret, pepper, _NO_HASH)
    return None


async def read_environment_versions(
    services: Services, environment_ids: Collection[EnvironmentId]
) -> dict[EnvironmentId, int]:
    """The versions of those environments that are in use: what was learnt of a key at another one holds no longer."""
    return await read_versions(services.database.reads, environment_ids)


async def touch_keys(services: Services, used: Iterable[tuple[EnvironmentId, ApiKeyId]]) -> None:
    """Note that keys were used just now."""
    now = services.clock.now()
    await touch_api_keys(services.database.workers, [(environment, key, now) for environment, key in used])
