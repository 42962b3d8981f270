"""Blocks: how credits enter an account, leave it by debit or expiry, and settle an overdraft.

The moves that every capability shares. Each changes blocks, account and ledger together; none
checks what a caller may do (suspension, policies): that is decided before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quotastack.core.burn_down import Draw, is_spendable, pays_for_hold, plan_burn_down
from quotastack.core.customer_state import Block
from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError
from quotastack.core.ledger import append_entry

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.context import Context
    from quotastack.core.customer_state import Hold
    from quotastack.core.draft import Draft

LIVE_BLOCKS_MAX: Final = 10_000


def require_room_for_block(draft: Draft, unit: str, *, count: int = 1) -> None:
    """Refuse a grant that would pass the limit of live blocks.

    Raises:
        ConflictError: the account would have more than 10,000 live blocks.
    """
    pending = sum(1 for block in draft.pending_blocks if block.unit == unit)
    if len(draft.live_blocks(unit)) + pending + count > LIVE_BLOCKS_MAX:
        raise ConflictError(
            f"The account has {LIVE_BLOCKS_MAX} live blocks already; spend or void some first."
        )


def block_terms(block: Block) -> dict[str, Any]:
    """What a ledger entry must keep of a new block so that a replay can rebuild it."""
    return {
        "block_id": block.id,
        "original_amount": block.original_mc,
        "priority": block.priority,
        "effective_at": block.effective_at,
        "expires_at": block.expires_at,
        "source": block.source,
        "price_paid": block.price_paid,
    }


def grant_block(
    draft: Draft,
    context: Context,
    block: Block,
    *,
    entry_type: str = "grant",
    reference: tuple[str, str] | None = None,
    is_earned: bool = True,
) -> Block:
    """Add ``block`` (``remaining_mc == original_mc`` > 0) with its line; settle what is overdrawn.

    A block whose ``effective_at`` lies ahead becomes pending (``grant_scheduled``) and is not part
    of the balance yet. ``is_earned`` is false for what only moves (rollover): lifetime sums stay.
    Returns the block as it stands after the settlement.
    """
    account = draft.account(block.unit)
    where = reference or ("block", block.id)
    if block.effective_at > context.now:
        block = replace(block, status="pending")
        draft.add_block(block)
        append_entry(
            draft,
            context,
            account,
            entry_type="grant_scheduled",
            reference=where,
            reason=block.reason,
            metadata=block.metadata or None,
            details=block_terms(block),
        )
        return block
    draft.add_block(block)
    append_entry(
        draft,
        context,
        replace(
            account,
            blocks_mc=account.blocks_mc + block.original_mc,
            lifetime_earned_mc=account.lifetime_earned_mc + (block.original_mc if is_earned else 0),
        ),
        entry_type=entry_type,
        delta_mc=block.original_mc,
        blocks=((block.id, block.original_mc),),
        reference=where,
        reason=block.reason,
        metadata=block.metadata or None,
        details=block_terms(block),
    )
    settle_overdraft(draft, context, block.unit)
    return draft.find_block(block.id) or draft.changes.new_blocks[block.id]


def start_block(draft: Draft, context: Context, block: Block) -> None:
    """Turn a pending block active at its ``effective_at``; settle what is overdrawn."""
    account = draft.account(block.unit)
    draft.change_block(block, replace(block, status="active"))
    append_entry(
        draft,
        context,
        replace(
            account,
            blocks_mc=account.blocks_mc + block.remaining_mc,
            lifetime_earned_mc=account.lifetime_earned_mc + block.remaining_mc,
        ),
        entry_type="grant",
        delta_mc=block.remaining_mc,
        blocks=((block.id, block.remaining_mc),),
        reference=("block", block.id),
        details=block_terms(block),
    )
    settle_overdraft(draft, context, block.unit)


def take_from_block(draft: Draft, block: Block, amount_mc: int, *, ends_as: str) -> None:
    """Lower ``block``; when nothing is left its status becomes ``ends_as``. No line is written."""
    remaining_mc = block.remaining_mc - amount_mc
    assert 0 <= remaining_mc < block.remaining_mc
    status = "active" if remaining_mc else ends_as
    draft.change_block(block, replace(block, remaining_mc=remaining_mc, status=status))


def apply_draws(draft: Draft, draws: tuple[Draw, ...], context: Context) -> tuple[tuple[str, int], ...]:
    """Take what ``draws`` say from their blocks; returns the (block id, negative delta) pairs.

    A kept rest that is used up ends as ``expired``, any other block as ``depleted``.
    """
    for draw in draws:
        is_live = is_spendable(draw.block, context.now)
        take_from_block(draft, draw.block, draw.amount_mc, ends_as="depleted" if is_live else "expired")
    return tuple((draw.block.id, -draw.amount_mc) for draw in draws)


def plan_spend(draft: Draft, context: Context, unit: str, amount_mc: int) -> tuple[tuple[Draw, ...], int]:
    """Draws for a new charge of ``amount_mc``, leaving held credits in their blocks.

    Returns the draws and what they leave uncovered: 0 when the charge is covered.
    """
    takeable_mc = min(amount_mc, draft.account(unit).free_mc)
    spendable = (b for b in draft.live_blocks(unit) if is_spendable(b, context.now))
    draws, missing_mc = plan_burn_down(spendable, takeable_mc)
    return draws, missing_mc + amount_mc - takeable_mc


def plan_commit(draft: Draft, context: Context, hold: Hold, amount_mc: int) -> tuple[tuple[Draw, ...], int]:
    """Draws for a commit of ``hold``: its own credits first, then what no other hold needs.

    Kept rests pay when the hold was made before they expired.
    """
    account = draft.account(hold.unit)
    others_mc = account.reserved_mc - hold.reserved_mc
    takeable_mc = min(amount_mc, max(0, account.blocks_mc - others_mc))
    paying = (
        block for block in draft.live_blocks(hold.unit) if pays_for_hold(block, hold.created_at, context.now)
    )
    draws, missing_mc = plan_burn_down(paying, takeable_mc)
    return draws, missing_mc + amount_mc - takeable_mc


def settle_overdraft(draft: Draft, context: Context, unit: str) -> None:
    """Let free credits pay the overdraft at once (``overage_settlement``, balance unchanged)."""
    account = draft.account(unit)
    amount_mc = min(account.overdraft_mc, account.free_mc)
    if amount_mc == 0:
        return
    spendable = (b for b in draft.live_blocks(unit) if is_spendable(b, context.now))
    draws, missing_mc = plan_burn_down(spendable, amount_mc)
    settled_mc = amount_mc - missing_mc
    if settled_mc == 0:
        return
    deltas = apply_draws(draft, draws, context)
    append_entry(
        draft,
        context,
        replace(
            account,
            blocks_mc=account.blocks_mc - settled_mc,
            overdraft_mc=account.overdraft_mc - settled_mc,
        ),
        entry_type="overage_settlement",
        blocks=deltas,
    )


def expire_block(draft: Draft, context: Context, block: Block) -> int:
    """Expire what no hold needs of an active block that is past its ``expires_at``.

    ``min(remaining, max(0, sum(live blocks) - reserved))`` goes; the kept rest stays in the block.
    Returns the expired amount. Called at the expiry and whenever a hold that kept a rest ends.
    """
    account = draft.account(block.unit)
    amount_mc = min(block.remaining_mc, account.free_mc)
    if amount_mc < block.remaining_mc and not block.is_kept:
        kept = replace(block, is_kept=True)
        draft.change_block(block, kept)
        block = kept
    if amount_mc == 0:
        return 0
    take_from_block(draft, block, amount_mc, ends_as="expired")
    append_entry(
        draft,
        context,
        replace(
            account,
            blocks_mc=account.blocks_mc - amount_mc,
            lifetime_expired_mc=account.lifetime_expired_mc + amount_mc,
        ),
        entry_type="expire",
        delta_mc=-amount_mc,
        blocks=((block.id, -amount_mc),),
        reference=("block", block.id),
    )
    draft.add_event(
        context,
        "credit.expired",
        {
            "block_id": block.id,
            "unit": block.unit,
            "amount": amount_mc,
            "balance": draft.account(block.unit).balance_mc,
        },
    )
    return amount_mc


def free_after_hold(draft: Draft, context: Context, unit: str, held_since: datetime) -> None:
    """What follows the end of a hold: kept rests that it needed expire, then overdraft settles."""
    for block in draft.live_blocks(unit):
        if block.is_kept and block.expires_at is not None and held_since < block.expires_at:
            expire_block(draft, context, block)
    settle_overdraft(draft, context, unit)
