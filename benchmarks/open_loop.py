"""Load that does not wait: so many requests a second, whatever becomes of them.

A closed loop asks less of a server that is slow; this one does not. A request goes out when its time has come, over any
connection that is free, over a new one if none is; its latency counts from the time it should have gone out. With
``--rate 0`` each connection sends its next request when it has the last answer: the top, by the same generator.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import resource
import sys
from collections import Counter, deque
from typing import cast

import uvloop

TICK_SECONDS = 0.002
CONNECTIONS_MAX = 15_000
DRAIN_SECONDS = 6.0


class Load:
    """One run of requests; ``skip_seconds`` at its beginning do not count."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.loop = asyncio.get_running_loop()
        self.statuses: Counter[str] = Counter()
        self.latencies: dict[str, list[float]] = {}
        self.idle: deque[Link] = deque()
        self.links = 0
        self.sent = self.counted_sent = self.unsent = self.lost = self.without_wait = 0
        self.is_over = False
        self.prefix = f"{os.getpid()}:{random.randrange(1 << 30)}"

    def request(self) -> bytes:
        """A usage event of a random customer, with a key of its own."""
        self.sent += 1
        body = (
            b'{"external_customer_id":"customer-%d","billable_metric_key":"api_calls","units":1}'
            % random.randrange(1, self.given.customers + 1)
        )
        return (
            b"POST /v1/usage HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %b\r\nContent-Type: application/json\r\n"
            b"Idempotency-Key: %b:%d\r\nContent-Length: %d\r\n\r\n%b"
            % (os.environ["BENCH_API_KEY"].encode(), self.prefix.encode(), self.sent, len(body), body)
        )

    async def connect(self, count: int) -> None:
        """Open connections; those that cannot be opened are counted as lost."""
        self.links += count
        opening = (
            self.loop.create_connection(lambda: Link(self), "127.0.0.1", self.given.port)
            for _ in range(count)
        )
        for result in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(result, BaseException):
                self.links -= 1
                self.lost += 1

    def answered(self, link: Link, status: str, seconds: float, *, has_wait: bool) -> None:
        """Note an answer; the connection is free."""
        now = self.loop.time()
        if self.counts_from <= now <= self.ends_at:
            self.statuses[status] += 1
            self.latencies.setdefault(status, []).append(seconds)
            self.without_wait += status == "503" and not has_wait
        if self.given.rate == 0 and now < self.ends_at:
            link.send(self.request(), now)
        else:
            self.idle.append(link)

    async def run(self) -> None:
        """Connect, load, wait for the last answers."""
        await self.connect(self.given.connections)
        began_at = self.loop.time()
        self.counts_from = began_at + self.given.skip
        self.ends_at = self.counts_from + self.given.seconds
        gc.disable()
        if self.given.rate == 0:
            while self.idle:
                self.idle.popleft().send(self.request(), self.loop.time())
            await asyncio.sleep(self.ends_at - self.loop.time())
        else:
            await self._send_by_the_clock(began_at)
        drained_at = self.loop.time() + DRAIN_SECONDS
        while len(self.idle) < self.links and self.loop.time() < drained_at:  # noqa: ASYNC110 - a drain, not a signal
            await asyncio.sleep(0.05)

    async def _send_by_the_clock(self, began_at: float) -> None:
        number = 0
        connecting: set[asyncio.Task[None]] = set()
        while (now := self.loop.time()) < self.ends_at:
            missing = 0
            while (due_at := began_at + number / self.given.rate) <= now:
                number += 1
                self.counted_sent += due_at >= self.counts_from
                if self.idle:
                    self.idle.popleft().send(self.request(), due_at)
                else:
                    missing += 1
            self.unsent += missing
            if missing and self.links < CONNECTIONS_MAX and not connecting:
                task = asyncio.create_task(self.connect(min(500, max(50, 4 * missing))))
                connecting.add(task)
                task.add_done_callback(connecting.discard)
            await asyncio.sleep(TICK_SECONDS)

    def result(self) -> dict[str, object]:
        """What came of it; times in milliseconds."""

        def at(status: str, share: float) -> float:
            times = sorted(self.latencies[status])
            return round(1_000 * times[int(len(times) * share)], 2)

        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "seconds": self.given.seconds,
            "offered": self.counted_sent or sum(self.statuses.values()),
            "statuses": dict(self.statuses),
            "latency_ms": {
                status: {"p50": at(status, 0.5), "p99": at(status, 0.99), "max": at(status, 0.999999)}
                for status in self.latencies
            },
            "connections": self.links,
            "unsent": self.unsent,
            "lost": self.lost,
            "unanswered": self.links - len(self.idle),
            "without_retry_after": self.without_wait,
            "generator_cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        }


class Link(asyncio.Protocol):
    """One connection with at most one request on its way."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.due_at = 0.0
        self.is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Free."""
        self.transport = cast("asyncio.Transport", transport)
        self.load.idle.append(self)

    def send(self, request: bytes, due_at: float) -> None:
        """Send; the answer counts from ``due_at``."""
        self.due_at = due_at
        self.is_waiting = True
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """An answer's beginning; what follows of it later is of no interest."""
        if self.is_waiting and data.startswith(b"HTTP/1.1 "):
            self.is_waiting = False
            status = data[9:12].decode()
            has_wait = status != "503" or b"retry-after:" in data.lower()
            self.load.answered(self, status, self.load.loop.time() - self.due_at, has_wait=has_wait)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Whatever was on its way has no answer."""
        self.load.links -= 1
        self.load.lost += self.is_waiting
        if self in self.load.idle:
            self.load.idle.remove(self)


async def run(given: argparse.Namespace) -> None:
    """Load and print one line of JSON."""
    load = Load(given)
    await load.run()
    print(json.dumps(load.result()))


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--skip", type=float, default=1.0)
    parser.add_argument("--customers", type=int, default=10_000)
    uvloop.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
