"""The log of events and deliveries, and what is sent again by hand: redelivery, replay, skipping a stuck head."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.customer_ref import CustomerRef
from quotastack.core.derived_ids import derived_id
from quotastack.core.envelopes import Envelope, make_envelope
from quotastack.core.errors import ConflictError, CustomerNotFoundError, NotFoundError
from quotastack.core.event_patterns import wanted_types
from quotastack.core.idempotency import IdempotencyKey
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.audit import record_audit
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.services.idempotency import Stored, run_once
from quotastack.services.webhooks import find_endpoint
from quotastack.store.webhook_lanes import StoredEvent
from quotastack.store.webhook_log import (
    DeliveryRow,
    insert_redelivery,
    lock_lane_of,
    select_deliveries,
    select_delivery,
    select_event,
    select_events,
    select_events_to_replay,
    skip_delivery,
)
from quotastack.store.webhooks import EndpointRow, NewDelivery, insert_new_deliveries

REPLAY_MAX: Final = 10_000


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: ``status`` of the answer, or ``error`` where there was none; the answer's first 2 KiB."""

    attempted_at: datetime
    status: int | UnsetType = UNSET
    error: str | UnsetType = UNSET
    duration_ms: int | UnsetType = UNSET
    answer: str | UnsetType = UNSET


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint, with every attempt. ``origin`` tells what made it."""

    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    customer_id: str | UnsetType = UNSET
    sequence: int
    previous_sequence: int | UnsetType = UNSET
    origin: Literal["event", "redelivery", "replay", "test"]
    status: Literal["pending", "succeeded", "failed", "canceled"]
    attempts: list[Attempt]
    next_attempt_at: datetime | UnsetType = UNSET
    created_at: datetime
    finished_at: datetime | UnsetType = UNSET


class ReplayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of the span are sent again."""

    endpoint_id: str
    events: int


_read_attempts = msgspec.json.Decoder(list[Attempt]).decode


def show_event(event: StoredEvent) -> Envelope:
    """An event as the API shows it, which is what a delivery carries."""
    return make_envelope(
        event_id=event.id,
        type_=event.type,
        environment=event.environment,
        tenant_id=event.tenant_id,
        created_at=event.created_at,
        sequence=event.sequence,
        customer_id=event.customer_id,
        external_customer_id=event.external_id,
        request_id=event.request_id,
        data=msgspec.Raw(event.data.encode()),
    )


def show_delivery(row: DeliveryRow) -> Delivery:
    """A delivery as the API shows it."""

    def given(value: Any) -> Any:
        return UNSET if value is None else value

    return Delivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        event_type=row.event_type,
        customer_id=given(row.customer_id),
        sequence=row.sequence,
        previous_sequence=given(row.previous_sequence),
        origin=row.origin,
        status=row.status,
        attempts=_read_attempts(row.attempts),
        next_attempt_at=given(row.next_attempt_at),
        created_at=row.created_at,
        finished_at=given(row.finished_at),
    )


async def list_events(
    services: Services, caller: Caller, *, customer: CustomerRef | None, **page: Any
) -> list[Envelope]:
    """A page of events. What time has done to a named customer is written first; a deleted one's stay listed.

    Raises:
        CustomerNotFoundError: no customer has the external id.
    """
    customer_id: str | None = None
    if customer is not None:
        customer_id = await _settle(services, caller, customer)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        rows = await select_events(tx, caller.environment_id, customer_id=customer_id, **page)
    return [show_event(row) for row in rows]


async def read_event(services: Services, caller: Caller, *, event_id: str) -> Envelope:
    """One event.

    Raises:
        NotFoundError: there is none of that id.
    """
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        row = await select_event(tx, caller.environment_id, event_id=event_id)
    if row is None:
        raise NotFoundError("There is no such event in this environment.")
    return show_event(row)


async def list_deliveries(
    services: Services, caller: Caller, *, customer: CustomerRef | None, **page: Any
) -> list[Delivery]:
    """A page of deliveries with their attempts, by the time at which they were queued.

    Raises:
        CustomerNotFoundError: no customer has the external id.
    """
    customer_id: str | None = None
    if customer is not None:
        customer_id = await _settle(services, caller, customer)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        rows = await select_deliveries(tx, caller.environment_id, customer_id=customer_id, **page)
    return [show_delivery(row) for row in rows]


async def read_delivery(services: Services, caller: Caller, *, delivery_id: str) -> Delivery:
    """One delivery.

    Raises:
        NotFoundError: there is none of that id.
    """
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        return show_delivery(await find_delivery(tx, caller, delivery_id))


