"""What a draft tells of the instants that lie ahead: what moved, and what has to be looked at anew."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

from tests.core.lives import START, Life

from quotastack.core.customer_state import Block, Counter
from quotastack.core.draft import Draft, replace

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def block_of(remaining_mc: int = 10, **terms: Any) -> Block:
    values: dict[str, Any] = {
        "id": "b",
        "unit": "credits",
        "original_mc": 10,
        "remaining_mc": remaining_mc,
        "priority": 0,
        "effective_at": START,
        "expires_at": None,
        "source": "promotional",
        "created_at": START,
    }
    return Block(**{**values, **terms})


def found(draft: Draft, block_id: str) -> Block:
    block = draft.find_block(block_id)
    assert block is not None
    return block


def test_block_moves_rise_with_all_that_time_does_to_blocks_differently() -> None:
    """Whoever planned ahead compares the number: it never comes back to what it was."""
    draft = Life().draft
    later = block_of(id="later", effective_at=START + HOUR, status="pending")
    moves = [
        lambda: draft.add_block(block_of(id="one", expires_at=START + HOUR)),
        lambda: draft.add_block(block_of(id="two")),
        lambda: draft.add_block(later),
        lambda: draft.change_block(later, replace(later, status="active")),
        lambda: draft.change_block(found(draft, "one"), block_of(id="one", expires_at=START + 2 * HOUR)),
        lambda: draft.change_block(found(draft, "two"), block_of(id="two", is_frozen=True)),
        lambda: draft.change_block(found(draft, "two"), block_of(id="two")),
        lambda: draft.revive_block(block_of(id="three")),
    ]
    seen = [draft.block_moves]
    for move in moves:
        move()
        seen.append(draft.block_moves)
    assert all(earlier < later for earlier, later in pairwise(seen)), seen
    draft.change_block(found(draft, "one"), block_of(5, id="one", expires_at=START + 2 * HOUR))
    assert draft.block_moves == seen[-1], "a debit moves no instant"


def test_what_moves_a_due_instant_back_makes_it_stale() -> None:
    draft = Life().draft
    block = block_of(id="one", expires_at=START + HOUR)
    draft.add_block(block)
    assert (draft.due_at, draft.is_due_stale) == (START + HOUR, False)
    for is_frozen in (True, False):
        draft.change_block(found(draft, "one"), replace(block, is_frozen=is_frozen))
        assert draft.is_due_stale is True
        draft.is_due_stale = False
    running = Counter(
        billable_metric_key="calls", kind="asset", period_start=START, period_end=START + HOUR, value=1
    )
    ends = [
        # the counter                                                    is news
        (running,                                                        True),
        (replace(running, value=2),                                      False),
        (replace(running, period_end=START + DAY),                       True),
        (replace(running, period_start=START + DAY, period_end=START + 2 * DAY), True),
    ]  # fmt: skip
    for counter, is_news in ends:
        draft.put_counter(counter)
        assert draft.is_due_stale is is_news, counter
        draft.is_due_stale = False
