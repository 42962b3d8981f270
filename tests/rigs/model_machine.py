"""Random lives on the pure core against the reference model, as many as asked for.

``python -m tests.rigs.model_machine --kind plans --seeds 17 --steps 250`` repeats the life that failed.
"""

import argparse
import json
import sys
from collections import Counter
from random import Random

from tests.model.driver import CoreDriver
from tests.model.machine import Machine
from tests.model.worlds import credit_world, plan_world, quota_world

WORLDS = {"credits": credit_world, "quotas": quota_world, "plans": plan_world}
MODULE = "tests.rigs.model_machine"
TOLD_EVERY = 100


def live(kind: str, seed: int, steps: int) -> Machine:
    """One seed: lives one after the other in one world until so many steps are done.

    Raises:
        AssertionError: the first difference, with the whole life and the command that repeats it.
    """
    random = Random(f"{kind} {seed}")
    world = WORLDS[kind](random)
    machine = Machine(world, CoreDriver(world), random)
    try:
        machine.run(steps)
    except AssertionError as difference:
        again = f"python -m {MODULE} --kind {kind} --seeds {seed} --steps {steps}"
        raise AssertionError(f"{difference}\nagain: {again}") from None
    return machine


def live_all(kinds: list[str], seeds: range, steps: int) -> dict[str, Counter[str]]:
    """Every kind with every seed; for each kind how many steps, lives, commands and refusals there were."""
    told = {kind: Counter[str]() for kind in kinds}
    for count, seed in enumerate(seeds, 1):
        for kind in kinds:
            machine = live(kind, seed, steps)
            told[kind].update(
                {
                    "steps": machine.steps,
                    "seeds": 1,
                    "commands": sum(machine.names.values()) - machine.names["advance"],
                    "moves of the clock": machine.names["advance"],
                    "grey": sum(machine.greys.values()),
                    **{f"refused {slug}": number for slug, number in machine.refusals.items()},
                }
            )
        if count % TOLD_EVERY == 0 or count == len(seeds):
            done = sum(counts["steps"] for counts in told.values())
            sys.stderr.write(f"seeds {seeds[0]} to {seed}: {done:,} steps as the model says\n")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=list(WORLDS), help="one kind of worlds; all without it")
    parser.add_argument("--seeds", required=True, help="one seed, or first:end")
    parser.add_argument("--steps", type=int, default=250, help="steps for each seed")
    asked = parser.parse_args()
    first, _, end = asked.seeds.partition(":")
    seeds = range(int(first), int(end) if end else int(first) + 1)
    told = live_all([asked.kind] if asked.kind else list(WORLDS), seeds, asked.steps)
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
