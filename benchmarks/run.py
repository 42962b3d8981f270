"""`make bench`: usage and checks over HTTP against floors that are measured in the same run.

The floors are what the same machine does at best without the product: pgbench debiting in eight
statements, a raw ASGI application. A figure means nothing without the floor beside it. Prints a
table, writes JSON. QUICK=1 (or --quick) takes one short round in a smaller world instead of three.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Final, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import asyncpg
from load import Result, cpu_seconds, require_wrk, run_pgbench, run_wrk, spent
from measuring import Served, ask_each, describe, load, postmaster_of
from rows import judge, show
from world import (
    Tenant,
    call,
    create_tenant,
    database_environment,
    end_by_signal,
    fill,
    fill_environments,
    make_prices,
    serving,
    serving_hello,
    settle_log,
    tidy,
)

from quotastack.runtime.embedded import Cluster
from quotastack.runtime.postgres_binaries import find_binaries

CUSTOMERS_EACH: Final = 10
# An answer is read when its connection's turn has come: the more of them, the longer it lies there.
HALF_CONNECTIONS: Final = 8

TIERED_RULE: Final = {
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

# Of two processes each is asked for seven of eight customers by then.
TIMES_FOR_TWO: Final = 3


class Size(NamedTuple):
    """How much is measured: seconds for each row, rounds, and the world. ``segments`` are those of the log.

    ``warm_up_seconds`` are for pages and plans that a load meets for the first time.
    """

    seconds: int
    warm_up_seconds: int
    rounds: int
    customers: int
    environments: int
    segments: int


# Segments for a whole cycle of checkpoints: as many as max_wal_size holds.
FULL: Final = Size(8, 8, 3, 10_000, 1_000, 256)
# A look: reading ten thousand customers into a cache takes longer than all that is measured there.
QUICK: Final = Size(2, 2, 1, 2_000, 100, 40)


class Bench:
    """One run: the scratch installation, and each measurement by name."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder = folder
        self.size = size
        self.seconds = size.seconds
        self.data = folder / "data"
        self.cluster = Cluster(self.data)
        self.samples: dict[str, list[Result]] = {}
        self.keys_file = folder / "keys"

    def note(self, name: str, result: Result) -> None:
        """Keep a sample and show it."""
        self.samples.setdefault(name, []).append(result)
        print(
            f"  {name:<12} {result.per_second:>9,.0f}/s  p50 {result.p50_us / 1000:>7.2f} ms"
            f"  p95 {result.p95_us / 1000:>7.2f} ms  p99 {result.p99_us / 1000:>7.2f} ms  errors {result.errors}"
            f"  CPU us: server {result.server_us:>4.0f}, database {result.database_us:>4.0f}, load"
            f" {result.load_us:>3.0f}  batch {result.batch:>5.1f}",
            flush=True,
        )

    def run(self) -> dict[str, Result]:
        """Everything; the median of each measurement by throughput."""
        self.cluster.start_or_join()
        try:
            self.postmaster = postmaster_of(self.data)
            self._make_floors()
            tenant = create_tenant(self.data, "bench")
            with serving(self.data) as (base_url, _):
                make_prices(base_url, tenant.test_key, ("tiered_calls", TIERED_RULE))
            started = time.monotonic()
            size = self.size
            print(f"filling {size.customers:,} customers and {size.environments:,} environments", flush=True)
            asyncio.run(fill(self.data, tenant, size.customers, quota=QUOTA))
            keys = asyncio.run(fill_environments(self.data, size.environments, customers_each=CUSTOMERS_EACH))
            self.keys_file.write_text("\n".join(keys) + "\n")
            asyncio.run(settle_log(self.cluster, size.segments))
            print(f"filled in {time.monotonic() - started:.0f} s", flush=True)
            for number in range(size.rounds):
                print(f"round {number + 1} of {size.rounds}", flush=True)
                # Each round begins as the first one does: what the one before left to clean up is not its load.
                for database in ("floors", "quotastack"):
                    asyncio.run(tidy(self.cluster, database))
                self._measure_floors()
                self._measure_server(tenant)
        finally:
            self.cluster.leave()
        return {name: _median(found) for name, found in self.samples.items() if name != "warm-up"}

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

        def floor(name: str, script: str, clients: int, accounts: int = self.size.customers) -> None:
            before = cpu_seconds(self.postmaster)
            result = run_pgbench(
                program, script, environment=where, clients=clients, seconds=self.seconds,
                accounts=accounts, log_folder=self.folder,
            )  # fmt: skip
            # A backend that just ended is counted with its parent once that has noticed.
            time.sleep(0.3)
            used = spent(before, cpu_seconds(self.postmaster))
            many = 500 if script == "floor_debit_many" else 1
            per_second = result.per_second * many
            self.note(
                name,
                result._replace(
                    per_second=per_second,
                    database_us=used / max(1.0, per_second * self.seconds) * 1e6,
                    load_us=result.load_us / many,
                ),
            )

        floor("floor 1", "floor_debit", 1)
        floor("floor 32", "floor_debit", 32)
        floor("floor hot", "floor_debit", 32, accounts=1)
        floor("floor call", "floor_debit_call", 32)
        floor("floor array", "floor_debit_many", 1)
        with serving_hello() as url:
            self.note(
                "hello 32", run_wrk("hello", url=url, connections=32, seconds=self.seconds, environment={})
            )

    def _load(self, served: Served, name: str, script: str, connections: int, **more: Any) -> Result:
        """Load one script and note it."""
        seconds = self.size.warm_up_seconds if name == "warm-up" else self.seconds
        customers = more.pop("customers", self.size.customers)
        result = load(served, script, connections=connections, seconds=seconds, customers=customers, **more)
        self.note(name, result)
        return result

    def _warm(self, served: Served, *, times: int = 1, connections: int = 32, **options: Any) -> None:
        """Have every customer remembered; with ``options``, those of every environment."""
        size = self.size
        each = {"customers": size.customers, **options}
        count = size.environments * CUSTOMERS_EACH if options else size.customers
        ask_each(served, times * count, connections=connections, **each)

    def _measure_server(self, tenant: Tenant) -> None:
        with serving(self.data) as (base_url, pid):
            served = Served(base_url, pid, self.postmaster, tenant.test_key)
            self._warm(served)
            self._load(served, "warm-up", "usage", 128)
            self._load(served, "usage 1", "usage", 1)
            self._load(served, "usage 32", "usage", 32)
            self._load(served, "tiered 32", "usage", 32, metric="tiered_calls")
            self._load(served, "usage 32b", "usage", 32)
            self._load(served, "usage 128", "usage", 128)
            self._load(served, "hot 128", "usage", 128, customers=1)
            self._load(served, "batch", "usage_batch", 4, scale=500)
            self._warm(served)
            top = self._load(served, "check 32", "check", 32)
            per_second = round(top.per_second / 2)
            self._load(served, "check half", "check_half", HALF_CONNECTIONS, per_second=per_second)
            self._measure_half_hello(per_second)
            self._load(served, "pairs 32", "reserve_commit", 32)
            self._measure_told(served)
            everywhere = {"keys_file": self.keys_file, "customers": CUSTOMERS_EACH}
            self._warm(served, **everywhere)
            self._load(served, "warm-up", "usage", 32, **everywhere)
            self._load(served, "environments", "usage", 32, **everywhere)
        with serving(self.data, workers=2) as (base_url, pid):
            served = Served(base_url, pid, self.postmaster, tenant.test_key)
            self._warm(served, times=TIMES_FOR_TWO, connections=128)
            self._load(served, "warm-up", "usage", 128)
            self._load(served, "two usage", "usage", 128)
            self._warm(served, times=TIMES_FOR_TWO, connections=128)
            self._load(served, "two check", "check", 32)

    def _measure_half_hello(self, per_second: int) -> None:
        """What being asked at that pace makes a request wait, whoever answers it."""
        pace = {"BENCH_PER_SECOND": str(per_second)}
        with serving_hello() as url:
            result = run_wrk(
                "hello_half", url=url, connections=HALF_CONNECTIONS, seconds=self.seconds, environment=pace
            )
        self.note("hello half", result)

    def _measure_told(self, served: Served) -> None:
        with serving_hello() as receiver:
            body = {"url": f"{receiver}/events", "events": ["credit.consumed"]}
            endpoint = call(served.base_url, served.key, "POST", "/v1/webhooks/endpoints", body)
            started = time.monotonic()
            self._load(served, "usage told", "usage", 32)
            self._measure_deliveries(receiver, started)
            call(served.base_url, served.key, "DELETE", f"/v1/webhooks/endpoints/{endpoint['id']}")

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
    """Field by field: the median of rounds, the sum of errors."""
    middle = Result(*(statistics.median(values) for values in zip(*results, strict=True)))
    return middle._replace(errors=sum(result.errors for result in results))


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")))
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/latest.json"))
    given = parser.parse_args()
    end_by_signal()
    require_wrk()
    size = QUICK if given.quick else FULL
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="qs-bench-") as folder:
        results = Bench(Path(folder), size).run()
    lines = judge(results)
    show(lines)
    told = describe(
        rows=lines,
        measurements={name: result._asdict() for name, result in results.items()},
        rounds=size.rounds,
        seconds_each=size.seconds,
        customers=size.customers,
        environments=size.environments,
        load_average=os.getloadavg()[1],
        took_seconds=round(time.monotonic() - started),
    )
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(told, indent=2) + "\n")
    print(f"\n{given.json} written in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
