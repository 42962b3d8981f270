"""A serving process: its services, and the workers that go on behind the requests."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from quotastack.runtime.database import DatabaseTarget
from quotastack.runtime.secret import InstallationSecret
from quotastack.runtime.settings import Settings
from quotastack.services.container import Services, run_services
from quotastack.workers.deliveries import DeliveryWorker
from quotastack.workers.due_customers import DueCustomersWorker
from quotastack.workers.huge_pages import HugePagesWorker
from quotastack.workers.loop import Worker, run_workers
from quotastack.workers.retention import RetentionWorker


@contextlib.asynccontextmanager
async def run_process(
    settings: Settings, target: DatabaseTarget, secret: InstallationSecret
) -> AsyncGenerator[Services]:
    """Services with sweeps and deliveries beside them; the workers end before what they work with."""
    async with run_services(settings, target, secret) as services:
        workers: list[Worker] = [
            DueCustomersWorker(services),
            DeliveryWorker(services),
            RetentionWorker(services),
        ]
        if settings.huge_pages:
            workers.append(HugePagesWorker())
        async with run_workers(workers, shutdown_seconds=settings.shutdown_seconds):
            yield services
