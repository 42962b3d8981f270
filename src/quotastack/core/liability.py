"""Liability: what is owed in credits, month by month, out of the sums of the ledger.

``opening + granted (paid, free) + adjusted + overage billed - spent - expired - refunded - voided -
withdrawn = closing``. Every entry of the ledger falls into exactly one of these; what only moves
(rollover, settlements, holds) adds up to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

_BY_TYPE: Final = {
    "adjustment": "adjusted",
    "overage_billed": "overage_billed",
    "usage": "spent",
    "commit": "spent",
    "exchange": "spent",
    "overage": "spent",
    "refund": "spent",
    "expire": "expired",
    "topup_refund": "refunded",
    "void": "voided",
    "withdrawal": "withdrawn",
}
_OUT: Final = frozenset({"spent", "expired", "refunded", "voided", "withdrawn"})

COLUMNS: Final = (
    "month",
    "opening",
    "granted_paid",
    "granted_free",
    "adjusted",
    "overage_billed",
    "spent",
    "expired",
    "refunded",
    "voided",
    "withdrawn",
    "closing",
)


class EntrySum(msgspec.Struct, frozen=True):
    """The deltas of one kind of entry in one UTC month (``2041-03``), added up.

    ``is_paid``: of a grant with a price; ``is_adjustment``: of an overage that an adjustment made.
    """

    month: str
    type: str
    is_paid: bool
    is_adjustment: bool
    delta_mc: int


class LiabilityMonth(msgspec.Struct, kw_only=True):
    """One month of a unit, in millicredits. What goes out is shown without its sign."""

    month: str
    opening: int = 0
    granted_paid: int = 0
    granted_free: int = 0
    adjusted: int = 0
    overage_billed: int = 0
    spent: int = 0
    expired: int = 0
    refunded: int = 0
    voided: int = 0
    withdrawn: int = 0
    closing: int = 0


def column_of(found: EntrySum) -> str | None:
    """Where the entries of a kind are counted; None for what only moves."""
    if found.type == "grant":
        return "granted_paid" if found.is_paid else "granted_free"
    if found.type == "overage" and found.is_adjustment:
        return "adjusted"
    return _BY_TYPE.get(found.type)


def next_month(month: str) -> str:
    """The month after ``2041-12`` is ``2042-01``."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year + number // 12:04d}-{number % 12 + 1:02d}"


def report_liability(sums: Iterable[EntrySum], *, until: str) -> list[LiabilityMonth]:
    """Every month from the first entry to ``until``, quiet ones included; each opens where the last closed."""
    months: dict[str, LiabilityMonth] = {}
    for found in sums:
        row = months.setdefault(found.month, LiabilityMonth(month=found.month))
        column = column_of(found)
        if column is not None:
            sign = -1 if column in _OUT else 1
            setattr(row, column, getattr(row, column) + sign * found.delta_mc)
        row.closing += found.delta_mc
    if not months:
        return []
    report: list[LiabilityMonth] = []
    month, balance_mc = min(months), 0
    while month <= max(until, *months):
        row = months.get(month) or LiabilityMonth(month=month)
        row.opening = balance_mc
        row.closing += balance_mc
        balance_mc = row.closing
        report.append(row)
        month = next_month(month)
    return report
