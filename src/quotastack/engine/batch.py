"""Batch: many commands decided and written in one transaction. The only writer of customers.

For each environment in the batch: lock and read, decide one command after the other in memory,
write. Then COMMIT, publish the new states, and only then answer. Locks: the environment (shared),
then the customers' rows, ascending by (environment, customer); nothing else.

Where every state is remembered and the clock is the database's own, the batch was decided on memory as its
commands came (``open_batch``), and one call locks, compares the versions and writes, for any number of environments:
the same locks in the same order, the same decisions, one round trip instead of four for each. See docs/adr/0008, 0009.

Statements for each environment else: the lock, at most one load of states, history where commands name
it, one hot write, one for each kind of rarer row; see ``tests/engine/test_statement_counts.py``.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import asyncpg

from quotastack.core.advance import refresh_due_at
from quotastack.core.customer_state import NEVER
from quotastack.core.draft import Draft
from quotastack.core.ids import EnvironmentId
from quotastack.engine.environment_batch import SLICE, BatchParts, EnvironmentBatch
from quotastack.engine.open_batch import OpenBatch
from quotastack.engine.submission import Pending
from quotastack.runtime.tenancy import begin, commit, rollback, switch_environment
from quotastack.store.batch_writes import (
    HotRows,
    delete_customers,
    delete_due,
    free_external_ids,
    write_hot,
    write_known,
)
from quotastack.store.customers import erase_customers
from quotastack.store.object_writes import ObjectRows, write_objects
from quotastack.store.webhooks import insert_deliveries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quotastack.runtime.database import Connection
    from quotastack.store.row_values import Row

NOTICE_BYTES_MAX: Final = 7_900
GUESS_PAUSE_MAX: Final = 63

# Errors that end a connection, at whatever point of the transaction.
GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)


class CommitUnknownError(Exception):
    """The connection was lost at COMMIT: the keys tell, under the customers' locks, what happened."""


class _Rows:
    """What was decided in one environment, as rows."""

    __slots__ = ("erased", "gone", "hot", "idle", "notices", "objects", "unused")

    def __init__(self) -> None:
        self.hot = HotRows()
        # Customers about whom nothing changed: what was refused them holds only if they are still as they were.
        self.idle: list[Row] = []
        self.objects = ObjectRows()
        self.notices: list[str] = []
        self.gone: list[str] = []
        # Customers created for commands that were all refused; customers that were deleted.
        self.unused: list[str] = []
        self.erased: list[str] = []

    def is_hot(self, batch: EnvironmentBatch) -> bool:
        """Whether all of it goes into one call."""
        has_more = self.objects.rows or self.gone or self.unused or self.erased
        return not has_more and not (self.hot.events and batch.environment.catalog.endpoints)


def _collect(batch: EnvironmentBatch) -> _Rows:
    rows = _Rows()
    hot = rows.hot
    hot.keys = sorted(batch.key_rows, key=lambda row: row[0])
    is_alone = batch.parts.listener.is_alone
    for customer_id, draft in sorted(batch.drafts.items()):
        if customer_id in batch.created and draft.is_new:
            rows.unused.append(customer_id)
            continue
        if customer_id in batch.advanced:
            _collect_due(batch, draft, rows)
        known_version = batch.versions[customer_id]
        step = (customer_id, known_version, draft.version, draft.event_sequence, draft.last_entry_at)
        if not draft.writes:
            rows.idle.append(step)
        else:
            hot.customers.append(step)
            hot.add_changes(draft.customer, draft.changes, draft.accounts)
            if draft.changes.has_rare:
                rows.objects.add_changes(draft.customer, draft.changes)
                if draft.changes.rare.is_erased:
                    rows.erased.append(customer_id)
            if not is_alone:
                rows.notices.append(f"{customer_id}={draft.version}")
    prefix = f"{batch.parts.process_id}:{batch.environment_id}:"
    rows.notices = join_notices(prefix, rows.notices)
    return rows


async def _write(tx: Connection, batch: EnvironmentBatch, rows: _Rows) -> None:
    """Write what was decided; nothing when nothing changed."""
    if rows.objects.rows:
        await write_objects(tx, batch.environment_id, rows.objects)
    if rows.hot.customers or rows.hot.keys or rows.hot.due:
        await write_hot(tx, _part(batch, rows))
    await _queue_deliveries(tx, batch)
    if rows.gone:
        await delete_due(tx, batch.environment_id, rows.gone)
    if rows.unused:
        await delete_customers(tx, batch.environment_id, rows.unused)
        for customer_id in rows.unused:
            del batch.drafts[customer_id]
    if rows.erased:
        await free_external_ids(tx, batch.environment_id, rows.erased)
        await erase_customers(tx, rows.erased)


