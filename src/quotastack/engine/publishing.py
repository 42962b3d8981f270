"""Publishing: what was committed, on its way to where checks and later decisions find it.

A batch that was committed is handed over here, and the database gets its next batch first: it has nothing to do
meanwhile. The states enter the cache a moment later, in any case before anybody is answered, and before a command is
decided on what is remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quotastack.engine.cache import StateCache
    from quotastack.engine.environment_batch import EnvironmentBatch
    from quotastack.engine.environments import Environments


class Publishing:
    """Committed batches that are not published yet, in the order of their commits."""

    __slots__ = ("_cache", "_environments", "_waiting")

    def __init__(self, cache: StateCache, environments: Environments) -> None:
        self._cache = cache
        self._environments = environments
        self._waiting: list[EnvironmentBatch] = []

    def add(self, batches: Iterable[EnvironmentBatch]) -> None:
        """Take what was committed; whoever does so sees to it that ``finish`` is called."""
        self._waiting.extend(batches)

    def finish(self) -> None:
        """Publish all that waits."""
        waiting = self._waiting
        if waiting:
            self._waiting = []
            for batch in waiting:
                self._publish(batch)

    def _publish(self, batch: EnvironmentBatch) -> None:
        self._environments.put(batch.environment)
        for draft in batch.drafts.values():
            if draft.customer.deleted_at is not None:
                self._cache.forget(batch.environment_id, draft.customer.id)
            self._cache.put(draft.freeze())
