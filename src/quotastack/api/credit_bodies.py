"""Bodies and queries of the credit routes, and the terms that they carry."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import (
    Amount,
    Body,
    Instant,
    LongText,
    Metadata,
    Name,
    PageQuery,
    PositiveAmount,
    Priority,
    Query,
    SpanSeconds,
    TimedPageQuery,
    Unit,
    Uuid,
)
from quotastack.core.customer_state import BlockSource
from quotastack.core.grants import GrantTerms

DEFAULT_UNIT: Final = "credits"

Reason = Annotated[LongText, Meta(min_length=1)]
EntryType = Literal[
    "grant",
    "usage",
    "exchange",
    "withdrawal",
    "reserve",
    "commit",
    "release",
    "reservation_expired",
    "expire",
    "void",
    "rollover_out",
    "rollover_in",
    "adjustment",
    "refund",
    "topup_refund",
    "grant_scheduled",
    "reschedule",
    "overage",
    "overage_settlement",
    "overage_billed",
]


class Grant(Body, frozen=True, kw_only=True):
    """A block to create. At most one of the two expiries; without either it never expires."""

    credits: PositiveAmount
    unit: Unit = DEFAULT_UNIT
    source: BlockSource = "promotional"
    reason: LongText | UnsetType = UNSET
    priority: Priority = 0
    effective_at: Instant | UnsetType = UNSET
    expires_at: Instant | UnsetType | None = UNSET
    expires_after_seconds: SpanSeconds | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class ExchangeGrant(Grant, frozen=True, kw_only=True):
    """The block that an exchange buys."""

    source: BlockSource = "exchange"


class Adjustment(Body, frozen=True, kw_only=True):
    """A correction: above 0 it adds a block, below 0 it takes credits in burn order."""

    delta: Amount
    reason: Reason
    allow_negative: bool = False
    unit: Unit = DEFAULT_UNIT
    metadata: Metadata | UnsetType = UNSET


class Withdrawal(Body, frozen=True, kw_only=True):
    """Credits to take out."""

    credits: PositiveAmount
    unit: Unit = DEFAULT_UNIT
    reason: LongText | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class BlockVoid(Body, frozen=True, kw_only=True):
    """Why a block is taken back."""

    reason: LongText | UnsetType = UNSET


class Exchange(Body, frozen=True, kw_only=True):
    """What is paid, from the account of ``unit``, and what is granted for it."""

    debit_credits: PositiveAmount
    unit: Unit = DEFAULT_UNIT
    grant: ExchangeGrant


class AccountStatus(Body, frozen=True, kw_only=True):
    """Which account."""

    unit: Unit = DEFAULT_UNIT


class AccountQuery(Query, frozen=True, kw_only=True):
    """Which account, and whether with its live blocks; ``at`` an instant of the past."""

    unit: Unit = DEFAULT_UNIT
    include_blocks: bool = False
    at: Instant | UnsetType = UNSET


class BlockList(PageQuery, frozen=True, kw_only=True):
    """``burn_order`` lists the live blocks, first to burn first; the other orders list all blocks.

    By ``created_at`` the newest come first, by ``expires_at`` the soonest, unless ``order`` says otherwise.
    """

    unit: Unit = DEFAULT_UNIT
    status: Literal["pending", "active", "depleted", "expired", "voided"] | UnsetType = UNSET
    source: BlockSource | UnsetType = UNSET
    sort: Literal["burn_order", "expires_at", "created_at"] = "created_at"
    # The default depends on `sort`, so it must be seen whether an order was asked for.
    order: Literal["desc", "asc"] | UnsetType = UNSET  # pyright: ignore[reportIncompatibleVariableOverride]


class EntryList(TimedPageQuery, frozen=True, kw_only=True):
    """One account's entries; ``reference_id`` is what they are about, ``block_id`` a block they touched."""

    unit: Unit = DEFAULT_UNIT
    type: EntryType | UnsetType = UNSET
    reference_id: Name | UnsetType = UNSET
    block_id: Uuid | UnsetType = UNSET


def given(value: Any, otherwise: Any = None) -> Any:
    """A field of a body, or ``otherwise`` when it was left out."""
    return otherwise if value is UNSET else value


def read_terms(body: Grant) -> GrantTerms:
    """The terms of a block out of a body."""
    return GrantTerms(
        credits_mc=body.credits,
        unit=body.unit,
        source=body.source,
        priority=body.priority,
        effective_at=given(body.effective_at),
        expires_at=given(body.expires_at),
        expires_after_seconds=given(body.expires_after_seconds),
        reason=given(body.reason),
        metadata=given(body.metadata, {}),
    )
