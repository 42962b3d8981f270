"""The garbage collector of a server process."""

from __future__ import annotations

import gc
from typing import Final

# Allocations that may be outstanding before the youngest are looked through, while nobody is served. The batches under
# way at once hold some ten thousand small values that reference counting frees by itself: with less room than that each
# batch would be looked through several times, with 50,000 a look took 20 to 50 ms.
YOUNG_MAX: Final = 20_000
# Looking through all cached states now and then took an eighth of the time of a debit. Requests and connections leave
# no cycles behind, so what is left to find grows slowly, if at all; growing, it is what makes these looks happen.
YOUNG_LOOKS: Final = 10
OLD_LOOKS: Final = 20


def tune_collector() -> None:
    """Leave what is loaded by now out of every later search for cycles, and search seldom and briefly."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, YOUNG_LOOKS, OLD_LOOKS)