async def redeliver(services: Services, caller: Caller, *, delivery_id: str, key: IdempotencyKey) -> Stored:
    """Send the event of a delivery once more: same id, same body, outside the lane's order.

    Raises:
        NotFoundError: there is none of that id.
        ConflictError: it is still pending; or its endpoint is disabled or gone.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        delivery = await find_delivery(tx, caller, delivery_id)
        if delivery.status == "pending":
            raise ConflictError("The delivery is still under way; its attempts go on by themselves.")
        require_active(await _find_endpoint_of(tx, caller, delivery))
        redelivery_id = new_id()
        await insert_redelivery(
            tx, caller.environment_id, delivery_id=delivery_id, redelivery_id=redelivery_id
        )
        made = show_delivery(await find_delivery(tx, caller, redelivery_id))
        await record_audit(
            tx,
            services,
            caller,
            action="webhook_delivery.redelivered",
            object_type="webhook_delivery",
            object_id=delivery_id,
            after={"redelivery_id": redelivery_id},
        )
        return 201, made

    return await run_once(services, caller, key, work)


async def skip_head(services: Services, caller: Caller, *, delivery_id: str, key: IdempotencyKey) -> Stored:
    """Give up the delivery at the head of its lane, so that the events behind it go on.

    The receiver sees the gap by the next ``webhook-previous-sequence``. An attempt that is on the wire at this
    moment may still arrive.

    Raises:
        NotFoundError: there is none of that id.
        ConflictError: it is not pending, or not the head of its lane.

    Locks: the lane.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        delivery = await find_delivery(tx, caller, delivery_id)
        head_id = await lock_lane_of(tx, caller.environment_id, delivery=delivery)
        if head_id != delivery_id:
            raise ConflictError(
                "Only the delivery that its lane waits for can be skipped.",
                extra={} if head_id is None else {"head_delivery_id": head_id},
            )
        await skip_delivery(tx, caller.environment_id, delivery_id=delivery_id)
        after = show_delivery(await find_delivery(tx, caller, delivery_id))
        await record_audit(
            tx,
            services,
            caller,
            action="webhook_delivery.skipped",
            object_type="webhook_delivery",
            object_id=delivery_id,
            before=show_delivery(delivery),
            after=after,
        )
        return 200, after

    return await run_once(services, caller, key, work)


async def replay_span(
    services: Services,
    caller: Caller,
    *,
    endpoint_id: str,
    from_at: datetime,
    to_at: datetime,
    key: IdempotencyKey,
) -> Stored:
    """Send the events of a span to an endpoint again: those that it wants now, each customer's in order.

    They have lanes of their own beside the live ones, and keep their ids.

    Raises:
        NotFoundError: there is no endpoint of that id.
        ConflictError: it is disabled; or the span holds more than 10,000 events.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        endpoint = await find_endpoint(tx, caller, endpoint_id)
        require_active(endpoint)
        events = await select_events_to_replay(
            tx,
            caller.environment_id,
            from_at=from_at,
            to_at=to_at,
            types=wanted_types(endpoint.patterns),
            severity=endpoint.severity,
            billable_metric_key=endpoint.billable_metric_key,
            limit=REPLAY_MAX + 1,
        )
        if len(events) > REPLAY_MAX:
            raise ConflictError(f"The span holds more than {REPLAY_MAX} events: replay it in parts.")
        replay_id, now = new_id(), services.clock.now()
        deliveries = [
            NewDelivery(
                new_id(),
                endpoint_id,
                derived_id(now, replay_id, event.customer_id),
                event.customer_id,
                event.sequence,
                event.id,
                event.type,
            )
            for event in events
        ]
        if deliveries:
            await insert_new_deliveries(tx, caller.environment_id, deliveries, origin="replay")
        await record_audit(
            tx,
            services,
            caller,
            action="webhook_endpoint.replayed",
            object_type="webhook_endpoint",
            object_id=endpoint_id,
            after={"from": from_at, "to": to_at, "events": len(events)},
        )
        return 202, ReplayAnswer(endpoint_id=endpoint_id, events=len(events))

    return await run_once(services, caller, key, work)


# Parts


async def find_delivery(tx: Connection, caller: Caller, delivery_id: str) -> DeliveryRow:
    """The delivery of that id.

    Raises:
        NotFoundError: there is none.
    """
    row = await select_delivery(tx, caller.environment_id, delivery_id=delivery_id)
    if row is None:
        raise NotFoundError("There is no such webhook delivery in this environment.")
    return row


def require_active(endpoint: EndpointRow) -> None:
    """Refuse to send to an endpoint that takes nothing.

    Raises:
        ConflictError: it is disabled, or has no secret.
    """
    if endpoint.status != "active":
        raise ConflictError("The endpoint is disabled: set its status to active first.")
    if endpoint.secret is None:
        raise ConflictError("The endpoint has no secret, and nothing is sent unsigned.")


async def _find_endpoint_of(tx: Connection, caller: Caller, delivery: DeliveryRow) -> EndpointRow:
    try:
        return await find_endpoint(tx, caller, delivery.endpoint_id)
    except NotFoundError:
        raise ConflictError("The endpoint of this delivery was deleted, or is a listener.") from None


async def _settle(services: Services, caller: Caller, customer: CustomerRef) -> str:
    try:
        return await services.engine.settle_time(caller, customer)
    except CustomerNotFoundError:
        if customer.customer_id is None:
            raise
        return customer.customer_id
