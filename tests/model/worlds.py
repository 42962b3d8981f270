"""Random worlds and random commands for the reference model.

A world is a catalog and an environment's settings. A command is a name and arguments in the model's
words; the drivers translate it for the product. All choice comes from one ``random.Random``, so that a
seed repeats a run and Hypothesis can shrink it.
"""

import copy
import pickle
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple

from tests.model.plans import random_variant
from tests.model.prices import Rule
from tests.model.quotas import Quotas
from tests.model.reference import DAY, FOREVER, SECOND, Grey, Refused, Row
from tests.model.spending import DryRun
from tests.model.subscriptions import Subscriptions

START = 2_245_752_000 * SECOND  # 1 March 2041, 12:00 UTC: ahead of every machine that runs the tests.
LARGE = {"model": "large"}


class Command(NamedTuple):
    """One request in the model's words."""

    name: str
    arguments: Row


def _rule(cost_type: str, match: dict[str, str] | None = None, **terms: Any) -> Rule:
    return {"cost_type": cost_type, "match": match or {}, **terms}


GRADUATED = [
    {"up_to": 10, "unit_cost": 7, "per_units": 3, "flat_cost": 50},
    {"up_to": 100, "unit_cost": 5, "per_units": 1},
    {"up_to": None, "unit_cost": 11, "per_units": 7},
]

# Metric -> unit and price list. Costs are small against grants of up to 20,000, so that all roads are walked.
PRICES: dict[str, tuple[str, list[Rule]]] = {
    "flat": ("credits", [_rule("flat", flat_cost=700)]),
    "whole": ("credits", [_rule("per_unit", unit_cost=1_000)]),
    "fine_up": ("credits", [_rule("per_unit", unit_cost=7, per_units=3)]),
    "fine_down": ("credits", [_rule("per_unit", unit_cost=1_001, per_units=9, rounding="down")]),
    "fine_even": ("credits", [_rule("per_unit", unit_cost=5, per_units=2, rounding="half_even")]),
    "by_model": (
        "credits",
        [_rule("per_unit", unit_cost=3), _rule("per_unit", LARGE, unit_cost=40)],
    ),
    "large_only": ("credits", [_rule("per_unit", LARGE, unit_cost=90)]),
    "free": ("credits", []),
    "graduated": ("credits", [_rule("tiered", tier_mode="graduated", tiers=GRADUATED)]),
    "alone": ("credits", [_rule("tiered", tier_mode="graduated", tier_scope="event", tiers=GRADUATED)]),
    "volume": ("credits", [_rule("tiered", tier_mode="volume", tier_scope="event", tiers=GRADUATED)]),
    "loose": ("credits", [_rule("per_unit", unit_cost=500, overage_policy="allow", overage_limit=4_000)]),
    "looser": ("credits", [_rule("per_unit", unit_cost=300, overage_policy="notify")]),
    "strict": ("credits", [_rule("per_unit", unit_cost=200, overage_policy="block")]),
    "tokens": ("tokens", [_rule("per_unit", unit_cost=13, per_units=2)]),
}


class World(NamedTuple):
    """Catalog and settings of one environment."""

    prices: dict[str, tuple[str, list[Rule]]]
    kinds: dict[str, Row]
    quotas: dict[str, Row]
    policy: str
    limit: int | None
    descending: bool
    variants: dict[str, Row] = {}  # noqa: RUF012 - a default of a named tuple, never changed.

    def model(self, now: int) -> Subscriptions:
        """A new customer of this environment."""
        model = Subscriptions(now, descending=self.descending, policy=self.policy, limit=self.limit)
        for metric, (unit, rules) in self.prices.items():
            model.metrics[metric] = {
                "unit": unit,
                "aggregation": "CumulativeCounter",
                **self.kinds.get(metric, {}),
            }
            model.rules[metric] = [{**copy.deepcopy(rule), "from": 0, "until": FOREVER} for rule in rules]
        for metric, terms in self.quotas.items():
            model.add_quota(metric, copy.deepcopy(terms))
        model.variants = self.variants
        return model


