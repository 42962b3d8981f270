"""Webhook endpoints: making, changing, rotating and deleting them, and the one that follows the configuration.

Every change holds the environment's lock and raises its version in the same transaction, so a batch of the engine
fans out either to the old endpoints or to the new ones, never to a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.errors import ConflictError, NotFoundError
from quotastack.core.event_patterns import check_patterns, wanted_types
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.signing import SECRET_BYTES, read_secret, show_secret
from quotastack.core.webhook_urls import check_url
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.audit import record_audit
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.services.idempotency import Stored, run_once
from quotastack.services.webhook_delivery import secret_purpose
from quotastack.store.environments import lock_environment, raise_version
from quotastack.store.webhooks import (
    EndpointRow,
    cancel_deliveries,
    count_endpoints,
    delete_endpoint,
    insert_endpoint,
    select_endpoints,
    update_endpoint,
)

ENDPOINTS_MAX: Final = 10
OVERLAP_SECONDS: Final = 86_400

replace = msgspec.structs.replace


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint as the API shows it. Its secret is shown once, where the server made it."""

    id: str
    url: str
    events: tuple[str, ...]
    severity: str | UnsetType = UNSET
    billable_metric_key: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    format: Literal["standard", "cloudevents"]
    status: Literal["active", "disabled"]
    disabled_reason: str | UnsetType = UNSET
    disabled_at: datetime | UnsetType = UNSET
    failing_since: datetime | UnsetType = UNSET
    has_secret: bool
    previous_secret_until: datetime | UnsetType = UNSET
    follows_config: bool = False
    created_at: datetime
    updated_at: datetime


