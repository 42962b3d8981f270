"""Every statement of the store is one that PostgreSQL understands, with the tables and rights that the server has."""

import asyncio
import pkgutil
import re
from importlib import import_module

import asyncpg
from tests.conftest import ScratchDatabase, connect_app

import quotastack.store

VERBS = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")


def statements() -> dict[str, str]:
    """Name and text of every statement: upper-case constants; what begins with an underscore is a part."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(quotastack.store.__path__):
        loaded = import_module(f"quotastack.store.{module.name}")
        for name, value in vars(loaded).items():
            if name.isupper() and not name.startswith("_") and isinstance(value, str) and VERBS.match(value):
                found[f"{module.name}.{name}"] = value
    return found


def test_every_statement_can_be_prepared(database: ScratchDatabase) -> None:
    async def story() -> dict[str, str]:
        wrong: dict[str, str] = {}
        connection = await connect_app(database)
        for name, statement in statements().items():
            try:
                await connection.prepare(statement)
            except asyncpg.PostgresError as fault:
                wrong[name] = str(fault)
        await connection.close()
        return wrong

    assert len(statements()) > 50
    assert asyncio.run(story()) == {}
