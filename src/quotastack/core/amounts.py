"""Amounts: the bounds of every number that is money or units.

A credit amount is an int of millicredits whose absolute value JavaScript can hold exactly. Units of
a metric are ints at the metric's scale: 1.25 units of a metric of scale 2 are 125.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

AMOUNT_MAX: Final = 2**53 - 1
SCALE_MAX: Final = 6


class AmountOverflowError(ArithmeticError):
    """A derived amount (a product, a sum) is beyond ``AMOUNT_MAX``; the caller's input caused it."""


def checked_amount(amount_mc: int) -> int:
    """``amount_mc`` itself, when it is within the contract's bound.

    Raises:
        AmountOverflowError: its absolute value is above ``AMOUNT_MAX``.
    """
    if -AMOUNT_MAX <= amount_mc <= AMOUNT_MAX:
        return amount_mc
    message = f"the amount {amount_mc} is beyond {AMOUNT_MAX}"
    raise AmountOverflowError(message)


def units_on_the_wire(units: int, scale: int) -> int | str:
    """How ``units`` of a metric of ``scale`` are answered: an int at scale 0, else a decimal string.

    The string has exactly ``scale`` decimals, so equal amounts are equal texts.
    """
    if scale == 0:
        return units
    return format(Decimal(units).scaleb(-scale), f".{scale}f")
