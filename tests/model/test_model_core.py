"""Random commands on the pure core against the reference model: at least 20,000 steps, three kinds of worlds."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.model.driver import CoreDriver
from tests.model.machine import Machine
from tests.model.worlds import credit_world, plan_world, quota_world
from tests.rigs.figures import tell

LIFE = 60
WORLDS = {"credits": credit_world, "quotas": quota_world, "plans": plan_world}
SEEDS = {"credits": range(160), "quotas": range(1_000, 1_160), "plans": range(2_000, 2_160)}
# What a run must have walked through to mean anything.
ROADS = {
    "credits": {
        "insufficient-credits",
        "reservation-not-active",
        "asset-suspended",
        "no-active-metering-rule",
    },
    "quotas": {"quota-exceeded", "quota-rate-limited", "asset-suspended", "conflict"},
    "plans": {"subscription-state-conflict", "conflict", "insufficient-credits"},
}


@pytest.mark.parametrize("kind", list(WORLDS))
def test_core_follows_the_model(kind: str) -> None:
    steps, refusals = 0, set()
    for seed in SEEDS[kind]:
        random = Random(seed)
        world = WORLDS[kind](random)
        machine = Machine(world, CoreDriver(world), random)
        try:
            machine.run(LIFE)
        except AssertionError as mismatch:
            raise AssertionError(f"seed {seed}: {mismatch}") from None
        steps += machine.steps
        refusals |= set(machine.refusals)
    tell("P1", "P2", ran=f"{len(SEEDS[kind])} random lives of {kind} against the model", cases=steps)
    assert steps >= 9_600
    assert refusals >= ROADS[kind]


@pytest.mark.parametrize("kind", list(WORLDS))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False))
def test_core_follows_the_model_and_shrinks(kind: str, random: Random) -> None:
    """The same with choices that Hypothesis makes: a failure comes back as the shortest life that shows it."""
    world = WORLDS[kind](random)
    Machine(world, CoreDriver(world), random).live(15)
