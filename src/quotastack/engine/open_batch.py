"""Open batch: commands of the next transaction, each decided on what is remembered as soon as it comes.

While one batch is written, the next is decided on top of it: on the states that the one before it is about to
write. Nobody is answered by that: if the batch before was not written, everything decided here is thrown away and
decided again under the locks. See docs/adr/0009.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from quotastack.core.draft import Draft
from quotastack.engine.environment_batch import BatchParts, EnvironmentBatch

if TYPE_CHECKING:
    from quotastack.core.customer_state import CustomerState
    from quotastack.engine.batch import Guessing
    from quotastack.engine.submission import Pending


class OpenBatch:
    """What one transaction will carry out: ``known`` is decided, ``rest`` is to be read under the locks.

    All commands of one customer stay in their order: once one of them is set aside, those after it are too.
    ``before`` is the batch that this one's lane writes meanwhile.
    """

    def __init__(self, parts: BatchParts, guessing: Guessing, before: OpenBatch | None = None) -> None:
        self._parts = parts
        self._guessing = guessing
        self._before = before
        self._may_guess: bool | None = None
        self._strangers: set[tuple[str, str | None, str | None]] = set()
        self._by_environment: dict[str, EnvironmentBatch] = {}
        self.pendings: list[Pending] = []
        self.known: list[Pending] = []
        self.rest: list[Pending] = []
        # What is known: whether it was committed, None as long as nothing is known of that.
        self.was_written: bool | None = None
        self.has_begun = False
        self.is_ended = False

    @property
    def batches(self) -> list[EnvironmentBatch]:
        """What is decided, ascending by environment, the order of the locks."""
        return [batch for _, batch in sorted(self._by_environment.items())]

    def add(self, pending: Pending) -> None:
        """Take a command in and decide it, or set it aside where memory is not enough. Raises nothing."""
        if pending.future.done():
            return
        self.pendings.append(pending)
        self._take(pending)

    def _take(self, pending: Pending) -> bool:
        """Decide one or set it aside; False: something is wrong, and all are set aside."""
        try:
            batch = self._find_batch(pending)
            if batch is None:
                self._strangers.add(pending.place)
                self.rest.append(pending)
            else:
                self.known.append(pending)
                batch.decide_remembered(pending)
        except Exception:  # noqa: BLE001 - whatever is wrong with it, it meets it again under the locks, alone
            self._guessing.note(was_right=False)
            self.forget()
            return False
        return True

    def begin(self) -> None:
        """No more is added, and the rows are collected: what was decided on a batch that was not written is
        worth nothing, and who was set aside because of it is looked at again.
        """
        before, self._before = self._before, None
        if any(pending.future.done() for pending in self.pendings):
            self._drop_answered()
        if before is not None and not before.was_written:
            self.forget()
        elif before is not None and self.rest:
            self._look_again()
        self.has_begun = True
        if not self.known:
            # Nothing was decided here, so nothing that was decided on it can be wrong.
            self.was_written = True

    def forget(self) -> None:
        """Throw away what was decided: all of it is to be read under the locks."""
        for pending in self.known:
            pending.outcome = None
            pending.needs.clear()
            pending.ran.clear()
            self._strangers.add(pending.place)
        self.known.clear()
        self._by_environment.clear()
        self.rest = list(self.pendings)
        self._may_guess = False

    def _drop_answered(self) -> None:
        """Who was told that it takes too long, or has gone, is not carried out any more."""
        if any(pending.future.done() for pending in self.known):
            self.forget()
        self.pendings = [pending for pending in self.pendings if not pending.future.done()]
        self.rest = [pending for pending in self.rest if not pending.future.done()]

    def _look_again(self) -> None:
        """Decide those who are remembered by now: else whoever waits behind a stranger of before is one for ever."""
        if self._may_guess is False:
            return
        aside, self.rest = self.rest, []
        self._strangers.clear()
        for pending in aside:
            if not self._take(pending):
                return

    def give_up(self) -> None:
        """Know that what was decided, unless it was written before, was not: nothing is to be built on it."""
        if self.was_written is None:
            self.was_written = False

    def end(self) -> None:
        """Everybody here was answered or put off."""
        self.give_up()
        self.is_ended = True
        # It may have ended without having begun: the batches before would be kept as long as the database is away.
        self._before = None

    def _find_batch(self, pending: Pending) -> EnvironmentBatch | None:
        """The batch that knows the customer, and all that the command needs of them; None: to be set aside."""
        customer_id = pending.customer_id
        if customer_id is None or pending.is_settling or pending.needs:
            return None
        if self._may_guess is None:
            self._may_guess = self._parts.clock.is_exact and self._guessing.is_due()
        if not self._may_guess or pending.place in self._strangers:
            return None
        before = self._before
        if before is not None and before.is_ended:
            before = None
        if before is not None and not before.is_open_to(pending):
            return None
        environment_id = pending.submission.caller.environment_id
        batch = self._by_environment.get(environment_id)
        known = None if batch is None else batch.drafts.get(customer_id)
        if known is None:
            known = self._parts.recall(environment_id, customer_id)
            if before is not None:
                known = before.state_after(environment_id, customer_id, known)
        command = pending.submission.command
        if known is None or (command.needs is not None and command.lacks(known) is not None):
            return None
        if batch is None:
            environment = self._parts.environments.peek(environment_id)
            if environment is None:
                return None
            batch = EnvironmentBatch(environment_id, [], self._parts)
            batch.environment = environment
            self._by_environment[environment_id] = batch
        if not isinstance(known, Draft):
            batch.remember(known)
        return batch

    def is_open_to(self, pending: Pending) -> bool:
        """Whether a command of the next batch may be decided on this one: its rows are collected, it is not known to
        have failed, nothing of the command's customer was set aside or put off here, and its key is not one of these.
        """
        if not self.has_begun or self.was_written is False or pending.place in self._strangers:
            return False
        batch = self._by_environment.get(pending.submission.caller.environment_id)
        if batch is None:
            return True
        key = pending.submission.key
        if key is not None and key.digest in batch.keys:
            return False
        return pending.place not in batch.put_off

    def state_after(
        self, environment_id: str, customer_id: str, remembered: CustomerState | None
    ) -> CustomerState | None:
        """The customer as this batch leaves them, or as ``remembered`` where that is as new."""
        batch = self._by_environment.get(environment_id)
        draft = None if batch is None else batch.drafts.get(customer_id)
        if draft is None or (remembered is not None and remembered.version >= draft.version):
            return remembered
        return draft.freeze()
