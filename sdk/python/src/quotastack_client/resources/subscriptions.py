"""``client.subscriptions``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Unpack

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt, seg
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Subscriptions(Resource):
    """``client.subscriptions``."""

    def create(
        self,
        *,
        plan_variant_id: str,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        starts_at: datetime | str | None = None,
        trial_days: int | None = None,
        grandfathered: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        dry_run: bool | None = None,
        end_user_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """Subscribe a customer to a plan variant.

        An unknown external customer is created. A trial or the first period begins at once.
        """
        return self._send(
            "POST",
            "/v1/subscriptions",
            models.Subscription,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "plan_variant_id": plan_variant_id,
                "starts_at": opt(starts_at),
                "trial_days": opt(trial_days),
                "grandfathered": opt(grandfathered),
                "metadata": opt(metadata),
                "dry_run": opt(dry_run),
                "end_user_id": opt(end_user_id),
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
        status: Literal["active", "canceled", "expired", "overdue", "paused", "trialing"] | None = None,
        plan_id: str | None = None,
        plan_variant_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Subscription]:
        """List subscriptions."""
        return self._pages(
            "/v1/subscriptions",
            models.Subscription,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "status": opt(status),
                "plan_id": opt(plan_id),
                "plan_variant_id": opt(plan_variant_id),
            },
            options=options,
        )

    def get(self, subscription_id: str, **options: Unpack[CallOptions]) -> models.Subscription:
        """Read a subscription."""
        return self._send(
            "GET", f"/v1/subscriptions/{seg(subscription_id)}", models.Subscription, options=options
        )

    def update(
        self,
        subscription_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        grandfathered: bool | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """Change a subscription's metadata, or pin its version."""
        return self._send(
            "PATCH",
            f"/v1/subscriptions/{seg(subscription_id)}",
            models.Subscription,
            body={"metadata": opt(metadata), "grandfathered": opt(grandfathered)},
            is_keyed=True,
            options=options,
        )

    def renew(
        self, subscription_id: str, *, dry_run: bool | None = None, **options: Unpack[WriteOptions]
    ) -> models.Subscription:
        """Report the payment of one period."""
        return self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/renew",
            models.Subscription,
            body={"dry_run": opt(dry_run)},
            is_keyed=True,
            options=options,
        )

    def pause(
        self,
        subscription_id: str,
        *,
        dry_run: bool | None = None,
        resumes_at: datetime | str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """Let a subscription stand still."""
        return self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/pause",
            models.Subscription,
            body={"dry_run": opt(dry_run), "resumes_at": opt(resumes_at)},
            is_keyed=True,
            options=options,
        )

    def resume(
        self, subscription_id: str, *, dry_run: bool | None = None, **options: Unpack[WriteOptions]
    ) -> models.Subscription:
        """Let a paused subscription run on."""
        return self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/resume",
            models.Subscription,
            body={"dry_run": opt(dry_run)},
            is_keyed=True,
            options=options,
        )

    def cancel(
        self,
        subscription_id: str,
        *,
        dry_run: bool | None = None,
        when: Literal["now", "period_end"] | None = None,
        credits: Literal["expire", "keep"] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """End a subscription now or with its period."""
        return self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/cancel",
            models.Subscription,
            body={"dry_run": opt(dry_run), "when": opt(when), "credits": opt(credits)},
            is_keyed=True,
            options=options,
        )

    def reactivate(
        self, subscription_id: str, *, dry_run: bool | None = None, **options: Unpack[WriteOptions]
    ) -> models.Subscription:
        """Take a scheduled end back, or start an ended subscription again."""
        return self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/reactivate",
            models.Subscription,
            body={"dry_run": opt(dry_run)},
            is_keyed=True,
            options=options,
        )

    def change_plan(
        self,
        subscription_id: str,
        *,
        plan_variant_id: str,
        dry_run: bool | None = None,
        when: Literal["now", "period_end"] | None = None,
        credits: Literal["keep", "prorate", "reset"] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """Move a subscription to another variant."""
        return self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/change-plan",
            models.Subscription,
            body={
                "dry_run": opt(dry_run),
                "plan_variant_id": plan_variant_id,
                "when": opt(when),
                "credits": opt(credits),
            },
            is_keyed=True,
            options=options,
        )

    def timeline(self, subscription_id: str, **options: Unpack[CallOptions]) -> models.Timeline:
        """Read what a subscription went through and what lies ahead."""
        return self._send(
            "GET", f"/v1/subscriptions/{seg(subscription_id)}/timeline", models.Timeline, options=options
        )


