"""`make bench`: usage and checks over HTTP against floors that are measured in the same run.

The floors are what the same machine does at best without the product: pgbench debiting in eight
statements, a raw ASGI application. A figure means nothing without the floor beside it. Prints a
table, writes JSON. QUICK=1 (or --quick) takes one short round instead of three.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import asyncpg
from load import MissingToolError, Result, cpu_seconds, run_pgbench, run_wrk, spent
from world import Tenant, call, create_tenant, database_environment, fill, serving, serving_hello

from quotastack.runtime.embedded import Cluster
from quotastack.runtime.postgres_binaries import find_binaries

CUSTOMERS: Final = 10_000

TIERED_RULE: Final = {
    "billable_metric_key": "tiered_calls",
    "cost_type": "tiered",
    "tiers": [
        {"up_to": 10, "unit_cost": 1000},
        {"up_to": 100, "unit_cost": 800},
        {"up_to": None, "unit_cost": 500},
    ],
}
QUOTA: Final = {
    "period": "month",
    "alignment": "calendar",
    "tiers": [
        {"up_to": 800_000, "level": "Normal", "policy": "NotifyOnly"},
        {"up_to": 1_000_000, "level": "Warning", "policy": "NotifyOnly"},
        {"up_to": 1_100_000, "level": "Critical", "policy": "AllowWithOverage"},
        {"up_to": None, "level": "OverUsage", "policy": "Deny"},
    ],
}


class Row(NamedTuple):
    """A line of the table: what, its floor, and how both compare."""

    name: str
    floor: str
    goal: float
    measure: Callable[[dict[str, Result]], float]
    is_lower_better: bool = False


def per_second(row: str, floor: str, *, units: float = 1.0) -> Callable[[dict[str, Result]], float]:
    """The row's throughput (``units`` things for each request) over the floor's."""
    return lambda results: results[row].per_second * units / results[floor].per_second


ROWS: Final = (
    Row("usage, 32 connections", "pgbench 8 statements, 32", 1.5, per_second("usage 32", "floor 32")),
    Row("usage, 128 connections", "pgbench 8 statements, 32", 2.0, per_second("usage 128", "floor 32")),
    Row("usage, hot customer, 128", "pgbench 8 statements, hot, 32", 8.0, per_second("hot 128", "floor hot")),
    Row(
        "usage, 1 connection, p50", "pgbench 8 statements, 1, p50", 1.5,
        lambda results: results["usage 1"].p50_us / max(1, results["floor 1"].p50_us), is_lower_better=True,
    ),
    Row("cost of tiers, quota, counters", "usage, 32, CPU and time", 1.3,
        lambda r: r["usage 32b"].per_second / r["tiered 32"].per_second, is_lower_better=True),
    Row("cost of telling each event", "usage, 32", 9.9,
        lambda r: r["usage 32b"].per_second / r["usage told"].per_second, is_lower_better=True),
    Row("usage batch of 500 (events)", "array function, one backend", 0.5,
        lambda r: r["batch"].per_second / r["floor array"].per_second),
    Row("check, cached, 32", "raw ASGI, 32", 0.7, per_second("check 32", "hello 32")),
    Row("reserve + commit, 32 (pairs)", "half of usage, 32", 0.9,
        lambda r: (r["pairs 32"].per_second / 2) / (r["usage 32"].per_second / 2)),
)  # fmt: skip


class Bench:
    """One run: the scratch installation, and each measurement by name."""

    def __init__(self, folder: Path, *, seconds: int, rounds: int) -> None:
        self.folder = folder
        self.seconds = seconds
        self.rounds = rounds
        self.data = folder / "data"
        self.cluster = Cluster(self.data)
        self.samples: dict[str, list[Result]] = {}
        self.serial = 0

    def note(self, name: str, result: Result) -> None:
        """Keep a sample and show it."""
        self.samples.setdefault(name, []).append(result)
        print(
            f"  {name:<12} {result.per_second:>9,.0f}/s  p50 {result.p50_us / 1000:>7.2f} ms"
            f"  p99 {result.p99_us / 1000:>7.2f} ms  errors {result.errors}"
            f"  CPU server {result.server_us:>5.0f} us, database {result.database_us:>5.0f} us",
            flush=True,
        )

    def run(self) -> dict[str, Result]:
        """Everything; the median of each measurement by throughput."""
        self.cluster.start_or_join()
        try:
            self._make_floors()
            tenant = create_tenant(self.data, "bench")
            with serving(self.data) as (base_url, _):
                call(
                    base_url,
                    tenant.test_key,
                    "POST",
                    "/v1/billable-metrics",
                    {"key": "api_calls", "name": "Calls"},
                )
                call(base_url, tenant.test_key, "POST", "/v1/metering-rules",
                     {"billable_metric_key": "api_calls", "cost_type": "per_unit", "unit_cost": 1000})  # fmt: skip
                call(base_url, tenant.test_key, "POST", "/v1/billable-metrics",
                     {"key": "tiered_calls", "name": "Calls by tier"})  # fmt: skip
                call(base_url, tenant.test_key, "POST", "/v1/metering-rules", TIERED_RULE)
            print(f"filling {CUSTOMERS:,} customers", flush=True)
            asyncio.run(fill(self.data, tenant, CUSTOMERS, quota=QUOTA))
            for number in range(self.rounds):
                print(f"round {number + 1} of {self.rounds}", flush=True)
                self._measure_floors()
                with serving(self.data) as (base_url, pid):
                    self._measure_server(base_url, tenant, pid)
        finally:
            self.cluster.leave()
        return {name: _median(found) for name, found in self.samples.items()}

    def _make_floors(self) -> None:
        asyncio.run(self._create_floor_database())

    async def _create_floor_database(self) -> None:
        where = database_environment(self.cluster, "postgres")
        owner = await asyncpg.connect(
            host=where["PGHOST"], user="postgres", password=where["PGPASSWORD"], database="postgres"
        )
        await owner.execute("CREATE DATABASE floors")
        await owner.close()
        owner = await asyncpg.connect(
            host=where["PGHOST"], user="postgres", password=where["PGPASSWORD"], database="floors"
        )
        await owner.execute((Path(__file__).parent / "scripts" / "floor_schema.sql").read_text())
        await owner.close()

    def _measure_floors(self) -> None:
        program = find_binaries(None).directory / "pgbench"
        where = database_environment(self.cluster, "floors")

        def floor(name: str, script: str, clients: int, accounts: int = CUSTOMERS) -> None:
            result = run_pgbench(
                program, script, environment=where, clients=clients, seconds=self.seconds,
                accounts=accounts, log_folder=self.folder,
            )  # fmt: skip
            self.note(name, result)

        floor("floor 1", "floor_debit", 1)
        floor("floor 32", "floor_debit", 32)
        floor("floor hot", "floor_debit", 32, accounts=1)
        floor("floor call", "floor_debit_call", 32)
        floor("floor array", "floor_debit_many", 1)
        array = self.samples["floor array"].pop()
        self.samples["floor array"].append(array._replace(per_second=array.per_second * 500))
        with serving_hello() as url:
            self.note(
                "hello 32", run_wrk("hello", url=url, connections=32, seconds=self.seconds, environment={})
            )

    def _measure_server(self, base_url: str, tenant: Tenant, pid: int) -> None:
        postmaster = int((self.data / "postgres" / "postmaster.pid").read_text().splitlines()[0])

        def load(
            name: str,
            script: str,
            connections: int,
            customers: int = CUSTOMERS,
            scale: float = 1,
            metric: str = "api_calls",
        ) -> None:
            self.serial += 1
            where = {
                "BENCH_API_KEY": tenant.test_key,
                "BENCH_CUSTOMERS": str(customers),
                "BENCH_METRIC": metric,
                "BENCH_PREFIX": f"{os.getpid()}:{self.serial}",
            }
            before = cpu_seconds(pid), cpu_seconds(postmaster)
            result = run_wrk(
                script, url=base_url, connections=connections, seconds=self.seconds, environment=where
            )
            count = max(1.0, result.per_second * scale * self.seconds)
            self.note(
                name,
                result._replace(
                    per_second=result.per_second * scale,
                    server_us=spent(before[0], cpu_seconds(pid)) / count * 1e6,
                    database_us=spent(before[1], cpu_seconds(postmaster)) / count * 1e6,
                ),
            )

        load("warm-up", "check", 128)
        load("warm-up", "usage", 128)
        load("usage 1", "usage", 1)
        load("usage 32", "usage", 32)
        load("tiered 32", "usage", 32, metric="tiered_calls")
        load("usage 32b", "usage", 32)
        load("usage 128", "usage", 128)
        load("hot 128", "usage", 128, customers=1)
        load("batch", "usage_batch", 4, scale=500)
        load("check 32", "check", 32)
        load("pairs 32", "reserve_commit", 32)
        with serving_hello() as receiver:
            body = {"url": f"{receiver}/events", "events": ["credit.consumed"]}
            endpoint = call(base_url, tenant.test_key, "POST", "/v1/webhooks/endpoints", body)
            started = time.monotonic()
            load("usage told", "usage", 32)
            self._measure_deliveries(receiver, started)
            call(base_url, tenant.test_key, "DELETE", f"/v1/webhooks/endpoints/{endpoint['id']}")

    def _measure_deliveries(self, receiver: str, started: float) -> None:
        """Deliveries a second from the start of the load until no more came for a second."""
        count, ended = 0, time.monotonic()
        while time.monotonic() - ended < 1 and time.monotonic() - started < 10 * self.seconds:
            time.sleep(0.1)
            if (now := _count_received(receiver)) > count:
                count, ended = now, time.monotonic()
        self.note("deliveries", Result(count / (ended - started)))


def _count_received(receiver: str) -> int:
    with urllib.request.urlopen(f"{receiver}/count", timeout=10) as answer:
        return int(answer.read())


def _median(results: list[Result]) -> Result:
    middle = sorted(results, key=lambda result: result.per_second)[len(results) // 2]
    p50 = statistics.median(result.p50_us for result in results)
    return middle._replace(p50_us=p50)


def print_table(results: dict[str, Result]) -> list[dict[str, object]]:
    """The table, and its lines for the JSON."""
    lines: list[dict[str, object]] = []
    print(f"\n{'row':<32}{'floor':<34}{'ratio':>8}{'goal':>8}")
    for row in ROWS:
        ratio = row.measure(results)
        is_met = ratio <= row.goal if row.is_lower_better else ratio >= row.goal
        sign = "<=" if row.is_lower_better else ">="
        print(
            f"{row.name:<32}{row.floor:<34}{ratio:>7.2f}x{sign:>4}{row.goal:>4}  {'met' if is_met else 'missed'}"
        )
        lines.append({"row": row.name, "floor": row.floor, "ratio": ratio, "goal": row.goal, "met": is_met})
    return lines


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/latest.json"))
    given = parser.parse_args()
    seconds, rounds = (3, 1) if given.quick else (8, 3)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="qs-bench-") as folder:
        try:
            results = Bench(Path(folder), seconds=seconds, rounds=rounds).run()
        except MissingToolError as missing:
            print(missing, file=sys.stderr)
            return 2
    lines = print_table(results)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(
        json.dumps(
            {
                "commit": commit.stdout.strip(),
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
                "machine": {
                    "cores": os.cpu_count(),
                    "platform": platform.platform(),
                    "python": platform.python_version(),
                },
                "seconds": round(time.monotonic() - started),
                "rows": lines,
                "measurements": {name: result._asdict() for name, result in results.items()},
            },
            indent=2,
        )
        + "\n"
    )
    print(f"\n{given.json} written in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
