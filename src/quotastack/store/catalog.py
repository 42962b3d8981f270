"""The catalog of an environment, read whole: one statement for each family of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quotastack.core.catalog import Catalog
from quotastack.core.event_patterns import named_types
from quotastack.core.ids import EnvironmentId
from quotastack.store.metering import load_metering
from quotastack.store.plans import load_plans
from quotastack.store.topups import load_packages
from quotastack.store.webhooks import load_endpoint_filters

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection


async def load_catalog(tx: Connection, environment_id: str, version: int) -> Catalog:
    """The catalog as the transaction sees it; ``version`` is the one read with it."""
    metering = await load_metering(tx, environment_id)
    plans = await load_plans(tx, environment_id)
    endpoints = await load_endpoint_filters(tx, EnvironmentId(environment_id))
    return Catalog(
        version=version,
        metrics=metering.metrics,
        rules=metering.rules,
        rules_by_id=metering.rules_by_id,
        variants=plans.variants,
        latest_variants=plans.latest_variants,
        packages=await load_packages(tx, EnvironmentId(environment_id)),
        named_events=named_types(endpoints),
        endpoints=endpoints,
    )
