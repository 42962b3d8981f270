"""``client.reservations``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt, seg
from quotastack_client.models import Units
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Reservations(Resource):
    """``client.reservations``."""

    def create(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        billable_metric_key: str | None = None,
        estimated_units: Units | None = None,
        dimensions: Mapping[str, str] | None = None,
        credits: int | None = None,
        unit: str | None = None,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        end_user_id: str | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Reservation:
        """Hold credits, and units in the quota."""
        return self._send(
            "POST",
            "/v1/reserve",
            models.Reservation,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": opt(billable_metric_key),
                "estimated_units": opt(estimated_units),
                "dimensions": opt(dimensions),
                "credits": opt(credits),
                "unit": opt(unit),
                "ttl_seconds": opt(ttl_seconds),
                "metadata": opt(metadata),
                "end_user_id": opt(end_user_id),
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        status: Literal["active", "committed", "expired", "released"] | None = None,
        billable_metric_key: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Reservation]:
        """List reservations."""
        return self._pages(
            "/v1/reserve",
            models.Reservation,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "status": opt(status),
                "billable_metric_key": opt(billable_metric_key),
            },
            options=options,
        )

    def get(self, reservation_id: str, **options: Unpack[CallOptions]) -> models.Reservation:
        """Read a reservation."""
        return self._send("GET", f"/v1/reserve/{seg(reservation_id)}", models.Reservation, options=options)

    def commit(
        self,
        reservation_id: str,
        *,
        actual_units: Units | None = None,
        actual_credits: int | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Reservation:
        """Pay for what was used and free the rest."""
        return self._send(
            "POST",
            f"/v1/reserve/{seg(reservation_id)}/commit",
            models.Reservation,
            body={"actual_units": opt(actual_units), "actual_credits": opt(actual_credits)},
            is_keyed=True,
            options=options,
        )

    def release(self, reservation_id: str, **options: Unpack[WriteOptions]) -> models.Reservation:
        """Give all of a reservation back."""
        return self._send(
            "POST",
            f"/v1/reserve/{seg(reservation_id)}/release",
            models.Reservation,
            body={},
            is_keyed=True,
            options=options,
        )

    def extend(
        self, reservation_id: str, *, ttl_seconds: int, **options: Unpack[WriteOptions]
    ) -> models.Reservation:
        """Let a reservation live longer.

        `ttl_seconds` counts from now; a reservation lives for 7 days at most.
        """
        return self._send(
            "POST",
            f"/v1/reserve/{seg(reservation_id)}/extend",
            models.Reservation,
            body={"ttl_seconds": ttl_seconds},
            is_keyed=True,
            options=options,
        )


class AsyncReservations(AsyncResource):
    """``client.reservations``."""

    async def create(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        billable_metric_key: str | None = None,
        estimated_units: Units | None = None,
        dimensions: Mapping[str, str] | None = None,
        credits: int | None = None,
        unit: str | None = None,
        ttl_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        end_user_id: str | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Reservation:
        """Hold credits, and units in the quota."""
        return await self._send(
            "POST",
            "/v1/reserve",
            models.Reservation,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": opt(billable_metric_key),
                "estimated_units": opt(estimated_units),
                "dimensions": opt(dimensions),
                "credits": opt(credits),
                "unit": opt(unit),
                "ttl_seconds": opt(ttl_seconds),
                "metadata": opt(metadata),
                "end_user_id": opt(end_user_id),
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        status: Literal["active", "committed", "expired", "released"] | None = None,
        billable_metric_key: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Reservation]:
        """List reservations."""
        return self._pages(
            "/v1/reserve",
            models.Reservation,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "status": opt(status),
                "billable_metric_key": opt(billable_metric_key),
            },
            options=options,
        )

    async def get(self, reservation_id: str, **options: Unpack[CallOptions]) -> models.Reservation:
        """Read a reservation."""
        return await self._send(
            "GET", f"/v1/reserve/{seg(reservation_id)}", models.Reservation, options=options
        )

    async def commit(
        self,
        reservation_id: str,
        *,
        actual_units: Units | None = None,
        actual_credits: int | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Reservation:
        """Pay for what was used and free the rest."""
        return await self._send(
            "POST",
            f"/v1/reserve/{seg(reservation_id)}/commit",
            models.Reservation,
            body={"actual_units": opt(actual_units), "actual_credits": opt(actual_credits)},
            is_keyed=True,
            options=options,
        )

    async def release(self, reservation_id: str, **options: Unpack[WriteOptions]) -> models.Reservation:
        """Give all of a reservation back."""
        return await self._send(
            "POST",
            f"/v1/reserve/{seg(reservation_id)}/release",
            models.Reservation,
            body={},
            is_keyed=True,
            options=options,
        )

    async def extend(
        self, reservation_id: str, *, ttl_seconds: int, **options: Unpack[WriteOptions]
    ) -> models.Reservation:
        """Let a reservation live longer.

        `ttl_seconds` counts from now; a reservation lives for 7 days at most.
        """
        return await self._send(
            "POST",
            f"/v1/reserve/{seg(reservation_id)}/extend",
            models.Reservation,
            body={"ttl_seconds": ttl_seconds},
            is_keyed=True,
            options=options,
        )
