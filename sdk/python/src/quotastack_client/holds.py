"""Reserve, work, commit: a reservation that cannot be forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypedDict

from quotastack_client.errors import QuotaStackError
from quotastack_client.models import Reservation, Units
from quotastack_client.resources.reservations import AsyncReservations, Reservations


class HoldTerms(TypedDict, total=False):
    """What is held, for whom, and for how long at most."""

    customer_id: str
    external_customer_id: str
    billable_metric_key: str
    estimated_units: Units
    dimensions: Mapping[str, str]
    credits: int
    unit: str
    ttl_seconds: int
    metadata: Mapping[str, Any]
    idempotency_key: str


class HeldWork:
    """What the block of a hold sees. Set ``actual_units`` (or ``actual_credits``); unset, the estimate is charged."""

    def __init__(self) -> None:
        self.actual_units: Units | None = None
        self.actual_credits: int | None = None
        self._reservation: Reservation | None = None
        self.is_settled = False

    @property
    def reservation(self) -> Reservation:
        """The newest state of the reservation.

        Raises:
            RuntimeError: the hold has not been entered.
        """
        if self._reservation is None:
            raise RuntimeError("a hold is used in a with")
        return self._reservation

    @property
    def id(self) -> str:
        """The reservation's id."""
        return self.reservation.id

    def _take(self, actual_units: Units | None, actual_credits: int | None) -> dict[str, Any]:
        units = self.actual_units if actual_units is None else actual_units
        credit = self.actual_credits if actual_credits is None else actual_credits
        # The key is the reservation's: a commit that is sent again is the same commit.
        return {"actual_units": units, "actual_credits": credit, "idempotency_key": f"commit:{self.id}"}


class Hold(HeldWork):
    """A reservation as a ``with``.

    At its end what was used is committed; when the block raises, everything is released and the exception goes on.
    A commit above the hold that the balance does not cover raises ``InsufficientCreditsError`` and leaves the hold
    as it is: commit less or release. A hold that a crash left behind ends by its ``ttl_seconds``.
    """

    def __init__(self, reservations: Reservations, terms: HoldTerms) -> None:
        super().__init__()
        self._reservations = reservations
        self._terms = terms

    def __enter__(self) -> Self:
        self._reservation = self._reservations.create(**self._terms)
        return self

    def commit(self, *, actual_units: Units | None = None, actual_credits: int | None = None) -> Reservation:
        """Charge now instead of at the end of the block."""
        self._reservation = self._reservations.commit(self.id, **self._take(actual_units, actual_credits))
        self.is_settled = True
        return self._reservation

    def release(self) -> Reservation:
        """Give everything back now; nothing is charged."""
        self._reservation = self._reservations.release(self.id, idempotency_key=f"release:{self.id}")
        self.is_settled = True
        return self._reservation

    def extend(self, *, ttl_seconds: int) -> Reservation:
        """Hold on for so many seconds from now: for work that takes longer than thought."""
        self._reservation = self._reservations.extend(self.id, ttl_seconds=ttl_seconds)
        return self._reservation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_settled:
            return
        if error is None:
            self.commit()
            return
        try:
            self.release()
        except QuotaStackError as fault:
            # The work's own exception is the one to tell; the credits come back by the time limit.
            error.add_note(f"reservation {self.id} was not released ({fault}); it ends by its time limit")


class AsyncHold(HeldWork):
    """A reservation as an ``async with``; see ``Hold``. A cancelled block releases too."""

    def __init__(self, reservations: AsyncReservations, terms: HoldTerms) -> None:
        super().__init__()
        self._reservations = reservations
        self._terms = terms

    async def __aenter__(self) -> Self:
        self._reservation = await self._reservations.create(**self._terms)
        return self

    async def commit(
        self, *, actual_units: Units | None = None, actual_credits: int | None = None
    ) -> Reservation:
        """Charge now instead of at the end of the block."""
        self._reservation = await self._reservations.commit(
            self.id, **self._take(actual_units, actual_credits)
        )
        self.is_settled = True
        return self._reservation

    async def release(self) -> Reservation:
        """Give everything back now; nothing is charged."""
        self._reservation = await self._reservations.release(self.id, idempotency_key=f"release:{self.id}")
        self.is_settled = True
        return self._reservation

    async def extend(self, *, ttl_seconds: int) -> Reservation:
        """Hold on for so many seconds from now: for work that takes longer than thought."""
        self._reservation = await self._reservations.extend(self.id, ttl_seconds=ttl_seconds)
        return self._reservation

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_settled:
            return
        if error is None:
            await self.commit()
            return
        try:
            await asyncio.shield(self.release())
        except QuotaStackError as fault:
            error.add_note(f"reservation {self.id} was not released ({fault}); it ends by its time limit")
