"""How topup packages are answered."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.credit_views import set_or_unset

if TYPE_CHECKING:
    from quotastack.core.catalog import Package


class PackageView(msgspec.Struct, frozen=True, kw_only=True):
    """A topup package. ``expires_after_seconds`` null: its blocks never expire."""

    id: str
    name: str
    description: str | UnsetType = UNSET
    credits: int
    unit: str
    price: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    priority: int
    expires_after_seconds: int | None
    bonus_credits: int
    active: bool
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


def view_package(package: Package) -> PackageView:
    """A package as answered."""
    return PackageView(
        id=package.id,
        name=package.name,
        description=set_or_unset(package.description),
        credits=package.credits,
        unit=package.unit,
        price=set_or_unset(package.price),
        currency=set_or_unset(package.currency),
        priority=package.priority,
        expires_after_seconds=package.expires_after_seconds,
        bonus_credits=package.bonus_credits,
        active=package.active,
        metadata=package.metadata,
        created_at=package.created_at,
        updated_at=package.updated_at,
    )
