"""Topups as tables: what fills what, what counts once, what a refund may touch, when a topup is asked for."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET
from tests.core.lives import START, Life

from quotastack.core import blocks
from quotastack.core.amounts import Share, read_share
from quotastack.core.catalog import Package
from quotastack.core.credits import SetAccountStatus, VoidBlock, WithdrawCredits
from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError, NotFoundError, ValidationFailedError
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.topups import DeleteAutoTopup, GrantTopup, RefundTopup, SetAutoTopup

PACK = "0190a000-0000-7000-8000-0000000000aa"
OTHER = "0190a000-0000-7000-8000-0000000000bb"


def package(**terms: Any) -> Package:
    values: dict[str, Any] = {
        "id": PACK,
        "name": "Pack",
        "credits": 5_000,
        "price": 490,
        "currency": "EUR",
        "priority": 5,
        "expires_after_seconds": 3_600,
        "bonus_credits": 700,
        "created_at": START,
        "updated_at": START,
    }
    return Package(**{**values, **terms})


def shop() -> Life:
    return Life(packages={PACK: package(), OTHER: package(id=OTHER, active=False)})


HOUR = START + timedelta(hours=1)
TWO_HOURS = START + timedelta(hours=2)
UNKNOWN = "0190a000-0000-7000-8000-0000000000cc"

FILLED = [
    # The request, and then the block: credits, price, currency, priority, expiry and unit.
    ({"package_id": PACK}, (5_000, 490, "EUR", 5, HOUR, "credits")),
    ({"package_id": PACK, "credits_mc": 9}, (9, 490, "EUR", 5, HOUR, "credits")),
    ({"package_id": PACK, "price_paid": 0}, (5_000, 0, "EUR", 5, HOUR, "credits")),
    ({"package_id": PACK, "priority": 0, "unit": "tokens"}, (5_000, 490, "EUR", 0, HOUR, "tokens")),
    ({"package_id": PACK, "expires_after_seconds": 7_200}, (5_000, 490, "EUR", 5, TWO_HOURS, "credits")),
    ({"package_id": PACK, "expires_at": TWO_HOURS}, (5_000, 490, "EUR", 5, TWO_HOURS, "credits")),
    ({"credits_mc": 9}, (9, None, None, 0, None, "credits")),
    ({"credits_mc": 9, "price_paid": 1, "currency": "USD"}, (9, 1, "USD", 0, None, "credits")),
]  # fmt: skip


@pytest.mark.parametrize(("request_fields", "expected"), FILLED)
def test_the_package_fills_what_the_request_leaves_out(request_fields: Any, expected: Any) -> None:
    life = shop()
    block = life.run(GrantTopup(**request_fields)).block
    price = block.price_paid if isinstance(block.price_paid, int) else None
    currency = block.currency if isinstance(block.currency, str) else None
    told = (block.original_amount, price, currency, block.priority, block.expires_at, block.unit)
    assert told == expected
    life.check_books()


def test_a_bonus_is_a_free_block_of_its_own() -> None:
    life = shop()
    answer = life.run(GrantTopup(package_id=PACK, external_payment_id="pay_1"))
    assert answer.bonus_block.original_amount == 700
    assert answer.bonus_block.source == "promotional"
    assert life.left() == [700, 5_000], "the free one burns first"
    assert answer.account.balance == 5_700
    assert [event.type for event in life.events] == ["credit.granted", "credit.granted"]


@pytest.mark.parametrize("is_with_bonus", [False, True])
def test_both_blocks_need_room(monkeypatch: pytest.MonkeyPatch, *, is_with_bonus: bool) -> None:
    """The last free place takes a pack without a bonus; one with a bonus is not granted by halves."""
    monkeypatch.setattr(blocks, "LIVE_BLOCKS_MAX", 2)
    bonus = {} if is_with_bonus else {"bonus_credits": 0}
    life = Life(packages={PACK: package(**bonus)})
    life.run(GrantTopup(credits_mc=1))
    if not is_with_bonus:
        assert life.run(GrantTopup(package_id=PACK)).account.balance == 5_001
        return
    with pytest.raises(ConflictError):
        life.run(GrantTopup(package_id=PACK))
    assert life.left() == [1]
    life.run(WithdrawCredits(amount_mc=1))
    assert life.run(GrantTopup(package_id=PACK)).account.balance == 5_700


REFUSALS = [
    ({}, ValidationFailedError),
    ({"package_id": UNKNOWN}, NotFoundError),
    ({"package_id": OTHER}, ConflictError),
    ({"credits_mc": 5, "expires_at": START}, ValidationFailedError),
    ({"credits_mc": 5, "expires_at": HOUR, "expires_after_seconds": 9}, ValidationFailedError),
]


@pytest.mark.parametrize(("request_fields", "refusal"), REFUSALS)
def test_refusals(request_fields: Any, refusal: Any) -> None:
    life = shop()
    with pytest.raises(refusal):
        life.run(GrantTopup(**request_fields))
    assert life.entries == []


def test_a_payment_counts_once() -> None:
    life = shop()
    first = life.run(GrantTopup(credits_mc=5, external_payment_id="pay_1")).block.id
    life.draft.extra["payment", "pay_1"] = first
    with pytest.raises(ConflictError) as refusal:
        life.run(GrantTopup(credits_mc=5, external_payment_id="pay_1"))
    assert refusal.value.extra == {"block_id": first}
    # Twice in one transaction: what was loaded does not know the first one yet.
    context = life.context()
    GrantTopup(credits_mc=5, external_payment_id="pay_2").decide(life.draft, context)
    with pytest.raises(ConflictError):
        GrantTopup(credits_mc=5, external_payment_id="pay_2").decide(life.draft, context)


REFUNDS = [
    # What was spent and held before, the request, and then what was taken, spent and held.
    (0, 0, {}, (10_001, 0, 0)),
    (2_001, 0, {}, (8_000, 2_001, 0)),
    (2_001, 3_000, {}, (5_000, 2_001, 3_000)),
    (0, 10_001, {}, (0, 0, 10_001)),
    (2_001, 3_000, {"credits_mc": 5_000}, (5_000, 2_001, 0)),
    (2_001, 3_000, {"credits_mc": 5_001}, (5_000, 2_001, 1)),
    (2_001, 0, {"credits_mc": 50_000}, (8_000, 2_001, 0)),
    (0, 0, {"fraction": Share(1, 2)}, (5_000, 0, 0)),
    (0, 0, {"fraction": Share(1, 3)}, (3_333, 0, 0)),
    (9_000, 0, {"fraction": Share(1, 2)}, (1_001, 9_000, 0)),
    (0, 0, {"fraction": Share(1, 100_000)}, (0, 0, 0)),
]


@pytest.mark.parametrize(("spent", "held", "request_fields", "expected"), REFUNDS)
def test_a_refund_touches_nothing_spent_or_held(
    spent: int, held: int, request_fields: Any, expected: Any
) -> None:
    life = shop()
    block = life.run(GrantTopup(credits_mc=10_001, price_paid=900)).block.id
    if spent:
        life.run(WithdrawCredits(amount_mc=spent))
    if held:
        life.hold(held)
    answer = life.run(RefundTopup(block_id=block, **request_fields))
    assert (answer.debit.amount, answer.spent, answer.held) == expected
    assert life.draft.account("credits").effective_mc == 10_001 - spent - held - expected[0]
    life.check_books()


def test_what_expired_or_was_taken_back_is_not_spent() -> None:
    life = shop()
    block = life.run(GrantTopup(credits_mc=1_000, expires_after_seconds=3_600)).block.id
    life.run(WithdrawCredits(amount_mc=100))
    life.run(RefundTopup(block_id=block, credits_mc=300))
    life.later(hours=1)
    answer = life.run(RefundTopup(block_id=block))
    assert (answer.debit.amount, answer.spent, answer.held) == (0, 100, 0)
    life.check_books()


def test_only_topups_are_refunded() -> None:
    life = shop()
    gift = life.run(GrantCredits(terms=GrantTerms(credits_mc=5))).block.id
    with pytest.raises(ConflictError):
        life.run(RefundTopup(block_id=gift))
    with pytest.raises(NotFoundError):
        life.run(RefundTopup(block_id=PACK))


# Auto-topups


def low(life: Life, amount: int) -> None:
    life.run(WithdrawCredits(amount_mc=amount))


def wallet(amount: int, **terms: Any) -> Life:
    life = shop()
    life.run(GrantCredits(terms=GrantTerms(credits_mc=amount)))
    life.run(SetAutoTopup(**{"threshold": 1_000, "credits_mc": 5_000, **terms}))
    return life


def test_asked_once_for_each_fall() -> None:
    life = wallet(5_000)
    low(life, 3_999)
    assert life.told("topup.requested") == []
    low(life, 1)
    low(life, 10)
    assert len(life.told("topup.requested")) == 1
    life.run(GrantCredits(terms=GrantTerms(credits_mc=5)))
    low(life, 1)
    assert len(life.told("topup.requested")) == 1, "it never rose above the threshold"
    life.run(GrantCredits(terms=GrantTerms(credits_mc=5_000)))
    low(life, 5_000)
    assert len(life.told("topup.requested")) == 2


def test_the_cooldown_holds_back_and_repeats() -> None:
    life = wallet(1_500, cooldown_seconds=600)
    low(life, 600)
    for seconds in (1, 598):
        life.later(seconds=seconds)
        life.run(GrantCredits(terms=GrantTerms(credits_mc=500)))
        low(life, 500)
        assert len(life.told("topup.requested")) == 1
    life.later(seconds=1)
    low(life, 1)
    assert len(life.told("topup.requested")) == 2


def test_the_period_caps_the_requests() -> None:
    life = wallet(1_500, max_per_period=1, period="day")
    for expected in (1, 1):
        low(life, 1_000)
        life.run(GrantCredits(terms=GrantTerms(credits_mc=1_000)))
        assert len(life.told("topup.requested")) == expected
    life.later(days=1)
    low(life, 1_000)
    assert len(life.told("topup.requested")) == 2
    assert life.draft.auto_topups["credits"].requested_in_period == 1


def test_nobody_is_asked_for_a_suspended_account() -> None:
    life = wallet(1_500)
    life.run(SetAccountStatus(is_suspended=True))
    block = life.draft.live_blocks("credits")[0]
    life.run(VoidBlock(block_id=block.id))
    assert (life.balance(), life.told("topup.requested")) == (0, [])


def test_time_can_make_a_balance_low() -> None:
    life = shop()
    life.run(GrantCredits(terms=GrantTerms(credits_mc=5_000, expires_after_seconds=3_600)))
    life.run(SetAutoTopup(threshold=1_000, package_id=PACK))
    life.later(hours=2)
    (asked,) = life.told("topup.requested")
    assert (asked["package_id"], asked["credits"], asked["price"]) == (PACK, 5_000, 490)
    (event,) = [event for event in life.events if event.type == "topup.requested"]
    assert event.created_at == START + timedelta(hours=1)


ASKED = [
    # the package meanwhile                          what the app is asked for, besides the sums
    ({},                                             {"credits": 5_000, "price": 490, "currency": "EUR"}),
    ({"price": None},                                {"credits": 5_000, "currency": "EUR"}),
    ({"currency": None},                             {"credits": 5_000, "price": 490}),
    ({"credits": 9, "price": 0},                     {"credits": 9, "price": 0, "currency": "EUR"}),
    ({"active": False},                              None),
    (None,                                           None),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), ASKED)
def test_the_app_is_asked_for_the_package_as_it_is_then(changes: Any, expected: Any) -> None:
    life = wallet(1_500, package_id=PACK, credits_mc=None)
    packages = {} if changes is None else {PACK: package(**changes)}
    life.catalog = replace(life.catalog, packages=packages)
    low(life, 500)
    facts = {"threshold": 1_000, "unit": "credits", "balance": 1_000, "effective_balance": 1_000}
    asked = life.told("topup.requested")
    if expected is None:
        assert asked == []
        assert life.draft.auto_topups["credits"].is_armed, "it was not asked, and is when the package is back"
        return
    assert asked == [{**facts, "package_id": PACK, **expected}]


def test_the_app_is_asked_for_credits() -> None:
    life = wallet(1_500)
    life.hold(200)
    low(life, 600)
    facts = {"threshold": 1_000, "unit": "credits", "balance": 900, "effective_balance": 700}
    assert life.told("topup.requested") == [{**facts, "credits": 5_000}]


def test_an_auto_topup_shows_its_terms_and_what_was_asked() -> None:
    life = wallet(5_000, max_per_period=3, period="day", cooldown_seconds=60)
    made_at = life.now
    life.later(seconds=90)
    low(life, 4_000)
    told = life.run(SetAutoTopup(threshold=500, package_id=PACK, period="day"))
    assert (told.unit, told.threshold, told.package_id, told.credits) == ("credits", 500, PACK, UNSET)
    assert (told.max_per_period, told.period, told.cooldown_seconds) == (None, "day", 0)
    assert (told.requested_in_period, told.last_requested_at) == (1, life.now)
    assert (told.created_at, told.updated_at) == (made_at, life.now)
    life.later(days=1)
    again = life.run(SetAutoTopup(threshold=500, credits_mc=7, period="day"))
    assert (again.requested_in_period, again.package_id, again.credits) == (0, UNSET, 7)
    assert again.version == life.draft.version


def test_a_balance_that_is_low_already_is_asked_for_at_once() -> None:
    assert len(wallet(1_000).told("topup.requested")) == 1
    assert wallet(1_001).told("topup.requested") == []


def test_an_auto_topup_goes_away() -> None:
    life = wallet(1_500)
    life.run(DeleteAutoTopup())
    low(life, 1_500)
    assert life.told("topup.requested") == []
    with pytest.raises(NotFoundError) as gone:
        life.run(DeleteAutoTopup())
    assert gone.value.detail == "The customer has no auto-topup for this unit."
    with pytest.raises(ConflictError) as inactive:
        life.run(SetAutoTopup(threshold=1, package_id=OTHER))
    assert inactive.value.detail == "The topup package is not active."
    assert inactive.value.extra == {"package_id": OTHER}
    with pytest.raises(NotFoundError, match=r"^There is no such topup package\.$"):
        life.run(SetAutoTopup(threshold=1, package_id=UNKNOWN))
    with pytest.raises(ValidationFailedError) as other_unit:
        life.run(SetAutoTopup(threshold=1, package_id=PACK, unit="tokens"))
    assert other_unit.value.errors == (("/package_id", "The package is for credits."),)


SHARES = [
    ("0.5", (1, 2)),
    ("1", (1, 1)),
    ("0.1", (1, 10)),
    ("1e-30", (1, 10**30)),
    ("0", None),
    ("-0.5", None),
    ("1.000001", None),
    ("NaN", None),
    ("sNaN", None),
    ("Infinity", None),
    ("1e-31", None),
    ("1e-999999999", None),
    ("1e999999999", None),
]


@pytest.mark.parametrize(("text", "share"), SHARES)
def test_shares(text: str, share: tuple[int, int] | None) -> None:
    assert read_share(Decimal(text)) == share
