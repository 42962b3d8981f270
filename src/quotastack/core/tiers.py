"""Tiers: what the steps of a quota say to an event that raises the value.

Pure evaluation, used alike by usage, reserve and the check: it tells the first refusal, the signals,
the tokens to take and the grace that begins; ``core/quotas.py`` writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from quotastack.core.counters import to_us
from quotastack.core.quota_terms import REFUSING, Quota, QuotaTier

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.customer_state import Asset, Counter

SECOND_US: Final = 1_000_000


class Signal(msgspec.Struct, frozen=True, gc=False):
    """``quota.level_changed`` to send for ``tier``: its level was reached, or its grace ended."""

    tier: QuotaTier
    is_grace_ended: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a tier refuses. ``limit`` is what was exceeded: a value, or a bucket's burst."""

    tier: QuotaTier
    kind: Literal["exceeded", "suspended", "rate"]
    limit: int
    retry_after_seconds: int | None = None


class Meeting(msgspec.Struct, frozen=True, kw_only=True):
    """What an event meets. ``reached`` is the tier that decides: the refusing one, else the last met.

    ``buckets`` are the rate limits' new token levels, ``grace_ends_us`` a grace that begins now,
    ``suspending`` the tier that suspends the asset; ``grace_tier`` is the tier whose grace it is.
    """

    reached: QuotaTier
    refusal: Refusal | None = None
    signals: tuple[Signal, ...] = ()
    buckets: dict[str, list[int]] | None = None
    grace_ends_us: int | None = None
    grace_tier: QuotaTier | None = None
    suspending: QuotaTier | None = None


def meet_tiers(
    quota: Quota,
    counter: Counter,
    asset: Asset | None,
    *,
    before: int,
    after: int,
    now: datetime,
    is_recorded: bool = False,
) -> Meeting:
    """What the tiers say to an event that takes the value, held units included, to ``after``.

    An event meets every tier that some of its units fall into, in order; the first refusal refuses
    it, and then that tier alone signals. A recorded fact is never refused and meets them all. One
    that does not raise the value meets none.
    """
    if after <= before:
        return Meeting(reached=quota.tier_at(after))
    sent: set[str] = set(counter.details.get("sent", ()))
    signals: list[Signal] = []
    buckets: dict[str, list[int]] | None = None
    grace_ends_us: int | None = None
    grace_tier: QuotaTier | None = None
    suspending: QuotaTier | None = None
    reached = quota.tiers[0]
    for tier in quota.tiers:
        if tier.up_to is not None and tier.up_to <= before:
            continue
        if tier.lower >= after:
            break
        reached = tier
        if tier.level not in sent and _is_told(tier):
            signals.append(Signal(tier))
            sent.add(tier.level)
        refusal: Refusal | None = None
        if tier.policy == "Deny":
            refusal = Refusal(tier=tier, kind="exceeded", limit=tier.lower)
        elif tier.policy == "SuspendUsage":
            refusal = Refusal(tier=tier, kind="suspended", limit=tier.lower)
            suspending = tier
        elif tier.policy == "RateLimit":
            level, refusal = _take_tokens(tier, asset, _part(tier, before, after), now=now)
            buckets = {**(buckets or {}), **level}
        elif tier.policy == "AllowWithGrace":
            grace_tier = tier
            grace_ends_us = _begin_grace(tier, counter, now)
            refusal = _meet_grace(tier, counter, after=after, now=now)
            if refusal is not None and _is_grace_news(tier, counter, before=before, is_recorded=is_recorded):
                signals.append(Signal(tier, is_grace_ended=True))
        if refusal is not None and not is_recorded:
            return Meeting(
                reached=tier,
                refusal=refusal,
                signals=tuple(signal for signal in signals if signal.tier is tier),
                grace_tier=grace_tier,
                suspending=suspending,
            )
    return Meeting(
        reached=reached,
        signals=tuple(signals),
        buckets=buckets,
        grace_ends_us=grace_ends_us,
        grace_tier=grace_tier,
        suspending=suspending,
    )


def _is_told(tier: QuotaTier) -> bool:
    """Whether reaching the tier is news: everybody begins in a first tier that is Normal."""
    return tier.index > 0 or tier.level != "Normal" or tier.policy in REFUSING


def _part(tier: QuotaTier, before: int, after: int) -> int:
    """The units of an event that lie in the tier."""
    upper = after if tier.up_to is None else min(after, tier.up_to)
    return upper - max(before, tier.lower)


def grace_terms(tier: QuotaTier) -> list[int]:
    """What a grace depends on: with other terms it begins anew."""
    return [tier.lower, tier.grace_units or 0, tier.grace_seconds or 0]


