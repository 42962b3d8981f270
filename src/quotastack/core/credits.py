"""Credits: adjusting, withdrawing, voiding, exchanging; suspending an account.

What a caller does to an account directly. Debits here are limited to the effective balance (402);
only an adjustment may go into overdraft, and only when asked to. Void takes what it can. A suspended
account refuses debits; grants and what an operator takes back still land.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from quotastack.core.amounts import AMOUNT_MAX
from quotastack.core.blocks import (
    apply_draws,
    grant_block,
    plan_spend,
    require_room_for_block,
)
from quotastack.core.commands import Command, Needs
from quotastack.core.credit_views import (
    AccountView,
    BlockView,
    DebitView,
    DrawView,
    view_account,
    view_block,
    view_debit,
)
from quotastack.core.draft import replace
from quotastack.core.errors import (
    AssetSuspendedError,
    ConflictError,
    InsufficientCreditsError,
    ValidationFailedError,
)
from quotastack.core.grants import DEFAULT_UNIT, GrantAnswer, GrantTerms, answer_grant, plan_block
from quotastack.core.ledger import append_entry
from quotastack.core.voids import find_own_block, void_active, void_pending

if TYPE_CHECKING:
    from quotastack.core.burn_down import Draw
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft


class DebitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What takes credits out answers."""

    customer_id: str
    external_customer_id: str | None
    debit: DebitView
    account: AccountView
    version: int


class ExchangeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Both legs of an exchange. ``account`` is that of the granted block."""

    customer_id: str
    external_customer_id: str | None
    debit: DebitView
    block: BlockView
    account: AccountView
    version: int


def require_active_account(draft: Draft, unit: str) -> None:
    """Refuse a debit or a hold of a suspended account.

    Raises:
        AssetSuspendedError: the account of ``unit`` is suspended.
    """
    if draft.account(unit).status == "suspended":
        raise AssetSuspendedError(
            f"The account of {unit} is suspended: no new debits and holds.", extra={"unit": unit}
        )


def plan_debit(draft: Draft, context: Context, unit: str, amount_mc: int) -> tuple[Draw, ...]:
    """The draws of a debit that may not go beyond the effective balance.

    Raises:
        InsufficientCreditsError: it would; ``available`` is what could be taken.
    """
    draws, missing_mc = plan_spend(draft, context, unit, amount_mc)
    effective_mc = draft.account(unit).effective_mc
    if missing_mc or amount_mc > effective_mc:
        raise InsufficientCreditsError.of(
            required_mc=amount_mc, available_mc=min(effective_mc, amount_mc - missing_mc)
        )
    return draws


def take_draws(
    draft: Draft,
    context: Context,
    unit: str,
    draws: tuple[Draw, ...],
    *,
    entry_type: str,
    reference: tuple[str, str] | None = None,
    reason: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Take ``draws`` from their blocks with one line of ``entry_type``."""
    deltas = apply_draws(draft, draws, context)
    amount_mc = sum(draw.amount_mc for draw in draws)
    account = draft.account(unit)
    append_entry(
        draft,
        context,
        replace(account, blocks_mc=account.blocks_mc - amount_mc),
        entry_type=entry_type,
        delta_mc=-amount_mc,
        blocks=deltas,
        reference=reference,
        reason=reason,
        metadata=metadata,
    )


def tell_adjusted(
    draft: Draft, context: Context, unit: str, delta_mc: int, *, kind: str, block_id: str | None = None
) -> None:
    """Queue ``credit.adjusted``: credits were put in or taken out by hand."""
    account = draft.account(unit)
    data = {
        "unit": unit,
        "kind": kind,
        "delta": delta_mc,
        "balance": account.balance_mc,
        "effective_balance": account.effective_mc,
    }
    if block_id is not None:
        data["block_id"] = block_id
    draft.add_event(context, "credit.adjusted", data)


