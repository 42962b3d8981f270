"""Lives that stop at boundaries: one microsecond before, at the instant, one after, and no sweep in between.

Each of the three instants is a case of its own: the state that the product tells, what one command does, and both
again, are compared with the reference model. The commands are made for the boundary: they need what it gives or takes.
"""

import copy
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from random import Random
from typing import Any

from tests.model.calendar_months import to_datetime
from tests.model.driver import CoreDriver
from tests.model.http_driver import HttpDriver
from tests.model.machine import Machine
from tests.model.quotas import CARRIED
from tests.model.reference import DAY, FOREVER, SECOND, Grey
from tests.model.subscriptions import LIVE, Subscriptions
from tests.model.worlds import Command, World, attempt, moved_to

STEPS_BETWEEN = 3
AROUND = (-1, 0, 1)
YEAR = 366 * DAY
SUMS = {"CumulativeCounter"}


def boundaries(model: Subscriptions) -> Iterator[tuple[str, int, Any]]:
    """Everything that time will do to the customer by itself: what, when, and to which of its things."""
    for hold in model.holds:
        if hold["status"] == "active":
            yield "a hold ends", hold["expires_at"], hold
    for block in model.blocks:
        if block["status"] == "pending":
            yield "a block begins", block["effective_at"], block
        elif block["status"] == "active" and block["expires_at"] is not None and block["kept"] is None:
            yield "a block expires", block["expires_at"], block
    subscription = model.subscription
    if subscription is not None and subscription["status"] in LIVE:
        yield (
            f"the turn of a subscription that is {subscription['status']}",
            model.turn_at(subscription),
            None,
        )
        for at in subscription["ticks"].values() if subscription["status"] != "paused" else ():
            yield "a grant by interval", at, None
    for metric in model.quotas:
        if model.metrics[metric]["aggregation"] not in CARRIED:
            yield "a quota's period ends", next_period(model, metric), metric
    for (metric, _, index), crossed_at in model.crossings.items():
        seconds = model.quotas[metric]["tiers"][index].get("grace_seconds", 0)
        yield "a grace ends", crossed_at + seconds * SECOND, metric
    for metric, bucket in model.buckets.items():
        rate = next(tier["rate"] for tier in model.quotas[metric]["tiers"] if "rate" in tier)
        tokens = bucket["tokens"] // 1 + 1
        if tokens <= rate["burst"]:
            wait = (tokens - bucket["tokens"]) * rate["seconds"] * SECOND / rate["units"]
            yield "a token is there", bucket["at"] - (-wait.numerator // wait.denominator), (metric, tokens)


def next_period(model: Subscriptions, metric: str) -> int:
    """The first instant of the metric's next period."""
    now = model.period_start(metric, model.now)
    low, high = model.now, model.now + 2 * YEAR
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if model.period_start(metric, middle) > now else (middle, high)
    return high


class Walk(Machine):
    """A life on the core that looks ahead to boundaries without going there."""

    def __init__(self, world: World, driver: CoreDriver, random: Random) -> None:
        super().__init__(world, driver, random)
        self.cases: Counter[str] = Counter()
        self.core = driver

    def walk(self, steps: int) -> None:
        """A life; every few steps one boundary of each kind is looked at from its three sides."""
        until = self.steps + steps
        while self.steps < until:
            self.history = [f"policy={self.world.policy} limit={self.world.limit}"]
            self.model = self.world.model(self.driver.start())
            while self.steps < until and self.step():
                if self.steps % STEPS_BETWEEN == 0:
                    self._look_ahead()

    def _look_ahead(self) -> None:
        ahead: dict[str, list[tuple[int, Any]]] = {}
        for kind, at, thing in boundaries(self.model):
            if self.model.now + 1 < at < FOREVER:
                ahead.setdefault(kind, []).append((at, thing))
        for kind, places in ahead.items():
            at, thing = self.random.choice(places)
            for offset in AROUND:
                self._case(kind, at, offset, thing)

    def _case(self, kind: str, at: int, offset: int, thing: Any) -> None:
        """One instant at one boundary, in a copy of the life."""
        aside = copy.copy(self)
        aside.core = aside.driver = fork(self.core)
        aside.history = [*self.history, f"{kind} at {at}, {offset:+} us, with {thing}"]
        try:
            aside.model = moved_to(self.model, at + offset)
        except Grey:
            return
        aside.core.now = at + offset
        aside.compare_state()
        self.cases[kind] += 1
        for command in made_for(kind, thing, aside):
            aside.send(command)


def fork(driver: CoreDriver) -> CoreDriver:
    """The same customer once more: states are values, the rest is copied."""
    copied = copy.copy(driver)
    copied.history = dict(driver.history)
    copied.closed_counters = dict(driver.closed_counters)
    copied.entries = list(driver.entries)
    copied.events = list(driver.events)
    return copied


def made_for(kind: str, thing: Any, machine: Machine) -> list[Command]:
    """Commands whose answers depend on which side of the boundary they are."""
    model, random = machine.model, machine.random
    if kind == "a hold ends":
        name = random.choice(["commit", "release"])
        extend = Command("extend", {"hold_id": thing["id"], "ttl_seconds": 60})
        return [*random.sample([extend], random.randint(0, 1)), Command(name, {"hold_id": thing["id"]})]
    if kind in {"a block expires", "a block begins"}:
        unit = thing["unit"]
        some = max(1, model.effective(unit))
        return [
            Command("withdraw", {"credits_mc": some + 1, "unit": unit}),
            Command("withdraw", {"credits_mc": some, "unit": unit}),
        ]
    if kind == "a token is there":
        metric, tokens = thing
        return [Command("use", {"metric": metric, "units": Fraction(tokens)})]
    if kind in {"a quota's period ends", "a grace ends"}:
        if model.metrics[thing]["aggregation"] == "TotalCounter":
            return [Command("use", {"metric": thing, "units": Fraction(60), "dimensions": {"source": "a"}})]
        return [Command("use", {"metric": thing, "units": Fraction(random.choice([1, 20, 41]))})]
    return [machine.chooser.command(model)]


class HttpWalk(Machine):
    """A life over HTTP that goes from boundary to boundary by the test clock, without its sweep."""

    def __init__(self, world: World, driver: HttpDriver, random: Random) -> None:
        super().__init__(world, driver, random)
        self.cases: Counter[str] = Counter()
        self.http = driver

    def walk(self, steps: int) -> None:
        until = self.steps + steps
        while self.steps < until:
            self.history = [f"policy={self.world.policy} limit={self.world.limit}"]
            self.model = self.world.model(self.driver.start())
            while self.steps < until and self.step() and (self.steps % STEPS_BETWEEN or self._pass_next()):
                pass
            self.driver.check_books(self.model)

    def _pass_next(self) -> bool:
        """Pass the next boundary in three steps; False when the model cannot say what comes out."""
        ahead = [row for row in boundaries(self.model) if self.model.now + 1 < row[1] < FOREVER]
        if not ahead:
            return True
        kind, at, thing = min(ahead, key=lambda row: row[1])
        acts_at = self.random.choice(AROUND)
        for offset in AROUND:
            try:
                self.model = moved_to(self.model, at + offset)
            except Grey:
                return False
            self.http.story.advance_to(to_datetime(at + offset), sweep=False)
            self.http.now = at + offset
            self.history.append(f"{kind} at {at}, {offset:+} us, with {thing}")
            if offset == acts_at:
                # First of all: the server's own sweep is soon there. But an answer may name what time has just made.
                if any(block["id"].startswith("~plan-") for block in self.model.blocks):
                    self._bind_new_blocks(self.driver.snapshot(self.model))
                for command in made_for(kind, thing, self):
                    self.send(command)
            self.compare_state()
            self._compare_check()
            self.cases[kind] += 1
        return True

    def _compare_check(self) -> None:
        """A cached check says what a usage would meet at this very instant."""
        countable = [name for name, row in self.model.metrics.items() if row["aggregation"] in SUMS]
        metric, units = self.random.choice(countable), self.random.choice([1, 3, 20, 41])
        asked = Command("use", {"metric": metric, "units": Fraction(units), "dry_run": True})
        try:
            _, expected = attempt(self.model, asked, new_id="~check")
        except Grey:
            return
        told = self.http.story.check(self.http.customer, metric, units=units)
        mine = (expected.refusal is None, self.model.effective(self.model.metrics[metric]["unit"]))
        assert (told["allowed"], told["effective_balance"]) == mine, self.report("check", expected, told)
