"""Measuring a running server: a load, and the processor time that it cost whom."""

from __future__ import annotations

import itertools
import os
import platform
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from load import Result, cpu_seconds, run_wrk, spent
from world import read_metrics

CHECK_CONNECTIONS: Final = 16
# Enough to see what the machine makes a request wait, too few to be a load.
HELLO_CONNECTIONS: Final = 4
BATCH_METRICS: Final = ("quotastack_engine_commands_total", "quotastack_engine_batches_total")

_serials = itertools.count(1)


class Served(NamedTuple):
    """A running server: its address, its process and its database's, and the key of the measured environment."""

    base_url: str
    pid: int
    postmaster: int
    key: str


class Paced(NamedTuple):
    """Checks of callers who ask now and then, and the raw application asked as seldom at the same time."""

    checks: Result
    hello: Result


def postmaster_of(data: Path) -> int:
    """The process of a data directory's database."""
    return int((data / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def load(
    served: Served, script: str, *, connections: int, seconds: float, scale: int = 1, **options: Any
) -> Result:
    """Load one script. ``scale``: things for each request; ``options`` go to the script as ``BENCH_...``."""
    where = {"BENCH_API_KEY": served.key, "BENCH_PREFIX": f"{os.getpid()}:{next(_serials)}"}
    where |= {f"BENCH_{option.upper()}": str(value) for option, value in options.items()}
    before = cpu_seconds(served.pid), cpu_seconds(served.postmaster), read_metrics(served.base_url)
    result = run_wrk(
        script, url=served.base_url, connections=connections, seconds=int(seconds), environment=where
    )
    used = spent(before[0], cpu_seconds(served.pid)), spent(before[1], cpu_seconds(served.postmaster))
    metrics = read_metrics(served.base_url)
    commands, batches = (metrics.get(name, 0.0) - before[2].get(name, 0.0) for name in BATCH_METRICS)
    count = max(1.0, result.per_second * scale * seconds)
    return result._replace(
        per_second=result.per_second * scale,
        server_us=used[0] / count * 1e6,
        database_us=used[1] / count * 1e6,
        load_us=result.load_us / scale,
        batch=commands / batches if batches else 0.0,
    )


def ask_each(served: Served, count: int, *, connections: int, **options: Any) -> None:
    """Check so many customers once each, one after the other, however long that takes: then they are remembered.

    With more of them than there are customers it begins again: what two processes are asked, each of them knows then.
    """
    done = 0.0
    while done < count:
        result = load(served, "check_all", connections=connections, seconds=1, first=int(done), **options)
        done += result.per_second


def check_beside_hello(base_url: str, hello_url: str, key: str, *, customers: int, seconds: int) -> Paced:
    """Ask for checks now and then, and beside it the raw application, a process of its own that does nothing else.

    What the raw application takes is lost to the machine: to who else wants the cores, and when each of them gets one.
    """
    known = {"BENCH_API_KEY": key, "BENCH_CUSTOMERS": str(customers)}

    def ask(script: str, url: str, connections: int) -> Result:
        return run_wrk(script, url=url, connections=connections, seconds=seconds, environment=known)

    with ThreadPoolExecutor(1) as beside:
        hello = beside.submit(ask, "hello_paced", hello_url, HELLO_CONNECTIONS)
        checks = ask("check_paced", base_url, CHECK_CONNECTIONS)
        return Paced(checks, hello.result())


def describe(**figures: Any) -> dict[str, Any]:
    """What goes into the JSON: which commit, when, on what, and the figures."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": names[0].strip() if names else platform.machine(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "platform": platform.platform(),
            "python": platform.python_version(),
        },
        "load_average": os.getloadavg()[1],
        **figures,
    }
