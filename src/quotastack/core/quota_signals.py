"""Quota signals: what a quota tells: refusals, levels reached, suspensions, where an asset stands."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.customer_state import Asset
from quotastack.core.draft import replace
from quotastack.core.errors import (
    AssetSuspendedError,
    ProblemError,
    QuotaExceededError,
    QuotaRateLimitedError,
)
from quotastack.core.tiers import Refusal, Signal, limit_now

if TYPE_CHECKING:
    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Counter
    from quotastack.core.draft import Draft
    from quotastack.core.quota_terms import Quota, QuotaTier

SEVERITIES: Final = {"Normal": "info", "Warning": "warning", "Critical": "critical", "OverUsage": "critical"}


class QuotaStanding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an asset stands in its quota: the tier that decides, and how much is left.

    ``limit`` and ``remaining`` are absent when no tier refuses by the value alone.
    """

    level: str
    policy: str
    value: int | str
    limit: int | str | UnsetType = UNSET
    remaining: int | str | UnsetType = UNSET
    resets_at: datetime


def refusal_error(metric: Metric, refusal: Refusal, counter: Counter) -> ProblemError:
    """The problem that a caller gets for a tier's refusal."""
    tier, scale = refusal.tier, metric.scale
    extra = {
        "metric": metric.key,
        "level": tier.level,
        "policy": tier.policy,
        "limit": units_on_the_wire(refusal.limit, scale),
        "value": units_on_the_wire(counter.value, scale),
        "resets_at": counter.period_end,
    }
    if refusal.kind == "rate":
        seconds = refusal.retry_after_seconds
        return QuotaRateLimitedError(
            f"The rate of {metric.key} is used up; there is room again in {seconds} s.",
            extra=extra,
            retry_after_seconds=seconds,
        )
    if refusal.kind == "suspended":
        return AssetSuspendedError(
            f"The quota of {metric.key} is used up; its use is suspended.", extra=extra
        )
    return QuotaExceededError(f"The quota of {metric.key} does not allow these units.", extra=extra)


# Suspension


def suspend_asset(
    draft: Draft,
    context: Context,
    metric: Metric,
    *,
    tier: QuotaTier | None = None,
    counter: Counter | None = None,
    reason: str = "quota",
) -> None:
    """Refuse every later request of the asset until it is resumed; tell it once (``asset.suspended``)."""
    asset = draft.assets.get(metric.key) or Asset(billable_metric_key=metric.key)
    resume = "manual" if tier is None else tier.resume
    is_news = not asset.is_suspended
    if not is_news and asset.resume == resume:
        return
    since = context.now if is_news else asset.suspended_at
    draft.put_asset(replace(asset, is_suspended=True, resume=resume, suspended_at=since))
    if not is_news:
        return
    data: dict[str, Any] = {"billable_metric_key": metric.key, "reason": reason, "resume": resume}
    if counter is not None:
        data["value"] = units_on_the_wire(counter.value, metric.scale)
        if resume == "next_period":
            data["resumes_at"] = counter.period_end
    draft.add_event(context, "asset.suspended", data)


def resume_asset(draft: Draft, context: Context, metric_key: str, *, reason: str) -> None:
    """End a suspension and tell it (``asset.resumed``); nothing when there is none."""
    asset = draft.assets.get(metric_key)
    if asset is None or not asset.is_suspended:
        return
    draft.put_asset(replace(asset, is_suspended=False, resume="manual", suspended_at=None))
    draft.add_event(context, "asset.resumed", {"billable_metric_key": metric_key, "reason": reason})


# What is told


def send_signals(
    draft: Draft,
    context: Context,
    metric: Metric,
    *,
    quota: Quota,
    counter: Counter,
    signals: tuple[Signal, ...],
) -> None:
    """Queue ``quota.level_changed`` for each signal, in the order of the tiers."""
    for signal in signals:
        limit = limit_now(quota, counter, context.now)
        data: dict[str, Any] = {
            "billable_metric_key": metric.key,
            "level": signal.tier.level,
            "policy": signal.tier.policy,
            "severity": SEVERITIES[signal.tier.level],
            "value": units_on_the_wire(counter.value, metric.scale),
            "limit": None if limit is None else units_on_the_wire(limit, metric.scale),
            "period_start": counter.period_start,
            "period_end": counter.period_end,
        }
        if signal.is_grace_ended:
            data["grace_ended"] = True
        draft.add_event(context, "quota.level_changed", data)


def standing(
    quota: Quota,
    counter: Counter,
    metric: Metric,
    *,
    held_units: int,
    tier: QuotaTier,
    now: datetime,
    value: int | None = None,
) -> QuotaStanding:
    """The quota as answers show it. ``value`` replaces the counter's (a gauge's ``current``)."""
    shown = counter.value if value is None else value
    limit = limit_now(quota, counter, now)
    return QuotaStanding(
        level=tier.level,
        policy=tier.policy,
        value=units_on_the_wire(shown, metric.scale),
        limit=UNSET if limit is None else units_on_the_wire(limit, metric.scale),
        remaining=(
            UNSET if limit is None else units_on_the_wire(max(0, limit - shown - held_units), metric.scale)
        ),
        resets_at=counter.period_end,
    )
