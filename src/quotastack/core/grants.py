"""Grants: what a new block is asked to be, and what its making answers.

Direct grants, positive adjustments, exchanges and topups all plan their block here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.blocks import grant_block, require_room_for_block
from quotastack.core.commands import Command
from quotastack.core.credit_views import AccountView, BlockView, view_account, view_block
from quotastack.core.customer_state import Block, BlockSource
from quotastack.core.errors import ValidationFailedError
from quotastack.core.periods import TIME_MAX

if TYPE_CHECKING:
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft

DEFAULT_UNIT: Final = "credits"


class GrantTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a new block is asked to be. Of the two expiries at most one is set.

    ``expires_after_seconds`` counts from the block's start, which is now unless ``effective_at``
    lies ahead.
    """

    credits_mc: int
    unit: str = DEFAULT_UNIT
    source: BlockSource = "promotional"
    priority: int = 0
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    expires_after_seconds: int | None = None
    reason: str | None = None
    metadata: dict[str, Any] = {}
    price_paid: int | None = None
    currency: str | None = None
    package_id: str | None = None
    external_payment_id: str | None = None


class GrantAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What creates a block answers."""

    customer_id: str
    external_customer_id: str | None
    block: BlockView
    bonus_block: BlockView | UnsetType = UNSET
    account: AccountView
    version: int


def plan_block(terms: GrantTerms, context: Context, *, pointer: str = "") -> Block:
    """The block that ``terms`` ask for, not yet granted; ``pointer`` leads to the terms in the body.

    Raises:
        ValidationFailedError: both expiries are given, or it would end before it starts or after 2200.
    """
    starts_at = max(terms.effective_at or context.now, context.now)
    expires_at = terms.expires_at
    if terms.expires_after_seconds is not None:
        if expires_at is not None:
            raise ValidationFailedError.at(
                f"{pointer}/expires_after_seconds", "Give expires_at or expires_after_seconds, not both."
            )
        span = timedelta(seconds=terms.expires_after_seconds)
        if starts_at + span >= TIME_MAX:
            raise ValidationFailedError.at(
                f"{pointer}/expires_after_seconds", "The block would expire after 2200-01-01."
            )
        expires_at = starts_at + span
    if expires_at is not None and expires_at <= starts_at:
        raise ValidationFailedError.at(
            f"{pointer}/expires_at", "A block expires after now and after its effective_at."
        )
    return Block(
        id=context.new_id(),
        unit=terms.unit,
        original_mc=terms.credits_mc,
        remaining_mc=terms.credits_mc,
        priority=terms.priority,
        effective_at=terms.effective_at or context.now,
        expires_at=expires_at,
        source=terms.source,
        price_paid=terms.price_paid,
        currency=terms.currency,
        package_id=terms.package_id,
        external_payment_id=terms.external_payment_id,
        reason=terms.reason,
        metadata=terms.metadata,
        created_at=context.now,
    )


def answer_grant(draft: Draft, block: Block, *, bonus: Block | None = None) -> GrantAnswer:
    """The answer after a grant."""
    return GrantAnswer(
        customer_id=draft.customer.id,
        external_customer_id=draft.customer.external_id,
        block=view_block(block),
        bonus_block=UNSET if bonus is None else view_block(bonus),
        account=view_account(draft, block.unit, version=draft.next_version),
        version=draft.next_version,
    )


class GrantCredits(Command, frozen=True, kw_only=True):
    """Create one block.

    Refuses with (first that applies):
        ValidationFailedError: the terms contradict each other or the sums would pass the bound.
        ConflictError: the account has 10,000 live blocks.
    """

    status: ClassVar[int] = 201

    terms: GrantTerms

    def decide(self, draft: Draft, context: Context) -> GrantAnswer:
        """Grant it, pending when its ``effective_at`` lies ahead."""
        block = plan_block(self.terms, context)
        require_room_for_block(draft, block.unit, amount_mc=block.original_mc)
        return answer_grant(draft, grant_block(draft, context, block))
