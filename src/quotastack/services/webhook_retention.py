"""Retention of the log: events 90 days by the environment's clock, deliveries 30 by real time; both settable."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, cast

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.container import Services
from quotastack.services.webhook_samples import LISTENER_STALE_AFTER
from quotastack.store.environments import select_environments
from quotastack.store.webhook_listeners import delete_stale_listeners
from quotastack.store.webhook_retention import delete_old_deliveries, delete_old_events

ROWS_MAX: Final = 5_000


async def forget_old_log(services: Services) -> int:
    """Delete what is older than its retention in every environment; returns how many rows.

    Short transactions of at most 5,000 rows; running it twice at once does no harm.
    """
    async with services.database.workers.acquire() as borrowed:
        connection = cast("Connection", borrowed)
        environments = await select_environments(connection)
    return sum([await _forget_in(services, row.id) for row in environments])


async def _forget_in(services: Services, environment_id: EnvironmentId) -> int:
    now = services.clock.now()
    environment = await services.environments.get(environment_id)
    deliveries_before = now - timedelta(days=services.settings.deliveries_retention_days)
    events_before = environment.time_at(now) - timedelta(days=services.settings.events_retention_days)
    total = 0
    while True:
        async with environment_transaction(services.database.workers, environment_id) as tx:
            await delete_stale_listeners(tx, environment_id, before=now - LISTENER_STALE_AFTER)
            deliveries = await delete_old_deliveries(
                tx, environment_id, before=deliveries_before, limit=ROWS_MAX
            )
            events = await delete_old_events(tx, environment_id, before=events_before, limit=ROWS_MAX)
        total += deliveries + events
        if max(deliveries, events) < ROWS_MAX:
            return total
