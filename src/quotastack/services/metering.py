"""The metering catalog: metrics and price lists, changed in plain transactions under the environment's lock.

Every write waits for the decisions under way and raises the environment's version, so the next decision
is made by the new price list and none by a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from quotastack.core.catalog import Catalog, MeteringRule, Metric
from quotastack.core.errors import (
    ConflictError,
    FieldFault,
    NotFoundError,
    ValidationFailedError,
)
from quotastack.core.metering_terms import (
    MetricView,
    RuleView,
    find_aggregation,
    find_tie,
    metric_faults,
    read_rule,
    view_metric,
    view_rule,
)
from quotastack.core.usage import require_metric
from quotastack.core.value_faults import value_faults
from quotastack.engine.environments import Environment, load_environment
from quotastack.runtime.random_ids import new_id
from quotastack.services.audit import record_audit
from quotastack.services.idempotency import Stored, run_once
from quotastack.store.environments import lock_environment, raise_version
from quotastack.store.metering import (
    close_rule,
    insert_metric,
    insert_rule,
    select_is_metric_used,
    update_metric,
)
from quotastack.store.states import read_clock

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.idempotency import IdempotencyKey
    from quotastack.runtime.database import Connection
    from quotastack.services.caller import Caller
    from quotastack.services.container import Services

METRICS_MAX: Final = 10_000
RULES_IN_FORCE_MAX: Final = 1_000
FIXED: Final = ("key", "type", "aggregation", "unit", "scale")


async def read_catalog(services: Services, caller: Caller) -> Catalog:
    """The catalog as the database has it now: what was answered before is in it, whoever answered."""
    environment = await services.environments.refresh(caller.environment_id)
    return environment.catalog


async def _open(tx: Connection, caller: Caller) -> tuple[Environment, datetime]:
    """Lock the environment and read it whole; the instant is one that no decision has passed yet."""
    await lock_environment(tx, caller.environment_id)
    environment = await load_environment(tx, caller.environment_id)
    return environment, environment.time_at(await read_clock(tx))


async def _change_catalog(
    services: Services, caller: Caller, key: IdempotencyKey | None, work: Any
) -> Stored:
    stored = await run_once(services, caller, key, work)
    services.environment_changed(caller.environment_id)
    return stored


# Metrics


async def create_metric(
    services: Services, caller: Caller, *, terms: Any, key: IdempotencyKey | None
) -> Stored:
    """Create a billable metric.

    Raises:
        ValidationFailedError: listing every fault, those of ``default_value`` included.
        ConflictError: the key is taken.

    Locks: the environment, exclusively.
    Replay: the metric as created.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        environment, now = await _open(tx, caller)
        known = environment.catalog.metrics.get(terms.key)
        metric = Metric(
            id=new_id(),
            key=terms.key,
            name=_said(terms.name, terms.key),
            description=_said(terms.description, None),
            type=_said(terms.type, "metered"),
            aggregation=find_aggregation(_said(terms.type, "metered"), _said(terms.aggregation, None)),
            default_value=_said(terms.default_value, None),
            scale=_said(terms.scale, 0),
            unit=_said(terms.unit, "credits"),
            created_at=now,
            updated_at=now,
        )
        _check_metric(metric)
        if known is not None:
            raise ConflictError(f"There is a billable metric {terms.key} already.", extra={"id": known.id})
        if len(environment.catalog.metrics) >= METRICS_MAX:
            raise ConflictError(f"The environment has {METRICS_MAX} metrics already.")
        await insert_metric(tx, caller.environment_id, metric=metric)
        view = view_metric(metric)
        await _finish(tx, services, caller, action="billable_metric.created", object_id=metric.id, after=view)
        return 201, view

    return await _change_catalog(services, caller, key, work)