class EndpointWithSecret(Endpoint, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint at its making or at a rotation, with the secret that the server made."""

    secret: str | UnsetType = UNSET


class EndpointTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says about an endpoint; what is UNSET stays, or takes its default. None takes a filter away."""

    url: str | UnsetType = UNSET
    secret: str | UnsetType = UNSET
    events: Sequence[str] | UnsetType = UNSET
    severity: str | UnsetType | None = UNSET
    billable_metric_key: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    format: Literal["standard", "cloudevents"] | UnsetType = UNSET
    status: Literal["active", "disabled"] | UnsetType = UNSET


def show_endpoint(row: EndpointRow) -> Endpoint:
    """A row as the API shows it."""

    def given(value: Any) -> Any:
        return UNSET if value is None else value

    return Endpoint(
        id=row.id,
        url=row.url or "",
        events=row.patterns,
        severity=given(row.severity),
        billable_metric_key=given(row.billable_metric_key),
        description=given(row.description),
        format=row.format,
        status=row.status,
        disabled_reason=given(row.disabled_reason),
        disabled_at=given(row.disabled_at),
        failing_since=given(row.failing_since),
        has_secret=row.secret is not None,
        previous_secret_until=given(row.previous_secret_until),
        follows_config=row.kind == "shortcut",
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def create_endpoint(
    services: Services, caller: Caller, terms: EndpointTerms, *, key: IdempotencyKey
) -> Stored:
    """Make an endpoint; without a secret of the caller's one is made, and shown in this answer only.

    Raises:
        ValidationFailedError: the URL, the secret or a pattern.
        ConflictError: the environment has ten endpoints.

    Replay: the same answer, the secret included: it is drawn from the installation's secret and the key.
    """
    now = services.clock.now()
    row = _apply_terms(
        EndpointRow(id=new_id(), url="", patterns=("*",), created_at=now, updated_at=now), terms, now
    )
    is_made = terms.secret is UNSET
    secret = (
        draw_secret(services, caller, key) if is_made else read_secret(str(terms.secret), pointer="/secret")
    )
    row = replace(row, secret=seal_secret(services, caller, row.id, secret))

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        if await count_endpoints(tx, caller.environment_id, kind="endpoint") >= ENDPOINTS_MAX:
            raise ConflictError(
                f"An environment has at most {ENDPOINTS_MAX} webhook endpoints. Delete one first."
            )
        await insert_endpoint(tx, caller.environment_id, endpoint=row)
        shown = show_endpoint(row)
        await _finish_change(
            tx, services, caller, action="created", before=None, after=shown, endpoint_id=row.id
        )
        return 201, shown

    stored = await run_once(services, caller, key, work)
    services.environment_changed(caller.environment_id)
    return with_secret(stored, secret) if is_made else stored


async def list_endpoints(services: Services, caller: Caller) -> list[Endpoint]:
    """The environment's endpoints, oldest first; at most eleven."""
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        rows = await select_endpoints(tx, caller.environment_id)
    return [show_endpoint(row) for row in rows if row.kind != "listener"]


async def read_endpoint(services: Services, caller: Caller, *, endpoint_id: str) -> Endpoint:
    """One endpoint.

    Raises:
        NotFoundError: there is none of that id.
    """
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        return show_endpoint(await find_endpoint(tx, caller, endpoint_id))


async def patch_endpoint(
    services: Services,
    caller: Caller,
    *,
    endpoint_id: str,
    terms: EndpointTerms,
    key: IdempotencyKey,
) -> Stored:
    """Change an endpoint. What waits for it and is no longer wanted is canceled; all of it, when it is disabled.

    Raises:
        NotFoundError: there is none of that id.
        ConflictError: it follows the configuration, and something else than its status was given.
        ValidationFailedError: the URL or a pattern.

    Locks: the environment, exclusively; then the endpoint's lanes.
    """
    now = services.clock.now()

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        row = await find_endpoint(tx, caller, endpoint_id)
        if row.kind == "shortcut" and terms != EndpointTerms(status=terms.status):
            raise follows_config()
        changed = _apply_terms(row, terms, now)
        # Lanes before the endpoint: workers, who write results, lock in this order.
        if changed.status == "disabled" or changed.patterns != row.patterns:
            kept = () if changed.status == "disabled" else wanted_types(changed.patterns)
            await cancel_deliveries(tx, caller.environment_id, endpoint_id=row.id, kept_types=kept)
        await update_endpoint(tx, caller.environment_id, endpoint=changed)
        shown = show_endpoint(changed)
        await _finish_change(
            tx, services, caller, action="changed", before=show_endpoint(row), after=shown, endpoint_id=row.id
        )
        return 200, shown

    stored = await run_once(services, caller, key, work)
    services.environment_changed(caller.environment_id)
    return stored


async def remove_endpoint(
    services: Services, caller: Caller, *, endpoint_id: str, key: IdempotencyKey | None
) -> Stored:
    """Delete an endpoint and cancel what waits for it; its deliveries stay in the log.

    Raises:
        NotFoundError: there is none of that id.
        ConflictError: it follows the configuration.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        row = await find_endpoint(tx, caller, endpoint_id, is_listener_meant=True)
        if row.kind == "shortcut":
            raise follows_config()
        await _delete(tx, services, caller, row)
        return 204, b""

    stored = await run_once(services, caller, key, work)
    services.environment_changed(caller.environment_id)
    return stored


async def rotate_secret(
    services: Services,
    caller: Caller,
    *,
    endpoint_id: str,
    secret_text: str | None,
    overlap_seconds: int,
    is_forced: bool,
    key: IdempotencyKey,
) -> Stored:
    """Give the endpoint a new secret, which signs first from now on; the old one signs too while they overlap.

    Raises:
        NotFoundError: there is none of that id.
        ConflictError: it follows the configuration; or an earlier rotation still overlaps and this one is not
            forced (the oldest secret would end before its time).
        ValidationFailedError: the secret.
    """
    now = services.clock.now()
    is_made = secret_text is None
    secret = (
        draw_secret(services, caller, key)
        if secret_text is None
        else read_secret(secret_text, pointer="/secret")
    )

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        row = await find_endpoint(tx, caller, endpoint_id)
        if row.kind == "shortcut":
            raise follows_config()
        until = row.previous_secret_until
        if until is not None and until > now and not is_forced:
            raise ConflictError(
                "An earlier rotation still overlaps. Wait for it to end, or send force: true to end it now.",
                extra={"previous_secret_until": until},
            )
        overlaps = overlap_seconds > 0 and row.secret is not None
        changed = replace(
            row,
            secret=seal_secret(services, caller, row.id, secret),
            previous_secret=row.secret if overlaps else None,
            previous_secret_until=now + timedelta(seconds=overlap_seconds) if overlaps else None,
            updated_at=now,
        )
        await update_endpoint(tx, caller.environment_id, endpoint=changed)
        shown = show_endpoint(changed)
        await _finish_change(
            tx, services, caller, action="secret_rotated", before=None, after=shown, endpoint_id=row.id
        )
        return 200, shown

    stored = await run_once(services, caller, key, work)
    services.environment_changed(caller.environment_id)
    return with_secret(stored, secret) if is_made else stored


# Parts


async def find_endpoint(
    tx: Connection, caller: Caller, endpoint_id: str, *, is_listener_meant: bool = False
) -> EndpointRow:
    """The endpoint of that id; a listener is one only where it is meant.

    Raises:
        NotFoundError: there is none, or it was deleted.
    """
    rows = await select_endpoints(tx, caller.environment_id, endpoint_id=endpoint_id)
    if not rows or (rows[0].kind == "listener" and not is_listener_meant):
        raise NotFoundError("There is no such webhook endpoint in this environment.")
    return rows[0]


def follows_config() -> ConflictError:
    """The refusal to change the endpoint of the configuration by itself."""
    return ConflictError(
        "This endpoint follows webhook_url and webhook_secret of the settings: change them there."
    )


def seal_secret(services: Services, caller: Caller, endpoint_id: str, secret: bytes) -> bytes:
    """A secret as it is stored."""
    return services.secret.seal(secret, purpose=secret_purpose(caller.environment_id, endpoint_id))


def draw_secret(services: Services, caller: Caller, key: IdempotencyKey) -> bytes:
    """A secret that only this installation can draw, the same again for the same act."""
    drawn = services.secret.derive(f"webhook secret text {caller.environment_id} {key.digest.hex()}")
    assert len(drawn) == SECRET_BYTES
    return drawn


def with_secret(stored: Stored, secret: bytes) -> Stored:
    """The answer with the secret, which is stored nowhere in it."""
    body = {**msgspec.json.decode(stored.body), "secret": show_secret(secret)}
    return Stored(stored.status, msgspec.json.encode(body), stored.replayed)


def _apply_terms(row: EndpointRow, terms: EndpointTerms, now: datetime) -> EndpointRow:
    changes: dict[str, Any] = {
        name: value
        for name in ("severity", "billable_metric_key", "description", "format")
        if (value := getattr(terms, name)) is not UNSET
    }
    if terms.url is not UNSET:
        changes["url"] = check_url(terms.url, pointer="/url")
    if terms.events is not UNSET:
        changes["patterns"] = check_patterns(terms.events, pointer="/events")
    changed = replace(row, updated_at=now, **changes)
    return changed if terms.status is UNSET else set_status(changed, terms.status, now)


def set_status(row: EndpointRow, status: Literal["active", "disabled"], now: datetime) -> EndpointRow:
    """Enabling starts the count of failures anew; disabling what is disabled keeps why and since when."""
    if status == "active":
        return replace(row, status="active", disabled_reason=None, disabled_at=None, failing_since=None)
    if row.status == "disabled":
        return row
    return replace(row, status="disabled", disabled_reason="manual", disabled_at=now)


async def _delete(tx: Connection, services: Services, caller: Caller, row: EndpointRow) -> None:
    await cancel_deliveries(tx, caller.environment_id, endpoint_id=row.id)
    await delete_endpoint(tx, caller.environment_id, endpoint_id=row.id, deleted_at=services.clock.now())
    await _finish_change(
        tx, services, caller, action="deleted", before=show_endpoint(row), after=None, endpoint_id=row.id
    )


async def _finish_change(
    tx: Connection,
    services: Services,
    caller: Caller,
    *,
    action: str,
    before: Endpoint | None,
    after: Endpoint | None,
    endpoint_id: str,
) -> None:
    await raise_version(tx, caller.environment_id, is_catalog=True)
    await record_audit(
        tx,
        services,
        caller,
        action=f"webhook_endpoint.{action}",
        object_type="webhook_endpoint",
        object_id=endpoint_id,
        before=before,
        after=after,
    )
