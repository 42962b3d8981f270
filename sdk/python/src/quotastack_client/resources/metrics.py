"""``client.metrics``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt, seg
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Metrics(Resource):
    """``client.metrics``."""

    def create(
        self,
        *,
        key: str,
        name: str | None = None,
        description: str | None = None,
        type: Literal["boolean", "gauge", "metered", "static"] | None = None,
        aggregation: Literal["CumulativeCounter", "Gauge", "TotalCounter", "UpDownCounter"] | None = None,
        default_value: Mapping[str, Any] | None = None,
        scale: int | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Metric:
        """Create a billable metric."""
        return self._send(
            "POST",
            "/v1/billable-metrics",
            models.Metric,
            body={
                "key": key,
                "name": opt(name),
                "description": opt(description),
                "type": opt(type),
                "aggregation": opt(aggregation),
                "default_value": opt(default_value),
                "scale": opt(scale),
                "unit": opt(unit),
            },
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        type: Literal["boolean", "gauge", "metered", "static"] | None = None,
        archived: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Metric]:
        """List billable metrics."""
        return self._pages(
            "/v1/billable-metrics",
            models.Metric,
            query={"limit": opt(limit), "order": opt(order), "type": opt(type), "archived": opt(archived)},
            options=options,
        )

    def get(self, key: str, **options: Unpack[CallOptions]) -> models.Metric:
        """Read a billable metric."""
        return self._send("GET", f"/v1/billable-metrics/{seg(key)}", models.Metric, options=options)

    def update(
        self,
        key: str,
        *,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        type: Literal["boolean", "gauge", "metered", "static"] | None = None,
        aggregation: Literal["CumulativeCounter", "Gauge", "TotalCounter", "UpDownCounter"] | None = None,
        default_value: Mapping[str, Any] | UnsetType | None = UNSET,
        scale: int | None = None,
        unit: str | None = None,
        archived_at: datetime | str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Metric:
        """Change a billable metric.

        `key`, `type`, `aggregation`, `unit` and `scale` are fixed once the metric is used.
        """
        return self._send(
            "PATCH",
            f"/v1/billable-metrics/{seg(key)}",
            models.Metric,
            body={
                "name": opt(name),
                "description": description,
                "type": opt(type),
                "aggregation": opt(aggregation),
                "default_value": default_value,
                "scale": opt(scale),
                "unit": opt(unit),
                "archived_at": archived_at,
            },
            is_keyed=True,
            options=options,
        )


class AsyncMetrics(AsyncResource):
    """``client.metrics``."""

    async def create(
        self,
        *,
        key: str,
        name: str | None = None,
        description: str | None = None,
        type: Literal["boolean", "gauge", "metered", "static"] | None = None,
        aggregation: Literal["CumulativeCounter", "Gauge", "TotalCounter", "UpDownCounter"] | None = None,
        default_value: Mapping[str, Any] | None = None,
        scale: int | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Metric:
        """Create a billable metric."""
        return await self._send(
            "POST",
            "/v1/billable-metrics",
            models.Metric,
            body={
                "key": key,
                "name": opt(name),
                "description": opt(description),
                "type": opt(type),
                "aggregation": opt(aggregation),
                "default_value": opt(default_value),
                "scale": opt(scale),
                "unit": opt(unit),
            },
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        type: Literal["boolean", "gauge", "metered", "static"] | None = None,
        archived: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Metric]:
        """List billable metrics."""
        return self._pages(
            "/v1/billable-metrics",
            models.Metric,
            query={"limit": opt(limit), "order": opt(order), "type": opt(type), "archived": opt(archived)},
            options=options,
        )

    async def get(self, key: str, **options: Unpack[CallOptions]) -> models.Metric:
        """Read a billable metric."""
        return await self._send("GET", f"/v1/billable-metrics/{seg(key)}", models.Metric, options=options)

    async def update(
        self,
        key: str,
        *,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        type: Literal["boolean", "gauge", "metered", "static"] | None = None,
        aggregation: Literal["CumulativeCounter", "Gauge", "TotalCounter", "UpDownCounter"] | None = None,
        default_value: Mapping[str, Any] | UnsetType | None = UNSET,
        scale: int | None = None,
        unit: str | None = None,
        archived_at: datetime | str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Metric:
        """Change a billable metric.

        `key`, `type`, `aggregation`, `unit` and `scale` are fixed once the metric is used.
        """
        return await self._send(
            "PATCH",
            f"/v1/billable-metrics/{seg(key)}",
            models.Metric,
            body={
                "name": opt(name),
                "description": description,
                "type": opt(type),
                "aggregation": opt(aggregation),
                "default_value": default_value,
                "scale": opt(scale),
                "unit": opt(unit),
                "archived_at": archived_at,
            },
            is_keyed=True,
            options=options,
        )
