"""Who is due: customers for whom time has something to do, across all environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

CLAIM_DUE_CUSTOMERS: Final = """
    SELECT environment_id::text, tenant_id::text, environment, customer_id::text
      FROM quotastack.claim_due_customers($1, $2)
"""


class DueCustomer(NamedTuple):
    """A claimed customer and where they live."""

    environment_id: str
    tenant_id: str
    environment: str
    customer_id: str


async def claim_due_customers(
    connection: Connection, *, claims_max: int, claim_seconds: int
) -> list[DueCustomer]:
    """Claim up to ``claims_max`` due customers; other processes pass them by for ``claim_seconds``."""
    rows = await connection.fetch(CLAIM_DUE_CUSTOMERS, claims_max, claim_seconds)
    return [DueCustomer(*row) for row in rows]
