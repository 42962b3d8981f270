"""Reservations: reserve, commit, release, extend; and the reservations as they stand."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from quotastack.core.commits import CommitReservation
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import NotFoundError
from quotastack.core.reservation_views import ReservationView, view_hold
from quotastack.core.reservations import ExtendReservation, OneReservation, ReleaseReservation, Reserve
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.commands import settle_history, submit_command
from quotastack.store.reservations import ReservationRow, select_reservation, select_reservations

if TYPE_CHECKING:
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


async def reserve(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    *,
    command: Reserve,
    key: IdempotencyKey | None,
) -> Outcome:
    """Hold credits, and units in the quota.

    Raises:
        CustomerNotFoundError: unknown or deleted.
        ProblemError: see ``Reserve.decide``.

    Replay: the reservation as it was made.
    """
    outcome = await submit_command(services, caller, customer, command, key=key)
    if isinstance(outcome.answer, ReservationView):
        _remember_owner(caller.environment_id, outcome.answer.id, outcome.answer.customer_id)
    return outcome


async def commit_reservation(
    services: Services, caller: Caller, *, command: CommitReservation, key: IdempotencyKey | None
) -> Outcome:
    """Pay for what was used and free the rest.

    Raises:
        NotFoundError, ReservationNotActiveError, ValidationFailedError, AssetSuspendedError,
        InsufficientCreditsError: see ``CommitReservation.decide``.

    Replay: the answer of the first call.
    """
    return await _change(services, caller, command, key)


async def release_reservation(
    services: Services, caller: Caller, *, reservation_id: str, key: IdempotencyKey | None
) -> Outcome:
    """Give all of a hold back.

    Raises:
        NotFoundError, ReservationNotActiveError.

    Replay: the answer of the first call.
    """
    return await _change(services, caller, ReleaseReservation(reservation_id=reservation_id), key)


async def extend_reservation(
    services: Services, caller: Caller, *, command: ExtendReservation, key: IdempotencyKey | None
) -> Outcome:
    """Let a hold live longer.

    Raises:
        NotFoundError, ReservationNotActiveError, ConflictError: see ``ExtendReservation.decide``.

    Replay: the answer of the first call.
    """
    return await _change(services, caller, command, key)


async def _change(
    services: Services, caller: Caller, command: OneReservation, key: IdempotencyKey | None
) -> Outcome:
    owner = (caller.environment_id, command.reservation_id)
    customer_id = _owners.get(owner)
    if customer_id is None:
        row = await _select(services, caller, command.reservation_id)
        customer_id = row.customer_id
        _remember_owner(*owner, customer_id)
    return await submit_command(services, caller, CustomerRef.by_id(customer_id), command, key=key)


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
