"""The due sweep as a background worker: asks every second, at once again while there is more."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from quotastack.services.due_customers import CLAIMS_MAX, sweep_due_customers

if TYPE_CHECKING:
    from quotastack.services.container import Services

PAUSE_SECONDS: Final = 1.0


class DueCustomersWorker:
    """Sweeps due customers of every environment until told to stop."""

    name = "due-customers"

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep until ``stopping`` is set."""
        while not stopping.is_set():
            claimed = await sweep_due_customers(self._services)
            if claimed < CLAIMS_MAX:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), PAUSE_SECONDS)
