"""Commands: what a caller asks of one customer, as a value that knows how to decide itself.

A command is decided on a draft that was advanced to ``context.now``. It checks everything first and
raises a ``ProblemError`` while the draft is still as it was; then it writes and returns its answer,
in the contract's wire names. It reads nothing but the draft, the context and what it carries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from quotastack.core.periods import TIME_MIN

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.context import Context
    from quotastack.core.customer_state import CustomerState
    from quotastack.core.draft import Draft
    from quotastack.core.errors import ProblemError


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of history that a command wants loaded under the lock, into ``draft.extra``.

    Keys there: ``("usage", id)``, ``("hold", id)``, ``("block", id)``, ``("subscription", id)``,
    ``("payment", external_payment_id)`` (the block id granted for it), and ``("counters", metric)``:
    the closed counters of the metric whose period contains the instant, and ``("recount", metric,
    period start)``: a ``counters.Recount`` of the metric's usage in that period. Absent keys: no such row.
    """

    usage_ids: tuple[str, ...] = ()
    hold_ids: tuple[str, ...] = ()
    block_ids: tuple[str, ...] = ()
    subscription_ids: tuple[str, ...] = ()
    payment_ids: tuple[str, ...] = ()
    counters_at: tuple[tuple[str, datetime], ...] = ()
    recounts: tuple[tuple[str, datetime, datetime], ...] = ()


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all commands. ``status`` is the HTTP status of success.

    ``is_money``: its idempotency key stays unique for ever. ``is_dry_run``: decided like the real
    one, answered, and then thrown away (no key, no write). ``may_touch_deleted``: also runs on a
    customer that was deleted; others are refused with ``customer-not-found``.
    """

    status: ClassVar[int] = 200
    is_money: ClassVar[bool] = True
    may_touch_deleted: ClassVar[bool] = False

    @property
    def needs(self) -> Needs | None:
        """The rows of history that ``decide`` looks for in ``draft.extra``; None for none."""
        return None

    def lacks(self, state: Draft | CustomerState) -> Needs | None:  # noqa: ARG002 - some know by the state
        """Those of ``needs`` that the state, not yet advanced, does not make superfluous."""
        return self.needs

    @property
    def is_dry_run(self) -> bool:
        """Whether the effect is thrown away after the answer was made."""
        return False

    def decide(self, draft: Draft, context: Context) -> msgspec.Struct | dict[str, Any]:
        """Check, write to ``draft``, answer. Subclasses list their refusals in order."""
        raise NotImplementedError


class RefusedWithChangesError(Exception):
    """A refusal that changes something all the same (an asset is suspended, a signal is sent).

    The engine writes the draft's changes, consumes no idempotency key, and answers ``error``.
    """

    def __init__(self, error: ProblemError) -> None:
        super().__init__(error.detail)
        self.error = error


class HistoryNeededError(Exception):
    """A decision found that it needs rows that nobody named beforehand; nothing was written yet.

    What a command needs may depend on the state (the period of a quota that replaced another). The
    engine loads ``needs`` into ``draft.extra`` and decides the same command again.
    """

    def __init__(self, needs: Needs) -> None:
        super().__init__("rows of history are needed")
        self.needs = needs


class Advance(Command, frozen=True, kw_only=True):
    """Let time happen, nothing else: what the sweep and the test clock submit.

    Also on a deleted customer, so that nothing stays due for ever.
    """

    is_money: ClassVar[bool] = False
    may_touch_deleted: ClassVar[bool] = True

    def decide(self, draft: Draft, context: Context) -> dict[str, Any]:
        """Nothing is left to do: the draft was advanced before.

        Only a row that calls the customer due leads here, and another process may have written it since this one
        looked: it counts as met, so that it is replaced by when the customer is due in truth.
        """
        del context
        draft.written_due_at = TIME_MIN
        return {}
