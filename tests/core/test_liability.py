"""The liability report: every entry in one column, and each month closes where the next one opens."""

from random import Random

import pytest
from tests.core.lives import Life
from tests.core.test_blocks_properties import SPANS, STEPS, step

from quotastack.core.liability import EntrySum, LiabilityMonth, column_of, next_month, report_liability

COLUMN = [
    # Type, paid, by an adjustment, and the column.
    ("grant", True, False, "granted_paid"),
    ("grant", False, False, "granted_free"),
    ("adjustment", False, False, "adjusted"),
    ("overage", False, True, "adjusted"),
    ("overage", False, False, "spent"),
    ("usage", False, False, "spent"),
    ("commit", False, False, "spent"),
    ("exchange", False, False, "spent"),
    ("refund", False, False, "spent"),
    ("expire", False, False, "expired"),
    ("topup_refund", False, False, "refunded"),
    ("void", False, False, "voided"),
    ("withdrawal", False, False, "withdrawn"),
    ("overage_billed", False, False, "overage_billed"),
    ("rollover_in", False, False, None),
    ("rollover_out", False, False, None),
]


@pytest.mark.parametrize(("kind", "is_paid", "is_adjustment", "column"), COLUMN)
def test_columns(*, kind: str, is_paid: bool, is_adjustment: bool, column: str | None) -> None:
    assert column_of(EntrySum("2041-03", kind, is_paid, is_adjustment, 1)) == column


def test_months() -> None:
    assert next_month("2041-11") == "2041-12"
    assert next_month("2041-12") == "2042-01"
    sums = [
        EntrySum("2041-11", "grant", is_paid=True, is_adjustment=False, delta_mc=100),
        EntrySum("2042-01", "usage", is_paid=False, is_adjustment=False, delta_mc=-30),
        EntrySum("2042-01", "refund", is_paid=False, is_adjustment=False, delta_mc=10),
    ]
    assert report_liability(sums, until="2042-02") == [
        LiabilityMonth(month="2041-11", granted_paid=100, closing=100),
        LiabilityMonth(month="2041-12", opening=100, closing=100),
        LiabilityMonth(month="2042-01", opening=100, spent=20, closing=80),
        LiabilityMonth(month="2042-02", opening=80, closing=80),
    ]
    assert report_liability([], until="2042-02") == []


@pytest.mark.parametrize("seed", range(6))
def test_the_report_closes_at_the_balance(seed: int) -> None:
    random, life = Random(seed), Life()
    for number in range(200):
        step(
            life, random.choice(STEPS), random.randint(1, 2_000), random.choice(SPANS), "credits", number % 51
        )
        if number % 20 == 0:
            life.later(days=9)
    sums = [
        EntrySum(
            f"{entry.created_at:%Y-%m}",
            entry.type,
            bool((entry.details or {}).get("price_paid")),
            entry.reference_type == "adjustment",
            entry.delta_mc,
        )
        for entry in life.entries
        if entry.unit == "credits"
    ]
    months = report_liability(sums, until=f"{life.now:%Y-%m}")
    assert months[-1].closing == life.balance()
    for row in months:
        came = row.granted_paid + row.granted_free + row.adjusted + row.overage_billed
        went = row.spent + row.expired + row.refunded + row.voided + row.withdrawn
        assert row.opening + came - went == row.closing
