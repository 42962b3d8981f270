"""Topups: credits bought with a payment that was taken elsewhere, their refund, and auto-topups.

A payment counts once for ever: its ``external_payment_id`` cannot be granted again, whatever the
idempotency key. A refund takes back what is left of the bought block and never touches credits that
are spent or held.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import Share, share_of
from quotastack.core.balance_events import request_topup
from quotastack.core.blocks import grant_block, require_room_for_block
from quotastack.core.commands import Command, Needs
from quotastack.core.credit_views import (
    AccountView,
    DebitView,
    DrawView,
    set_or_unset,
    view_account,
)
from quotastack.core.customer_state import AutoTopup
from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError, NotFoundError, ValidationFailedError
from quotastack.core.grants import DEFAULT_UNIT, GrantAnswer, GrantTerms, answer_grant, plan_block
from quotastack.core.periods import calendar_period
from quotastack.core.voids import find_own_block, void_active

if TYPE_CHECKING:
    from quotastack.core.catalog import Package
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Block
    from quotastack.core.draft import Draft

Period = Literal["day", "week", "month", "year"]


class RefundAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a refund could take. ``spent`` of the block is gone for good, ``held`` stayed for holds."""

    customer_id: str
    external_customer_id: str | None
    debit: DebitView
    spent: int
    held: int
    account: AccountView
    version: int


class AutoTopupView(msgspec.Struct, frozen=True, kw_only=True):
    """When the app is asked for a topup, and how often it was in the running period."""

    customer_id: str
    external_customer_id: str | None
    unit: str
    threshold: int
    package_id: str | UnsetType = UNSET
    credits: int | UnsetType = UNSET
    max_per_period: int | None
    period: Period
    cooldown_seconds: int
    requested_in_period: int
    last_requested_at: datetime | UnsetType = UNSET
    created_at: datetime
    updated_at: datetime
    version: int


def find_package(context: Context, package_id: str) -> Package:
    """The package of that id.

    Raises:
        NotFoundError: the environment has no such package.
        ConflictError: it is not active.
    """
    package = context.catalog.packages.get(package_id)
    if package is None:
        raise NotFoundError("There is no such topup package.")
    if not package.active:
        raise ConflictError("The topup package is not active.", extra={"package_id": package.id})
    return package


