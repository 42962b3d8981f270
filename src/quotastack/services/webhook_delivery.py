"""What a delivery worker does to the database: claim lanes, take their heads with bodies and headers, write results.

Each function is one transaction at most, and none is open while a receiver thinks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, cast

import msgspec
from cryptography.exceptions import InvalidTag

from quotastack import __version__
from quotastack.core.deliveries import GONE, is_success, read_retry_after_ms, retry_wait_ms, should_disable
from quotastack.core.envelopes import content_type, encode_envelope, make_envelope
from quotastack.core.ids import EnvironmentId
from quotastack.core.signing import signature_header
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.container import Services
from quotastack.store.environments import lock_environment, raise_version
from quotastack.store.webhook_lanes import (
    Head,
    Lane,
    Outcome,
    StoredEvent,
    claim_lanes,
    lock_lanes,
    note_results,
    select_events_of_heads,
    select_seconds_to_due,
    take_heads,
    update_deliveries,
)
from quotastack.store.webhooks import WAKE_CHANNEL, cancel_deliveries, disable_endpoint

__all__ = ["WAKE_CHANNEL"]

USER_AGENT: Final = f"QuotaStack-Webhooks/{__version__}"

_REDELIVERY: Final = {"redelivery": "manual", "replay": "replay"}

_encode = msgspec.json.Encoder().encode


class SentAnswer(Protocol):
    """What an attempt gave."""

    status: int | None
    retry_after: str | None
    excerpt: str
    error: str | None
    duration_ms: int


class Prepared(msgspec.Struct, frozen=True):
    """A head with its body and the secrets in force; ``body`` None: there is nothing to send, for ``problem``."""

    head: Head
    body: bytes | None
    secrets: tuple[bytes, ...]
    problem: str = ""

    def headers(self, sent_at_seconds: int) -> dict[str, str]:
        """The headers of an attempt at that time."""
        assert self.body is not None
        return delivery_headers(self.head, self.body, secrets=self.secrets, sent_at_seconds=sent_at_seconds)


class Sent(msgspec.Struct, frozen=True):
    """An attempt that ended. ``answer`` None: nothing was sent, because there was no body."""

    prepared: Prepared
    answer: Any
    attempted_at: datetime


class Settled(msgspec.Struct, frozen=True):
    """What follows from written results: the lanes' next deliveries, endpoints to disable with the reason, and
    whether some delivery is to be tried again later.
    """

    prepared: list[Prepared]
    closing: dict[str, str]
    has_retries: bool = False


class Claim(msgspec.Struct, frozen=True):
    """Lanes that are ours for a while, by environment."""

    lease_id: str
    lanes: dict[EnvironmentId, list[Lane]]


async def seconds_to_due(services: Services) -> float | None:
    """Seconds until the next lane is due, below zero when one is overdue; None when nothing waits."""
    async with services.database.workers.acquire() as borrowed:
        connection = cast("Connection", borrowed)
        return await select_seconds_to_due(connection)


async def claim_due_lanes(
    services: Services,
    *,
    lease_seconds: float,
    lanes_max: int,
    passed_over: Sequence[str],
    looked_at_max: int | None,
) -> Claim:
    """Claim due lanes of all environments, oldest first, except those of endpoints that are passed over.

    With ``looked_at_max`` only those that became due last are looked at, whatever waits before them.
    """
    claim = Claim(new_id(), defaultdict(list))
    async with services.database.workers.acquire() as borrowed:
        connection = cast("Connection", borrowed)
        lanes = await claim_lanes(
            connection,
            lease_id=claim.lease_id,
            lease_seconds=lease_seconds,
            lanes_max=lanes_max,
            passed_over=passed_over,
            looked_at_max=looked_at_max,
        )
    for lane in lanes:
        claim.lanes[lane.environment_id].append(lane)
    return claim


async def open_lanes(
    services: Services,
    environment_id: EnvironmentId,
    lanes: Sequence[Lane],
    *,
    lease_id: str,
    lease_seconds: float,
    keeps_lease: bool,
) -> list[Prepared]:
    """What is to be sent now in claimed lanes of one environment; the others are given back.

    Locks: the lanes.
    """
    async with environment_transaction(services.database.workers, environment_id) as tx:
        locked = await lock_lanes(tx, environment_id, lanes=[(lane, lease_id) for lane in lanes])
        heads = await take_heads(
            tx,
            environment_id,
            lanes=[(lane, None) for lane in lanes if lane in locked],
            lease_seconds=lease_seconds,
            keeps_lease=keeps_lease,
        )
        return await prepare_heads(tx, services, heads)


def secret_purpose(environment_id: str, endpoint_id: str) -> str:
    """What an endpoint's secret is sealed for: moved to another row it cannot be opened."""
    return f"webhook secret {environment_id} {endpoint_id}"


