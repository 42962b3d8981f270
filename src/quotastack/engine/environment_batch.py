"""The commands of one environment within a batch: what they need is read, then each is decided in memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog

from quotastack.core.advance import advance
from quotastack.core.amounts import AmountOverflowError
from quotastack.core.balance_events import tell_balance
from quotastack.core.commands import HistoryNeededError, RefusedWithChangesError
from quotastack.core.context import Context
from quotastack.core.creation import open_customer
from quotastack.core.customer_state import Customer, new_state
from quotastack.core.draft import Draft
from quotastack.core.errors import (
    ConflictError,
    CustomerNotFoundError,
    IdempotencyKeyReusedError,
    ProblemError,
)
from quotastack.engine.environments import load_environment
from quotastack.engine.submission import Outcome, Pending, as_problem
from quotastack.runtime.random_ids import new_id, new_salt
from quotastack.store.batch_writes import (
    insert_customers,
)
from quotastack.store.batches import StoredKey, open_batch
from quotastack.store.history import load_history
from quotastack.store.states import load_states, read_clock, select_customer_ids

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from quotastack.core.customer_state import CustomerState
    from quotastack.engine.cache import StateCache
    from quotastack.engine.environments import Environment, Environments
    from quotastack.engine.listener import Listener
    from quotastack.engine.publishing import Publishing
    from quotastack.runtime.clock import Clock
    from quotastack.runtime.database import Connection

# Commands that are decided, or answered, in one turn of the loop.
SLICE: Final = 8

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class PoisonedBatchError(Exception):
    """A command failed half-way through its writes: the batch is undone and run one by one."""


class BatchParts(msgspec.Struct, frozen=True):
    """What a batch works with besides its connection."""

    cache: StateCache
    environments: Environments
    publishing: Publishing
    listener: Listener
    clock: Clock
    process_id: str

    def recall(self, environment_id: str, customer_id: str) -> CustomerState | None:
        """What is remembered of a customer: all that was committed is published by then."""
        self.publishing.finish()
        entry = self.cache.get(environment_id, customer_id)
        return None if entry is None else entry.state

    def cache_forget(self, pendings: Sequence[Pending]) -> None:
        """Drop the cached states of customers whose batch failed: the database tells anew."""
        for pending in pendings:
            if pending.customer_id is not None:
                self.cache.forget(pending.submission.caller.environment_id, pending.customer_id)
            if pending.submission.customer.external_id is not None:
                pending.customer_id = None


class EnvironmentBatch:
    """The commands of one environment within a batch."""

    def __init__(self, environment_id: str, pendings: list[Pending], parts: BatchParts) -> None:
        self.environment_id = environment_id
        self.pendings = pendings
        self.parts = parts
        self.drafts: dict[str, Draft] = {}
        self.created: dict[str, CustomerState] = {}
        self.deferred: list[Pending] = []
        # The places of those: whoever follows there is put off, too, and one customer's commands keep their order.
        self.put_off: set[tuple[str, str | None, str | None]] = set()
        # Customers for whom time has been let happen: what is due next is known of them only.
        self.advanced: set[str] = set()
        self.key_rows: list[tuple[Any, ...]] = []
        self.keys: dict[bytes, StoredKey] = {}
        self.versions: dict[str, int] = {}
        self.environment: Environment
        # The database's clock, and the environment's time by it.
        self.real_now: datetime
        self.now: datetime

    # Remembering

    def remember(self, state: CustomerState) -> None:
        """Take a customer from memory instead of ``read``.

        What is decided on it may be written only if the version still holds.
        """
        self.drafts[state.customer.id] = Draft(state, priority_order=self.environment.config.priority_order)
        self.versions[state.customer.id] = state.version

    def decide_remembered(self, pending: Pending) -> None:
        """Decide a command of a remembered customer, at the time at which it comes.

        Raises:
            PoisonedBatchError: nothing of the batch may be written.
        """
        self.pendings.append(pending)
        self.real_now = self.parts.clock.now()
        self.now = self.environment.time_at(self.real_now)
        self._decide_next(pending)

    @property
    def refused_digests(self) -> list[bytes]:
        """The keys of the commands that were refused: had one been used before, it would have been answered."""
        return [
            pending.submission.key.digest
            for pending in self.pendings
            if isinstance(pending.outcome, Exception) and pending.submission.key is not None
        ]

    # Reading

    async def read(self, tx: Connection) -> None:
        """Resolve and create customers, take the locks, load what is not cached."""
        await self._resolve(tx)
        ids = sorted({p.customer_id for p in self.pendings if p.customer_id is not None})
        digests = sorted({p.submission.key.digest for p in self.pendings if p.submission.key})
        opened = await open_batch(tx, ids, digests)
        self.keys = opened.keys
        self.versions = opened.versions
        self.real_now = opened.now
        await self._load_environment(tx, opened.environment_version)
        self.now = self.environment.time_at(opened.now)
        await self._load_drafts(tx)
        for pending in self.pendings:
            draft = self.drafts.get(pending.customer_id or "")
            if draft is None:
                continue
            for needs in (pending.submission.command.lacks(draft), *pending.needs):
                if needs is not None:
                    await load_history(tx, draft.customer.id, needs, draft.extra)

    async def still_holds(self, tx: Connection) -> bool:
        """Take the locks; whether what was recalled is what the database has, and no key was used before."""
        digests = {p.submission.key.digest for p in self.pendings if p.submission.key}
        opened = await open_batch(tx, sorted(self.versions), sorted(digests))
        return (
            opened.environment_version == self.environment.version
            and opened.versions == self.versions
            and not opened.keys
        )

    async def _resolve(self, tx: Connection) -> None:
        unknown = [p for p in self.pendings if p.customer_id is None]
        if not unknown:
            return
        by_external_id: dict[str, list[Pending]] = defaultdict(list)
        for pending in unknown:
            external_id = pending.submission.customer.external_id
            assert external_id is not None
            by_external_id[external_id].append(pending)
        found = await select_customer_ids(tx, sorted(by_external_id))
        wanted = {
            external_id: new_id()
            for external_id, pendings in by_external_id.items()
            if external_id not in found and any(p.submission.creates_customer for p in pendings)
        }
        if wanted:
            await self._create(tx, wanted, found)
        for external_id, pendings in by_external_id.items():
            for pending in pendings:
                pending.customer_id = found.get(external_id)

    async def _create(self, tx: Connection, wanted: dict[str, str], found: dict[str, str]) -> None:
        environment = self.parts.environments.peek(self.environment_id)
        if environment is None:
            environment = await load_environment(tx, self.environment_id)
        created_at = environment.time_at(await read_clock(tx))
        created = await insert_customers(tx, self.environment_id, wanted, created_at)
        found.update({external_id: wanted[external_id] for external_id in created})
        for external_id in created:
            customer = Customer(
                id=wanted[external_id],
                external_id=external_id,
                created_at=created_at,
                updated_at=created_at,
            )
            self.created[customer.id] = new_state(self.environment_id, customer)
        taken = sorted(wanted.keys() - created)
        if taken:
            found.update(await select_customer_ids(tx, taken))

    async def _load_environment(self, tx: Connection, version: int | None) -> None:
        known = self.parts.environments.peek(self.environment_id)
        if known is None or known.version != version:
            known = await load_environment(tx, self.environment_id)
        self.environment = known

    async def _load_drafts(self, tx: Connection) -> None:
        states: dict[str, CustomerState] = {}
        stale: list[str] = []
        for customer_id, version in self.versions.items():
            entry = self.parts.cache.get(self.environment_id, customer_id)
            if customer_id in self.created:
                states[customer_id] = self.created[customer_id]
            elif entry is not None and entry.state.version == version:
                states[customer_id] = entry.state
            else:
                stale.append(customer_id)
        order = self.environment.config.priority_order
        if stale:
            states |= await load_states(tx, stale, priority_order=order)
        for customer_id, state in states.items():
            self.drafts[customer_id] = Draft(state, priority_order=order)

    # Deciding

    async def decide(self) -> None:
        """Decide every command in order; each gets its outcome or is deferred to the next batch.

        A check that comes meanwhile waits for a slice of the batch, not for all of it.
        """
        for number, pending in enumerate(self.pendings, 1):
            if not number % SLICE:
                await asyncio.sleep(0)
            if not pending.future.cancelled():
                self._decide_next(pending)

    def _decide_next(self, pending: Pending) -> None:
        replay = self._replay(pending)
        if replay is not None:
            pending.outcome = replay
            return
        if self.put_off and pending.place in self.put_off:
            self._defer(pending)
            return
        draft = self.drafts.get(pending.customer_id or "")
        ref = pending.submission.customer
        if draft is not None and ref.external_id not in (None, draft.customer.external_id):
            # The external id moved to another customer since it was looked up.
            self.parts.cache.forget(self.environment_id, draft.customer.id)
            self._defer(pending, unresolved=True)
        elif draft is None or not _may_run(draft, pending):
            pending.outcome = _not_found(pending)
        else:
            self._decide_one(pending, draft)

    def _defer(self, pending: Pending, *, unresolved: bool = False) -> None:
        self.put_off.add(pending.place)
        if unresolved:
            pending.customer_id = None
        self.deferred.append(pending)

    def _defer_for(self, pending: Pending, needed: HistoryNeededError) -> None:
        if needed.needs in pending.needs:
            raise PoisonedBatchError from needed
        pending.needs.append(needed.needs)
        self._defer(pending)

    def _replay(self, pending: Pending) -> Outcome | ProblemError | None:
        key = pending.submission.key
        stored = self.keys.get(key.digest) if key is not None else None
        if stored is None or key is None:
            return None
        if stored.status is None or stored.body is None:
            return ConflictError("This idempotency key belongs to a customer who was deleted.")
        if stored.fingerprint != key.fingerprint:
            return IdempotencyKeyReusedError(
                "The idempotency key was used for another request. A key names one act: "
                "use a new key for a new act."
            )
        return Outcome(status=stored.status, body=stored.body, is_replayed=not pending.is_settling)

    def _context(self, pending: Pending, draft: Draft) -> Context:
        submission = pending.submission
        caller = submission.caller
        last_at = draft.last_entry_at
        return Context(
            environment_id=self.environment_id,
            environment=self.environment.environment,
            catalog=self.environment.catalog,
            now=self.now if last_at is None or last_at <= self.now else last_at,
            request_id=caller.request_id,
            actor=caller.actor,
            new_id=new_id,
            new_salt=new_salt,
            idempotency_key=None if submission.key is None else submission.key.key,
        )

    def _decide_one(self, pending: Pending, draft: Draft) -> None:
        context = self._context(pending, draft)
        if draft.is_new and draft.customer.id in self.created and not draft.writes:
            open_customer(draft, context)
        self.advanced.add(draft.customer.id)
        try:
            is_done = _advance(draft, context)
        except HistoryNeededError as needed:
            self._defer_for(pending, needed)
            return
        finally:
            if draft.changes.has_rare:
                pending.ran.extend(draft.changes.rare.ran)
                draft.changes.rare.ran.clear()
        if not is_done:
            self._defer(pending)
            return
        command = pending.submission.command
        if command.is_dry_run:
            draft = Draft(draft.freeze(), priority_order=self.environment.config.priority_order)
            draft.extra = self.drafts[draft.customer.id].extra
        writes = draft.writes
        try:
            answer = command.decide(draft, context)
        except RefusedWithChangesError as refusal:
            pending.outcome = refusal.error
            draft.version += 1
            return
        except HistoryNeededError as needed:
            if draft.writes != writes:
                raise PoisonedBatchError from needed
            self._defer_for(pending, needed)
            return
        except (ProblemError, AmountOverflowError) as refusal:
            if draft.writes != writes:
                raise PoisonedBatchError from refusal
            # Its traceback holds this frame and so the pending, which holds it.
            pending.outcome = as_problem(refusal).with_traceback(None)
            return
        except Exception as bug:
            raise PoisonedBatchError from bug
        if draft.writes != writes:
            tell_balance(draft, context)
            draft.version += 1
        draft.is_new = False
        self._accept(pending, answer)

    def _accept(self, pending: Pending, answer: Any) -> None:
        command = pending.submission.command
        body = _encode(answer)
        pending.outcome = Outcome(status=command.status, body=body, answer=answer, ran=tuple(pending.ran))
        key = pending.submission.key
        if key is None or command.is_dry_run:
            return
        self.keys[key.digest] = StoredKey(key.fingerprint, command.status, body)
        self.key_rows.append(
            (key.digest, key.key, key.fingerprint, command.status, body, pending.customer_id,
             command.is_money, self.real_now)
        )  # fmt: skip


def _may_run(draft: Draft, pending: Pending) -> bool:
    return draft.customer.deleted_at is None or pending.submission.command.may_touch_deleted


def _not_found(pending: Pending) -> CustomerNotFoundError:
    ref = pending.submission.customer
    if ref.external_id is not None:
        return CustomerNotFoundError(
            "No customer has this external id. Create it with POST /v1/customers or by its first topup."
        )
    return CustomerNotFoundError("No customer has this customer_id in this environment.")


def _advance(draft: Draft, context: Context) -> bool:
    """Let time happen; what it changed is one more version."""
    writes = draft.writes
    try:
        return advance(draft, context)
    finally:
        if draft.writes != writes:
            draft.version += 1