def find_grace(tier: QuotaTier, counter: Counter) -> dict[str, Any]:
    """What the counter keeps of the tier's grace: ``ends`` (by time), ``is_over``, ``value`` at its end."""
    grace: dict[str, Any] = counter.details.get("grace", {})
    return grace if grace.get("terms") == grace_terms(tier) else {}


def _begin_grace(tier: QuotaTier, counter: Counter, now: datetime) -> int | None:
    """When a grace by time ends that the first crossing of the period begins now; None: not one of those."""
    if tier.grace_seconds is None or "ends" in find_grace(tier, counter):
        return None
    return to_us(now) + tier.grace_seconds * SECOND_US


def _meet_grace(tier: QuotaTier, counter: Counter, *, after: int, now: datetime) -> Refusal | None:
    if tier.grace_units is not None:
        if after <= tier.lower + tier.grace_units:
            return None
        return Refusal(tier=tier, kind="exceeded", limit=tier.lower + tier.grace_units)
    if not _has_grace_ended(tier, counter, now):
        return None
    return Refusal(tier=tier, kind="exceeded", limit=tier.lower)


def _has_grace_ended(tier: QuotaTier, counter: Counter, now: datetime) -> bool:
    """Whether a grace by time began and is over."""
    ends_us: int | None = find_grace(tier, counter).get("ends")
    return tier.grace_seconds is not None and ends_us is not None and to_us(now) >= ends_us


def _is_grace_news(tier: QuotaTier, counter: Counter, *, before: int, is_recorded: bool) -> bool:
    """Whether the end of a grace by units is told now: once, and only of a grace that was entered.

    A grace by time is told by time itself.
    """
    if tier.grace_units is None or find_grace(tier, counter).get("is_over"):
        return False
    return is_recorded or before > tier.lower


def bucket_terms(tier: QuotaTier) -> list[int]:
    """What a bucket depends on: with other terms a new one starts full."""
    return [tier.rate_units, tier.rate_seconds, tier.burst]


def _take_tokens(
    tier: QuotaTier, asset: Asset | None, units: int, *, now: datetime
) -> tuple[dict[str, list[int]], Refusal | None]:
    """The bucket after ``units`` tokens were taken, and the refusal when it holds less.

    Levels are kept in units times ``rate_seconds`` times microseconds, so refilling is exact. A
    recorded fact takes what is there.
    """
    name = str(tier.index)
    per_unit = tier.rate_seconds * SECOND_US
    now_us = to_us(now)
    level = tier.burst * per_unit
    bucket: dict[str, Any] = {} if asset is None else asset.details.get("buckets", {})
    known: list[int] | None = bucket.get(name)
    if known is not None and known[2:] == bucket_terms(tier):
        # Time never runs backwards for a bucket, even if the clock was set to another sample.
        level = min(level, known[0] + max(0, now_us - known[1]) * tier.rate_units)
        now_us = max(now_us, known[1])
    needed = units * per_unit
    refusal: Refusal | None = None
    if units > tier.burst:
        refusal = Refusal(tier=tier, kind="exceeded", limit=tier.burst)
    elif needed > level:
        wait_seconds = -((level - needed) // (tier.rate_units * SECOND_US))
        refusal = Refusal(tier=tier, kind="rate", limit=tier.burst, retry_after_seconds=max(1, wait_seconds))
    return {name: [max(0, level - needed), now_us, *bucket_terms(tier)]}, refusal


def limit_now(quota: Quota, counter: Counter, now: datetime) -> int | None:
    """The value that no request may pass now; None when none is set."""
    limit = quota.limit
    if quota.has_grace:
        for tier in quota.tiers:
            if _has_grace_ended(tier, counter, now):
                limit = tier.lower if limit is None else min(limit, tier.lower)
    return limit


def overage_units(quota: Quota, counter: Counter, value: int) -> int:
    """The units of ``value`` that are overage: all in AllowWithOverage tiers, and all beyond a refusal.

    Only recorded facts, commits above their hold and a lowered quota get beyond a refusal.
    """
    total = 0
    for tier in quota.tiers:
        if value <= tier.lower:
            break
        upper = value if tier.up_to is None else min(value, tier.up_to)
        lower = tier.lower
        if tier.policy == "AllowWithGrace":
            lower = tier.lower + tier.grace_units if tier.grace_units is not None else None
            if lower is None:
                lower = max(tier.lower, find_grace(tier, counter).get("value", upper))
        elif tier.policy not in {"AllowWithOverage", "Deny", "SuspendUsage"}:
            continue
        total += max(0, upper - lower)
    return total
