"""Entitlements: checks, answered from the cached state; overrides, written through the engine.

A repeated check costs a lookup: its encoded answer is kept with the customer's cached state, which
every mutation replaces, under the environment's version, which every change of the catalog, the
configuration or the clock raises, and until the first instant at which time alone changes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.commands import HistoryNeededError
from quotastack.core.entitlement_check import EntitlementAnswer, EntitlementQuery, decide_entitlement
from quotastack.core.overrides import RecountAsset
from quotastack.engine.submission import Submission
from quotastack.runtime.clock import monotonic_seconds

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime

    from quotastack.core.customer_ref import CustomerRef
    from quotastack.engine.cache import CacheEntry
    from quotastack.services.caller import Caller
    from quotastack.services.container import Services

# A recount changes what the next look finds, so one is enough but for a race with another change.
RECOUNTS_MAX: Final = 5

SURE_SECONDS: Final = 2.0
SPARE_SECONDS: Final = 1.0

_encode = msgspec.json.Encoder().encode


def _find_entry(services: Services, caller: Caller, customer: CustomerRef) -> CacheEntry | None:
    """The customer's cached state with its kept answers; answers of another environment version are gone."""
    engine = services.engine
    environment = engine.environments.peek(caller.environment_id)
    if environment is None or not engine.listener.is_fresh:
        return None
    customer_id: str | None = customer.customer_id
    if customer_id is None:
        customer_id = engine.cache.find_customer_id(caller.environment_id, customer.external_id or "")
        if customer_id is None:
            return None
    entry = engine.cache.get(caller.environment_id, customer_id)
    if entry is not None and entry.environment_version != environment.version:
        entry.answers.clear()
        entry.valid_until = None
        entry.sure_seconds = 0.0
        entry.environment_version = environment.version
    return entry


def recall_check(
    services: Services, caller: Caller, customer: CustomerRef, memo_key: Hashable
) -> bytes | None:
    """The encoded answer of the same check, while nothing can have changed it; no statement, no decision."""
    entry = _find_entry(services, caller, customer)
    if entry is None:
        return None
    answer = entry.answers.get(memo_key)
    if answer is None:
        return None
    now_seconds = monotonic_seconds()
    if now_seconds < entry.sure_seconds:
        return answer
    environments = services.engine.environments
    environment = environments.peek(caller.environment_id)
    if environment is None or entry.valid_until is None or not services.clock.is_synchronised:
        return None
    left_seconds = (entry.valid_until - environments.now(environment)).total_seconds()
    if left_seconds <= 0:
        return None
    # The clock is right to some milliseconds: with a second to spare it need not be asked for a while.
    if left_seconds > SURE_SECONDS + SPARE_SECONDS:
        entry.sure_seconds = now_seconds + SURE_SECONDS
    return answer


async def check_entitlement(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    query: EntitlementQuery,
    *,
    strong: bool = False,
    memo_key: Hashable = None,
) -> bytes:
    """The answer of one check, encoded. No statement on a cached state; ``strong`` reads the database.

    Raises:
        CustomerNotFoundError: unknown or deleted.
        NotFoundError: no such metric.
        ValidationFailedError: units or current do not fit the metric.
    """
    entry = None if strong or memo_key is None else _find_entry(services, caller, customer)
    version = 0 if entry is None else entry.environment_version
    decided, due_at = await _decide(services, caller, customer, query, strong=strong)
    body = _encode(decided.answer)
    if entry is not None and decided.is_repeatable:
        # The answer may be kept only with the very state and version that it was decided on.
        again = _find_entry(services, caller, customer)
        if again is entry and entry.environment_version == version:
            until = min(due_at, decided.valid_until)
            if entry.valid_until is None or not entry.answers:
                entry.valid_until = until
                entry.sure_seconds = 0.0
            if until < entry.valid_until:
                entry.valid_until = until
                entry.sure_seconds = 0.0
            entry.remember(memo_key, body)
    return body


async def _decide(
    services: Services, caller: Caller, customer: CustomerRef, query: EntitlementQuery, *, strong: bool
) -> tuple[Any, datetime]:
    for _ in range(RECOUNTS_MAX):
        draft, context = await services.engine.peek(caller, customer, strong=strong)
        try:
            return decide_entitlement(draft, context, query), draft.due_at
        except HistoryNeededError:
            await _recount(services, caller, customer, query.billable_metric_key)
    draft, context = await services.engine.peek(caller, customer, strong=True)
    return decide_entitlement(draft, context, query), draft.due_at


async def _recount(services: Services, caller: Caller, customer: CustomerRef, metric_key: str) -> None:
    command = RecountAsset(billable_metric_key=metric_key)
    await services.engine.submit(Submission(caller=caller, customer=customer, command=command))


async def list_entitlements(
    services: Services,
    caller: Caller,
    customer: CustomerRef,
    *,
    after_key: str | None,
    is_ascending: bool,
    limit: int,
    strong: bool,
) -> list[EntitlementAnswer]:
    """A check of one unit for each metric that is not archived, by key.

    Raises:
        CustomerNotFoundError: unknown or deleted.
    """
    draft, context = await services.engine.peek(caller, customer, strong=strong)
    metrics = context.catalog.metrics
    keys = sorted((key for key in metrics if metrics[key].archived_at is None), reverse=not is_ascending)
    if after_key is not None:
        keys = [key for key in keys if (key > after_key) is is_ascending and key != after_key]
    answers: list[EntitlementAnswer] = []
    for key in keys[:limit]:
        query = EntitlementQuery(billable_metric_key=key)
        try:
            decided = decide_entitlement(draft, context, query)
        except HistoryNeededError:
            decided, _ = await _decide(services, caller, customer, query, strong=strong)
        answers.append(decided.answer)
    return answers
