"""Credits: accounts as they are and as they were, blocks and ledger. Changes go through the engine."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.burn_down import burn_order
from quotastack.core.changes import LedgerEntry
from quotastack.core.credit_views import AccountView, BlockView, set_or_unset, view_account, view_block
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.customer_state import Block
from quotastack.core.errors import ValidationFailedError
from quotastack.core.replay import AccountReplay
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.commands import settle_history
from quotastack.services.container import Services
from quotastack.store.credits import select_blocks, select_entries
from quotastack.store.verification import read_entries


class Reference(msgspec.Struct, frozen=True):
    """What an entry is about."""

    type: str
    id: str


class BlockDelta(msgspec.Struct, frozen=True):
    """What an entry changed in one block."""

    block_id: str
    delta: int


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger entry. Texts are left out where there are none or they were erased."""

    id: str
    sequence: int
    unit: str
    type: str
    delta: int
    reserved_delta: int
    balance_after: int
    reserved_after: int
    blocks: tuple[BlockDelta, ...]
    reference: Reference | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    actor: str
    reason: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    occurred_at: datetime
    created_at: datetime
    hash: str


def view_entry(entry: LedgerEntry) -> EntryView:
    """An entry as answered. Reasons of the system stand in its details, those of callers in its texts."""
    texts = entry.texts
    reason = (entry.details or {}).get("reason") if texts is None else texts.reason
    reference: Reference | UnsetType = UNSET
    if entry.reference_type is not None and entry.reference_id is not None:
        reference = Reference(entry.reference_type, entry.reference_id)
    return EntryView(
        id=entry.id,
        sequence=entry.sequence,
        unit=entry.unit,
        type=entry.type,
        delta=entry.delta_mc,
        reserved_delta=entry.reserved_delta_mc,
        balance_after=entry.balance_after_mc,
        reserved_after=entry.reserved_after_mc,
        blocks=tuple(BlockDelta(block_id, delta) for block_id, delta in entry.blocks),
        reference=reference,
        idempotency_key=UNSET if texts is None else set_or_unset(texts.idempotency_key),
        request_id=set_or_unset(entry.request_id),
        actor=entry.actor,
        reason=set_or_unset(reason),
        metadata=UNSET if texts is None else set_or_unset(texts.metadata),
        occurred_at=entry.occurred_at,
        created_at=entry.created_at,
        hash=entry.hash.hex(),
    )


async def read_account(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    *,
    unit: str,
    include_blocks: bool = False,
    at: datetime | None = None,
) -> AccountView:
    """The account of ``unit`` now, or as it was ``at`` an instant of the past, rebuilt from the ledger.

    Raises:
        CustomerNotFoundError: unknown or deleted.
        ValidationFailedError: ``at`` lies ahead.
    """
    draft, context = await services.engine.peek(caller, customer, strong=True)
    if at is None:
        return view_account(draft, unit, version=draft.version, include_blocks=include_blocks)
    if at > context.now:
        raise ValidationFailedError.at("/at", "The ledger knows the past: give an instant up to now.")
    customer_id = await services.engine.settle_time(caller, customer)
    replay = AccountReplay(environment_id=caller.environment_id, customer_id=customer_id, unit=unit)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        async for entry in read_entries(tx, customer_id, unit=unit, until=at):
            replay.move(entry)
        stored = await _blocks_of(tx, customer_id, unit) if include_blocks else {}
    account = replay.account()
    blocks: tuple[BlockView, ...] | UnsetType = UNSET
    if include_blocks:
        then = [
            msgspec.structs.replace(
                stored[found.id],
                remaining_mc=found.remaining_mc,
                expires_at=found.expires_now(),
                status="active",
            )
            for found in replay.blocks.values()
            if found.remaining_mc and not found.is_pending
        ]
        order = sorted(then, key=lambda b: burn_order(b, is_descending=draft.is_descending))
        blocks = tuple(view_block(block) for block in order)
    return AccountView(
        customer_id=customer_id,
        external_customer_id=draft.customer.external_id,
        unit=unit,
        balance=account.balance_mc,
        reserved_balance=account.reserved_mc,
        effective_balance=account.effective_mc,
        overdraft=account.overdraft_mc,
        lifetime_earned=account.lifetime_earned_mc,
        lifetime_spent=account.lifetime_spent_mc,
        lifetime_expired=account.lifetime_expired_mc,
        blocks=blocks,
        at=at,
        version=draft.version,
    )


async def _blocks_of(tx: Any, customer_id: str, unit: str) -> dict[str, Block]:
    """All blocks of an account, live or not, by id."""
    found: dict[str, Block] = {}
    after: Any = None
    while True:
        page = await select_blocks(
            tx,
            customer_id,
            unit=unit,
            status=None,
            source=None,
            sort="created_at",
            after=after,
            is_ascending=True,
            limit=5_000,
        )
        if not page:
            return found
        found |= {block.id: block for block in page}
        after = (page[-1].created_at, page[-1].id)


async def list_blocks(
    services: Services, caller: Caller, customer: CustomerRef, *, unit: str, **page: Any
) -> list[Block]:
    """A page of an account's blocks; the arguments are those of ``select_blocks``.

    Raises:
        CustomerNotFoundError: unknown.
    """
    customer_id = await settle_history(services, caller, customer)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        return await select_blocks(tx, customer_id, unit=unit, **page)


async def list_burn_order(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    *,
    unit: str,
    source: str | None,
    after: tuple[Any, ...] | None,
    limit: int,
) -> list[tuple[tuple[Any, ...], Block]]:
    """A page of the live blocks, first to burn first, each with its place in the order.

    Raises:
        CustomerNotFoundError: unknown or deleted.
    """
    draft, _ = await services.engine.peek(caller, customer, strong=True)
    places = (
        (burn_order(block, is_descending=draft.is_descending), block) for block in draft.live_blocks(unit)
    )
    wanted = [
        (place, block)
        for place, block in places
        if (source is None or block.source == source) and (after is None or place > after)
    ]
    return wanted[:limit]


async def list_entries(
    services: Services, caller: Caller, customer: CustomerRef, *, unit: str, **page: Any
) -> list[EntryView]:
    """A page of an account's ledger; the arguments are those of ``select_entries``.

    Raises:
        CustomerNotFoundError: unknown.
    """
    customer_id = await settle_history(services, caller, customer)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        entries = await select_entries(tx, customer_id, unit=unit, **page)
    return [view_entry(entry) for entry in entries]
