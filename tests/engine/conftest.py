"""The engine on a real database, in the test's own process."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from quotastack.core.commands import Command
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.idempotency import make_idempotency_key
from quotastack.core.ids import ApiKeyId, EnvironmentId, TenantId
from quotastack.engine.submission import Outcome, Submission
from quotastack.runtime.random_ids import new_id
from quotastack.runtime.settings import Settings
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.container import Services, run_services
from quotastack.services.tenants import create_tenant
from quotastack.store.environments import select_environments


class World:
    """Services, a tenant's test environment, and short words for submitting to it."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self.services = services
        self.caller = caller

    def submission(
        self, external_id: str, command: Command, key: str | None = None, *, creates: bool = False
    ) -> Submission:
        name = key or new_id()
        body = {"customer": external_id, "command": msgspec.to_builtins(command)}
        return Submission(
            caller=self.caller,
            customer=CustomerRef.by_external_id(external_id),
            command=command,
            key=make_idempotency_key(name, method="POST", path="/test", body=body),
            creates_customer=creates,
        )

    async def submit(
        self, external_id: str, command: Command, key: str | None = None, *, creates: bool = False
    ) -> Outcome:
        return await self.services.engine.submit(self.submission(external_id, command, key, creates=creates))

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        async with environment_transaction(self.services.database.reads, self.caller.environment_id) as tx:
            return await tx.fetch(statement, *arguments)


async def make_caller(services: Services) -> Caller:
    """A tenant of its own, and a caller of its test environment."""
    tenant = await create_tenant(services, name="engine")
    async with services.database.reads.acquire() as connection:
        environments = await select_environments(connection)
    [environment] = [e for e in environments if e.tenant_id == tenant.tenant_id and e.environment == "test"]
    return Caller(
        environment_id=EnvironmentId(environment.id),
        tenant_id=TenantId(tenant.tenant_id),
        environment="test",
        key_id=ApiKeyId(new_id()),
        actor="key:test",
        scopes=frozenset(),
        request_id="request-1",
    )


@contextlib.asynccontextmanager
async def open_world(database: Any, settings: Settings | None = None) -> AsyncGenerator[World]:
    """A running engine on a scratch database."""
    async with run_services(settings or database.settings, database.target, database.secret) as services:
        # A process that joins reads the database for its first second; what is cached is the rule after it.
        while not services.engine.listener.is_fresh:  # noqa: ASYNC110 - nothing tells of the second's end
            await asyncio.sleep(0.02)
        yield World(services, await make_caller(services))
