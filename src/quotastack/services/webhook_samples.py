"""Samples: events that tell of nothing, sent to try a receiver; and listeners, which fetch instead of being sent to.

A sample is marked by the header ``webhook-test``, has sequence 0, and is in no log of events.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec

from quotastack.core.envelopes import Format, encode_envelope, make_envelope
from quotastack.core.errors import ConflictError, InsufficientScopeError, NotFoundError, ValidationFailedError
from quotastack.core.event_patterns import EndpointFilter, check_patterns, wants_event
from quotastack.core.events import EVENT_TYPES, TEST_EVENT_TYPE
from quotastack.core.idempotency import IdempotencyKey
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.services.idempotency import Stored, run_once
from quotastack.services.webhook_delivery import event_body
from quotastack.services.webhook_log import Delivery, find_delivery, require_active, show_delivery
from quotastack.services.webhooks import draw_secret, find_endpoint, seal_secret, with_secret
from quotastack.store.environments import lock_environment, raise_version
from quotastack.store.webhook_listeners import (
    PulledDelivery,
    delete_stale_listeners,
    finish_pulled,
    select_pulled,
    touch_listener,
)
from quotastack.store.webhook_log import Sample, insert_samples
from quotastack.store.webhooks import EndpointRow, count_endpoints, insert_endpoint, select_endpoints

LISTENERS_MAX: Final = 5
LISTENER_STALE_AFTER: Final = timedelta(minutes=1)
PULL_MAX: Final = 100

SAMPLE_CUSTOMER: Final = "019d43b6-8287-7d74-83f9-2a816f4b3c87"


class TriggerAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The sample's id, and a delivery of it for each endpoint that wants its type."""

    event_id: str
    deliveries: list[Delivery]


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A listener, and the secret by which what it hands on is signed; shown once."""

    id: str
    events: tuple[str, ...]
    secret: str = ""


class ForwardedDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to hand on: the body as it is to be sent, and the headers that are not signatures."""

    id: str
    event_id: str
    event_type: str
    headers: dict[str, str]
    body: str


class ForwardResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a delivery that was handed on."""

    delivery_id: str
    status: int | None
    error: str | None
    duration_ms: int
    answer: str


async def send_test(
    services: Services, caller: Caller, *, endpoint_id: str, type_: str | None, key: IdempotencyKey
) -> Stored:
    """Send one sample to one endpoint, whatever its patterns; tried once.

    Raises:
        ValidationFailedError: no such type; or, in a live environment, any but ``webhook.test``.
        NotFoundError: there is no endpoint of that id.
        ConflictError: it is disabled or has no secret.
    """
    wanted = type_ or TEST_EVENT_TYPE
    if wanted != TEST_EVENT_TYPE and wanted not in EVENT_TYPES:
        raise ValidationFailedError.at("/type", "There is no such event type; see /v1/webhooks/event-types.")
    if wanted != TEST_EVENT_TYPE and caller.environment == "live":
        raise ValidationFailedError.at("/type", "A live environment sends webhook.test only.")

    async def work(tx: Connection) -> tuple[int, Any]:
        endpoint = await find_endpoint(tx, caller, endpoint_id)
        require_active(endpoint)
        (delivery,) = await _insert_samples(tx, services, caller, wanted, [endpoint], event_id=new_id())
        return 201, delivery

    return await run_once(services, caller, key, work)


async def trigger_event(services: Services, caller: Caller, *, type_: str, key: IdempotencyKey) -> Stored:
    """Send one sample of a type to every endpoint and listener of a test environment that wants it.

    Raises:
        InsufficientScopeError: the key is a live one.
        ValidationFailedError: no such type.
    """
    _require_test(caller)
    if type_ not in EVENT_TYPES:
        raise ValidationFailedError.at("/type", "There is no such event type; see /v1/webhooks/event-types.")

    async def work(tx: Connection) -> tuple[int, Any]:
        rows = await select_endpoints(tx, caller.environment_id)
        wanting = [row for row in rows if row.status == "active" and row.secret and _wants(row, type_)]
        event_id = new_id()
        deliveries = await _insert_samples(tx, services, caller, type_, wanting, event_id=event_id)
        return 201, TriggerAnswer(event_id=event_id, deliveries=deliveries)

    return await run_once(services, caller, key, work)


async def create_listener(
    services: Services, caller: Caller, *, patterns: tuple[str, ...], key: IdempotencyKey
) -> Stored:
    """Make a listener of a test environment; one that fetches nothing for a minute is removed.

    Raises:
        InsufficientScopeError: the key is a live one.
        ValidationFailedError: a pattern.
        ConflictError: five are listening.
    """
    _require_test(caller)
    now = services.clock.now()
    secret = draw_secret(services, caller, key)
    listener_id = new_id()
    row = EndpointRow(
        id=listener_id,
        kind="listener",
        url=None,
        patterns=check_patterns(patterns, pointer="/events"),
        secret=seal_secret(services, caller, listener_id, secret),
        pulled_at=now,
        created_at=now,
        updated_at=now,
    )

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        await delete_stale_listeners(tx, caller.environment_id, before=now - LISTENER_STALE_AFTER)
        if await count_endpoints(tx, caller.environment_id, kind="listener") >= LISTENERS_MAX:
            raise ConflictError(f"At most {LISTENERS_MAX} listeners at once; end one, or wait a minute.")
        await insert_endpoint(tx, caller.environment_id, endpoint=row)
        await raise_version(tx, caller.environment_id, is_catalog=True)
        return 201, Listener(id=listener_id, events=row.patterns)

    stored = await run_once(services, caller, key, work)
    services.environment_changed(caller.environment_id)
    return with_secret(stored, secret)


async def pull_deliveries(
    services: Services, caller: Caller, *, listener_id: str, results: list[ForwardResult]
) -> list[ForwardedDelivery]:
    """Write what became of the deliveries fetched before, and fetch what waits: up to 100, in order.

    A result that came before is ignored, so a repeated call does no harm.

    Raises:
        NotFoundError: there is no such listener, or it was removed.
    """
    async with environment_transaction(services.database.writes, caller.environment_id) as tx:
        row = await find_endpoint(tx, caller, listener_id, is_listener_meant=True)
        if row.kind != "listener":
            raise NotFoundError("There is no such listener in this environment.")
        now = services.clock.now()
        await touch_listener(tx, caller.environment_id, listener_id=listener_id, at=now)
        for result in results:
            attempt = {
                "attempted_at": now,
                "duration_ms": result.duration_ms,
                **(
                    {"error": result.error or "no answer"}
                    if result.status is None
                    else {"status": result.status}
                ),
                **({"answer": result.answer} if result.answer else {}),
            }
            await finish_pulled(
                tx,
                caller.environment_id,
                listener_id=listener_id,
                delivery_id=result.delivery_id,
                is_success=result.status is not None and 200 <= result.status < 300,
                attempt=msgspec.json.encode(attempt),
            )
        pulled = await select_pulled(tx, caller.environment_id, listener_id=listener_id, limit=PULL_MAX)
    return [_forward(one, row.format) for one in pulled]


def _forward(pulled: PulledDelivery, format_: Format) -> ForwardedDelivery:
    headers = {"content-type": "application/json", "webhook-id": pulled.event_id}
    if pulled.previous_sequence is not None:
        headers["webhook-previous-sequence"] = str(pulled.previous_sequence)
    if pulled.origin == "test":
        headers["webhook-test"] = "true"
    body = pulled.body if pulled.event is None else event_body(pulled.event, format_)
    return ForwardedDelivery(
        id=pulled.id,
        event_id=pulled.event_id,
        event_type=pulled.event_type,
        headers=headers,
        body=(body or b"{}").decode(),
    )


def _wants(row: EndpointRow, type_: str) -> bool:
    filters = EndpointFilter(
        id=row.id,
        patterns=row.patterns,
        severity=row.severity,
        billable_metric_key=row.billable_metric_key,
    )
    return wants_event(filters, type_, EVENT_TYPES[type_].example)


async def _insert_samples(
    tx: Connection,
    services: Services,
    caller: Caller,
    type_: str,
    endpoints: list[EndpointRow],
    *,
    event_id: str,
) -> list[Delivery]:
    known = EVENT_TYPES.get(type_)
    envelope = make_envelope(
        event_id=event_id,
        type_=type_,
        environment=caller.environment,
        tenant_id=caller.tenant_id,
        created_at=services.clock.now(),
        sequence=0,
        customer_id=SAMPLE_CUSTOMER,
        external_customer_id="user_sample",
        request_id=caller.request_id,
        data={"message": "It works."} if known is None else known.example,
    )
    samples = [
        Sample(new_id(), row.id, encode_envelope(envelope, row.format), is_pulled=row.kind == "listener")
        for row in endpoints
    ]
    if not samples:
        return []
    await insert_samples(tx, caller.environment_id, samples=samples, event_id=event_id, event_type=type_)
    return [show_delivery(await find_delivery(tx, caller, sample.delivery_id)) for sample in samples]


def _require_test(caller: Caller) -> None:
    if caller.environment != "test":
        raise InsufficientScopeError("Samples and listeners are for test environments; this is a live key.")
