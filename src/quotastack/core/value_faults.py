"""Value faults: whether an entitlement's value fits the type of its metric, and what is wrong if not.

Checked wherever a value is attached: a customer's override, a variant's entitlement, a metric's
default. All faults are reported at once, each with its pointer.
"""

from __future__ import annotations

from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, get_args

from quotastack.core.amounts import AMOUNT_MAX, read_units
from quotastack.core.errors import FieldFault
from quotastack.core.quota_terms import (
    PRICE_FIELDS,
    REFUSING,
    Alignment,
    Level,
    Policy,
    QuotaPeriod,
    percent_of,
    read_bound,
)

if TYPE_CHECKING:
    from quotastack.core.catalog import Metric

TIERS_MAX: Final = 50
SECONDS_MAX: Final = 366 * 86_400
PERCENT_MAX: Final = 1_000_000
CONFIG_DEPTH_MAX: Final = 32

_FIELDS: Final[dict[str, frozenset[str]]] = {
    "metered": frozenset({"enabled", "quota"}),
    "gauge": frozenset({"cap", "quota"}),
    "boolean": frozenset({"enabled"}),
    "static": frozenset({"config"}),
}
_QUOTA_FIELDS: Final = frozenset({"period", "alignment", "tiers", "allowance"})
_TIER_FIELDS: Final = frozenset(
    {"up_to", "level", "policy", "grace_units", "grace_seconds", "rate", "resume", *PRICE_FIELDS}
)
_NEEDED_BY: Final[dict[str, frozenset[str]]] = {
    "grace_units": frozenset({"AllowWithGrace"}),
    "grace_seconds": frozenset({"AllowWithGrace"}),
    "rate": frozenset({"RateLimit"}),
    "resume": frozenset({"SuspendUsage"}),
}


def value_faults(metric: Metric, value: Any, *, pointer: str = "/value") -> list[FieldFault]:
    """What keeps ``value`` from being a value of ``metric``; empty when it is one.

    ``pointer`` is where the value stands in the request.
    """
    reader = _Reader(metric)
    reader.check_value(value, pointer)
    return reader.faults


