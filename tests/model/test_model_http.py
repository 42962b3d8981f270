"""Random commands over HTTP against the reference model: answers, balances, blocks, holds, books."""

from random import Random

import pytest
from tests.api.stories import Story
from tests.model.http_driver import HttpDriver
from tests.model.machine import Machine
from tests.model.worlds import credit_world

STEPS = 60


@pytest.mark.parametrize("seed", range(6))
def test_credits_follow_the_model(story: Story, seed: int) -> None:
    random = Random(seed)
    world = credit_world(random)
    machine = Machine(world, HttpDriver(story, world), random)
    machine.live(STEPS, books_every=15)
    assert machine.names["use"] > 0
