"""Plans and variants: the rows of the plan catalog, and the part of a ``Catalog`` made of them.

Every writer holds the environment's lock, so what one statement read is still so in the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.catalog import Variant

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

_VARIANT: Final = """v.doc || jsonb_build_object(
        'id', n.id, 'version', v.version, 'plan_id', p.id, 'plan_key', p.key, 'family', p.family,
        'key', n.key, 'archived_at', coalesce(n.archived_at, p.archived_at),
        'created_at', n.created_at, 'updated_at', v.published_at)"""
_FROM: Final = """
      FROM plan_variant_versions AS v
      JOIN plan_variants AS n ON n.environment_id = v.environment_id AND n.id = v.variant_id
      JOIN plans AS p ON p.environment_id = n.environment_id AND p.id = n.plan_id
     WHERE v.environment_id = $1::uuid"""

# All versions of all variants in one row.
LOAD_PLANS: Final = f"SELECT coalesce(json_agg({_VARIANT}), '[]')::text AS variants {_FROM}"

SELECT_VARIANT: Final = f"""
    SELECT ({_VARIANT})::text AS variant {_FROM}
       AND n.plan_id = $2::uuid AND n.id = $3::uuid AND v.version = coalesce($4, n.latest_version)
"""

_SELECT_VARIANTS: Final = f"""
    SELECT ({_VARIANT})::text AS variant {_FROM}
       AND n.plan_id = $2::uuid AND v.version = n.latest_version AND ($3::uuid IS NULL OR n.id {{after}} $3)
     ORDER BY n.id {{order}}
     LIMIT $4
"""
SELECT_VARIANTS_ASC: Final = _SELECT_VARIANTS.format(after=">", order="ASC")
SELECT_VARIANTS_DESC: Final = _SELECT_VARIANTS.format(after="<", order="DESC")

SELECT_PLAN_OF_VARIANT: Final = """
    SELECT plan_id::text FROM plan_variants WHERE environment_id = $1::uuid AND id = $2::uuid
"""

_PLAN: Final = """json_build_object(
        'id', p.id, 'key', p.key, 'name', p.name, 'description', p.description,
        'family', p.family, 'metadata', p.metadata, 'archived_at', p.archived_at,
        'created_at', p.created_at, 'updated_at', p.updated_at)::text AS plan"""

SELECT_PLAN: Final = f"""
    SELECT {_PLAN} FROM plans AS p WHERE p.environment_id = $1::uuid AND p.id = $2::uuid
"""
SELECT_PLAN_BY_KEY: Final = f"""
    SELECT {_PLAN} FROM plans AS p WHERE p.environment_id = $1::uuid AND p.key = $2
"""
_SELECT_PLANS: Final = f"""
    SELECT {_PLAN} FROM plans AS p
     WHERE p.environment_id = $1::uuid AND ($2::uuid IS NULL OR p.id {{after}} $2)
     ORDER BY p.id {{order}}
     LIMIT $3
"""
SELECT_PLANS_ASC: Final = _SELECT_PLANS.format(after=">", order="ASC")
SELECT_PLANS_DESC: Final = _SELECT_PLANS.format(after="<", order="DESC")

INSERT_PLAN: Final = """
    INSERT INTO plans (environment_id, id, key, name, description, family, metadata, created_at, updated_at)
    VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6, $7::jsonb, $8, $8)
"""

UPDATE_PLAN: Final = """
    UPDATE plans
       SET name = $3, description = $4, family = $5, metadata = $6::jsonb, archived_at = $7, updated_at = $8
     WHERE environment_id = $1::uuid AND id = $2::uuid
"""

INSERT_VARIANT: Final = """
    INSERT INTO plan_variants (environment_id, id, plan_id, key, latest_version, created_at)
    VALUES ($1::uuid, $2::uuid, $3::uuid, $4, 1, $5)
"""

UPDATE_VARIANT: Final = """
    UPDATE plan_variants
       SET latest_version = $3, archived_at = CASE WHEN $5 THEN $4 ELSE archived_at END
     WHERE environment_id = $1::uuid AND id = $2::uuid
"""

WRITE_VERSION: Final = """
    INSERT INTO plan_variant_versions (environment_id, variant_id, version, doc, published_at)
    VALUES ($1::uuid, $2::uuid, $3, $4::jsonb, $5)
        ON CONFLICT (environment_id, variant_id, version)
        DO UPDATE SET doc = excluded.doc, published_at = excluded.published_at
"""

SELECT_HAS_VARIANT_KEY: Final = """
    SELECT EXISTS (SELECT 1 FROM plan_variants
                    WHERE environment_id = $1::uuid AND plan_id = $2::uuid AND key = $3)
"""

# Who is on a version, or will be when a pending change comes.
SELECT_HAS_SUBSCRIBERS: Final = """
    SELECT EXISTS (SELECT 1 FROM subscriptions
                    WHERE environment_id = $1::uuid AND plan_variant_id = $2::uuid AND is_live
                      AND (doc ->> 'variant_version')::integer = $3)
"""

SELECT_HAS_PLAN_SUBSCRIBERS: Final = """
    SELECT EXISTS (SELECT 1 FROM subscriptions
                    WHERE environment_id = $1::uuid AND plan_id = $2::uuid AND is_live)
"""

_decode_variants = msgspec.json.Decoder(list[Variant]).decode
_decode_variant = msgspec.json.Decoder(Variant).decode


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it is stored and shown, but for fields that are left out where they are None."""

    id: str
    key: str
    name: str
    description: str | None = None
    family: str
    metadata: dict[str, Any] = {}
    archived_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class PlanRows(msgspec.Struct, frozen=True):
    """The plan part of a catalog."""

    variants: dict[tuple[str, int], Variant]
    latest_variants: dict[str, Variant]


