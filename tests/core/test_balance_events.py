"""What is told of a falling balance: crossings only, and only when an instant is over."""

from datetime import timedelta

import pytest
from tests.core.lives import START, Life

from quotastack.core.catalog import EnvironmentConfig
from quotastack.core.credits import TakeAdjustment, WithdrawCredits
from quotastack.core.customers import ChangeCustomer
from quotastack.core.grants import GrantCredits, GrantTerms

HOUR = timedelta(hours=1)

# The balance before each step is 0 at first; thresholds are 500.
STORIES = [
    # moves, low told, exhausted told
    ([400], 0, 0),
    ([1_000, -499], 0, 0),
    ([1_000, -500], 1, 0),
    ([1_000, -500, -100, -399], 1, 0),
    ([1_000, -1_000], 1, 1),
    ([1_000, -700, 100, -50], 1, 0),
    ([1_000, -700, 700, -800], 2, 0),
    ([1_000, -700, 200, -1], 1, 0),
    ([1_000, -1_500], 1, 1),
    ([1_000, -1_500, 600, -100], 1, 2),
    ([-100, -100], 0, 0),
]


@pytest.mark.parametrize(("moves", "low", "exhausted"), STORIES)
def test_crossings(moves: list[int], low: int, exhausted: int) -> None:
    life = Life(config=EnvironmentConfig(low_balance_threshold=500))
    for move in moves:
        if move > 0:
            life.run(GrantCredits(terms=GrantTerms(credits_mc=move)))
        else:
            life.run(TakeAdjustment(amount_mc=-move, reason="r", allow_negative=True))
    assert (len(life.told("credit.balance_low")), len(life.told("credit.exhausted"))) == (low, exhausted)


def test_the_customers_threshold_wins_and_null_is_off() -> None:
    life = Life(config=EnvironmentConfig(low_balance_threshold=500))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1_000)))
    life.run(ChangeCustomer(low_balance_threshold=900))
    life.run(WithdrawCredits(amount_mc=100))
    assert [told["threshold"] for told in life.told("credit.balance_low")] == [900]
    off = Life()
    off.run(GrantCredits(terms=GrantTerms(credits_mc=1_000)))
    off.run(WithdrawCredits(amount_mc=999))
    assert off.told("credit.balance_low") == []


def test_a_hold_does_not_lower_the_balance() -> None:
    life = Life(config=EnvironmentConfig(low_balance_threshold=500))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1_000)))
    hold = life.hold(1_000)
    life.release(hold)
    assert life.told("credit.balance_low") == life.told("credit.exhausted") == []


def test_time_tells_at_the_instant_of_the_fall() -> None:
    life = Life(config=EnvironmentConfig(low_balance_threshold=500))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1_000, expires_at=START + HOUR)))
    life.later(hours=5)
    told = [(event.type, event.created_at) for event in life.events[1:]]
    at = START + HOUR
    assert told == [("credit.expired", at), ("credit.balance_low", at), ("credit.exhausted", at)]


def test_a_successor_that_starts_at_once_is_no_fall() -> None:
    life = Life(config=EnvironmentConfig(low_balance_threshold=500))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1_000, expires_at=START + HOUR)))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1_000, effective_at=START + HOUR)))
    life.later(hours=2)
    assert life.balance() == 1_000
    assert life.told("credit.balance_low") == life.told("credit.exhausted") == []


def test_an_expiry_is_announced_72_hours_before_once() -> None:
    life = Life()
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1_000, expires_at=START + 100 * HOUR)))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1_000, expires_at=START + 72 * HOUR)))
    life.later(hours=27)
    assert life.told("credit.expiring_soon") == []
    life.later(hours=60)
    (event,) = [event for event in life.events if event.type == "credit.expiring_soon"]
    assert event.created_at == START + 28 * HOUR