def answer_debit(draft: Draft, unit: str, debit: DebitView, *, version: int) -> DebitAnswer:
    """The answer after a debit."""
    return DebitAnswer(
        customer_id=draft.customer.id,
        external_customer_id=draft.customer.external_id,
        debit=debit,
        account=view_account(draft, unit, version=version),
        version=version,
    )


class AddAdjustment(Command, frozen=True, kw_only=True):
    """A positive adjustment: one block of source ``adjustment``, without expiry.

    Refuses with (first that applies):
        ValidationFailedError: the sums would pass the bound.
        ConflictError: the account has 10,000 live blocks.
    """

    status: ClassVar[int] = 201

    terms: GrantTerms

    def decide(self, draft: Draft, context: Context) -> GrantAnswer:
        """Add the block with a line of type ``adjustment``."""
        block = plan_block(self.terms, context)
        require_room_for_block(draft, block.unit, amount_mc=block.original_mc)
        block = grant_block(draft, context, block, entry_type="adjustment")
        delta_mc = block.original_mc
        tell_adjusted(draft, context, block.unit, delta_mc, kind="adjustment", block_id=block.id)
        return answer_grant(draft, block)


class TakeAdjustment(Command, frozen=True, kw_only=True):
    """A negative adjustment: a debit in burn order; ``allow_negative`` lets the rest go into overdraft.

    Refuses with (first that applies):
        AssetSuspendedError: the account is suspended.
        InsufficientCreditsError: above the effective balance, and not allowed to go below.
        ValidationFailedError: the overdraft would pass the bound of all amounts.
    """

    amount_mc: int
    unit: str = DEFAULT_UNIT
    reason: str
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    allow_negative: bool = False

    def decide(self, draft: Draft, context: Context) -> DebitAnswer:
        """Take what is not held; what is missing becomes overdraft where that is allowed."""
        require_active_account(draft, self.unit)
        missing_mc = 0
        if self.allow_negative:
            draws, missing_mc = plan_spend(draft, context, self.unit, self.amount_mc)
            if draft.account(self.unit).overdraft_mc + missing_mc > AMOUNT_MAX:
                raise ValidationFailedError.at("/delta", f"The overdraft would pass {AMOUNT_MAX}.")
        else:
            draws = plan_debit(draft, context, self.unit, self.amount_mc)
        reference = ("adjustment", context.new_id())
        if draws:
            take_draws(
                draft,
                context,
                self.unit,
                draws,
                entry_type="adjustment",
                reference=reference,
                reason=self.reason,
                metadata=self.metadata,
            )
        if missing_mc:
            account = draft.account(self.unit)
            append_entry(
                draft,
                context,
                replace(account, overdraft_mc=account.overdraft_mc + missing_mc),
                entry_type="overage",
                delta_mc=-missing_mc,
                reference=reference,
                reason=self.reason,
                metadata=self.metadata,
            )
        tell_adjusted(draft, context, self.unit, -self.amount_mc, kind="adjustment")
        debit = view_debit(draws, overage_mc=missing_mc)
        return answer_debit(draft, self.unit, debit, version=draft.next_version)


class WithdrawCredits(Command, frozen=True, kw_only=True):
    """Take credits out, for paying out or moving away; at most the effective balance.

    Refuses with (first that applies):
        AssetSuspendedError: the account is suspended.
        InsufficientCreditsError: above the effective balance.
    """

    amount_mc: int
    unit: str = DEFAULT_UNIT
    reason: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def decide(self, draft: Draft, context: Context) -> DebitAnswer:
        """Debit in burn order."""
        require_active_account(draft, self.unit)
        draws = plan_debit(draft, context, self.unit, self.amount_mc)
        take_draws(
            draft,
            context,
            self.unit,
            draws,
            entry_type="withdrawal",
            reason=self.reason,
            metadata=self.metadata,
        )
        tell_adjusted(draft, context, self.unit, -self.amount_mc, kind="withdrawal")
        return answer_debit(draft, self.unit, view_debit(draws), version=draft.next_version)


