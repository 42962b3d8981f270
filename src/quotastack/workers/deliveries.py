"""The delivery worker: claims lanes, sends the delivery at the head of each, writes down what came of it.

Any number of workers share the lanes of all environments. A lane has one delivery in flight, whoever sends it: it
is leased, and the deadline of an attempt ends before its lease. No database connection is held while a receiver
thinks. NOTIFY only wakes: what is due is found by asking, so a lost notice costs a second, never a delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from quotastack.core.deliveries import JITTER_PERMILLE
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.clock import monotonic_seconds, unix_seconds
from quotastack.runtime.database import Connection
from quotastack.runtime.telemetry import get_logger
from quotastack.services.container import Services
from quotastack.services.webhook_delivery import (
    WAKE_CHANNEL,
    Prepared,
    Sent,
    claim_due_lanes,
    close_failing_endpoints,
    open_lanes,
    seconds_to_due,
    settle_attempts,
)
from quotastack.workers.delivery_metrics import ATTEMPT_SECONDS, ATTEMPTS, IN_FLIGHT, OVERDUE_SECONDS
from quotastack.workers.sender import Sender

SLOTS: Final = 256
CLAIM_MAX: Final = 64

# A receiver that hangs holds its own slots only; claims pass it over once it has this many.
SLOTS_PER_ENDPOINT: Final = 32

# While an endpoint is passed over its lanes pile up before all others. Then claims look at the newest only, but for
# one in a second that looks at all: no lane in their midst is forgotten.
LOOKED_AT_MAX: Final = 512
LOOK_AT_ALL_SECONDS: Final = 1.0

# What a lease has beyond the deadline of an attempt: time to prepare, to queue and to write the result.
LEASE_MARGIN_SECONDS: Final = 15.0
SEND_MARGIN_SECONDS: Final = 2.0

POLL_SECONDS: Final = 1.0
POLL_MIN_SECONDS: Final = 0.02
RETRY_LISTEN_SECONDS: Final = 2.0

log = get_logger(__name__)


def _draw_jitter() -> int:
    return random.randint(-JITTER_PERMILLE, JITTER_PERMILLE)  # noqa: S311 - spreads load, hides nothing


class DeliveryWorker:
    """One worker of a process. ``draw`` gives the jitter of a wait, in thousandths of it."""

    name = "deliveries"

    def __init__(
        self,
        services: Services,
        *,
        sender: Callable[[], Sender] | None = None,
        draw: Callable[[], int] = _draw_jitter,
    ) -> None:
        self._services = services
        self._make_sender = sender or self._default_sender
        self._draw = draw
        self._timeout_seconds = float(services.settings.webhook_timeout_seconds)
        self._lease_seconds = self._timeout_seconds + LEASE_MARGIN_SECONDS
        self._wake = asyncio.Event()
        self._results: asyncio.Queue[Sent] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_endpoint: Counter[str] = Counter()
        self._is_stopping = False
        self._looked_at_all_at = 0.0

    def _default_sender(self) -> Sender:
        return Sender(allow_private=self._services.settings.webhook_allow_private, connections_max=SLOTS)

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver until ``stopping`` is set; then what is on the wire ends, and its results are written."""
        self._is_stopping = False
        if self._services.settings.webhook_allow_private:
            log.warning(
                "Webhooks may be sent to private and loopback addresses: never allow this in production."
            )
        self._sender = self._make_sender()
        side = [
            asyncio.create_task(self._listen(), name="deliveries-listen"),
            asyncio.create_task(self._settle_results(), name="deliveries-settle"),
            asyncio.create_task(self._note_stop(stopping), name="deliveries-stop"),
        ]
        try:
            while not stopping.is_set():
                await self._claim_and_send()
            await self._results.join()
            while self._tasks:
                await asyncio.wait(set(self._tasks))
                await self._results.join()
        finally:
            for task in (*side, *self._tasks):
                task.cancel()
            await asyncio.gather(*side, *self._tasks, return_exceptions=True)
            await self._sender.close()

    async def _note_stop(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._is_stopping = True
        self._wake.set()

    async def _claim_and_send(self) -> None:
        """Claim as many lanes as there are slots, or wait until that may be worth trying."""
        self._wake.clear()
        slots = SLOTS - len(self._tasks)
        passed_over = [
            endpoint_id for endpoint_id, count in self._by_endpoint.items() if count >= SLOTS_PER_ENDPOINT
        ]
        if slots > 0 and await self._claim(min(slots, CLAIM_MAX), passed_over):
            return
        wait_seconds = POLL_SECONDS
        if slots > 0:
            due_seconds = await seconds_to_due(self._services)
            OVERDUE_SECONDS.set(max(0.0, -(due_seconds or 0.0)))
            if due_seconds is not None:
                least = POLL_MIN_SECONDS * (5 if passed_over else 1)
                wait_seconds = min(POLL_SECONDS, max(least, due_seconds))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), wait_seconds)

    async def _claim(self, lanes_max: int, passed_over: Sequence[str]) -> bool:
        now_seconds = monotonic_seconds()
        looks_at_all = not passed_over or now_seconds - self._looked_at_all_at >= LOOK_AT_ALL_SECONDS
        if passed_over and looks_at_all:
            self._looked_at_all_at = now_seconds
        claim = await claim_due_lanes(
            self._services,
            lease_seconds=self._lease_seconds,
            lanes_max=lanes_max,
            passed_over=passed_over,
            looked_at_max=None if looks_at_all else LOOKED_AT_MAX,
        )
        for environment_id, lanes in claim.lanes.items():
            leased_at = monotonic_seconds()
            try:
                prepared = await open_lanes(
                    self._services,
                    environment_id,
                    lanes,
                    lease_id=claim.lease_id,
                    lease_seconds=self._lease_seconds,
                    keeps_lease=not self._is_stopping,
                )
            except Exception:
                # One environment's trouble is not another's: its lanes come back when the lease ends.
                log.exception(
                    "Claimed lanes could not be opened.", environment_id=environment_id, count=len(lanes)
                )
            else:
                self._send_all(prepared, leased_at)
        return bool(claim.lanes)

    def _send_all(self, prepared: Sequence[Prepared], leased_at: float) -> None:
        for one in prepared:
            task = asyncio.create_task(self._send(one, leased_at), name="delivery")
            self._tasks.add(task)
            self._by_endpoint[one.head.lane.endpoint_id] += 1
            task.add_done_callback(lambda done, one=one: self._forget(done, one))
        IN_FLIGHT.set(len(self._tasks))

    def _forget(self, task: asyncio.Task[None], prepared: Prepared) -> None:
        self._tasks.discard(task)
        endpoint_id = prepared.head.lane.endpoint_id
        left = self._by_endpoint[endpoint_id] = self._by_endpoint[endpoint_id] - 1
        if left == 0:
            del self._by_endpoint[endpoint_id]
        # Its lanes were passed over until now; and below, nobody's lanes could be claimed.
        if left == SLOTS_PER_ENDPOINT - 1:
            self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            log.error(
                "An attempt broke off; its lane is given back when the lease ends.", exc_info=task.exception()
            )
        if len(self._tasks) >= SLOTS - CLAIM_MAX:
            self._wake.set()

    async def _send(self, prepared: Prepared, leased_at: float) -> None:
        """One attempt. Whoever comes too late for the lease sends nothing: the lane is another's by then."""
        left = leased_at + self._lease_seconds - monotonic_seconds()
        if left < self._timeout_seconds + SEND_MARGIN_SECONDS:
            return
        attempted_at = self._services.clock.now()
        if prepared.body is None:
            self._results.put_nowait(Sent(prepared, None, attempted_at))
            return
        answer = await self._sender.send(
            prepared.head.url,
            body=prepared.body,
            headers=prepared.headers(unix_seconds()),
            deadline_seconds=self._timeout_seconds,
        )
        ATTEMPTS.labels("error" if answer.status is None else f"{answer.status // 100}xx").inc()
        ATTEMPT_SECONDS.observe(answer.duration_ms / 1_000)
        self._results.put_nowait(Sent(prepared, answer, attempted_at))

    async def _settle_results(self) -> None:
        """Write results as they come: all that wait at once, one transaction for each environment."""
        while True:
            batch = [await self._results.get()]
            while not self._results.empty():
                batch.append(self._results.get_nowait())
            by_environment: defaultdict[EnvironmentId, list[Sent]] = defaultdict(list)
            for sent in batch:
                by_environment[sent.prepared.head.lane.environment_id].append(sent)
            for environment_id, own in by_environment.items():
                try:
                    await self._settle(environment_id, own)
                except Exception:
                    # The leases end, and the deliveries are made again: at least once.
                    log.exception("Results of deliveries could not be written.", count=len(own))
                finally:
                    for _ in own:
                        self._results.task_done()

    async def _settle(self, environment_id: EnvironmentId, sent: Sequence[Sent]) -> None:
        leased_at = monotonic_seconds()
        settled = await settle_attempts(
            self._services,
            environment_id,
            sent,
            draw=self._draw,
            lease_seconds=self._lease_seconds,
            keeps_lease=not self._is_stopping,
        )
        self._send_all(settled.prepared, leased_at)
        if settled.has_retries:
            # The next retry may be due before the sleep that was planned without it ends.
            self._wake.set()
        await close_failing_endpoints(self._services, environment_id, settled.closing)

    async def _listen(self) -> None:
        """Wake when some process queued deliveries. Without a connection polling goes on alone."""
        while True:
            connection: Connection | None = None
            try:
                connection = await self._services.database.connect_listener()
                await connection.add_listener(WAKE_CHANNEL, lambda *_: self._wake.set())
                self._wake.set()
                while not connection.is_closed():  # noqa: ASYNC110 - the library tells of an end by no event of ours
                    await asyncio.sleep(RETRY_LISTEN_SECONDS)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(RETRY_LISTEN_SECONDS)
            finally:
                if connection is not None:
                    connection.terminate()