def delivery_headers(
    head: Head, body: bytes, *, secrets: Sequence[bytes], sent_at_seconds: int
) -> dict[str, str]:
    """The headers of one attempt: id and body stay, time and signature are new each time."""
    headers = {
        "content-type": content_type(head.format),
        "user-agent": USER_AGENT,
        "webhook-id": head.event_id,
        "webhook-timestamp": str(sent_at_seconds),
        "webhook-signature": signature_header(secrets, head.event_id, sent_at_seconds, body),
    }
    if head.previous_sequence is not None:
        headers["webhook-previous-sequence"] = str(head.previous_sequence)
    if head.origin in _REDELIVERY:
        headers["webhook-redelivery"] = _REDELIVERY[head.origin]
    if head.origin == "test":
        headers["webhook-test"] = "true"
    return headers


def event_body(event: StoredEvent, format_: Any) -> bytes:
    """The body of an event in a format: the same bytes at each attempt."""
    return encode_envelope(
        make_envelope(
            event_id=event.id,
            type_=event.type,
            environment=event.environment,
            tenant_id=event.tenant_id,
            created_at=event.created_at,
            sequence=event.sequence,
            customer_id=event.customer_id,
            external_customer_id=event.external_id,
            request_id=event.request_id,
            data=msgspec.Raw(msgspec.json.format(event.data, indent=-1).encode()),
        ),
        format_,
    )


async def prepare_heads(tx: Connection, services: Services, heads: Sequence[Head]) -> list[Prepared]:
    """Load the events of heads of one environment and make their bodies; one statement, none for no heads."""
    if not heads:
        return []
    environment_id = heads[0].lane.environment_id
    events = await select_events_of_heads(tx, environment_id, heads=heads)
    prepared: list[Prepared] = []
    for head in heads:
        body = head.body
        if body is None and head.event_id in events:
            body = event_body(events[head.event_id], head.format)
        sealed = [head.secret] if head.previous_secret is None else [head.secret, head.previous_secret]
        purpose = secret_purpose(environment_id, head.lane.endpoint_id)
        try:
            secrets = tuple(services.secret.unseal(secret, purpose=purpose) for secret in sealed)
        except InvalidTag:
            prepared.append(Prepared(head, None, (), "the endpoint's secret cannot be opened: rotate it"))
            continue
        problem = "the event was removed by its retention" if body is None else ""
        prepared.append(Prepared(head, body, secrets, problem))
    return prepared


