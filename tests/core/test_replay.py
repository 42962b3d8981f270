"""Books that were changed behind the server's back: each edit is found, named, and located.

Whoever edits an entry may also hash the rest of the chain anew, so what the entries say is checked as well.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.core.lives import CUSTOMER, ENVIRONMENT, START, Life

from quotastack.core.changes import EntryTexts, LedgerEntry
from quotastack.core.credits import VoidBlock, WithdrawCredits
from quotastack.core.customer_state import Account, Block
from quotastack.core.draft import replace
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.ledger import hash_entry
from quotastack.core.replay import AccountReplay, LedgerBrokenError

HOUR = timedelta(hours=1)
HELD, DRAWN = 300, 250


def told_life() -> Life:
    """Five lines: two grants, one for later, a hold, a withdrawal."""
    life = Life()
    life.run(
        GrantCredits(terms=GrantTerms(credits_mc=1_000, reason="welcome", expires_at=START + HOUR)), key="k"
    )
    life.run(GrantCredits(terms=GrantTerms(credits_mc=500, priority=3)))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=70, effective_at=START + HOUR)))
    life.hold(HELD)
    life.run(WithdrawCredits(amount_mc=DRAWN))
    assert life.types() == ["grant", "grant", "grant_scheduled", "reserve", "withdrawal"]
    return life


def chained(entries: list[LedgerEntry]) -> list[LedgerEntry]:
    """The entries with hashes that fit them."""
    made: list[LedgerEntry] = []
    before = b""
    for entry in entries:
        before = hash_entry(before, environment_id=ENVIRONMENT, customer_id=CUSTOMER, entry=entry)
        made.append(replace(entry, hash=before))
    return made


def follow(entries: list[LedgerEntry], *, are_texts_erased: bool = False) -> AccountReplay:
    replayed = AccountReplay(environment_id=ENVIRONMENT, customer_id=CUSTOMER, unit="credits")
    for entry in entries:
        replayed.apply(entry, are_texts_erased=are_texts_erased)
    return replayed


def edit(number: int, **changes: Any) -> Callable[[list[LedgerEntry]], list[LedgerEntry]]:
    """The edit of one line (counted from 1), the hashes left as they are."""
    return lambda entries: [
        replace(entry, **changes) if entry.sequence == number else entry for entry in entries
    ]


def forge(number: int, **changes: Any) -> Callable[[list[LedgerEntry]], list[LedgerEntry]]:
    """The edit of one line by someone who hashes the chain anew."""
    return lambda entries: chained(edit(number, **changes)(entries))


OTHER_TEXTS = EntryTexts(salt=b"0123456789abcdef", idempotency_key="k", reason="farewell")
STRANGE = "0190a000-0000-7000-9000-00000000beef"

BROKEN = [
    # what was done                                  at  check        what is said of it
    (lambda entries: entries[1:],                     2, "sequence",  "entry 2 follows entry 0"),
    (lambda entries: [*entries[:1], *entries[2:]],    3, "sequence",  "entry 3 follows entry 1"),
    (lambda entries: [entries[0], *entries],          1, "sequence",  "entry 1 follows entry 1"),
    (edit(2, delta_mc=501),                           2, "hash",      "the hash does not cover what the entry says"),
    (edit(4, actor="key:2"),                          4, "hash",      "the hash does not cover what the entry says"),
    (edit(1, texts=OTHER_TEXTS),                      1, "texts",     "reason, metadata or key were changed"),
    (edit(1, texts=None),                             1, "texts",     "reason, metadata or key are gone"),
    (forge(2, created_at=START - HOUR),               2, "time",      "the entry is older than the one before it"),
    (forge(2, delta_mc=501),                          2, "balance",
     "the deltas add up to 1501, the entry says 1500"),
    (forge(2, balance_after_mc=1_499),                2, "balance",
     "the deltas add up to 1500, the entry says 1499"),
    (forge(4, reserved_after_mc=299),                 4, "reserved",  "300 are held, the entry says 299"),
    (forge(4, reserved_delta_mc=-1, reserved_after_mc=-1, reference_type="customer"),
     4, "reserved", "-1 are held, the entry says -1"),
    (forge(4, reserved_delta_mc=-1, reserved_after_mc=-1, reference_id=STRANGE),
     4, "holds", f"reservation {STRANGE} gave back more than it held"),
    (forge(2, delta_mc=600, balance_after_mc=1_600),  2, "overdraft", "the blocks hold less than the balance"),
    (forge(5, blocks=((STRANGE, -250),)),             5, "blocks",    f"block {STRANGE} was never granted"),
    (forge(5, blocks=((STRANGE, 0),)),                5, "blocks",    f"block {STRANGE} was never granted"),
    (forge(5, type="reschedule", blocks=(), reference_type="block", reference_id=STRANGE),
     5, "blocks", "the rescheduled block was never granted"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "at", "check", "detail"), BROKEN)
def test_an_edit_is_found_where_it_stands(spoil: Any, at: int, check: str, detail: str) -> None:
    entries = told_life().entries
    follow(entries)
    with pytest.raises(LedgerBrokenError) as found:
        follow(spoil(entries))
    assert found.value.entry is not None
    told = (found.value.check, found.value.detail, str(found.value), found.value.entry.sequence)
    assert told == (check, detail, detail, at)


@pytest.mark.parametrize(("delta_mc", "left"), [(-1_001, -1), (1, 1_001)])
def test_a_block_holds_neither_less_than_nothing_nor_more_than_it_began_with(
    delta_mc: int, left: int
) -> None:
    entries = told_life().entries
    block_id = entries[0].blocks[0][0]
    drawn = ((block_id, delta_mc),)
    with pytest.raises(LedgerBrokenError) as found:
        follow(forge(4, blocks=drawn)(entries))
    assert found.value.check == "blocks"
    assert found.value.detail == f"block {block_id} would hold {left} of 1000"
    assert found.value.entry is not None
    assert found.value.entry.sequence == 4
    # To the last credit, and all of it back again, it may.
    exact = forge(4, blocks=((block_id, -1_000), (block_id, 1_000)))(entries)
    assert follow(exact).blocks[block_id].remaining_mc == 1_000 - DRAWN


def test_erased_texts_break_nothing_where_they_were_erased() -> None:
    entries = edit(1, texts=None)(told_life().entries)
    assert follow(entries, are_texts_erased=True).balance_mc == 1_250
    with pytest.raises(LedgerBrokenError, match="are gone"):
        follow(entries)


def test_lines_of_one_instant_follow_each_other() -> None:
    entries = told_life().entries
    assert len({entry.created_at for entry in entries}) == 1
    assert follow(entries).sequence == 5


def test_what_is_given_back_is_no_longer_held() -> None:
    life = told_life()
    hold_id = next(iter(life.draft.holds))
    assert life.replay("credits").holds == {hold_id: HELD}
    life.release(hold_id)
    assert life.replay("credits").holds == {}


def test_what_was_voided_before_it_started_never_was_in_the_balance() -> None:
    life = told_life()
    (pending,) = life.draft.pending_blocks
    life.run(VoidBlock(block_id=pending.id))
    assert life.entries[-1].delta_mc == 0
    voided = life.replay("credits").blocks[pending.id]
    assert (voided.remaining_mc, voided.original_mc, voided.is_pending) == (0, 70, False)
    life.check_books()


@pytest.mark.parametrize("at", [START + HOUR, (START + HOUR).isoformat(), None])
def test_an_expiry_is_an_instant_whether_it_comes_as_one_or_as_text(at: Any) -> None:
    """Details of stored entries hold instants as text."""
    entries = told_life().entries
    block_id = entries[0].blocks[0][0]
    told = forge(
        5, type="reschedule", blocks=(), delta_mc=0, details={"block_id": block_id, "expires_at": at}
    )
    moved = AccountReplay(environment_id=ENVIRONMENT, customer_id=CUSTOMER, unit="credits")
    for entry in told(entries):
        moved.move(entry)
    assert moved.blocks[block_id].expires_now() == (None if at is None else START + HOUR)


def test_an_account_and_its_blocks_as_they_were() -> None:
    life = told_life()
    books = follow(life.entries)
    assert books.account() == life.draft.account("credits")
    first, second = life.draft.live_blocks("credits")
    (later,) = life.draft.pending_blocks
    told = {
        found.id: (found.original_mc, found.remaining_mc, found.is_pending) for found in books.blocks.values()
    }
    assert told == {
        first.id: (1_000, 750, False),
        second.id: (500, 500, False),
        later.id: (70, 70, True),
    }


def test_a_line_that_says_nothing_of_terms_still_counts() -> None:
    """Its block is compared by what it holds alone; the terms of another block are not taken for its own."""
    life = told_life()
    first, second, later = stored_blocks(life).values()
    terms = life.entries[0].details
    for details in (None, {}, terms):
        bare = follow(forge(2, details=details)(life.entries)).blocks[second.id]
        assert (bare.original_mc, bare.remaining_mc, bare.terms) == (500, 500, {})
        follow(forge(2, details=details)(life.entries)).compare_blocks(
            [first, replace(second, priority=9), later]
        )


def test_a_block_of_one_credit_is_a_block() -> None:
    life = Life()
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1)))
    life.check_books()


ACCOUNT_FIELDS = [
    ("sequence",            4),
    ("hash",                b"another"),
    ("blocks_mc",           1_251),
    ("reserved_mc",         0),
    ("overdraft_mc",        1),
    ("lifetime_earned_mc",  1_501),
    ("lifetime_spent_mc",   1),
    ("lifetime_expired_mc", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), ACCOUNT_FIELDS)
def test_an_account_changed_without_a_line_is_found(name: str, value: Any) -> None:
    life = told_life()
    replayed = follow(life.entries)
    stored = life.draft.account("credits")
    replayed.compare_account(stored)
    with pytest.raises(LedgerBrokenError) as found:
        replayed.compare_account(replace(stored, **{name: value}))
    assert found.value.check == "account"
    assert found.value.detail == f"{name} of the account is not what its entries lead to"
    assert found.value.entry is None


def test_no_account_is_one_of_zeros() -> None:
    follow([]).compare_account(None)
    follow([]).compare_account(Account(unit="credits"))
    with pytest.raises(LedgerBrokenError, match=r"^sequence of the account"):
        follow(told_life().entries).compare_account(None)


def stored_blocks(life: Life) -> dict[str, Block]:
    """What is stored, by a name: first and second of the live ones, the pending one."""
    first, second = life.draft.live_blocks("credits")
    (later,) = life.draft.pending_blocks
    return {"first": first, "second": second, "later": later}


BLOCK_FIELDS = [
    # of which  field             stored                  as it is told     what is stored, what the entries say
    ("first",  {"remaining_mc": 751},                     "remaining_amount", 751, 750),
    ("first",  {"original_mc": 1_001},                    "original_amount", 1_001, 1_000),
    ("first",  {"status": "expired"},                     "status", "gone", "active"),
    ("first",  {"status": "pending"},                     "status", "pending", "active"),
    ("later",  {"status": "active"},                      "status", "active", "pending"),
    ("later",  {"status": "voided"},                      "status", "gone", "pending"),
    ("first",  {"expires_at": None},                      "expires_at", None, "2041-03-01T01:00:00Z"),
    ("later",  {"effective_at": START},                   "effective_at", "2041-03-01T00:00:00Z",
     "2041-03-01T01:00:00Z"),
    ("second", {"priority": 4},                           "priority", 4, 3),
    ("second", {"source": "topup"},                       "source", "topup", "promotional"),
    ("second", {"price_paid": 1},                         "price_paid", 1, None),
    ("second", {"currency": "EUR"},                       "currency", "EUR", None),
    ("second", {"package_id": "p"},                       "package_id", "p", None),
    ("second", {"external_payment_id": "p"},              "external_payment_id", "p", None),
    ("second", {"subscription_id": "s"},                  "subscription_id", "s", None),
    ("second", {"grant_template_id": "t"},                "grant_template_id", "t", None),
    ("second", {"rolled_from_block_id": "r"},             "rolled_from_block_id", "r", None),
]  # fmt: skip


@pytest.mark.parametrize(("which", "changes", "name", "stored", "replayed"), BLOCK_FIELDS)
def test_a_block_changed_without_a_line_is_found(
    which: str, changes: dict[str, Any], name: str, stored: Any, replayed: Any
) -> None:
    life = told_life()
    books, blocks = follow(life.entries), stored_blocks(life)
    books.compare_blocks(blocks.values())
    block = blocks[which]
    with pytest.raises(LedgerBrokenError) as found:
        books.compare_blocks({**blocks, which: replace(block, **changes)}.values())
    assert found.value.check == "blocks"
    assert found.value.detail == f"{name} of block {block.id} is {stored}, its entries say {replayed}"


def test_a_block_that_is_used_up_is_gone_whatever_it_ended_as() -> None:
    life = told_life()
    life.run(WithdrawCredits(amount_mc=750))
    (gone,) = life.gone_blocks.values()
    life.check_books()
    for status in ("expired", "voided"):
        others = [*life.draft.live_blocks("credits"), *life.draft.pending_blocks]
        follow(life.entries).compare_blocks([replace(gone, status=status), *others])
    with pytest.raises(LedgerBrokenError, match=r"status of block .* is active, its entries say gone"):
        follow(life.entries).compare_blocks([replace(gone, status="active")])


def test_a_missing_and_an_unknown_block_are_found() -> None:
    life = told_life()
    books, blocks = follow(life.entries), stored_blocks(life)
    first, second, later = blocks.values()
    with pytest.raises(LedgerBrokenError) as found:
        books.compare_blocks([second])
    assert (found.value.check, found.value.detail) == ("blocks", f"block {min(first.id, later.id)} is gone")
    with pytest.raises(LedgerBrokenError) as found:
        books.compare_blocks([first, replace(second, id=STRANGE), later])
    assert (found.value.check, found.value.detail) == ("blocks", f"block {STRANGE} stands in no entry")


SUM = "the active holds do not add up to reserved_balance"
EACH = "the active holds are not those that the entries leave open"
HOLDS = [
    # what is stored                                   what is said of it
    ({},                                               SUM),
    ({"hold": HELD - 1},                               SUM),
    ({"hold": HELD, "other": 1},                       SUM),
    ({"other": HELD},                                  EACH),
    ({"hold": HELD - 1, "other": 1},                   EACH),
    ({"hold": HELD},                                   None),
    # A hold of nothing has no line that holds anything.
    ({"hold": HELD, "free": 0},                        None),
]  # fmt: skip


@pytest.mark.parametrize(("stored", "detail"), HOLDS)
def test_holds_without_their_lines_are_found(stored: dict[str, int], detail: str | None) -> None:
    life = told_life()
    hold_id = next(iter(life.draft.holds))
    active = {hold_id if name == "hold" else name: amount_mc for name, amount_mc in stored.items()}
    books = follow(life.entries)
    if detail is None:
        books.compare_holds(active)
        return
    with pytest.raises(LedgerBrokenError) as found:
        books.compare_holds(active)
    assert (found.value.check, found.value.detail) == ("holds", detail)
