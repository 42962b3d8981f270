"""``client.credits``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, customer_path, opt, seg
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Credits(Resource):
    """``client.credits``."""

    def get(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        include_blocks: bool | None = None,
        at: datetime | str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.Account:
        """Read the account.

        `at` rebuilds the account of any past instant from the ledger.
        """
        return self._send(
            "GET",
            customer_path(customer_id, external_customer_id, "/credits"),
            models.Account,
            query={"unit": opt(unit), "include_blocks": opt(include_blocks), "at": opt(at)},
            options=options,
        )

    def list_blocks(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        unit: str | None = None,
        status: Literal["active", "depleted", "expired", "pending", "voided"] | None = None,
        source: Literal[
            "adjustment", "exchange", "plan_grant", "promotional", "refund", "rollover", "topup", "trial"
        ]
        | None = None,
        sort: Literal["burn_order", "created_at", "expires_at"] | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Block]:
        """List blocks."""
        return self._pages(
            customer_path(customer_id, external_customer_id, "/credits/blocks"),
            models.Block,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "unit": opt(unit),
                "status": opt(status),
                "source": opt(source),
                "sort": opt(sort),
            },
            options=options,
        )

    def list_ledger(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        unit: str | None = None,
        type: Literal[
            "adjustment",
            "commit",
            "exchange",
            "expire",
            "grant",
            "grant_scheduled",
            "overage",
            "overage_billed",
            "overage_settlement",
            "refund",
            "release",
            "reschedule",
            "reservation_expired",
            "reserve",
            "rollover_in",
            "rollover_out",
            "topup_refund",
            "usage",
            "void",
            "withdrawal",
        ]
        | None = None,
        reference_id: str | None = None,
        block_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Entry]:
        """List ledger entries."""
        return self._pages(
            customer_path(customer_id, external_customer_id, "/credits/ledger"),
            models.Entry,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "unit": opt(unit),
                "type": opt(type),
                "reference_id": opt(reference_id),
                "block_id": opt(block_id),
            },
            options=options,
        )

    def grant(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int,
        unit: str | None = None,
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
        """Grant credits.

        Creates one block. With `effective_at` ahead it is pending until then.
        """
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/grant"),
            models.GrantAnswer,
            body={
                "credits": credits,
                "unit": opt(unit),
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

    def adjust(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        delta: int,
        reason: str,
        allow_negative: bool | None = None,
        unit: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.GrantAnswer | models.DebitAnswer:
        """Adjust the balance.

        Above 0: 201 and a block. Below 0: 200 and a debit; `allow_negative` lets it overdraw.
        """
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/adjust"),
            models.GrantAnswer,
            body={
                "delta": delta,
                "reason": reason,
                "allow_negative": opt(allow_negative),
                "unit": opt(unit),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            by_status={200: models.DebitAnswer},
            options=options,
        )

    def withdraw(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int,
        unit: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.DebitAnswer:
        """Withdraw credits."""
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/withdraw"),
            models.DebitAnswer,
            body={"credits": credits, "unit": opt(unit), "reason": opt(reason), "metadata": opt(metadata)},
            is_keyed=True,
            options=options,
        )

    def exchange(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        debit_credits: int,
        grant: models.ExchangeGrant,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.ExchangeAnswer:
        """Exchange credits for a block.

        One step: the debit and the grant both happen, or neither.
        """
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/exchange"),
            models.ExchangeAnswer,
            body={"debit_credits": debit_credits, "unit": opt(unit), "grant": grant},
            is_keyed=True,
            options=options,
        )

    def void_block(
        self,
        block_id: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        reason: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.DebitAnswer:
        """Void a block.

        Takes back what is left of it, as far as holds stay covered.
        """
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/credits/blocks/{seg(block_id)}/void"),
            models.DebitAnswer,
            body={"reason": opt(reason)},
            is_keyed=True,
            options=options,
        )

    def suspend(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Account:
        """Suspend an account.

        New debits and holds are refused; grants and commits of earlier holds still land.
        """
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/suspend"),
            models.Account,
            body={"unit": opt(unit)},
            is_keyed=True,
            options=options,
        )

    def resume(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Account:
        """Resume an account."""
        return self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/resume"),
            models.Account,
            body={"unit": opt(unit)},
            is_keyed=True,
            options=options,
        )


class AsyncCredits(AsyncResource):
    """``client.credits``."""

    async def get(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        include_blocks: bool | None = None,
        at: datetime | str | None = None,
        **options: Unpack[CallOptions],
    ) -> models.Account:
        """Read the account.

        `at` rebuilds the account of any past instant from the ledger.
        """
        return await self._send(
            "GET",
            customer_path(customer_id, external_customer_id, "/credits"),
            models.Account,
            query={"unit": opt(unit), "include_blocks": opt(include_blocks), "at": opt(at)},
            options=options,
        )

    def list_blocks(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        unit: str | None = None,
        status: Literal["active", "depleted", "expired", "pending", "voided"] | None = None,
        source: Literal[
            "adjustment", "exchange", "plan_grant", "promotional", "refund", "rollover", "topup", "trial"
        ]
        | None = None,
        sort: Literal["burn_order", "created_at", "expires_at"] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Block]:
        """List blocks."""
        return self._pages(
            customer_path(customer_id, external_customer_id, "/credits/blocks"),
            models.Block,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "unit": opt(unit),
                "status": opt(status),
                "source": opt(source),
                "sort": opt(sort),
            },
            options=options,
        )

    def list_ledger(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        from_: datetime | str | None = None,
        to: datetime | str | None = None,
        unit: str | None = None,
        type: Literal[
            "adjustment",
            "commit",
            "exchange",
            "expire",
            "grant",
            "grant_scheduled",
            "overage",
            "overage_billed",
            "overage_settlement",
            "refund",
            "release",
            "reschedule",
            "reservation_expired",
            "reserve",
            "rollover_in",
            "rollover_out",
            "topup_refund",
            "usage",
            "void",
            "withdrawal",
        ]
        | None = None,
        reference_id: str | None = None,
        block_id: str | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Entry]:
        """List ledger entries."""
        return self._pages(
            customer_path(customer_id, external_customer_id, "/credits/ledger"),
            models.Entry,
            query={
                "limit": opt(limit),
                "order": opt(order),
                "from": opt(from_),
                "to": opt(to),
                "unit": opt(unit),
                "type": opt(type),
                "reference_id": opt(reference_id),
                "block_id": opt(block_id),
            },
            options=options,
        )

    async def grant(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int,
        unit: str | None = None,
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
        """Grant credits.

        Creates one block. With `effective_at` ahead it is pending until then.
        """
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/grant"),
            models.GrantAnswer,
            body={
                "credits": credits,
                "unit": opt(unit),
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

    async def adjust(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        delta: int,
        reason: str,
        allow_negative: bool | None = None,
        unit: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.GrantAnswer | models.DebitAnswer:
        """Adjust the balance.

        Above 0: 201 and a block. Below 0: 200 and a debit; `allow_negative` lets it overdraw.
        """
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/adjust"),
            models.GrantAnswer,
            body={
                "delta": delta,
                "reason": reason,
                "allow_negative": opt(allow_negative),
                "unit": opt(unit),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            by_status={200: models.DebitAnswer},
            options=options,
        )

    async def withdraw(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        credits: int,
        unit: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.DebitAnswer:
        """Withdraw credits."""
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/withdraw"),
            models.DebitAnswer,
            body={"credits": credits, "unit": opt(unit), "reason": opt(reason), "metadata": opt(metadata)},
            is_keyed=True,
            options=options,
        )

    async def exchange(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        debit_credits: int,
        grant: models.ExchangeGrant,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.ExchangeAnswer:
        """Exchange credits for a block.

        One step: the debit and the grant both happen, or neither.
        """
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/exchange"),
            models.ExchangeAnswer,
            body={"debit_credits": debit_credits, "unit": opt(unit), "grant": grant},
            is_keyed=True,
            options=options,
        )

    async def void_block(
        self,
        block_id: str,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        reason: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.DebitAnswer:
        """Void a block.

        Takes back what is left of it, as far as holds stay covered.
        """
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, f"/credits/blocks/{seg(block_id)}/void"),
            models.DebitAnswer,
            body={"reason": opt(reason)},
            is_keyed=True,
            options=options,
        )

    async def suspend(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Account:
        """Suspend an account.

        New debits and holds are refused; grants and commits of earlier holds still land.
        """
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/suspend"),
            models.Account,
            body={"unit": opt(unit)},
            is_keyed=True,
            options=options,
        )

    async def resume(
        self,
        *,
        customer_id: str | None = None,
        external_customer_id: str | None = None,
        unit: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Account:
        """Resume an account."""
        return await self._send(
            "POST",
            customer_path(customer_id, external_customer_id, "/credits/resume"),
            models.Account,
            body={"unit": opt(unit)},
            is_keyed=True,
            options=options,
        )
