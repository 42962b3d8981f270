"""Voids: taking credits back from one block, whoever asks for it: a void, a refund, a deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quotastack.core.blocks import block_terms, take_from_block
from quotastack.core.draft import replace
from quotastack.core.errors import NotFoundError
from quotastack.core.ledger import append_entry

if TYPE_CHECKING:
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Block
    from quotastack.core.draft import Draft


def find_own_block(draft: Draft, block_id: str) -> Block:
    """The customer's block of that id, whatever its status; ``needs`` has named it.

    Raises:
        NotFoundError: the customer has no such block.
    """
    block = draft.find_block(block_id) or draft.extra.get(("block", block_id))
    if block is None:
        raise NotFoundError("The customer has no such block.")
    return block


def void_pending(draft: Draft, context: Context, block: Block, *, reason: str | None = None) -> None:
    """End a block that has not started: it never was part of the balance, so the line's delta is 0."""
    ended = replace(block, status="voided", remaining_mc=0, unspent_mc=block.remaining_mc)
    draft.change_block(block, ended)
    append_entry(
        draft,
        context,
        draft.account(block.unit),
        entry_type="void",
        blocks=((block.id, 0),),
        reference=("block", block.id),
        reason=reason,
        details=block_terms(block),
    )


def void_active(
    draft: Draft,
    context: Context,
    block: Block,
    amount_mc: int,
    *,
    entry_type: str = "void",
    reason: str | None = None,
) -> None:
    """Take ``amount_mc`` (> 0, no more than is left and free) back from one active block."""
    take_from_block(draft, block, amount_mc, ends_as="voided")
    account = draft.account(block.unit)
    append_entry(
        draft,
        context,
        replace(account, blocks_mc=account.blocks_mc - amount_mc),
        entry_type=entry_type,
        delta_mc=-amount_mc,
        blocks=((block.id, -amount_mc),),
        reference=("block", block.id),
        reason=reason,
    )
