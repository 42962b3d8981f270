"""Huge pages as a background worker: what the process has grown by is moved into them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from quotastack.runtime.huge_pages import are_allowed, collapse, find_pieces, resident_bytes

PAUSE_SECONDS: Final = 3.0
# Between two pieces, since requests that touch the one that is moved wait for it.
PIECE_PAUSE_SECONDS: Final = 0.01
GROWTH_BYTES: Final = 8 * 1024 * 1024


class HugePagesWorker:
    """Moves the heap into huge pages, at the start and when it has grown; does nothing where the system has none."""

    name = "huge-pages"

    def __init__(self) -> None:
        self._moved_at_bytes = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Look now and every few seconds."""
        if not are_allowed():
            await stopping.wait()
        while not stopping.is_set():
            if resident_bytes() >= self._moved_at_bytes + GROWTH_BYTES:
                await self._move(stopping)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), PAUSE_SECONDS)

    async def _move(self, stopping: asyncio.Event) -> None:
        for piece in find_pieces():
            if stopping.is_set():
                return
            await asyncio.to_thread(collapse, piece)
            await asyncio.sleep(PIECE_PAUSE_SECONDS)
        self._moved_at_bytes = resident_bytes()