class GrantTopup(Command, frozen=True, kw_only=True):
    """Grant what was paid for; a package's values fill what the request leaves out (None).

    Refuses with (first that applies):
        NotFoundError, ConflictError: no such package; an inactive one.
        ValidationFailedError: neither credits nor package, terms that contradict each other, a sum
            beyond the bound.
        ConflictError: the payment was granted before (carries its first ``block_id``), or the
            account has 10,000 live blocks.
    """

    status: ClassVar[int] = 201

    credits_mc: int | None = None
    package_id: str | None = None
    price_paid: int | None = None
    currency: str | None = None
    external_payment_id: str | None = None
    priority: int | None = None
    expires_at: datetime | None = None
    expires_after_seconds: int | None = None
    unit: str | None = None
    reason: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def needs(self) -> Needs | None:
        """The block that was granted for the payment before."""
        if self.external_payment_id is None:
            return None
        return Needs(payment_ids=(self.external_payment_id,))

    def decide(self, draft: Draft, context: Context) -> GrantAnswer:
        """Grant the paid block and, with a package that has one, the free bonus block."""
        package = None if self.package_id is None else find_package(context, self.package_id)
        self._refuse_known_payment(draft)
        terms = self._terms(package)
        block = plan_block(terms, context)
        bonus = None
        if package is not None and package.bonus_credits:
            bonus = plan_block(_bonus_terms(terms, package), context)
        amount_mc = block.original_mc + (0 if bonus is None else bonus.original_mc)
        require_room_for_block(draft, block.unit, amount_mc=amount_mc, count=1 if bonus is None else 2)
        granted = grant_block(draft, context, block)
        if self.external_payment_id is not None:
            draft.add_payment(self.external_payment_id, block.id)
        if bonus is not None:
            bonus = grant_block(draft, context, bonus)
            granted = draft.changes.rare.new_blocks[granted.id]
        return answer_grant(draft, granted, bonus=bonus)

    def _refuse_known_payment(self, draft: Draft) -> None:
        if self.external_payment_id is None:
            return
        first = draft.extra.get(("payment", self.external_payment_id))
        # Granted a moment ago, in this very transaction.
        first = dict(draft.changes.rare.payments).get(self.external_payment_id, first)
        if first is not None:
            raise ConflictError("This payment was granted before.", extra={"block_id": first})

    def _terms(self, package: Package | None) -> GrantTerms:
        if package is None:
            if self.credits_mc is None:
                raise ValidationFailedError.at("/credits", "Give credits or a package_id.")
            return self._with(credits_mc=self.credits_mc)
        has_expiry = self.expires_at is not None or self.expires_after_seconds is not None
        return self._with(
            credits_mc=package.credits if self.credits_mc is None else self.credits_mc,
            unit=package.unit,
            price_paid=package.price,
            currency=package.currency,
            priority=package.priority,
            expires_after_seconds=None if has_expiry else package.expires_after_seconds,
        )

    def _with(
        self,
        *,
        credits_mc: int,
        unit: str = DEFAULT_UNIT,
        price_paid: int | None = None,
        currency: str | None = None,
        priority: int = 0,
        expires_after_seconds: int | None = None,
    ) -> GrantTerms:
        return GrantTerms(
            credits_mc=credits_mc,
            unit=unit if self.unit is None else self.unit,
            source="topup",
            priority=priority if self.priority is None else self.priority,
            expires_at=self.expires_at,
            expires_after_seconds=(
                expires_after_seconds if self.expires_after_seconds is None else self.expires_after_seconds
            ),
            reason=self.reason,
            metadata=self.metadata,
            price_paid=price_paid if self.price_paid is None else self.price_paid,
            currency=currency if self.currency is None else self.currency,
            package_id=self.package_id,
            external_payment_id=self.external_payment_id,
        )


def _bonus_terms(terms: GrantTerms, package: Package) -> GrantTerms:
    return replace(
        terms,
        credits_mc=package.bonus_credits,
        source="promotional",
        price_paid=None,
        currency=None,
        external_payment_id=None,
    )


class RefundTopup(Command, frozen=True, kw_only=True):
    """Take back what is left of a bought block: all of it, ``credits_mc`` of it, or a fraction of the whole.

    ``fraction`` is of the credits that were bought, rounded down: half the payment returned is half of
    them. Held credits stay covered, so less than asked for may be taken, down to nothing.

    Refuses with (first that applies):
        NotFoundError: the customer has no such block.
        ConflictError: the block was not bought by a topup.
    """

    block_id: str
    credits_mc: int | None = None
    fraction: Share | None = None
    reason: str | None = None

    @property
    def needs(self) -> Needs:
        """The block, should it be gone already."""
        return Needs(block_ids=(self.block_id,))

    def decide(self, draft: Draft, context: Context) -> RefundAnswer:
        """Take what is left and free, and say what was spent and what is held."""
        block = find_own_block(draft, self.block_id)
        if block.source != "topup":
            raise ConflictError("Only a block that a topup granted can be refunded; void this one.")
        wanted_mc = min(self._wanted(block), block.remaining_mc)
        amount_mc = min(wanted_mc, draft.account(block.unit).free_mc)
        spent_mc = block.original_mc - block.remaining_mc - block.unspent_mc
        held_mc = wanted_mc - amount_mc
        version = draft.version
        if amount_mc:
            version = draft.next_version
            void_active(draft, context, block, amount_mc, entry_type="topup_refund", reason=self.reason)
            self._tell(draft, context, block, amount_mc=amount_mc, spent_mc=spent_mc, held_mc=held_mc)
        draws = (DrawView(block.id, amount_mc),) if amount_mc else ()
        return RefundAnswer(
            customer_id=draft.customer.id,
            external_customer_id=draft.customer.external_id,
            debit=DebitView(amount=amount_mc, blocks=draws),
            spent=spent_mc,
            held=held_mc,
            account=view_account(draft, block.unit, version=version),
            version=version,
        )

    def _wanted(self, block: Block) -> int:
        if self.credits_mc is not None:
            return self.credits_mc
        if self.fraction is not None:
            return share_of(block.original_mc, self.fraction)
        return block.remaining_mc

    def _tell(
        self, draft: Draft, context: Context, block: Block, *, amount_mc: int, spent_mc: int, held_mc: int
    ) -> None:
        account = draft.account(block.unit)
        data = {
            "kind": "topup",
            "block_id": block.id,
            "unit": block.unit,
            "amount": amount_mc,
            "spent": spent_mc,
            "held": held_mc,
            "balance": account.balance_mc,
            "effective_balance": account.effective_mc,
        }
        if block.external_payment_id is not None:
            data["external_payment_id"] = block.external_payment_id
        draft.add_event(context, "credit.refunded", data)


