"""Blocks: how credits enter an account, leave it by debit or expiry, and settle an overdraft.

The moves that every capability shares. Each changes blocks, account and ledger together; none
checks what a caller may do (suspension, policies): that is decided before.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from quotastack.core.amounts import AMOUNT_MAX
from quotastack.core.burn_down import Draw, is_spendable, pays_for_hold, plan_burn_down
from quotastack.core.customer_state import Block
from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError, ValidationFailedError
from quotastack.core.ledger import append_entry

if TYPE_CHECKING:
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Hold
    from quotastack.core.draft import Draft

LIVE_BLOCKS_MAX: Final = 10_000
EVER: Final = datetime(2000, 1, 1, tzinfo=UTC)
OPTIONAL_TERMS: Final = (
    "price_paid",
    "currency",
    "package_id",
    "external_payment_id",
    "subscription_id",
    "grant_template_id",
    "rolled_from_block_id",
)


def require_room_for_block(draft: Draft, unit: str, *, amount_mc: int, count: int = 1) -> None:
    """Refuse a grant of ``amount_mc`` in ``count`` blocks that the account cannot take.

    Raises:
        ConflictError: the account would have more than 10,000 live blocks.
        ValidationFailedError: a sum of the account would pass the bound of all amounts.
    """
    pending = [block for block in draft.pending_blocks if block.unit == unit]
    if len(draft.live_blocks(unit)) + len(pending) + count > LIVE_BLOCKS_MAX:
        raise ConflictError(
            f"The account has {LIVE_BLOCKS_MAX} live blocks already; spend or void some first."
        )
    account = draft.account(unit)
    coming_mc = amount_mc + sum(block.remaining_mc for block in pending)
    if max(account.blocks_mc, account.lifetime_earned_mc) + coming_mc > AMOUNT_MAX:
        raise ValidationFailedError.at("/credits", f"The account's sums would pass {AMOUNT_MAX}.")


def block_terms(block: Block) -> dict[str, Any]:
    """What a ledger entry must keep of a new block so that a replay can rebuild it.

    Its texts (``reason``, ``metadata``) stand beside the entry, where they can be erased.
    """
    terms = {
        "block_id": block.id,
        "original_amount": block.original_mc,
        "priority": block.priority,
        "effective_at": block.effective_at,
        "expires_at": block.expires_at,
        "source": block.source,
    }
    for name in OPTIONAL_TERMS:
        value = getattr(block, name)
        if value is not None:
            terms[name] = value
    return terms


def grant_block(
    draft: Draft,
    context: Context,
    block: Block,
    *,
    entry_type: str = "grant",
    reference: tuple[str, str] | None = None,
) -> Block:
    """Add ``block`` (``remaining_mc == original_mc`` > 0) with its line; settle what is overdrawn.

    A block whose ``effective_at`` lies ahead becomes pending (``grant_scheduled``) and is not part
    of the balance yet. A ``grant`` is told (``credit.granted``); what moves or comes back under
    another type is told by who moves it. Returns the block as it stands after the settlement.
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
        replace(account, blocks_mc=account.blocks_mc + block.original_mc),
        entry_type=entry_type,
        delta_mc=block.original_mc,
        blocks=((block.id, block.original_mc),),
        reference=where,
        reason=block.reason,
        metadata=block.metadata or None,
        details=block_terms(block),
    )
    settle_overdraft(draft, context, block.unit)
    if entry_type == "grant":
        _tell_granted(draft, context, block)
    return draft.changes.rare.new_blocks[block.id]


def _tell_granted(draft: Draft, context: Context, block: Block) -> None:
    account = draft.account(block.unit)
    data = {
        **block_terms(block),
        "unit": block.unit,
        "amount": block.original_mc,
        "balance": account.balance_mc,
        "effective_balance": account.effective_mc,
    }
    del data["original_amount"]
    draft.add_event(context, "credit.granted", data)


def start_block(draft: Draft, context: Context, block: Block) -> None:
    """Turn a pending block active at its ``effective_at``; settle what is overdrawn."""
    account = draft.account(block.unit)
    draft.change_block(block, replace(block, status="active"))
    append_entry(
        draft,
        context,
        replace(account, blocks_mc=account.blocks_mc + block.remaining_mc),
        entry_type="grant",
        delta_mc=block.remaining_mc,
        blocks=((block.id, block.remaining_mc),),
        reference=("block", block.id),
        details=block_terms(block),
    )
    settle_overdraft(draft, context, block.unit)
    _tell_granted(draft, context, block)