class VoidBlock(Command, frozen=True, kw_only=True):
    """Take back what is left of one block, as far as holds stay covered.

    A pending block is voided whole, with an amount of 0: it was not part of the balance. When holds
    need all of it nothing is taken and nothing is written.

    Refuses with (first that applies):
        NotFoundError: the customer has no such block.
        ConflictError: the block is depleted, expired or voided already.
    """

    block_id: str
    reason: str | None = None

    @property
    def needs(self) -> Needs:
        """The block, should it be gone already."""
        return Needs(block_ids=(self.block_id,))

    def decide(self, draft: Draft, context: Context) -> DebitAnswer:
        """Take what is free of it."""
        block = find_own_block(draft, self.block_id)
        if block.status == "pending":
            void_pending(draft, context, block, reason=self.reason)
            tell_adjusted(draft, context, block.unit, 0, kind="void", block_id=block.id)
            debit = DebitView(amount=0, blocks=())
            return answer_debit(draft, block.unit, debit, version=draft.next_version)
        if block.status != "active":
            raise ConflictError(
                f"The block is {block.status} already: nothing of it is left.",
                extra={"block_id": block.id, "block_status": block.status},
            )
        amount_mc = min(block.remaining_mc, draft.account(block.unit).free_mc)
        if amount_mc == 0:
            debit = DebitView(amount=0, blocks=())
            return answer_debit(draft, block.unit, debit, version=draft.version)
        void_active(draft, context, block, amount_mc, reason=self.reason)
        tell_adjusted(draft, context, block.unit, -amount_mc, kind="void", block_id=block.id)
        debit = DebitView(amount=amount_mc, blocks=(DrawView(block.id, amount_mc),))
        return answer_debit(draft, block.unit, debit, version=draft.next_version)


class ExchangeCredits(Command, frozen=True, kw_only=True):
    """Debit one account and grant a block, in one step: a plan or a pack bought from the wallet.

    Refuses with (first that applies):
        AssetSuspendedError: the account that pays is suspended.
        ValidationFailedError: the terms of the grant contradict each other or pass the bound.
        InsufficientCreditsError: above the effective balance of the account that pays.
        ConflictError: the granted account has 10,000 live blocks.
    """

    status: ClassVar[int] = 201

    debit_mc: int
    unit: str = DEFAULT_UNIT
    grant: GrantTerms

    def decide(self, draft: Draft, context: Context) -> ExchangeAnswer:
        """Both legs or neither; both lines refer to the bought block."""
        require_active_account(draft, self.unit)
        block = plan_block(self.grant, context, pointer="/grant")
        draws = plan_debit(draft, context, self.unit, self.debit_mc)
        require_room_for_block(draft, block.unit, amount_mc=block.original_mc)
        take_draws(
            draft,
            context,
            self.unit,
            draws,
            entry_type="exchange",
            reference=("block", block.id),
            reason=self.grant.reason,
        )
        tell_adjusted(draft, context, self.unit, -self.debit_mc, kind="exchange", block_id=block.id)
        block = grant_block(draft, context, block)
        return ExchangeAnswer(
            customer_id=draft.customer.id,
            external_customer_id=draft.customer.external_id,
            debit=view_debit(draws),
            block=view_block(block),
            account=view_account(draft, block.unit, version=draft.next_version),
            version=draft.next_version,
        )


class SetAccountStatus(Command, frozen=True, kw_only=True):
    """Suspend or resume one account; asking for what it is already changes nothing."""

    is_money: ClassVar[bool] = False

    unit: str = DEFAULT_UNIT
    is_suspended: bool

    def decide(self, draft: Draft, context: Context) -> AccountView:
        """Set it. The ledger does not tell it: no amount changes."""
        del context
        status = "suspended" if self.is_suspended else "active"
        account = draft.account(self.unit)
        if account.status == status:
            return view_account(draft, self.unit, version=draft.version)
        draft.put_account(replace(account, status=status))
        return view_account(draft, self.unit, version=draft.next_version)
