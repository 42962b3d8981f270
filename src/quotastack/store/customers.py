"""Customers: lists, look-ups and the erasure of what was personal. The engine writes everything else."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.customer_state import Customer
from quotastack.runtime.database import Connection

# The row-security policy names the environment as well; here it lets the indexes be used.
_SELECT_CUSTOMERS: Final = """
    SELECT json_build_object(
        'id', c.id, 'external_id', c.external_id, 'display_name', c.display_name, 'email', c.email,
        'metadata', c.metadata, 'low_balance_threshold', c.low_balance_threshold,
        'overage_policy', c.overage_policy, 'overage_limit', c.overage_limit,
        'created_at', c.created_at, 'updated_at', c.updated_at)::text AS customer, c.version
      FROM customers AS c
     WHERE c.environment_id = current_setting('quotastack.environment_id')::uuid
       AND c.deleted_at IS NULL
       AND ($1::text IS NULL OR c.external_id = $1)
       AND ($2::text IS NULL OR lower(c.email) = lower($2))
       AND ($3::text IS NULL OR lower(c.external_id) LIKE $3 OR lower(c.email) LIKE $3
            OR lower(c.display_name) LIKE $3)
       AND ($4::timestamptz IS NULL OR c.created_at >= $4)
       AND ($5::timestamptz IS NULL OR c.created_at < $5)
"""
SELECT_CUSTOMERS_DESC: Final = (
    _SELECT_CUSTOMERS
    + """
       AND ($6::timestamptz IS NULL OR (c.created_at, c.id) < ($6, $7::uuid))
     ORDER BY c.created_at DESC, c.id DESC
     LIMIT $8
"""
)
SELECT_CUSTOMERS_ASC: Final = (
    _SELECT_CUSTOMERS
    + """
       AND ($6::timestamptz IS NULL OR (c.created_at, c.id) > ($6, $7::uuid))
     ORDER BY c.created_at, c.id
     LIMIT $8
"""
)
SELECT_DELETED_CUSTOMER: Final = """
    SELECT id::text
      FROM customers
     WHERE environment_id = current_setting('quotastack.environment_id')::uuid
       AND id = $1::uuid AND deleted_at IS NOT NULL
"""
SELECT_BLOCK_OWNER: Final = """
    SELECT customer_id::text
      FROM blocks
     WHERE environment_id = current_setting('quotastack.environment_id')::uuid AND id = $1::uuid
"""
ERASE_CUSTOMERS: Final = "SELECT quotastack.erase_customers($1::uuid[])"

_decode_customer = msgspec.json.Decoder(Customer).decode


class CustomerRow(msgspec.Struct, frozen=True):
    """A customer and the version of their state."""

    customer: Customer
    version: int


def _prefix(text: str) -> str:
    """A LIKE pattern for what starts with ``text``, in lower case."""
    escaped = text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped + "%"


async def select_customers(
    tx: Connection,
    *,
    external_id: str | None = None,
    email: str | None = None,
    prefix: str | None = None,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    after: tuple[datetime, str] | None,
    is_ascending: bool,
    limit: int,
) -> list[CustomerRow]:
    """A page of customers who are not deleted, by creation. ``prefix`` is of external id, email or name."""
    statement = SELECT_CUSTOMERS_ASC if is_ascending else SELECT_CUSTOMERS_DESC
    after_at, after_id = after or (None, None)
    rows: list[Any] = await tx.fetch(
        statement,
        external_id,
        email,
        None if prefix is None else _prefix(prefix),
        from_at,
        to_at,
        after_at,
        after_id,
        limit,
    )
    return [CustomerRow(_decode_customer(row["customer"]), row["version"]) for row in rows]


async def select_deleted_customer(tx: Connection, customer_id: str) -> str | None:
    """The id itself when it is that of a deleted customer."""
    found: str | None = await tx.fetchval(SELECT_DELETED_CUSTOMER, customer_id)
    return found


async def select_block_owner(tx: Connection, block_id: str) -> str | None:
    """Whose block it is, in this environment."""
    found: str | None = await tx.fetchval(SELECT_BLOCK_OWNER, block_id)
    return found


async def erase_customers(tx: Connection, customer_ids: list[str]) -> None:
    """Erase what is personal of customers that are marked as deleted, and the answers of their keys."""
    await tx.execute(ERASE_CUSTOMERS, customer_ids)
