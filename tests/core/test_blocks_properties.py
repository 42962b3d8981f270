"""Properties of the books: whatever is done in whatever order, the ledger rebuilds what there is."""

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.lives import Life

from quotastack.core.catalog import EnvironmentConfig
from quotastack.core.credits import (
    AddAdjustment,
    ExchangeCredits,
    TakeAdjustment,
    VoidBlock,
    WithdrawCredits,
)
from quotastack.core.errors import ProblemError
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.topups import GrantTopup, RefundTopup

amounts = st.integers(1, 2_000)
units = st.sampled_from(["credits", "credits", "credits", "tokens"])
SPANS = (1, 30, 59, 60, 61, 300, 3_600)
spans = st.sampled_from(SPANS)
STEPS = (
    "grant",
    "grant",
    "pending",
    "topup",
    "hold",
    "hold",
    "overhold",
    "release",
    "commit",
    "commit",
    "withdraw",
    "take",
    "add",
    "exchange",
    "void",
    "refund",
    "later",
    "later",
)
steps = st.lists(st.tuples(st.sampled_from(STEPS), amounts, spans, units, st.integers(0, 50)), max_size=40)


def blocks_of(life: Life) -> list[str]:
    live = [block.id for blocks in life.draft.blocks.values() for block in blocks]
    return sorted([*live, *(block.id for block in life.draft.pending_blocks), *life.gone_blocks])


def pick(items: list[str], index: int) -> str | None:
    return items[index % len(items)] if items else None


def command_of(life: Life, name: str, amount: int, span: int, unit: str, index: int) -> Any:
    terms = {"credits_mc": amount, "unit": unit, "priority": index % 3}
    if name == "grant":
        return GrantCredits(terms=GrantTerms(**terms, expires_after_seconds=span if index % 2 else None))
    if name == "pending":
        starts = life.now + timedelta(seconds=span)
        return GrantCredits(terms=GrantTerms(**terms, effective_at=starts, expires_after_seconds=60))
    if name == "topup":
        return GrantTopup(credits_mc=amount, unit=unit, price_paid=index, expires_after_seconds=span)
    if name == "withdraw":
        return WithdrawCredits(amount_mc=amount, unit=unit)
    if name == "take":
        return TakeAdjustment(amount_mc=amount, unit=unit, reason="r", allow_negative=index % 2 == 0)
    if name == "add":
        return AddAdjustment(terms=GrantTerms(credits_mc=amount, unit=unit, source="adjustment"))
    if name == "exchange":
        return ExchangeCredits(debit_mc=amount, unit=unit, grant=GrantTerms(credits_mc=index + 1))
    block_id = pick(blocks_of(life), index)
    if block_id is None:
        return None
    return VoidBlock(block_id=block_id) if name == "void" else RefundTopup(block_id=block_id)


def step(life: Life, name: str, amount: int, span: int, unit: str, index: int) -> None:
    if name == "later":
        life.later(seconds=span)
    elif name in {"hold", "overhold"}:
        life.catch_up()
        free = life.draft.account(unit).effective_mc
        if name == "overhold" or free >= amount:
            life.hold(amount, seconds=span, unit=unit)
    elif name in {"release", "commit"}:
        life.catch_up()
        hold_id = pick(sorted(life.draft.holds), index)
        if hold_id is None:
            return
        hold = life.draft.holds[hold_id]
        others = life.draft.account(hold.unit).reserved_mc - hold.reserved_mc
        covered = max(0, life.draft.account(hold.unit).blocks_mc - others)
        if name == "release":
            life.release(hold_id)
        else:
            life.commit(hold_id, min(amount, hold.reserved_mc, covered))
    else:
        command = command_of(life, name, amount, span, unit, index)
        if command is None:
            return
        try:
            life.run(command)
        except ProblemError:
            life.check_books()


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=steps, order=st.sampled_from(["asc", "desc"]))
def test_the_ledger_rebuilds_accounts_blocks_and_holds(steps: list[Any], order: Any) -> None:
    life = Life(config=EnvironmentConfig(priority_order=order))
    for one in steps:
        step(life, *one)
        life.check_books()
    life.later(days=40)
    assert life.draft.holds == {}
    assert life.draft.pending_blocks == ()
    life.check_books()
    assert all(not block.is_kept for block in life.draft.live_blocks("credits")), (
        "no hold is left to keep for"
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_books_of_a_long_life(seed: int) -> None:
    random = Random(seed)
    life = Life(config=EnvironmentConfig(priority_order="desc" if seed % 4 == 3 else "asc"))
    for number in range(250):
        unit = random.choice(["credits", "credits", "credits", "tokens"])
        step(life, random.choice(STEPS), random.randint(1, 2_000), random.choice(SPANS), unit, number % 51)
        if number % 10 == 0:
            life.check_books()
    life.check_books()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=steps)
def test_overdraft_and_free_credits_never_stand_side_by_side(steps: list[Any]) -> None:
    life = Life()
    for one in steps:
        step(life, *one)
        for account in life.draft.accounts.values():
            assert account.overdraft_mc == 0 or account.free_mc == 0
            assert account.lifetime_earned_mc >= account.lifetime_expired_mc


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    grants=st.lists(st.tuples(amounts, st.integers(0, 3), spans), min_size=1, max_size=8),
    holds=st.lists(st.tuples(st.integers(1, 300), spans), max_size=4),
    cuts=st.lists(st.integers(1, 3_700), max_size=6),
)
def test_one_long_step_of_time_equals_many_short_ones(grants: Any, holds: Any, cuts: Any) -> None:
    def lived(moments: list[int]) -> Life:
        life = Life()
        for amount, priority, span in grants:
            terms = GrantTerms(credits_mc=amount, priority=priority, expires_after_seconds=span)
            life.run(GrantCredits(terms=terms))
        for amount, span in holds:
            life.hold(amount, seconds=span)
        start = life.now
        for seconds in moments:
            life.now = start + timedelta(seconds=seconds)
            life.catch_up()
        return life

    once, often = lived([4_000]), lived([*sorted(cuts), 4_000])
    assert once.entries == often.entries
    assert [(e.id, e.type, e.data) for e in once.events] == [(e.id, e.type, e.data) for e in often.events]
    assert once.draft.freeze() == often.draft.freeze()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    grants=st.lists(
        st.tuples(amounts, st.integers(0, 3), st.one_of(st.none(), spans)), min_size=2, max_size=7
    ),
    debit=amounts,
    seed=st.randoms(use_true_random=False),
)
def test_a_debit_does_not_depend_on_the_order_in_which_blocks_came(
    grants: Any, debit: int, seed: Any
) -> None:
    def draws(rows: list[Any]) -> list[tuple[str, int]]:
        life = Life()
        for amount, priority, span, block_id in rows:
            context_id = life.new_id
            life.new_id = lambda block_id=block_id: block_id  # type: ignore[method-assign]
            terms = GrantTerms(credits_mc=amount, priority=priority, expires_after_seconds=span)
            life.run(GrantCredits(terms=terms))
            life.new_id = context_id  # type: ignore[method-assign]
        try:
            answer = life.run(WithdrawCredits(amount_mc=debit))
        except ProblemError:
            return []
        return [(draw.block_id, draw.amount) for draw in answer.debit.blocks]

    rows = [(*row, f"0190a000-0000-7000-a000-{place:012x}") for place, row in enumerate(grants)]
    other = list(rows)
    seed.shuffle(other)
    assert draws(rows) == draws(other)
