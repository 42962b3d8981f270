"""What the engine promises for every command: one effect a key, refusals that leave nothing, exact counts."""

import asyncio
from typing import Any

import msgspec
import pytest
from tests.engine.conftest import World, open_world

from quotastack.core.credits import WithdrawCredits
from quotastack.core.customers import CreateCustomer
from quotastack.core.errors import (
    ConflictError,
    CustomerNotFoundError,
    IdempotencyKeyReusedError,
    InsufficientCreditsError,
)
from quotastack.core.grants import GrantCredits, GrantTerms


def grant(credits_mc: int) -> GrantCredits:
    return GrantCredits(terms=GrantTerms(credits_mc=credits_mc))


async def create(world: World, external_id: str, credits_mc: int) -> None:
    await world.submit(external_id, CreateCustomer(), creates=True)
    await world.submit(external_id, grant(credits_mc))


def run(database: Any, story: Any) -> None:
    async def tell() -> None:
        async with open_world(database) as world:
            await story(world)

    asyncio.run(tell())


def test_a_grant_and_a_debit_are_on_the_ledger(database: Any) -> None:
    async def story(world: World) -> None:
        await create(world, "ada", 5_000)
        outcome = await world.submit("ada", WithdrawCredits(amount_mc=2_000))
        answer = msgspec.json.decode(outcome.body)
        assert answer["account"]["balance"] == 3_000
        entries = await world.fetch("SELECT sequence, type, delta FROM ledger_entries ORDER BY sequence")
        assert [tuple(entry) for entry in entries] == [(1, "grant", 5_000), (2, "withdrawal", -2_000)]

    run(database, story)


def test_the_same_key_answers_the_same_bytes(database: Any) -> None:
    async def story(world: World) -> None:
        await create(world, "ada", 5_000)
        first, *others = await asyncio.gather(
            *(world.submit("ada", WithdrawCredits(amount_mc=1_000), "once") for _ in range(20))
        )
        assert not first.is_replayed
        assert {other.body for other in others} == {first.body}
        assert all(other.is_replayed for other in others)
        with pytest.raises(IdempotencyKeyReusedError):
            await world.submit("ada", WithdrawCredits(amount_mc=1_001), "once")
        draft, _ = await world.services.engine.peek(
            world.caller, world.submission("ada", grant(1)).customer, strong=True
        )
        assert draft.account("credits").balance_mc == 4_000

    run(database, story)


def test_a_refusal_leaves_nothing_and_its_key_works_later(database: Any) -> None:
    async def story(world: World) -> None:
        await create(world, "ada", 500)
        with pytest.raises(InsufficientCreditsError):
            await world.submit("ada", WithdrawCredits(amount_mc=800), "later")
        await world.submit("ada", grant(1_000))
        outcome = await world.submit("ada", WithdrawCredits(amount_mc=800), "later")
        assert not outcome.is_replayed

    run(database, story)


def test_exactly_as_many_debits_as_credits(database: Any) -> None:
    async def story(world: World) -> None:
        await create(world, "ada", 40_000)
        outcomes = await asyncio.gather(
            *(world.submit("ada", WithdrawCredits(amount_mc=1_000)) for _ in range(100)),
            return_exceptions=True,
        )
        refused = [o for o in outcomes if isinstance(o, InsufficientCreditsError)]
        assert len(refused) == 60
        assert len(outcomes) - len(refused) == 40

    run(database, story)


def test_an_unknown_customer_is_refused_and_a_refused_creation_leaves_nothing(database: Any) -> None:
    async def story(world: World) -> None:
        with pytest.raises(CustomerNotFoundError):
            await world.submit("nobody", WithdrawCredits(amount_mc=1))
        with pytest.raises(InsufficientCreditsError):
            await world.submit("nobody", WithdrawCredits(amount_mc=1), creates=True)
        assert await world.fetch("SELECT 1 FROM customers") == []
        assert await world.fetch("SELECT 1 FROM external_ids") == []
        with pytest.raises(CustomerNotFoundError):
            await world.submit("nobody", WithdrawCredits(amount_mc=1))

    run(database, story)


def test_an_external_id_is_created_once(database: Any) -> None:
    async def story(world: World) -> None:
        outcomes = await asyncio.gather(
            *(world.submit("ada", CreateCustomer(), creates=True) for _ in range(10)),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 9
        events = await world.fetch("SELECT type, sequence FROM events")
        assert [tuple(event) for event in events] == [("customer.created", 1)]

    run(database, story)
