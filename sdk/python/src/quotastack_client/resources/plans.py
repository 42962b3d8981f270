"""``client.plans``. Written by tools/generate.py: edit sdk/operations.json instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, opt, seg
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource


class Plans(Resource):
    """``client.plans``."""

    def create(
        self,
        *,
        key: str,
        name: str | None = None,
        description: str | None = None,
        family: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Plan:
        """Create a plan."""
        return self._send(
            "POST",
            "/v1/plans",
            models.Plan,
            body={
                "key": key,
                "name": opt(name),
                "description": opt(description),
                "family": opt(family),
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
        **options: Unpack[CallOptions],
    ) -> Pages[models.Plan]:
        """List plans."""
        return self._pages(
            "/v1/plans", models.Plan, query={"limit": opt(limit), "order": opt(order)}, options=options
        )

    def get(self, plan_id: str, **options: Unpack[CallOptions]) -> models.Plan:
        """Read a plan."""
        return self._send("GET", f"/v1/plans/{seg(plan_id)}", models.Plan, options=options)

    def update(
        self,
        plan_id: str,
        *,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        family: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        archived_at: datetime | str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Plan:
        """Change or archive a plan.

        An archived plan takes no new subscriptions; those that run, run on.
        """
        return self._send(
            "PATCH",
            f"/v1/plans/{seg(plan_id)}",
            models.Plan,
            body={
                "name": opt(name),
                "description": description,
                "family": opt(family),
                "metadata": opt(metadata),
                "archived_at": archived_at,
            },
            is_keyed=True,
            options=options,
        )

    def create_variant(
        self,
        plan_id: str,
        *,
        key: str,
        billing_mode: Literal["postpaid", "prepaid"] | None = None,
        interval: Literal["day", "month", "week", "year"] | None = None,
        interval_count: int | None = None,
        trial_days: int | None = None,
        renewal_due_days: int | None = None,
        grace_period_days: int | None = None,
        allow_usage_while_overdue: bool | None = None,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        contract: models.ContractBody | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | None = None,
        name: str | None = None,
        rank: int | None = None,
        price: int | None = None,
        currency: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Variant:
        """Create a variant of a plan."""
        return self._send(
            "POST",
            f"/v1/plans/{seg(plan_id)}/variants",
            models.Variant,
            body={
                "billing_mode": opt(billing_mode),
                "interval": opt(interval),
                "interval_count": opt(interval_count),
                "trial_days": opt(trial_days),
                "renewal_due_days": opt(renewal_due_days),
                "grace_period_days": opt(grace_period_days),
                "allow_usage_while_overdue": opt(allow_usage_while_overdue),
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "contract": contract,
                "metadata": opt(metadata),
                "key": key,
                "name": opt(name),
                "rank": opt(rank),
                "price": opt(price),
                "currency": opt(currency),
            },
            is_keyed=True,
            options=options,
        )

    def list_variants(
        self,
        plan_id: str,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Variant]:
        """List the variants of a plan."""
        return self._pages(
            f"/v1/plans/{seg(plan_id)}/variants",
            models.Variant,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    def get_variant(
        self, plan_id: str, variant_id: str, *, version: int | None = None, **options: Unpack[CallOptions]
    ) -> models.Variant:
        """Read a variant, also in an earlier version."""
        return self._send(
            "GET",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}",
            models.Variant,
            query={"version": opt(version)},
            options=options,
        )

    def update_variant(
        self,
        plan_id: str,
        variant_id: str,
        *,
        billing_mode: Literal["postpaid", "prepaid"] | None = None,
        interval: Literal["day", "month", "week", "year"] | None = None,
        interval_count: int | None = None,
        trial_days: int | None = None,
        renewal_due_days: int | None = None,
        grace_period_days: int | None = None,
        allow_usage_while_overdue: bool | None = None,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        contract: models.ContractBody | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | None = None,
        name: str | None = None,
        rank: int | UnsetType | None = UNSET,
        price: int | UnsetType | None = UNSET,
        currency: str | UnsetType | None = UNSET,
        archived_at: datetime | str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Variant:
        """Change or archive a variant.

        With subscribers a new version is published: running periods keep their terms.
        """
        return self._send(
            "PATCH",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}",
            models.Variant,
            body={
                "billing_mode": opt(billing_mode),
                "interval": opt(interval),
                "interval_count": opt(interval_count),
                "trial_days": opt(trial_days),
                "renewal_due_days": opt(renewal_due_days),
                "grace_period_days": opt(grace_period_days),
                "allow_usage_while_overdue": opt(allow_usage_while_overdue),
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "contract": contract,
                "metadata": opt(metadata),
                "name": opt(name),
                "rank": rank,
                "price": price,
                "currency": currency,
                "archived_at": archived_at,
            },
            is_keyed=True,
            options=options,
        )

    def create_credit_grant(
        self,
        plan_id: str,
        variant_id: str,
        *,
        credits: int,
        unit: str | None = None,
        recurrence: Literal["activation", "cycle", "interval"] | None = None,
        interval_seconds: int | None = None,
        expires_after_seconds: int | None = None,
        expires_with_cycle: bool | None = None,
        priority: int | None = None,
        source: Literal["plan_grant", "promotional", "topup", "trial"] | None = None,
        rollover_percentage: int | None = None,
        rollover_max: int | None = None,
        accumulation_cap: int | None = None,
        in_trial: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Template:
        """Add a credit grant template."""
        return self._send(
            "POST",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/credit-grants",
            models.Template,
            body={
                "credits": credits,
                "unit": opt(unit),
                "recurrence": opt(recurrence),
                "interval_seconds": opt(interval_seconds),
                "expires_after_seconds": opt(expires_after_seconds),
                "expires_with_cycle": opt(expires_with_cycle),
                "priority": opt(priority),
                "source": opt(source),
                "rollover_percentage": opt(rollover_percentage),
                "rollover_max": opt(rollover_max),
                "accumulation_cap": opt(accumulation_cap),
                "in_trial": opt(in_trial),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            options=options,
        )

    def list_credit_grants(
        self,
        plan_id: str,
        variant_id: str,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Template]:
        """List the credit grant templates of a variant."""
        return self._pages(
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/credit-grants",
            models.Template,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    def get_credit_grant(
        self, plan_id: str, variant_id: str, credit_grant_id: str, **options: Unpack[CallOptions]
    ) -> models.Template:
        """Read a credit grant template."""
        return self._send(
            "GET",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/credit-grants/{seg(credit_grant_id)}",
            models.Template,
            options=options,
        )

    def delete_credit_grant(
        self, plan_id: str, variant_id: str, credit_grant_id: str, **options: Unpack[WriteOptions]
    ) -> None:
        """Delete a credit grant template.

        What it has granted stays.
        """
        self._nothing(
            "DELETE",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/credit-grants/{seg(credit_grant_id)}",
            is_keyed=True,
            options=options,
        )

    def create_entitlement(
        self,
        plan_id: str,
        variant_id: str,
        *,
        value: Mapping[str, Any],
        billable_metric_key: str | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Entitlement:
        """Give a metric a value in a variant."""
        return self._send(
            "POST",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements",
            models.Entitlement,
            body={
                "billable_metric_key": opt(billable_metric_key),
                "value": value,
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    def list_entitlements(
        self,
        plan_id: str,
        variant_id: str,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> Pages[models.Entitlement]:
        """List the entitlements of a variant."""
        return self._pages(
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements",
            models.Entitlement,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    def get_entitlement(
        self, plan_id: str, variant_id: str, billable_metric_key: str, **options: Unpack[CallOptions]
    ) -> models.Entitlement:
        """Read an entitlement of a variant."""
        return self._send(
            "GET",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements/{seg(billable_metric_key)}",
            models.Entitlement,
            options=options,
        )

    def update_entitlement(
        self,
        plan_id: str,
        variant_id: str,
        billable_metric_key: str,
        *,
        value: Mapping[str, Any],
        **options: Unpack[WriteOptions],
    ) -> models.Entitlement:
        """Change an entitlement of a variant."""
        return self._send(
            "PATCH",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements/{seg(billable_metric_key)}",
            models.Entitlement,
            body={"value": value},
            is_keyed=True,
            options=options,
        )

    def delete_entitlement(
        self, plan_id: str, variant_id: str, billable_metric_key: str, **options: Unpack[WriteOptions]
    ) -> None:
        """Take a metric out of a variant."""
        self._nothing(
            "DELETE",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements/{seg(billable_metric_key)}",
            is_keyed=True,
            options=options,
        )


class AsyncPlans(AsyncResource):
    """``client.plans``."""

    async def create(
        self,
        *,
        key: str,
        name: str | None = None,
        description: str | None = None,
        family: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Plan:
        """Create a plan."""
        return await self._send(
            "POST",
            "/v1/plans",
            models.Plan,
            body={
                "key": key,
                "name": opt(name),
                "description": opt(description),
                "family": opt(family),
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
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Plan]:
        """List plans."""
        return self._pages(
            "/v1/plans", models.Plan, query={"limit": opt(limit), "order": opt(order)}, options=options
        )

    async def get(self, plan_id: str, **options: Unpack[CallOptions]) -> models.Plan:
        """Read a plan."""
        return await self._send("GET", f"/v1/plans/{seg(plan_id)}", models.Plan, options=options)

    async def update(
        self,
        plan_id: str,
        *,
        name: str | None = None,
        description: str | UnsetType | None = UNSET,
        family: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        archived_at: datetime | str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Plan:
        """Change or archive a plan.

        An archived plan takes no new subscriptions; those that run, run on.
        """
        return await self._send(
            "PATCH",
            f"/v1/plans/{seg(plan_id)}",
            models.Plan,
            body={
                "name": opt(name),
                "description": description,
                "family": opt(family),
                "metadata": opt(metadata),
                "archived_at": archived_at,
            },
            is_keyed=True,
            options=options,
        )

    async def create_variant(
        self,
        plan_id: str,
        *,
        key: str,
        billing_mode: Literal["postpaid", "prepaid"] | None = None,
        interval: Literal["day", "month", "week", "year"] | None = None,
        interval_count: int | None = None,
        trial_days: int | None = None,
        renewal_due_days: int | None = None,
        grace_period_days: int | None = None,
        allow_usage_while_overdue: bool | None = None,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        contract: models.ContractBody | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | None = None,
        name: str | None = None,
        rank: int | None = None,
        price: int | None = None,
        currency: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Variant:
        """Create a variant of a plan."""
        return await self._send(
            "POST",
            f"/v1/plans/{seg(plan_id)}/variants",
            models.Variant,
            body={
                "billing_mode": opt(billing_mode),
                "interval": opt(interval),
                "interval_count": opt(interval_count),
                "trial_days": opt(trial_days),
                "renewal_due_days": opt(renewal_due_days),
                "grace_period_days": opt(grace_period_days),
                "allow_usage_while_overdue": opt(allow_usage_while_overdue),
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "contract": contract,
                "metadata": opt(metadata),
                "key": key,
                "name": opt(name),
                "rank": opt(rank),
                "price": opt(price),
                "currency": opt(currency),
            },
            is_keyed=True,
            options=options,
        )

    def list_variants(
        self,
        plan_id: str,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Variant]:
        """List the variants of a plan."""
        return self._pages(
            f"/v1/plans/{seg(plan_id)}/variants",
            models.Variant,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    async def get_variant(
        self, plan_id: str, variant_id: str, *, version: int | None = None, **options: Unpack[CallOptions]
    ) -> models.Variant:
        """Read a variant, also in an earlier version."""
        return await self._send(
            "GET",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}",
            models.Variant,
            query={"version": opt(version)},
            options=options,
        )

    async def update_variant(
        self,
        plan_id: str,
        variant_id: str,
        *,
        billing_mode: Literal["postpaid", "prepaid"] | None = None,
        interval: Literal["day", "month", "week", "year"] | None = None,
        interval_count: int | None = None,
        trial_days: int | None = None,
        renewal_due_days: int | None = None,
        grace_period_days: int | None = None,
        allow_usage_while_overdue: bool | None = None,
        overage_policy: Literal["allow", "block", "notify"] | UnsetType | None = UNSET,
        overage_limit: int | UnsetType | None = UNSET,
        contract: models.ContractBody | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | None = None,
        name: str | None = None,
        rank: int | UnsetType | None = UNSET,
        price: int | UnsetType | None = UNSET,
        currency: str | UnsetType | None = UNSET,
        archived_at: datetime | str | UnsetType | None = UNSET,
        **options: Unpack[WriteOptions],
    ) -> models.Variant:
        """Change or archive a variant.

        With subscribers a new version is published: running periods keep their terms.
        """
        return await self._send(
            "PATCH",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}",
            models.Variant,
            body={
                "billing_mode": opt(billing_mode),
                "interval": opt(interval),
                "interval_count": opt(interval_count),
                "trial_days": opt(trial_days),
                "renewal_due_days": opt(renewal_due_days),
                "grace_period_days": opt(grace_period_days),
                "allow_usage_while_overdue": opt(allow_usage_while_overdue),
                "overage_policy": overage_policy,
                "overage_limit": overage_limit,
                "contract": contract,
                "metadata": opt(metadata),
                "name": opt(name),
                "rank": rank,
                "price": price,
                "currency": currency,
                "archived_at": archived_at,
            },
            is_keyed=True,
            options=options,
        )

    async def create_credit_grant(
        self,
        plan_id: str,
        variant_id: str,
        *,
        credits: int,
        unit: str | None = None,
        recurrence: Literal["activation", "cycle", "interval"] | None = None,
        interval_seconds: int | None = None,
        expires_after_seconds: int | None = None,
        expires_with_cycle: bool | None = None,
        priority: int | None = None,
        source: Literal["plan_grant", "promotional", "topup", "trial"] | None = None,
        rollover_percentage: int | None = None,
        rollover_max: int | None = None,
        accumulation_cap: int | None = None,
        in_trial: bool | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Template:
        """Add a credit grant template."""
        return await self._send(
            "POST",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/credit-grants",
            models.Template,
            body={
                "credits": credits,
                "unit": opt(unit),
                "recurrence": opt(recurrence),
                "interval_seconds": opt(interval_seconds),
                "expires_after_seconds": opt(expires_after_seconds),
                "expires_with_cycle": opt(expires_with_cycle),
                "priority": opt(priority),
                "source": opt(source),
                "rollover_percentage": opt(rollover_percentage),
                "rollover_max": opt(rollover_max),
                "accumulation_cap": opt(accumulation_cap),
                "in_trial": opt(in_trial),
                "metadata": opt(metadata),
            },
            is_keyed=True,
            options=options,
        )

    def list_credit_grants(
        self,
        plan_id: str,
        variant_id: str,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Template]:
        """List the credit grant templates of a variant."""
        return self._pages(
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/credit-grants",
            models.Template,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    async def get_credit_grant(
        self, plan_id: str, variant_id: str, credit_grant_id: str, **options: Unpack[CallOptions]
    ) -> models.Template:
        """Read a credit grant template."""
        return await self._send(
            "GET",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/credit-grants/{seg(credit_grant_id)}",
            models.Template,
            options=options,
        )

    async def delete_credit_grant(
        self, plan_id: str, variant_id: str, credit_grant_id: str, **options: Unpack[WriteOptions]
    ) -> None:
        """Delete a credit grant template.

        What it has granted stays.
        """
        await self._nothing(
            "DELETE",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/credit-grants/{seg(credit_grant_id)}",
            is_keyed=True,
            options=options,
        )

    async def create_entitlement(
        self,
        plan_id: str,
        variant_id: str,
        *,
        value: Mapping[str, Any],
        billable_metric_key: str | None = None,
        feature_key: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> models.Entitlement:
        """Give a metric a value in a variant."""
        return await self._send(
            "POST",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements",
            models.Entitlement,
            body={
                "billable_metric_key": opt(billable_metric_key),
                "value": value,
                "feature_key": opt(feature_key),
            },
            is_keyed=True,
            options=options,
        )

    def list_entitlements(
        self,
        plan_id: str,
        variant_id: str,
        *,
        limit: int | None = None,
        order: Literal["asc", "desc"] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncPages[models.Entitlement]:
        """List the entitlements of a variant."""
        return self._pages(
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements",
            models.Entitlement,
            query={"limit": opt(limit), "order": opt(order)},
            options=options,
        )

    async def get_entitlement(
        self, plan_id: str, variant_id: str, billable_metric_key: str, **options: Unpack[CallOptions]
    ) -> models.Entitlement:
        """Read an entitlement of a variant."""
        return await self._send(
            "GET",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements/{seg(billable_metric_key)}",
            models.Entitlement,
            options=options,
        )

    async def update_entitlement(
        self,
        plan_id: str,
        variant_id: str,
        billable_metric_key: str,
        *,
        value: Mapping[str, Any],
        **options: Unpack[WriteOptions],
    ) -> models.Entitlement:
        """Change an entitlement of a variant."""
        return await self._send(
            "PATCH",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements/{seg(billable_metric_key)}",
            models.Entitlement,
            body={"value": value},
            is_keyed=True,
            options=options,
        )

    async def delete_entitlement(
        self, plan_id: str, variant_id: str, billable_metric_key: str, **options: Unpack[WriteOptions]
    ) -> None:
        """Take a metric out of a variant."""
        await self._nothing(
            "DELETE",
            f"/v1/plans/{seg(plan_id)}/variants/{seg(variant_id)}/entitlements/{seg(billable_metric_key)}",
            is_keyed=True,
            options=options,
        )
