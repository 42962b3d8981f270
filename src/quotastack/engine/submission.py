"""Submission: one command on its way through the engine, and what came of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from quotastack.core.amounts import AmountOverflowError
from quotastack.core.commands import Command
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import ProblemError, UnavailableError, ValidationFailedError
from quotastack.core.idempotency import IdempotencyKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from quotastack.core.changes import Ran
    from quotastack.core.commands import Needs


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What a service hands to the engine.

    ``caller`` is a ``services.caller.Caller`` (or anything with its fields). With
    ``creates_customer`` an unknown external id becomes a new customer in the same transaction; if
    the command is refused nothing of it stays.
    """

    caller: Any
    customer: CustomerRef
    command: Command
    key: IdempotencyKey | None = None
    creates_customer: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A committed answer: HTTP status and the bytes that were stored with the key.

    ``answer`` is the decoded form where it was decided just now, None for a replay. ``ran`` is what
    time did in the same transaction.
    """

    status: int
    body: bytes
    is_replayed: bool = False
    answer: Any = None
    ran: tuple[Ran, ...] = ()


class Ticket:
    """Stands where a future would: calls ``tell`` at once, in the lane's own turn, with the outcome or the refusal.

    ``tell`` does little and raises nothing. A command of a caller who hung up is carried out all the same.
    """

    __slots__ = ("_is_told", "_tell")

    def __init__(self, tell: Callable[[Outcome | Exception], None]) -> None:
        self._tell = tell
        self._is_told = False

    def done(self) -> bool:
        """Whether it was told."""
        return self._is_told

    def cancelled(self) -> bool:
        """Never."""
        return False

    def set_result(self, outcome: Outcome) -> None:
        """Tell what was committed."""
        self._is_told = True
        self._tell(outcome)

    def set_exception(self, error: Exception) -> None:
        """Tell the refusal."""
        self._is_told = True
        self._tell(error)


class Pending:
    """A submission that waits in a lane. ``customer_id`` is filled in once it is known."""

    __slots__ = (
        "customer_id",
        "future",
        "is_final",
        "is_settling",
        "needs",
        "new_customer_id",
        "outcome",
        "queued_at_seconds",
        "ran",
        "submission",
        "tries",
    )

    def __init__(
        self,
        submission: Submission,
        customer_id: str | None,
        future: asyncio.Future[Outcome] | Ticket,
        *,
        queued_at_seconds: float,
    ) -> None:
        self.submission = submission
        self.customer_id = customer_id
        self.new_customer_id: str | None = None
        self.future = future
        self.queued_at_seconds = queued_at_seconds
        # Decided, waiting for COMMIT: an Outcome, or the exception to answer with.
        self.outcome: Outcome | Exception | None = None
        self.ran: list[Ran] = []
        # Rows of history that a decision asked for; they are loaded before it is made again.
        self.needs: list[Needs] = []
        self.tries = 0
        # A COMMIT of this command was sent and its outcome is unknown: the key tells, under the lock.
        self.is_settling = False
        # Its outcome is committed; whatever becomes of others in its batch, it is answered with that.
        self.is_final = False

    @property
    def place(self) -> tuple[str, str | None, str | None]:
        """Environment and customer: what holds commands together that must stay in their order."""
        if self.customer_id is not None:
            return self.submission.caller.environment_id, self.customer_id, None
        return self.submission.caller.environment_id, None, self.submission.customer.external_id

    def answer(self) -> None:
        """Tell the caller the decided outcome."""
        if self.future.done():
            return
        if isinstance(self.outcome, Exception):
            self.future.set_exception(self.outcome)
        elif self.outcome is not None:
            self.future.set_result(self.outcome)

    def fail(self, error: Exception) -> None:
        """Tell the caller that it was not carried out."""
        if not self.future.done():
            self.future.set_exception(error)


def as_problem(error: Exception) -> ProblemError:
    """How a failed command is answered: refusals as they are, an overflow as bad input, else 503."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, AmountOverflowError):
        return ValidationFailedError(f"The result is out of range: {error}.")
    return UnavailableError(
        "The request could not be carried out; nothing was changed.", retry_after_seconds=1
    )
