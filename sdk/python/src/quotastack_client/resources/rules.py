"""``client.rules``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt, seg
from quotastack_client.models import Units
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Rules(Resource):
    """``client.rules``."""

    def create(
        self,
        *,
        cost_type: Literal["flat", "per_unit", "tiered"],
        billable_metric_key: str | None = None,
        flat_cost: int | None = None,
        unit_cost: int | None = None,
        per_units: int | None = None,
        tiers: Sequence[models.TierBody] | None = None,
        tier_mode: Literal["graduated", "volume"] | None = None,
        tier_scope: Literal["event", "period"] | None = None,
        rounding: Literal["down", "half_even", "up"] | None = None,
        match: Mapping[str, str] | None = None,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Rule:
        """Put a price in force.

        It replaces the rule of the same metric and `match` from now on; the old one is kept for ever.
        """
        return self._send(
            "POST",
            "/v1/metering-rules",
            models.Rule,
            body={
                "billable_metric_key": opt(billable_metric_key),
                "cost_type": cost_type,
                "flat_cost": opt(flat_cost),
                "unit_cost": opt(unit_cost),
                "per_units": opt(per_units),
                "tiers": opt(tiers),
                "tier_mode": opt(tier_mode),
                "tier_scope": opt(tier_scope),
                "rounding": opt(rounding),
                "match": opt(match),
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        billable_metric_key: str | None = None,
        active: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Rule]:
        """List prices, past ones included."""
        return self._pages(
            "/v1/metering-rules",
            models.Rule,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "billable_metric_key": opt(billable_metric_key),
                "active": opt(active),
            },
            options=options,
        )

    def get(self, rule_id: str, **options: Unpack[CallOptions]) -> models.Rule:
        """Read a price."""
        return self._send("GET", f"/v1/metering-rules/{seg(rule_id)}", models.Rule, options=options)

    def deactivate(self, rule_id: str, **options: Unpack[WriteOptions]) -> models.Rule:
        """End a price without another in its place."""
        return self._send(
            "POST",
            f"/v1/metering-rules/{seg(rule_id)}/deactivate",
            models.Rule,
            body={},
            is_keyed=True,
            options=options,
        )

    def preview(
        self,
        *,
        billable_metric_key: str | None = None,
        units: Units | None = None,
        before: Units | None = None,
        dimensions: Mapping[str, str] | None = None,
        rule_id: str | None = None,
        cost_type: Literal["flat", "per_unit", "tiered"] | None = None,
        flat_cost: int | None = None,
        unit_cost: int | None = None,
        per_units: int | None = None,
        tiers: Sequence[models.TierBody] | None = None,
        tier_mode: Literal["graduated", "volume"] | None = None,
        tier_scope: Literal["event", "period"] | None = None,
        rounding: Literal["down", "half_even", "up"] | None = None,
        match: Mapping[str, str] | None = None,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        feature_key: str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.Preview:
        """Price units without writing anything."""
        return self._send(
            "POST",
            "/v1/metering-rules/preview",
            models.Preview,
            body={
                "billable_metric_key": opt(billable_metric_key),
                "units": opt(units),
                "before": opt(before),
                "dimensions": opt(dimensions),
                "rule_id": opt(rule_id),
                "cost_type": opt(cost_type),
                "flat_cost": opt(flat_cost),
                "unit_cost": opt(unit_cost),
                "per_units": opt(per_units),
                "tiers": opt(tiers),
                "tier_mode": opt(tier_mode),
                "tier_scope": opt(tier_scope),
                "rounding": opt(rounding),
                "match": opt(match),
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "feature_key": opt(feature_key),
            },
            options=options,
        )


class AsyncRules(AsyncResource):
    """``client.rules``."""

    async def create(
        self,
        *,
        cost_type: Literal["flat", "per_unit", "tiered"],
        billable_metric_key: str | None = None,
        flat_cost: int | None = None,
        unit_cost: int | None = None,
        per_units: int | None = None,
        tiers: Sequence[models.TierBody] | None = None,
        tier_mode: Literal["graduated", "volume"] | None = None,
        tier_scope: Literal["event", "period"] | None = None,
        rounding: Literal["down", "half_even", "up"] | None = None,
        match: Mapping[str, str] | None = None,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Rule:
        """Put a price in force.

        It replaces the rule of the same metric and `match` from now on; the old one is kept for ever.
        """
        return await self._send(
            "POST",
            "/v1/metering-rules",
            models.Rule,
            body={
                "billable_metric_key": opt(billable_metric_key),
                "cost_type": cost_type,
                "flat_cost": opt(flat_cost),
                "unit_cost": opt(unit_cost),
                "per_units": opt(per_units),
                "tiers": opt(tiers),
                "tier_mode": opt(tier_mode),
                "tier_scope": opt(tier_scope),
                "rounding": opt(rounding),
                "match": opt(match),
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        billable_metric_key: str | None = None,
        active: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Rule]:
        """List prices, past ones included."""
        return self._pages(
            "/v1/metering-rules",
            models.Rule,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "billable_metric_key": opt(billable_metric_key),
                "active": opt(active),
            },
            options=options,
        )

    async def get(self, rule_id: str, **options: Unpack[CallOptions]) -> models.Rule:
        """Read a price."""
        return await self._send("GET", f"/v1/metering-rules/{seg(rule_id)}", models.Rule, options=options)

    async def deactivate(self, rule_id: str, **options: Unpack[WriteOptions]) -> models.Rule:
        """End a price without another in its place."""
        return await self._send(
            "POST",
            f"/v1/metering-rules/{seg(rule_id)}/deactivate",
            models.Rule,
            body={},
            is_keyed=True,
            options=options,
        )

    async def preview(
        self,
        *,
        billable_metric_key: str | None = None,
        units: Units | None = None,
        before: Units | None = None,
        dimensions: Mapping[str, str] | None = None,
        rule_id: str | None = None,
        cost_type: Literal["flat", "per_unit", "tiered"] | None = None,
        flat_cost: int | None = None,
        unit_cost: int | None = None,
        per_units: int | None = None,
        tiers: Sequence[models.TierBody] | None = None,
        tier_mode: Literal["graduated", "volume"] | None = None,
        tier_scope: Literal["event", "period"] | None = None,
        rounding: Literal["down", "half_even", "up"] | None = None,
        match: Mapping[str, str] | None = None,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        feature_key: str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.Preview:
        """Price units without writing anything."""
        return await self._send(
            "POST",
            "/v1/metering-rules/preview",
            models.Preview,
            body={
                "billable_metric_key": opt(billable_metric_key),
                "units": opt(units),
                "before": opt(before),
                "dimensions": opt(dimensions),
                "rule_id": opt(rule_id),
                "cost_type": opt(cost_type),
                "flat_cost": opt(flat_cost),
                "unit_cost": opt(unit_cost),
                "per_units": opt(per_units),
                "tiers": opt(tiers),
                "tier_mode": opt(tier_mode),
                "tier_scope": opt(tier_scope),
                "rounding": opt(rounding),
                "match": opt(match),
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "feature_key": opt(feature_key),
            },
            options=options,
        )
