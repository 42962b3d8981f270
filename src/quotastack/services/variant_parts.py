"""What a variant holds beside its terms: credit grant templates and entitlements.

Each change publishes like one of the terms: into a new version where somebody is subscribed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from quotastack.core.catalog import GrantTemplate, Metric, Variant
from quotastack.core.errors import ConflictError, FieldFault, NotFoundError, ValidationFailedError
from quotastack.core.idempotency import IdempotencyKey
from quotastack.core.plan_views import view_entitlement, view_template
from quotastack.core.value_faults import value_faults
from quotastack.runtime.database import Connection
from quotastack.runtime.random_ids import new_id
from quotastack.services.caller import Caller
from quotastack.services.container import Services
from quotastack.services.idempotency import Stored
from quotastack.services.variants import change_variant
from quotastack.store.metering import load_metering

TEMPLATES_MAX: Final = 100


async def create_template(
    services: Services,
    caller: Caller,
    *,
    plan_id: str,
    variant_id: str,
    terms: dict[str, Any],
    key: IdempotencyKey,
) -> Stored:
    """Add a credit grant template to a variant.

    Raises:
        NotFoundError: no such plan or variant.
        ConflictError: the variant has 100 templates already.

    Locks: the environment, exclusively.
    Replay: the template as it was made.
    """

    async def change(_tx: Connection, variant: Variant, now: datetime) -> tuple[Variant, int, Any]:
        if len(variant.templates) >= TEMPLATES_MAX:
            raise ConflictError(f"A variant has at most {TEMPLATES_MAX} credit grant templates.")
        template = GrantTemplate(id=new_id(), created_at=now, **terms)
        after = msgspec.structs.replace(variant, templates=(*variant.templates, template))
        return after, 201, view_template(template)

    return await change_variant(
        services,
        caller,
        plan_id=plan_id,
        variant_id=variant_id,
        change=change,
        key=key,
        action="plan_variant.credit_grant_added",
    )


async def delete_template(
    services: Services,
    caller: Caller,
    *,
    plan_id: str,
    variant_id: str,
    template_id: str,
    key: IdempotencyKey | None,
) -> Stored:
    """Take a template away; what it granted stays.

    Raises:
        NotFoundError: no such plan, variant or template.

    Locks: the environment, exclusively.
    """

    async def change(_tx: Connection, variant: Variant, _now: datetime) -> tuple[Variant, int, Any]:
        kept = tuple(template for template in variant.templates if template.id != template_id)
        if len(kept) == len(variant.templates):
            raise NotFoundError("There is no such credit grant template.")
        return msgspec.structs.replace(variant, templates=kept), 204, b""

    return await change_variant(
        services,
        caller,
        plan_id=plan_id,
        variant_id=variant_id,
        change=change,
        key=key,
        action="plan_variant.credit_grant_deleted",
    )


async def put_entitlement(
    services: Services,
    caller: Caller,
    *,
    plan_id: str,
    variant_id: str,
    metric_key: str,
    value: dict[str, Any],
    is_new: bool,
    key: IdempotencyKey,
) -> Stored:
    """Give a metric a value in a variant (``is_new``), or change the value that it has.

    Raises:
        NotFoundError: no such plan, variant or metric; the variant does not list the metric.
        ConflictError: the variant lists the metric already.
        ValidationFailedError: the value does not fit the metric's type.

    Locks: the environment, exclusively.
    Replay: the entitlement as it was after the first call.
    """

    async def change(tx: Connection, variant: Variant, _now: datetime) -> tuple[Variant, int, Any]:
        metric = await find_metric(tx, caller, metric_key)
        if is_new and metric_key in variant.entitlements:
            raise ConflictError(f"The variant has a value for {metric_key} already; PATCH changes it.")
        if not is_new and metric_key not in variant.entitlements:
            raise NotFoundError(f"The variant has no value for {metric_key}.")
        faults: list[FieldFault] = value_faults(metric, value)
        if faults:
            raise ValidationFailedError(
                f"The value does not fit {metric_key}, which is {metric.type}.", errors=faults
            )
        entitlements = {**variant.entitlements, metric_key: value}
        after = msgspec.structs.replace(variant, entitlements=entitlements)
        return after, 201 if is_new else 200, view_entitlement(after, metric_key)

    return await change_variant(
        services,
        caller,
        plan_id=plan_id,
        variant_id=variant_id,
        change=change,
        key=key,
        action="plan_variant.entitlement_set",
    )


async def delete_entitlement(
    services: Services,
    caller: Caller,
    *,
    plan_id: str,
    variant_id: str,
    metric_key: str,
    key: IdempotencyKey | None,
) -> Stored:
    """Take a metric out of a variant: it no longer governs it.

    Raises:
        NotFoundError: no such plan or variant; the variant does not list the metric.

    Locks: the environment, exclusively.
    """

    async def change(_tx: Connection, variant: Variant, _now: datetime) -> tuple[Variant, int, Any]:
        if metric_key not in variant.entitlements:
            raise NotFoundError(f"The variant has no value for {metric_key}.")
        kept = {name: value for name, value in variant.entitlements.items() if name != metric_key}
        return msgspec.structs.replace(variant, entitlements=kept), 204, b""

    return await change_variant(
        services,
        caller,
        plan_id=plan_id,
        variant_id=variant_id,
        change=change,
        key=key,
        action="plan_variant.entitlement_deleted",
    )


async def find_metric(tx: Connection, caller: Caller, metric_key: str) -> Metric:
    """The metric of that key.

    Raises:
        NotFoundError: no such metric.
    """
    metric = (await load_metering(tx, caller.environment_id)).metrics.get(metric_key)
    if metric is None:
        raise NotFoundError(f"There is no billable metric {metric_key}.")
    return metric
