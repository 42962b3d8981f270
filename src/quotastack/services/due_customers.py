"""The sweep: writes what time has done to customers whom nobody asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from quotastack.core.commands import Advance
from quotastack.core.context import SYSTEM
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import ProblemError
from quotastack.core.ids import EnvironmentId, TenantId
from quotastack.engine.submission import Submission
from quotastack.services.caller import Caller
from quotastack.store.customer_due import claim_due_customers

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection
    from quotastack.services.container import Services
    from quotastack.store.customer_due import DueCustomer

CLAIMS_MAX: Final = 200
CLAIM_SECONDS: Final = 30
# So many are advanced at once: what a lane reads and writes of them for one transaction holds up a check, and what
# callers ask for meanwhile stands behind it.
AT_ONCE: Final = 16
REQUEST_ID: Final = "sweep"


async def sweep_due_customers(services: Services, *, claims_max: int = CLAIMS_MAX) -> int:
    """Advance some of the customers who are due; returns how many were claimed.

    Any number of processes may sweep at once. A customer whose advance fails stays due and is tried
    again when the claim ends.
    """
    async with services.database.workers.acquire() as borrowed:
        connection = cast("Connection", borrowed)
        claimed = await claim_due_customers(connection, claims_max=claims_max, claim_seconds=CLAIM_SECONDS)
    for first in range(0, len(claimed), AT_ONCE):
        results = await asyncio.gather(
            *(_advance(services, customer) for customer in claimed[first : first + AT_ONCE]),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, ProblemError):
                raise result
    return len(claimed)


async def _advance(services: Services, customer: DueCustomer) -> None:
    caller = Caller(
        environment_id=EnvironmentId(customer.environment_id),
        tenant_id=TenantId(customer.tenant_id),
        environment="live" if customer.environment == "live" else "test",
        key_id=None,
        actor=SYSTEM,
        scopes=frozenset(),
        request_id=REQUEST_ID,
    )
    await services.engine.submit(
        Submission(caller=caller, customer=CustomerRef.by_id(customer.customer_id), command=Advance())
    )
