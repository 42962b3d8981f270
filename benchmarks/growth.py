"""What an operation costs as everything grows.

    make bench GROWTH=1            (benchmarks/growth.py --keep DIR keeps the filled databases for the next run)

Compares processor time of server and database for each operation on customers whose state is cached: 10,000 customers
and no ledger with 1,000,000 customers and 10,000,000 ledger rows; one block with 1,000; no hold with 100. Prints what
is not cached, the memory of a cached customer, what a sweep of 100,000 due customers does to checks, and pages in the
depth of lists.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from growth_fill import ACTIVE, ROWS_EACH, add_ballast, add_blocks, count_due, make_due, make_small
from load import Result, require_wrk
from measuring import Paced, Served, ask_each, check_beside_hello, describe, load, postmaster_of
from world import (
    Tenant,
    call,
    end_by_signal,
    find_caller,
    grant,
    in_waves,
    opened,
    serving,
    serving_hello,
    tidy,
)

from quotastack.runtime.embedded import Cluster
from quotastack.services.verification import verify_customer

GOAL: Final = 1.3
PARTS: Final = ("memory", "size", "sweep", "pages", "verify", "groups")
CONNECTIONS: Final = 32
COSTS: Final = ("server_us", "database_us")
GROUP: Final = 20
BLOCKS: Final = (1, 10, 100, 1_000)
HOLDS: Final = (0, 1, 10, 100)
VERIFIED: Final = 25
PAGES: Final = 300
PAGE_SAMPLE: Final = 25
SMALL_CACHE_BYTES: Final = 16 * 2**20


class World:
    """A data directory with its database running."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.cluster = Cluster(self.data)

    @contextlib.contextmanager
    def running(self) -> Iterator[Tenant]:
        """The database, and the customers that are measured."""
        self.cluster.start_or_join()
        try:
            yield make_small(self.data)
        finally:
            self.cluster.leave()

    @contextlib.contextmanager
    def served(self, tenant: Tenant, **settings: str) -> Iterator[Served]:
        """One server process on it."""
        with serving(self.data, **settings) as (base_url, pid):
            yield Served(base_url, pid, postmaster_of(self.data), tenant.test_key)


