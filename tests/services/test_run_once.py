"""Once-only writes outside the engine: one effect, one answer, and a key that a refusal does not consume."""

import asyncio
import time
from typing import Any

import asyncpg
import pytest

from quotastack.core.errors import ConflictError, IdempotencyKeyInFlightError, IdempotencyKeyReusedError
from quotastack.core.idempotency import IdempotencyKey, make_idempotency_key
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services import idempotency
from quotastack.services.idempotency import run_once
from quotastack.store import idempotency as statements


def a_key(text: str = "act:1", body: Any = None) -> IdempotencyKey:
    return make_idempotency_key(text, method="POST", path="/v1/things", body=body)


class Work:
    """Counts how often it ran."""

    def __init__(self, *, refusal: Exception | None = None) -> None:
        self.runs = 0
        self.refusal = refusal

    async def __call__(self, _tx: Any) -> tuple[int, Any]:
        self.runs += 1
        if self.refusal is not None:
            raise self.refusal
        return 201, {"runs": self.runs}


def test_the_second_call_is_a_replay(services: Any, caller: Any, run: Any) -> None:
    work = Work()
    first = run(run_once(services, caller, a_key(), work))
    second = run(run_once(services, caller, a_key(), work))
    assert (first.status, first.body, first.replayed) == (201, b'{"runs":1}', False)
    assert (second.status, second.body, second.replayed) == (201, b'{"runs":1}', True)
    assert work.runs == 1


def test_another_request_with_the_key_is_refused(services: Any, caller: Any, run: Any) -> None:
    run(run_once(services, caller, a_key(), Work()))
    with pytest.raises(IdempotencyKeyReusedError):
        run(run_once(services, caller, a_key(body={"other": 1}), Work()))


def test_a_refusal_consumes_no_key(services: Any, caller: Any, run: Any) -> None:
    with pytest.raises(ConflictError):
        run(run_once(services, caller, a_key(), Work(refusal=ConflictError("not now"))))
    assert run(run_once(services, caller, a_key(), Work())).replayed is False


def test_many_statements_are_in_time_together(services: Any, caller: Any, run: Any) -> None:
    """Each is quick on a slow line; a request of many of them is given up, and the key is free."""

    async def slow(tx: Any) -> tuple[int, Any]:
        for _ in range(100):
            await tx.execute("SELECT pg_sleep(0.05)")
        return 201, {}

    started = time.monotonic()
    with pytest.raises(TimeoutError):
        run(run_once(services, caller, a_key(), slow, seconds_max=0.2))
    assert time.monotonic() - started < 2
    assert run(run_once(services, caller, a_key(), Work())).replayed is False


def test_the_scope_is_the_environment(services: Any, made: Any, caller: Any, run: Any) -> None:
    from quotastack.services.caller import system_caller

    live = system_caller(made.live_environment_id, tenant_id=made.tenant_id, environment="live")
    run(run_once(services, caller, a_key(), Work()))
    assert run(run_once(services, live, a_key(), Work())).replayed is False


def test_without_a_key_it_simply_runs(services: Any, caller: Any, run: Any) -> None:
    work = Work()
    for _ in range(2):
        run(run_once(services, caller, None, work))
    assert work.runs == 2


def test_equal_calls_at_once_have_one_effect(services: Any, caller: Any, run: Any) -> None:
    work = Work()

    async def together() -> list[Any]:
        return await asyncio.gather(*(run_once(services, caller, a_key(), work) for _ in range(20)))

    answers = run(together())
    assert work.runs == 1
    assert {answer.body for answer in answers} == {b'{"runs":1}'}
    assert sorted(answer.replayed for answer in answers) == [False, *[True] * 19]


def test_a_key_that_stays_in_flight_is_a_conflict(
    services: Any, caller: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "LIMIT_KEY_WAIT", "SET LOCAL lock_timeout = '50ms'")

    async def hold() -> None:
        async with environment_transaction(services.database.writes, caller.environment_id) as tx:
            assert await idempotency.claim_key(
                tx, caller.environment_id, key=a_key(), created_at=services.clock.now()
            )
            await run_once(services, caller, a_key(), Work())

    with pytest.raises(IdempotencyKeyInFlightError) as caught:
        run(hold())
    assert caught.value.retry_after_seconds == 1


def test_a_database_error_leaves_neither_effect_nor_key(services: Any, caller: Any, run: Any) -> None:
    async def break_off(tx: Any) -> tuple[int, Any]:
        await tx.execute("UPDATE quotastack.environments SET version = version + 1")
        await tx.execute("SELECT 1/0")
        raise AssertionError

    async def version() -> int:
        async with environment_transaction(services.database.reads, caller.environment_id) as tx:
            return await tx.fetchval("SELECT version FROM quotastack.environments")

    before = run(version())
    with pytest.raises(asyncpg.DivisionByZeroError):
        run(run_once(services, caller, a_key(), break_off))
    assert run(version()) == before
    assert run(run_once(services, caller, a_key(), Work())).replayed is False