def _part(batch: EnvironmentBatch, rows: _Rows) -> Row:
    return rows.hot.part(batch.environment_id, rows.notices, environment_version=batch.environment.version)


def _known_part(batch: EnvironmentBatch, rows: _Rows) -> Row:
    """The part for ``write_known``, which takes the locks itself."""
    return rows.hot.part(
        batch.environment_id,
        rows.notices,
        environment_version=batch.environment.version,
        refused_digests=batch.refused_digests,
        idle=rows.idle,
    )


async def _queue_deliveries(tx: Connection, batch: EnvironmentBatch) -> None:
    endpoints = batch.environment.catalog.endpoints
    if not endpoints:
        return
    events = [
        (customer_id, event)
        for customer_id, draft in sorted(batch.drafts.items())
        for event in draft.changes.events
    ]
    if events:
        await insert_deliveries(tx, EnvironmentId(batch.environment_id), events, endpoints)


def _collect_due(batch: EnvironmentBatch, draft: Draft, rows: _Rows) -> None:
    if draft.is_due_stale:
        refresh_due_at(draft, batch.environment.catalog)
    written_at = draft.written_due_at
    is_met = written_at <= batch.now
    if draft.due_at < written_at or (is_met and draft.due_at != written_at):
        draft.written_due_at = draft.due_at
        if draft.due_at == NEVER:
            rows.gone.append(draft.customer.id)
        else:
            rows.hot.due.append((draft.customer.id, draft.due_at))


def join_notices(prefix: str, notices: list[str]) -> list[str]:
    """Payloads of at most what NOTIFY takes: ``prefix`` and as many notices as fit, comma-separated."""
    payloads: list[str] = []
    line = ""
    for notice in notices:
        if line and len(prefix) + len(line) + len(notice) + 1 > NOTICE_BYTES_MAX:
            payloads.append(prefix + line)
            line = ""
        line = f"{line},{notice}" if line else notice
    if line:
        payloads.append(prefix + line)
    return payloads


class Guessing:
    """When a lane decides on what it remembers: always, but for a while after it was wrong.

    Each time in a row it was wrong doubles the number of batches for which the database is asked first, so that
    two processes that work on the same customers do not decide everything twice.
    """

    __slots__ = ("_pause", "_skip")

    def __init__(self) -> None:
        self._pause = 0
        self._skip = 0

    def is_due(self) -> bool:
        """Whether to try with this batch."""
        if self._skip:
            self._skip -= 1
            return False
        return True

    def note(self, *, was_right: bool) -> None:
        """Learn from a try."""
        self._pause = 0 if was_right else min(GUESS_PAUSE_MAX, 2 * self._pause + 1)
        self._skip = self._pause


async def run_batch(
    tx: Connection, opened: OpenBatch, parts: BatchParts, guessing: Guessing
) -> list[Pending]:
    """Write what ``opened`` decided, then read, decide and write the rest, and answer each caller after its COMMIT.

    What was decided on remembered states goes first: the write compares versions and refuses as a whole when memory
    was wrong; nobody has been answered by then, and they run with the others, which are read under their locks.

    Returns those that must run again (more is due for them than one transaction takes).

    Raises:
        PoisonedBatchError, asyncpg.PostgresError, OSError: those that are not ``is_final`` were not written.
        CommitUnknownError: COMMIT was sent and no answer came; nothing is known of those not ``is_final``.
    """
    opened.begin()
    deferred: list[Pending] = []
    if opened.known:
        opened.was_written = await _write_known_batches(tx, opened.batches)
        guessing.note(was_right=opened.was_written)
        if opened.was_written:
            deferred = _finish(opened.batches, opened.known, parts)
        else:
            opened.forget()
    rest = opened.rest
    if deferred:
        put_off = {pending.place for pending in deferred}
        deferred += [pending for pending in rest if pending.place in put_off]
        rest = [pending for pending in rest if pending.place not in put_off]
    if rest:
        parts.publishing.finish()
        deferred += _finish(await _run_read(tx, rest, parts), rest, parts)
    return deferred