class Growth:
    """One run and its figures."""

    def __init__(self, *, seconds: int, rounds: int, customers: int, due: int) -> None:
        self.seconds = seconds
        self.rounds = rounds
        self.customers = customers
        self.due = due
        self.figures: dict[str, Any] = {}

    def note(self, name: str, **values: Any) -> None:
        """Keep a figure and show it."""
        self.figures[name] = values
        shown = "  ".join(
            f"{key} {value:,.2f}" if isinstance(value, float) else f"{key} {value}"
            for key, value in values.items()
        )
        print(f"{name}: {shown}", flush=True)

    def cost(self, served: Served, script: str, **options: Any) -> Result:
        """Processor time for each operation."""
        return load(served, script, connections=CONNECTIONS, seconds=self.seconds, **options)

    def compare(self, name: str, small: list[Result], large: list[Result]) -> None:
        """The median cost of the large against the small."""
        costs = [
            [statistics.median(getattr(result, part) for result in results) for part in COSTS]
            for results in (small, large)
        ]
        ratio = sum(costs[1]) / sum(costs[0])
        self.note(
            name,
            small_server_us=costs[0][0],
            small_database_us=costs[0][1],
            large_server_us=costs[1][0],
            large_database_us=costs[1][1],
            ratio=ratio,
            met=ratio <= GOAL,
            errors=sum(result.errors for result in (*small, *large)),
        )

    def warm(self, served: Served) -> None:
        """Have every measured customer's state in the cache, and the statements' plans made."""
        self.warm_names(served, "customer", ACTIVE)
        load(served, "usage", connections=CONNECTIONS, seconds=2)

    def measure_size(self, small: Served, large: Served) -> None:
        """The same load on the same customers in both worlds, in turns."""
        for served in (small, large):
            self.warm(served)
        for script in ("usage", "check"):
            results: tuple[list[Result], list[Result]] = ([], [])
            for _ in range(self.rounds):
                for served, kept in zip((small, large), results, strict=True):
                    kept.append(self.cost(served, script))
            self.compare(f"{script}, {self.customers:,} customers against {ACTIVE:,}", *results)

    def measure_uncached(self, large: Served) -> None:
        """Customers whom nobody asked for yet."""
        for script in ("check", "usage"):
            result = self.cost(large, script, name="ballast", customers=self.customers - ACTIVE)
            self.note(
                f"{script}, not cached", per_second=result.per_second, server_us=result.server_us,
                database_us=result.database_us, p50_ms=result.p50_us / 1000, p99_ms=result.p99_us / 1000,
                errors=result.errors,
            )  # fmt: skip

    def measure_groups(self, served: Served, kind: str, counts: tuple[int, ...]) -> None:
        """Customers with more and more blocks or holds against those with the least."""
        # Whoever comes first pays for the statements' first plans.
        load(served, "usage", connections=CONNECTIONS, seconds=3, name=f"{kind}{counts[0]}", customers=GROUP)
        for script in ("usage", "check"):
            results: dict[int, list[Result]] = {count: [] for count in counts}
            for count in counts:
                self.cost(served, script, name=f"{kind}{count}", customers=GROUP)
            for _ in range(self.rounds):
                for count in counts:
                    results[count].append(self.cost(served, script, name=f"{kind}{count}", customers=GROUP))
            for count in counts[1:]:
                self.compare(
                    f"{script}, {count:,} {kind} against {counts[0]}", results[counts[0]], results[count]
                )

    def measure_memory(self, world: World, tenant: Tenant) -> None:
        """What the process grows by for each customer that it caches, and that it stops."""
        with world.served(tenant) as served:
            load(served, "check", connections=CONNECTIONS, seconds=1, customers=100)
            empty = resident_bytes(served.pid)
            self.warm_names(served, "customer", ACTIVE)
            each = (resident_bytes(served.pid) - empty) / ACTIVE
        most = min(40_000, self.customers - ACTIVE)
        with world.served(tenant, cache_bytes=str(SMALL_CACHE_BYTES)) as served:
            empty = resident_bytes(served.pid)
            self.warm_names(served, "ballast", 10_000)
            first = resident_bytes(served.pid)
            self.warm_names(served, "ballast", most)
            last = resident_bytes(served.pid)
        self.note(
            "memory of a cached customer", asked_in_all=most, kib=each / 1024, bound_mib=SMALL_CACHE_BYTES / 2**20,
            grown_mib_after_10_000=(first - empty) / 2**20, grown_mib_after_all=(last - empty) / 2**20,
        )  # fmt: skip

    def warm_names(self, served: Served, name: str, count: int) -> None:
        """Check so many customers at least once each, one after the other."""
        ask_each(served, count, connections=CONNECTIONS, name=name, customers=count)

    def measure_sweep(self, world: World, served: Served) -> None:
        """Checks on cached customers before and while time changes many others."""
        with serving_hello() as hello_url:

            def ask() -> Paced:
                return check_beside_hello(
                    served.base_url, hello_url, served.key, customers=ACTIVE, seconds=self.seconds
                )

            calm = ask()
            asyncio.run(make_due(world.cluster, self.due))
            before, started = asyncio.run(count_due(world.cluster)), time.monotonic()
            busy = ask()
            swept = before - asyncio.run(count_due(world.cluster))
        figures = {
            f"{when}_{what}_{part}_ms": getattr(result, f"{part}_us") / 1000
            for when, paced in (("calm", calm), ("swept", busy))
            for what, result in (("check", paced.checks), ("raw", paced.hello))
            for part in ("p50", "p99")
        }
        self.note(
            f"check while {self.due:,} due customers are swept",
            swept_per_second=swept / (time.monotonic() - started), due_before=before, due_after=before - swept,
            **figures,
        )  # fmt: skip

    def measure_pages(self, served: Served) -> None:
        """Pages at the beginning of a list and deep in it."""
        load(served, "usage_batch", connections=2, seconds=self.seconds, name="customer", customers=1)
        for name, path in (
            ("customers", "/v1/customers?limit=100"),
            ("ledger of one customer", "/v1/customer-by-external-id/customer-1/credits/ledger?limit=100"),
        ):
            times: list[float] = []
            cursor = ""
            for _ in range(PAGES):
                started = time.perf_counter()
                page = call(served.base_url, served.key, "GET", path + cursor)
                times.append(1_000 * (time.perf_counter() - started))
                if not page["pagination"]["has_more"]:
                    break
                cursor = f"&cursor={page['pagination']['next_cursor']}"
            first, last = (
                statistics.median(times[1 : PAGE_SAMPLE + 1]),
                statistics.median(times[-PAGE_SAMPLE:]),
            )
            self.note(f"pages of {name}", pages=len(times), first_ms=first, deep_ms=last, ratio=last / first)

    def run(self, folder: Path, parts: Sequence[str]) -> None:
        """The parts that are asked for."""
        if "groups" in parts:
            self.run_groups()
        if not set(parts) & {"memory", "size", "sweep", "pages", "verify"}:
            return
        small, large = World(folder / "small"), World(folder / "large")
        with contextlib.ExitStack() as stack:
            little_tenant = stack.enter_context(small.running()) if "size" in parts else None
            tenant = stack.enter_context(large.running())
            asyncio.run(add_ballast(large.cluster, large.data, self.customers - ACTIVE))
            rows = ROWS_EACH * (self.customers - ACTIVE)
            print(f"{self.customers:,} customers, {rows:,} ledger rows", flush=True)
            if "memory" in parts:
                self.measure_memory(large, tenant)
            if little_tenant is not None:
                asyncio.run(tidy(small.cluster))
                with small.served(little_tenant) as little, large.served(tenant) as big:
                    self.measure_size(little, big)
                    self.measure_uncached(big)
            if set(parts) & {"sweep", "pages"}:
                with large.served(tenant) as served:
                    self.warm(served)
                    if "sweep" in parts:
                        self.measure_sweep(large, served)
                    if "pages" in parts:
                        self.measure_pages(served)
            if "verify" in parts:
                asyncio.run(self.verify(large, tenant))

    def run_groups(self) -> None:
        """Blocks and holds, in a world of their own."""
        with tempfile.TemporaryDirectory(prefix="quotastack-bench-") as own:
            world = World(Path(own))
            with world.running() as tenant:
                asyncio.run(make_groups(world, tenant))
                with world.served(tenant) as served:
                    hold(served)
                    self.measure_groups(served, "blocks", BLOCKS)
                    self.measure_groups(served, "holds", HOLDS)
                    most = self.cost(served, "usage", name="blocks10000", customers=1)
                    self.note(
                        "usage, 10,000 blocks", per_second=most.per_second, p50_ms=most.p50_us / 1000,
                        server_us=most.server_us, database_us=most.database_us, errors=most.errors,
                    )  # fmt: skip

    async def verify(self, world: World, tenant: Tenant) -> None:
        """The books of customers that were measured."""
        async with opened(world.data) as services:
            caller = await find_caller(services, tenant)
            entries = 0
            for number in range(2, ACTIVE, ACTIVE // VERIFIED):
                found = await verify_customer(services, caller, name=f"customer-{number}")
                assert found.ok, found
                entries += found.entries
        self.note("verified", customers=len(range(2, ACTIVE, ACTIVE // VERIFIED)), entries=entries)


def resident_bytes(root: int) -> int:
    """The memory of a server's process."""
    for line in Path(f"/proc/{root}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no process {root}")


async def make_groups(world: World, tenant: Tenant) -> None:
    """Customers with one block to many, and customers who will get holds."""
    async with opened(world.data) as services:
        caller = await find_caller(services, tenant)
        for name in (*(f"blocks{count}" for count in BLOCKS), *(f"holds{count}" for count in HOLDS)):
            await in_waves(GROUP, lambda number, name=name: grant(services, caller, f"{name}-{number}"))
        await grant(services, caller, "blocks10000-1")
    for count in BLOCKS[1:]:
        await add_blocks(world.cluster, f"blocks{count}", count, customers=GROUP)
    await add_blocks(world.cluster, "blocks10000", 10_000, customers=1)
    await tidy(world.cluster)


def hold(served: Served) -> None:
    """Active holds for the customers of those groups."""
    for count in HOLDS:
        for number in range(1, GROUP + 1):
            for _ in range(count):
                body = {
                    "external_customer_id": f"holds{count}-{number}",
                    "billable_metric_key": "api_calls",
                    "estimated_units": 1,
                    "ttl_seconds": 3_600,
                }
                call(served.base_url, served.key, "POST", "/v1/reserve", body)


def main() -> int:
    """Fill, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="where the filled databases stay for the next run")
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/growth.json"))
    given = parser.parse_args()
    end_by_signal()
    require_wrk()
    started = time.monotonic()
    growth = Growth(seconds=given.seconds, rounds=given.rounds, customers=given.customers, due=given.due)
    try:
        with contextlib.ExitStack() as stack:
            folder = given.keep
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="quotastack-bench-")))
            growth.run(folder, given.parts)
    finally:
        if growth.figures:
            write(given, growth.figures, round(time.monotonic() - started))
    return 0


def write(given: argparse.Namespace, figures: dict[str, Any], took_seconds: int) -> None:
    """The figures beside those of parts that were measured before; what a run had when it broke off, too."""
    before = json.loads(given.json.read_text())["figures"] if given.json.exists() else {}
    told = describe(
        customers=given.customers,
        ledger_rows=ROWS_EACH * (given.customers - ACTIVE),
        took_seconds=took_seconds,
        figures=before | figures,
    )
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
