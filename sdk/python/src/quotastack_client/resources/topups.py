"""``client.topups``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, customer_path, opt, seg
from quotastack_client.transport import AsyncResource, Resource


class Topups(Resource):
    """``client.topups``."""

    def grant(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int | None = None,
        package_id: str | None = None,
        price_paid: int | None = None,
        currency: str | None = None,
        external_payment_id: str | None = None,
        priority: int | None = None,
        expires_at: datetime | str | None = None,
        expires_after_seconds: int | None = None,
        unit: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        end_user_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.GrantAnswer:
        """Grant what was paid for.

        Creates an unknown external customer. A payment counts once for ever: another grant for the same
        `external_payment_id` answers 409 with the first block's id.
        """
        return self._send(
            "POST",
            "/v1/topup/grant",
            models.GrantAnswer,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "credits": opt(credits),
                "package_id": opt(package_id),
                "price_paid": opt(price_paid),
                "currency": opt(currency),
                "external_payment_id": opt(external_payment_id),
                "priority": opt(priority),
                "expires_at": opt(expires_at),
                "expires_after_seconds": opt(expires_after_seconds),
                "unit": opt(unit),
                "reason": opt(reason),
                "metadata": opt(metadata),
                "end_user_id": opt(end_user_id),
            },
            is_keyed=True,
            options=options,
        )

    def refund(
        self,
        block_id: str,
        *,
        credits: int | None = None,
        fraction: Mapping[str, Any] | None = None,
        reason: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.RefundAnswer:
        """Refund a topup.

        Takes back what is left of the block; credits that are spent or held are not touched.
        """
        return self._send(
            "POST",
            f"/v1/topup/{seg(block_id)}/refund",
            models.RefundAnswer,
            body={"credits": opt(credits), "fraction": opt(fraction), "reason": opt(reason)},
            is_keyed=True,
            options=options,
        )

    def set_auto_topup(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        threshold: int,
        package_id: str | None = None,
        credits: int | None = None,
        max_per_period: int | UnsetType | None = UNSET,
        period: Literal["day", "month", "week", "year"] | None = None,
        cooldown_seconds: int | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.AutoTopup:
        """Set the auto-topup.

        Asks your app by the event `topup.requested`; it never charges anybody.
        """
        return self._send(
            "PUT",
            customer_path(customer_id, external_customer_id, "/auto-topup"),
            models.AutoTopup,
            body={
                "threshold": threshold,
                "package_id": opt(package_id),
                "credits": opt(credits),
                "max_per_period": max_per_period,
                "period": opt(period),
                "cooldown_seconds": opt(cooldown_seconds),
                "unit": opt(unit),
            },
            is_keyed=True,
            options=options,
        )

    def get_auto_topup(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.AutoTopup:
        """Read the auto-topup."""
        return self._send(
            "GET",
            customer_path(customer_id, external_customer_id, "/auto-topup"),
            models.AutoTopup,
            query={"unit": opt(unit)},
            options=options,
        )

    def delete_auto_topup(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> None:
        """Delete the auto-topup."""
        self._nothing(
            "DELETE",
            customer_path(customer_id, external_customer_id, "/auto-topup"),
            query={"unit": opt(unit)},
            is_keyed=True,
            options=options,
        )


class AsyncTopups(AsyncResource):
    """``client.topups``."""

    async def grant(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int | None = None,
        package_id: str | None = None,
        price_paid: int | None = None,
        currency: str | None = None,
        external_payment_id: str | None = None,
        priority: int | None = None,
        expires_at: datetime | str | None = None,
        expires_after_seconds: int | None = None,
        unit: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        end_user_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.GrantAnswer:
        """Grant what was paid for.

        Creates an unknown external customer. A payment counts once for ever: another grant for the same
        `external_payment_id` answers 409 with the first block's id.
        """
        return await self._send(
            "POST",
            "/v1/topup/grant",
            models.GrantAnswer,
            body={
                "customer_id": opt(customer_id),
                "external_customer_id": opt(external_customer_id),
                "credits": opt(credits),
                "package_id": opt(package_id),
                "price_paid": opt(price_paid),
                "currency": opt(currency),
                "external_payment_id": opt(external_payment_id),
                "priority": opt(priority),
                "expires_at": opt(expires_at),
                "expires_after_seconds": opt(expires_after_seconds),
                "unit": opt(unit),
                "reason": opt(reason),
                "metadata": opt(metadata),
                "end_user_id": opt(end_user_id),
            },
            is_keyed=True,
            options=options,
        )

    async def refund(
        self,
        block_id: str,
        *,
        credits: int | None = None,
        fraction: Mapping[str, Any] | None = None,
        reason: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.RefundAnswer:
        """Refund a topup.

        Takes back what is left of the block; credits that are spent or held are not touched.
        """
        return await self._send(
            "POST",
            f"/v1/topup/{seg(block_id)}/refund",
            models.RefundAnswer,
            body={"credits": opt(credits), "fraction": opt(fraction), "reason": opt(reason)},
            is_keyed=True,
            options=options,
        )

    async def set_auto_topup(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        threshold: int,
        package_id: str | None = None,
        credits: int | None = None,
        max_per_period: int | UnsetType | None = UNSET,
        period: Literal["day", "month", "week", "year"] | None = None,
        cooldown_seconds: int | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.AutoTopup:
        """Set the auto-topup.

        Asks your app by the event `topup.requested`; it never charges anybody.
        """
        return await self._send(
            "PUT",
            customer_path(customer_id, external_customer_id, "/auto-topup"),
            models.AutoTopup,
            body={
                "threshold": threshold,
                "package_id": opt(package_id),
                "credits": opt(credits),
                "max_per_period": max_per_period,
                "period": opt(period),
                "cooldown_seconds": opt(cooldown_seconds),
                "unit": opt(unit),
            },
            is_keyed=True,
            options=options,
        )

    async def get_auto_topup(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.AutoTopup:
        """Read the auto-topup."""
        return await self._send(
            "GET",
            customer_path(customer_id, external_customer_id, "/auto-topup"),
            models.AutoTopup,
            query={"unit": opt(unit)},
            options=options,
        )

    async def delete_auto_topup(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> None:
        """Delete the auto-topup."""
        await self._nothing(
            "DELETE",
            customer_path(customer_id, external_customer_id, "/auto-topup"),
            query={"unit": opt(unit)},
            is_keyed=True,
            options=options,
        )
