"""A customer whom the table of due customers names is due no more after one sweep, whoever wrote the row."""

import asyncio
from typing import Any

from tests.engine.conftest import World, make_caller

from quotastack.core.commands import Advance
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.services.container import run_services

DUE_NOW = """
    INSERT INTO customer_due (environment_id, customer_id, due_at)
    SELECT c.environment_id, c.id, c.created_at FROM customers AS c
"""


def test_a_row_that_another_process_wrote_is_replaced(database: Any) -> None:
    """What this process remembers says that nothing is due; a sweep that believed it would never end."""

    async def tell() -> None:
        parts = (database.settings, database.target, database.secret)
        async with run_services(*parts) as services:
            world = World(services, await make_caller(services))
            await world.submit("ada", GrantCredits(terms=GrantTerms(credits_mc=1_000)), creates=True)
            assert await world.fetch("SELECT 1 FROM customer_due") == []
            await world.fetch(DUE_NOW + " RETURNING 1")
            assert len(await world.fetch("SELECT 1 FROM customer_due")) == 1
            await world.submit("ada", Advance())
            assert await world.fetch("SELECT 1 FROM customer_due") == []

    asyncio.run(tell())
