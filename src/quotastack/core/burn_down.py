"""Burn-down: which blocks pay for a debit, and in what order.

This file is the only place that decides the order. Everything that needs it (a debit, a
settlement, a preview, a list sorted by burn order) calls it; no SQL sorts blocks by rule.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from quotastack.core.customer_state import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quotastack.core.customer_state import Block

BurnOrder: TypeAlias = tuple[int, datetime, bool, datetime, str]


class Draw(msgspec.Struct, frozen=True, gc=False):
    """``amount_mc`` (> 0) to take from ``block``."""

    block: Block
    amount_mc: int


def burn_order(block: Block, *, is_descending: bool) -> BurnOrder:
    """Sort key of a block: the first to burn sorts lowest.

    ``priority`` ascending (descending when the environment says so), then the sooner ``expires_at``
    with never last, then free before paid, then the older, then ``id``, so that the order is total.
    """
    return (
        -block.priority if is_descending else block.priority,
        block.expires_at or NEVER,
        bool(block.price_paid),
        block.created_at,
        block.id,
    )


def in_burn_order(blocks: Iterable[Block], *, is_descending: bool) -> tuple[Block, ...]:
    """Blocks of one unit, the first to burn first."""
    return tuple(sorted(blocks, key=lambda block: burn_order(block, is_descending=is_descending)))


def order_anew(blocks: dict[str, tuple[Block, ...]], *, is_descending: bool) -> dict[str, tuple[Block, ...]]:
    """A customer's blocks, loaded before the environment's order was changed, in the order of now."""
    return {unit: in_burn_order(found, is_descending=is_descending) for unit, found in blocks.items()}


def is_spendable(block: Block, now: datetime) -> bool:
    """Whether a new charge may draw from an active block: not locked, not kept, its expiry not come.

    A frozen block (of a paused subscription) does not expire meanwhile; a locked one (of an
    overdue subscription that allows no usage) stays in the balance and pays for nothing.
    """
    if block.is_locked or block.is_kept:
        return False
    return block.is_frozen or block.expires_at is None or now < block.expires_at


def pays_for_hold(block: Block, held_since: datetime, now: datetime) -> bool:
    """Whether a commit of a hold made at ``held_since`` may draw from an active block.

    A kept rest pays only for holds that were made before the block expired.
    """
    return block.expires_at is None or is_spendable(block, now) or held_since < block.expires_at


def plan_burn_down(blocks: Iterable[Block], amount_mc: int) -> tuple[tuple[Draw, ...], int]:
    """Split a debit over ``blocks``, which come in burn order and may all pay.

    Returns the draws, one for each touched block, and what the blocks could not cover (>= 0).
    """
    assert amount_mc >= 0
    draws: list[Draw] = []
    missing_mc = amount_mc
    for block in blocks:
        if missing_mc == 0:
            break
        draw_mc = min(block.remaining_mc, missing_mc)
        if draw_mc > 0:
            draws.append(Draw(block, draw_mc))
            missing_mc -= draw_mc
    return tuple(draws), missing_mc