def judge_attempt(services: Services, sent: Sent, *, draw: Callable[[], int]) -> Outcome:
    """What an attempt means for its delivery: succeeded, to be tried again, or given up."""
    head = sent.prepared.head
    answer: SentAnswer | None = sent.answer
    if answer is None:
        attempt = {"attempted_at": sent.attempted_at, "error": sent.prepared.problem}
        return Outcome(head=head, status="canceled", attempt=_encode(attempt))
    attempt = {
        "attempted_at": sent.attempted_at,
        "duration_ms": answer.duration_ms,
        **({"error": answer.error} if answer.status is None else {"status": answer.status}),
        **({"answer": answer.excerpt} if answer.excerpt else {}),
    }
    encoded = _encode(attempt)
    if is_success(answer.status):
        return Outcome(head=head, status="succeeded", attempt=encoded)
    if answer.status == GONE or head.origin == "test":
        return Outcome(head=head, status="failed", attempt=encoded)
    wait_ms = retry_wait_ms(
        head.failures + 1,
        waits_ms=[round(wait * 1_000) for wait in services.settings.webhook_retry_waits],
        jitter_permille=draw(),
        retry_after_ms=read_retry_after_ms(answer.status, answer.retry_after, now=sent.attempted_at),
    )
    if wait_ms is None:
        return Outcome(head=head, status="failed", attempt=encoded)
    return Outcome(head=head, status="pending", wait_seconds=wait_ms / 1_000, attempt=encoded)


async def settle_attempts(
    services: Services,
    environment_id: EnvironmentId,
    sent: Sequence[Sent],
    *,
    draw: Callable[[], int],
    lease_seconds: float,
    keeps_lease: bool,
) -> Settled:
    """Write the results of one environment and take what comes next in their lanes.

    Results of lanes that another worker has by now are dropped: it makes the delivery again. At most six
    statements, whatever the number of results.

    Locks: the lanes, then the endpoints whose standing changes.
    """
    by_lane = {one.prepared.head.lane: one for one in sent}
    async with environment_transaction(services.database.workers, environment_id) as tx:
        locked = await lock_lanes(
            tx, environment_id, lanes=[(lane, one.prepared.head.lease_id) for lane, one in by_lane.items()]
        )
        ours = [one for lane, one in by_lane.items() if lane in locked]
        if not ours:
            return Settled([], {})
        outcomes = [judge_attempt(services, one, draw=draw) for one in ours]
        await update_deliveries(tx, environment_id, outcomes=outcomes)
        heads = await take_heads(
            tx,
            environment_id,
            lanes=[
                (outcome.head.lane, None if outcome.status == "pending" else outcome.head.sequence)
                for outcome in outcomes
            ],
            lease_seconds=lease_seconds,
            keeps_lease=keeps_lease,
        )
        prepared = await prepare_heads(tx, services, heads)
        closing = await _find_closing(tx, environment_id, ours, outcomes)
        return Settled(prepared, closing, any(outcome.status == "pending" for outcome in outcomes))


async def _find_closing(
    tx: Connection, environment_id: EnvironmentId, sent: Sequence[Sent], outcomes: Sequence[Outcome]
) -> dict[str, str]:
    """Note how endpoints fare; those to disable, with the reason."""
    closing = {
        one.prepared.head.lane.endpoint_id: "gone"
        for one in sent
        if one.answer is not None and one.answer.status == GONE
    }
    has_success: dict[str, bool] = {}
    for outcome in outcomes:
        if outcome.status != "canceled":
            endpoint_id = outcome.head.lane.endpoint_id
            has_success[endpoint_id] = has_success.get(endpoint_id, False) or outcome.status == "succeeded"
    for failing in await note_results(tx, environment_id, has_success=has_success):
        if should_disable(failing.failing_since, failing.now):
            closing.setdefault(failing.endpoint_id, "failing")
    return closing


async def close_failing_endpoints(
    services: Services, environment_id: EnvironmentId, closing: dict[str, str]
) -> None:
    """Disable endpoints, once each, and cancel what waits for them.

    Locks: the environment, exclusively, so that no batch fans out to them any more; then their lanes.
    """
    for endpoint_id, reason in closing.items():
        async with environment_transaction(services.database.workers, environment_id) as tx:
            await lock_environment(tx, environment_id)
            await cancel_deliveries(tx, environment_id, endpoint_id=endpoint_id)
            if await disable_endpoint(tx, environment_id, endpoint_id=endpoint_id, reason=reason):
                await raise_version(tx, environment_id, is_catalog=True)
        services.environment_changed(environment_id)
