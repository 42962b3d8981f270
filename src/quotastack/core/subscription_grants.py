"""Plan blocks: what a subscription grants, rolls over, freezes, moves and takes away.

A plan block belongs to a subscription. A cycle block is one that ends with the running period: its
end is decided in its subscription's turn, never by its ``expires_at`` alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from quotastack.core.amounts import AMOUNT_MAX
from quotastack.core.blocks import (
    LIVE_BLOCKS_MAX,
    expire_block,
    grant_block,
    settle_overdraft,
    take_from_block,
)
from quotastack.core.customer_state import Block
from quotastack.core.derived_ids import derived_id
from quotastack.core.draft import replace
from quotastack.core.ledger import append_entry
from quotastack.core.subscription_terms import tick_at

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from quotastack.core.catalog import GrantTemplate, Variant
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Subscription
    from quotastack.core.draft import Draft

ROLLOVER_PRIORITY_STEP: Final = 5
EXPIRING_SOON: Final = timedelta(hours=72)
FIRST_INSTANT_AFTER: Final = timedelta(microseconds=1)


class Rolled(NamedTuple):
    """``amount_mc`` that left ``block`` and comes back in a block of the next cycle."""

    block: Block
    template: GrantTemplate
    amount_mc: int


def make_id(draft: Draft, context: Context, *parts: str) -> str:
    """A fresh id for a caller's act; for time's, one derived from the instant and what it is."""
    if context.is_time:
        return derived_id(context.now, draft.customer.id, *parts)
    return context.new_id()


def plan_blocks(draft: Draft, subscription_id: str) -> list[Block]:
    """The live blocks of a subscription, cycle or not, without what is kept for holds only."""
    return [
        block
        for blocks in draft.blocks.values()
        for block in blocks
        if block.subscription_id == subscription_id and not block.is_kept
    ]


def cycle_blocks(draft: Draft, subscription_id: str) -> list[Block]:
    """The live blocks that end with the running period, rollover blocks included."""
    return [block for block in plan_blocks(draft, subscription_id) if block.is_cycle]


def live_credits(draft: Draft, template: GrantTemplate) -> int:
    """What is left of all that the template ever granted, rollover included."""
    return sum(
        block.remaining_mc
        for block in draft.live_blocks(template.unit)
        if block.grant_template_id == template.id and not block.is_kept
    )


def grant_template(
    draft: Draft,
    context: Context,
    subscription: Subscription,
    template: GrantTemplate,
    *,
    amount_mc: int | None = None,
    part: str = "",
) -> None:
    """Grant what the template says, or ``amount_mc`` of it, cut to the accumulation cap.

    A grant that the cap, the limit of live blocks or the bound of a balance cuts to 0 is a line of
    delta 0 with the reason ``capped``, and no block. ``part`` tells grants of one instant apart.
    """
    amount_mc = template.credits if amount_mc is None else amount_mc
    account = draft.account(template.unit)
    if template.accumulation_cap is not None:
        amount_mc = min(amount_mc, template.accumulation_cap - live_credits(draft, template))
    amount_mc = min(
        amount_mc, AMOUNT_MAX - max(account.balance_mc, account.lifetime_earned_mc, account.blocks_mc)
    )
    if amount_mc <= 0 or len(draft.live_blocks(template.unit)) >= LIVE_BLOCKS_MAX:
        append_entry(
            draft,
            context,
            account,
            entry_type="grant",
            reference=("subscription", subscription.id),
            reason="capped",
            details={"grant_template_id": template.id},
        )
        return
    is_trial = subscription.status == "trialing" and template.source == "plan_grant"
    block = Block(
        id=make_id(draft, context, "block", subscription.id, template.id, part),
        unit=template.unit,
        original_mc=amount_mc,
        remaining_mc=amount_mc,
        priority=template.priority,
        effective_at=context.now,
        expires_at=_expiry(subscription, template, context.now),
        source="trial" if is_trial else template.source,
        subscription_id=subscription.id,
        grant_template_id=template.id,
        metadata=template.metadata,
        is_cycle=template.expires_with_cycle,
        created_at=context.now,
    )
    grant_block(draft, context, block, reference=("subscription", subscription.id))


def _expiry(subscription: Subscription, template: GrantTemplate, now: datetime) -> datetime | None:
    if template.expires_with_cycle:
        return subscription.current_period_end
    if template.expires_after_seconds is not None:
        return now + timedelta(seconds=template.expires_after_seconds)
    grid = subscription.grids.get(template.id)
    if template.recurrence == "interval" and grid is not None:
        return tick_at(template, grid)
    return None


def grant_period(
    draft: Draft,
    context: Context,
    subscription: Subscription,
    variant: Variant,
    *,
    recurrences: tuple[str, ...] = ("activation", "cycle"),
    amount_of: Callable[[GrantTemplate], int] | None = None,
) -> Subscription:
    """Make the grants of a period that has begun; each template grants once in it.

    In a trial only templates marked ``in_trial`` grant. ``amount_of`` prorates. Returns the
    subscription that remembers what granted.
    """
    granted = list(subscription.granted)
    for template in variant.templates:
        if template.recurrence not in recurrences or template.id in granted:
            continue
        if subscription.status == "trialing" and not template.in_trial:
            continue
        amount_mc = None if amount_of is None else amount_of(template)
        granted.append(template.id)
        if amount_mc == 0:
            continue
        grant_template(draft, context, subscription, template, amount_mc=amount_mc)
    return replace(subscription, granted=tuple(granted))


def roll_over(draft: Draft, context: Context, subscription: Subscription, variant: Variant) -> list[Rolled]:
    """Take out of the ending cycle's blocks what rolls over (``rollover_out``); nothing comes in yet.

    ``floor(remaining of the template's blocks * rollover_percentage / 100)``, at most
    ``rollover_max``, is taken in burn order. What rolled over before does not roll again.
    """
    rolled: list[Rolled] = []
    blocks = cycle_blocks(draft, subscription.id)
    for template in variant.templates:
        if template.rollover_percentage == 0:
            continue
        ending = [b for b in blocks if b.grant_template_id == template.id and b.rolled_from_block_id is None]
        left_mc = sum(block.remaining_mc for block in ending) * template.rollover_percentage // 100
        if template.rollover_max is not None:
            left_mc = min(left_mc, template.rollover_max)
        for block in ending:
            amount_mc = min(left_mc, block.remaining_mc)
            if amount_mc == 0:
                break
            left_mc -= amount_mc
            rolled.append(Rolled(block, template, amount_mc))
            take_from_block(draft, block, amount_mc, ends_as="expired")
            account = draft.account(block.unit)
            append_entry(
                draft,
                context,
                replace(account, blocks_mc=account.blocks_mc - amount_mc),
                entry_type="rollover_out",
                delta_mc=-amount_mc,
                blocks=((block.id, -amount_mc),),
                reference=("subscription", subscription.id),
            )
    return rolled


def bring_in_rollover(
    draft: Draft, context: Context, subscription: Subscription, rolled: list[Rolled]
) -> None:
    """Create the rollover blocks: until the end of the new cycle, burning after its fresh grant."""
    step = -ROLLOVER_PRIORITY_STEP if draft.is_descending else ROLLOVER_PRIORITY_STEP
    for block, template, amount_mc in rolled:
        grant_block(
            draft,
            context,
            Block(
                id=make_id(draft, context, "rollover", subscription.id, block.id),
                unit=block.unit,
                original_mc=amount_mc,
                remaining_mc=amount_mc,
                priority=block.priority + step,
                effective_at=context.now,
                expires_at=subscription.current_period_end,
                source="rollover",
                subscription_id=subscription.id,
                grant_template_id=template.id,
                rolled_from_block_id=block.id,
                metadata=block.metadata,
                is_cycle=True,
                created_at=context.now,
            ),
            entry_type="rollover_in",
            reference=("subscription", subscription.id),
        )


def end_blocks(draft: Draft, context: Context, blocks: list[Block]) -> None:
    """Expire plan blocks now, whatever their ``expires_at``; what holds need is kept for them."""
    for block in blocks:
        found = draft.find_block(block.id)
        if found is None:
            continue
        is_early = found.is_frozen or found.expires_at is None or found.expires_at > context.now
        if is_early and found.remaining_mc > draft.account(found.unit).free_mc:
            # Only a block whose expiry has come is kept for holds: those made up to this instant, so
            # it is the first one after it.
            found = reschedule_block(draft, context, found, expires_at=context.now + FIRST_INSTANT_AFTER)
        expire_block(draft, context, found)
    settle_after(draft, context, blocks)


def settle_after(draft: Draft, context: Context, blocks: list[Block]) -> None:
    """Let what ``blocks`` may pay for now, unlocked or living longer, pay the overdraft at once."""
    for unit in sorted({block.unit for block in blocks}):
        settle_overdraft(draft, context, unit)


def reschedule_block(
    draft: Draft,
    context: Context,
    block: Block,
    *,
    expires_at: datetime | None,
    is_frozen: bool = False,
    is_locked: bool = False,
) -> Block:
    """Move the expiry of a plan block, with its line; returns the block as it is now.

    A frozen block's clock stands still: its ``expires_at`` stays what it was and has no effect. One
    that would be told of an expiry less than 72 hours ahead is not told again.
    """
    is_told = block.is_expiring_told
    if expires_at != block.expires_at:
        is_told = expires_at is not None and expires_at - EXPIRING_SOON < context.now
    moved = replace(
        block,
        expires_at=expires_at,
        is_frozen=is_frozen,
        is_locked=is_locked,
        is_expiring_told=is_told,
    )
    draft.change_block(block, moved)
    append_entry(
        draft,
        context,
        draft.account(block.unit),
        entry_type="reschedule",
        blocks=((block.id, 0),),
        reference=("block", block.id),
        details={
            "block_id": block.id,
            "expires_at": expires_at,
            "is_frozen": is_frozen,
            "is_locked": is_locked,
        },
    )
    return moved


def freeze_blocks(draft: Draft, context: Context, subscription: Subscription) -> None:
    """Let the expiries of the subscription's blocks stand still: it was paused."""
    for block in plan_blocks(draft, subscription.id):
        if block.expires_at is not None:
            reschedule_block(
                draft,
                context,
                block,
                expires_at=block.expires_at,
                is_frozen=True,
                is_locked=block.is_locked,
            )


def thaw_blocks(
    draft: Draft, context: Context, subscription: Subscription, *, stood_still: timedelta, is_locked: bool
) -> None:
    """Let frozen expiries run on, later by the length of the pause."""
    frozen = [block for block in plan_blocks(draft, subscription.id) if block.is_frozen]
    for block in frozen:
        assert block.expires_at is not None
        # A cycle block ends with its period, which the pause has moved the same way.
        expires_at = block.expires_at + stood_still
        reschedule_block(
            draft,
            context,
            block,
            expires_at=expires_at,
            is_locked=is_locked and block.is_cycle,
        )
    settle_after(draft, context, frozen)


def clear_overdraft(draft: Draft, context: Context, subscription: Subscription, units: set[str]) -> int:
    """Write the invoiced overdraft of ``units`` off the books (``overage_billed``); returns how much."""
    billed_mc = 0
    for unit in sorted(units):
        account = draft.account(unit)
        if account.overdraft_mc == 0:
            continue
        billed_mc += account.overdraft_mc
        append_entry(
            draft,
            context,
            replace(account, overdraft_mc=0),
            entry_type="overage_billed",
            delta_mc=account.overdraft_mc,
            reference=("subscription", subscription.id),
        )
    return billed_mc
