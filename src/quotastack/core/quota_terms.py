"""Quota terms: a quota as written in an entitlement's value, and as decisions read it.

The wire form is what callers attach and get back; ``Quota`` is the same with every bound at the
metric's scale, percentages resolved and each tier knowing where it begins. A value is checked once,
when it is attached (``core/value_faults.py``): reading one here trusts it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final, Literal

import msgspec

from quotastack.core.amounts import read_units
from quotastack.core.catalog import MeteringRule, Metric, PriceTier

Level = Literal["Normal", "Warning", "Critical", "OverUsage"]
Policy = Literal["NotifyOnly", "AllowWithOverage", "AllowWithGrace", "RateLimit", "Deny", "SuspendUsage"]
QuotaPeriod = Literal["day", "week", "month", "year"]
Alignment = Literal["calendar", "anniversary"]

REFUSING: Final = frozenset({"Deny", "SuspendUsage"})
PRICE_FIELDS: Final = ("base_cost", "unit_cost", "per_units")
_ALWAYS: Final = datetime(2000, 1, 1, tzinfo=UTC)


class QuotaTier(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One step of a quota: the units above ``lower`` up to and including ``up_to`` (None: no end)."""

    index: int
    lower: int
    up_to: int | None
    level: Level
    policy: Policy
    grace_units: int | None = None
    grace_seconds: int | None = None
    rate_units: int = 0
    rate_seconds: int = 0
    burst: int = 0
    resume: Literal["manual", "next_period"] = "manual"

    @property
    def refuses_above(self) -> int | None:
        """The value above which this tier alone may refuse, whatever the time; None: it never does."""
        if self.policy in REFUSING:
            return self.lower
        if self.policy == "AllowWithGrace" and self.grace_units is not None:
            end = self.lower + self.grace_units
            return end if self.up_to is None or end < self.up_to else None
        return None


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's quota of one metric.

    ``limit`` is the value that no request passes (None: no tier refuses by the value alone; a grace by
    time is decided by the counter). ``rule`` is the price that priced tiers make, None without one.
    """

    period: QuotaPeriod = "month"
    alignment: Alignment = "calendar"
    tiers: tuple[QuotaTier, ...]
    limit: int | None
    rule: MeteringRule | None = None
    has_rate_limit: bool = False
    has_grace: bool = False
    wire_tiers: tuple[dict[str, Any], ...]

    def tier_at(self, value: int) -> QuotaTier:
        """The tier that ``value`` has reached: the first one with ``value <= up_to``."""
        for tier in self.tiers:
            if tier.up_to is None or value <= tier.up_to:
                return tier
        raise AssertionError("the last tier has no end")


# Values live as long as the states and catalogs that hold them, and are asked for at every event. The
# value itself is kept beside what was read from it, so an id can never stand for another value.
_READ: dict[int, tuple[dict[str, Any], Metric, Quota | None]] = {}
_READ_MAX: Final = 20_000


def quota_in(value: dict[str, Any], metric: Metric) -> Quota | None:
    """The quota that ``value`` (checked before) gives the metric; None when it sets no limit."""
    if not value or metric.type not in {"metered", "gauge"}:
        return None
    known = _READ.get(id(value))
    if known is not None and known[0] is value and known[1].scale == metric.scale:
        return known[2]
    quota = read_quota(value, metric)
    if len(_READ) >= _READ_MAX:
        _READ.clear()
    _READ[id(value)] = (value, metric, quota)
    return quota


def read_quota(value: dict[str, Any], metric: Metric) -> Quota | None:
    """Read the quota of a checked value, uncached.

    ``{"cap": n}`` means: up to n Normal and NotifyOnly, above it OverUsage and Deny.
    """
    if "cap" in value:
        cap = {
            "tiers": [
                {"up_to": value["cap"], "level": "Normal", "policy": "NotifyOnly"},
                {"up_to": None, "level": "OverUsage", "policy": "Deny"},
            ]
        }
        return _read(cap, metric)
    quota = value.get("quota")
    return None if quota is None else _read(quota, metric)


def percent_of(allowance: int, percent: Any) -> int:
    """``percent`` of ``allowance``, rounded down to whole units of the scale."""
    share = Fraction(str(percent))
    return allowance * share.numerator // (share.denominator * 100)


def read_bound(tier: dict[str, Any], quota: dict[str, Any], scale: int) -> int | None:
    """The upper bound of a checked tier at ``scale``; None for no end."""
    up_to = tier.get("up_to")
    if up_to is None:
        return None
    if isinstance(up_to, dict):
        allowance = read_units(quota["allowance"], scale)
        assert allowance is not None
        return percent_of(allowance, up_to["percent"])
    return read_units(up_to, scale)


def _read(quota: dict[str, Any], metric: Metric) -> Quota:
    scale = metric.scale
    tiers: list[QuotaTier] = []
    lower = 0
    for index, wire in enumerate(quota["tiers"]):
        up_to = read_bound(wire, quota, scale)
        tiers.append(_read_tier(wire, scale, index=index, lower=lower, up_to=up_to))
        lower = up_to if up_to is not None else lower
    limits = [tier.refuses_above for tier in tiers if tier.refuses_above is not None]
    return Quota(
        period=quota.get("period", "month"),
        alignment=quota.get("alignment", "calendar"),
        tiers=tuple(tiers),
        limit=min(limits, default=None),
        rule=_price_rule(quota, tiers, metric),
        has_rate_limit=any(tier.policy == "RateLimit" for tier in tiers),
        has_grace=any(tier.grace_seconds is not None for tier in tiers),
        wire_tiers=tuple(quota["tiers"]),
    )


def _read_tier(wire: dict[str, Any], scale: int, *, index: int, lower: int, up_to: int | None) -> QuotaTier:
    rate = wire.get("rate") or {}
    rate_units = read_units(rate.get("units", 0), scale) or 0
    grace_units = wire.get("grace_units")
    return QuotaTier(
        index=index,
        lower=lower,
        up_to=up_to,
        level=wire["level"],
        policy=wire["policy"],
        grace_units=None if grace_units is None else read_units(grace_units, scale),
        grace_seconds=wire.get("grace_seconds"),
        rate_units=rate_units,
        rate_seconds=rate.get("seconds", 0),
        burst=(read_units(rate["burst"], scale) or 0) if "burst" in rate else rate_units,
        resume=wire.get("resume", "manual"),
    )


def _price_rule(quota: dict[str, Any], tiers: list[QuotaTier], metric: Metric) -> MeteringRule | None:
    """Priced tiers as a graduated price by the position in the quota's period, rounded up once."""
    if not any(field in wire for wire in quota["tiers"] for field in PRICE_FIELDS):
        return None
    price_tiers = tuple(
        PriceTier(
            up_to=tier.up_to,
            unit_cost=wire.get("unit_cost", 0),
            per_units=wire.get("per_units", 1),
            flat_cost=wire.get("base_cost", 0),
        )
        for tier, wire in zip(tiers, quota["tiers"], strict=True)
    )
    return MeteringRule(
        id="quota",
        billable_metric_key=metric.key,
        cost_type="tiered",
        tiers=price_tiers,
        active_from=_ALWAYS,
        created_at=_ALWAYS,
    )
