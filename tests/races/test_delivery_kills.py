"""Two delivery workers, killed in turn: order kept, nothing lost."""

import asyncio
import sys

import pytest
from tests.conftest import ScratchDatabase
from tests.workers.kill_story import run_story


@pytest.mark.slow
def test_killed_workers_lose_and_reorder_nothing(database: ScratchDatabase) -> None:
    figures = asyncio.run(run_story(database, customers=100, rate=50, phase_seconds=4, kills=3))
    sys.stdout.write(f"{figures.shown()}\n")
    assert figures.events == 600
    # At most what was on the wire at a kill comes twice.
    assert figures.duplicates <= 3 * 256
