"""What the clients of the history do: a catalog, commands in the model's words, and their requests."""

from collections import deque
from fractions import Fraction
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

from tests.api.stories import Json, Story
from tests.model.calendar_months import to_datetime
from tests.model.http_driver import RULE_FIELDS, TIER_FIELDS, HttpDriver
from tests.model.reference import SECOND, Row
from tests.model.subscriptions import Subscriptions
from tests.model.worlds import LARGE, PRICES, START, Command, World

CUSTOMERS = 200
DENY: Row = {"up_to": None, "level": "OverUsage", "policy": "Deny"}
QUOTAS: dict[str, Row] = {
    "daily": {
        "period": "day",
        "alignment": "calendar",
        "tiers": [
            {"up_to": 60, "level": "Normal", "policy": "NotifyOnly"},
            {"up_to": 90, "level": "Critical", "policy": "AllowWithOverage"},
            DENY,
        ],
    },
    "monthly": {
        "period": "month",
        "alignment": "anniversary",
        "tiers": [{"up_to": 400, "level": "Normal", "policy": "NotifyOnly"}, DENY],
    },
}
_names = ("whole", "fine_up", "fine_even", "graduated", "volume", "by_model", "large_only", "tokens")
_per_unit = {"cost_type": "per_unit", "match": {}, "unit_cost": 37}
WORLD = World(
    {name: PRICES[name] for name in _names} | {name: ("credits", [_per_unit]) for name in QUOTAS},
    {},
    QUOTAS,
    policy="block",
    limit=None,
    descending=False,
)
WEIGHTS = {
    "use": 26,
    "batch": 5,
    "reserve": 12,
    "commit": 9,
    "release": 4,
    "extend": 2,
    "grant": 9,
    "adjust": 6,
    "withdraw": 2,
    "exchange": 4,
    "reverse": 3,
    "account": 9,
    "asset": 3,
    "hold": 2,
    "check": 18,
    "strong_check": 3,
}
READS = {"account", "asset", "hold", "check", "strong_check"}
# Answers after which something has to be found again: what it made, and how far it went.
KEPT = 8


class Request(NamedTuple):
    """One request as it is sent."""

    verb: str
    path: str
    body: Json | None = None


class Shared:
    """What the clients know of one customer: what to commit, release, take back or read next."""

    def __init__(self, number: int, customer_id: str) -> None:
        self.id = customer_id
        self.may_overdraw = number % 5 == 4
        self.is_funded = False
        self.holds: deque[Row] = deque(maxlen=KEPT)
        self.usages: deque[str] = deque(maxlen=KEPT)


def set_up(story: Story) -> None:
    """The catalog of the history in a frozen environment."""
    story.freeze(to_datetime(START))
    for metric, (unit, rules) in WORLD.prices.items():
        more: Json = {} if unit == "credits" else {"unit": unit}
        quota = QUOTAS.get(metric)
        if quota is not None:
            tiers = [{name: tier[name] for name in TIER_FIELDS if name in tier} for tier in quota["tiers"]]
            more["default_value"] = {"quota": {**quota, "tiers": tiers}}
        story.metric(metric, **more)
        for rule in rules:
            story.rule(metric, **{name: rule[name] for name in RULE_FIELDS if rule.get(name)})


def new_model(*, may_overdraw: bool, now: int) -> Subscriptions:
    """The model of a customer of this world."""
    model = WORLD.model(now)
    if may_overdraw:
        model.set_policy(policy="allow")
    return model


class _Recorder:
    """An API that only notes what would be sent."""

    def post(self, path: str, body: Json) -> Request:
        return Request("POST", path, body)


class Translator(HttpDriver):
    """The HTTP driver's own translation of commands, without sending them."""

    def __init__(self, customer: str) -> None:
        self.api: Any = _Recorder()
        self.world = WORLD
        self.now = START
        self.customer = customer

    def request(self, command: Command, now: int) -> Request:
        """What a command looks like on the wire at an instant of the frozen clock."""
        self.now = now
        if command.name not in READS:
            return getattr(self, f"_{command.name}")(**command.arguments)
        return Request("GET", _read_path(self.customer, command))


def _read_path(customer: str, command: Command) -> str:
    arguments = command.arguments
    if command.name == "account":
        return f"/v1/customers/{customer}/credits?include_blocks=true&unit={arguments['unit']}"
    if command.name == "asset":
        return f"/v1/customers/{customer}/assets/{arguments['metric']}"
    if command.name == "hold":
        return f"/v1/reserve/{arguments['hold_id']}"
    more = "&consistency=strong" if command.name == "strong_check" else ""
    return f"/v1/customers/{customer}/entitlements/{arguments['metric']}?units={arguments['units']}{more}"


