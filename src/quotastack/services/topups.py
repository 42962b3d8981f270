"""Topups: packages as catalog, grants, refunds and auto-topups through the engine."""

from __future__ import annotations

from typing import Any

import msgspec

from quotastack.core.catalog import Package
from quotastack.core.commands import Command
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import NotFoundError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.topup_views import view_package
from quotastack.core.topups import AutoTopupView, GrantTopup, RefundTopup, view_auto_topup
from quotastack.engine.submission import Outcome
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.audit import record_audit
from quotastack.services.caller import Caller
from quotastack.services.commands import submit_command
from quotastack.services.container import Services
from quotastack.services.idempotency import Stored, run_once
from quotastack.store.customers import select_block_owner
from quotastack.store.environments import lock_environment, raise_version
from quotastack.store.topups import select_package, select_packages, upsert_package


async def create_package(
    services: Services, caller: Caller, *, values: dict[str, Any], key: IdempotencyKey | None
) -> Stored:
    """Add a package to the catalog.

    Locks: the environment, exclusively.
    Replay: the package as created.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        now = await _now(services, caller)
        package = Package(id=new_id(), created_at=now, updated_at=now, **values)
        await _write(tx, services, caller, package, action="topup_package.created")
        return 201, view_package(package)

    return await _change_catalog(services, caller, key, work)


async def change_package(
    services: Services,
    caller: Caller,
    package_id: str,
    *,
    values: dict[str, Any],
    key: IdempotencyKey | None,
) -> Stored:
    """Change a package; blocks that were bought keep the terms they were bought at.

    Locks: the environment, exclusively.

    Raises:
        NotFoundError: no such package.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        known = await select_package(tx, caller.environment_id, package_id)
        if known is None:
            raise NotFoundError("There is no such topup package.")
        changed = msgspec.structs.replace(known, updated_at=await _now(services, caller), **values)
        await _write(tx, services, caller, changed, action="topup_package.changed", before=known)
        return 200, view_package(changed)

    return await _change_catalog(services, caller, key, work)


async def _now(services: Services, caller: Caller) -> Any:
    environment = await services.environments.get(caller.environment_id)
    return services.environments.now(environment)


async def _write(
    tx: Connection,
    services: Services,
    caller: Caller,
    package: Package,
    *,
    action: str,
    before: Package | None = None,
) -> None:
    await upsert_package(tx, caller.environment_id, package)
    await raise_version(tx, caller.environment_id, is_catalog=True)
    await record_audit(
        tx,
        services,
        caller,
        action=action,
        object_type="topup_package",
        object_id=package.id,
        before=None if before is None else view_package(before),
        after=view_package(package),
    )


async def _change_catalog(
    services: Services, caller: Caller, key: IdempotencyKey | None, work: Any
) -> Stored:
    stored = await run_once(services, caller, key, work)
    services.environment_changed(caller.environment_id)
    return stored


async def read_package(services: Services, caller: Caller, package_id: str) -> Package:
    """One package.

    Raises:
        NotFoundError: no such package.
    """
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        package = await select_package(tx, caller.environment_id, package_id)
    if package is None:
        raise NotFoundError("There is no such topup package.")
    return package


async def list_packages(services: Services, caller: Caller, **page: Any) -> list[Package]:
    """A page of the packages; the arguments are those of ``select_packages``."""
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        return await select_packages(tx, caller.environment_id, **page)


async def grant_topup(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    *,
    topup: GrantTopup,
    key: IdempotencyKey | None,
) -> Outcome:
    """Grant what was paid for; creates an unknown external customer in the same transaction.

    Replay: the answer of the first grant.

    Raises:
        CustomerNotFoundError: an unknown ``customer_id``.
        ConflictError, NotFoundError, ValidationFailedError: see ``GrantTopup``.
    """
    return await submit_command(services, caller, customer, topup, key=key, creates_customer=True)


async def refund_topup(
    services: Services, caller: Caller, *, refund: RefundTopup, key: IdempotencyKey | None
) -> Outcome:
    """Take back what is left of a bought block.

    Raises:
        NotFoundError: no such block in this environment.
        ConflictError: see ``RefundTopup``.
    """
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        owner = await select_block_owner(tx, refund.block_id)
    if owner is None:
        raise NotFoundError("There is no such block.")
    return await submit_command(services, caller, CustomerRef.by_id(owner), refund, key=key)


async def change_auto_topup(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    *,
    command: Command,
    key: IdempotencyKey | None,
) -> Outcome:
    """Set or delete the auto-topup of a unit.

    Raises:
        CustomerNotFoundError, NotFoundError, ConflictError, ValidationFailedError: see the commands.
    """
    return await submit_command(services, caller, customer, command, key=key)


async def read_auto_topup(
    services: Services, caller: Caller, customer: CustomerRef, *, unit: str
) -> AutoTopupView:
    """The auto-topup of a unit.

    Raises:
        CustomerNotFoundError: unknown or deleted.
        NotFoundError: the customer has none for the unit.
    """
    draft, context = await services.engine.peek(caller, customer, strong=True)
    auto_topup = draft.auto_topups.get(unit)
    if auto_topup is None:
        raise NotFoundError("The customer has no auto-topup for this unit.")
    return view_auto_topup(draft, context, auto_topup, version=draft.version)
