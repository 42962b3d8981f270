"""``client.packages``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt, seg
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Packages(Resource):
    """``client.packages``."""

    def create(
        self,
        *,
        name: str,
        credits: int,
        description: str | UnsetType | None = UNSET,
        unit: str | None = None,
        price: int | UnsetType | None = UNSET,
        currency: str | UnsetType | None = UNSET,
        priority: int | None = None,
        expires_after_seconds: int | UnsetType | None = UNSET,
        bonus_credits: int | None = None,
        active: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Package:
        """Create a topup package."""
        return self._send(
            "POST",
            "/v1/topup/packages",
            models.Package,
            body={
                "name": name,
                "description": description,
                "credits": credits,
                "unit": opt(unit),
                "price": price,
                "currency": currency,
                "priority": opt(priority),
                "expires_after_seconds": expires_after_seconds,
                "bonus_credits": opt(bonus_credits),
                "active": opt(active),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        active: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Package]:
        """List topup packages."""
        return self._pages(
            "/v1/topup/packages",
            models.Package,
            query={"limit": opt(limit), "order": opt(order), "active": opt(active)},
            options=options,
        )

    def get(self, package_id: str, **options: Unpack[CallOptions]) -> models.Package:
        """Read a topup package."""
        return self._send("GET", f"/v1/topup/packages/{seg(package_id)}", models.Package, options=options)

    def update(
        self,
        package_id: str,
        *,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        credits: int | None = None,
        unit: str | None = None,
        price: int | UnsetType | None = UNSET,
        currency: str | UnsetType | None = UNSET,
        priority: int | None = None,
        expires_after_seconds: int | UnsetType | None = UNSET,
        bonus_credits: int | None = None,
        active: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Package:
        """Change a topup package.

        Blocks that were bought keep the terms they were bought at.
        """
        return self._send(
            "PATCH",
            f"/v1/topup/packages/{seg(package_id)}",
            models.Package,
            body={
                "name": opt(name),
                "description": description,
                "credits": opt(credits),
                "unit": opt(unit),
                "price": price,
                "currency": currency,
                "priority": opt(priority),
                "expires_after_seconds": expires_after_seconds,
                "bonus_credits": opt(bonus_credits),
                "active": opt(active),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            options=options,
        )


class AsyncPackages(AsyncResource):
    """``client.packages``."""

    async def create(
        self,
        *,
        name: str,
        credits: int,
        description: str | UnsetType | None = UNSET,
        unit: str | None = None,
        price: int | UnsetType | None = UNSET,
        currency: str | UnsetType | None = UNSET,
        priority: int | None = None,
        expires_after_seconds: int | UnsetType | None = UNSET,
        bonus_credits: int | None = None,
        active: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Package:
        """Create a topup package."""
        return await self._send(
            "POST",
            "/v1/topup/packages",
            models.Package,
            body={
                "name": name,
                "description": description,
                "credits": credits,
                "unit": opt(unit),
                "price": price,
                "currency": currency,
                "priority": opt(priority),
                "expires_after_seconds": expires_after_seconds,
                "bonus_credits": opt(bonus_credits),
                "active": opt(active),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            options=options,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        active: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Package]:
        """List topup packages."""
        return self._pages(
            "/v1/topup/packages",
            models.Package,
            query={"limit": opt(limit), "order": opt(order), "active": opt(active)},
            options=options,
        )

    async def get(self, package_id: str, **options: Unpack[CallOptions]) -> models.Package:
        """Read a topup package."""
        return await self._send(
            "GET", f"/v1/topup/packages/{seg(package_id)}", models.Package, options=options
        )

    async def update(
        self,
        package_id: str,
        *,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        credits: int | None = None,
        unit: str | None = None,
        price: int | UnsetType | None = UNSET,
        currency: str | UnsetType | None = UNSET,
        priority: int | None = None,
        expires_after_seconds: int | UnsetType | None = UNSET,
        bonus_credits: int | None = None,
        active: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Package:
        """Change a topup package.

        Blocks that were bought keep the terms they were bought at.
        """
        return await self._send(
            "PATCH",
            f"/v1/topup/packages/{seg(package_id)}",
            models.Package,
            body={
                "name": opt(name),
                "description": description,
                "credits": opt(credits),
                "unit": opt(unit),
                "price": price,
                "currency": currency,
                "priority": opt(priority),
                "expires_after_seconds": expires_after_seconds,
                "bonus_credits": opt(bonus_credits),
                "active": opt(active),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            options=options,
        )
