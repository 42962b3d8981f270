"""The test clock: freezing, advancing and releasing the time of a test environment.

A move is decided under the environment's lock: who is due until the new instant is brought there in
memory, which tells what will run, and that answer is committed with the clock. Then everything is
written, as a sweep would. Whoever writes it first (a sweep of another process, a request), the answer
is complete, and a repeated request finds it whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.advance import advance
from quotastack.core.commands import Advance
from quotastack.core.context import SYSTEM, Context
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.draft import Draft
from quotastack.core.errors import (
    ConflictError,
    CustomerNotFoundError,
    InsufficientScopeError,
    ValidationFailedError,
)
from quotastack.core.periods import TIME_MAX
from quotastack.engine.environments import load_environment
from quotastack.runtime.random_ids import new_id, random_bytes
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.commands import submit_command
from quotastack.services.environment_time import read_environment_time
from quotastack.services.idempotency import Stored, run_once
from quotastack.store.environments import lock_environment, raise_version
from quotastack.store.states import load_states, read_clock
from quotastack.store.test_clock import select_due_customers, update_clock

if TYPE_CHECKING:
    from quotastack.core.changes import Ran
    from quotastack.core.customer_state import CustomerState
    from quotastack.core.idempotency import IdempotencyKey
    from quotastack.engine.environments import Environment
    from quotastack.runtime.database import Connection
    from quotastack.services.caller import Caller
    from quotastack.services.container import Services

PAGE: Final = 200
AT_ONCE: Final = 50


class RanView(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that time did, at its own instant."""

    kind: str
    customer_id: str
    at: datetime


class ClockView(msgspec.Struct, frozen=True, kw_only=True):
    """The environment's time, and what ran because it moved, by time and customer."""

    now: datetime
    frozen: bool
    ran: list[RanView] = []


async def read_test_clock(services: Services, caller: Caller) -> ClockView:
    """The environment's time.

    Raises:
        InsufficientScopeError: the key is a live one.
    """
    _require_test(caller)
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        environment = await load_environment(tx, caller.environment_id)
        now = await read_environment_time(tx, caller.environment_id)
    return ClockView(now=now, frozen=environment.clock_frozen_at is not None)


async def freeze_clock(
    services: Services, caller: Caller, *, frozen_at: datetime, key: IdempotencyKey
) -> Stored:
    """Let the environment's time stand still at ``frozen_at``; everything due until then runs.

    Raises:
        InsufficientScopeError: the key is a live one.
        ConflictError: ``frozen_at`` lies in the environment's past.

    Locks: the environment, exclusively; then each due customer.
    Replay: the first answer, once everything is written.
    """
    return await _move(services, caller, key=key, target=lambda _: frozen_at, is_frozen=True)


async def advance_clock(
    services: Services,
    caller: Caller,
    *,
    seconds: int | None,
    to: datetime | None,
    sweep: bool,
    key: IdempotencyKey,
) -> Stored:
    """Move the environment's time by ``seconds`` or ``to`` an instant; a frozen clock stays frozen.

    ``sweep`` false only moves the clock: what is due waits for the next sweep or command.

    Raises:
        InsufficientScopeError: the key is a live one.
        ValidationFailedError: both or neither of ``seconds`` and ``to``; beyond the year 2199.
        ConflictError: ``to`` lies in the environment's past.

    Locks: the environment, exclusively; then each due customer.
    Replay: the first answer, once everything is written.
    """
    _require_test(caller)
    if (seconds is None) == (to is None):
        raise ValidationFailedError.at("/seconds", "Say how far by exactly one of seconds and to.")

    def target(now: datetime) -> datetime:
        if to is not None:
            return to
        assert seconds is not None
        if timedelta(seconds=seconds) >= TIME_MAX - now:
            raise ValidationFailedError.at("/seconds", "The clock ends with the year 2199.")
        return now + timedelta(seconds=seconds)

    return await _move(services, caller, key=key, target=target, is_frozen=None, sweep=sweep)


async def release_clock(services: Services, caller: Caller, *, key: IdempotencyKey) -> Stored:
    """Let the environment's time run on from where it stands.

    Raises:
        InsufficientScopeError: the key is a live one.

    Locks: the environment, exclusively.
    """
    return await _move(services, caller, key=key, target=lambda now: now, is_frozen=False, sweep=False)


def _require_test(caller: Caller) -> None:
    if caller.environment != "test":
        raise InsufficientScopeError("Only a test environment has a test clock; this key is a live one.")


