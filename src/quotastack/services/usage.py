"""Usage: record, accept, batch, reverse; and the events as they are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import NotFoundError, ProblemError, UnavailableError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.reversal import ReverseUsage
from quotastack.core.usage import AcceptUsage, RecordUsage
from quotastack.core.usage_views import UsageView, view_usage
from quotastack.engine.submission import Outcome, Submission
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.commands import settle_history, submit_command
from quotastack.store.usage import UsageRow, select_usage_event, select_usage_events

if TYPE_CHECKING:
    from quotastack.services.caller import Caller
    from quotastack.services.container import Services


class BatchEvent(msgspec.Struct, frozen=True):
    """One event of a batch, readable on its own: it is executed as one POST /v1/usage."""

    customer: CustomerRef
    usage: RecordUsage
    key: IdempotencyKey


def record_usage(
    caller: Caller, customer: CustomerRef, *, usage: RecordUsage, key: IdempotencyKey | None
) -> Submission:
    """Charge one event, by the engine; a dry run answers the same and leaves nothing.

    Raises (the submission):
        CustomerNotFoundError: unknown or deleted.
        ProblemError: see ``RecordUsage.decide``.

    Replay: the answer of the first call, balances included.
    """
    return Submission(caller=caller, customer=customer, command=usage, key=key)


async def accept_usage(
    services: Services, caller: Caller, customer: CustomerRef, *, usage: RecordUsage, key: IdempotencyKey
) -> Outcome:
    """Take one event whose outcome the caller does not wait for.

    Raises:
        CustomerNotFoundError: unknown or deleted.
        NotFoundError, ValidationFailedError, TimestampOutOfRangeError: the request itself is wrong.

    Replay: the 202 of the first call; after ``usage.rejected`` a new key is needed.
    """
    return await submit_command(services, caller, customer, AcceptUsage(usage=usage), key=key)


class _Gathering:
    """The outcomes of many commands, in their order; ``all`` is done when the last is known."""

    __slots__ = ("_left", "all", "outcomes")

    def __init__(self, count: int) -> None:
        self.outcomes: list[Any] = [None] * count
        self._left = count
        self.all: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def put(self, index: int, outcome: Outcome | Exception) -> None:
        """Keep one outcome."""
        self.outcomes[index] = outcome
        self._left -= 1
        if not self._left and not self.all.done():
            self.all.set_result(None)


async def record_batch(
    services: Services, caller: Caller, events: Sequence[BatchEvent | ProblemError]
) -> list[Outcome | ProblemError]:
    """Charge many events, each on its own; the refusal of one does not undo another.

    All are queued before the first is waited for, in their order: a customer's events are decided in
    the order in which they stand in the batch.
    """
    gathering = _Gathering(len(events))
    submit_then = services.engine.submit_then
    for index, event in enumerate(events):
        if isinstance(event, ProblemError):
            gathering.put(index, event)
            continue
        submission = Submission(caller=caller, customer=event.customer, command=event.usage, key=event.key)
        try:
            submit_then(submission, partial(gathering.put, index))
        except UnavailableError as full:
            gathering.put(index, full.with_traceback(None))
    await gathering.all
    for outcome in gathering.outcomes:
        if isinstance(outcome, Exception) and not isinstance(outcome, ProblemError):
            raise outcome
    return gathering.outcomes


async def reverse_usage(
    services: Services, caller: Caller, *, usage_id: str, key: IdempotencyKey | None
) -> Outcome:
    """Take an event back, once.

    Raises:
        NotFoundError: no such event.
        ConflictError: see ``ReverseUsage.decide``.

    Replay: the answer of the first call.
    """
    row = await _require_event(services, caller, usage_id)
    block_ids = tuple(block_id for block_id, _ in row.event.draws)
    command = ReverseUsage(usage_id=usage_id, block_ids=block_ids)
    return await submit_command(services, caller, CustomerRef.by_id(row.customer_id), command, key=key)


async def _require_event(services: Services, caller: Caller, usage_id: str) -> UsageRow:
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        row = await select_usage_event(tx, usage_id)
    if row is None:
        raise NotFoundError("There is no such usage event.")
    return row


async def read_usage(services: Services, caller: Caller, *, usage_id: str) -> UsageView:
    """One event, whatever became of it.

    Raises:
        NotFoundError: no such event.
    """
    row = await _require_event(services, caller, usage_id)
    environment = await services.environments.get(caller.environment_id)
    return view_usage(
        row.event,
        environment.catalog,
        customer_id=row.customer_id,
        external_customer_id=row.external_id,
    )


async def list_usage(
    services: Services,
    caller: Caller,
    *,
    customer: CustomerRef | None,
    metric_key: str | None,
    status: str | None,
    from_at: datetime | None,
    to_at: datetime | None,
    dimension: tuple[str, str] | None,
    reservation_id: str | None,
    after_id: str | None,
    is_ascending: bool,
    limit: int,
) -> list[UsageView]:
    """A page of events; the filters are those of ``select_usage_events``.

    Raises:
        CustomerNotFoundError: the customer of the filter is unknown.
    """
    customer_id = None if customer is None else await settle_history(services, caller, customer)
    environment = await services.environments.get(caller.environment_id)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        rows = await select_usage_events(
            tx,
            customer_id=customer_id,
            metric_key=metric_key,
            status=status,
            from_at=from_at,
            to_at=to_at,
            dimension=dimension,
            reservation_id=reservation_id,
            after_id=after_id,
            is_ascending=is_ascending,
            limit=limit,
        )
    return [
        view_usage(
            row.event,
            environment.catalog,
            customer_id=row.customer_id,
            external_customer_id=row.external_id,
        )
        for row in rows
    ]
