"""advance: the one function of time.

It brings a draft up to ``now``: everything that is due happens in time order, each thing at its own
instant and with ids derived from it. Every command and every check starts with it, so nothing
depends on a sweep having run; a sweep only makes sure that what happened is written and told.

At one instant: holds end, blocks expire, pending blocks start, subscriptions turn (by id), interval
grants tick, counters close, overrides end. A capability takes part by one entry in ``SOURCES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from quotastack.core.asset_time import (
    close_period,
    due_grace_ends,
    due_overrides,
    due_period_ends,
    end_grace,
    expire_override,
)
from quotastack.core.balance_events import tell_balance
from quotastack.core.blocks import expire_block, settle_overdraft, start_block
from quotastack.core.catalog import Catalog
from quotastack.core.customer_state import NEVER
from quotastack.core.draft import Draft, replace
from quotastack.core.holds import give_back_hold
from quotastack.core.subscription_steps import STEPS, next_step, next_ticks, run_tick

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.context import Context
    from quotastack.core.customer_state import Block

SLICE_MAX: Final = 100
EXPIRING_SOON: Final = timedelta(hours=72)


class Due(NamedTuple):
    """Something that time will do: sorts by instant, then by the order of kinds, then by id.

    ``run`` is given the id, or for a ``block`` what became of it meanwhile.
    """

    at: datetime
    rank: int
    id: str
    kind: str
    run: Callable[[Draft, Context, Any], None]
    block: Block | None = None


def _end_hold(draft: Draft, context: Context, hold_id: str) -> None:
    give_back_hold(draft, context, draft.holds[hold_id], status="expired")


def _due_holds(draft: Draft, _catalog: Catalog) -> Iterator[Due]:
    for hold in draft.holds.values():
        yield Due(hold.expires_at, 0, hold.id, "reservation_expired", _end_hold)


def expiring_soon_at(block: Block) -> datetime | None:
    """When to tell that ``block`` expires soon: 72 hours before, once.

    None for a block that lives for less than that: its grant said it already.
    """
    if block.expires_at is None or block.is_expiring_told:
        return None
    at = block.expires_at - EXPIRING_SOON
    return at if at > max(block.effective_at, block.created_at) else None


def _tell_expiring(draft: Draft, context: Context, block: Block) -> None:
    draft.change_block(block, replace(block, is_expiring_told=True))
    data = {
        "block_id": block.id,
        "unit": block.unit,
        "remaining_amount": block.remaining_mc,
        "expires_at": block.expires_at,
    }
    draft.add_event(context, "credit.expiring_soon", data)


def _expire(draft: Draft, context: Context, block: Block) -> None:
    expire_block(draft, context, block)
    settle_overdraft(draft, context, block.unit)


def _due_blocks(draft: Draft, _catalog: Catalog) -> Iterator[Due]:
    for blocks in draft.blocks.values():
        for block in blocks:
            if block.expires_at is None or block.is_frozen or block.is_kept:
                continue
            # A cycle block ends in the turn of its subscription: what rolls over leaves it first.
            if not (block.is_cycle and block.subscription_id in draft.subscriptions):
                yield Due(block.expires_at, 1, block.id, "block_expired", _expire, block)
            if (tell_at := expiring_soon_at(block)) is not None:
                yield Due(tell_at, 1, block.id, "block_expiring_soon", _tell_expiring, block)


def _due_pending_blocks(draft: Draft, _catalog: Catalog) -> Iterator[Due]:
    for block in draft.pending_blocks:
        if not block.is_frozen:
            yield Due(block.effective_at, 2, block.id, "block_started", start_block, block)


def _due_subscriptions(draft: Draft, catalog: Catalog) -> Iterator[Due]:
    for subscription in draft.subscriptions.values():
        step = next_step(catalog, subscription)
        if step is not None:
            yield Due(step.at, 3, subscription.id, f"subscription_{step.kind}", STEPS[step.kind])
        for tick in next_ticks(catalog, subscription):
            yield Due(tick.at, 4, tick.id, "interval_grant", run_tick)


def _due_assets(draft: Draft, _catalog: Catalog) -> Iterator[Due]:
    for at, name in due_grace_ends(draft):
        yield Due(at, 5, name, "asset_grace_ended", end_grace)
    for at, name in due_period_ends(draft):
        yield Due(at, 5, name, "asset_period_closed", close_period)
    for at, metric_key in due_overrides(draft):
        yield Due(at, 6, metric_key, "override_expired", expire_override)


Source = Callable[[Draft, Catalog], Iterable[Due]]

# A customer may have thousands of the first kind: what they do is planned ahead, see _Plan.
MANY_SOURCES: Final[tuple[Source, ...]] = (_due_holds, _due_blocks, _due_pending_blocks)
FEW_SOURCES: Final[tuple[Source, ...]] = (_due_subscriptions, _due_assets)


def _order(due: Due) -> tuple[datetime, int, str, str]:
    return (due.at, due.rank, due.id, due.kind)


def _first(draft: Draft, catalog: Catalog, sources: tuple[Source, ...]) -> Due | None:
    return min((due for source in sources for due in source(draft, catalog)), key=_order, default=None)


def find_next_due(draft: Draft, catalog: Catalog) -> Due | None:
    """What time does next to this customer, or None when nothing is ahead: time passes deleted ones by."""
    if draft.customer.deleted_at is not None:
        return None
    return _first(draft, catalog, MANY_SOURCES + FEW_SOURCES)


class _Plan:
    """What time will do to holds and blocks up to ``until``, so that they are not all looked at for each step.

    Time ends holds and blocks and makes none of them due again; only what makes, starts or moves a block
    (a grant, a pause) or ends a subscription adds to it, and then the plan is made anew.
    """

    __slots__ = ("_left", "_moves", "_until")

    def __init__(self, draft: Draft, catalog: Catalog, until: datetime) -> None:
        self._until = until
        self._make(draft, catalog)

    def _make(self, draft: Draft, catalog: Catalog) -> None:
        found = (due for source in MANY_SOURCES for due in source(draft, catalog) if due.at <= self._until)
        self._left = sorted(found, key=_order, reverse=True)
        self._moves = draft.block_moves
        draft.is_due_stale = False

    def find_next(self, draft: Draft, catalog: Catalog) -> Due | None:
        """The next thing of all that is due by ``until``, taken off the plan; None when that was all."""
        if draft.is_due_stale or draft.block_moves != self._moves:
            self._make(draft, catalog)
        left = self._left
        while left and not _is_there(draft, left[-1]):
            left.pop()
        due = _first(draft, catalog, FEW_SOURCES)
        if left and (due is None or _order(left[-1]) < _order(due)):
            return left.pop()
        return due if due is not None and due.at <= self._until else None


def _is_there(draft: Draft, due: Due) -> bool:
    return due.id in draft.holds if due.block is None else draft.current_block(due.block) is not None


def refresh_due_at(draft: Draft, catalog: Catalog) -> None:
    """Make ``due_at`` exact: the instant of the next due thing, NEVER without one."""
    due = find_next_due(draft, catalog)
    draft.due_at = NEVER if due is None else due.at
    draft.is_due_stale = False


def advance(draft: Draft, context: Context, *, steps_max: int = SLICE_MAX) -> bool:
    """Let everything happen that is due at or before ``context.now``.

    The balance events of an instant are told when all of it has happened: a block that expires while
    its successor starts is no low balance. Returns false when at least ``steps_max`` things happened
    and more is due: the caller writes what there is and calls again; an instant is never cut in two.
    Cheap when nothing is due: one comparison.
    """
    if draft.is_due_stale:
        refresh_due_at(draft, context.catalog)
    if draft.due_at > context.now:
        return True
    if draft.customer.deleted_at is None:
        _run_due(draft, context, steps_max)
    refresh_due_at(draft, context.catalog)
    return draft.due_at > context.now


def _run_due(draft: Draft, context: Context, steps_max: int) -> None:
    plan = _Plan(draft, context.catalog, context.now)
    steps = 0
    instant: datetime | None = None
    while True:
        due = plan.find_next(draft, context.catalog)
        if instant is not None and (due is None or due.at != instant):
            tell_balance(draft, context.at_instant(instant))
            if steps >= steps_max:
                return
        if due is None:
            return
        draft.add_ran(due.kind, due.at)
        what = due.id if due.block is None else draft.current_block(due.block)
        due.run(draft, context.at_instant(due.at), what)
        steps, instant = steps + 1, due.at
