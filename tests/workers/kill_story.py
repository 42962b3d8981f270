"""Deliveries while receivers fail and workers are killed: what must hold, and whose deliveries wait for it.

One run in three phases under the same steady load to two endpoints: all receivers well; a fifth of the customers'
receivers failing, and one endpoint silent; the same with workers killed. The delay is the time from an event's commit
to its first arrival at the receiver.
"""

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import Any, Literal, NamedTuple

from tests.conftest import ScratchDatabase
from tests.workers.delivery_world import DeliveryWorld
from tests.workers.receiver_lab import Lab
from tests.workers.worker_process import WorkerProcess, lease_prefix

from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.tenancy import environment_transaction
from quotastack.store.webhooks import load_endpoint_filters

Phase = Literal["all well", "failing and dead", "kills too"]
Group = Literal["healthy", "held", "failing", "dead"]

# How long a receiver thinks: so that something is on the wire whenever a worker dies.
ANSWER_SECONDS = 0.04

LEASED_LANES = """
    SELECT endpoint_id::text AS endpoint, lane_id::text AS customer,
           extract(epoch FROM due_at - clock_timestamp())::float AS left_seconds
      FROM quotastack.webhook_lanes WHERE lease_id::text LIKE $1
"""
COUNT_DELIVERED = """
    SELECT count(*) AS done FROM quotastack.webhook_deliveries
     WHERE endpoint_id = $1::uuid AND status = 'succeeded'
"""


class Delay(NamedTuple):
    """How long first attempts took to come."""

    count: int
    p50_ms: float
    p99_ms: float


class Figures(NamedTuple):
    """What a run showed. ``held``: lanes whose lease a killed worker took along."""

    events: int
    accepted: int
    duplicates: int
    refused: int
    kills: int
    seconds: float
    delays: dict[Phase, dict[Group, Delay]]

    def shown(self) -> str:
        """One line for each group of each phase."""
        lines = [
            f"{phase:<17} {group:<8} {delay.count:>6}  p50 {delay.p50_ms:>8.1f} ms  p99 {delay.p99_ms:>8.1f} ms"
            for phase, groups in self.delays.items()
            for group, delay in groups.items()
        ]
        counts = (
            f"{self.events} events, {self.duplicates} duplicates, {self.refused} refused, {self.kills} kills"
        )
        return "\n".join([f"{counts}, {self.seconds} s", *lines])


class Told(NamedTuple):
    """An event that was committed."""

    phase: Phase
    customer_id: str
    committed_at: float


class Hold(NamedTuple):
    """A lane was leased by a worker that was killed."""

    since: float
    until: float


class Mute:
    """An endpoint that answers until it is ``dead``: then it takes requests and says nothing.

    ``arrived`` has the first arrival of each event.
    """

    def __init__(self) -> None:
        self.is_dead = False
        self.arrived: dict[str, float] = {}
        self.writers: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mute"
        finally:
            server.close()
            for writer in self.writers:
                writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
                await reader.readexactly(int(fields["content-length"]))
                self.arrived.setdefault(fields["webhook-id"], monotonic_seconds())
                if not self.is_dead:
                    writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