def random_settings(random: Random) -> Row:
    policy, limit = random.choice(
        [("block", None)] * 3 + [("allow", None), ("allow", 6_000), ("notify", None)]
    )
    return {"policy": policy, "limit": limit, "descending": random.random() < 0.25}


def credit_world(random: Random) -> World:
    """Prices without quotas: part A of the model."""
    return World(PRICES, {}, {}, **random_settings(random))


def _tier(up_to: object, level: str, policy: str, **more: object) -> Row:
    return {"up_to": up_to, "level": level, "policy": policy, **more}


def _quota(period: str, *tiers: Row, **more: object) -> Row:
    return {"period": period, "alignment": "calendar", "tiers": list(tiers), **more}


DENY = _tier(None, "OverUsage", "Deny")
FIRST = _tier(40, "Normal", "NotifyOnly")

# Metric -> quota of every customer, attached as an override when the customer is made.
QUOTAS: dict[str, Row] = {
    "ladder": _quota(
        "month",
        _tier(20, "Normal", "NotifyOnly"),
        _tier(30, "Warning", "NotifyOnly"),
        _tier(60, "Critical", "AllowWithOverage"),
        DENY,
    ),
    "daily": _quota("day", _tier(25, "Normal", "NotifyOnly"), DENY),
    "weekly": _quota("week", _tier(30, "Normal", "NotifyOnly"), DENY),
    "yearly": _quota("year", _tier(200, "Normal", "NotifyOnly"), DENY, alignment="anniversary"),
    "own_month": _quota("month", FIRST, DENY, alignment="anniversary"),
    "percent": _quota(
        "month",
        _tier({"percent": 80}, "Normal", "NotifyOnly"),
        _tier({"percent": 100}, "Warning", "NotifyOnly"),
        DENY,
        allowance=50,
    ),
    "grace_units": _quota("month", FIRST, _tier(None, "Critical", "AllowWithGrace", grace_units=15)),
    "grace_seconds": _quota("month", FIRST, _tier(None, "Critical", "AllowWithGrace", grace_seconds=300)),
    "grace_then_deny": _quota("month", FIRST, _tier(60, "Critical", "AllowWithGrace", grace_units=10), DENY),
    "stops": _quota("month", FIRST, _tier(None, "OverUsage", "SuspendUsage", resume="manual")),
    "stops_for_now": _quota("day", FIRST, _tier(None, "OverUsage", "SuspendUsage", resume="next_period")),
    "limited": _quota(
        "year", _tier(None, "Normal", "RateLimit", rate={"units": 10, "seconds": 60, "burst": 20})
    ),
    "limited_later": _quota(
        "year", FIRST, _tier(None, "Warning", "RateLimit", rate={"units": 1, "seconds": 7, "burst": 12})
    ),
    "priced": _quota(
        "month",
        _tier(20, "Normal", "NotifyOnly", unit_cost=10, per_units=3),
        _tier(50, "Warning", "NotifyOnly", base_cost=500, unit_cost=25),
        _tier(None, "OverUsage", "AllowWithOverage", unit_cost=7, per_units=2),
    ),
    "up_and_down": _quota("month", FIRST, DENY),
    "totals": _quota("month", _tier(120, "Normal", "NotifyOnly"), DENY),
    "level": _quota("month", FIRST, DENY, cap=40),
}
KINDS: dict[str, Row] = {
    "up_and_down": {"aggregation": "UpDownCounter"},
    "free_up_and_down": {"aggregation": "UpDownCounter"},
    "totals": {"aggregation": "TotalCounter"},
    "free_totals": {"aggregation": "TotalCounter"},
    "level": {"aggregation": "Gauge", "type": "gauge"},
    "free_level": {"aggregation": "Gauge", "type": "gauge"},
}


def quota_world(random: Random) -> World:
    """Counters, quotas and prices together: part B of the model."""
    quotas = dict(random.sample(list(QUOTAS.items()), 5))
    kinds = {metric: kind for metric, kind in KINDS.items() if metric in quotas or metric.startswith("free_")}
    prices: dict[str, tuple[str, list[Rule]]] = {
        metric: (
            "credits",
            [_rule("per_unit", unit_cost=20)] if metric not in kinds and random.random() < 0.5 else [],
        )
        for metric in quotas
    }
    some = random.sample(["whole", "fine_up", "graduated", "volume", "alone", "by_model", "free"], 3)
    prices |= {metric: PRICES[metric] for metric in some}
    prices |= {metric: ("credits", []) for metric in kinds if metric.startswith("free_")}
    if random.random() < 0.5:
        prices["free_totals"] = ("credits", [_rule("per_unit", unit_cost=7, per_units=2)])
    return World(prices, kinds, quotas, **random_settings(random))


