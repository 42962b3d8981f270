"""Runs random commands on the reference model and on the product, and compares after each step."""

from collections import Counter
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple, Protocol

from tests.model.reference import Row
from tests.model.subscriptions import Subscriptions
from tests.model.worlds import CREATES, Chooser, Command, Expected, Grey, World, attempt, moved


class Outcome(NamedTuple):
    """What the product answered: facts or a refusal's slug, and the id that it made."""

    facts: Row
    refusal: str | None = None
    new_id: str | None = None


class Driver(Protocol):
    """The product, in the model's words. One environment; one customer at a time."""

    def start(self) -> int:
        """Make a new customer; the environment's time."""
        ...

    def perform(self, command: Command) -> Outcome:
        """Send one command for the customer."""
        ...

    def advance(self, seconds: int) -> None:
        """Move the environment's clock."""
        ...

    def snapshot(self, model: Subscriptions) -> Row:
        """What the product says about everything that the model has."""
        ...

    def check_books(self, model: Subscriptions) -> None:
        """Every invariant of credits.md on the customer."""
        ...


class Machine:
    """One customer's life, step by step, on both sides."""

    def __init__(self, world: World, driver: Driver, random: Random) -> None:
        self.world = world
        self.driver = driver
        self.random = random
        self.chooser = Chooser(random)
        self.steps = 0
        self.greys: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.names: Counter[str] = Counter()
        self.history: list[str] = []

    def live(self, steps: int, *, books_every: int = 20) -> None:
        """A new customer for that many steps."""
        self.history = [
            f"policy={self.world.policy} limit={self.world.limit} descending={self.world.descending}"
        ]
        self.model = self.world.model(self.driver.start())
        for step in range(steps):
            if not self.step():
                break
            if step % books_every == books_every - 1:
                self.driver.check_books(self.model)
        self.driver.check_books(self.model)

    def run(self, steps: int, *, books_every: int = 20) -> None:
        """Lives one after the other until so many steps are done: a grey zone may end one early."""
        until = self.steps + steps
        while self.steps < until:
            self.live(until - self.steps, books_every=books_every)

    def step(self) -> bool:
        """One command or one move of the clock; False when time can only pass through a grey zone."""
        self.steps += 1
        if self.random.random() < 0.18:
            return self._advance()
        self.send(self.chooser.command(self.model))
        return True

    def send(self, command: Command) -> bool:
        """One command on both sides; False when it lies in a grey zone and is not sent."""
        try:
            after, expected = attempt(self.model, command, new_id="~planned")
        except Grey as grey:
            self.greys[str(grey)] += 1
            return False
        outcome = self.driver.perform(command)
        self.history.append(f"{command.name} {command.arguments} -> {outcome.refusal or outcome.facts}")
        if command.name in CREATES:
            # Only the product knows what the new thing is called.
            after, expected = attempt(self.model, command, new_id=outcome.new_id or "~none")
        self.model = after
        self.names[command.name] += 1
        if expected.refusal:
            self.refusals[expected.refusal] += 1
        self._compare_answer(command, expected, outcome)
        self.compare_state()
        return True

    def _advance(self) -> bool:
        seconds = self.chooser.span(self.model)
        try:
            later = moved(self.model, seconds)
        except Grey as grey:
            self.greys[str(grey)] += 1
            return False
        self.driver.advance(seconds)
        self.model = later
        self.names["advance"] += 1
        self.history.append(f"advance {seconds} s")
        self.compare_state()
        return True

    def _compare_answer(self, command: Command, expected: Expected, outcome: Outcome) -> None:
        assert outcome.refusal == expected.refusal, self.report("refusal", expected.refusal, outcome.refusal)
        if expected.facts is None:
            return
        if command.name in CREATES and "dry_run" not in command.arguments:
            assert outcome.new_id, self.report("an id", "one", outcome)
        for name, value in expected.facts.items():
            if value is not None and name in outcome.facts:
                assert outcome.facts[name] == value, self.report(name, value, outcome.facts[name])

    def compare_state(self) -> None:
        """Everything that the model has, as the product says it now."""
        told = self.driver.snapshot(self.model)
        self._bind_new_blocks(told)
        mine = picture(self.model)
        for name, value in mine.items():
            assert told.get(name) == value, self.report(name, value, told.get(name))

    def _bind_new_blocks(self, told: Row) -> None:
        """Give blocks that the model made by itself the ids that the product gave them, by their terms."""
        known = {block["id"] for block in self.model.blocks}
        for block in self.model.blocks:
            if not block["id"].startswith(("refund-of-", "~plan-")):
                continue
            terms = (block["remaining"], block["priority"], block["expires_at"])
            for found in told[f"account {block['unit']}"]["blocks"]:
                if found[0] not in known and found[1:] == terms:
                    block["id"] = found[0]
                    known.add(found[0])
                    break

    def report(self, what: str, expected: Any, got: Any) -> str:
        """What differs, and the life that led there."""
        recent = "\n  ".join(self.history)
        return f"{what}: the contract says\n  {expected}\nthe product says\n  {got}\nafter\n  {recent}"


def picture(model: Subscriptions) -> Row:
    """The model's state in the form that drivers answer."""
    told: Row = {}
    for unit in sorted(model.units()):
        told[f"account {unit}"] = {
            "balance": model.balance(unit),
            "reserved_balance": model.reserved(unit),
            "effective_balance": model.effective(unit),
            "overdraft": model.overdraft.get(unit, 0),
            "blocks": [
                (block["id"], block["remaining"], block["priority"], block["expires_at"])
                for block in model.live(unit)
            ],
        }
    told["holds"] = {
        hold["id"]: (hold["amount"], hold["expires_at"]) for hold in model.holds if hold["status"] == "active"
    }
    if model.subscription is not None:
        told["subscription"] = model.subscription_picture()
    for metric in sorted(model.seen_assets()):
        told[f"asset {metric}"] = model.asset(metric)
    return told


def whole(units: Fraction) -> int:
    """Units as the wire has them at scale 0."""
    assert units.denominator == 1, units
    return units.numerator