def view_auto_topup(draft: Draft, context: Context, auto_topup: AutoTopup, *, version: int) -> AutoTopupView:
    """An auto-topup as answered; requests of an earlier period are not counted."""
    period_start, _ = calendar_period(auto_topup.period, context.now)
    is_same_period = auto_topup.period_start == period_start
    return AutoTopupView(
        customer_id=draft.customer.id,
        external_customer_id=draft.customer.external_id,
        unit=auto_topup.unit,
        threshold=auto_topup.threshold,
        package_id=set_or_unset(auto_topup.package_id),
        credits=set_or_unset(auto_topup.credits),
        max_per_period=auto_topup.max_per_period,
        period=auto_topup.period,
        cooldown_seconds=auto_topup.cooldown_seconds,
        requested_in_period=auto_topup.requested_in_period if is_same_period else 0,
        last_requested_at=set_or_unset(auto_topup.last_requested_at),
        created_at=auto_topup.created_at,
        updated_at=auto_topup.updated_at,
        version=version,
    )


class SetAutoTopup(Command, frozen=True, kw_only=True):
    """Set the auto-topup of a unit; what was counted and asked before goes on.

    A balance that is low already is asked for at once.

    Refuses with (first that applies):
        NotFoundError, ConflictError: no such package; an inactive one.
        ValidationFailedError: the package is for another unit.
    """

    is_money: ClassVar[bool] = False

    unit: str = DEFAULT_UNIT
    threshold: int
    package_id: str | None = None
    credits_mc: int | None = None
    max_per_period: int | None = None
    period: Period = "month"
    cooldown_seconds: int = 0

    def decide(self, draft: Draft, context: Context) -> AutoTopupView:
        """Keep the terms, then ask if it is time to."""
        if self.package_id is not None:
            package = find_package(context, self.package_id)
            if package.unit != self.unit:
                raise ValidationFailedError.at("/package_id", f"The package is for {package.unit}.")
        known = draft.auto_topups.get(self.unit)
        changed = AutoTopup(
            unit=self.unit,
            threshold=self.threshold,
            package_id=self.package_id,
            credits=self.credits_mc,
            max_per_period=self.max_per_period,
            period=self.period,
            cooldown_seconds=self.cooldown_seconds,
            created_at=context.now,
            updated_at=context.now,
        )
        if known is not None:
            changed = replace(
                changed,
                last_requested_at=known.last_requested_at,
                period_start=known.period_start,
                requested_in_period=known.requested_in_period,
                created_at=known.created_at,
            )
        draft.put_auto_topup(changed)
        request_topup(draft, context, changed)
        return view_auto_topup(draft, context, draft.auto_topups[self.unit], version=draft.next_version)


class DeleteAutoTopup(Command, frozen=True, kw_only=True):
    """Take the auto-topup of a unit away.

    Refuses with:
        NotFoundError: there is none.
    """

    status: ClassVar[int] = 204
    is_money: ClassVar[bool] = False

    unit: str = DEFAULT_UNIT

    def decide(self, draft: Draft, context: Context) -> dict[str, Any]:
        """Remove it."""
        del context
        if self.unit not in draft.auto_topups:
            raise NotFoundError("The customer has no auto-topup for this unit.")
        draft.delete_auto_topup(self.unit)
        return {}