_decode_plan = msgspec.json.Decoder(Plan).decode


async def load_plans(tx: Connection, environment_id: str) -> PlanRows:
    """Every version of every variant of the environment, archived ones included. One statement."""
    found: Any = await tx.fetchval(LOAD_PLANS, environment_id)
    variants = _decode_variants(found)
    latest: dict[str, Variant] = {}
    for variant in variants:
        known = latest.get(variant.id)
        if known is None or known.version < variant.version:
            latest[variant.id] = variant
    return PlanRows({(variant.id, variant.version): variant for variant in variants}, latest)


async def select_plan(tx: Connection, environment_id: str, *, plan_id: str) -> Plan | None:
    """The plan of that id."""
    row: str | None = await tx.fetchval(SELECT_PLAN, environment_id, plan_id)
    return None if row is None else _decode_plan(row)


async def select_plan_by_key(tx: Connection, environment_id: str, *, key: str) -> Plan | None:
    """The plan of that key."""
    row: str | None = await tx.fetchval(SELECT_PLAN_BY_KEY, environment_id, key)
    return None if row is None else _decode_plan(row)


async def select_plans(
    tx: Connection, environment_id: str, *, after_id: str | None, is_ascending: bool, limit: int
) -> Sequence[Plan]:
    """A page of plans by id, which is their order of creation."""
    statement = SELECT_PLANS_ASC if is_ascending else SELECT_PLANS_DESC
    rows = await tx.fetch(statement, environment_id, after_id, limit)
    return [_decode_plan(row["plan"]) for row in rows]


async def insert_plan(tx: Connection, environment_id: str, *, plan: Plan) -> None:
    """Insert a plan whose key was seen to be free."""
    await tx.execute(
        INSERT_PLAN,
        environment_id,
        plan.id,
        plan.key,
        plan.name,
        plan.description,
        plan.family,
        msgspec.json.encode(plan.metadata).decode(),
        plan.created_at,
    )


async def update_plan(tx: Connection, environment_id: str, *, plan: Plan) -> None:
    """Write a plan as it is now; its key never changes."""
    await tx.execute(
        UPDATE_PLAN,
        environment_id,
        plan.id,
        plan.name,
        plan.description,
        plan.family,
        msgspec.json.encode(plan.metadata).decode(),
        plan.archived_at,
        plan.updated_at,
    )


async def select_variant(
    tx: Connection, environment_id: str, *, plan_id: str, variant_id: str, version: int | None = None
) -> Variant | None:
    """One version of a variant of that plan, by default the newest."""
    row: str | None = await tx.fetchval(SELECT_VARIANT, environment_id, plan_id, variant_id, version)
    return None if row is None else _decode_variant(row)


async def select_plan_of_variant(tx: Connection, environment_id: str, *, variant_id: str) -> str | None:
    """The id of the plan that a variant belongs to."""
    return await tx.fetchval(SELECT_PLAN_OF_VARIANT, environment_id, variant_id)


async def select_variants(
    tx: Connection,
    environment_id: str,
    *,
    plan_id: str,
    after_id: str | None,
    is_ascending: bool,
    limit: int,
) -> Sequence[Variant]:
    """A page of a plan's variants, each in its newest version."""
    statement = SELECT_VARIANTS_ASC if is_ascending else SELECT_VARIANTS_DESC
    rows = await tx.fetch(statement, environment_id, plan_id, after_id, limit)
    return [_decode_variant(row["variant"]) for row in rows]


async def select_has_variant_key(tx: Connection, environment_id: str, *, plan_id: str, key: str) -> bool:
    """Whether the plan has a variant of that key."""
    return bool(await tx.fetchval(SELECT_HAS_VARIANT_KEY, environment_id, plan_id, key))


async def insert_variant(tx: Connection, environment_id: str, *, variant: Variant) -> None:
    """Insert a variant with its first version."""
    await tx.execute(
        INSERT_VARIANT, environment_id, variant.id, variant.plan_id, variant.key, variant.created_at
    )
    await _write_version(tx, environment_id, variant)


async def write_variant(tx: Connection, environment_id: str, *, variant: Variant, is_archival: bool) -> None:
    """Write a variant's newest version: a new one, or over the one that nobody is subscribed to.

    ``is_archival``: its ``archived_at`` was changed; else it may be its plan's, which is no part of it.
    """
    await tx.execute(
        UPDATE_VARIANT, environment_id, variant.id, variant.version, variant.archived_at, is_archival
    )
    await _write_version(tx, environment_id, variant)


async def _write_version(tx: Connection, environment_id: str, variant: Variant) -> None:
    await tx.execute(
        WRITE_VERSION,
        environment_id,
        variant.id,
        variant.version,
        msgspec.json.encode(variant).decode(),
        variant.updated_at,
    )


async def select_has_subscribers(
    tx: Connection, environment_id: str, *, variant_id: str, version: int
) -> bool:
    """Whether a live subscription runs on that version."""
    return bool(await tx.fetchval(SELECT_HAS_SUBSCRIBERS, environment_id, variant_id, version))


async def select_has_plan_subscribers(tx: Connection, environment_id: str, *, plan_id: str) -> bool:
    """Whether a live subscription runs on any variant of the plan."""
    return bool(await tx.fetchval(SELECT_HAS_PLAN_SUBSCRIBERS, environment_id, plan_id))