def _finish(
    batches: Sequence[EnvironmentBatch], pendings: Sequence[Pending], parts: BatchParts
) -> list[Pending]:
    """Have what was committed published, then answered; returns those that must run again."""
    parts.publishing.add(batches)
    # Only those that are decided now: one that runs again has an outcome before that is committed.
    decided = [pending for pending in pendings if pending.outcome is not None]
    for pending in decided:
        pending.is_final = True
    # In the loop's next turn: the lane hands its next batch to the database first, which then has work meanwhile.
    asyncio.get_running_loop().call_soon(_tell, decided, parts)
    return [pending for batch in batches for pending in batch.deferred]


def _tell(decided: Sequence[Pending], parts: BatchParts) -> None:
    try:
        parts.publishing.finish()
    finally:
        _answer(decided)


def _answer(decided: Sequence[Pending]) -> None:
    for pending in decided[:SLICE]:
        pending.answer()
    if len(decided) > SLICE:
        asyncio.get_running_loop().call_soon(_answer, decided[SLICE:])


def _group(pendings: Sequence[Pending]) -> list[tuple[str, list[Pending]]]:
    by_environment: dict[str, list[Pending]] = defaultdict(list)
    for pending in pendings:
        by_environment[pending.submission.caller.environment_id].append(pending)
    return sorted(by_environment.items())


async def _run_read(tx: Connection, pendings: Sequence[Pending], parts: BatchParts) -> list[EnvironmentBatch]:
    """Read under the locks, decide, write, commit."""
    batches: list[EnvironmentBatch] = []
    try:
        for environment_id, group in _group(pendings):
            await _enter(tx, environment_id, is_first=not batches)
            batch = EnvironmentBatch(environment_id, group, parts)
            batches.append(batch)
            await batch.read(tx)
            await batch.decide()
            await _write(tx, batch, _collect(batch))
    except BaseException:
        await rollback(tx)
        raise
    await _commit(tx)
    return batches


async def _write_known_batches(tx: Connection, batches: Sequence[EnvironmentBatch]) -> bool:
    """Write what was decided on remembered states, if they still hold."""
    try:
        return await _write_remembered(tx, batches)
    except asyncpg.UniqueViolationError:
        # A key that was used before, most likely: it is found, and answered, under the lock.
        return False


async def _write_remembered(tx: Connection, batches: Sequence[EnvironmentBatch]) -> bool:
    rows = [_collect(batch) for batch in batches]
    if all(its_rows.is_hot(batch) for batch, its_rows in zip(batches, rows, strict=True)):
        return await _write_alone(
            tx, [_known_part(batch, its_rows) for batch, its_rows in zip(batches, rows, strict=True)]
        )
    try:
        for batch, its_rows in zip(batches, rows, strict=True):
            is_hot = its_rows.is_hot(batch)
            await _enter(tx, batch.environment_id, is_first=batch is batches[0], enters_itself=is_hot)
            if is_hot:
                still_holds = await write_known(tx, [_known_part(batch, its_rows)])
            else:
                still_holds = await batch.still_holds(tx)
                if still_holds:
                    await _write(tx, batch, its_rows)
            if not still_holds:
                await rollback(tx)
                return False
    except BaseException:
        await rollback(tx)
        raise
    await _commit(tx)
    return True


async def _write_alone(tx: Connection, parts: Sequence[Row]) -> bool:
    """Write in one round trip: the call is its own transaction."""
    try:
        return await write_known(tx, parts)
    except asyncpg.PostgresError as error:
        if tx.is_closed() or isinstance(error, GONE):
            # The server went while it may have been committing.
            tx.terminate()
            raise CommitUnknownError from error
        raise
    except BaseException as error:
        tx.terminate()
        raise CommitUnknownError from error


async def _enter(tx: Connection, environment_id: str, *, is_first: bool, enters_itself: bool = False) -> None:
    """Begin in an environment, or go on to it unless the next call does so itself."""
    if is_first:
        await begin(tx, EnvironmentId(environment_id))
    elif not enters_itself:
        await switch_environment(tx, EnvironmentId(environment_id))


async def _commit(tx: Connection) -> None:
    try:
        await commit(tx)
    except BaseException as error:
        # Whatever it was, the connection is not used again: its backend may still be committing.
        tx.terminate()
        raise CommitUnknownError from error
