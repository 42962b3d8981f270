"""A thousand customers, a fifth of them with a failing receiver, one dead endpoint, two workers, ten kills."""

import asyncio
import sys

from tests.conftest import RunCluster
from tests.workers.kill_story import run_story


def test_deliveries_while_workers_die(cluster: RunCluster) -> None:
    calm = asyncio.run(run_story(cluster.make(), customers=1_000, events_each=3, kills=0, is_calm=True))
    wild = asyncio.run(run_story(cluster.make(), customers=1_000, events_each=3, kills=10))
    sys.stdout.write(f"\ncalm: {calm}\nwild: {wild}\n")
    assert calm.events == wild.events == 3_000
    assert calm.duplicates == 0