class HistoryChooser:
    """Random commands; customers are chosen with Zipf's skew: the first gets most of them."""

    def __init__(self, random: Random, customers: list[Shared]) -> None:
        self.random = random
        self.customers = customers
        self.weights = list(accumulate(1 / (rank + 1) for rank in range(len(customers))))

    def customer(self) -> Shared:
        return self.random.choices(self.customers, cum_weights=self.weights)[0]

    def next(self) -> tuple[str, list[tuple[Shared, Command]]]:
        """A command's name and its parts: one, or the events of a batch. Whoever has nothing yet is given some."""
        name = self.random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
        if name == "batch":
            events = [self.customer() for _ in range(self.random.randint(2, 8))]
            return name, [(customer, Command("use", self._use(customer))) for customer in events]
        customer = self.customer()
        if not customer.is_funded:
            customer.is_funded = True
            return "grant", [(customer, Command("grant", {"credits_mc": 40_000, "unit": "credits"}))]
        arguments = getattr(self, f"_{name}")(customer)
        if arguments is None:
            return self.next()
        return name, [(customer, Command(name, arguments))]

    def _units(self) -> int:
        return self.random.choice([1, 1, 1, 2, 3, 5, 9, self.random.randint(1, 40)])

    def _amount(self) -> int:
        return self.random.choice([1, 3, 99, 500, 1_000, self.random.randint(1, 9_000)])

    def _unit(self) -> str:
        return self.random.choice(["credits"] * 5 + ["tokens"])

    def _metric(self) -> str:
        return self.random.choice(list(WORLD.prices))

    def _use(self, customer: Shared) -> Row:
        arguments: Row = {"metric": self._metric(), "units": Fraction(self._units())}
        if self.random.random() < 0.3:
            arguments["dimensions"] = dict(LARGE)
        if customer.may_overdraw and self.random.random() < 0.1:
            arguments["record"] = True
        return arguments

    def _reserve(self, _customer: Shared) -> Row:
        ttl_seconds = self.random.choice([1, 30, 59, 60, 300, 3_000])
        if self.random.random() < 0.4:
            return {"credits_mc": self._amount(), "unit": self._unit(), "ttl_seconds": ttl_seconds}
        return {"metric": self._metric(), "units": Fraction(self._units()), "ttl_seconds": ttl_seconds}

    def _commit(self, customer: Shared) -> Row | None:
        if not customer.holds:
            return None
        hold = self.random.choice(customer.holds)
        if self.random.random() < 0.3:
            return {"hold_id": hold["id"]}
        if hold["is_plain"]:
            return {"hold_id": hold["id"], "actual_mc": self._amount()}
        return {"hold_id": hold["id"], "actual_units": Fraction(self._units())}

    def _release(self, customer: Shared) -> Row | None:
        return {"hold_id": self.random.choice(customer.holds)["id"]} if customer.holds else None

    _hold = _release

    def _extend(self, customer: Shared) -> Row | None:
        if not customer.holds:
            return None
        return {"hold_id": self.random.choice(customer.holds)["id"], "ttl_seconds": 60}

    def _reverse(self, customer: Shared) -> Row | None:
        if customer.may_overdraw or not customer.usages:
            return None  # How a refund is split beside an overdraft is a grey zone of the model.
        return {"usage_id": self.random.choice(customer.usages)}

    def _grant(self, _customer: Shared) -> Row:
        terms: Row = {"priority": self.random.choice([0, 0, 5])}
        if self.random.random() < 0.5:
            terms["expires_after"] = self.random.choice([1, 2]) * 86_400 * SECOND
        return {"credits_mc": self._amount() * 5, "unit": self._unit(), **terms}

    def _adjust(self, _customer: Shared) -> Row:
        return {"delta": self._amount() * self.random.choice([1, -1]), "unit": self._unit()}

    def _withdraw(self, _customer: Shared) -> Row:
        return {"credits_mc": self._amount(), "unit": self._unit()}

    def _exchange(self, _customer: Shared) -> Row:
        unit, into = self.random.choice([("credits", "tokens"), ("tokens", "credits")])
        return {"debit_mc": self._amount(), "unit": unit, "credits_mc": self._amount(), "into": into}

    def _account(self, _customer: Shared) -> Row:
        return {"unit": self._unit()}

    def _asset(self, _customer: Shared) -> Row:
        return {"metric": self.random.choice(list(QUOTAS))}

    def _check(self, _customer: Shared) -> Row:
        return {"metric": self._metric(), "units": self._units()}

    _strong_check = _check
