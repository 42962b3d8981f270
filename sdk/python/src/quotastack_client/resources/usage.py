"""``client.usage``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt, seg
from quotastack_client.models import Units
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Usage(Resource):
    """``client.usage``."""

    def record(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        billable_metric_key: str | None = None,
        units: Units | None = None,
        value: Units | None = None,
        timestamp: datetime | str | None = None,
        dimensions: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        enforcement: Literal["enforce", "record"] | None = None,
        dry_run: bool | None = None,
        end_user_id: str | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Usage:
        """Record and charge a usage event.

        Entitlement, quota, price and debit are decided in one transaction; the balance in the answer is
        final. With `Prefer: respond-async` the answer is 202 and a refusal becomes the event
        `usage.rejected`. With `dry_run` (200) nothing is kept.
        """
        return self._send(
            "POST",
            "/v1/usage",
            models.Usage,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": opt(billable_metric_key),
                "units": opt(units),
                "value": opt(value),
                "timestamp": opt(timestamp),
                "dimensions": opt(dimensions),
                "metadata": opt(metadata),
                "enforcement": opt(enforcement),
                "dry_run": opt(dry_run),
                "end_user_id": opt(end_user_id),
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    def record_later(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        billable_metric_key: str | None = None,
        units: Units | None = None,
        value: Units | None = None,
        timestamp: datetime | str | None = None,
        dimensions: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        enforcement: Literal["enforce", "record"] | None = None,
        end_user_id: str | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Accepted:
        """Record and charge a usage event, later: stored durably, applied in order of arrival."""
        return self._send(
            "POST",
            "/v1/usage",
            models.Accepted,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": opt(billable_metric_key),
                "units": opt(units),
                "value": opt(value),
                "timestamp": opt(timestamp),
                "dimensions": opt(dimensions),
                "metadata": opt(metadata),
                "enforcement": opt(enforcement),
                "end_user_id": opt(end_user_id),
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            headers={"Prefer": "respond-async"},
            options=options,
        )

    def record_batch(
        self, *, events: Sequence[Mapping[str, Any]], **options: Unpack[CallOptions]
    ) -> models.Batch:
        """Record many usage events, each on its own.

        1 to 1,000 events, 8 MiB. 201 when every event was created or replayed, else 207.
        """
        return self._send("POST", "/v1/usage/batch", models.Batch, body={"events": events}, options=options)

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        billable_metric_key: str | None = None,
        status: Literal["accepted", "applied", "rejected", "reversed"] | None = None,
        dimension: str | None = None,
        reservation_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Usage]:
        """List usage events."""
        return self._pages(
            "/v1/usage",
            models.Usage,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": opt(billable_metric_key),
                "status": opt(status),
                "dimension": opt(dimension),
                "reservation_id": opt(reservation_id),
            },
            options=options,
        )

    def get(self, usage_id: str, **options: Unpack[CallOptions]) -> models.Usage:
        """Read a usage event."""
        return self._send("GET", f"/v1/usage/{seg(usage_id)}", models.Usage, options=options)

    def reverse(self, usage_id: str, **options: Unpack[WriteOptions]) -> models.Reversal:
        """Take a usage event back.

        Gives back exactly what it cost, once; the counter moves back, the pricing position does not.
        """
        return self._send(
            "POST",
            f"/v1/usage/{seg(usage_id)}/reverse",
            models.Reversal,
            body={},
            is_keyed=True,
            options=options,
        )


class AsyncUsage(AsyncResource):
    """``client.usage``."""

    async def record(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        billable_metric_key: str | None = None,
        units: Units | None = None,
        value: Units | None = None,
        timestamp: datetime | str | None = None,
        dimensions: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        enforcement: Literal["enforce", "record"] | None = None,
        dry_run: bool | None = None,
        end_user_id: str | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Usage:
        """Record and charge a usage event.

        Entitlement, quota, price and debit are decided in one transaction; the balance in the answer is
        final. With `Prefer: respond-async` the answer is 202 and a refusal becomes the event
        `usage.rejected`. With `dry_run` (200) nothing is kept.
        """
        return await self._send(
            "POST",
            "/v1/usage",
            models.Usage,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": opt(billable_metric_key),
                "units": opt(units),
                "value": opt(value),
                "timestamp": opt(timestamp),
                "dimensions": opt(dimensions),
                "metadata": opt(metadata),
                "enforcement": opt(enforcement),
                "dry_run": opt(dry_run),
                "end_user_id": opt(end_user_id),
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    async def record_later(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        billable_metric_key: str | None = None,
        units: Units | None = None,
        value: Units | None = None,
        timestamp: datetime | str | None = None,
        dimensions: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        enforcement: Literal["enforce", "record"] | None = None,
        end_user_id: str | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Accepted:
        """Record and charge a usage event, later: stored durably, applied in order of arrival."""
        return await self._send(
            "POST",
            "/v1/usage",
            models.Accepted,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": opt(billable_metric_key),
                "units": opt(units),
                "value": opt(value),
                "timestamp": opt(timestamp),
                "dimensions": opt(dimensions),
                "metadata": opt(metadata),
                "enforcement": opt(enforcement),
                "end_user_id": opt(end_user_id),
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            headers={"Prefer": "respond-async"},
            options=options,
        )

    async def record_batch(
        self, *, events: Sequence[Mapping[str, Any]], **options: Unpack[CallOptions]
    ) -> models.Batch:
        """Record many usage events, each on its own.

        1 to 1,000 events, 8 MiB. 201 when every event was created or replayed, else 207.
        """
        return await self._send(
            "POST", "/v1/usage/batch", models.Batch, body={"events": events}, options=options
        )

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        billable_metric_key: str | None = None,
        status: Literal["accepted", "applied", "rejected", "reversed"] | None = None,
        dimension: str | None = None,
        reservation_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Usage]:
        """List usage events."""
        return self._pages(
            "/v1/usage",
            models.Usage,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": opt(billable_metric_key),
                "status": opt(status),
                "dimension": opt(dimension),
                "reservation_id": opt(reservation_id),
            },
            options=options,
        )

    async def get(self, usage_id: str, **options: Unpack[CallOptions]) -> models.Usage:
        """Read a usage event."""
        return await self._send("GET", f"/v1/usage/{seg(usage_id)}", models.Usage, options=options)

    async def reverse(self, usage_id: str, **options: Unpack[WriteOptions]) -> models.Reversal:
        """Take a usage event back.

        Gives back exactly what it cost, once; the counter moves back, the pricing position does not.
        """
        return await self._send(
            "POST",
            f"/v1/usage/{seg(usage_id)}/reverse",
            models.Reversal,
            body={},
            is_keyed=True,
            options=options,
        )
