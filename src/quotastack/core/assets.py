"""Assets: what a caller does to one monitored asset: suspend, resume, fill and empty its account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from quotastack.core.asset_views import AssetView, view_asset
from quotastack.core.commands import Command
from quotastack.core.counters import find_current
from quotastack.core.credits import DebitAnswer, WithdrawCredits
from quotastack.core.entitlement_check import find_metric
from quotastack.core.errors import NotFoundError
from quotastack.core.grants import GrantAnswer, GrantCredits, GrantTerms
from quotastack.core.quota_signals import resume_asset, suspend_asset
from quotastack.core.values import find_quota

if TYPE_CHECKING:
    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft


def _require_counted(context: Context, metric_key: str) -> Metric:
    """A metric that can have an asset.

    Raises:
        NotFoundError: no such metric, or one that is never counted.
    """
    metric = find_metric(context.catalog, metric_key)
    if metric.aggregation is None:
        raise NotFoundError(f"A {metric.type} metric has no asset.")
    return metric


class SuspendAsset(Command, frozen=True, kw_only=True):
    """Refuse every later request of the asset until it is resumed by hand. Again: nothing changes."""

    is_money: ClassVar[bool] = False

    billable_metric_key: str

    def decide(self, draft: Draft, context: Context) -> AssetView:
        """Suspend it; one that was suspended until the next period now waits for a hand, too.

        Raises:
            NotFoundError: no such metric, or one that is never counted.
            HistoryNeededError: the counter must be recounted first.
        """
        metric = _require_counted(context, self.billable_metric_key)
        counter = find_current(draft, context, metric, find_quota(draft, context.catalog, metric))
        suspend_asset(draft, context, metric, counter=counter, reason="manual")
        return view_asset(draft, context, metric)


class ResumeAsset(Command, frozen=True, kw_only=True):
    """Let requests of the asset through again. One that is not suspended stays as it is."""

    is_money: ClassVar[bool] = False

    billable_metric_key: str

    def decide(self, draft: Draft, context: Context) -> AssetView:
        """Resume it, whoever suspended it.

        Raises:
            NotFoundError: no such metric, or one that is never counted.
            HistoryNeededError: the counter must be recounted first.
        """
        metric = _require_counted(context, self.billable_metric_key)
        find_current(draft, context, metric, find_quota(draft, context.catalog, metric))
        resume_asset(draft, context, metric.key, reason="manual")
        return view_asset(draft, context, metric)


class TopupAsset(Command, frozen=True, kw_only=True):
    """Grant a block to the account that the metric draws from. ``terms`` name no unit."""

    status: ClassVar[int] = 201

    billable_metric_key: str
    terms: GrantTerms

    def decide(self, draft: Draft, context: Context) -> GrantAnswer:
        """Grant it.

        Raises:
            NotFoundError: no such metric, or one that is never counted.
            ValidationFailedError, ConflictError: see ``GrantCredits``.
        """
        metric = _require_counted(context, self.billable_metric_key)
        terms = msgspec.structs.replace(self.terms, unit=metric.unit)
        return GrantCredits(terms=terms).decide(draft, context)


class WithdrawFromAsset(Command, frozen=True, kw_only=True):
    """Take credits out of the account that the metric draws from."""

    billable_metric_key: str
    amount_mc: int
    reason: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def decide(self, draft: Draft, context: Context) -> DebitAnswer:
        """Withdraw, at most the effective balance.

        Raises:
            NotFoundError: no such metric, or one that is never counted.
            AssetSuspendedError, InsufficientCreditsError: see ``WithdrawCredits``.
        """
        metric = _require_counted(context, self.billable_metric_key)
        return WithdrawCredits(
            amount_mc=self.amount_mc, unit=metric.unit, reason=self.reason, metadata=self.metadata
        ).decide(draft, context)
