"""Retention as a background worker: once an hour."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from quotastack.runtime.telemetry import get_logger
from quotastack.services.container import Services
from quotastack.services.webhook_retention import forget_old_log

PAUSE_SECONDS: Final = 3_600.0

log = get_logger(__name__)


class RetentionWorker:
    """Forgets old events and deliveries of every environment until told to stop."""

    name = "retention"

    def __init__(self, services: Services) -> None:
        self._services = services

    async def run(self, stopping: asyncio.Event) -> None:
        """Work, then wait; the first round is an hour after the start."""
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), PAUSE_SECONDS)
            if not stopping.is_set():
                count = await forget_old_log(self._services)
                log.info("Old events and deliveries were deleted.", count=count)
