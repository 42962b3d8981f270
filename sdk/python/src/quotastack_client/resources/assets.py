"""``client.assets``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, customer_path, opt, seg
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Assets(Resource):
    """``client.assets``."""

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        at: datetime | str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Asset]:
        """List a customer's assets.

        One for each metric that the customer used or has a quota for, by key.
        """
        return self._pages(
            customer_path(customer_id, external_customer_id, "/assets"),
            models.Asset,
            query={"limit": opt(limit), "order": opt(order), "at": opt(at)},
            options=options,
        )

    def get(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        at: datetime | str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.Asset:
        """Read an asset."""
        return self._send(
            "GET",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}"),
            models.Asset,
            query={"at": opt(at)},
            options=options,
        )

    def list_history(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.AssetPeriod]:
        """List an asset's past periods."""
        return self._pages(
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/history"),
            models.AssetPeriod,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    def suspend(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Asset:
        """Suspend an asset.

        Every later usage and reserve of the metric is refused until it is resumed.
        """
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/suspend"),
            models.Asset,
            body={},
            is_keyed=True,
            options=options,
        )

    def resume(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Asset:
        """Resume an asset."""
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/resume"),
            models.Asset,
            body={},
            is_keyed=True,
            options=options,
        )

    def topup(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int,
        source: Literal[
            "adjustment", "exchange", "plan_grant", "promotional", "refund", "rollover", "topup", "trial"
        ]
        | None = None,
        reason: str | None = None,
        priority: int | None = None,
        effective_at: datetime | str | None = None,
        expires_at: datetime | str | UnsetType | None = UNSET,
        expires_after_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.GrantAnswer:
        """Grant credits to the account that the metric draws from."""
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/topup"),
            models.GrantAnswer,
            body={
                "credits": credits,
                "source": opt(source),
                "reason": opt(reason),
                "priority": opt(priority),
                "effective_at": opt(effective_at),
                "expires_at": expires_at,
                "expires_after_seconds": opt(expires_after_seconds),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            options=options,
        )

    def withdraw(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int,
        reason: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.DebitAnswer:
        """Withdraw credits from the account that the metric draws from."""
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/withdraw"),
            models.DebitAnswer,
            body={"credits": credits, "reason": opt(reason), "metadata": opt(metadata)},
            is_keyed=True,
            options=options,
        )


class AsyncAssets(AsyncResource):
    """``client.assets``."""

    def list(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        at: datetime | str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Asset]:
        """List a customer's assets.

        One for each metric that the customer used or has a quota for, by key.
        """
        return self._pages(
            customer_path(customer_id, external_customer_id, "/assets"),
            models.Asset,
            query={"limit": opt(limit), "order": opt(order), "at": opt(at)},
            options=options,
        )

    async def get(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        at: datetime | str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.Asset:
        """Read an asset."""
        return await self._send(
            "GET",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}"),
            models.Asset,
            query={"at": opt(at)},
            options=options,
        )

    def list_history(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.AssetPeriod]:
        """List an asset's past periods."""
        return self._pages(
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/history"),
            models.AssetPeriod,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    async def suspend(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Asset:
        """Suspend an asset.

        Every later usage and reserve of the metric is refused until it is resumed.
        """
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/suspend"),
            models.Asset,
            body={},
            is_keyed=True,
            options=options,
        )

    async def resume(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Asset:
        """Resume an asset."""
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/resume"),
            models.Asset,
            body={},
            is_keyed=True,
            options=options,
        )

    async def topup(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int,
        source: Literal[
            "adjustment", "exchange", "plan_grant", "promotional", "refund", "rollover", "topup", "trial"
        ]
        | None = None,
        reason: str | None = None,
        priority: int | None = None,
        effective_at: datetime | str | None = None,
        expires_at: datetime | str | UnsetType | None = UNSET,
        expires_after_seconds: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.GrantAnswer:
        """Grant credits to the account that the metric draws from."""
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/topup"),
            models.GrantAnswer,
            body={
                "credits": credits,
                "source": opt(source),
                "reason": opt(reason),
                "priority": opt(priority),
                "effective_at": opt(effective_at),
                "expires_at": expires_at,
                "expires_after_seconds": opt(expires_after_seconds),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            options=options,
        )

    async def withdraw(
        self,
        billable_metric_key: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int,
        reason: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.DebitAnswer:
        """Withdraw credits from the account that the metric draws from."""
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/assets/{seg(billable_metric_key)}/withdraw"),
            models.DebitAnswer,
            body={"credits": credits, "reason": opt(reason), "metadata": opt(metadata)},
            is_keyed=True,
            options=options,
        )
