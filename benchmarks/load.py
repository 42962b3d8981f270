"""Load: runs pgbench and wrk, and reads what they print."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

SCRIPTS: Final = Path(__file__).parent / "scripts"


class Result(NamedTuple):
    """One run: operations a second, latencies and processor time for each operation in microseconds.

    ``batch`` is how many commands a write batch of the engine held.
    """

    per_second: float
    p50_us: float = 0.0
    p95_us: float = 0.0
    p99_us: float = 0.0
    errors: int = 0
    server_us: float = 0.0
    database_us: float = 0.0
    load_us: float = 0.0
    batch: float = 0.0


def require_wrk() -> None:
    """End now, not after minutes, where there is nothing to make load with."""
    if shutil.which("wrk") is None:
        sys.exit("wrk makes the HTTP load and is not installed: apt-get install wrk")


def run_wrk(script: str, *, url: str, connections: int, seconds: int, environment: dict[str, str]) -> Result:
    """Load ``url`` with a script of ``scripts/`` over so many connections, one thread."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s"]
    command += ["-s", str(SCRIPTS / f"{script}.lua"), url]
    known = {**os.environ, "BENCH_SCRIPTS": str(SCRIPTS), **environment}
    before = children_seconds()
    done = subprocess.run(command, env=known, capture_output=True, text=True, check=True)
    found = re.search(r"^RESULT (.*)$", done.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(done.stdout + done.stderr)
    values: dict[str, Any] = json.loads(found[1])
    # A refusal is quickly made and is no operation.
    return Result(
        (values["requests"] - values["errors"]) / values["seconds"],
        values["p50_us"],
        values["p95_us"],
        values["p99_us"],
        values["errors"] + values["socket_errors"],
        load_us=(children_seconds() - before) / max(1, values["requests"]) * 1e6,
    )


def run_pgbench(
    program: Path,
    script: str,
    *,
    environment: dict[str, str],
    clients: int,
    seconds: int,
    accounts: int = 10_000,
    log_folder: Path,
) -> Result:
    """Run a floor script with so many clients; latencies come from the log of every transaction."""
    for old in log_folder.glob("pgbench_log.*"):
        old.unlink()
    command = [str(program), "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(seconds), "-l"]
    command += ["-D", f"accounts={accounts}", "-f", str(SCRIPTS / f"{script}.sql"), "floors"]
    before = children_seconds()
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=log_folder, capture_output=True, text=True, check=True
    )
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout
    latencies = sorted(
        int(line.split()[2]) for file in log_folder.glob("pgbench_log.*") for line in file.open()
    )
    used = children_seconds() - before
    at = [latencies[int(len(latencies) * share)] for share in (0.5, 0.95, 0.99)] if latencies else [0, 0, 0]
    return Result(float(found[1]), *at, load_us=used / max(1, len(latencies)) * 1e6)


def children_seconds() -> float:
    """Processor time of the programs that were run and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_seconds(root: int) -> dict[int, float]:
    """Processor time of a process and everything below it, by process id; ended children count with their parent."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        used[int(entry.name)] = sum(int(value) for value in fields[11:15]) / tick
    wanted = {root}
    while grown := {pid for pid, parent in parents.items() if parent in wanted and pid not in wanted}:
        wanted |= grown
    return {pid: used[pid] for pid in wanted if pid in used}


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """Processor seconds between two looks."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())
