"""``client.customers``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, customer_path, opt
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Customers(Resource):
    """``client.customers``."""

    def create(
        self,
        *,
        external_id: str,
        display_name: str | UnsetType | None = UNSET,
        email: str | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Customer:
        """Create a customer.

        The external id is stored verbatim. One that is taken answers 409 with the customer's id.
        """
        return self._send(
            "POST",
            "/v1/customers",
            models.Customer,
            body={
                "external_id": external_id,
                "display_name": display_name,
                "email": email,
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
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        external_id: str | None = None,
        email: str | None = None,
        q: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Customer]:
        """List customers."""
        return self._pages(
            "/v1/customers",
            models.Customer,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "external_id": opt(external_id),
                "email": opt(email),
                "q": opt(q),
            },
            options=options,
        )

    def get(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.Customer:
        """Read a customer."""
        return self._send(
            "GET", customer_path(customer_id, external_customer_id), models.Customer, options=options
        )

    def update(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        display_name: str | UnsetType | None = UNSET,
        email: str | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | None = None,
        low_balance_threshold: int | UnsetType | None = UNSET,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Customer:
        """Change a customer.

        Metadata is merged: a key set to null is deleted, keys that are left out stay.
        """
        return self._send(
            "PATCH",
            customer_path(customer_id, external_customer_id),
            models.Customer,
            body={
                "display_name": display_name,
                "email": email,
                "metadata": opt(metadata),
                "low_balance_threshold": low_balance_threshold,
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
            },
            is_keyed=True,
            options=options,
        )

    def delete(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.DeletedCustomer:
        """Delete a customer.

        Cancels subscriptions, releases holds, voids blocks, erases personal fields and texts, and frees
        the external id. The ledger stays under the id. Keys of the customer answer 409 afterwards.
        """
        return self._send(
            "DELETE",
            customer_path(customer_id, external_customer_id),
            models.DeletedCustomer,
            is_keyed=True,
            options=options,
        )


class AsyncCustomers(AsyncResource):
    """``client.customers``."""

    async def create(
        self,
        *,
        external_id: str,
        display_name: str | UnsetType | None = UNSET,
        email: str | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Customer:
        """Create a customer.

        The external id is stored verbatim. One that is taken answers 409 with the customer's id.
        """
        return await self._send(
            "POST",
            "/v1/customers",
            models.Customer,
            body={
                "external_id": external_id,
                "display_name": display_name,
                "email": email,
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
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        external_id: str | None = None,
        email: str | None = None,
        q: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Customer]:
        """List customers."""
        return self._pages(
            "/v1/customers",
            models.Customer,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "external_id": opt(external_id),
                "email": opt(email),
                "q": opt(q),
            },
            options=options,
        )

    async def get(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.Customer:
        """Read a customer."""
        return await self._send(
            "GET", customer_path(customer_id, external_customer_id), models.Customer, options=options
        )

    async def update(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        display_name: str | UnsetType | None = UNSET,
        email: str | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | None = None,
        low_balance_threshold: int | UnsetType | None = UNSET,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Customer:
        """Change a customer.

        Metadata is merged: a key set to null is deleted, keys that are left out stay.
        """
        return await self._send(
            "PATCH",
            customer_path(customer_id, external_customer_id),
            models.Customer,
            body={
                "display_name": display_name,
                "email": email,
                "metadata": opt(metadata),
                "low_balance_threshold": low_balance_threshold,
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
            },
            is_keyed=True,
            options=options,
        )

    async def delete(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.DeletedCustomer:
        """Delete a customer.

        Cancels subscriptions, releases holds, voids blocks, erases personal fields and texts, and frees
        the external id. The ledger stays under the id. Keys of the customer answer 409 afterwards.
        """
        return await self._send(
            "DELETE",
            customer_path(customer_id, external_customer_id),
            models.DeletedCustomer,
            is_keyed=True,
            options=options,
        )
