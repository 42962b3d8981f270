"""Searches for cycles: seldom, in each object once, and never in what is cached."""

import gc
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from quotastack.core.customer_state import Customer, new_state
from quotastack.engine.cache import StateCache
from quotastack.runtime import collector

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Knot:
    """Garbage that only a search finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector_as_before() -> Iterator[None]:
    thresholds, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*thresholds)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def test_what_a_search_left_is_searched_no_more() -> None:
    collector.tune_collector()
    frozen = gc.get_freeze_count()
    kept = [[number] for number in range(100)]
    gc.collect(0)
    assert gc.get_freeze_count() >= frozen + len(kept)


def test_garbage_that_holds_itself_is_found_before_it_is_much() -> None:
    collector.tune_collector()
    before = gc.get_stats()[0]["collected"]
    for _ in range(collector.YOUNG_MAX):
        Knot()
    assert gc.get_stats()[0]["collected"] - before >= collector.YOUNG_MAX / 2


def test_states_that_fill_the_cache_are_left_out_and_those_that_replace_others_are_not() -> None:
    def put(numbers: range) -> None:
        for number in numbers:
            cache.put(
                new_state("e", Customer(id=str(number), external_id=None, created_at=NOW, updated_at=NOW))
            )

    gc.disable()
    try:
        cache = StateCache(2_500 * 3_000)
        gc.unfreeze()
        put(range(1_999))
        assert gc.get_freeze_count() == 0
        put(range(1_999, 2_001))
        frozen = gc.get_freeze_count()
        assert frozen >= 2_000
        put(range(2_001, 10_000))
        assert gc.get_freeze_count() <= frozen, "the cache is full and grows no more"
    finally:
        gc.enable()
