"""The engine: one writer for everything of a customer, and the copies that checks read.

``submit`` is the only way to change a customer; ``peek`` the way to know one, brought up to now.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from quotastack.core.advance import advance
from quotastack.core.commands import Advance
from quotastack.core.context import SYSTEM, Context
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.draft import Draft
from quotastack.core.errors import CustomerNotFoundError, NotFoundError
from quotastack.core.ids import EnvironmentId
from quotastack.engine.cache import StateCache
from quotastack.engine.environment_batch import BatchParts
from quotastack.engine.environments import Environments, UnknownEnvironmentError, load_environment
from quotastack.engine.lanes import Lane, overloaded
from quotastack.engine.listener import Listener
from quotastack.engine.publishing import Publishing
from quotastack.engine.submission import Outcome, Pending, Submission, Ticket
from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.random_ids import new_id, new_salt
from quotastack.runtime.slices import Slices
from quotastack.runtime.telemetry import (
    CACHE_BYTES,
    CACHE_ENTRIES,
    ENGINE_BATCHES,
    ENGINE_COMMANDS,
    ENGINE_REFUSED,
    ENGINE_WAITING,
)
from quotastack.runtime.tenancy import environment_transaction
from quotastack.store.states import load_states, read_clock, select_customer_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from quotastack.core.customer_state import CustomerState
    from quotastack.engine.environments import Environment
    from quotastack.runtime.clock import Clock
    from quotastack.runtime.database import Database
    from quotastack.runtime.settings import Settings

_SLICES_MAX = 10_000

# A database that does not answer is told to the caller before five seconds are over.
READ_SECONDS_MAX = 4.0


class Engine:
    """The lanes, the cache and the listener of one process; ``slices`` is for all long work of its loop."""

    def __init__(self, settings: Settings, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.process_id = new_id().replace("-", "")
        self.cache = StateCache(settings.cache_bytes)
        self.slices = Slices()
        self.environments = Environments(database, clock)
        self.listener = Listener(
            database, cache=self.cache, environments=self.environments, process_id=self.process_id
        )
        publishing = Publishing(self.cache, self.environments)
        parts = BatchParts(
            self.cache, self.environments, publishing, self.listener, clock, process_id=self.process_id
        )
        self.lanes = [
            Lane(
                database,
                parts,
                self.slices,
                batch_max=settings.batch_max,
                queue_max=settings.queue_max,
                one_customer=settings.batch_scope == "customer",
            )
            for _ in range(settings.lanes)
        ]
        self._noted = (0, 0, 0)

    async def start(self) -> None:
        """Listen first, then take commands."""
        await self.listener.start()
        for lane in self.lanes:
            await lane.start()

    async def stop(self) -> None:
        """Finish what waits and close the engine's connections."""
        for lane in self.lanes:
            await lane.stop()
        await self.listener.stop()

    def require_room(self, *, is_late: bool) -> None:
        """Refuse before any work is done for a command that would be refused anyway.

        Raises:
            UnavailableError: the command waited for too long before it came here (``is_late``), or every lane is full.
        """
        if is_late or not self.has_room:
            self.note_refused()
            raise overloaded()

    @property
    def has_room(self) -> bool:
        """Whether there is a lane that would take a command."""
        for lane in self.lanes:  # noqa: SIM110 - asked in every turn of the loop; a generator costs twice as much
            if not lane.is_full:
                return True
        return False

    def note_refused(self) -> None:
        """Count a command that was refused before it came to a lane."""
        self.lanes[0].refused += 1

    def note_metrics(self) -> None:
        """Bring the metrics up to date: what was counted since the last time, and how it stands."""
        batches = sum(lane.batches for lane in self.lanes)
        commands = sum(lane.commands for lane in self.lanes)
        refused = sum(lane.refused for lane in self.lanes)
        before, self._noted = self._noted, (batches, commands, refused)
        ENGINE_BATCHES.inc(batches - before[0])
        ENGINE_COMMANDS.inc(commands - before[1])
        ENGINE_REFUSED.inc(refused - before[2])
        ENGINE_WAITING.set(sum(lane.waiting for lane in self.lanes))
        CACHE_BYTES.set(self.cache.bytes)
        CACHE_ENTRIES.set(len(self.cache))

    def submit_then(self, submission: Submission, tell: Callable[[Outcome | Exception], None]) -> None:
        """Queue a command; ``tell`` is called once, with its outcome or the refusal, when it is committed.

        Raises:
            UnavailableError: the lane is full; ``tell`` is not called.
        """
        self._put(submission, Ticket(tell))

    def _put(self, submission: Submission, future: asyncio.Future[Outcome] | Ticket) -> None:
        environment_id: str = submission.caller.environment_id
        ref = submission.customer
        customer_id: str | None = ref.customer_id
        if customer_id is None and ref.external_id is not None:
            customer_id = self.cache.find_customer_id(environment_id, ref.external_id)
        pending = Pending(submission, customer_id, future, queued_at_seconds=monotonic_seconds())
        lanes = self.lanes
        lane = lanes[0] if len(lanes) == 1 else lanes[hash(customer_id or ref.external_id) % len(lanes)]
        lane.put(pending)

    async def submit(self, submission: Submission) -> Outcome:
        """Carry out a command; returns once it is committed.

        Raises:
            CustomerNotFoundError, IdempotencyKeyReusedError, IdempotencyKeyInFlightError,
            ConflictError: before the command was looked at.
            ProblemError: the command's own refusals; nothing changed, no key was consumed.
            UnavailableError: overloaded or the database cannot be reached; when the connection was
                lost at COMMIT the outcome is unknown and the same key tells it.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._put(submission, future)
        return await future

    async def peek(self, caller: Any, ref: CustomerRef, *, strong: bool = False) -> tuple[Draft, Context]:
        """A customer brought up to now in memory; nothing is written.

        ``strong`` reads the database; else the cached state serves while the listener proves that
        it can not be stale. No statement on a hit.

        Raises:
            CustomerNotFoundError: unknown or deleted.
        """
        environment_id: str = caller.environment_id
        state: CustomerState | None = None
        environment: Environment | None = None
        now: datetime | None = None
        if not strong and self.listener.is_fresh and self._clock.is_synchronised:
            environment = self.environments.peek(environment_id)
            state = self.find_cached(environment_id, ref)
        if state is None or environment is None:
            async with asyncio.timeout(READ_SECONDS_MAX):
                state, environment, now = await self._read(environment_id, ref)
        else:
            now = self.environments.now(environment)
        return self._bring_forward(caller, state, environment, now)

    def find_cached(self, environment_id: str, ref: CustomerRef) -> CustomerState | None:
        """The cached state of a customer, or None; the caller asks ``listener.is_fresh`` first."""
        customer_id: str | None = ref.customer_id
        if customer_id is None:
            assert ref.external_id is not None
            customer_id = self.cache.find_customer_id(environment_id, ref.external_id)
        entry = None if customer_id is None else self.cache.get(environment_id, customer_id)
        return None if entry is None or entry.state.customer.deleted_at else entry.state

    async def _read(
        self, environment_id: str, ref: CustomerRef
    ) -> tuple[CustomerState, Environment, datetime]:
        async with environment_transaction(
            self._database.reads, EnvironmentId(environment_id), read_only=True
        ) as tx:
            customer_id: str | None = ref.customer_id
            if customer_id is None:
                assert ref.external_id is not None
                found = await select_customer_ids(tx, [ref.external_id])
                customer_id = found.get(ref.external_id)
            try:
                environment = await load_environment(
                    tx, environment_id, known=self.environments.peek(environment_id)
                )
            except UnknownEnvironmentError as error:
                raise NotFoundError("The environment is gone.") from error
            order = environment.config.priority_order
            states = await load_states(tx, [customer_id], priority_order=order) if customer_id else {}
            now = environment.time_at(await read_clock(tx))
        self.environments.put(environment)
        state = states.get(customer_id or "")
        if state is None or state.customer.deleted_at is not None:
            raise CustomerNotFoundError("No such customer in this environment.")
        self.cache.put(state)
        return state, environment, now

    def _bring_forward(
        self, caller: Any, state: CustomerState, environment: Environment, now: datetime
    ) -> tuple[Draft, Context]:
        draft = Draft(state, priority_order=environment.config.priority_order)
        last_at = draft.last_entry_at
        context = Context(
            environment_id=environment.id,
            environment=environment.environment,
            catalog=environment.catalog,
            now=now if last_at is None or last_at <= now else last_at,
            request_id=getattr(caller, "request_id", None),
            actor=getattr(caller, "actor", SYSTEM),
            new_id=new_id,
            new_salt=new_salt,
        )
        for _ in range(_SLICES_MAX):
            if advance(draft, context):
                break
        return draft, context

    async def settle_time(self, caller: Any, ref: CustomerRef) -> str:
        """Write what time has done to a customer, so that their history is complete; their id.

        Raises:
            CustomerNotFoundError: unknown or deleted.
        """
        draft, _ = await self.peek(caller, ref, strong=True)
        if draft.changes.has_rare and draft.changes.rare.ran:
            by_id = CustomerRef.by_id(draft.customer.id)
            await self.submit(Submission(caller=caller, customer=by_id, command=Advance()))
        return draft.customer.id
