"""Customers: creating, changing and deleting one.

A customer has two names: the caller's ``external_id``, which may be anything and is freed by a
deletion, and the id, which stays for ever in the ledger. Deleting ends all that lives and erases all
that is personal; amounts and lines stay under the id.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.asset_time import end_assets
from quotastack.core.commands import Command
from quotastack.core.credit_views import set_or_unset
from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError
from quotastack.core.holds import give_back_hold
from quotastack.core.metadata import merge_metadata
from quotastack.core.subscription_events import tell_subscription
from quotastack.core.voids import void_active, void_pending

if TYPE_CHECKING:
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Customer
    from quotastack.core.draft import Draft

DELETION: Final = "customer deleted"

OveragePolicy = Literal["block", "allow", "notify"]


class CustomerView(msgspec.Struct, frozen=True, kw_only=True):
    """A customer. ``low_balance_threshold`` and ``overage_policy`` null: the environment's apply."""

    customer_id: str
    external_customer_id: str
    display_name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    metadata: dict[str, Any]
    low_balance_threshold: int | None
    overage_policy: OveragePolicy | None
    overage_limit: int | UnsetType = UNSET
    created_at: datetime
    updated_at: datetime
    version: int


class DeletedCustomerView(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a deleted customer: the id under which the ledger stays."""

    customer_id: str
    deleted_at: datetime
    canceled_subscription_ids: tuple[str, ...]
    released_reservation_ids: tuple[str, ...]
    voided_block_ids: tuple[str, ...]
    version: int


def view_customer(customer: Customer, *, version: int) -> CustomerView:
    """A customer who is not deleted, as answered."""
    assert customer.external_id is not None
    return CustomerView(
        customer_id=customer.id,
        external_customer_id=customer.external_id,
        display_name=set_or_unset(customer.display_name),
        email=set_or_unset(customer.email),
        metadata=customer.metadata,
        low_balance_threshold=customer.low_balance_threshold,
        overage_policy=customer.overage_policy,
        overage_limit=set_or_unset(customer.overage_limit),
        created_at=customer.created_at,
        updated_at=customer.updated_at,
        version=version,
    )


class CreateCustomer(Command, frozen=True, kw_only=True):
    """Create a customer; submitted with ``creates_customer``, so the draft is new unless the id is taken.

    Refuses with:
        ConflictError: the external id is taken; carries the existing ``customer_id``.
    """

    status: ClassVar[int] = 201
    is_money: ClassVar[bool] = False

    display_name: str | None = None
    email: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def decide(self, draft: Draft, context: Context) -> CustomerView:
        """Fill in the fields of a customer who was opened this instant."""
        del context
        if draft.version > 0:
            raise ConflictError(
                "Another customer has this external_id.", extra={"customer_id": draft.customer.id}
            )
        draft.put_customer(
            replace(
                draft.customer,
                display_name=self.display_name,
                email=self.email,
                metadata=self.metadata,
            )
        )
        return view_customer(draft.customer, version=draft.next_version)


class ChangeCustomer(Command, frozen=True, kw_only=True):
    """Change a customer's own fields; UNSET leaves a field, None puts it back to nothing.

    Refuses with:
        ValidationFailedError: the merged metadata would be too large.
    """

    is_money: ClassVar[bool] = False

    display_name: str | UnsetType | None = UNSET
    email: str | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    low_balance_threshold: int | UnsetType | None = UNSET
    overage_policy: OveragePolicy | UnsetType | None = UNSET
    overage_limit: int | UnsetType | None = UNSET

    def decide(self, draft: Draft, context: Context) -> CustomerView:
        """Write what differs; a patch that changes nothing leaves the version as it is."""
        customer = draft.customer
        changes = {
            name: getattr(self, name)
            for name in ("display_name", "email", "low_balance_threshold", "overage_policy", "overage_limit")
            if getattr(self, name) is not UNSET
        }
        if isinstance(self.metadata, dict):
            changes["metadata"] = merge_metadata(customer.metadata, self.metadata)
        if all(getattr(customer, name) == value for name, value in changes.items()):
            return view_customer(customer, version=draft.version)
        draft.put_customer(replace(customer, updated_at=context.now, **changes))
        return view_customer(draft.customer, version=draft.next_version)


class DeleteCustomer(Command, frozen=True, kw_only=True):
    """End and erase a customer: subscriptions, holds, blocks, assets, then the personal fields and all texts.

    No free plan takes over. An overdraft stays: it was consumed. The engine erases the texts and
    frees the external id in the same transaction (``Changes.is_erased``).
    """

    is_money: ClassVar[bool] = False

    def decide(self, draft: Draft, context: Context) -> DeletedCustomerView:
        """Cancel, release, void, close, erase, in this order."""
        subscription_ids = _cancel_subscriptions(draft, context)
        holds = sorted(draft.holds.values(), key=lambda hold: (hold.created_at, hold.id))
        for hold in holds:
            give_back_hold(draft, context, hold, status="released")
        block_ids = _void_blocks(draft, context)
        end_assets(draft, context)
        for key in tuple(draft.overrides):
            draft.delete_override(key)
        for unit in tuple(draft.auto_topups):
            draft.delete_auto_topup(unit)
        draft.put_customer(
            replace(
                draft.customer,
                external_id=None,
                display_name=None,
                email=None,
                metadata={},
                updated_at=context.now,
                deleted_at=context.now,
            )
        )
        draft.changes.rare.is_erased = True
        data = {"deleted_at": context.now, "canceled_subscription_ids": list(subscription_ids)}
        draft.add_event(context, "customer.deleted", data)
        return DeletedCustomerView(
            customer_id=draft.customer.id,
            deleted_at=context.now,
            canceled_subscription_ids=subscription_ids,
            released_reservation_ids=tuple(hold.id for hold in holds),
            voided_block_ids=block_ids,
            version=draft.next_version,
        )


def _cancel_subscriptions(draft: Draft, context: Context) -> tuple[str, ...]:
    live = sorted(draft.subscriptions.values(), key=lambda s: (s.created_at, s.id))
    for subscription in live:
        ended = replace(
            subscription,
            status="canceled",
            cancel_at_period_end=False,
            pending_plan_variant_id=None,
            canceled_at=context.now,
            ended_at=context.now,
            metadata={},
            updated_at=context.now,
        )
        draft.put_subscription(ended)
        tell_subscription(draft, context, ended, "canceled", before=subscription)
    return tuple(subscription.id for subscription in live)


def _void_blocks(draft: Draft, context: Context) -> tuple[str, ...]:
    """Void all that is left. Holds have ended, so nothing is kept back for them."""
    voided: list[str] = []
    for blocks in tuple(draft.blocks.values()):
        for block in blocks:
            void_active(draft, context, block, block.remaining_mc, reason=DELETION)
            voided.append(block.id)
    for block in draft.pending_blocks:
        void_pending(draft, context, block, reason=DELETION)
        voided.append(block.id)
    return tuple(voided)
