"""Counters, quotas and priced tiers of the reference model, from the words of quotas.md."""

from fractions import Fraction
from typing import Any

from tests.model.calendar_months import anchored_start, calendar_start, month_start
from tests.model.prices import Rule, quota_price
from tests.model.reference import SECOND, Grey, Refused, Row
from tests.model.spending import Spending

CARRIED = {"UpDownCounter", "Gauge"}


def overage_in(tier: Row, value: Fraction) -> Fraction:
    """Overage units inside one tier; what stands where requests are refused was recorded or committed."""
    if tier["policy"] not in {"AllowWithOverage", "AllowWithGrace", "Deny", "SuspendUsage"}:
        return Fraction(0)
    reached = value if tier["upper"] is None else min(value, tier["upper"])
    return max(Fraction(0), reached - tier["lower"] - tier.get("grace_units", 0))


class Quotas(Spending):
    """A customer whose use is counted and limited."""

    def __init__(self, now: int, **settings: Any) -> None:
        super().__init__(now, **settings)
        self.created_at = now
        self.quotas: dict[str, Row] = {}
        self.counters: dict[tuple[str, int], Row] = {}
        self.last_readings: dict[tuple[str, str], Fraction] = {}
        self.suspensions: dict[str, int] = {}
        self.crossings: dict[tuple[str, int, int], int] = {}
        self.buckets: dict[str, Row] = {}
        self.charged_position: dict[tuple[str, int], Fraction] = {}

    def add_quota(self, metric: str, terms: Row) -> None:
        """An override with a quota, there from the customer's creation on."""
        lower = Fraction(0)
        for tier in terms["tiers"]:
            upper = tier["up_to"]
            if isinstance(upper, dict):
                upper = Fraction(terms["allowance"] * upper["percent"], 100)
            tier["lower"], tier["upper"] = lower, None if upper is None else Fraction(upper)
            lower = tier["upper"]
        self.quotas[metric] = terms

    # -- counters ----------------------------------------------------------------------------------

    def period_start(self, metric: str, at: int) -> int:
        quota = self.quotas.get(metric)
        if quota is None:
            return month_start(at)
        if quota.get("alignment") == "anniversary":
            return anchored_start(self.created_at, at, quota["period"])
        return calendar_start(at, quota["period"])

    def counter(self, metric: str, at: int) -> Row:
        carried = self.metrics[metric]["aggregation"] in CARRIED
        key = (metric, 0 if carried else self.period_start(metric, at))
        return self.counters.setdefault(key, {"value": Fraction(0)})

    def value(self, metric: str, at: int | None = None) -> Fraction:
        return self.counter(metric, self.now if at is None else at)["value"]

    def held_units(self, metric: str) -> Fraction:
        holds = [hold for hold in self.holds if hold["status"] == "active" and hold["metric"] == metric]
        return sum((hold["units"] for hold in holds), Fraction(0))

    def asset(self, metric: str) -> Row:
        """What the asset endpoint must say."""
        value = self.value(metric)
        told: Row = {
            "value": value,
            "reserved_units": self.held_units(metric),
            "suspended": self._is_suspended(metric),
        }
        quota = self.quotas.get(metric)
        if quota is not None:
            tiers = quota["tiers"]
            if not any("grace_seconds" in tier and value > tier["lower"] for tier in tiers):
                told["overage_units"] = sum((overage_in(tier, value) for tier in tiers), Fraction(0))
            if not told["reserved_units"]:
                told["level"] = next(
                    tier["level"] for tier in tiers if tier["upper"] is None or value <= tier["upper"]
                )
        return told

    def seen_assets(self) -> set[str]:
        """Metrics that surely have an asset."""
        return set(self.quotas) | {event["metric"] for event in self.usages if event["metric"] is not None}

    def counted(self, metric: str, units: Fraction, dimensions: dict[str, str]) -> Fraction:
        kind = self.metrics[metric]["aggregation"]
        if kind == "TotalCounter":
            last = self.last_readings.get((metric, dimensions.get("source", "")))
            if last is None:
                return Fraction(0)
            return units - last if units >= last else units
        if kind == "Gauge":
            return units - self.value(metric)
        if kind == "UpDownCounter" and self.value(metric) + units < 0 and not self._is_suspended(metric):
            raise Refused("conflict")
        return units

    def use(self, *, metric: str, units: Fraction, **more: Any) -> Row:
        done = super().use(metric=metric, units=units, **more)
        if self.metrics[metric]["aggregation"] == "TotalCounter":
            source = (more.get("dimensions") or {}).get("source", "")
            self.last_readings[metric, source] = units
        return done

    def count(self, metric: str, units: Fraction, at: int) -> None:
        counter = self.counter(metric, at)
        if counter["value"] + units < 0:
            raise Grey("a reversal that would move a counter below zero")
        counter["value"] += units

    # -- prices ------------------------------------------------------------------------------------

    def _priced_tiers(self, metric: str) -> list[Rule] | None:
        """The tiers that are the metric's price for this customer, if any of them has one."""
        tiers = self.quotas.get(metric, {"tiers": []})["tiers"]
        if not any("unit_cost" in tier or "base_cost" in tier for tier in tiers):
            return None
        return [{**tier, "up_to": tier["upper"]} for tier in tiers]

    def price(
        self, metric: str, dimensions: dict[str, str], units: Fraction, at: int
    ) -> tuple[Rule | None, int]:
        if self.metrics[metric]["aggregation"] in CARRIED:
            return None, 0
        tiers = self._priced_tiers(metric)
        if tiers is None:
            return super().price(metric, dimensions, units, at)
        return None, quota_price(tiers, self.value(metric, at), units)

    def commit_price(self, hold: Row, units: Fraction) -> int:
        tiers = self._priced_tiers(hold["metric"])
        if tiers is None:
            return super().commit_price(hold, units)
        return quota_price(tiers, self.value(hold["metric"]), units)

    def reverse(self, *, usage_id: str, **more: Any) -> Row:
        event = next(event for event in self.usages if event["id"] == usage_id)
        if event["metric"] is not None and not event["reversed"] and self._priced_tiers(event["metric"]):
            raise Grey("whether the position of a priced quota moves back with a reversal")
        return super().reverse(usage_id=usage_id, **more)

    # -- quotas ------------------------------------------------------------------------------------

    def _is_suspended(self, metric: str) -> bool:
        """Suspended, by hand or by a tier, and not resumed since, by hand or by a new period."""
        if metric not in self.suspensions:
            return False
        until = self.suspensions[metric]
        return until < 0 or self.period_start(metric, self.now) == until

    def meet(self, metric: str, units: Fraction, at: int, *, record: bool = False) -> None:
        if self._is_suspended(metric):
            raise Refused("asset-suspended")
        quota = self.quotas.get(metric)
        if quota is None or units <= 0:
            return
        period = self.period_start(metric, self.now)
        if self.period_start(metric, at) != period:
            raise Grey("a quota on a late event of a closed period")
        before = self.value(metric) + self.held_units(metric)
        after = before + units
        for index, tier in enumerate(quota["tiers"]):
            if tier["upper"] is not None and tier["upper"] <= before:
                continue
            if tier["lower"] >= after:
                break
            if record:
                if tier["policy"] in {"SuspendUsage", "RateLimit", "AllowWithGrace"}:
                    raise Grey("what a recorded fact does to a tier with a state")
                continue
            self._meet_tier(metric, tier, (metric, period, index), before=before, after=after)

    def _meet_tier(
        self, metric: str, tier: Row, place: tuple[str, int, int], *, before: Fraction, after: Fraction
    ) -> None:
        policy = tier["policy"]
        if policy == "Deny":
            raise Refused("quota-exceeded")
        if policy == "SuspendUsage":
            _, period, _ = place
            self.suspensions[metric] = period if tier.get("resume") == "next_period" else -1
            raise Refused("asset-suspended", keeps=True)
        if policy == "AllowWithGrace":
            if "grace_units" in tier and after > tier["lower"] + tier["grace_units"]:
                raise Refused("quota-exceeded")
            if "grace_seconds" in tier:
                if before > tier["lower"] and place not in self.crossings:
                    raise Grey("when a grace began that a commit or a recorded fact ran into")
                crossed_at = self.crossings.setdefault(place, self.now)
                if self.now - crossed_at >= tier["grace_seconds"] * SECOND:
                    raise Refused("quota-exceeded")
        if policy == "RateLimit":
            if before < tier["lower"] or (tier["upper"] is not None and after > tier["upper"]):
                raise Grey("how many tokens an event takes that lies in two tiers")
            self._take_tokens(metric, tier["rate"], after - before)

    def _take_tokens(self, metric: str, rate: Row, units: Fraction) -> None:
        if units > rate["burst"]:
            raise Refused("quota-exceeded")
        bucket = self.buckets.setdefault(metric, {"tokens": Fraction(rate["burst"]), "at": self.now})
        refill = Fraction((self.now - bucket["at"]) * rate["units"], rate["seconds"] * SECOND)
        bucket["tokens"] = min(Fraction(rate["burst"]), bucket["tokens"] + refill)
        bucket["at"] = self.now
        if bucket["tokens"] < units:
            raise Refused("quota-rate-limited")
        bucket["tokens"] -= units

    def commit(self, *, hold_id: str, actual_units: Fraction | None = None, **more: Any) -> Row:
        hold = self.hold(hold_id)
        quota = self.quotas.get(hold["metric"])
        if quota is not None and actual_units is not None and actual_units > hold["units"]:
            after = (
                self.value(hold["metric"]) + self.held_units(hold["metric"]) + actual_units - hold["units"]
            )
            entered = {tier["policy"] for tier in quota["tiers"] if after > tier["lower"]}
            if "SuspendUsage" in entered:
                raise Grey("whether a commit beyond its hold may suspend the asset")
            if "RateLimit" in entered:
                raise Grey("whether a commit beyond its hold takes tokens")
        return super().commit(hold_id=hold_id, actual_units=actual_units, **more)

    def suspend_asset(self, *, metric: str) -> Row:
        self.suspensions[metric] = -1
        return {}

    def resume_asset(self, *, metric: str) -> Row:
        self.suspensions.pop(metric, None)
        return {}
