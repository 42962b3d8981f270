"""One step equals many: a life whose clock jumps and the same life whose time passes bit by bit."""

from random import Random
from typing import Any

import pytest
from tests.model.driver import CoreDriver
from tests.model.test_model_invariants import Shadow
from tests.model.worlds import Chooser, plan_world, quota_world

DAY_SECONDS = 86_400


def pass_slowly(driver: CoreDriver, seconds: int, random: Random) -> None:
    """The same span in days and in random pieces of a day, each swept."""
    while seconds:
        piece = min(seconds, random.choice([1, 3_600, DAY_SECONDS, DAY_SECONDS, 7 * DAY_SECONDS]))
        driver.advance(piece)
        driver.advanced(keep=True)
        seconds -= piece


@pytest.mark.parametrize("make", [quota_world, plan_world])
def test_one_step_equals_many(make: Any) -> None:
    for seed in range(3_000, 3_060):
        choices, pieces = Random(seed), Random(seed)
        world = make(choices)
        jumping, passing = CoreDriver(world), CoreDriver(world)
        jumping.start()
        passing.start()
        chooser = Chooser(choices)
        shadow = Shadow(jumping)
        for _ in range(25):
            if choices.random() < 0.3:
                seconds = choices.choice([60, 3_600, DAY_SECONDS, 31 * DAY_SECONDS, 400 * DAY_SECONDS])
                jumping.advance(seconds)
                pass_slowly(passing, seconds, pieces)
                continue
            command = chooser.command(shadow)  # type: ignore[arg-type]
            told = [driver.perform(command) for driver in (jumping, passing)]
            assert told[0] == told[1], (seed, command)
            if command.name == "subscribe" and told[0].refusal is None:
                shadow.subscription = "subscribed"
        for driver in (jumping, passing):
            driver.advanced(keep=True)
        assert jumping.entries == passing.entries, seed
        assert jumping.events == passing.events, seed
        assert jumping.state.accounts == passing.state.accounts
