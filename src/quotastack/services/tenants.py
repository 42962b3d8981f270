"""Tenants: making them, their configuration, and the reset of a test environment."""

from __future__ import annotations

from typing import Any, Final, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.errors import FieldFault, InsufficientScopeError, NotFoundError, ValidationFailedError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.ids import EnvironmentId, TenantId
from quotastack.core.subscription_terms import fits_fallback
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction, switch_environment
from quotastack.services.api_keys import insert_new_key
from quotastack.services.audit import record_audit
from quotastack.services.caller import Caller, system_caller
from quotastack.services.container import Services
from quotastack.services.idempotency import Stored, run_once
from quotastack.services.webhook_shortcut import config_secret_text, follow_config
from quotastack.store.environments import (
    insert_tenant,
    lock_environment,
    lock_first_tenant,
    raise_version,
    replace_test_environment,
    select_config,
    select_environments,
    update_config,
)
from quotastack.store.idempotency import bind_answer, claim_key
from quotastack.store.plans import load_plans

NAME_LENGTH_MAX: Final = 255
LATE_EVENT_WINDOW_SECONDS_MAX: Final = 31 * 86_400
AMOUNT_MAX: Final = 2**53 - 1


class NewTenant(msgspec.Struct, frozen=True):
    """A tenant and its first keys, which are known at this moment only."""

    tenant_id: TenantId
    name: str
    test_key: str
    live_key: str
    test_environment_id: EnvironmentId
    live_environment_id: EnvironmentId


class TenantConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The environment's settings, defaults filled in. Secrets are never shown.

    ``stripe_webhook_path`` is where Stripe's events go, null until ``stripe_webhook_secret`` is set.
    """

    webhook_url: str | None = None
    stripe_webhook_path: str | None = None
    overage_policy: Literal["block", "allow", "notify"] = "block"
    overage_limit: int | None = None
    low_balance_threshold: int | None = None
    priority_order: Literal["asc", "desc"] = "asc"
    default_free_plan_variant_id: str | None = None
    requests_per_minute: int | None = None
    late_event_window: int = LATE_EVENT_WINDOW_SECONDS_MAX


class TenantConfigPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; null puts a setting back to its default, what is left out stays."""

    webhook_url: str | UnsetType | None = UNSET
    webhook_secret: str | UnsetType | None = UNSET
    stripe_webhook_secret: str | UnsetType | None = UNSET
    overage_policy: Literal["block", "allow", "notify"] | UnsetType | None = UNSET
    overage_limit: int | UnsetType | None = UNSET
    low_balance_threshold: int | UnsetType | None = UNSET
    priority_order: Literal["asc", "desc"] | UnsetType | None = UNSET
    default_free_plan_variant_id: str | UnsetType | None = UNSET
    requests_per_minute: int | UnsetType | None = UNSET
    late_event_window: int | UnsetType | None = UNSET


async def create_tenant(services: Services, *, name: str) -> NewTenant:
    """Make a tenant with a live and a test environment, and a key with full access for each.

    Not idempotent: two calls make two tenants. It is a command of the operator's, not of the API.

    Raises:
        ValidationFailedError: the name is empty or too long.
    """
    _check_name(name)
    live_id = EnvironmentId(new_id())
    async with environment_transaction(services.database.writes, live_id) as tx:
        return await _insert_tenant(tx, services, name=name, live_id=live_id)


async def create_first_tenant(services: Services, *, name: str) -> NewTenant | None:
    """Make a tenant where there is none yet; None where there is one. Of several processes one makes it.

    Locks: one advisory lock, which only this takes.
    """
    _check_name(name)
    live_id = EnvironmentId(new_id())
    async with environment_transaction(services.database.writes, live_id) as tx:
        await lock_first_tenant(tx)
        if await select_environments(tx):
            return None
        return await _insert_tenant(tx, services, name=name, live_id=live_id)


