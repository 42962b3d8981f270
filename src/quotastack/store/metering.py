"""Metrics and metering rules: the price lists of an environment, and everything they ever were."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.core.catalog import MeteringRule, Metric

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

_METRIC: Final = """json_build_object(
        'id', m.id, 'key', m.key, 'name', m.name, 'description', m.description, 'type', m.type,
        'aggregation', m.aggregation, 'default_value', m.default_value, 'scale', m.scale,
        'unit', m.unit, 'archived_at', m.archived_at, 'created_at', m.created_at,
        'updated_at', m.updated_at)"""
_RULE: Final = """json_build_object(
        'id', r.id, 'billable_metric_key', r.billable_metric_key, 'cost_type', r.cost_type,
        'flat_cost', r.flat_cost, 'unit_cost', r.unit_cost, 'per_units', r.per_units,
        'tiers', r.tiers, 'tier_mode', r.tier_mode, 'tier_scope', r.tier_scope,
        'rounding', r.rounding, 'match', r.match, 'overage_policy', r.overage_policy,
        'overage_limit', r.overage_limit, 'active_from', r.active_from, 'active_to', r.active_to,
        'created_at', r.created_at)"""

# The whole metering catalog in one row: rules oldest first, by their own time and then by id.
LOAD_METERING: Final = f"""
    SELECT (SELECT coalesce(json_agg({_METRIC}), '[]') FROM billable_metrics AS m
             WHERE m.environment_id = $1::uuid)::text AS metrics,
           (SELECT coalesce(json_agg({_RULE} ORDER BY r.active_from, r.id), '[]')
              FROM metering_rules AS r
             WHERE r.environment_id = $1::uuid)::text AS rules
"""

INSERT_METRIC: Final = """
    INSERT INTO billable_metrics (environment_id, id, key, name, description, type, aggregation,
           default_value, scale, unit, archived_at, created_at, updated_at)
    VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12, $13)
"""

UPDATE_METRIC: Final = """
    UPDATE billable_metrics
       SET key = $3, name = $4, description = $5, type = $6, aggregation = $7,
           default_value = $8::jsonb, scale = $9, unit = $10, archived_at = $11, updated_at = $12
     WHERE environment_id = $1::uuid AND id = $2::uuid
"""

# A metric is used once something was counted, held or granted in its terms.
SELECT_IS_METRIC_USED: Final = """
    SELECT EXISTS (SELECT 1 FROM counters
                    WHERE environment_id = $1::uuid AND billable_metric_key = $2)
        OR EXISTS (SELECT 1 FROM reservations
                    WHERE environment_id = $1::uuid AND billable_metric_key = $2)
        OR EXISTS (SELECT 1 FROM overrides
                    WHERE environment_id = $1::uuid AND billable_metric_key = $2)
"""

INSERT_RULE: Final = """
    INSERT INTO metering_rules (environment_id, id, billable_metric_key, cost_type, flat_cost,
           unit_cost, per_units, tiers, tier_mode, tier_scope, rounding, match, overage_policy,
           overage_limit, active_from, active_to, created_at)
    VALUES ($1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12::jsonb, $13, $14,
            $15, NULL, $15)
"""

CLOSE_RULE: Final = """
    UPDATE metering_rules SET active_to = greatest($3, active_from)
     WHERE environment_id = $1::uuid AND id = $2::uuid AND active_to IS NULL
"""

_decode_metrics = msgspec.json.Decoder(list[Metric]).decode
_decode_rules = msgspec.json.Decoder(list[MeteringRule]).decode


class MeteringRows(msgspec.Struct, frozen=True):
    """The metering part of a catalog."""

    metrics: dict[str, Metric]
    rules: dict[str, tuple[MeteringRule, ...]]
    rules_by_id: dict[str, MeteringRule]


async def load_metering(tx: Connection, environment_id: str) -> MeteringRows:
    """All metrics and all rules of the environment, closed ones included. One statement."""
    row: Any = await tx.fetchrow(LOAD_METERING, environment_id)
    metrics = {metric.key: metric for metric in _decode_metrics(row["metrics"])}
    found: dict[str, list[MeteringRule]] = {}
    rules_by_id: dict[str, MeteringRule] = {}
    for rule in _decode_rules(row["rules"]):
        found.setdefault(rule.billable_metric_key, []).append(rule)
        rules_by_id[rule.id] = rule
    return MeteringRows(metrics, {key: tuple(rules) for key, rules in found.items()}, rules_by_id)


async def insert_metric(tx: Connection, environment_id: str, *, metric: Metric) -> None:
    """Insert a metric; the caller holds the environment's lock and has seen that the key is free."""
    await tx.execute(
        INSERT_METRIC,
        environment_id,
        metric.id,
        metric.key,
        *_metric_terms(metric),
        metric.created_at,
        metric.updated_at,
    )


async def update_metric(tx: Connection, environment_id: str, *, metric: Metric) -> None:
    """Write a metric as it is now."""
    await tx.execute(
        UPDATE_METRIC, environment_id, metric.id, metric.key, *_metric_terms(metric), metric.updated_at
    )


def _metric_terms(metric: Metric) -> tuple[Any, ...]:
    default = metric.default_value
    return (
        metric.name,
        metric.description,
        metric.type,
        metric.aggregation,
        None if default is None else msgspec.json.encode(default).decode(),
        metric.scale,
        metric.unit,
        metric.archived_at,
    )


async def select_is_metric_used(tx: Connection, environment_id: str, *, metric_key: str) -> bool:
    """Whether anything of a customer is kept in the metric's terms; true under the environment's lock stays true."""
    return bool(await tx.fetchval(SELECT_IS_METRIC_USED, environment_id, metric_key))


async def insert_rule(tx: Connection, environment_id: str, *, rule: MeteringRule) -> None:
    """Insert a rule that is in force from its ``active_from`` on."""
    await tx.execute(
        INSERT_RULE,
        environment_id,
        rule.id,
        rule.billable_metric_key,
        rule.cost_type,
        rule.flat_cost,
        rule.unit_cost,
        rule.per_units,
        msgspec.json.encode(rule.tiers).decode(),
        rule.tier_mode,
        rule.tier_scope,
        rule.rounding,
        msgspec.json.encode(rule.match).decode(),
        rule.overage_policy,
        rule.overage_limit,
        rule.active_from,
    )


async def close_rule(tx: Connection, environment_id: str, *, rule_id: str, active_to: datetime) -> None:
    """End a rule's force; its prices stay for late events and open reservations."""
    await tx.execute(CLOSE_RULE, environment_id, rule_id, active_to)
