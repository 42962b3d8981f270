"""Random commands on the pure core, grey zones included: whatever is decided there, the promises hold.

No model says what each answer must be; after every step the promises of credits.md and
reservations.md are looked at: without an overage policy nobody overspends, nothing is live past its
expiry but what a hold keeps, the sums agree and the ledger adds up.
"""

from random import Random
from typing import Any

import pytest
from tests.model.calendar_months import to_instant
from tests.model.driver import CoreDriver
from tests.model.reference import FOREVER, Row
from tests.model.worlds import PRICES, Chooser, World, plan_world, quota_world

LIFE = 60
STRICT = {
    name: PRICES[name] for name in ("flat", "whole", "fine_up", "fine_even", "graduated", "tokens", "strict")
}


class Shadow:
    """What the chooser asks of a model, answered from the product's own state."""

    def __init__(self, driver: CoreDriver) -> None:
        world = driver.world
        self.driver = driver
        self.created_at = driver.now
        kinds = {"aggregation": "CumulativeCounter"}
        self.metrics = {metric: {**kinds, **world.kinds.get(metric, {})} for metric in world.prices}
        self.quotas = world.quotas
        self.variants = world.variants
        self.subscription: str | None = None
        self.suspended: dict[str, bool] = {}
        self.suspensions: dict[str, int] = {}

    @property
    def now(self) -> int:
        return self.driver.now

    def rows(self, kind: str) -> list[Any]:
        return [row for (of, _), row in self.driver.history.items() if of == kind]

    @property
    def blocks(self) -> list[Row]:
        return [{"id": block.id} for block in self.rows("block")]

    @property
    def holds(self) -> list[Row]:
        return [
            {
                "id": hold.id,
                "status": hold.status,
                "amount": hold.reserved_mc,
                "metric": hold.billable_metric_key,
                "units": hold.estimated_units,
            }
            for hold in self.rows("hold")
        ]

    @property
    def usages(self) -> list[Row]:
        return [{"id": event.id, "metric": event.billable_metric_key} for event in self.rows("usage")]

    def effective(self, unit: str) -> int:
        return self.driver.advanced(keep=False).account(unit).effective_mc

    def next_due(self) -> int:
        due_at = self.driver.state.due_at
        return FOREVER if due_at.year > 2_200 else to_instant(due_at)

    def seen_assets(self) -> set[str]:
        return set(self.quotas) | {row["metric"] for row in self.usages if row["metric"]}


def live(driver: CoreDriver, random: Random, *, overspends: bool) -> None:
    driver.start()
    shadow = Shadow(driver)
    chooser = Chooser(random)
    history: list[str] = []
    for _ in range(LIFE):
        if random.random() < 0.2:
            seconds = chooser.span(shadow)  # type: ignore[arg-type]
            driver.advance(seconds)
            history.append(f"advance {seconds} s")
        else:
            command = chooser.command(shadow)  # type: ignore[arg-type]
            if command.name == "set_policy" and not overspends:
                continue
            arguments = {name: value for name, value in command.arguments.items() if name != "record"}
            arguments.pop("allow_negative", None)
            outcome = driver.perform(command._replace(arguments=arguments))
            history.append(f"{command.name} {arguments} -> {outcome.refusal or outcome.facts}")
            if command.name == "subscribe" and outcome.refusal is None:
                shadow.subscription = "subscribed"
        wrong = broken_promises(driver, overspends=overspends)
        assert not wrong, "\n  ".join([*wrong, "after", *history])
    check_ledger(driver)


def broken_promises(driver: CoreDriver, *, overspends: bool) -> list[str]:
    draft = driver.advanced(keep=False)
    wrong: list[str] = []
    now = driver.context().now
    for unit, account in draft.accounts.items():
        blocks = draft.live_blocks(unit)
        held = sum(hold.reserved_mc for hold in draft.holds.values() if hold.unit == unit)
        if sum(block.remaining_mc for block in blocks) != account.blocks_mc or held != account.reserved_mc:
            wrong.append(f"{unit}: the sums of blocks and holds are not the account's")
        if not overspends and (account.overdraft_mc or account.effective_mc < 0):
            wrong.append(
                f"{unit}: overspent: effective {account.effective_mc}, overdraft {account.overdraft_mc}"
            )
        if account.overdraft_mc and account.free_mc:
            wrong.append(f"{unit}: overdraft {account.overdraft_mc} beside free credits {account.free_mc}")
        for block in blocks:
            if block.remaining_mc <= 0:
                wrong.append(f"{unit}: a live block with nothing in it")
            over = block.expires_at is not None and block.expires_at <= now and not block.is_frozen
            if over and (not block.is_kept or not held):
                wrong.append(f"{unit}: live past its expiry: {block}")
    return wrong


def check_ledger(driver: CoreDriver) -> None:
    driver.advanced(keep=True)
    for unit, account in driver.state.accounts.items():
        entries = [entry for entry in driver.entries if entry.unit == unit]
        assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
        assert sum(entry.delta_mc for entry in entries) == account.balance_mc
        assert sum(entry.reserved_delta_mc for entry in entries) == account.reserved_mc


@pytest.mark.parametrize("seeds", [range(100), range(100, 200)])
def test_nobody_overspends_without_a_policy(seeds: range) -> None:
    for seed in seeds:
        random = Random(seed)
        world = World(STRICT, {}, {}, policy="block", limit=None, descending=random.random() < 0.3)
        live(CoreDriver(world), random, overspends=False)


@pytest.mark.parametrize("make", [quota_world, plan_world])
def test_promises_hold_in_every_world(make: Any) -> None:
    for seed in range(240):
        random = Random(seed)
        live(CoreDriver(make(random)), random, overspends=True)
