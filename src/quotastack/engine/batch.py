"""Batch: many commands decided and written in one transaction. The only writer of customers.

For each environment in the batch: lock and read, decide one command after the other in memory,
write. Then COMMIT, publish the new states, and only then answer. Locks: the environment (shared),
then the customers' rows, ascending by (environment, customer); nothing else.

Statements for each environment: the lock, at most one load of states, history where commands name
it, one hot write, one for each kind of rarer row; see ``tests/engine/test_statement_counts.py``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from quotastack.core.advance import refresh_due_at
from quotastack.core.customer_state import NEVER
from quotastack.core.draft import Draft
from quotastack.core.ids import EnvironmentId
from quotastack.engine.environment_batch import BatchParts, EnvironmentBatch
from quotastack.engine.submission import Pending
from quotastack.runtime.tenancy import begin, commit, rollback, switch_environment
from quotastack.store.batch_writes import (
    HotRows,
    delete_customers,
    free_external_ids,
    write_due,
    write_hot,
)
from quotastack.store.customers import erase_customers
from quotastack.store.object_writes import INSERT_LEDGER_TEXTS, ObjectRows, write_objects
from quotastack.store.webhooks import insert_deliveries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from quotastack.runtime.database import Connection

NOTICE_BYTES_MAX: Final = 7_900


class CommitUnknownError(Exception):
    """The connection was lost at COMMIT: the keys tell, under the customers' locks, what happened."""


async def _write(tx: Connection, batch: EnvironmentBatch) -> None:
    """Write what was decided; nothing when nothing changed."""
    hot, objects = HotRows(), ObjectRows()
    hot.keys = sorted(batch.key_rows, key=lambda row: row[0])
    due: list[tuple[str, datetime]] = []
    gone: list[str] = []
    notices: list[str] = []
    unused: list[str] = []
    for customer_id, draft in sorted(batch.drafts.items()):
        if customer_id in batch.created and draft.is_new:
            unused.append(customer_id)
            continue
        _collect_due(batch, draft, due, gone)
        if draft.writes:
            hot.customers.append((customer_id, draft.version, draft.event_sequence, draft.last_entry_at))
            hot.add_changes(draft.customer, draft.changes, draft.accounts)
            objects.add_changes(draft.customer, draft.changes)
            if not batch.parts.listener.is_alone:
                notices.append(f"{customer_id}={draft.version}")
    await _write_rows(tx, batch, hot, objects, notices)
    await _queue_deliveries(tx, batch)
    if due or gone:
        await write_due(tx, batch.environment_id, due, gone)
    if unused:
        await delete_customers(tx, batch.environment_id, unused)
        for customer_id in unused:
            del batch.drafts[customer_id]
    erased = [c for c, draft in batch.drafts.items() if draft.changes.is_erased]
    if erased:
        await free_external_ids(tx, batch.environment_id, erased)
        await erase_customers(tx, erased)


async def _write_rows(
    tx: Connection, batch: EnvironmentBatch, hot: HotRows, objects: ObjectRows, notices: list[str]
) -> None:
    for row in hot.texts:
        objects.add(INSERT_LEDGER_TEXTS, row)
    if objects.rows:
        await write_objects(tx, batch.environment_id, objects)
    if hot.customers or hot.keys:
        prefix = f"{batch.parts.process_id}:{batch.environment_id}:"
        await write_hot(tx, batch.environment_id, hot, join_notices(prefix, notices))


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


def _collect_due(
    batch: EnvironmentBatch, draft: Draft, due: list[tuple[str, datetime]], gone: list[str]
) -> None:
    if draft.is_due_stale:
        refresh_due_at(draft, batch.environment.catalog)
    written_at = draft.written_due_at
    is_met = written_at <= batch.now
    if draft.due_at < written_at or (is_met and draft.due_at != written_at):
        draft.written_due_at = draft.due_at
        if draft.due_at == NEVER:
            gone.append(draft.customer.id)
        else:
            due.append((draft.customer.id, draft.due_at))


def _publish(batch: EnvironmentBatch) -> None:
    """Let checks see what was committed."""
    batch.parts.environments.put(batch.environment)
    for draft in batch.drafts.values():
        if draft.customer.deleted_at is not None:
            batch.parts.cache.forget(batch.environment_id, draft.customer.id)
        batch.parts.cache.put(draft.freeze())


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


async def run_batch(tx: Connection, pendings: Sequence[Pending], parts: BatchParts) -> list[Pending]:
    """Decide and write ``pendings`` in one transaction, then answer each caller.

    Returns those that must run again (more is due for them than one transaction takes).

    Raises:
        PoisonedBatchError, asyncpg.PostgresError, OSError: nothing was written, nobody answered.
        CommitUnknownError: COMMIT was sent and no answer came.
    """
    groups: dict[str, list[Pending]] = defaultdict(list)
    for pending in pendings:
        groups[pending.submission.caller.environment_id].append(pending)
    batches: list[EnvironmentBatch] = []
    try:
        for environment_id, group in sorted(groups.items()):
            if batches:
                await switch_environment(tx, EnvironmentId(environment_id))
            else:
                await begin(tx, EnvironmentId(environment_id))
            batch = EnvironmentBatch(environment_id, group, parts)
            batches.append(batch)
            await batch.read(tx)
            batch.decide()
            await _write(tx, batch)
    except BaseException:
        await rollback(tx)
        raise
    await _commit(tx)
    for batch in batches:
        _publish(batch)
    deferred = [pending for batch in batches for pending in batch.deferred]
    for pending in pendings:
        if pending.outcome is not None:
            pending.answer()
    return deferred


async def _commit(tx: Connection) -> None:
    try:
        await commit(tx)
    except BaseException as error:
        # Whatever it was, the connection is not used again: its backend may still be committing.
        tx.terminate()
        raise CommitUnknownError from error