async def has_tenants(services: Services) -> bool:
    """Whether anything was ever set up here."""
    async with services.database.reads.acquire() as borrowed:
        return bool(await select_environments(cast("Connection", borrowed)))


async def _insert_tenant(
    tx: Connection, services: Services, *, name: str, live_id: EnvironmentId
) -> NewTenant:
    """Insert tenant, environments and keys; the transaction changes its environment on the way."""
    tenant_id = TenantId(new_id())
    test_id = EnvironmentId(new_id())
    await insert_tenant(
        tx, tenant_id, name=name, live_id=live_id, test_id=test_id, created_at=services.clock.now()
    )
    keys: dict[str, str] = {}
    environments: tuple[tuple[Literal["live", "test"], EnvironmentId], ...] = (
        ("live", live_id),
        ("test", test_id),
    )
    for environment, environment_id in environments:
        await switch_environment(tx, environment_id)
        caller = system_caller(environment_id, tenant_id=tenant_id, environment=environment)
        made = await insert_new_key(tx, services, caller, name="Default", scopes=())
        keys[environment] = made.key
    return NewTenant(
        tenant_id,
        name,
        test_key=keys["test"],
        live_key=keys["live"],
        test_environment_id=test_id,
        live_environment_id=live_id,
    )


async def read_config(services: Services, caller: Caller, *, tenant_id: str) -> TenantConfig:
    """The settings of the caller's environment.

    Raises:
        NotFoundError: ``tenant_id`` is not the caller's own.
    """
    _require_own_tenant(caller, tenant_id)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        return _show(await select_config(tx, caller.environment_id))


async def patch_config(
    services: Services,
    caller: Caller,
    *,
    tenant_id: str,
    patch: TenantConfigPatch,
    key: IdempotencyKey | None,
) -> Stored:
    """Change settings of the caller's environment; the next decision is made with the new ones.

    Raises:
        NotFoundError: ``tenant_id`` is not the caller's own.
        ValidationFailedError: listing every setting out of its range.

    Locks: the environment, exclusively: decisions under way end first.
    Replay: the settings as they were after the first call.
    """
    _require_own_tenant(caller, tenant_id)
    _check_patch(patch)
    changes = {name: value for name, value in msgspec.structs.asdict(patch).items() if value is not UNSET}
    secret = changes.pop("webhook_secret", UNSET)
    if isinstance(secret, str):
        sealed = services.secret.seal(secret.encode(), purpose=f"webhook secret {caller.environment_id}")
        changes["webhook_secret_sealed"] = sealed.hex()
    elif secret is None:
        changes["webhook_secret_sealed"] = None
    _seal_stripe_secret(services, caller, changes)

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        config = await select_config(tx, caller.environment_id)
        before = _show(config)
        free_variant_id = changes.get("default_free_plan_variant_id")
        if isinstance(free_variant_id, str):
            await _require_free_variant(tx, caller, free_variant_id)
        config.update(changes)
        config = {name: value for name, value in config.items() if value is not None}
        await update_config(tx, caller.environment_id, config=config)
        if not changes.keys().isdisjoint({"webhook_url", "webhook_secret_sealed"}):
            secret_text = config_secret_text(services, caller, config.get("webhook_secret_sealed"))
            await follow_config(tx, services, caller, url=config.get("webhook_url"), secret_text=secret_text)
        await raise_version(tx, caller.environment_id, is_catalog=False)
        after = _show(config)
        await record_audit(
            tx,
            services,
            caller,
            action="config.changed",
            object_type="config",
            object_id=caller.environment_id,
            before=before,
            after=after,
        )
        return 200, after

    return await run_once(services, caller, key, work)


