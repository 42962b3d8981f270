"""Closed counters: those of a period that is over are history, and found as history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quotastack.core.commands import HistoryNeededError, Needs

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.customer_state import Counter
    from quotastack.core.draft import Draft


def find_closed_counters(draft: Draft, metric_key: str, at: datetime) -> tuple[Counter, ...]:
    """The metric's closed counters whose period holds ``at``: as loaded, and as this batch wrote them since.

    Raises:
        HistoryNeededError: they were not loaded for that instant.
    """
    loaded_at = draft.extra.get(("counters_at", metric_key))
    is_loaded = ("counters", metric_key) in draft.extra if loaded_at is None else at in loaded_at
    if not is_loaded:
        raise HistoryNeededError(Needs(counters_at=((metric_key, at),)))
    loaded: tuple[Counter, ...] = draft.extra["counters", metric_key]
    found: dict[tuple[str, datetime], Counter] = {
        (counter.kind, counter.period_start): counter for counter in loaded
    }
    for (key, kind, start), counter in draft.changes.counters.items():
        if key == metric_key and not counter.is_current:
            found[kind, start] = counter
    return tuple(c for c in found.values() if c.period_start <= at < c.period_end)