async def change_metric(
    services: Services, caller: Caller, *, metric_key: str, change: dict[str, Any], key: IdempotencyKey | None
) -> Stored:
    """Change a metric; ``key``, ``type``, ``aggregation``, ``unit`` and ``scale`` only while it is unused.

    Used means: priced, in a plan, or something of a customer is kept in its terms.

    Raises:
        NotFoundError: no such metric.
        ValidationFailedError: the changed metric would have faults.
        ConflictError: a fixed field of a used metric, or a key that is taken.

    Locks: the environment, exclusively.
    Replay: the metric as it was after the first call.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        environment, now = await _open(tx, caller)
        catalog = environment.catalog
        metric = require_metric(catalog, metric_key)
        changed = msgspec.structs.replace(metric, **change, updated_at=now)
        if "type" in change and "aggregation" not in change:
            changed = msgspec.structs.replace(changed, aggregation=find_aggregation(changed.type, None))
        _check_metric(changed)
        fixed = [name for name in FIXED if getattr(changed, name) != getattr(metric, name)]
        if fixed and await _is_used(tx, caller, catalog, metric_key):
            raise ConflictError(
                f"{', '.join(fixed)} cannot change any more: the metric is used.", extra={"fixed": fixed}
            )
        if changed.key != metric.key and changed.key in catalog.metrics:
            raise ConflictError(f"There is a billable metric {changed.key} already.")
        await update_metric(tx, caller.environment_id, metric=changed)
        view = view_metric(changed)
        await _finish(
            tx,
            services,
            caller,
            action="billable_metric.changed",
            object_id=metric.id,
            before=view_metric(metric),
            after=view,
        )
        return 200, view

    return await _change_catalog(services, caller, key, work)


async def _is_used(tx: Connection, caller: Caller, catalog: Catalog, metric_key: str) -> bool:
    if catalog.rules.get(metric_key):
        return True
    if any(metric_key in variant.entitlements for variant in catalog.variants.values()):
        return True
    return await select_is_metric_used(tx, caller.environment_id, metric_key=metric_key)


def _check_metric(metric: Metric) -> None:
    faults = metric_faults(metric)
    if metric.default_value is not None and not faults:
        faults = value_faults(metric, metric.default_value, pointer="/default_value")
    refuse_faults(faults)


def refuse_faults(faults: Sequence[FieldFault]) -> None:
    """Refuse with every fault, if there is any.

    Raises:
        ValidationFailedError: listing them.
    """
    if faults:
        more = f" ({len(faults) - 1} more in errors)" if len(faults) > 1 else ""
        raise ValidationFailedError(f"{faults[0].pointer}: {faults[0].detail}{more}", errors=faults)


def _said(value: Any, default: Any) -> Any:
    return default if value is UNSET else value


async def _finish(
    tx: Connection,
    services: Services,
    caller: Caller,
    *,
    action: str,
    object_id: str,
    before: Any = None,
    after: Any = None,
) -> None:
    await raise_version(tx, caller.environment_id, is_catalog=True)
    await record_audit(
        tx,
        services,
        caller,
        action=action,
        object_type=action.split(".", maxsplit=1)[0],
        object_id=object_id,
        before=before,
        after=after,
    )


async def list_metrics(services: Services, caller: Caller) -> list[MetricView]:
    """Every metric of the environment, archived ones included."""
    catalog = await read_catalog(services, caller)
    return [view_metric(metric) for metric in catalog.metrics.values()]


async def read_metric(services: Services, caller: Caller, *, metric_key: str) -> MetricView:
    """One metric.

    Raises:
        NotFoundError: no such metric.
    """
    return view_metric(require_metric(await read_catalog(services, caller), metric_key))


# Rules


async def create_rule(
    services: Services, caller: Caller, *, terms: Any, key: IdempotencyKey | None
) -> Stored:
    """Put a price in force from this instant on; the rule of the same ``match`` ends at it.

    Raises:
        NotFoundError: no such metric.
        ValidationFailedError: every fault of the terms and the tier table, each with its pointer.
        ConflictError: an event could match this rule and another one equally well; too many rules; the
            metric is archived.

    Locks: the environment, exclusively.
    Replay: the rule as created.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        environment, now = await _open(tx, caller)
        catalog = environment.catalog
        metric = require_metric(catalog, terms.billable_metric_key)
        rule, faults = read_rule(terms, metric, rule_id=new_id(), at=now)
        refuse_faults(faults)
        assert rule is not None
        if metric.archived_at is not None:
            raise ConflictError(f"The metric {metric.key} is archived and takes no new price.")
        in_force = [other for other in catalog.rules.get(metric.key, ()) if other.active_to is None]
        tie = find_tie(rule, in_force)
        if tie is not None:
            raise ConflictError(
                "An event could match this rule and another one equally well: add a dimension to one of them.",
                extra={"rule_id": tie.id},
            )
        replaced = next((other for other in in_force if other.match == rule.match), None)
        if replaced is None and len(in_force) >= RULES_IN_FORCE_MAX:
            raise ConflictError(f"The metric has {RULES_IN_FORCE_MAX} rules in force already.")
        if replaced is not None:
            await close_rule(tx, caller.environment_id, rule_id=replaced.id, active_to=now)
        await insert_rule(tx, caller.environment_id, rule=rule)
        view = view_rule(rule, scale=metric.scale)
        before = None if replaced is None else view_rule(replaced, scale=metric.scale)
        await _finish(
            tx,
            services,
            caller,
            action="metering_rule.created",
            object_id=rule.id,
            before=before,
            after=view,
        )
        return 201, view

    return await _change_catalog(services, caller, key, work)


