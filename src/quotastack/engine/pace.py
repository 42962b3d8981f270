"""Pace: how many commands a lane writes in a second when more wait than one batch takes."""

from __future__ import annotations

from typing import Final

# Of what was known before, after another full batch.
KEPT: Final = 0.8
# So many may wait in any case: as many as one call brings.
COMMANDS_MIN: Final = 1_000


class Pace:
    """How fast full batches of ``batch_max`` commands were written since the lane was last idle.

    Smaller ones tell nothing of what could be done. Rates are averaged, not times: one batch that stood still for a
    moment is a fifth of what is known, however long the moment was, and does not shut the door on who comes after it.
    """

    __slots__ = ("_batch_max", "_per_second")

    def __init__(self, batch_max: int) -> None:
        self._batch_max = batch_max
        self._per_second: float | None = None

    def note(self, count: int, seconds: float) -> None:
        """Learn from a written batch: ``seconds`` from the end of the one before, or the lane's waking, to its own."""
        if count < self._batch_max:
            return
        before, now = self._per_second, count / max(seconds, 1e-6)
        self._per_second = now if before is None else KEPT * before + (1 - KEPT) * now

    def forget(self) -> None:
        """Know nothing: a slow moment before a pause says nothing of what comes after it."""
        self._per_second = None

    def has_room(self, waiting: int, seconds: float) -> bool:
        """Whether one more than ``waiting`` would be written within ``seconds``; True as long as nothing is known."""
        if self._per_second is None or waiting < COMMANDS_MIN:
            return True
        return waiting <= self._per_second * seconds
