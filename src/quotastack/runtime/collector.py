"""The garbage collector of a server process."""

from __future__ import annotations

import gc
from typing import Any, Final

# Allocations that may be outstanding before they are looked through, while nobody is served: a look at 20,000 took 5 to
# 50 ms. Reference counting frees what requests and batches leave, so this is room for all that is under way at once,
# the thousands of requests that wait when twice as many come as can be taken included, and for cycles by mistake.
YOUNG_MAX: Final = 250_000


def tune_collector() -> None:
    """Search for cycles seldom, and in each object once: what is loaded by now, and what a search left, in none again.

    Cached states live for as long as they are used and hold no cycles; looking through all of them now and then took an
    eighth of the time of a debit, and stopped every request for a tenth of a second.
    """
    gc.collect()
    leave_out()
    gc.set_threshold(YOUNG_MAX, 1, 1)
    if _after_search not in gc.callbacks:
        gc.callbacks.append(_after_search)


def leave_out() -> None:
    """Leave everything that lives at this instant out of every later search. Costs nothing, however much it is.

    For what grows to a bound: a cycle that is garbage by now is never found.
    """
    gc.freeze()


def _after_search(phase: str, _info: dict[str, Any]) -> None:
    if phase == "stop":
        leave_out()