async def _move(
    services: Services,
    caller: Caller,
    *,
    key: IdempotencyKey,
    target: Callable[[datetime], datetime],
    is_frozen: bool | None,
    sweep: bool = True,
) -> Stored:
    _require_test(caller)
    # What was due already and not swept runs first: it belongs to this answer and to no other.
    asked_at = await _read_now(services, caller)
    overdue = await _write_due(services, caller, until=asked_at) if sweep else []

    async def work(tx: Connection) -> tuple[int, Any]:
        await lock_environment(tx, caller.environment_id)
        environment = await load_environment(tx, caller.environment_id)
        real_now = await read_clock(tx)
        now = environment.time_at(real_now)
        then = target(now)
        if then < now:
            raise ConflictError(
                "The clock never goes back.", extra={"now": now.isoformat().replace("+00:00", "Z")}
            )
        freezes = environment.clock_frozen_at is not None if is_frozen is None else is_frozen
        # Another move may have come first, and what it told is not told again.
        since = asked_at if environment.clock_frozen_at is None else now
        ran = await _foresee(tx, caller, environment, since=since, then=then) if sweep else []
        await update_clock(
            tx,
            caller.environment_id,
            frozen_at=then if freezes else None,
            offset=timedelta(0) if freezes else then - real_now,
        )
        await raise_version(tx, caller.environment_id, is_catalog=False)
        return 200, ClockView(now=then, frozen=freezes, ran=_in_order([*overdue, *ran]))

    # To foresee what years bring may take longer than other requests.
    stored = await run_once(services, caller, key, work, seconds_max=None)
    services.environment_changed(caller.environment_id)
    if sweep:
        await _write_due(services, caller, until=msgspec.json.decode(stored.body, type=ClockView).now)
    return stored


def _in_order(ran: list[RanView]) -> list[RanView]:
    return sorted(ran, key=lambda step: (step.at, step.customer_id))


async def _read_now(services: Services, caller: Caller) -> datetime:
    async with environment_transaction(services.database.reads, caller.environment_id, read_only=True) as tx:
        return await read_environment_time(tx, caller.environment_id)


async def _foresee(
    tx: Connection, caller: Caller, environment: Environment, *, since: datetime, then: datetime
) -> list[RanView]:
    """What time will do after ``since`` until ``then``, to everyone; nothing is written."""
    ran: list[RanView] = []
    after_id: str | None = None
    while True:
        ids = await select_due_customers(
            tx, caller.environment_id, due_at=then, after_id=after_id, limit=PAGE
        )
        order = environment.config.priority_order
        states = await load_states(tx, ids, priority_order=order) if ids else {}
        for customer_id in sorted(states):
            ran.extend(
                RanView(kind=step.kind, customer_id=step.customer_id, at=step.at)
                for step in _bring_to(states[customer_id], environment, then)
                if step.at > since
            )
            # Foreseeing a long span is work; other requests of the process are not kept waiting.
            await asyncio.sleep(0)
        if len(ids) < PAGE:
            return ran
        after_id = ids[-1]


def _bring_to(state: CustomerState, environment: Environment, then: datetime) -> list[Ran]:
    draft = Draft(state, priority_order=environment.config.priority_order)
    context = Context(
        environment_id=environment.id,
        environment=environment.environment,
        catalog=environment.catalog,
        now=then,
        request_id=None,
        actor=SYSTEM,
        new_id=new_id,
        new_salt=lambda: random_bytes(16),
    )
    ran: list[Ran] = []
    is_done = False
    while not is_done:
        is_done = advance(draft, context)
        ran.extend(draft.take_changes().rare.ran)
    return ran


async def _write_due(services: Services, caller: Caller, *, until: datetime) -> list[RanView]:
    """Advance every customer who is due, until none is; returns what ran by our own doing."""
    ran: list[RanView] = []
    while True:
        async with environment_transaction(
            services.database.reads, caller.environment_id, read_only=True
        ) as tx:
            ids = await select_due_customers(
                tx, caller.environment_id, due_at=until, after_id=None, limit=PAGE
            )
        if not ids:
            return ran
        for start in range(0, len(ids), AT_ONCE):
            batch = ids[start : start + AT_ONCE]
            for steps in await asyncio.gather(*(_advance(services, caller, id_) for id_ in batch)):
                ran.extend(steps)


async def _advance(services: Services, caller: Caller, customer_id: str) -> list[RanView]:
    try:
        outcome = await submit_command(services, caller, CustomerRef.by_id(customer_id), Advance(), key=None)
    except CustomerNotFoundError:
        return []
    return [RanView(kind=step.kind, customer_id=step.customer_id, at=step.at) for step in outcome.ran]
