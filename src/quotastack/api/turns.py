"""Turns: how much of one turn of the event loop goes to requests that may wait.

In one turn the loop reads every socket that has something to read. When hundreds do, a check that comes meanwhile
would wait until all of them are parsed and decoded. So requests of routes marked ``is_shed`` are served for a bounded
time of each turn, the rest of them one by one in the slices of later turns in the order in which they came; all
others are served at once.
Who has waited here for too long is told so (``is_late``) and can be refused at little cost: the line stays short.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from quotastack.api.routing import BoundRoute
from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.slices import Slices

# How long those are served at once who come in a turn that finds nobody waiting.
TURN_SECONDS: Final = 0.001
# In one step of a slice: more than the lanes decide meanwhile, or they would write batches of the few that were read.
SERVED_AT_ONCE: Final = 4
# Who waited for so long before anything was read comes to a server that cannot keep up.
LATE_SECONDS: Final = 0.1


class Room(Protocol):
    """Who knows whether there is room, and counts who found none."""

    @property
    def has_room(self) -> bool:
        """Whether a command that comes now would be taken."""
        ...

    def note_refused(self) -> None:
        """Count a command that was refused."""
        ...


class Waiting(Protocol):
    """A connection whose bytes wait to be read."""

    def serve_late(self) -> None:
        """Read what waits; nothing, when it has been read or the caller has gone."""
        ...


class Turns:
    """The time that requests which may wait have in each turn of the loop, and those that wait for a later one."""

    def __init__(self, routes: Iterable[BoundRoute], slices: Slices, room: Room) -> None:
        # How the requests begin that may wait. A request to a path that goes on like one of these may wait, too.
        self.beginnings: Final = tuple(
            sorted(
                {
                    f"{bound.route.method} {bound.template.partition('{')[0]}".encode()
                    for bound in routes
                    if bound.route.is_shed
                }
            )
        )
        # Whether the request that is served now has waited for longer than ``LATE_SECONDS``.
        self.is_late = False
        self._room = room
        # Whether there was no room for any more when the turn began.
        self._is_full = False
        self._slices = slices
        # Each with the instant at which it came.
        self._waiting: deque[tuple[Waiting, float]] = deque()
        self._is_counting = False
        self._ends_at_seconds = 0.0

    def may_read(self) -> bool:
        """Whether what comes now may be read in this turn: there is room for it, nobody waits, there is time left."""
        if not self._is_counting:
            self._begin()
            return not self._is_full
        return not (self._is_full or self._waiting) and monotonic_seconds() < self._ends_at_seconds

    def wait(self, connection: Waiting) -> None:
        """Tell ``connection`` when its turn has come."""
        if not self._waiting:
            self._slices.add(self._serve_next)
        self._waiting.append((connection, monotonic_seconds()))

    def _begin(self) -> None:
        self._is_counting = True
        self._is_full = not self._room.has_room
        self._ends_at_seconds = monotonic_seconds() + TURN_SECONDS
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._is_counting = False

    def _serve_next(self) -> bool:
        """Some of those who wait; whether there are more."""
        waiting = self._waiting
        for _ in range(min(len(waiting), SERVED_AT_ONCE)):
            connection, since_seconds = waiting[0]
            self.is_late = monotonic_seconds() - since_seconds > LATE_SECONDS
            try:
                connection.serve_late()
            finally:
                self.is_late = False
                waiting.popleft()
        return bool(waiting)
