"""Reversal: a usage event is taken back, once, with exactly what it cost.

The cost goes against the overdraft first. What is left goes back to the blocks that paid, last one
first, as if the event had never been: the overdraft would have eaten the first ones. A block that is
gone (expired, voided, kept for holds) is replaced by one ``refund`` block on the same terms that lives
for 30 days at least. The quota's counter moves back, the pricing position does not.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import msgspec

from quotastack.core.blocks import grant_block, require_room_for_block
from quotastack.core.commands import Command, Needs
from quotastack.core.credit_views import DrawView, view_account
from quotastack.core.customer_state import Block
from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError, NotFoundError
from quotastack.core.ledger import append_entry
from quotastack.core.quotas import reverse_count
from quotastack.core.usage_views import ReversalView, view_usage

if TYPE_CHECKING:
    from quotastack.core.changes import UsageEvent
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft

REFUND_LIFE_MIN: Final = timedelta(days=30)


class Share(NamedTuple):
    """What of a refund goes to one block; None: to a new block of its own, which never expires."""

    block: Block | None
    amount_mc: int


class ReverseUsage(Command, frozen=True, kw_only=True):
    """Take one usage event back. ``block_ids`` are those that paid for it, to be loaded as history."""

    status: ClassVar[int] = 200

    usage_id: str
    block_ids: tuple[str, ...] = msgspec.field(default_factory=tuple)

    @property
    def needs(self) -> Needs:
        """The event and the blocks that paid for it."""
        return Needs(usage_ids=(self.usage_id,), block_ids=self.block_ids)

    def decide(self, draft: Draft, context: Context) -> ReversalView:
        """Give back the cost and move the counter back.

        Raises:
            NotFoundError: the customer has no such event.
            ConflictError: it was reversed, refused or never applied; an UpDownCounter would fall below
                0; no room for another block.
        """
        event = self._require_event(draft)
        shares, against_mc = _split_refund(draft, event)
        refund_blocks = [share for share in shares if not _is_live(share.block, context)]
        if refund_blocks:
            amount_mc = sum(share.amount_mc for share in refund_blocks)
            require_room_for_block(draft, event.unit, amount_mc=amount_mc, count=len(refund_blocks))
        metric = context.catalog.metrics.get(event.billable_metric_key)
        if metric is not None:
            reverse_count(draft, context, metric, event)
        given = _give_back(draft, context, event, shares=shares, against_mc=against_mc)
        account = draft.account(event.unit)
        reversed_event = replace(
            event,
            status="reversed",
            details={**event.details, "reversed_at": context.now, "refunded": event.cost_mc},
        )
        draft.change_usage_event(reversed_event)
        if event.cost_mc:
            draft.add_event(
                context,
                "credit.refunded",
                {
                    "unit": event.unit,
                    "amount": event.cost_mc,
                    "balance": account.balance_mc,
                    "effective_balance": account.effective_mc,
                    "usage_id": event.id,
                },
            )
        draft.add_event(
            context,
            "usage.reversed",
            {
                "usage_id": event.id,
                "billable_metric_key": event.billable_metric_key,
                "unit": event.unit,
                "refunded": event.cost_mc,
                "balance": account.balance_mc,
            },
        )
        version = draft.next_version
        view = view_usage(
            reversed_event,
            context.catalog,
            customer_id=draft.customer.id,
            external_customer_id=draft.customer.external_id,
        )
        return ReversalView(
            usage=view,
            refunded=event.cost_mc,
            blocks=given,
            account=view_account(draft, event.unit, version=version),
        )

    def _require_event(self, draft: Draft) -> UsageEvent:
        event: UsageEvent | None = draft.changes.rare.usage_updates.get(self.usage_id)
        if event is None:
            event = draft.extra.get(("usage", self.usage_id))
        if event is None:
            raise NotFoundError("There is no such usage event.")
        if event.status != "applied":
            raise ConflictError(
                f"The usage event is {event.status}: only an applied one can be reversed, once.",
                extra={"usage_status": event.status},
            )
        return event


def _latest_block(draft: Draft, block_id: str) -> Block | None:
    """The block as this batch left it, or as it was loaded."""
    known = draft.find_block(block_id)
    if known is None:
        changes = draft.changes
        known = changes.rare.new_blocks.get(block_id) or changes.changed_blocks.get(block_id)
    if known is None:
        known = draft.extra.get(("block", block_id))
    return _as_of_now(draft, known) if known is not None and known.status == "depleted" else known


def _as_of_now(draft: Draft, block: Block) -> Block:
    """A used-up block as if its subscription had taken it along: those steps touch live blocks only.

    It stands still while the subscription is paused, and ends in the subscription's turn only where that
    comes at its own expiry.
    """
    subscription = draft.subscriptions.get(block.subscription_id or "")
    if subscription is None:
        return replace(block, is_frozen=False, is_locked=False, is_cycle=False)
    ends = {subscription.current_period_end, subscription.grace_ends_at}
    return replace(
        block,
        is_frozen=subscription.status == "paused" and block.expires_at is not None,
        is_locked=block.is_locked and subscription.status == "overdue",
        is_cycle=block.is_cycle and block.expires_at in ends,
    )


def _is_live(block: Block | None, context: Context) -> bool:
    """Whether credits may go back to the block itself: used up is not dead, expired is."""
    if block is None or block.status not in {"active", "depleted"} or block.is_kept:
        return False
    return block.is_frozen or block.expires_at is None or context.now < block.expires_at


def _split_refund(draft: Draft, event: UsageEvent) -> tuple[tuple[Share, ...], int]:
    """Where the cost goes: the share of each block, last drawn first, and what goes against overdraft.

    An overage that was settled since has been paid by later blocks, or was invoiced: that part comes
    back as a block of its own.
    """
    against_mc = min(event.cost_mc, draft.account(event.unit).overdraft_mc)
    left_mc = event.cost_mc - against_mc
    shares: list[Share] = []
    for block_id, amount_mc in reversed(event.draws):
        share_mc = min(amount_mc, left_mc)
        if share_mc:
            shares.append(Share(_latest_block(draft, block_id), share_mc))
            left_mc -= share_mc
    if left_mc:
        shares.append(Share(None, left_mc))
    return tuple(shares), against_mc


def _give_back(
    draft: Draft, context: Context, event: UsageEvent, *, shares: tuple[Share, ...], against_mc: int
) -> tuple[DrawView, ...]:
    """Write the refund: one line for overdraft and live blocks, one for each new block."""
    reference = ("usage", event.id)
    deltas: list[tuple[str, int]] = []
    dead: list[Share] = []
    for block, amount_mc in shares:
        if block is None or not _is_live(block, context):
            dead.append(Share(block, amount_mc))
            continue
        fuller = replace(block, remaining_mc=block.remaining_mc + amount_mc, status="active")
        if block.status == "depleted":
            draft.revive_block(fuller)
        else:
            draft.change_block(block, fuller)
        deltas.append((block.id, amount_mc))
    back_mc = sum(amount_mc for _, amount_mc in deltas)
    if back_mc or against_mc:
        account = draft.account(event.unit)
        append_entry(
            draft,
            context,
            replace(
                account,
                blocks_mc=account.blocks_mc + back_mc,
                overdraft_mc=account.overdraft_mc - against_mc,
            ),
            entry_type="refund",
            delta_mc=back_mc + against_mc,
            blocks=tuple(deltas),
            reference=reference,
        )
    given = [DrawView(block_id, amount_mc) for block_id, amount_mc in deltas]
    for block, amount_mc in dead:
        refund = grant_block(
            draft,
            context,
            _refund_block(context, block, unit=event.unit, amount_mc=amount_mc),
            entry_type="refund",
            reference=reference,
        )
        given.append(DrawView(refund.id, amount_mc))
    return tuple(given)


def _refund_block(context: Context, dead: Block | None, *, unit: str, amount_mc: int) -> Block:
    """A block in place of a dead one: its priority and expiry, 30 days at least."""
    expires_at = None if dead is None else dead.expires_at
    if expires_at is not None:
        expires_at = max(expires_at, context.now + REFUND_LIFE_MIN)
    return Block(
        id=context.new_id(),
        unit=unit,
        original_mc=amount_mc,
        remaining_mc=amount_mc,
        priority=0 if dead is None else dead.priority,
        effective_at=context.now,
        expires_at=expires_at,
        source="refund",
        price_paid=None if dead is None else dead.price_paid,
        currency=None if dead is None else dead.currency,
        created_at=context.now,
    )
