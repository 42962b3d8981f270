"""A database with an environment, endpoints and events, and delivery workers on it; no server.

Events are written as the engine writes them: rows and deliveries in one transaction.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.conftest import ScratchDatabase

from quotastack.core.changes import OutboxEvent
from quotastack.core.event_patterns import EndpointFilter
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.clock import HostClock
from quotastack.runtime.database import Database
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.settings import load_settings
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.container import Services
from quotastack.services.tenants import create_tenant
from quotastack.services.webhook_delivery import secret_purpose
from quotastack.store.webhooks import (
    EndpointRow,
    insert_deliveries,
    insert_endpoint,
    load_endpoint_filters,
)
from quotastack.workers.deliveries import DeliveryWorker
from quotastack.workers.sender import Sender

SECRET = bytes(range(32))

INSERT_CUSTOMER = """
    INSERT INTO quotastack.customers (environment_id, id, external_id, created_at, updated_at)
    VALUES ($1::uuid, $2::uuid, $3, now(), now())
"""
INSERT_EVENT = """
    INSERT INTO quotastack.events (environment_id, customer_id, sequence, id, type, data, request_id, created_at)
    VALUES ($1::uuid, $2::uuid, $3, $4::uuid, $5, $6::jsonb, $7, $8)
"""


class DeliveryWorld:
    """One environment. ``waits`` are the retry waits of its workers."""

    def __init__(self, database: ScratchDatabase, waits: str = "0.02,0.02,0.02,0.02,0.02,0.02,0.02") -> None:
        settings = load_settings(
            {
                **database.environment,
                "QUOTASTACK_WEBHOOK_RETRY_WAITS": waits,
                "QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "1",
                "QUOTASTACK_WEBHOOK_TIMEOUT_SECONDS": "1",
            }
        )
        self.pools = Database(database.target)
        self.services = Services(settings, secret=database.secret, database=self.pools, clock=HostClock())
        self.environment_id = EnvironmentId("")
        self.sequences: dict[str, int] = {}

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator["DeliveryWorld"]:
        await self.pools.open()
        try:
            tenant = await create_tenant(self.services, name="deliveries")
            self.environment_id = tenant.test_environment_id
            yield self
        finally:
            await self.pools.close()

    async def fetch(self, statement: str, *arguments: Any) -> list[dict[str, Any]]:
        async with environment_transaction(self.pools.writes, self.environment_id) as tx:
            return [dict(row) for row in await tx.fetch(statement, *arguments)]

    async def endpoint(self, url: str, **fields: Any) -> str:
        endpoint_id = new_id()
        now = self.services.clock.now()
        row = EndpointRow(
            id=endpoint_id,
            url=url,
            patterns=fields.pop("patterns", ("*",)),
            secret=self.services.secret.seal(
                SECRET, purpose=secret_purpose(self.environment_id, endpoint_id)
            ),
            created_at=now,
            updated_at=now,
            **fields,
        )
        async with environment_transaction(self.pools.writes, self.environment_id) as tx:
            await insert_endpoint(tx, self.environment_id, endpoint=row)
        return endpoint_id

    async def customer(self, external_id: str | None = None) -> str:
        customer_id = new_id()
        await self.fetch(INSERT_CUSTOMER, self.environment_id, customer_id, external_id or customer_id)
        return customer_id

    async def tell(
        self,
        customer_id: str,
        count: int = 1,
        type_: str = "credit.granted",
        *,
        endpoints: tuple[EndpointFilter, ...] | None = None,
    ) -> list[str]:
        """Write events of a customer and queue their deliveries; returns their ids."""
        events: list[tuple[str, OutboxEvent]] = []
        for _ in range(count):
            sequence = self.sequences[customer_id] = self.sequences.get(customer_id, 0) + 1
            event = OutboxEvent(
                id=new_id(),
                sequence=sequence,
                type=type_,
                data={"unit": "credits", "amount": 1_000, "balance": 1_000, "source": "topup"},
                request_id="req_1",
                created_at=self.services.clock.now(),
            )
            events.append((customer_id, event))
        async with environment_transaction(self.pools.writes, self.environment_id) as tx:
            for _, event in events:
                await tx.execute(
                    INSERT_EVENT,
                    self.environment_id,
                    customer_id,
                    event.sequence,
                    event.id,
                    event.type,
                    '{"unit": "credits", "amount": 1000, "source": "topup", "balance": 1000}',
                    event.request_id,
                    event.created_at,
                )
            if endpoints is None:
                endpoints = await load_endpoint_filters(tx, self.environment_id)
            await insert_deliveries(tx, self.environment_id, events, endpoints)
        return [event.id for _, event in events]

    async def deliveries(self) -> list[dict[str, Any]]:
        return await self.fetch(
            "SELECT *, id::text AS id, endpoint_id::text AS endpoint_id FROM quotastack.webhook_deliveries"
            " ORDER BY created_at, sequence"
        )

    @contextlib.asynccontextmanager
    async def working(
        self, count: int = 1, sender: Callable[[], Sender] | None = None
    ) -> AsyncIterator[list[DeliveryWorker]]:
        """That many workers, stopped gracefully at the end."""
        stopping = asyncio.Event()
        draw = random.Random(7).randint
        workers = [
            DeliveryWorker(self.services, sender=sender, draw=lambda: draw(-100, 100)) for _ in range(count)
        ]
        tasks = [asyncio.create_task(worker.run(stopping)) for worker in workers]
        try:
            yield workers
        finally:
            stopping.set()
            await asyncio.gather(*tasks)

    async def until(
        self, done: Callable[[list[dict[str, Any]]], bool], *, seconds: float = 30
    ) -> list[dict[str, Any]]:
        """The deliveries, once ``done`` says so."""
        async with asyncio.timeout(seconds):
            while True:
                rows = await self.deliveries()
                if done(rows):
                    return rows
                await asyncio.sleep(0.02)


def all_ended(rows: list[dict[str, Any]]) -> bool:
    return bool(rows) and all(row["status"] != "pending" for row in rows)
