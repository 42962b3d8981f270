"""A thousand customers, a fifth of them with a failing receiver, one dead endpoint, two workers, ten kills.

How long lanes wait that no killed worker held: compared within one run. The bounds leave room for a machine that does
other things too; the figures are what counts.
"""

import asyncio
import sys

from tests.conftest import RunCluster
from tests.rigs.figures import tell
from tests.workers.kill_story import Delay, run_story

RATIO_MAX = {"p50_ms": 4.0, "p99_ms": 10.0}
# What a busy machine may do to a phase alone.
NOISE_MS = {"p50_ms": 50.0, "p99_ms": 250.0}


def _show(delay: Delay) -> str:
    return f"{delay.p50_ms:g}/{delay.p99_ms:g}"


def test_deliveries_while_workers_die(cluster: RunCluster) -> None:
    figures = asyncio.run(run_story(cluster.make(), customers=1_000, rate=100, phase_seconds=15, kills=10))
    sys.stdout.write(f"\n{figures.shown()}\n")
    calm, sick, wild = (
        figures.delays[phase]["healthy"] for phase in ("all well", "failing and dead", "kills too")
    )
    tell(
        "P26",
        "P27",
        ran=f"{figures.kills} kills of two workers, {figures.duplicates} duplicates; ms to the first attempt in lanes"
        f" that are well, p50/p99: {_show(calm)} before, {_show(sick)} beside failing and dead ones,"
        f" {_show(wild)} under kills",
        cases=figures.events,
        kills=figures.kills,
    )
    assert figures.events == 4_500
    for later in (sick, wild):
        for part, ratio in RATIO_MAX.items():
            assert getattr(later, part) <= max(ratio * getattr(calm, part), NOISE_MS[part]), part
