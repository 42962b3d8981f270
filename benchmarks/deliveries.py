"""Webhooks: deliveries per second to a fast receiver, and what events cost a usage event.

    python benchmarks/deliveries.py --seconds 5

The receiver, the server, PostgreSQL and the load share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from load import Result, require_wrk, run_wrk
from world import Tenant, call, create_tenant, end_by_signal, fill, free_port, make_prices, serving

from quotastack.runtime.embedded import Cluster

CUSTOMERS = 1_000
CONNECTIONS = 32
SECRET = "YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcyAuLi4="
QUIET_SECONDS = 1.5


class Counter(asyncio.Protocol):
    """Answers every request 204 as soon as its body is there; ``GET /count`` tells how many there were."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with an empty buffer."""
        self.transport = cast("asyncio.Transport", transport)
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = 0 if at < 0 else int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            if head.startswith(b"get"):
                body = str(Counter.count).encode()
                self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            else:
                Counter.count += 1
                self.transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def receive(port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Counter, "127.0.0.1", port)
    await server.serve_forever()


@contextlib.contextmanager
def receiving() -> Iterator[str]:
    """The receiver in a process of its own; its URL."""
    port = free_port()
    process = subprocess.Popen([sys.executable, __file__, "--receive", str(port)])
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                count(url)
                break
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def count(url: str) -> int:
    """How many deliveries the receiver has taken."""
    with urllib.request.urlopen(f"{url}/count", timeout=5) as response:
        return int(response.read())


def drain(url: str) -> tuple[int, float]:
    """Wait until no more come: how many came meanwhile, and in how many seconds."""
    first = last = count(url)
    started_at = ended_at = time.monotonic()
    while time.monotonic() - ended_at < QUIET_SECONDS:
        time.sleep(0.05)
        now = count(url)
        if now != last:
            last, ended_at = now, time.monotonic()
    return last - first, max(ended_at - started_at, 0.001)


def load(base_url: str, tenant: Tenant, *, number: int, seconds: int) -> Result:
    """Usage events over many customers."""
    environment = {
        "BENCH_API_KEY": tenant.test_key,
        "BENCH_CUSTOMERS": str(CUSTOMERS),
        "BENCH_PREFIX": f"{os.getpid()}:{number}",
    }
    return run_wrk("usage", url=base_url, connections=CONNECTIONS, seconds=seconds, environment=environment)


def measure(seconds: int) -> None:
    """Everything, in a scratch installation."""
    os.environ["QUOTASTACK_WEBHOOK_ALLOW_PRIVATE"] = "1"
    with tempfile.TemporaryDirectory(prefix="quotastack-bench-") as folder, receiving() as receiver:
        data = Path(folder) / "data"
        cluster = Cluster(data)
        cluster.start_or_join()
        try:
            tenant = create_tenant(data, "bench")
            with serving(data) as (base_url, _):
                key = tenant.test_key
                make_prices(base_url, key)
            asyncio.run(fill(data, tenant, CUSTOMERS))
            with serving(data) as (base_url, _):
                _measure(base_url, tenant, receiver, seconds)
        finally:
            cluster.leave()


def _measure(base_url: str, tenant: Tenant, receiver: str, seconds: int) -> None:
    load(base_url, tenant, number=0, seconds=2)
    rows: list[tuple[str, Result]] = []
    rows.append(("no endpoint", load(base_url, tenant, number=1, seconds=seconds)))
    endpoint = {"url": f"{receiver}/hook", "secret": SECRET, "events": ["*"]}
    call(base_url, tenant.test_key, "POST", "/v1/webhooks/endpoints", endpoint)
    rows.append(("an endpoint for * (no event per usage)", load(base_url, tenant, number=2, seconds=seconds)))
    drain(receiver)
    before = count(receiver)
    named = {**endpoint, "events": ["credit.consumed"]}
    made = call(base_url, tenant.test_key, "POST", "/v1/webhooks/endpoints", named)
    started_at = time.monotonic()
    rows.append(("an endpoint for credit.consumed", load(base_url, tenant, number=3, seconds=seconds)))
    under_load = (count(receiver) - before) / (time.monotonic() - started_at)
    drain(receiver)
    # At most 10,000 events are replayed at once: the last two seconds hold fewer.
    now = datetime.now(UTC)
    span = {"from": (now - timedelta(seconds=QUIET_SECONDS + 3)).isoformat(), "to": now.isoformat()}
    call(base_url, tenant.test_key, "POST", f"/v1/webhooks/endpoints/{made['id']}/replay", span)
    drained, drain_seconds = drain(receiver)
    for name, result in rows:
        print(
            f"usage, {CONNECTIONS} connections, {name:<40}{result.per_second:>9,.0f}/s"
            f"  p50 {result.p50_us / 1000:>6.2f} ms  p99 {result.p99_us / 1000:>7.2f} ms  errors {result.errors}"
        )
    print(f"deliveries while usage is loaded{under_load:>42,.0f}/s")
    print(
        f"deliveries alone, to a fast receiver{drained / drain_seconds:>38,.0f}/s"
        f"  ({drained:,} in {drain_seconds:.1f} s)"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--receive", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    end_by_signal()
    if arguments.receive is not None:
        import uvloop

        uvloop.run(receive(arguments.receive))
        return 0
    require_wrk()
    measure(arguments.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