def plan_world(random: Random) -> World:
    """Plans, renewals and rollover beside prices: part C of the model."""
    prices = {metric: PRICES[metric] for metric in ("flat", "whole", "fine_up", "graduated", "tokens")}
    variants = {variant["id"]: variant for variant in (random_variant(random, number) for number in range(5))}
    return World(prices, {}, {}, **random_settings(random), variants=variants)


# -- commands --------------------------------------------------------------------------------------


class Chooser:
    """Chooses the next command by what the customer has."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def weights(self, model: Subscriptions) -> dict[str, int]:
        """How often each command is tried, relative to the others."""
        return WEIGHTS | PLAN_WEIGHTS if model.variants else WEIGHTS

    def command(self, model: Subscriptions) -> Command:
        weights = self.weights(model)
        name = self.random.choices(list(weights), weights=list(weights.values()))[0]
        arguments = getattr(self, f"_{name}")(model)
        return self.command(model) if arguments is None else Command(name, arguments)

    def span(self, model: Quotas) -> int:
        """Seconds to advance: often exactly to what is due next, one second before it, or past it."""
        due = model.next_due()
        if due < FOREVER and self.random.random() < 0.6:
            exact = -((model.now - due) // SECOND)
            return max(1, exact + self.random.choice([-1, 0, 0, 0, 1]))
        return self.random.choice([1, 30, 299, 300, 3_600, 86_400, 7 * 86_400, 40 * 86_400])

    def amount(self) -> int:
        return self.random.choice(
            [1, 2, 3, 7, 10, 99, 500, 999, 1_000, 1_001, 2_500, 5_000, self.random.randint(1, 20_000)]
        )

    def unit(self) -> str:
        return self.random.choice(["credits"] * 5 + ["tokens"])

    def units(self) -> Fraction:
        return Fraction(
            self.random.choice([0, 1, 1, 1, 2, 3, 5, 9, 10, 11, 20, 37, self.random.randint(0, 200)])
        )

    def metric(self, model: Quotas, among: list[str]) -> str:
        """A metric, mostly one with a quota where there are such."""
        limited = [metric for metric in among if metric in model.quotas]
        return self.random.choice(limited if limited and self.random.random() < 0.7 else among)

    def _grant(self, model: Quotas) -> Row:
        plenty = 1_000_000 if model.quotas and self.random.random() < 0.5 else 0
        return {"credits_mc": self.amount() + plenty, "unit": self.unit(), **self._terms()}

    def _terms(self) -> Row:
        """Priority, and often an expiry, a later start or a price."""
        terms: Row = {"priority": self.random.choice([0, 0, 0, 5, 10])}
        if self.random.random() < 0.6:
            terms["expires_after"] = self.random.choice([60, 300, 301, 3_600, 86_400, 2_592_000]) * SECOND
        if self.random.random() < 0.12:
            starts = self.random.choice([1, 30, 3_600]) * SECOND
            if terms.get("expires_after", FOREVER) > starts:
                terms["effective_after"] = starts
        if "effective_after" not in terms and self.random.random() < 0.3:
            terms["price_paid"] = self.random.choice([0, 1, 500])
        return terms

    def _use(self, model: Quotas) -> Row:
        metric = self.metric(model, list(model.metrics))
        arguments: Row = {"metric": metric, "units": self.units()}
        kind = model.metrics[metric]["aggregation"]
        if kind == "UpDownCounter":
            arguments["units"] *= self.random.choice([1, 1, -1])
        if kind in {"UpDownCounter", "Gauge"}:
            return arguments
        if kind == "TotalCounter":
            return {**arguments, "dimensions": {"source": self.random.choice(["a", "b"])}}
        if metric not in model.quotas and self.random.random() < 0.15:
            since = (model.now - model.created_at) // SECOND
            arguments["late"] = SECOND * self.random.choice([0, min(since, 3_600), min(since, 30 * 86_400)])
        if self.random.random() < 0.3:
            arguments["dimensions"] = self.random.choice(
                [LARGE, {"model": "small"}, {**LARGE, "region": "eu"}]
            )
        chance = self.random.random()
        if chance < 0.1:
            arguments["record"] = True
        elif chance < 0.15:
            arguments["dry_run"] = True
        return arguments

    def _reverse(self, model: Quotas) -> Row | None:
        events = [event["id"] for event in model.usages if event["metric"] is not None]
        return {"usage_id": self.random.choice(events[-6:])} if events else None

    def _reserve(self, model: Quotas) -> Row:
        ttl_seconds = self.random.choice([1, 30, 120, 300, 300, 3_600, 86_400])
        if self.random.random() < 0.4:
            return {"credits_mc": self.amount(), "unit": self.unit(), "ttl_seconds": ttl_seconds}
        held = [
            metric
            for metric, row in model.metrics.items()
            if row["aggregation"] not in {"TotalCounter", "Gauge"}
        ]
        metric = self.metric(model, held)
        arguments = {"metric": metric, "units": max(self.units(), Fraction(1)), "ttl_seconds": ttl_seconds}
        if self.random.random() < 0.3:
            arguments["dimensions"] = LARGE
        return arguments

    def _a_hold(self, model: Quotas) -> Row | None:
        """A hold, mostly one that still is active."""
        if not model.holds:
            return None
        active = [hold for hold in model.holds if hold["status"] == "active"]
        return self.random.choice(active if active and self.random.random() < 0.85 else model.holds)

    def _commit(self, model: Quotas) -> Row | None:
        hold = self._a_hold(model)
        if hold is None:
            return None
        if self.random.random() < 0.3:
            return {"hold_id": hold["id"]}
        if hold["metric"] is None:
            actual = self.random.choice(
                [0, 1, hold["amount"] // 2, hold["amount"], hold["amount"] + self.amount()]
            )
            return {"hold_id": hold["id"], "actual_mc": actual}
        actual_units = self.random.choice(
            [Fraction(0), hold["units"] // 2, hold["units"], hold["units"] + self.units()]
        )
        return {"hold_id": hold["id"], "actual_units": Fraction(actual_units)}

    def _release(self, model: Quotas) -> Row | None:
        hold = self._a_hold(model)
        return None if hold is None else {"hold_id": hold["id"]}

    def _extend(self, model: Quotas) -> Row | None:
        hold = self._a_hold(model)
        return (
            None
            if hold is None
            else {"hold_id": hold["id"], "ttl_seconds": self.random.choice([1, 60, 3_600])}
        )

    def _adjust(self, model: Quotas) -> Row:
        delta = self.amount() * self.random.choice([1, -1, -1])
        more = {"allow_negative": True} if delta < 0 and self.random.random() < 0.3 else {}
        return {"delta": delta, "unit": self.unit(), **more}

    def _withdraw(self, model: Quotas) -> Row:
        unit = self.unit()
        exact = model.effective(unit)
        return {
            "credits_mc": exact if exact > 0 and self.random.random() < 0.3 else self.amount(),
            "unit": unit,
        }

    def _void(self, model: Quotas) -> Row | None:
        blocks = [block["id"] for block in model.blocks]
        return {"block_id": self.random.choice(blocks[-8:])} if blocks else None

    def _refund_topup(self, model: Quotas) -> Row | None:
        arguments = self._void(model)
        if arguments is not None and self.random.random() < 0.4:
            arguments["credits_mc"] = self.amount()
        return arguments

    def _exchange(self, model: Quotas) -> Row:
        unit, into = self.random.choice(
            [("credits", "credits"), ("credits", "tokens"), ("tokens", "credits")]
        )
        terms = {
            name: value for name, value in self._terms().items() if name in {"priority", "expires_after"}
        }
        return {"debit_mc": self.amount(), "unit": unit, "credits_mc": self.amount(), "into": into, **terms}

    def _suspend(self, model: Quotas) -> Row:
        return {"unit": self.unit()}

    def _resume(self, model: Quotas) -> Row | None:
        stopped = [unit for unit, suspended in model.suspended.items() if suspended]
        return {"unit": self.random.choice(stopped)} if stopped else None

    def _suspend_asset(self, model: Quotas) -> Row | None:
        assets = sorted(model.seen_assets())
        return {"metric": self.random.choice(assets)} if assets and self.random.random() < 0.3 else None

    def _resume_asset(self, model: Quotas) -> Row | None:
        return {"metric": self.random.choice(sorted(model.suspensions))} if model.suspensions else None

    def _set_policy(self, model: Quotas) -> Row:
        return {"policy": self.random.choice([None, "block", "allow", "notify"])}

    # -- subscriptions -----------------------------------------------------------------------------

    def _subscribe(self, model: Subscriptions) -> Row:
        return {"variant": self.random.choice(list(model.variants))}

    def _on_subscription(self, model: Subscriptions) -> Row | None:
        return None if model.subscription is None else {}

    _renew = _resume_subscription = _reactivate = _on_subscription

    def _pause(self, model: Subscriptions) -> Row | None:
        if model.subscription is None:
            return None
        return {"days": self.random.choice([1, 5, 40])} if self.random.random() < 0.4 else {}

    def _cancel(self, model: Subscriptions) -> Row | None:
        if model.subscription is None:
            return None
        if self.random.random() < 0.5:
            return {"when": "period_end"}
        return {"when": "now", "credits_then": self.random.choice(["expire", "keep"])}

    def _change_plan(self, model: Subscriptions) -> Row | None:
        if model.subscription is None:
            return None
        when = self.random.choice(["now", "now", "period_end"])
        then = self.random.choice(["keep", "prorate", "reset"])
        return {"variant": self.random.choice(list(model.variants)), "when": when, "credits_then": then}


WEIGHTS = {
    "grant": 14,
    "use": 26,
    "reserve": 16,
    "commit": 12,
    "release": 6,
    "extend": 2,
    "reverse": 5,
    "adjust": 5,
    "withdraw": 4,
    "void": 4,
    "refund_topup": 3,
    "exchange": 4,
    "suspend": 1,
    "resume": 6,
    "set_policy": 2,
    "suspend_asset": 1,
    "resume_asset": 4,
}

PLAN_WEIGHTS = {
    "use": 18,
    "reserve": 6,
    "commit": 5,
    "suspend": 0,
    "exchange": 1,
    "withdraw": 1,
    "subscribe": 10,
    "renew": 14,
    "pause": 3,
    "resume_subscription": 6,
    "cancel": 4,
    "reactivate": 5,
    "change_plan": 10,
}

CREATES = {"grant", "adjust", "exchange", "use", "reserve", "commit"}


class Expected(NamedTuple):
    """What a command must do: the facts of success, or the slug of the refusal."""

    facts: Row | None
    refusal: str | None


def attempt(model: Quotas, command: Command, *, new_id: str) -> tuple[Quotas, Expected]:
    """The model after a command and what the product must answer; the model given stays as it was."""
    trial: Quotas = pickle.loads(pickle.dumps(model))
    more = {"new_id": new_id} if command.name in CREATES else {}
    try:
        facts = getattr(trial, command.name)(**command.arguments, **more)
    except Refused as refusal:
        return (trial if refusal.keeps else model), Expected(None, refusal.slug)
    except DryRun as answer:
        return model, Expected(answer.facts, None)
    return trial, Expected(facts, None)


def moved_to(model: Quotas, at: int) -> Quotas:
    """The model at a later instant."""
    trial: Quotas = pickle.loads(pickle.dumps(model))
    trial.advance_to(at)
    return trial


def moved(model: Quotas, seconds: int) -> Quotas:
    """The model ``seconds`` later."""
    return moved_to(model, model.now + seconds * SECOND)


__all__ = [
    "CREATES",
    "DAY",
    "PRICES",
    "SECOND",
    "START",
    "Chooser",
    "Command",
    "Expected",
    "Grey",
    "World",
    "attempt",
    "credit_world",
    "moved",
    "moved_to",
    "quota_world",
]