async def reset_test_environment(services: Services, caller: Caller, *, key: IdempotencyKey) -> Stored:
    """Give the tenant a new, empty test environment and move its keys there.

    Raises:
        InsufficientScopeError: the key is a live one.

    Locks: the old environment, exclusively.
    Replay: the key is bound in the new environment, where a repeated request arrives; it resets nothing again.
    """
    if caller.environment != "test":
        raise InsufficientScopeError("Only a test environment can be reset; this key belongs to a live one.")
    new_environment_id = EnvironmentId(new_id())
    body = b"{}"

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        await raise_version(tx, caller.environment_id, is_catalog=True)
        await replace_test_environment(tx, new_environment_id, retired_at=services.clock.now())
        await switch_environment(tx, new_environment_id)
        await claim_key(tx, new_environment_id, key=key, created_at=services.clock.now())
        await bind_answer(tx, new_environment_id, key_digest=key.digest, status=200, body=body)
        moved = msgspec.structs.replace(caller, environment_id=new_environment_id)
        await record_audit(
            tx,
            services,
            moved,
            action="environment.reset",
            object_type="environment",
            object_id=new_environment_id,
            before={"environment_id": caller.environment_id},
            after={"environment_id": new_environment_id},
        )
        await switch_environment(tx, caller.environment_id)
        return 200, body

    return await run_once(services, caller, key, work)


def _seal_stripe_secret(services: Services, caller: Caller, changes: dict[str, Any]) -> None:
    """Replace Stripe's secret by its sealed form, and say where its events go."""
    secret = changes.pop("stripe_webhook_secret", UNSET)
    if secret is UNSET:
        return
    changes["stripe_webhook_secret_sealed"] = changes["stripe_webhook_path"] = None
    if isinstance(secret, str):
        purpose = f"stripe webhook secret {caller.environment_id}"
        sealed = services.secret.seal(secret.encode(), purpose=purpose)
        changes["stripe_webhook_secret_sealed"] = sealed.hex()
        changes["stripe_webhook_path"] = f"/v1/integrations/stripe/webhook/{caller.environment_id}"


def _check_name(name: str) -> None:
    if not 1 <= len(name.strip()) <= NAME_LENGTH_MAX or not name.isprintable():
        raise ValidationFailedError.at(
            "/name", f"A tenant's name has 1 to {NAME_LENGTH_MAX} printable characters."
        )


def _require_own_tenant(caller: Caller, tenant_id: str) -> None:
    if tenant_id != caller.tenant_id:
        raise NotFoundError("There is no such tenant.")


async def _require_free_variant(tx: Connection, caller: Caller, variant_id: str) -> None:
    variant = (await load_plans(tx, caller.environment_id)).latest_variants.get(variant_id)
    if variant is None:
        fault = "There is no such plan variant."
    elif variant.archived_at is not None:
        fault = "The plan variant is archived."
    elif not fits_fallback(variant):
        fault = "The free plan's variant must be postpaid, without trial and contract."
    else:
        return
    raise ValidationFailedError.at("/default_free_plan_variant_id", fault)


def _show(config: dict[str, Any]) -> TenantConfig:
    fields = TenantConfig.__struct_fields__
    return TenantConfig(
        **{name: value for name, value in config.items() if name in fields and value is not None}
    )


def _check_patch(patch: TenantConfigPatch) -> None:
    faults: list[FieldFault] = []
    for name, least, most in (
        ("overage_limit", 0, AMOUNT_MAX),
        ("low_balance_threshold", 0, AMOUNT_MAX),
        ("requests_per_minute", 1, 1_000_000),
        ("late_event_window", 0, LATE_EVENT_WINDOW_SECONDS_MAX),
    ):
        value = getattr(patch, name)
        if isinstance(value, int) and not least <= value <= most:
            faults.append(FieldFault(f"/{name}", f"Must be from {least} to {most}."))
    if isinstance(patch.stripe_webhook_secret, str) and not 16 <= len(patch.stripe_webhook_secret) <= 255:
        faults.append(FieldFault("/stripe_webhook_secret", "Must have 16 to 255 characters."))
    if isinstance(patch.webhook_url, str) and not patch.webhook_url.startswith(("http://", "https://")):
        faults.append(FieldFault("/webhook_url", "Must be an http or https URL."))
    if faults:
        raise ValidationFailedError("Some settings are not valid.", errors=faults)
