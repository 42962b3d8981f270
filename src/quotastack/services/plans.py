"""Plans: making, listing, changing and archiving them. Their variants are in ``services/variants.py``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.credit_views import set_or_unset
from quotastack.core.errors import ConflictError, NotFoundError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.metadata import merge_metadata
from quotastack.core.plan_views import PlanView
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.audit import record_audit
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.services.environment_time import read_environment_time
from quotastack.services.idempotency import Stored, run_once
from quotastack.store.environments import lock_environment, raise_version, select_config
from quotastack.store.plans import (
    Plan,
    insert_plan,
    select_has_plan_subscribers,
    select_plan,
    select_plan_by_key,
    select_plan_of_variant,
    select_plans,
    update_plan,
)


class PlanChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of a plan; UNSET stays, None clears."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    family: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    archived_at: datetime | UnsetType | None = UNSET


async def create_plan(
    services: Services,
    caller: Caller,
    *,
    plan_key: str,
    name: str,
    description: str | None,
    family: str | None,
    metadata: dict[str, Any],
    key: IdempotencyKey,
) -> Stored:
    """Make a plan without variants.

    Raises:
        ConflictError: the key is taken; names the plan that has it.

    Locks: the environment, exclusively.
    Replay: the plan as it was made.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        taken = await select_plan_by_key(tx, caller.environment_id, key=plan_key)
        if taken is not None:
            raise ConflictError(f"There is a plan {plan_key} already.", extra={"plan_id": taken.id})
        now = await read_environment_time(tx, caller.environment_id)
        plan = Plan(
            id=new_id(),
            key=plan_key,
            name=name,
            description=description,
            family=family or plan_key,
            metadata=metadata,
            created_at=now,
            updated_at=now,
        )
        await insert_plan(tx, caller.environment_id, plan=plan)
        await _publish(tx, services, caller, action="plan.created", before=None, after=plan)
        return 201, show_plan(plan)

    return await _write(services, caller, key, work)


async def list_plans(
    services: Services, caller: Caller, *, after_id: str | None, is_ascending: bool, limit: int
) -> list[PlanView]:
    """A page of plans, archived ones included."""
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        plans = await select_plans(
            tx, caller.environment_id, after_id=after_id, is_ascending=is_ascending, limit=limit
        )
    return [show_plan(plan) for plan in plans]


async def get_plan(services: Services, caller: Caller, *, plan_id: str) -> PlanView:
    """One plan.

    Raises:
        NotFoundError: no such plan.
    """
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        return show_plan(await find_plan(tx, caller, plan_id=plan_id))


async def patch_plan(
    services: Services, caller: Caller, *, plan_id: str, changes: PlanChanges, key: IdempotencyKey
) -> Stored:
    """Change a plan. Archived plans take no new subscriptions; those that run, run on.

    Raises:
        NotFoundError: no such plan.
        ValidationFailedError: the merged metadata has more than 50 keys or 16 KiB.
        ConflictError: another family while there are live subscriptions; archiving the free plan.

    Locks: the environment, exclusively.
    Replay: the plan as it was after the first call.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        before = await find_plan(tx, caller, plan_id=plan_id)
        if changes.family not in {UNSET, before.family} and await select_has_plan_subscribers(
            tx, caller.environment_id, plan_id=plan_id
        ):
            raise ConflictError("The family of a plan with live subscriptions cannot change.")
        if isinstance(changes.archived_at, datetime):
            await _require_not_free_plan(tx, caller, plan_id)
        now = await read_environment_time(tx, caller.environment_id)
        after = msgspec.structs.replace(
            before,
            name=before.name if changes.name is UNSET else changes.name,
            description=before.description if changes.description is UNSET else changes.description,
            family=before.family if changes.family is UNSET else changes.family,
            metadata=before.metadata
            if changes.metadata is UNSET
            else merge_metadata(before.metadata, changes.metadata),
            archived_at=before.archived_at if changes.archived_at is UNSET else changes.archived_at,
            updated_at=now,
        )
        await update_plan(tx, caller.environment_id, plan=after)
        await _publish(tx, services, caller, action="plan.changed", before=before, after=after)
        return 200, show_plan(after)

    return await _write(services, caller, key, work)


def show_plan(plan: Plan) -> PlanView:
    """The plan in wire names."""
    return PlanView(
        id=plan.id,
        key=plan.key,
        name=plan.name,
        description=set_or_unset(plan.description),
        family=plan.family,
        metadata=plan.metadata,
        archived_at=set_or_unset(plan.archived_at),
        created_at=plan.created_at,
        updated_at=plan.updated_at,
    )


async def find_plan(tx: Connection, caller: Caller, *, plan_id: str) -> Plan:
    """The plan of that id.

    Raises:
        NotFoundError: no such plan.
    """
    plan = await select_plan(tx, caller.environment_id, plan_id=plan_id)
    if plan is None:
        raise NotFoundError("There is no such plan.")
    return plan


async def _require_not_free_plan(tx: Connection, caller: Caller, plan_id: str) -> None:
    config = await select_config(tx, caller.environment_id)
    free_id: str | None = config.get("default_free_plan_variant_id")
    if free_id is None:
        return
    if await select_plan_of_variant(tx, caller.environment_id, variant_id=free_id) == plan_id:
        raise ConflictError("The plan has the environment's free variant; choose another one first.")


async def _publish(
    tx: Connection, services: Services, caller: Caller, *, action: str, before: Plan | None, after: Plan
) -> None:
    await raise_version(tx, caller.environment_id, is_catalog=True)
    await record_audit(
        tx,
        services,
        caller,
        action=action,
        object_type="plan",
        object_id=after.id,
        before=None if before is None else show_plan(before),
        after=show_plan(after),
    )


async def _write(services: Services, caller: Caller, key: IdempotencyKey, work: Any) -> Stored:
    stored = await run_once(services, caller, key, work)
    services.environment_changed(caller.environment_id)
    return stored
