"""Credits as tables: what each command does to blocks, account and ledger, and what it refuses."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import json, structs
from tests.core.lives import START, Life

from quotastack.core.amounts import AMOUNT_MAX
from quotastack.core.blocks import LIVE_BLOCKS_MAX
from quotastack.core.catalog import EnvironmentConfig
from quotastack.core.credit_views import view_block
from quotastack.core.credits import (
    AddAdjustment,
    ExchangeCredits,
    SetAccountStatus,
    TakeAdjustment,
    VoidBlock,
    WithdrawCredits,
)
from quotastack.core.customer_state import Block
from quotastack.core.errors import (
    AssetSuspendedError,
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    ProblemError,
    ValidationFailedError,
)
from quotastack.core.grants import GrantCredits, GrantTerms

HOUR = timedelta(hours=1)
UNTIL_2200 = (datetime(2200, 1, 1, tzinfo=UTC) - START) // timedelta(seconds=1)
ENDS = "A block expires after now and after its effective_at."


def grant(life: Life, credits_mc: int, **terms: Any) -> str:
    return life.run(GrantCredits(terms=GrantTerms(credits_mc=credits_mc, **terms))).block.id


def test_a_grant_is_one_block_and_one_line() -> None:
    life = Life()
    answer = life.run(GrantCredits(terms=GrantTerms(credits_mc=5_000, reason="welcome")), key="k")
    assert (answer.block.status, answer.block.remaining_amount) == ("active", 5_000)
    assert (answer.account.balance, answer.account.lifetime_earned) == (5_000, 5_000)
    (entry,) = life.entries
    assert (entry.type, entry.delta_mc, entry.blocks) == ("grant", 5_000, ((answer.block.id, 5_000),))
    assert entry.texts is not None
    assert (entry.texts.reason, entry.texts.idempotency_key) == ("welcome", "k")
    assert [event.type for event in life.events] == ["credit.granted"]
    life.check_books()


@pytest.mark.parametrize(
    ("terms", "field", "detail"),
    [
        ({"expires_at": START},                                    "expires_at", ENDS),
        ({"effective_at": START + HOUR, "expires_at": START + HOUR}, "expires_at", ENDS),
        ({"effective_at": START - HOUR, "expires_at": START},      "expires_at", ENDS),
        ({"expires_at": START + HOUR, "expires_after_seconds": 5}, "expires_after_seconds",
         "Give expires_at or expires_after_seconds, not both."),
        ({"expires_after_seconds": UNTIL_2200},                    "expires_after_seconds",
         "The block would expire after 2200-01-01."),
    ],
)  # fmt: skip
def test_terms_that_make_no_sense(terms: dict[str, Any], field: str, detail: str) -> None:
    """Their pointers lead to where they stand: in the body itself, or under its ``grant``."""
    life = Life()
    with pytest.raises(ValidationFailedError) as refusal:
        grant(life, 1_000, **terms)
    assert refusal.value.errors == ((f"/{field}", detail),)
    assert life.entries == []
    grant(life, 10)
    with pytest.raises(ValidationFailedError) as refusal:
        life.run(ExchangeCredits(debit_mc=1, grant=GrantTerms(credits_mc=1_000, **terms)))
    assert refusal.value.errors == ((f"/grant/{field}", detail),)


def test_a_block_may_live_until_2200() -> None:
    life = Life()
    grant(life, 5, expires_after_seconds=UNTIL_2200 - 1)
    (block,) = life.draft.live_blocks("credits")
    assert block.expires_at == datetime(2200, 1, 1, tzinfo=UTC) - timedelta(seconds=1)


def test_a_start_in_the_past_counts_its_seconds_from_now() -> None:
    life = Life()
    grant(life, 5, effective_at=START - HOUR, expires_after_seconds=60)
    (block,) = life.draft.live_blocks("credits")
    assert (block.effective_at, block.expires_at) == (START - HOUR, START + timedelta(seconds=60))


def test_a_block_shows_all_its_terms() -> None:
    terms: dict[str, Any] = {
        "unit": "credits",
        "priority": 3,
        "effective_at": START,
        "expires_at": START + HOUR,
        "source": "rollover",
        "price_paid": 490,
        "currency": "EUR",
        "package_id": "p",
        "external_payment_id": "pay_1",
        "subscription_id": "s",
        "grant_template_id": "t",
        "rolled_from_block_id": "r",
        "reason": "why",
        "metadata": {"a": 1},
        "status": "pending",
        "created_at": START - HOUR,
    }
    shown = view_block(Block(id="b", original_mc=9, remaining_mc=7, **terms))
    assert structs.asdict(shown) == {"id": "b", "original_amount": 9, "remaining_amount": 7, **terms}
    plain = view_block(
        Block(
            id="b",
            unit="credits",
            original_mc=9,
            remaining_mc=9,
            priority=0,
            effective_at=START,
            expires_at=None,
            source="topup",
            created_at=START,
        )
    )
    assert json.decode(json.encode(plain)).keys() == {
        "id", "unit", "original_amount", "remaining_amount", "priority", "effective_at", "expires_at",
        "source", "metadata", "status", "created_at",
    }  # fmt: skip


@pytest.mark.parametrize("terms", [{}, {"effective_at": START + HOUR}])
def test_texts_of_a_grant_stand_beside_its_line(terms: dict[str, Any]) -> None:
    life = Life()
    grant(life, 5, reason="welcome", metadata={"a": 1}, **terms)
    grant(life, 5, **terms)
    said, unsaid = (entry.texts for entry in life.entries)
    assert said is not None
    assert (said.reason, said.metadata, said.idempotency_key) == ("welcome", {"a": 1}, None)
    assert unsaid is None, "nothing was said, nothing is kept"


def test_sums_stay_within_the_bound() -> None:
    life = Life()
    grant(life, AMOUNT_MAX)
    with pytest.raises(ValidationFailedError):
        grant(life, 1)
    life.run(WithdrawCredits(amount_mc=AMOUNT_MAX))
    with pytest.raises(ValidationFailedError):
        grant(life, 1)
    pending = Life()
    grant(pending, AMOUNT_MAX, effective_at=START + HOUR)
    with pytest.raises(ValidationFailedError):
        grant(pending, 1)


def test_an_account_has_ten_thousand_live_blocks_at_most() -> None:
    life = Life()
    grant(life, 1)
    (block,) = life.draft.live_blocks("credits")
    life.draft.blocks = {"credits": (block,) * LIVE_BLOCKS_MAX}
    with pytest.raises(ConflictError):
        grant(life, 1)
    with pytest.raises(ConflictError):
        life.run(AddAdjustment(terms=GrantTerms(credits_mc=1, source="adjustment")))
    grant(life, 1, unit="tokens")


def test_a_pending_block_is_not_part_of_the_balance_until_it_starts() -> None:
    life = Life()
    grant(life, 700, effective_at=START + HOUR, expires_after_seconds=60)
    assert (life.balance(), life.types(), life.told("credit.granted")) == (0, ["grant_scheduled"], [])
    life.later(hours=1)
    assert (life.balance(), life.types()) == (700, ["grant_scheduled", "grant"])
    assert life.entries[-1].created_at == START + HOUR
    assert life.entries[-1].actor == "system"
    assert life.draft.account("credits").lifetime_earned_mc == 700
    life.later(seconds=59)
    assert life.balance() == 700
    life.later(seconds=1)
    assert (life.balance(), life.types()[-1]) == (0, "expire")
    life.check_books()


ORDER = [
    # priority, expires after (hours), price paid, remaining: in burn order, lowest first.
    (0, 1, None),
    (0, 1, 0),
    (0, 1, 500),
    (0, 2, None),
    (0, None, None),
    (5, 1, None),
]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_burn_order_is_total(order: Any) -> None:
    life = Life(config=EnvironmentConfig(priority_order=order))
    made = {}
    for place, (priority, hours, price) in enumerate(reversed(ORDER)):
        made[
            grant(
                life,
                10,
                priority=priority,
                expires_at=None if hours is None else START + hours * HOUR,
                price_paid=price,
            )
        ] = len(ORDER) - 1 - place
    burnt = [made[block.id] for block in life.draft.live_blocks("credits")]
    # Free without a price and free at 0 are one class: the older one, made later in the table, first.
    assert burnt == ([1, 0, 2, 3, 4, 5] if order == "asc" else [5, 1, 0, 2, 3, 4])


def test_withdraw_takes_from_many_blocks_or_from_none() -> None:
    life = Life()
    first, second = grant(life, 300, priority=0), grant(life, 500, priority=1)
    with pytest.raises(InsufficientCreditsError) as refusal:
        life.run(WithdrawCredits(amount_mc=801))
    assert refusal.value.extra == {"required": 801, "available": 800, "shortfall": 1}
    answer = life.run(WithdrawCredits(amount_mc=400))
    assert [(draw.block_id, draw.amount) for draw in answer.debit.blocks] == [(first, 300), (second, 100)]
    assert (answer.account.balance, answer.account.lifetime_spent) == (400, 0)
    assert life.told("credit.adjusted")[-1]["kind"] == "withdrawal"
    life.check_books()


def test_held_credits_cannot_be_withdrawn() -> None:
    life = Life()
    grant(life, 1_000)
    life.hold(600)
    with pytest.raises(InsufficientCreditsError) as refusal:
        life.run(WithdrawCredits(amount_mc=401))
    assert refusal.value.extra["available"] == 400
    life.run(WithdrawCredits(amount_mc=400))
    assert life.draft.account("credits").effective_mc == 0
    life.check_books()


def test_a_positive_adjustment_is_a_block() -> None:
    life = Life()
    answer = life.run(AddAdjustment(terms=GrantTerms(credits_mc=250, source="adjustment", reason="sorry")))
    assert (answer.block.source, answer.account.balance, life.types()) == ("adjustment", 250, ["adjustment"])
    assert life.told("credit.adjusted")[0]["delta"] == 250
    assert life.told("credit.granted") == []


def test_a_negative_adjustment_may_go_into_overdraft() -> None:
    life = Life()
    grant(life, 300)
    with pytest.raises(InsufficientCreditsError):
        life.run(TakeAdjustment(amount_mc=500, reason="fraud"))
    answer = life.run(TakeAdjustment(amount_mc=500, reason="fraud", allow_negative=True))
    assert (answer.debit.amount, answer.debit.overage) == (500, 200)
    assert (answer.account.balance, answer.account.overdraft, answer.account.lifetime_spent) == (-200, 200, 0)
    assert [(e.type, e.delta_mc) for e in life.entries[1:]] == [("adjustment", -300), ("overage", -200)]
    grant(life, 150)
    assert (life.balance(), life.draft.account("credits").overdraft_mc, life.left()) == (-50, 50, [])
    grant(life, 150)
    assert (life.balance(), life.left(), life.types()[-1]) == (100, [100], "overage_settlement")
    life.check_books()


def test_overdraft_leaves_held_credits_alone() -> None:
    life = Life()
    grant(life, 1_000)
    hold = life.hold(700)
    life.run(TakeAdjustment(amount_mc=500, reason="fraud", allow_negative=True))
    account = life.draft.account("credits")
    assert (account.blocks_mc, account.overdraft_mc, account.effective_mc) == (700, 200, -200)
    life.release(hold)
    account = life.draft.account("credits")
    assert (account.blocks_mc, account.overdraft_mc) == (500, 0)
    life.check_books()


def test_void_takes_what_holds_do_not_need() -> None:
    life = Life()
    block = grant(life, 1_000)
    hold = life.hold(300)
    answer = life.run(VoidBlock(block_id=block))
    assert (answer.debit.amount, answer.account.balance, answer.account.effective_balance) == (700, 300, 0)
    version = life.draft.version
    answer = life.run(VoidBlock(block_id=block))
    assert (answer.debit.amount, answer.version, life.draft.version) == (0, version, version)
    life.release(hold)
    life.run(VoidBlock(block_id=block))
    assert life.gone_blocks[block].status == "voided"
    with pytest.raises(ConflictError):
        life.run(VoidBlock(block_id=block))
    with pytest.raises(NotFoundError):
        life.run(VoidBlock(block_id=life.new_id()))
    life.check_books()


def test_void_of_a_pending_block() -> None:
    life = Life()
    block = grant(life, 400, effective_at=START + HOUR)
    life.run(VoidBlock(block_id=block))
    life.later(hours=2)
    assert (life.balance(), life.types()) == (0, ["grant_scheduled", "void"])
    assert life.gone_blocks[block].status == "voided"
    life.check_books()


def test_exchange_is_both_legs_or_neither() -> None:
    life = Life()
    grant(life, 500)
    terms = GrantTerms(credits_mc=70, unit="tokens", source="exchange")
    answer = life.run(ExchangeCredits(debit_mc=500, grant=terms))
    assert (answer.debit.amount, answer.block.source, answer.account.unit) == (500, "exchange", "tokens")
    assert (life.balance(), life.balance("tokens")) == (0, 70)
    assert life.draft.account("credits").lifetime_spent_mc == 500
    with pytest.raises(InsufficientCreditsError):
        life.run(ExchangeCredits(debit_mc=1, grant=terms))
    assert life.balance("tokens") == 70
    life.check_books()


REFUSED_WHEN_SUSPENDED = [
    WithdrawCredits(amount_mc=1),
    TakeAdjustment(amount_mc=1, reason="r"),
    TakeAdjustment(amount_mc=1, reason="r", allow_negative=True),
    ExchangeCredits(debit_mc=1, grant=GrantTerms(credits_mc=1)),
]


@pytest.mark.parametrize("command", REFUSED_WHEN_SUSPENDED, ids=lambda c: type(c).__name__)
def test_a_suspended_account_refuses_debits(command: Any) -> None:
    life = Life()
    block = grant(life, 100)
    life.run(SetAccountStatus(is_suspended=True))
    with pytest.raises(AssetSuspendedError):
        life.run(command)
    grant(life, 10)
    assert life.run(VoidBlock(block_id=block)).debit.amount == 100
    answer = life.run(SetAccountStatus(is_suspended=False))
    assert (answer.status, answer.balance) == ("active", 10)
    version = life.draft.version
    assert life.run(SetAccountStatus(is_suspended=False)).version == version
    life.run(command)
    life.check_books()


def test_expiry_is_exact_to_the_microsecond() -> None:
    life = Life()
    grant(life, 100, expires_at=START + HOUR)
    life.now = START + HOUR - timedelta(microseconds=1)
    life.run(WithdrawCredits(amount_mc=40))
    life.now = START + HOUR
    with pytest.raises(ProblemError):
        life.run(WithdrawCredits(amount_mc=1))
    assert life.draft.account("credits").lifetime_expired_mc == 60
    assert life.told("credit.expired") == [
        {"block_id": life.entries[0].blocks[0][0], "unit": "credits", "amount": 60, "balance": 0}
    ]
    life.check_books()


def test_what_holds_need_is_kept_at_expiry_for_them_alone() -> None:
    life = Life()
    grant(life, 100, expires_at=START + HOUR)
    hold = life.hold(60, seconds=7_200)
    life.later(hours=1)
    assert (life.balance(), life.left(), life.draft.account("credits").effective_mc) == (60, [60], 0)
    grant(life, 50)
    with pytest.raises(InsufficientCreditsError):
        life.run(WithdrawCredits(amount_mc=51))
    life.run(WithdrawCredits(amount_mc=50))
    life.commit(hold, 45)
    assert (life.balance(), life.types()[-1]) == (0, "expire")
    assert life.draft.account("credits").lifetime_expired_mc == 55
    life.check_books()


def test_a_kept_rest_never_outlives_the_holds_it_was_kept_for() -> None:
    life = Life()
    grant(life, 100, expires_at=START + HOUR)
    old = life.hold(60, seconds=7_200)
    life.later(hours=1)
    # A later hold beyond the balance, as an overage policy lets through, does not need the old rest.
    life.hold(500, seconds=7_200)
    life.release(old)
    assert (life.balance(), life.left()) == (0, [])
    life.check_books()


def test_a_hold_that_ends_at_the_expiry_of_its_block_keeps_nothing() -> None:
    life = Life()
    grant(life, 100, expires_at=START + HOUR)
    life.hold(100, seconds=3_600)
    life.later(hours=1)
    assert (life.balance(), life.types()[-2:]) == (0, ["reservation_expired", "expire"])
    life.check_books()
