"""``client.tenants``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from typing import Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, seg
from quotastack_client.transport import AsyncResource, Resource


class Tenants(Resource):
    """``client.tenants``."""

    def get_config(self, tenant_id: str, **options: Unpack[CallOptions]) -> models.TenantConfig:
        """Read the settings of the environment."""
        return self._send("GET", f"/v1/tenants/{seg(tenant_id)}/config", models.TenantConfig, options=options)

    def update_config(
        self,
        tenant_id: str,
        *,
        webhook_url: str | UnsetType | None = UNSET,
        webhook_secret: str | UnsetType | None = UNSET,
        stripe_webhook_secret: str | UnsetType | None = UNSET,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        low_balance_threshold: int | UnsetType | None = UNSET,
        priority_order: Literal["asc", "desc"] | UnsetType | None = UNSET,
        default_free_plan_variant_id: str | UnsetType | None = UNSET,
        requests_per_minute: int | UnsetType | None = UNSET,
        late_event_window: int | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.TenantConfig:
        """Change settings of the environment.

        What is left out stays; null puts a setting back to its default.
        """
        return self._send(
            "PATCH",
            f"/v1/tenants/{seg(tenant_id)}/config",
            models.TenantConfig,
            body={
                "webhook_url": webhook_url,
                "webhook_secret": webhook_secret,
                "stripe_webhook_secret": stripe_webhook_secret,
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "low_balance_threshold": low_balance_threshold,
                "priority_order": priority_order,
                "default_free_plan_variant_id": default_free_plan_variant_id,
                "requests_per_minute": requests_per_minute,
                "late_event_window": late_event_window,
            },
            is_keyed=True,
            options=options,
        )


class AsyncTenants(AsyncResource):
    """``client.tenants``."""

    async def get_config(self, tenant_id: str, **options: Unpack[CallOptions]) -> models.TenantConfig:
        """Read the settings of the environment."""
        return await self._send(
            "GET", f"/v1/tenants/{seg(tenant_id)}/config", models.TenantConfig, options=options
        )

    async def update_config(
        self,
        tenant_id: str,
        *,
        webhook_url: str | UnsetType | None = UNSET,
        webhook_secret: str | UnsetType | None = UNSET,
        stripe_webhook_secret: str | UnsetType | None = UNSET,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        low_balance_threshold: int | UnsetType | None = UNSET,
        priority_order: Literal["asc", "desc"] | UnsetType | None = UNSET,
        default_free_plan_variant_id: str | UnsetType | None = UNSET,
        requests_per_minute: int | UnsetType | None = UNSET,
        late_event_window: int | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.TenantConfig:
        """Change settings of the environment.

        What is left out stays; null puts a setting back to its default.
        """
        return await self._send(
            "PATCH",
            f"/v1/tenants/{seg(tenant_id)}/config",
            models.TenantConfig,
            body={
                "webhook_url": webhook_url,
                "webhook_secret": webhook_secret,
                "stripe_webhook_secret": stripe_webhook_secret,
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "low_balance_threshold": low_balance_threshold,
                "priority_order": priority_order,
                "default_free_plan_variant_id": default_free_plan_variant_id,
                "requests_per_minute": requests_per_minute,
                "late_event_window": late_event_window,
            },
            is_keyed=True,
            options=options,
        )