def _is_int(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


class _Reader:
    """Walks one value and collects its faults."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.faults: list[FieldFault] = []

    def fault(self, pointer: str, detail: str) -> None:
        self.faults.append(FieldFault(pointer, detail))

    def no_others(self, found: dict[str, Any], known: frozenset[str], pointer: str) -> None:
        for name in found:
            if name not in known:
                escaped = name.replace("~", "~0").replace("/", "~1")
                self.fault(f"{pointer}/{escaped}", "Unknown field.")

    def units(self, value: Any, pointer: str, *, low: int = 0) -> int | None:
        units = read_units(value, self.metric.scale)
        if units is None or units < low:
            decimals = f" or a decimal string of at most {self.metric.scale} decimals" * bool(
                self.metric.scale
            )
            least = "0 or more" if low == 0 else "above 0"
            self.fault(pointer, f"Must be an integer{decimals}, {least}.")
            return None
        return units

    def check_value(self, value: Any, pointer: str) -> None:
        kind = self.metric.type
        if not isinstance(value, dict):
            self.fault(pointer, "Must be an object.")
            return
        known = _FIELDS[kind]
        for name in value:
            if name not in known:
                fields = " or ".join(sorted(known))
                self.fault(f"{pointer}/{name}", f"A {kind} metric takes {fields} here, nothing else.")
        if "enabled" in known and "enabled" in value and not isinstance(value["enabled"], bool):
            self.fault(f"{pointer}/enabled", "Must be true or false.")
        if kind == "boolean" and "enabled" not in value:
            self.fault(f"{pointer}/enabled", "Is required.")
        if kind == "static":
            self.check_config(value, pointer)
        if kind == "gauge" and ("cap" in value) == ("quota" in value):
            self.fault(pointer, "A gauge takes exactly one of cap and quota.")
        if kind == "gauge" and "cap" in value:
            self.units(value["cap"], f"{pointer}/cap")
        if "quota" in known and "quota" in value:
            self.check_quota(value["quota"], f"{pointer}/quota")

    def check_config(self, value: dict[str, Any], pointer: str) -> None:
        if "config" not in value:
            self.fault(f"{pointer}/config", "Is required.")
        elif value["config"] is not None and not isinstance(value["config"], dict):
            self.fault(f"{pointer}/config", "Must be an object.")
        elif _depth(value["config"]) > CONFIG_DEPTH_MAX:
            self.fault(f"{pointer}/config", f"Is nested deeper than {CONFIG_DEPTH_MAX} levels.")

    def check_quota(self, quota: Any, pointer: str) -> None:
        if not isinstance(quota, dict):
            self.fault(pointer, "Must be an object.")
            return
        self.no_others(quota, _QUOTA_FIELDS, pointer)
        if quota.get("period") not in get_args(QuotaPeriod):
            self.fault(f"{pointer}/period", "Must be one of day, week, month, year.")
        if quota.get("alignment", "calendar") not in get_args(Alignment):
            self.fault(f"{pointer}/alignment", "Must be calendar or anniversary.")
        if "allowance" in quota:
            self.units(quota["allowance"], f"{pointer}/allowance", low=1)
        tiers = quota.get("tiers")
        if not isinstance(tiers, list) or not 1 <= len(tiers) <= TIERS_MAX:
            self.fault(f"{pointer}/tiers", f"Must be a list of 1 to {TIERS_MAX} tiers.")
            return
        self.check_tiers(quota, tiers, f"{pointer}/tiers")

    def check_tiers(self, quota: dict[str, Any], tiers: list[Any], pointer: str) -> None:
        before = -1
        previous: Any = None
        for index, tier in enumerate(tiers):
            place = f"{pointer}/{index}"
            if not isinstance(tier, dict):
                self.fault(place, "Must be an object.")
                previous = None
                continue
            self.no_others(tier, _TIER_FIELDS, place)
            bound = self.check_bound(tier, quota, place, is_last=index == len(tiers) - 1)
            if bound is not None:
                if bound <= before:
                    self.fault(f"{place}/up_to", "Must be above that of the tier before.")
                before = bound
            self.check_policy(tier, previous, place)
            self.check_price(tier, place)
            previous = tier.get("policy")

    def check_bound(
        self, tier: dict[str, Any], quota: dict[str, Any], place: str, *, is_last: bool
    ) -> int | None:
        up_to = tier.get("up_to")
        where = f"{place}/up_to"
        if (up_to is None) != is_last:
            self.fault(where, "The last tier, and only that, has up_to null.")
            return None
        if up_to is None:
            return None
        if not isinstance(up_to, dict):
            return self.units(up_to, where)
        self.no_others(up_to, frozenset({"percent"}), where)
        if not _is_percent(up_to.get("percent")):
            self.fault(f"{where}/percent", f"Must be a number from 0 to {PERCENT_MAX}.")
            return None
        allowance = read_units(quota.get("allowance"), self.metric.scale)
        if allowance is None:
            if "allowance" not in quota:
                self.fault(where, "A percentage needs the quota's allowance.")
            return None
        if percent_of(allowance, up_to["percent"]) > AMOUNT_MAX:
            self.fault(where, "Is too large.")
            return None
        return read_bound(tier, quota, self.metric.scale)

    def check_policy(self, tier: dict[str, Any], previous: Any, place: str) -> None:
        policy = tier.get("policy")
        if tier.get("level") not in get_args(Level):
            self.fault(f"{place}/level", "Must be one of Normal, Warning, Critical, OverUsage.")
        if policy not in get_args(Policy):
            self.fault(f"{place}/policy", f"Must be one of {', '.join(get_args(Policy))}.")
            return
        if previous in REFUSING:
            self.fault(f"{place}/policy", f"Nothing may follow a {previous} tier.")
        elif previous == "AllowWithGrace" and policy not in REFUSING:
            self.fault(f"{place}/policy", "Only Deny or SuspendUsage may follow an AllowWithGrace tier.")
        for field, policies in _NEEDED_BY.items():
            if field in tier and policy not in policies:
                self.fault(f"{place}/{field}", f"Is not a parameter of {policy}.")
        if policy == "AllowWithGrace":
            self.check_grace(tier, place)
        if policy == "RateLimit":
            self.check_rate(tier.get("rate"), f"{place}/rate")
        if policy == "SuspendUsage" and tier.get("resume", "manual") not in {"manual", "next_period"}:
            self.fault(f"{place}/resume", "Must be manual or next_period.")

    def check_grace(self, tier: dict[str, Any], place: str) -> None:
        if ("grace_units" in tier) == ("grace_seconds" in tier):
            self.fault(place, "AllowWithGrace takes exactly one of grace_units and grace_seconds.")
            return
        if "grace_units" in tier:
            self.units(tier["grace_units"], f"{place}/grace_units")
        elif not _is_int(tier["grace_seconds"], 1, SECONDS_MAX):
            self.fault(f"{place}/grace_seconds", f"Must be an integer from 1 to {SECONDS_MAX}.")

    def check_rate(self, rate: Any, place: str) -> None:
        if not isinstance(rate, dict):
            self.fault(place, "Must be an object with units, seconds and burst.")
            return
        self.no_others(rate, frozenset({"units", "seconds", "burst"}), place)
        self.units(rate.get("units"), f"{place}/units", low=1)
        if not _is_int(rate.get("seconds"), 1, SECONDS_MAX):
            self.fault(f"{place}/seconds", f"Must be an integer from 1 to {SECONDS_MAX}.")
        if "burst" in rate:
            self.units(rate["burst"], f"{place}/burst", low=1)

    def check_price(self, tier: dict[str, Any], place: str) -> None:
        for field in PRICE_FIELDS:
            if field not in tier:
                continue
            if self.metric.aggregation not in {"CumulativeCounter", "TotalCounter"}:
                self.fault(f"{place}/{field}", f"A {self.metric.aggregation} carries no price.")
            elif not _is_int(tier[field], 1 if field == "per_units" else 0, AMOUNT_MAX):
                least = "1 or more" if field == "per_units" else "0 or more"
                self.fault(f"{place}/{field}", f"Must be an integer, {least}.")
        if "per_units" in tier and "unit_cost" not in tier:
            self.fault(f"{place}/per_units", "Needs a unit_cost.")


def _is_percent(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        # A decimal string, where JSON's numbers would be inexact.
        units = read_units(value, 6)
        return units is not None and 0 <= units <= PERCENT_MAX * 10**6
    return isinstance(value, Real) and 0 <= Fraction(str(value)) <= PERCENT_MAX


def _depth(value: Any) -> int:
    """How deep lists and objects are nested, without recursion: a caller chose the depth."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        part, level = waiting.pop()
        deepest = max(deepest, level)
        if isinstance(part, dict):
            waiting.extend((child, level + 1) for child in part.values())
        elif isinstance(part, list):
            waiting.extend((child, level + 1) for child in part)
    return deepest
