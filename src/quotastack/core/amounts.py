"""Amounts: the bounds of every number that is money or units.

A credit amount is an int of millicredits whose absolute value JavaScript can hold exactly. Units of
a metric are ints at the metric's scale: 1.25 units of a metric of scale 2 are 125.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

AMOUNT_MAX: Final = 2**53 - 1
SCALE_MAX: Final = 6
SHARE_DECIMALS_MAX: Final = 30

_is_decimal = re.compile(r"(?P<sign>-)?(?P<whole>[0-9]{1,16})(?:\.(?P<fraction>[0-9]{1,6}))?").fullmatch


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


def read_units(value: Any, scale: int) -> int | None:
    """Units as a caller wrote them, at the metric's ``scale``; None when they are not readable as such.

    At scale 0 JSON integers only; else integers, or decimal strings of at most ``scale`` decimals.
    """
    if type(value) is int:
        units = value * 10**scale if scale else value
    elif scale and isinstance(value, str) and (found := _is_decimal(value)) is not None:
        fraction = found["fraction"] or ""
        if len(fraction) > scale:
            return None
        units = int(found["whole"] + fraction.ljust(scale, "0"))
        if found["sign"]:
            units = -units
    else:
        return None
    return units if -AMOUNT_MAX <= units <= AMOUNT_MAX else None


ExactNumber: TypeAlias = Decimal
"""A JSON number or decimal string, read without rounding."""


class Share(NamedTuple):
    """A part of a whole: ``numerator / denominator``, above 0 and at most 1."""

    numerator: int
    denominator: int


def read_share(number: ExactNumber) -> Share | None:
    """The share that a number says; None unless it is above 0, at most 1, and of at most 30 decimals.

    The decimals are looked at first: a denominator of a billion digits would keep the server busy.
    """
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -SHARE_DECIMALS_MAX or not 0 < number <= 1:
        return None
    return Share(*number.as_integer_ratio())


def share_of(amount_mc: int, share: Share) -> int:
    """That part of an amount, rounded down."""
    return amount_mc * share.numerator // share.denominator


def spell_number(text: str) -> int | tuple[str, str]:
    """One spelling for all that are the same number: ``1e2``, ``100.0`` and ``100`` are 100.

    What is no integer keeps its decimals, marked so that it equals no string.
    """
    number = Decimal(text)
    if number == number.to_integral_value():
        return int(number)
    return ("number", format(number.normalize(), "f"))
