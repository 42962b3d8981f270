"""``client.analytics``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from datetime import datetime
from typing import Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, opt
from quotastack_client.transport import AsyncResource, Resource


class Analytics(Resource):
    """``client.analytics``."""

    def liability(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.LiabilityReport:
        """Report the liability by month.

        opening + granted (paid, free) + adjusted + overage billed - spent - expired - refunded - voided
        - withdrawn = closing. Refunds of usage lower `spent`. CSV with `Accept: text/csv`.
        """
        return self._send(
            "GET",
            "/v1/analytics/liability",
            models.LiabilityReport,
            query={
                "unit": opt(unit),
                "from": opt(from_),
                "to": opt(to),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
            },
            options=options,
        )


class AsyncAnalytics(AsyncResource):
    """``client.analytics``."""

    async def liability(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.LiabilityReport:
        """Report the liability by month.

        opening + granted (paid, free) + adjusted + overage billed - spent - expired - refunded - voided
        - withdrawn = closing. Refunds of usage lower `spent`. CSV with `Accept: text/csv`.
        """
        return await self._send(
            "GET",
            "/v1/analytics/liability",
            models.LiabilityReport,
            query={
                "unit": opt(unit),
                "from": opt(from_),
                "to": opt(to),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
            },
            options=options,
        )
