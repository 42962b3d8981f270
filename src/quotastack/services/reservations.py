"""Reservations: reserve, commit, release, extend; and the reservations as they stand."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import NotFoundError
from quotastack.core.reservation_views import ReservationView, view_hold
from quotastack.core.reservations import OneReservation, Reserve
from quotastack.engine.submission import Submission
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.commands import settle_history
from quotastack.store.reservations import ReservationRow, select_reservation, select_reservations

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from quotastack.core.customer_state import Hold
    from quotastack.core.idempotency import IdempotencyKey
    from quotastack.engine.submission import Outcome
    from quotastack.services.caller import Caller
    from quotastack.services.container import Services

OWNERS_MAX: Final = 50_000

# Whose reservation an id is never changes, so a commit that follows its reserve asks no database for it.
_owners: OrderedDict[tuple[str, str], str] = OrderedDict()


def _remember_owner(environment_id: str, reservation_id: str, customer_id: str) -> None:
    _owners[environment_id, reservation_id] = customer_id
    if len(_owners) > OWNERS_MAX:
        _owners.popitem(last=False)


def reserve(
    caller: Caller, customer: CustomerRef, *, command: Reserve, key: IdempotencyKey | None
) -> Submission:
    """Hold credits, and units in the quota, by the engine; give what came of it to ``note_reserved``.

    Raises (the submission):
        CustomerNotFoundError: unknown or deleted.
        ProblemError: see ``Reserve.decide``.

    Replay: the reservation as it was made.
    """
    return Submission(caller=caller, customer=customer, command=command, key=key)


def note_reserved(caller: Caller, outcome: Outcome) -> None:
    """Remember whose the reservation is, for its commit."""
    if isinstance(outcome.answer, ReservationView):
        _remember_owner(caller.environment_id, outcome.answer.id, outcome.answer.customer_id)


def change_reservation(
    services: Services, caller: Caller, *, command: OneReservation, key: IdempotencyKey | None
) -> Submission | Coroutine[Any, Any, Submission]:
    """Commit, release or extend, by the engine; a coroutine where the database must tell first whose it is.

    Raises (the submission):
        NotFoundError, ReservationNotActiveError: no such reservation, or it has ended.
        ProblemError: see ``CommitReservation.decide``, ``ExtendReservation.decide``.

    Replay: the answer of the first call.
    """
    customer_id = _owners.get((caller.environment_id, command.reservation_id))
    if customer_id is None:
        return _find_owner(services, caller, command, key)
    return Submission(caller=caller, customer=CustomerRef.by_id(customer_id), command=command, key=key)


async def _find_owner(
    services: Services, caller: Caller, command: OneReservation, key: IdempotencyKey | None
) -> Submission:
    row = await _select(services, caller, command.reservation_id)
    _remember_owner(caller.environment_id, command.reservation_id, row.customer_id)
    return Submission(caller=caller, customer=CustomerRef.by_id(row.customer_id), command=command, key=key)


async def _select(services: Services, caller: Caller, reservation_id: str) -> ReservationRow:
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        row = await select_reservation(tx, reservation_id)
    if row is None:
        raise NotFoundError("There is no such reservation.")
    return row


async def read_reservation(services: Services, caller: Caller, *, reservation_id: str) -> ReservationView:
    """The reservation at this instant: one whose time has come is expired, swept or not.

    Raises:
        NotFoundError: no such reservation.
    """
    row = await _select(services, caller, reservation_id)
    hold: Hold = row.hold
    if hold.status == "active":
        draft, _ = await services.engine.peek(caller, CustomerRef.by_id(row.customer_id), strong=True)
        hold = draft.holds.get(hold.id) or draft.changes.holds.get(hold.id) or hold
    environment = await services.environments.get(caller.environment_id)
    return view_hold(
        hold,
        environment.catalog,
        customer_id=row.customer_id,
        external_customer_id=row.external_id,
    )


async def list_reservations(
    services: Services,
    caller: Caller,
    *,
    customer: CustomerRef | None,
    metric_key: str | None,
    status: str | None,
    after_id: str | None,
    is_ascending: bool,
    limit: int,
) -> list[ReservationView]:
    """A page of reservations; over many customers those that end by time may show a little late.

    Raises:
        CustomerNotFoundError: the customer of the filter is unknown.
    """
    customer_id = None if customer is None else await settle_history(services, caller, customer)
    environment = await services.environments.get(caller.environment_id)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        rows = await select_reservations(
            tx,
            customer_id=customer_id,
            metric_key=metric_key,
            status=status,
            after_id=after_id,
            is_ascending=is_ascending,
            limit=limit,
        )
    return [
        view_hold(
            row.hold,
            environment.catalog,
            customer_id=row.customer_id,
            external_customer_id=row.external_id,
        )
        for row in rows
    ]