class AsyncSubscriptions(AsyncResource):
    """``client.subscriptions``."""

    async def create(
        self,
        *,
        plan_variant_id: str,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        starts_at: datetime | str | None = None,
        trial_days: int | None = None,
        grandfathered: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        dry_run: bool | None = None,
        end_user_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """Subscribe a customer to a plan variant.

        An unknown external customer is created. A trial or the first period begins at once.
        """
        return await self._send(
            "POST",
            "/v1/subscriptions",
            models.Subscription,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "plan_variant_id": plan_variant_id,
                "starts_at": opt(starts_at),
                "trial_days": opt(trial_days),
                "grandfathered": opt(grandfathered),
                "metadata": opt(metadata),
                "dry_run": opt(dry_run),
                "end_user_id": opt(end_user_id),
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
        status: Literal["active", "canceled", "expired", "overdue", "paused", "trialing"] | None = None,
        plan_id: str | None = None,
        plan_variant_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Subscription]:
        """List subscriptions."""
        return self._pages(
            "/v1/subscriptions",
            models.Subscription,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "status": opt(status),
                "plan_id": opt(plan_id),
                "plan_variant_id": opt(plan_variant_id),
            },
            options=options,
        )

    async def get(self, subscription_id: str, **options: Unpack[CallOptions]) -> models.Subscription:
        """Read a subscription."""
        return await self._send(
            "GET", f"/v1/subscriptions/{seg(subscription_id)}", models.Subscription, options=options
        )

    async def update(
        self,
        subscription_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        grandfathered: bool | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """Change a subscription's metadata, or pin its version."""
        return await self._send(
            "PATCH",
            f"/v1/subscriptions/{seg(subscription_id)}",
            models.Subscription,
            body={"metadata": opt(metadata), "grandfathered": opt(grandfathered)},
            is_keyed=True,
            options=options,
        )

    async def renew(
        self, subscription_id: str, *, dry_run: bool | None = None, **options: Unpack[WriteOptions]
    ) -> models.Subscription:
        """Report the payment of one period."""
        return await self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/renew",
            models.Subscription,
            body={"dry_run": opt(dry_run)},
            is_keyed=True,
            options=options,
        )

    async def pause(
        self,
        subscription_id: str,
        *,
        dry_run: bool | None = None,
        resumes_at: datetime | str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """Let a subscription stand still."""
        return await self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/pause",
            models.Subscription,
            body={"dry_run": opt(dry_run), "resumes_at": opt(resumes_at)},
            is_keyed=True,
            options=options,
        )

    async def resume(
        self, subscription_id: str, *, dry_run: bool | None = None, **options: Unpack[WriteOptions]
    ) -> models.Subscription:
        """Let a paused subscription run on."""
        return await self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/resume",
            models.Subscription,
            body={"dry_run": opt(dry_run)},
            is_keyed=True,
            options=options,
        )

    async def cancel(
        self,
        subscription_id: str,
        *,
        dry_run: bool | None = None,
        when: Literal["now", "period_end"] | None = None,
        credits: Literal["expire", "keep"] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """End a subscription now or with its period."""
        return await self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/cancel",
            models.Subscription,
            body={"dry_run": opt(dry_run), "when": opt(when), "credits": opt(credits)},
            is_keyed=True,
            options=options,
        )

    async def reactivate(
        self, subscription_id: str, *, dry_run: bool | None = None, **options: Unpack[WriteOptions]
    ) -> models.Subscription:
        """Take a scheduled end back, or start an ended subscription again."""
        return await self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/reactivate",
            models.Subscription,
            body={"dry_run": opt(dry_run)},
            is_keyed=True,
            options=options,
        )

    async def change_plan(
        self,
        subscription_id: str,
        *,
        plan_variant_id: str,
        dry_run: bool | None = None,
        when: Literal["now", "period_end"] | None = None,
        credits: Literal["keep", "prorate", "reset"] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Subscription:
        """Move a subscription to another variant."""
        return await self._send(
            "POST",
            f"/v1/subscriptions/{seg(subscription_id)}/change-plan",
            models.Subscription,
            body={
                "dry_run": opt(dry_run),
                "plan_variant_id": plan_variant_id,
                "when": opt(when),
                "credits": opt(credits),
            },
            is_keyed=True,
            options=options,
        )

    async def timeline(self, subscription_id: str, **options: Unpack[CallOptions]) -> models.Timeline:
        """Read what a subscription went through and what lies ahead."""
        return await self._send(
            "GET", f"/v1/subscriptions/{seg(subscription_id)}/timeline", models.Timeline, options=options
        )
