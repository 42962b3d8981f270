"""Slices: long work of the event loop, done step by step in a bounded time of each of its turns.

In one turn the loop runs all that is ready, and only then looks at its sockets again. What takes long there, reading
hundreds of requests or deciding a batch, is cut into steps; all of it together has one slice of each turn, by turns, so
that a check waits for a slice, however much there is to do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from quotastack.runtime.clock import monotonic_seconds

# Shorter slices cost the loop more looks at its sockets, longer ones cost every check.
SLICE_SECONDS: Final = 0.001


class Slices:
    """The long work of one event loop."""

    def __init__(self) -> None:
        self._steps: deque[Callable[[], bool]] = deque()
        self._is_scheduled = False

    def add(self, step: Callable[[], bool]) -> None:
        """Call ``step`` from the next turn on, once at least in each, until it returns False.

        An error of a step goes to the loop's exception handler, and the step goes on: it must get further each time.
        """
        self._steps.append(step)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        steps = self._steps
        ends_at_seconds = monotonic_seconds() + SLICE_SECONDS
        # Once each at least, so that none waits for ever behind slow ones.
        at_least = len(steps)
        try:
            while steps:
                step = steps.popleft()
                has_more = True
                try:
                    has_more = step()
                finally:
                    if has_more:
                        steps.append(step)
                at_least -= 1
                if at_least <= 0 and monotonic_seconds() >= ends_at_seconds:
                    return
        finally:
            if steps:
                self._schedule()
