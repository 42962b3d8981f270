"""How plans, variants, grant templates and entitlements of variants are answered."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.catalog import Contract, GrantTemplate, Variant
from quotastack.core.credit_views import set_or_unset


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """A plan. Of one ``family`` a customer has at most one live subscription."""

    id: str
    key: str
    name: str
    description: str | UnsetType = UNSET
    family: str
    metadata: dict[str, Any]
    archived_at: datetime | UnsetType = UNSET
    created_at: datetime
    updated_at: datetime


class TemplateView(msgspec.Struct, frozen=True, kw_only=True):
    """What a variant grants, and when. Amounts are millicredits."""

    id: str
    credits: int
    unit: str
    recurrence: str
    interval_seconds: int | UnsetType = UNSET
    expires_after_seconds: int | UnsetType = UNSET
    expires_with_cycle: bool
    priority: int
    source: str
    rollover_percentage: int
    rollover_max: int | UnsetType = UNSET
    accumulation_cap: int | UnsetType = UNSET
    in_trial: bool
    metadata: dict[str, Any]
    created_at: datetime | UnsetType = UNSET


class EntitlementView(msgspec.Struct, frozen=True, kw_only=True):
    """What a variant says of one metric."""

    billable_metric_key: str
    value: dict[str, Any]
    plan_variant_id: str
    variant_version: int


class ContractTerms(msgspec.Struct, frozen=True, kw_only=True):
    """How long a subscriber is bound."""

    term_interval: str
    term_count: int
    auto_renew: bool
    ending_soon_days: int


class VariantView(msgspec.Struct, frozen=True, kw_only=True):
    """A variant in one version, with what it grants and entitles to. ``contract`` null: none."""

    id: str
    version: int
    plan_id: str
    key: str
    name: str
    rank: int | UnsetType = UNSET
    billing_mode: str
    interval: str
    interval_count: int
    price: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    trial_days: int
    renewal_due_days: int
    grace_period_days: int
    allow_usage_while_overdue: bool
    overage_policy: str | UnsetType = UNSET
    overage_limit: int | UnsetType = UNSET
    contract: ContractTerms | None
    metadata: dict[str, Any]
    credit_grants: tuple[TemplateView, ...]
    entitlements: dict[str, dict[str, Any]]
    archived_at: datetime | UnsetType = UNSET
    created_at: datetime
    updated_at: datetime


def view_template(template: GrantTemplate) -> TemplateView:
    """The template in wire names."""
    shown: dict[str, Any] = {
        name: UNSET if (value := getattr(template, name)) is None else value
        for name in GrantTemplate.__struct_fields__
    }
    return TemplateView(**shown)


def view_entitlement(variant: Variant, metric_key: str) -> EntitlementView:
    """What the variant says of the metric, which it lists."""
    return EntitlementView(
        billable_metric_key=metric_key,
        value=variant.entitlements[metric_key],
        plan_variant_id=variant.id,
        variant_version=variant.version,
    )


def _view_contract(contract: Contract | None) -> ContractTerms | None:
    if contract is None:
        return None
    return ContractTerms(
        term_interval=contract.term_interval,
        term_count=contract.term_count,
        auto_renew=contract.auto_renew,
        ending_soon_days=contract.ending_soon_days,
    )


def view_variant(variant: Variant) -> VariantView:
    """The variant in wire names."""
    return VariantView(
        id=variant.id,
        version=variant.version,
        plan_id=variant.plan_id,
        key=variant.key,
        name=variant.name,
        rank=set_or_unset(variant.rank),
        billing_mode=variant.billing_mode,
        interval=variant.interval,
        interval_count=variant.interval_count,
        price=set_or_unset(variant.price),
        currency=set_or_unset(variant.currency),
        trial_days=variant.trial_days,
        renewal_due_days=variant.renewal_due_days,
        grace_period_days=variant.grace_period_days,
        allow_usage_while_overdue=variant.allow_usage_while_overdue,
        overage_policy=set_or_unset(variant.overage_policy),
        overage_limit=set_or_unset(variant.overage_limit),
        contract=_view_contract(variant.contract),
        metadata=variant.metadata,
        credit_grants=tuple(view_template(template) for template in variant.templates),
        entitlements=variant.entitlements,
        archived_at=set_or_unset(variant.archived_at),
        created_at=variant.created_at,
        updated_at=variant.updated_at,
    )