class Story:
    """The world of one run, and what was seen in it."""

    def __init__(
        self, database: ScratchDatabase, *, customers: int, rate: float, phase_seconds: float
    ) -> None:
        self.database = database
        self.world = DeliveryWorld(database)
        self.customers = customers
        self.events_each_phase = round(rate * phase_seconds)
        self.rate = rate
        self.told: dict[str, Told] = {}
        self.arrived: dict[str, float] = {}
        self.sick: set[str] = set()
        self.holds: defaultdict[tuple[str, str], list[Hold]] = defaultdict(list)
        self.mute = Mute()
        self.draw = random.Random(11)

    def decide(self, event: dict[str, Any]) -> int:
        """A sick customer's receiver refuses the first attempt."""
        is_first = event["id"] not in self.arrived
        if is_first:
            self.arrived[event["id"]] = monotonic_seconds()
        return 503 if is_first and event["customer_id"] in self.sick else 200

    async def run(self, kills: int) -> Figures:
        """The three phases, then until everything has been delivered."""
        async with (
            self.world.opened(),
            Lab(self.decide, pause_seconds=ANSWER_SECONDS) as lab,
            self.mute.opened() as mute_url,
        ):
            self.good = await self.world.endpoint(f"{lab.url}/good")
            await self.world.endpoint(mute_url)
            self.ids = [await self.world.customer() for _ in range(self.customers)]
            environment = {
                **self.database.environment,
                "QUOTASTACK_WEBHOOK_RETRY_WAITS": "1,1,1,1,1,1,1",
                "QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "1",
                "QUOTASTACK_WEBHOOK_TIMEOUT_SECONDS": "1",
            }
            workers = [await asyncio.to_thread(WorkerProcess, environment) for _ in range(2)]
            started_at = monotonic_seconds()
            try:
                await self._tell("all well")
                self.sick.update(self.ids[::5])
                self.mute.is_dead = True
                await self._tell("failing and dead")
                await asyncio.gather(self._tell("kills too"), self._kill_some(workers, kills))
                await self._until_delivered(300)
            finally:
                for worker in workers:
                    await asyncio.to_thread(worker.stop)
            return self._judge(lab, kills, monotonic_seconds() - started_at)

    async def _tell(self, phase: Phase) -> None:
        """Events of random customers at a steady pace, whatever becomes of them; then until all have come once."""
        async with environment_transaction(self.world.pools.reads, self.world.environment_id) as tx:
            endpoints = await load_endpoint_filters(tx, self.world.environment_id)
        order = (self.ids * (1 + self.events_each_phase // len(self.ids)))[: self.events_each_phase]
        self.draw.shuffle(order)
        began_at = monotonic_seconds()
        tasks: set[asyncio.Task[None]] = set()

        async def tell(customer_id: str) -> None:
            async with locks[customer_id]:
                [event_id] = await self.world.tell(customer_id, endpoints=endpoints)
                self.told[event_id] = Told(phase, customer_id, monotonic_seconds())

        locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        for number, customer_id in enumerate(order):
            await asyncio.sleep(began_at + number / self.rate - monotonic_seconds())
            task = asyncio.create_task(tell(customer_id))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)
        async with asyncio.timeout(60):
            while self.told.keys() - self.arrived.keys():  # noqa: ASYNC110 - other tasks are waited for, none is ours
                await asyncio.sleep(0.05)

    async def _kill_some(self, workers: list[WorkerProcess], kills: int) -> None:
        pause_seconds = self.events_each_phase / self.rate / (kills + 1)
        for victim in itertools.islice(itertools.cycle(workers), kills):
            await asyncio.sleep(pause_seconds)
            killed_at = monotonic_seconds()
            await asyncio.to_thread(victim.kill)
            # Twice: a backend may still commit what its dead client sent.
            await self._note_held(victim.process_id, killed_at)
            before = victim.process_id
            await asyncio.to_thread(victim.start)
            await self._note_held(before, killed_at)

    async def _note_held(self, process_id: int, killed_at: float) -> None:
        for row in await self.world.fetch(LEASED_LANES, lease_prefix(process_id) + "%"):
            hold = Hold(killed_at, monotonic_seconds() + row["left_seconds"])
            self.holds[row["endpoint"], row["customer"]].append(hold)

    async def _until_delivered(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            while True:
                [row] = await self.world.fetch(COUNT_DELIVERED, self.good)
                if row["done"] == len(self.told):
                    return
                await asyncio.sleep(0.1)

    def _delays(self) -> dict[Phase, dict[Group, Delay]]:
        found: defaultdict[Phase, defaultdict[Group, list[float]]] = defaultdict(lambda: defaultdict(list))
        for event_id, (phase, customer_id, committed_at) in self.told.items():
            arrived_at = self.arrived[event_id]
            held = self.holds.get((self.good, customer_id), ())
            group: Group = "healthy"
            if any(hold.since <= arrived_at and committed_at <= hold.until for hold in held):
                group = "held"
            elif phase != "all well" and customer_id in self.sick:
                group = "failing"
            found[phase][group].append(1_000 * (arrived_at - committed_at))
            if phase != "all well" and event_id in self.mute.arrived:
                found[phase]["dead"].append(1_000 * (self.mute.arrived[event_id] - committed_at))
        return {
            phase: {group: _summed(found[phase][group]) for group in sorted(found[phase])} for phase in found
        }

    def _judge(self, lab: Lab, kills: int, seconds: float) -> Figures:
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
            assert sequences == list(range(1, len(sequences) + 1)), f"{customer_id}: in order, none lost"
        assert seen == self.told.keys()
        return Figures(
            events=len(seen),
            accepted=len(seen) + duplicates,
            duplicates=duplicates,
            refused=refused,
            kills=kills,
            seconds=round(seconds, 1),
            delays=self._delays(),
        )


def _summed(delays: list[float]) -> Delay:
    cuts = quantiles(delays, n=100) if len(delays) > 1 else delays * 99
    return Delay(len(delays), round(cuts[49], 1), round(cuts[98], 1))


async def run_story(
    database: ScratchDatabase, *, customers: int, rate: float, phase_seconds: float, kills: int
) -> Figures:
    """``rate`` events a second in each of the three phases; the kills are spread over the last."""
    story = Story(database, customers=customers, rate=rate, phase_seconds=phase_seconds)
    return await story.run(kills)
