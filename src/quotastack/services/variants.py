"""Variants: terms, grant templates and entitlements, published together as versions.

A version that somebody is subscribed to is never written over: a change publishes the next one, which
running periods do not see. A version without subscribers is changed in place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import msgspec

from quotastack.core.catalog import Variant
from quotastack.core.errors import ConflictError, NotFoundError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.metadata import merge_metadata
from quotastack.core.plan_views import EntitlementView, VariantView, view_variant
from quotastack.core.subscription_terms import fits_fallback
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.audit import record_audit
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.services.environment_time import read_environment_time
from quotastack.services.idempotency import Stored, run_once
from quotastack.services.plans import find_plan
from quotastack.store.environments import lock_environment, raise_version, select_config
from quotastack.store.plans import (
    insert_variant,
    select_has_subscribers,
    select_has_variant_key,
    select_variant,
    select_variants,
    write_variant,
)

_MERGED = frozenset({"metadata"})

Change = Callable[[Connection, Variant, datetime], Awaitable[tuple[Variant, int, Any]]]


async def create_variant(
    services: Services,
    caller: Caller,
    *,
    plan_id: str,
    variant_key: str,
    terms: dict[str, Any],
    key: IdempotencyKey,
) -> Stored:
    """Make a variant with its first version: terms, no templates and entitlements yet.

    Raises:
        NotFoundError: no such plan.
        ConflictError: the plan has a variant of that key.

    Locks: the environment, exclusively.
    Replay: the variant as it was made.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        plan = await find_plan(tx, caller, plan_id=plan_id)
        if await select_has_variant_key(tx, caller.environment_id, plan_id=plan_id, key=variant_key):
            raise ConflictError(f"The plan has a variant {variant_key} already.")
        now = await read_environment_time(tx, caller.environment_id)
        variant = Variant(
            id=new_id(),
            version=1,
            plan_id=plan.id,
            plan_key=plan.key,
            family=plan.family,
            key=variant_key,
            created_at=now,
            updated_at=now,
            **terms,
        )
        await insert_variant(tx, caller.environment_id, variant=variant)
        await _tell(tx, services, caller, action="plan_variant.created", before=None, after=variant)
        return 201, view_variant(variant)

    return await _write(services, caller, key, work)


async def list_variants(
    services: Services,
    caller: Caller,
    *,
    plan_id: str,
    after_id: str | None,
    is_ascending: bool,
    limit: int,
) -> list[VariantView]:
    """A page of a plan's variants in their newest versions.

    Raises:
        NotFoundError: no such plan.
    """
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        await find_plan(tx, caller, plan_id=plan_id)
        variants = await select_variants(
            tx,
            caller.environment_id,
            plan_id=plan_id,
            after_id=after_id,
            is_ascending=is_ascending,
            limit=limit,
        )
    return [view_variant(variant) for variant in variants]


async def get_variant(
    services: Services, caller: Caller, *, plan_id: str, variant_id: str, version: int | None = None
) -> Variant:
    """A variant in its newest version, or in the one asked for.

    Raises:
        NotFoundError: no such plan, variant or version.
    """
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        return await find_variant(tx, caller, plan_id=plan_id, variant_id=variant_id, version=version)


async def patch_variant(
    services: Services,
    caller: Caller,
    *,
    plan_id: str,
    variant_id: str,
    changes: dict[str, Any],
    key: IdempotencyKey,
) -> Stored:
    """Change a variant's terms (those present in ``changes``), or archive it.

    Raises:
        NotFoundError: no such plan or variant.
        ValidationFailedError: the merged metadata has more than 50 keys or 16 KiB.
        ConflictError: it is the environment's free variant and would not be fit for that any more.

    Locks: the environment, exclusively.
    Replay: the variant as it was after the first call.
    """

    async def change(tx: Connection, variant: Variant, _now: datetime) -> tuple[Variant, int, Any]:
        terms = {name: value for name, value in changes.items() if name not in _MERGED}
        after = msgspec.structs.replace(
            variant,
            metadata=merge_metadata(variant.metadata, changes.get("metadata", {})),
            **terms,
        )
        await _require_fit_for_free(tx, caller, after)
        return after, 200, None

    return await change_variant(
        services,
        caller,
        plan_id=plan_id,
        variant_id=variant_id,
        change=change,
        key=key,
        action="plan_variant.changed",
    )


async def change_variant(
    services: Services,
    caller: Caller,
    *,
    plan_id: str,
    variant_id: str,
    change: Change,
    key: IdempotencyKey | None,
    action: str,
) -> Stored:
    """Run ``change`` on the newest version and publish what it makes of it."""

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        before = await find_variant(tx, caller, plan_id=plan_id, variant_id=variant_id)
        now = await read_environment_time(tx, caller.environment_id)
        after, status, body = await change(tx, before, now)
        has_subscribers = await select_has_subscribers(
            tx, caller.environment_id, variant_id=variant_id, version=before.version
        )
        after = msgspec.structs.replace(
            after, version=before.version + 1 if has_subscribers else before.version, updated_at=now
        )
        await write_variant(
            tx,
            caller.environment_id,
            variant=after,
            is_archival=after.archived_at != before.archived_at,
        )
        await _tell(tx, services, caller, action=action, before=before, after=after)
        if isinstance(body, EntitlementView):
            body = msgspec.structs.replace(body, variant_version=after.version)
        return status, view_variant(after) if body is None else body

    return await _write(services, caller, key, work)


async def find_variant(
    tx: Connection, caller: Caller, *, plan_id: str, variant_id: str, version: int | None = None
) -> Variant:
    """The newest version of a variant of that plan, or the one asked for.

    Raises:
        NotFoundError: no such plan, variant or version.
    """
    variant = await select_variant(
        tx, caller.environment_id, plan_id=plan_id, variant_id=variant_id, version=version
    )
    if variant is None:
        raise NotFoundError("There is no such plan variant.")
    return variant


async def _require_fit_for_free(tx: Connection, caller: Caller, variant: Variant) -> None:
    config = await select_config(tx, caller.environment_id)
    if config.get("default_free_plan_variant_id") != variant.id:
        return
    if variant.archived_at is not None or not fits_fallback(variant):
        raise ConflictError(
            "This is the environment's free variant, which is postpaid, without trial, contract and "
            "archive; choose another one first."
        )


async def _tell(
    tx: Connection, services: Services, caller: Caller, *, action: str, before: Variant | None, after: Variant
) -> None:
    await raise_version(tx, caller.environment_id, is_catalog=True)
    await record_audit(
        tx,
        services,
        caller,
        action=action,
        object_type="plan_variant",
        object_id=after.id,
        before=None if before is None else view_variant(before),
        after=view_variant(after),
    )


async def _write(services: Services, caller: Caller, key: IdempotencyKey | None, work: Any) -> Stored:
    stored = await run_once(services, caller, key, work)
    services.environment_changed(caller.environment_id)
    return stored
