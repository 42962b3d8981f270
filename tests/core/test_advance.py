"""advance: many due things cost one look each, and what time makes due meanwhile is not missed."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.lives import START, Life

from quotastack.core import advance as advance_module
from quotastack.core.advance import advance
from quotastack.core.grants import GrantCredits, GrantTerms

HOUR = timedelta(hours=1)


def test_looks_do_not_grow_with_the_square(monkeypatch: Any) -> None:
    """Each block is looked at when a slice is planned, not once for every other block's expiry."""
    looks = 0
    real = advance_module.expiring_soon_at

    def counted(block: Any) -> Any:
        nonlocal looks
        looks += 1
        return real(block)

    monkeypatch.setattr(advance_module, "expiring_soon_at", counted)
    life = Life()
    for number in range(400):
        life.run(GrantCredits(terms=GrantTerms(credits_mc=1, expires_at=START + (number + 1) * HOUR)))
    looks = 0
    life.later(hours=500)
    assert (life.balance(), len(life.told("credit.expired"))) == (0, 400)
    assert looks < 400 * 20
    life.check_books()


def test_a_block_that_starts_meanwhile_expires_in_its_turn() -> None:
    life = Life()
    terms = {"credits_mc": 10, "effective_at": START + HOUR, "expires_at": START + 2 * HOUR}
    life.run(GrantCredits(terms=GrantTerms(**terms)))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=5, expires_at=START + 3 * HOUR)))
    life.later(hours=4)
    steps = [(entry.type, entry.created_at) for entry in life.entries[2:]]
    assert steps == [
        ("grant", START + HOUR),
        ("expire", START + 2 * HOUR),
        ("expire", START + 3 * HOUR),
    ]
    life.check_books()


@pytest.mark.parametrize("steps_max", [1, 2, 3])
def test_a_slice_ends_between_instants(steps_max: int) -> None:
    life = Life()
    for _ in range(3):
        life.run(GrantCredits(terms=GrantTerms(credits_mc=1, expires_at=START + HOUR)))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1, expires_at=START + 2 * HOUR)))
    life.now = START + 5 * HOUR
    assert advance(life.draft, life.context(), steps_max=steps_max) is False
    assert life.balance() == 1, "all of the first instant, nothing of the second"
    assert life.draft.due_at == START + 2 * HOUR
    assert advance(life.draft, life.context(), steps_max=steps_max) is True


def test_a_slice_with_room_takes_the_next_instant_along() -> None:
    life = Life()
    for hours in (1, 1, 2):
        life.run(GrantCredits(terms=GrantTerms(credits_mc=1, expires_at=START + hours * HOUR)))
    life.now = START + 5 * HOUR
    assert advance(life.draft, life.context(), steps_max=3) is True
    assert life.balance() == 0


def test_a_settlement_that_uses_a_block_up_leaves_nothing_to_expire() -> None:
    from quotastack.core.credits import TakeAdjustment

    life = Life()
    life.run(GrantCredits(terms=GrantTerms(credits_mc=100, expires_at=START + 2 * HOUR)))
    life.hold(100, seconds=3_600)
    life.run(TakeAdjustment(amount_mc=100, reason="r", allow_negative=True))
    life.later(hours=3)
    assert life.types()[-2:] == ["reservation_expired", "overage_settlement"]
    assert life.told("credit.expired") == []
    life.check_books()
