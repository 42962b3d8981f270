"""``client.entitlements``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, customer_path, opt, seg
from quotastack_client.models import Units
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Entitlements(Resource):
    """``client.entitlements``."""

    def check(
        self,
        *,
        billable_metric_key: str,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        units: Units | None = None,
        current: Units | None = None,
        dimensions: Mapping[str, str] | None = None,
        explain: bool | None = None,
        consistency: Literal["cached", "strong"] | None = None,
        **options: Unpack[CallOptions],
    ) -> models.EntitlementAnswer:
        """Check an entitlement, named in the query."""
        return self._send(
            "GET",
            "/v1/entitlements/check",
            models.EntitlementAnswer,
            query={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": billable_metric_key,
                "units": opt(units),
                "current": opt(current),
                "dimensions": opt(dimensions),
                "explain": opt(explain),
                "consistency": opt(consistency),
            },
            options=options,
        )

    def check_batch(
        self,
        *,
        checks: Sequence[models.Check],
        consistency: Literal["cached", "strong"] | None = None,
        **options: Unpack[CallOptions],
    ) -> models.CheckResults:
        """Check up to 100 entitlements.

        Each check is answered as if it had been asked alone; one that cannot be made (an unknown
        customer or metric) has a `problem` in its place.
        """
        return self._send(
            "POST",
            "/v1/entitlements/check",
            models.CheckResults,
            query={"consistency": opt(consistency)},
            body={"checks": checks},
            options=options,
        )

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        consistency: Literal["cached", "strong"] | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.EntitlementAnswer]:
        """Check all metrics of a customer.

        One unit of each metric that is not archived, by key.
        """
        return self._pages(
            customer_path(customer_id, external_customer_id, "/entitlements"),
            models.EntitlementAnswer,
            query={"limit": opt(limit), "order": opt(order), "consistency": opt(consistency)},
            options=options,
        )

    def get(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        units: Units | None = None,
        current: Units | None = None,
        dimensions: Mapping[str, str] | None = None,
        explain: bool | None = None,
        consistency: Literal["cached", "strong"] | None = None,
        **options: Unpack[CallOptions],
    ) -> models.EntitlementAnswer:
        """Check an entitlement.

        Read-only and advisory: it holds nothing. A check that says no is a 200 with `allowed: false`
        and the first `reason`. Reserve to be safe under concurrency.
        """
        return self._send(
            "GET",
            customer_path(customer_id, external_customer_id, f"/entitlements/{seg(billable_metric_key)}"),
            models.EntitlementAnswer,
            query={
                "units": opt(units),
                "current": opt(current),
                "dimensions": opt(dimensions),
                "explain": opt(explain),
                "consistency": opt(consistency),
            },
            options=options,
        )

    def set_override(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        value: Mapping[str, Any],
        expires_at: datetime | str | UnsetType | None = UNSET,
        reason: str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.OverrideView:
        """Override a customer's entitlement.

        Replaces the customer's override of the metric. It wins over every plan and the default until
        `expires_at`.
        """
        return self._send(
            "PUT",
            customer_path(customer_id, external_customer_id, f"/entitlements/{seg(billable_metric_key)}"),
            models.OverrideView,
            body={"value": value, "expires_at": expires_at, "reason": reason},
            is_keyed=True,
            options=options,
        )

    def delete_override(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> None:
        """Delete a customer's override.

        The plan's value, or the metric's default, counts again.
        """
        self._nothing(
            "DELETE",
            customer_path(customer_id, external_customer_id, f"/entitlements/{seg(billable_metric_key)}"),
            is_keyed=True,
            options=options,
        )


class AsyncEntitlements(AsyncResource):
    """``client.entitlements``."""

    async def check(
        self,
        *,
        billable_metric_key: str,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        units: Units | None = None,
        current: Units | None = None,
        dimensions: Mapping[str, str] | None = None,
        explain: bool | None = None,
        consistency: Literal["cached", "strong"] | None = None,
        **options: Unpack[CallOptions],
    ) -> models.EntitlementAnswer:
        """Check an entitlement, named in the query."""
        return await self._send(
            "GET",
            "/v1/entitlements/check",
            models.EntitlementAnswer,
            query={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "billable_metric_key": billable_metric_key,
                "units": opt(units),
                "current": opt(current),
                "dimensions": opt(dimensions),
                "explain": opt(explain),
                "consistency": opt(consistency),
            },
            options=options,
        )

    async def check_batch(
        self,
        *,
        checks: Sequence[models.Check],
        consistency: Literal["cached", "strong"] | None = None,
        **options: Unpack[CallOptions],
    ) -> models.CheckResults:
        """Check up to 100 entitlements.

        Each check is answered as if it had been asked alone; one that cannot be made (an unknown
        customer or metric) has a `problem` in its place.
        """
        return await self._send(
            "POST",
            "/v1/entitlements/check",
            models.CheckResults,
            query={"consistency": opt(consistency)},
            body={"checks": checks},
            options=options,
        )

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        consistency: Literal["cached", "strong"] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.EntitlementAnswer]:
        """Check all metrics of a customer.

        One unit of each metric that is not archived, by key.
        """
        return self._pages(
            customer_path(customer_id, external_customer_id, "/entitlements"),
            models.EntitlementAnswer,
            query={"limit": opt(limit), "order": opt(order), "consistency": opt(consistency)},
            options=options,
        )

    async def get(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        units: Units | None = None,
        current: Units | None = None,
        dimensions: Mapping[str, str] | None = None,
        explain: bool | None = None,
        consistency: Literal["cached", "strong"] | None = None,
        **options: Unpack[CallOptions],
    ) -> models.EntitlementAnswer:
        """Check an entitlement.

        Read-only and advisory: it holds nothing. A check that says no is a 200 with `allowed: false`
        and the first `reason`. Reserve to be safe under concurrency.
        """
        return await self._send(
            "GET",
            customer_path(customer_id, external_customer_id, f"/entitlements/{seg(billable_metric_key)}"),
            models.EntitlementAnswer,
            query={
                "units": opt(units),
                "current": opt(current),
                "dimensions": opt(dimensions),
                "explain": opt(explain),
                "consistency": opt(consistency),
            },
            options=options,
        )

    async def set_override(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        value: Mapping[str, Any],
        expires_at: datetime | str | UnsetType | None = UNSET,
        reason: str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.OverrideView:
        """Override a customer's entitlement.

        Replaces the customer's override of the metric. It wins over every plan and the default until
        `expires_at`.
        """
        return await self._send(
            "PUT",
            customer_path(customer_id, external_customer_id, f"/entitlements/{seg(billable_metric_key)}"),
            models.OverrideView,
            body={"value": value, "expires_at": expires_at, "reason": reason},
            is_keyed=True,
            options=options,
        )

    async def delete_override(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> None:
        """Delete a customer's override.

        The plan's value, or the metric's default, counts again.
        """
        await self._nothing(
            "DELETE",
            customer_path(customer_id, external_customer_id, f"/entitlements/{seg(billable_metric_key)}"),
            is_keyed=True,
            options=options,
        )