async def deactivate_rule(
    services: Services, caller: Caller, *, rule_id: str, key: IdempotencyKey | None
) -> Stored:
    """End a rule without another in its place: events that only it would match are refused from now on.

    Raises:
        NotFoundError: no such rule.
        ConflictError: it is not in force any more.

    Locks: the environment, exclusively.
    Replay: the rule as it was after the first call.
    """

    async def work(tx: Connection) -> tuple[int, Any]:
        environment, now = await _open(tx, caller)
        rule = require_rule_id(environment.catalog, rule_id)
        if rule.active_to is not None:
            raise ConflictError("The rule is not in force any more.", extra={"active_to": rule.active_to})
        await close_rule(tx, caller.environment_id, rule_id=rule_id, active_to=now)
        scale = environment.catalog.metrics[rule.billable_metric_key].scale
        ended = msgspec.structs.replace(rule, active_to=max(now, rule.active_from))
        view = view_rule(ended, scale=scale)
        await _finish(
            tx,
            services,
            caller,
            action="metering_rule.deactivated",
            object_id=rule_id,
            before=view_rule(rule, scale=scale),
            after=view,
        )
        return 200, view

    return await _change_catalog(services, caller, key, work)


def require_rule_id(catalog: Catalog, rule_id: str) -> MeteringRule:
    """The rule of that id, in force or not.

    Raises:
        NotFoundError: no such rule.
    """
    rule = catalog.rules_by_id.get(rule_id)
    if rule is None:
        raise NotFoundError("There is no such metering rule.")
    return rule


async def list_rules(
    services: Services, caller: Caller, *, metric_key: str | None, is_active: bool | None
) -> list[RuleView]:
    """The price lists with their history."""
    catalog = await read_catalog(services, caller)
    return [
        view_rule(rule, scale=catalog.metrics[rule.billable_metric_key].scale)
        for rule in catalog.rules_by_id.values()
        if (metric_key is None or rule.billable_metric_key == metric_key)
        and (is_active is None or (rule.active_to is None) == is_active)
    ]


async def read_metering_rule(services: Services, caller: Caller, *, rule_id: str) -> RuleView:
    """One rule, in force or not.

    Raises:
        NotFoundError: no such rule.
    """
    catalog = await read_catalog(services, caller)
    rule = require_rule_id(catalog, rule_id)
    return view_rule(rule, scale=catalog.metrics[rule.billable_metric_key].scale)
