"""A process that missed every notice decides on what the database says, not on what it remembers."""

import asyncio
from typing import Any

import pytest
from tests.engine.conftest import World, make_caller

from quotastack.core.credits import WithdrawCredits
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.engine.lanes import Lane
from quotastack.services.container import run_services


def test_a_deaf_process_reloads_and_never_fails_a_batch(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The constraints would undo a decision on an old state; the version's comparison spares that."""
    failed: list[str] = []

    async def note(self: Lane, batch: list[Any], error: Exception) -> None:
        failed.append(repr(error))

    monkeypatch.setattr(Lane, "_process_failed", note)

    async def tell() -> None:
        parts = (database.settings, database.target, database.secret)
        async with run_services(*parts) as one, run_services(*parts) as two:
            caller = await make_caller(one)
            worlds = [World(services, caller) for services in (one, two)]
            for services in (one, two):
                services.engine.listener._cache = type(services.engine.cache)(1_000_000)
            await worlds[0].submit("ada", GrantCredits(terms=GrantTerms(credits_mc=10_000)), creates=True)
            for turn in range(8):
                told = worlds[turn % 2].submit("ada", WithdrawCredits(amount_mc=1_000))
                await asyncio.wait_for(told, 5)
            rows = await worlds[0].fetch("SELECT balance_after FROM ledger_entries ORDER BY sequence")
            assert [row["balance_after"] for row in rows] == list(range(10_000, 1_999, -1_000))

    asyncio.run(tell())
    assert not failed, failed
