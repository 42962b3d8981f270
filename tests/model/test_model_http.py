"""Random commands over HTTP against the reference model: answers, balances, blocks, holds, books."""

from random import Random

import pytest
from tests.api.stories import Story
from tests.model.http_driver import HttpDriver
from tests.model.machine import Machine
from tests.model.worlds import credit_world, plan_world, quota_world

STEPS = 45
WORLDS = {"credits": credit_world, "quotas": quota_world, "plans": plan_world}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", list(WORLDS))
def test_product_follows_the_model(story: Story, kind: str, seed: int) -> None:
    random = Random(f"{kind}:{seed}")
    world = WORLDS[kind](random)
    machine = Machine(world, HttpDriver(story, world), random)
    machine.run(STEPS, books_every=15)
    assert sum(machine.names.values()) > STEPS // 2
