"""Overrides: a customer's own value of a metric, which wins over every plan until it expires.

A quota whose periods differ from those counted in so far is recounted from the usage events in the
same transaction, so that the next check finds it counted.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.commands import Command
from quotastack.core.counters import find_current
from quotastack.core.customer_state import Override
from quotastack.core.entitlement_check import find_metric
from quotastack.core.errors import NotFoundError, ValidationFailedError
from quotastack.core.quota_terms import quota_in
from quotastack.core.quotas import settle_grid
from quotastack.core.value_faults import value_faults
from quotastack.core.values import find_quota, quota_without_override

if TYPE_CHECKING:
    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft
    from quotastack.core.quota_terms import Quota


class OverrideView(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's override of one metric. ``expires_at`` is left out of one that stays."""

    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str
    value: dict[str, Any]
    expires_at: datetime | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    created_at: datetime
    updated_at: datetime
    version: int


class PutOverride(Command, frozen=True, kw_only=True):
    """Set or replace the override of one metric."""

    is_money: ClassVar[bool] = False

    billable_metric_key: str
    value: Any
    expires_at: datetime | None = None
    reason: str | None = None

    def decide(self, draft: Draft, context: Context) -> OverrideView:
        """Replace what was there; its creation is kept.

        Raises:
            NotFoundError: no such metric.
            ValidationFailedError: the value does not fit the metric's type, or expires in the past.
            HistoryNeededError: the new quota must be recounted first.
        """
        metric = find_metric(context.catalog, self.billable_metric_key)
        faults = value_faults(metric, self.value)
        if faults:
            raise ValidationFailedError(
                f"The value does not fit a {metric.type} metric: {faults[0].detail}", errors=faults[:100]
            )
        if self.expires_at is not None and self.expires_at <= context.now:
            raise ValidationFailedError.at("/expires_at", "Must lie ahead.")
        _recount(draft, context, metric, quota_in(self.value, metric))
        known = draft.overrides.get(metric.key)
        override = Override(
            billable_metric_key=metric.key,
            value=self.value,
            expires_at=self.expires_at,
            reason=self.reason,
            created_at=context.now if known is None else known.created_at,
            updated_at=context.now,
        )
        draft.put_override(override)
        return OverrideView(
            customer_id=draft.customer.id,
            external_customer_id=draft.customer.external_id,
            billable_metric_key=metric.key,
            value=override.value,
            expires_at=UNSET if override.expires_at is None else override.expires_at,
            reason=UNSET if override.reason is None else override.reason,
            created_at=override.created_at,
            updated_at=override.updated_at,
            version=draft.next_version,
        )


class DeleteOverride(Command, frozen=True, kw_only=True):
    """Take the override of one metric away: the plan's or the default value counts again."""

    status: ClassVar[int] = 204
    is_money: ClassVar[bool] = False

    billable_metric_key: str

    def decide(self, draft: Draft, context: Context) -> dict[str, Any]:
        """Delete it.

        Raises:
            NotFoundError: no such metric, or the customer has no override of it.
            HistoryNeededError: the quota that counts again must be recounted first.
        """
        metric = find_metric(context.catalog, self.billable_metric_key)
        if metric.key not in draft.overrides:
            raise NotFoundError(f"The customer has no override of {metric.key}.")
        _recount(draft, context, metric, quota_without_override(draft, context.catalog, metric))
        draft.delete_override(metric.key)
        return {}


def _recount(draft: Draft, context: Context, metric: Metric, quota: Quota | None) -> None:
    """Count the metric in the periods of the quota that is about to count."""
    if metric.aggregation is None:
        return
    settle_grid(draft, find_current(draft, context, metric, quota), quota)


class RecountAsset(Command, frozen=True, kw_only=True):
    """Write the counter of a metric in the periods of the quota that counts now.

    Submitted by a read that met a quota with other periods than those counted in: the next read then
    finds it counted.
    """

    is_money: ClassVar[bool] = False

    billable_metric_key: str

    def decide(self, draft: Draft, context: Context) -> dict[str, Any]:
        """Recount, or do nothing when it was counted meanwhile.

        Raises:
            NotFoundError: no such metric.
            HistoryNeededError: the usage events must be summed first.
        """
        metric = find_metric(context.catalog, self.billable_metric_key)
        _recount(draft, context, metric, find_quota(draft, context.catalog, metric))
        return {}
