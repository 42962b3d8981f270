"""Amounts at their bounds, and the one spelling of a number that is spelled in many ways."""

from typing import Any

import pytest

from quotastack.core.amounts import (
    AMOUNT_MAX,
    AmountOverflowError,
    checked_amount,
    read_units,
    spell_number,
    units_on_the_wire,
)


@pytest.mark.parametrize("amount_mc", [0, 1, AMOUNT_MAX, -AMOUNT_MAX])
def test_an_amount_within_the_bound_is_itself(amount_mc: int) -> None:
    assert checked_amount(amount_mc) == amount_mc


@pytest.mark.parametrize("amount_mc", [2**53, -(2**53)])
def test_an_amount_beyond_the_bound_says_so(amount_mc: int) -> None:
    with pytest.raises(AmountOverflowError, match=rf"^the amount {amount_mc} is beyond 9007199254740991$"):
        checked_amount(amount_mc)


UNITS = [
    # scale, as written          units          as answered
    (0,      5,                  5,             5),
    (0,      -5,                 -5,            -5),
    (0,      "5",                None,          None),
    (0,      5.0,                None,          None),
    (0,      True,               None,          None),
    (0,      2**53 - 1,          2**53 - 1,     2**53 - 1),
    (0,      2**53,              None,          None),
    (0,      -(2**53),           None,          None),
    (2,      5,                  500,           "5.00"),
    (2,      "1.25",             125,           "1.25"),
    (2,      "1.2",              120,           "1.20"),
    (2,      "-0.05",            -5,            "-0.05"),
    (2,      "1.250",            None,          None),
    (2,      "1.",               None,          None),
    (2,      "one",              None,          None),
    (6,      "0.000001",         1,             "0.000001"),
    (6,      "9007199254.740991", 2**53 - 1,    "9007199254.740991"),
    (6,      "9007199254.740992", None,         None),
    (6,      "-9007199254.740992", None,        None),
]  # fmt: skip


@pytest.mark.parametrize(("scale", "written", "units", "answered"), UNITS)
def test_units_are_read_and_answered_at_the_scale(
    scale: int, written: Any, units: int | None, answered: int | str | None
) -> None:
    assert read_units(written, scale) == units
    if units is not None:
        assert units_on_the_wire(units, scale) == answered


SPELLINGS = [
    ("100",     100),
    ("100.0",   100),
    ("1e2",     100),
    ("1E+20",   10**20),
    ("-0.0",    0),
    ("2.5",     ("number", "2.5")),
    ("2.50",    ("number", "2.5")),
    ("25e-1",   ("number", "2.5")),
    ("-0.001",  ("number", "-0.001")),
    ("1e-7",    ("number", "0.0000001")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "spelled"), SPELLINGS)
def test_the_same_number_has_one_spelling(text: str, spelled: Any) -> None:
    assert spell_number(text) == spelled
    assert type(spell_number(text)) is type(spelled)
