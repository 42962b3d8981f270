"""Topup packages: the catalog of what can be bought. Grants and refunds are the engine's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.catalog import Package
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.database import Connection

_SELECT_PACKAGES: Final = """
    SELECT json_build_object(
        'id', p.id, 'name', p.name, 'description', p.description, 'credits', p.credits,
        'unit', p.unit, 'price', p.price, 'currency', p.currency, 'priority', p.priority,
        'expires_after_seconds', p.expires_after_seconds, 'bonus_credits', p.bonus_credits,
        'active', p.active, 'metadata', p.metadata, 'created_at', p.created_at,
        'updated_at', p.updated_at)::text AS doc
      FROM topup_packages AS p
     WHERE p.environment_id = $1::uuid
"""
SELECT_ALL_PACKAGES: Final = _SELECT_PACKAGES
SELECT_PACKAGE: Final = _SELECT_PACKAGES + " AND p.id = $2::uuid"
SELECT_PACKAGES_DESC: Final = (
    _SELECT_PACKAGES
    + """
       AND ($2::boolean IS NULL OR p.active = $2)
       AND ($3::timestamptz IS NULL OR (p.created_at, p.id) < ($3, $4::uuid))
     ORDER BY p.created_at DESC, p.id DESC LIMIT $5
"""
)
SELECT_PACKAGES_ASC: Final = (
    _SELECT_PACKAGES
    + """
       AND ($2::boolean IS NULL OR p.active = $2)
       AND ($3::timestamptz IS NULL OR (p.created_at, p.id) > ($3, $4::uuid))
     ORDER BY p.created_at, p.id LIMIT $5
"""
)
UPSERT_PACKAGE: Final = """
    INSERT INTO topup_packages
           (environment_id, id, name, description, credits, unit, price, currency, priority,
            expires_after_seconds, bonus_credits, active, metadata, created_at, updated_at)
    VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::jsonb, $14, $15)
        ON CONFLICT ON CONSTRAINT topup_packages_pkey DO UPDATE
       SET name = excluded.name, description = excluded.description, credits = excluded.credits,
           unit = excluded.unit, price = excluded.price, currency = excluded.currency,
           priority = excluded.priority, expires_after_seconds = excluded.expires_after_seconds,
           bonus_credits = excluded.bonus_credits, active = excluded.active,
           metadata = excluded.metadata, updated_at = excluded.updated_at
"""

_decode_package = msgspec.json.Decoder(Package).decode


async def load_packages(tx: Connection, environment_id: EnvironmentId) -> dict[str, Package]:
    """Every package of the environment by id, inactive ones included."""
    rows: list[Any] = await tx.fetch(SELECT_ALL_PACKAGES, environment_id)
    packages = (_decode_package(row["doc"]) for row in rows)
    return {package.id: package for package in packages}


async def select_package(tx: Connection, environment_id: EnvironmentId, package_id: str) -> Package | None:
    """One package, or None."""
    row: Any = await tx.fetchrow(SELECT_PACKAGE, environment_id, package_id)
    return None if row is None else _decode_package(row["doc"])


async def select_packages(
    tx: Connection,
    environment_id: EnvironmentId,
    *,
    active: bool | None,
    after: tuple[datetime, str] | None,
    is_ascending: bool,
    limit: int,
) -> list[Package]:
    """A page of packages, by creation."""
    after_at, after_id = after or (None, None)
    statement = SELECT_PACKAGES_ASC if is_ascending else SELECT_PACKAGES_DESC
    rows: list[Any] = await tx.fetch(statement, environment_id, active, after_at, after_id, limit)
    return [_decode_package(row["doc"]) for row in rows]


async def upsert_package(tx: Connection, environment_id: EnvironmentId, package: Package) -> None:
    """Insert a package, or replace the values of a known one.

    The caller holds the environment's lock and raises its version.
    """
    await tx.execute(
        UPSERT_PACKAGE,
        environment_id,
        package.id,
        package.name,
        package.description,
        package.credits,
        package.unit,
        package.price,
        package.currency,
        package.priority,
        package.expires_after_seconds,
        package.bonus_credits,
        package.active,
        msgspec.json.encode(package.metadata).decode(),
        package.created_at,
        package.updated_at,
    )


SELECT_PAID_BLOCK: Final = """
    SELECT p.block_id::text, p.customer_id::text, b.unit
      FROM payment_ids AS p
      JOIN blocks AS b
        ON b.environment_id = p.environment_id AND b.customer_id = p.customer_id AND b.id = p.block_id
     WHERE p.environment_id = current_setting('quotastack.environment_id')::uuid
       AND p.external_payment_id = ANY($1::text[])
     ORDER BY array_position($1::text[], p.external_payment_id)
     LIMIT 1
"""


class PaidBlock(msgspec.Struct, frozen=True):
    """The block that a payment bought, and whose it is."""

    block_id: str
    customer_id: str
    unit: str


async def select_paid_block(tx: Connection, payment_ids: Sequence[str]) -> PaidBlock | None:
    """What was granted for a payment that goes by one of these names, the first known one."""
    row: Any = await tx.fetchrow(SELECT_PAID_BLOCK, payment_ids)
    return None if row is None else PaidBlock(row["block_id"], row["customer_id"], row["unit"])
