"""How accounts, blocks and debits are answered: the wire form that all capabilities share."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

if TYPE_CHECKING:
    from quotastack.core.burn_down import Draw
    from quotastack.core.customer_state import Block
    from quotastack.core.draft import Draft


def set_or_unset(value: Any) -> Any:
    """A value that is answered only where there is one."""
    return UNSET if value is None else value


class BlockView(msgspec.Struct, frozen=True, kw_only=True):
    """One credit block. ``expires_at`` null: never."""

    id: str
    unit: str
    original_amount: int
    remaining_amount: int
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    source: str
    price_paid: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    package_id: str | UnsetType = UNSET
    external_payment_id: str | UnsetType = UNSET
    subscription_id: str | UnsetType = UNSET
    grant_template_id: str | UnsetType = UNSET
    rolled_from_block_id: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    metadata: dict[str, Any] = {}
    status: str
    created_at: datetime


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one unit, in millicredits; ``blocks`` (live, in burn order) only where asked for.

    ``status`` is left out of an account as it was in the past: the ledger does not tell it.
    """

    customer_id: str
    external_customer_id: str | None
    unit: str
    balance: int
    reserved_balance: int
    effective_balance: int
    overdraft: int
    lifetime_earned: int
    lifetime_spent: int
    lifetime_expired: int
    status: str | UnsetType = UNSET
    blocks: tuple[BlockView, ...] | UnsetType = UNSET
    at: datetime | UnsetType = UNSET
    version: int


class DrawView(msgspec.Struct, frozen=True):
    """What one block paid."""

    block_id: str
    amount: int


class DebitView(msgspec.Struct, frozen=True, kw_only=True):
    """What a debit took, from which blocks; ``overage`` is the part that became overdraft."""

    amount: int
    blocks: tuple[DrawView, ...]
    overage: int | UnsetType = UNSET


def view_block(block: Block) -> BlockView:
    """A block as it is answered."""
    return BlockView(
        id=block.id,
        unit=block.unit,
        original_amount=block.original_mc,
        remaining_amount=block.remaining_mc,
        priority=block.priority,
        effective_at=block.effective_at,
        expires_at=block.expires_at,
        source=block.source,
        price_paid=set_or_unset(block.price_paid),
        currency=set_or_unset(block.currency),
        package_id=set_or_unset(block.package_id),
        external_payment_id=set_or_unset(block.external_payment_id),
        subscription_id=set_or_unset(block.subscription_id),
        grant_template_id=set_or_unset(block.grant_template_id),
        rolled_from_block_id=set_or_unset(block.rolled_from_block_id),
        reason=set_or_unset(block.reason),
        metadata=block.metadata,
        status=block.status,
        created_at=block.created_at,
    )


def view_account(draft: Draft, unit: str, *, version: int, include_blocks: bool = False) -> AccountView:
    """The account of ``unit`` as the draft has it; zeros when nothing was ever in it."""
    account = draft.account(unit)
    return AccountView(
        customer_id=draft.customer.id,
        external_customer_id=draft.customer.external_id,
        unit=unit,
        balance=account.balance_mc,
        reserved_balance=account.reserved_mc,
        effective_balance=account.effective_mc,
        overdraft=account.overdraft_mc,
        lifetime_earned=account.lifetime_earned_mc,
        lifetime_spent=account.lifetime_spent_mc,
        lifetime_expired=account.lifetime_expired_mc,
        status=account.status,
        blocks=tuple(view_block(b) for b in draft.live_blocks(unit)) if include_blocks else UNSET,
        version=version,
    )


def view_draws(draws: tuple[Draw, ...]) -> tuple[DrawView, ...]:
    """Draws as they are answered, in the order in which they were taken."""
    return tuple(DrawView(draw.block.id, draw.amount_mc) for draw in draws)


def view_debit(draws: tuple[Draw, ...], *, overage_mc: int = 0) -> DebitView:
    """A debit as it is answered."""
    return DebitView(
        amount=sum(draw.amount_mc for draw in draws) + overage_mc,
        blocks=view_draws(draws),
        overage=overage_mc or UNSET,
    )