def take_from_block(
    draft: Draft, block: Block, amount_mc: int, *, ends_as: str, is_spent: bool = False
) -> None:
    """Lower ``block``; when nothing is left its status becomes ``ends_as``. No line is written.

    What is not spent (expired, voided, refunded, rolled over) is remembered on the block, so that a
    refund can tell how much of it was.
    """
    remaining_mc = block.remaining_mc - amount_mc
    assert 0 <= remaining_mc < block.remaining_mc
    draft.change_block(
        block,
        replace(
            block,
            remaining_mc=remaining_mc,
            status="active" if remaining_mc else ends_as,
            unspent_mc=block.unspent_mc if is_spent else block.unspent_mc + amount_mc,
        ),
    )


def apply_draws(draft: Draft, draws: tuple[Draw, ...], context: Context) -> tuple[tuple[str, int], ...]:
    """Take what ``draws`` say from their blocks; returns the (block id, negative delta) pairs.

    A kept rest that is used up ends as ``expired``, any other block as ``depleted``.
    """
    for draw in draws:
        block, amount_mc = draw.block, draw.amount_mc
        if amount_mc < block.remaining_mc and draft.live_blocks(block.unit)[0] is block:
            draft.lower_block(block, amount_mc)
        else:
            ends_as = "depleted" if is_spendable(block, context.now) else "expired"
            take_from_block(draft, block, amount_mc, ends_as=ends_as, is_spent=True)
    return tuple([(draw.block.id, -draw.amount_mc) for draw in draws])


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
    blocks = draft.live_blocks(hold.unit)
    if any(block.is_kept for block in blocks):
        return _plan_beside_kept_rests(draft, context, hold, amount_mc)
    account = draft.account(hold.unit)
    others_mc = account.reserved_mc - hold.reserved_mc
    takeable_mc = min(amount_mc, max(0, account.blocks_mc - others_mc))
    paying = (block for block in blocks if pays_for_hold(block, hold.created_at, context.now))
    draws, missing_mc = plan_burn_down(paying, takeable_mc)
    return draws, missing_mc + amount_mc - takeable_mc


def _plan_beside_kept_rests(
    draft: Draft, context: Context, hold: Hold, amount_mc: int
) -> tuple[tuple[Draw, ...], int]:
    """``plan_commit`` where kept rests pay for some holds only.

    A hold that was made after a rest expired must stay covered without it. So for each such instant the
    credits that pay for the holds made since are counted against what those hold: a draw leaves enough.
    """
    blocks = draft.live_blocks(hold.unit)
    others = [h for h in draft.holds.values() if h.unit == hold.unit and h.id != hold.id]
    expiries = sorted({b.expires_at for b in blocks if b.is_kept and b.expires_at is not None})
    since = [EVER, *expiries]
    slack_mc = {
        at: sum(b.remaining_mc for b in blocks if pays_for_hold(b, at, context.now))
        - sum(h.reserved_mc for h in others if h.created_at >= at)
        for at in since
    }
    draws: list[Draw] = []
    for block in blocks:
        if amount_mc == 0:
            break
        if not pays_for_hold(block, hold.created_at, context.now):
            continue
        counted = [at for at in since if pays_for_hold(block, at, context.now)]
        taken_mc = min(amount_mc, block.remaining_mc, *(max(0, slack_mc[at]) for at in counted))
        if taken_mc:
            draws.append(Draw(block, taken_mc))
            amount_mc -= taken_mc
            for at in counted:
                slack_mc[at] -= taken_mc
    return tuple(draws), amount_mc


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


def needed_by_holds(draft: Draft, block: Block) -> int:
    """Credits held by holds that were made before ``block`` expired: its kept rest pays for no others."""
    assert block.expires_at is not None
    return sum(
        hold.reserved_mc
        for hold in draft.holds.values()
        if hold.unit == block.unit and hold.created_at < block.expires_at
    )


def expire_block(draft: Draft, context: Context, block: Block) -> int:
    """Expire what no hold needs of an active block that is past its ``expires_at``.

    ``min(remaining, max(0, sum(live blocks) - reserved))`` goes, and whatever is above what the
    holds made before the expiry could still take; the kept rest stays in the block.
    Returns the expired amount. Called at the expiry and whenever a hold that kept a rest ends.
    """
    account = draft.account(block.unit)
    amount_mc = min(block.remaining_mc, account.free_mc)
    if amount_mc < block.remaining_mc:
        amount_mc = max(amount_mc, block.remaining_mc - needed_by_holds(draft, block))
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
        replace(account, blocks_mc=account.blocks_mc - amount_mc),
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
