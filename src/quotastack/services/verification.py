"""Verification: every invariant of the ledger, for one customer, one environment or all of them.

Each customer is read in one snapshot, so that what others write meanwhile is no inconsistency. A
customer's check stops at their first broken entry; the others are checked all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, cast

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import CustomerNotFoundError
from quotastack.core.ids import EnvironmentId, read_uuid
from quotastack.core.replay import AccountReplay, LedgerBrokenError
from quotastack.runtime.database import Connection
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.store.environments import EnvironmentRow, select_environments
from quotastack.store.states import select_customer_ids as select_ids_of_external_ids
from quotastack.store.verification import (
    Books,
    read_entries,
    select_books,
    select_customer_ids,
    take_snapshot,
)

PAGE_CUSTOMERS: Final = 500
BROKEN_MAX: Final = 100


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """Where the books of an account first do not fit. Without ``sequence`` it is not one entry's fault."""

    environment_id: str
    customer_id: str
    unit: str
    check: str
    detail: str
    sequence: int | UnsetType = UNSET
    entry_id: str | UnsetType = UNSET


class Verification(msgspec.Struct, kw_only=True):
    """What was checked, and what is broken: at most the first hundred accounts."""

    ok: bool = True
    customers: int = 0
    accounts: int = 0
    entries: int = 0
    broken: list[Broken] = msgspec.field(default_factory=list)


class _CustomerCheck:
    """Follows one customer's books."""

    def __init__(self, environment_id: str, customer_id: str, report: Verification) -> None:
        self.environment_id = environment_id
        self.customer_id = customer_id
        self.report = report

    def note(self, unit: str, error: LedgerBrokenError) -> None:
        self.report.ok = False
        if len(self.report.broken) < BROKEN_MAX:
            entry = error.entry
            self.report.broken.append(
                Broken(
                    environment_id=self.environment_id,
                    customer_id=self.customer_id,
                    unit=unit,
                    check=error.check,
                    detail=error.detail,
                    sequence=UNSET if entry is None else entry.sequence,
                    entry_id=UNSET if entry is None else entry.id,
                )
            )

    async def run(self, tx: Connection) -> bool:
        """Check the customer as ``tx`` sees them; False when there is no such customer."""
        await take_snapshot(tx)
        books = await select_books(tx, self.customer_id)
        if books is None:
            return False
        replays: dict[str, AccountReplay] = {}
        broken: set[str] = set()
        async for entry in read_entries(tx, self.customer_id):
            self.report.entries += 1
            if entry.unit in broken:
                continue
            replay = replays.get(entry.unit)
            if replay is None:
                replay = replays[entry.unit] = self._replay(entry.unit)
            try:
                replay.apply(entry, are_texts_erased=books.deleted_at is not None)
            except LedgerBrokenError as error:
                broken.add(entry.unit)
                self.note(entry.unit, error)
        self._compare(books, replays, broken)
        self.report.customers += 1
        return True

    def _replay(self, unit: str) -> AccountReplay:
        return AccountReplay(environment_id=self.environment_id, customer_id=self.customer_id, unit=unit)

    def _compare(self, books: Books, replays: dict[str, AccountReplay], broken: set[str]) -> None:
        stored = {account.unit: account for account in books.accounts}
        units = {*stored, *replays, *(b.unit for b in books.blocks), *(h.unit for h in books.holds)}
        for unit in sorted(units):
            self.report.accounts += 1
            if unit in broken:
                continue
            replay = replays.get(unit) or self._replay(unit)
            try:
                replay.compare_account(stored.get(unit))
                replay.compare_blocks(block for block in books.blocks if block.unit == unit)
                replay.compare_holds({h.id: h.reserved_mc for h in books.holds if h.unit == unit})
            except LedgerBrokenError as error:
                self.note(unit, error)
        self._compare_events(books)

    def _compare_events(self, books: Books) -> None:
        """Events are numbered without gaps; those past their retention are gone from the front."""
        if books.event_first is None or books.event_last is None:
            return
        is_gapless = books.event_last - books.event_first + 1 == books.event_count
        if not is_gapless or books.event_last != books.event_sequence:
            self.note("", LedgerBrokenError("events", "the customer's events are not numbered without gaps"))


async def verify_customer(services: Services, caller: Caller, *, name: str) -> Verification:
    """Check one customer, named by either id; a deleted one by our id.

    Raises:
        CustomerNotFoundError: no such customer in the caller's environment.
    """
    report = Verification()
    customer_id = read_uuid(name)
    for candidate in (customer_id, await _find_by_external_id(services, caller, name)):
        if candidate is None:
            continue
        async with environment_transaction(
            services.database.workers, caller.environment_id, read_only=True
        ) as tx:
            if await _CustomerCheck(caller.environment_id, candidate, report).run(tx):
                return report
    raise CustomerNotFoundError("No such customer in this environment.")


async def _find_by_external_id(services: Services, caller: Caller, name: str) -> str | None:
    ref = CustomerRef.by_external_id(name)
    assert ref.external_id is not None
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        found = await select_ids_of_external_ids(tx, [ref.external_id])
    return found.get(name)


async def verify_environment(
    services: Services, environment_id: EnvironmentId, report: Verification | None = None
) -> Verification:
    """Check every customer of an environment, deleted ones included, one snapshot each."""
    report = Verification() if report is None else report
    after_id: str | None = None
    while True:
        async with environment_transaction(services.database.workers, environment_id, read_only=True) as tx:
            ids = await select_customer_ids(tx, after_id=after_id, limit=PAGE_CUSTOMERS)
        if not ids:
            return report
        for customer_id in ids:
            async with environment_transaction(
                services.database.workers, environment_id, read_only=True
            ) as tx:
                await _CustomerCheck(environment_id, customer_id, report).run(tx)
            # Verifying must not keep a server from answering.
            await asyncio.sleep(0)
        after_id = ids[-1]


async def verify_all(services: Services) -> AsyncIterator[tuple[EnvironmentRow, Verification]]:
    """Check every environment of the installation in turn; row-level security stays on throughout."""
    async with services.database.workers.acquire() as borrowed:
        environments = await select_environments(cast("Connection", borrowed))
    for environment in environments:
        yield environment, await verify_environment(services, environment.id)
