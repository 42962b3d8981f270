"""The garbage collector of a server process."""

from __future__ import annotations

import gc
from typing import Final

# Allocations that may be outstanding before the youngest are looked through. A batch allocates tens of thousands of
# small values that reference counting frees by itself; looking for cycles among them, and now and then through all
# cached states, took an eighth of the time of a debit.
YOUNG_MAX: Final = 50_000
GENERATION_MAX: Final = 20


def tune_collector() -> None:
    """Leave what is loaded by now out of every later search for cycles, and search seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, GENERATION_MAX, GENERATION_MAX)
