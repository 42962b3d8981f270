"""Deliveries while workers are killed: what must hold, and the figures to print."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

from tests.conftest import ScratchDatabase
from tests.workers.delivery_world import DeliveryWorld
from tests.workers.receiver_lab import Lab

from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.tenancy import environment_transaction
from quotastack.store.webhooks import load_endpoint_filters

TELLERS = 3
SCRIPT = Path(__file__).with_name("worker_process.py")


class Figures(NamedTuple):
    """What a run showed."""

    events: int
    accepted: int
    duplicates: int
    refused: int
    kills: int
    seconds: float
    delay_p50_ms: float
    delay_p99_ms: float


class WorkerProcess:
    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**os.environ, **environment}
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT)], env=self.environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "working\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def stop(self) -> None:
        self.process.terminate()
        self.end()

    def end(self) -> None:
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


async def run_story(
    database: ScratchDatabase, *, customers: int, events_each: int, kills: int, is_calm: bool = False
) -> Figures:
    """Deliver to a receiver that fails a fifth of the customers' first attempts, beside an endpoint that is dead.

    ``is_calm``: no failures, no dead endpoint, no kills; the delays to compare with.
    """
    tried: Counter[str] = Counter()
    sick: set[str] = set()

    def decide(event: dict[str, Any]) -> int:
        tried[event["id"]] += 1
        return 503 if event["customer_id"] in sick and tried[event["id"]] == 1 else 200

    world = DeliveryWorld(database)
    async with world.opened(), Lab(decide) as lab:
        good = await world.endpoint(f"{lab.url}/good")
        if not is_calm:
            await world.endpoint("http://127.0.0.1:9/")
        ids = [await world.customer() for _ in range(customers)]
        if not is_calm:
            sick.update(ids[::5])
        environment = {
            **database.environment,
            "QUOTASTACK_WEBHOOK_RETRY_WAITS": "1,300,1800",
            "QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "1",
            "QUOTASTACK_WEBHOOK_TIMEOUT_SECONDS": "1",
        }
        workers = [WorkerProcess(environment) for _ in range(2)]
        started_at = monotonic_seconds()
        try:
            await asyncio.gather(
                _tell_all(world, ids, events_each),
                _kill_some(workers, kills),
                _wait_all(world, good, customers * events_each),
            )
        finally:
            for worker in workers:
                worker.stop()
        seconds = monotonic_seconds() - started_at
        delays = await _delays(world, good, ids, sick)
    return _judge(lab, kills, seconds, delays)


async def _tell_all(world: DeliveryWorld, ids: list[str], events_each: int) -> None:
    async with environment_transaction(world.pools.reads, world.environment_id) as tx:
        endpoints = await load_endpoint_filters(tx, world.environment_id)

    async def tell_some(some: list[str]) -> None:
        order = [customer_id for customer_id in some for _ in range(events_each)]
        random.Random(11).shuffle(order)
        for customer_id in order:
            await world.tell(customer_id, endpoints=endpoints)

    await asyncio.gather(*(tell_some(ids[start::TELLERS]) for start in range(TELLERS)))


async def _kill_some(workers: list[WorkerProcess], kills: int) -> None:
    for number in range(kills):
        await asyncio.sleep(0.7)
        victim = workers[number % len(workers)]
        await asyncio.to_thread(victim.kill)
        await asyncio.to_thread(victim.start)


async def _wait_all(world: DeliveryWorld, endpoint_id: str, count: int) -> None:
    async with asyncio.timeout(300):
        while True:
            (row,) = await world.fetch(
                "SELECT count(*) AS done FROM quotastack.webhook_deliveries"
                " WHERE endpoint_id = $1::uuid AND status = 'succeeded'",
                endpoint_id,
            )
            if row["done"] == count:
                return
            await asyncio.sleep(0.2)


async def _delays(world: DeliveryWorld, endpoint_id: str, ids: list[str], sick: set[str]) -> list[float]:
    """Milliseconds from queueing to success, of the customers whose receiver is well."""
    rows = await world.fetch(
        "SELECT customer_id::text AS customer, extract(epoch FROM finished_at - created_at)::float * 1000 AS delay"
        " FROM quotastack.webhook_deliveries WHERE endpoint_id = $1::uuid",
        endpoint_id,
    )
    return [row["delay"] for row in rows if row["customer"] not in sick]


def _judge(lab: Lab, kills: int, seconds: float, delays: list[float]) -> Figures:
    by_lane: defaultdict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    refused = duplicates = 0
    for event, _, status in lab.received:
        if status != 200:
            refused += 1
        elif event["id"] in seen:
            duplicates += 1
        else:
            seen.add(event["id"])
            by_lane[event["customer_id"]].append(event["sequence"])
    for customer_id, sequences in by_lane.items():
        assert sequences == list(range(1, len(sequences) + 1)), (
            f"{customer_id}: first deliveries in order, none lost"
        )
    cuts = quantiles(delays, n=100)
    return Figures(
        events=len(seen),
        accepted=len(seen) + duplicates,
        duplicates=duplicates,
        refused=refused,
        kills=kills,
        seconds=round(seconds, 1),
        delay_p50_ms=round(cuts[49]),
        delay_p99_ms=round(cuts[98]),
    )
