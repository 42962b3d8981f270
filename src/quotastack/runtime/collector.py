"""The garbage collector of a server process."""

from __future__ import annotations

import gc
from typing import Final

# Allocations that may be outstanding before the youngest are looked through. A batch allocates tens of thousands of
# small values that reference counting frees by itself, and looking through all cached states now and then took an
# eighth of the time of a debit: whatever has lived through two looks is left alone. Looks are short, since nobody is
# served meanwhile: at 50,000 they took 20 to 50 ms.
YOUNG_MAX: Final = 2_000
YOUNG_LOOKS: Final = 4
OLD_LOOKS: Final = 1_000_000


def tune_collector() -> None:
    """Leave what is loaded by now out of every later search for cycles, and search among the young only."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, YOUNG_LOOKS, OLD_LOOKS)
