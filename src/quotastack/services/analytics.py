"""Analytics: reports that can be made again from the ledger at any time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from quotastack.core.customer_ref import CustomerRef
from quotastack.core.liability import LiabilityMonth, report_liability
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.caller import Caller
from quotastack.services.commands import settle_history
from quotastack.services.container import Services
from quotastack.store.analytics import select_entry_sums

MICROSECOND: Final = timedelta(microseconds=1)


async def read_liability(
    services: Services,
    caller: Caller,
    *,
    unit: str,
    customer: CustomerRef | None,
    from_at: datetime | None,
    to_at: datetime | None,
) -> list[LiabilityMonth]:
    """The liability of an environment, or of one customer, by UTC month; months that ``from`` and ``to`` touch.

    What time has done but no sweep has written yet is not in it, except for a customer that is named.

    Raises:
        CustomerNotFoundError: the named customer is unknown.
    """
    customer_id = None if customer is None else await settle_history(services, caller, customer)
    environment = await services.environments.get(caller.environment_id)
    now = services.environments.now(environment)
    async with environment_transaction(
        services.database.workers, caller.environment_id, read_only=True
    ) as tx:
        sums = await select_entry_sums(tx, unit=unit, customer_id=customer_id)
    months = report_liability(sums, until=f"{now:%Y-%m}")
    first = "" if from_at is None else f"{from_at:%Y-%m}"
    # ``to`` is exclusive, so a month is touched by the instant before it.
    last = "9999-12" if to_at is None else f"{to_at - MICROSECOND:%Y-%m}"
    return [row for row in months if first <= row.month <= last]
