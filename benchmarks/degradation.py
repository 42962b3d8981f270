"""What the server does at twice the load it can take.

    python benchmarks/degradation.py [--quick] [--json PATH]

First the top: 128 connections, each asks again when it has its answer. Then twice as many requests a second as that,
whatever becomes of them, with checks on connections of their own beside them. What cannot be taken must be refused by
503 with Retry-After, without the taken becoming fewer, and checks must stay fast. A raw ASGI application of its own
process, asked as seldom, shows what of that is the machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from pathlib import Path
from typing import Any

from load import cpu_seconds, require_wrk, spent
from measuring import check_beside_hello, describe, postmaster_of
from world import (
    Tenant,
    create_tenant,
    end_by_signal,
    fill,
    make_prices,
    read_metrics,
    serving,
    serving_hello,
)

from quotastack.runtime.embedded import Cluster

CUSTOMERS = 10_000
FACTOR = 2.0
CHECK_P99_MS = 5.0
THROUGHPUT_SHARE = 0.9
WATCHED = ("quotastack_engine_waiting", "quotastack_webhook_in_flight", "quotastack_cache_bytes")


class Watch(threading.Thread):
    """The largest value of each watched metric while it runs."""

    def __init__(self, base_url: str) -> None:
        super().__init__(daemon=True)
        self.base_url = base_url
        self.most: dict[str, float] = {}
        self.slowest_seconds = 0.0
        self.ending = threading.Event()

    def run(self) -> None:
        """Look twice a second."""
        while not self.ending.wait(0.5):
            try:
                found = read_metrics(self.base_url)
            except OSError:
                self.most["unreadable"] = self.most.get("unreadable", 0) + 1
                continue
            for name in WATCHED:
                if name in found:
                    self.most[name] = max(self.most.get(name, 0.0), found[name])

    def end(self) -> dict[str, float]:
        """Stop looking; what was seen."""
        self.ending.set()
        self.join(10)
        return self.most


class Degradation:
    """One server under load."""

    def __init__(
        self, base_url: str, hello_url: str, pid: int, postmaster: int, tenant: Tenant, seconds: int
    ) -> None:
        self.base_url = base_url
        self.hello_url = hello_url
        self.pids = pid, postmaster
        self.tenant = tenant
        self.seconds = seconds

    def load(self, *, rate: float, skip: float, connections: int = 128) -> dict[str, Any]:
        """One run of the generator with checks beside it."""
        port = self.base_url.rpartition(":")[2]
        command = [sys.executable, str(Path(__file__).with_name("open_loop.py")), "--port", port]
        command += ["--rate", str(rate), "--seconds", str(self.seconds), "--skip", str(skip)]
        command += ["--connections", str(connections), "--customers", str(CUSTOMERS)]
        environment = {**os.environ, "BENCH_API_KEY": self.tenant.test_key}
        before = [cpu_seconds(pid) for pid in self.pids]
        watch = Watch(self.base_url)
        watch.start()
        running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        checks, hello = check_beside_hello(
            self.base_url, self.hello_url, self.tenant.test_key, customers=CUSTOMERS, seconds=self.seconds
        )
        told, _ = running.communicate(timeout=120)
        most = watch.end()
        used = [spent(b, cpu_seconds(pid)) for b, pid in zip(before, self.pids, strict=True)]
        result: dict[str, Any] = json.loads(told)
        taken = sum(count for status, count in result["statuses"].items() if status.startswith("2"))
        result |= {
            "offered_per_second": result["offered"] / self.seconds,
            "taken_per_second": taken / self.seconds,
            "refused_per_second": result["statuses"].get("503", 0) / self.seconds,
            "server_cpu_seconds": round(used[0], 2),
            "database_cpu_seconds": round(used[1], 2),
            "checks": {
                "per_second": checks.per_second,
                "p50_ms": checks.p50_us / 1_000,
                "p99_ms": checks.p99_us / 1_000,
                "errors": checks.errors,
            },
            "hello": {"p50_ms": hello.p50_us / 1_000, "p99_ms": hello.p99_us / 1_000},
            "most": most,
        }
        return result


def show(name: str, result: dict[str, Any]) -> None:
    """One run, for a reader."""
    checks, hello = result["checks"], result["hello"]
    print(
        f"{name}: offered {result['offered_per_second']:,.0f}/s, taken {result['taken_per_second']:,.0f}/s,"
        f" refused {result['refused_per_second']:,.0f}/s, statuses {result['statuses']}\n"
        f"  latency ms {result['latency_ms']}\n"
        f"  connections {result['connections']}, not sent {result['unsent']}, lost {result['lost']},"
        f" unanswered {result['unanswered']}, 503 without Retry-After {result['without_retry_after']}\n"
        f"  checks {checks['per_second']:,.0f}/s p50 {checks['p50_ms']:.2f} ms p99 {checks['p99_ms']:.2f} ms"
        f" errors {checks['errors']}; raw application p50 {hello['p50_ms']:.2f} ms p99 {hello['p99_ms']:.2f} ms\n"
        f"  CPU seconds: server {result['server_cpu_seconds']}, database {result['database_cpu_seconds']},"
        f" generator {result['generator_cpu_seconds']}; most {result['most']}",
        flush=True,
    )


def measure(seconds: int) -> dict[str, Any]:
    """Top and overload, on a scratch installation."""
    with tempfile.TemporaryDirectory(prefix="quotastack-bench-") as folder:
        data = Path(folder) / "data"
        cluster = Cluster(data)
        cluster.start_or_join()
        try:
            tenant = create_tenant(data, "bench")
            with serving(data) as (base_url, _):
                key = tenant.test_key
                make_prices(base_url, key)
            asyncio.run(fill(data, tenant, CUSTOMERS))
            postmaster = postmaster_of(data)
            with serving(data) as (base_url, pid), serving_hello() as hello_url:
                world = Degradation(base_url, hello_url, pid, postmaster, tenant, seconds)
                world.load(rate=0, skip=2)
                top = world.load(rate=0, skip=1)
                show("top", top)
                rate = FACTOR * top["taken_per_second"]
                overload = world.load(rate=rate, skip=3, connections=2_000)
                show(f"{FACTOR:g} times the top", overload)
                after = world.load(rate=0, skip=1)
                show("top, afterwards", after)
                with urllib.request.urlopen(base_url + "/readyz", timeout=10) as ready:
                    assert ready.status == 200
        finally:
            cluster.leave()
    return {"top": top, "overload": overload, "after": after, "judged": judge(top, overload)}


def judge(top: dict[str, Any], overload: dict[str, Any]) -> dict[str, bool]:
    """What must hold, and whether it does."""
    return {
        "only 2xx and 503": set(overload["statuses"]) <= {"200", "201", "503"},
        "503 carries Retry-After": overload["without_retry_after"] == 0,
        "every request is answered": overload["unanswered"] == 0 and overload["lost"] == 0,
        "throughput within 10 % of the top": overload["taken_per_second"]
        >= THROUGHPUT_SHARE * top["taken_per_second"],
        "checks under 5 ms p99": overload["checks"]["p99_ms"] < CHECK_P99_MS,
        "queue length in /metrics": "quotastack_engine_waiting" in overload["most"],
    }


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/degradation.json"))
    given = parser.parse_args()
    end_by_signal()
    require_wrk()
    result = measure(5 if given.quick else 15)
    for what, holds in result["judged"].items():
        print(f"{what:<40}{'holds' if holds else 'MISSED'}")
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(describe(**result), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
