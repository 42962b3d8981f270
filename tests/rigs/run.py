"""Runs the rigs and prints one table: promise, what ran, figure, violations, 95 % bound, planted bugs found.

``make rigs`` runs the short form, ``make rigs LONG=1`` the long one; ``--ci`` the shortest. The figures are written
to docs/correctness.json and from there to docs/correctness.md; a short run never replaces a long one. What is known
so far stands in build/rigs.json while a run goes on. A rig that does not end in its time has failed. ``--again NAME``
runs one rig of the last long run anew, after a repair, and puts its figures, with their commit, in place of the old.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.rigs.correctness_page import bound_of, promises_of, totals, write_page  # noqa: E402 - the path has to be known first
from tests.rigs.figures import FILE, FORM_NAME, IS_LONG  # noqa: E402
from tests.rigs.planted.rewriting import WITHOUT_CONDITIONS  # noqa: E402
from tests.rigs.planted.run import environment, run_tests, try_all  # noqa: E402

RESULTS = ROOT / "docs" / "correctness.json"
SO_FAR = ROOT / "build" / "rigs.json"
# Seconds each; the others take minutes all together.
CI_BUGS = ("answer before COMMIT", "a final hold ends again", "policy without WITH CHECK")
_counted = re.compile(r"(\d+) (passed|failed|error)")


class Rig(NamedTuple):
    """Tests that prove promises. ``form`` tells in which runs: ``ci`` in all, ``short``, ``long``.

    A narrow one keeps one processor busy and measures no time: two of them run at once.
    """

    name: str
    promises: tuple[str, ...]
    targets: tuple[str, ...]
    forms: tuple[str, ...] = ("short", "long")
    switch: str = ""
    is_narrow: bool = False
    seconds_max: int = 900


ALL = ("ci", "short", "long")
DRILLS = "tests/rigs/test_drills.py"
IN_PLACE = ("test_a_dump_taken_under_load_restores", "test_an_erased_customer_is_in_no_dump")
ON_OWN = (
    "test_restores_to_points_in_time",
    "test_upgrade_from_the_version_before",
    "test_upgrade_to_the_next_version",
)
FAILPOINTS = "tests/rigs/test_failpoints.py::"
TIME_MACHINE = "tests/rigs/test_time_machine.py::"
MODEL_MACHINE = "tests/rigs/test_model_machine.py::"
RIGS = (
    Rig("model of the spec", ("P1", "P2"), ("tests/model",), is_narrow=True),
    Rig(
        "model machine",
        ("P1", "P2"),
        (MODEL_MACHINE + "test_the_core_follows_the_model",),
        ALL,
        seconds_max=1_800,
    ),
    Rig("model machine over HTTP", ("P1", "P2"), (MODEL_MACHINE + "test_the_product_follows_the_model",)),
    Rig("history on two servers", ("P3", "P33"), ("tests/rigs/test_history.py",), ALL),
    Rig("contention on two servers", ("P2", "P12", "P13"), ("tests/races/test_http_contention.py",)),
    Rig("one key, many calls", ("P4",), ("tests/races/test_http_same_key.py",)),
    Rig("crashes at random times", ("P5", "P8"), ("tests/rigs/test_crashes.py",), ALL),
    Rig("crashes during boundary sweeps", ("P5", "P15"), ("tests/rigs/test_kills.py",), ("long",)),
    Rig(
        "crashes at every step of a write",
        ("P6",),
        (FAILPOINTS + "test_every_write_survives_a_crash_at_every_step",),
        ALL,
        seconds_max=1_800,
    ),
    Rig(
        "crashes at every step notice a bug",
        ("P6",),
        (FAILPOINTS + "test_an_answer_before_commit_is_noticed",),
    ),
    Rig("crashes at every step of sweeps and migrations", ("P6", "P15"), ("tests/rigs/test_time_steps.py",)),
    Rig("line to PostgreSQL fails", ("P7", "P9"), ("tests/rigs/test_database_faults.py",), ALL),
    Rig("line to receivers fails", ("P6", "P26", "P27"), ("tests/rigs/test_receiver_faults.py",)),
    Rig("disk full", ("P10",), ("tests/rigs/test_disk_full.py",)),
    Rig("boundaries of periods", ("P15",), ("tests/races/test_http_boundaries.py",), ("short",)),
    Rig("boundaries of periods, long", ("P15",), ("tests/rigs/test_boundaries.py",), ("long",)),
    Rig(
        "time machine", ("P14",), (TIME_MACHINE + "test_boundaries_to_the_microsecond",), ALL, is_narrow=True
    ),
    Rig("time machine over HTTP", ("P14",), (TIME_MACHINE + "test_boundaries_by_the_test_clock",)),
    Rig(
        "time machine's periods",
        ("P16",),
        (TIME_MACHINE + "test_periods_tile_the_line",),
        ALL,
        is_narrow=True,
    ),
    Rig("arithmetic of periods", ("P16",), ("tests/core/test_periods.py",), is_narrow=True),
    Rig("tenant twins", ("P17", "P19"), ("tests/rigs/test_tenant_twins.py",), ALL, is_narrow=True),
    Rig(
        "isolation without conditions in the SQL",
        ("P18",),
        (
            "tests/rigs/test_tenant_twins.py",
            "tests/api/test_scenarios_s14_two_tenants.py",
            "tests/engine/test_failures.py",
            "tests/store/test_tenancy.py",
        ),
        ALL,
        WITHOUT_CONDITIONS,
        is_narrow=True,
    ),
    Rig(
        # Not in it: what runs no SQL of its own (core, docs), and what runs the same statements through
        # processes and clients (races, workers, sdk, model), in the form above or not at all.
        "the suite without conditions in the SQL",
        ("P18",),
        ("tests/api", "tests/engine", "tests/store", "tests/services"),
        ("long",),
        WITHOUT_CONDITIONS,
        is_narrow=True,
    ),
    Rig("catalogue and roles", ("P18",), ("tests/store/test_tenancy.py", "tests/migrations"), is_narrow=True),
    Rig("tampering with the ledger", ("P20",), ("tests/api/test_verification.py",), is_narrow=True),
    Rig(
        "raw garbage and framing",
        ("P21",),
        ("tests/rigs/test_raw_garbage.py", "tests/rigs/test_raw_framing.py"),
        ALL,
    ),
    Rig(
        "requests made from the schemas",
        ("P21",),
        ("tests/rigs/test_openapi_fuzz.py::test_generated_requests",),
        ALL,
        seconds_max=1_800,
    ),
    Rig("drills in place", ("P35", "P36"), tuple(f"{DRILLS}::{name}" for name in IN_PLACE), ALL),
    Rig("drills on servers of their own", ("P34", "P35"), tuple(f"{DRILLS}::{name}" for name in ON_OWN)),
    Rig("auth matrix", ("P22",), ("tests/rigs/test_auth_matrix.py",), ALL, is_narrow=True),
    Rig("deliveries while workers die", ("P26", "P27"), ("tests/races/test_delivery_kills.py",), ("short",)),
    Rig(
        "deliveries while workers die, long",
        ("P26", "P27"),
        ("tests/rigs/test_delivery_kills.py",),
        ("long",),
    ),
    Rig(
        "hostile receivers",
        ("P30",),
        ("tests/workers/test_guard.py", "tests/workers/test_hostile_receivers.py"),
    ),
    Rig("cached checks", ("P33",), ("tests/races/test_http_freshness.py",)),
    Rig("mutants of core", ("P37",), ("tests/rigs/test_mutation.py",), ("long",)),
)


def run_rig(rig: Rig) -> dict[str, Any]:
    """Run one rig; its figures are what its tests told."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures"
        surroundings = {**(environment(rig.switch) if rig.switch else os.environ), FILE: str(file)}
        code, said = run_tests(["--tb=short", *rig.targets], surroundings, rig.seconds_max)
        figures = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    counts = {word: int(number) for number, word in _counted.findall(said.rpartition("\n=")[2] or said)}
    counts = counts or {word: int(number) for number, word in _counted.findall(said)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    if code != 0:
        sys.stderr.write(f"{said[-12_000:]}\n{rig.name}: {'took too long' if code is None else code}\n")
    return {
        "rig": rig.name,
        "promises": rig.promises,
        "tests": counts.get("passed", 0) + failed,
        "failed": failed or int(code != 0),
        "figures": figures,
        "seconds": round(time.monotonic() - started, 1),
    }


class Run:
    """A run of many rigs, and what is known of it so far."""

    def __init__(self, form: str, rigs: Iterable[Rig]) -> None:
        self.started = time.monotonic()
        self.rigs = list(rigs)
        self.lock = threading.Lock()
        self.told: dict[str, Any] = {
            "form": form,
            "commit": the_commit(),
            "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": the_machine(),
            "rigs": [],
            "planted": [],
        }

    def run(self) -> None:
        """All of them: the narrow ones first, two at once."""
        narrow = [rig for rig in self.rigs if rig.is_narrow]
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(self.run_one, narrow):
                pass
        for rig in self.rigs:
            if rig not in narrow:
                self.run_one(rig)
        order = [rig.name for rig in self.rigs]
        self.told["rigs"].sort(key=lambda row: order.index(row["rig"]))

    def run_one(self, rig: Rig) -> None:
        self.note("rigs", row := run_rig(rig))
        figures = "; ".join(f"{figure['violations']} of {figure['cases']:,}" for figure in row["figures"])
        self.say(f"{len(self.told['rigs'])} of {len(self.rigs)}: {row['rig']}: {row['failed']} failed "
                 f"in {row['seconds']:.0f} s ({figures})")  # fmt: skip

    def plant(self, names: Iterable[str]) -> None:
        for row in try_all(names):
            self.note("planted", row)
            self.say(f"planted: {row['bug']}: {row['found_by']} in {row['seconds']:.0f} s")

    def note(self, part: str, row: dict[str, Any]) -> None:
        """Keep a result, here and in the file: whatever comes next, it is known."""
        with self.lock:
            self.told[part].append(row)
            self.told["seconds"] = round(time.monotonic() - self.started)
            SO_FAR.parent.mkdir(exist_ok=True)
            written = SO_FAR.with_suffix(".new")
            written.write_text(json.dumps(self.told, indent=1, ensure_ascii=False) + "\n", "utf-8")
            written.rename(SO_FAR)

    def say(self, line: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - self.started), 60)
        sys.stderr.write(f"{minutes:3}:{seconds:02} {line}\n")
        sys.stderr.flush()


def the_commit() -> str:
    """The commit, and whether files of the product or its tests differ from it."""
    git = ("git", "-C", str(ROOT))
    head = subprocess.run(
        [*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    changes = [*git, "status", "--porcelain", "--untracked-files=no", "src", "tests"]
    changed = subprocess.run(changes, capture_output=True, text=True, check=False).stdout.strip()
    return (head.stdout.strip() or "unknown") + (" with local changes" if changed else "")


def the_machine() -> str:
    """Processors, memory and versions."""
    names = (
        re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        if sys.platform == "linux"
        else []
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} x {names[0].strip() if names else platform.machine()}, {memory_gib:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def put_again(told: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The last run with the rows of those that ran again, each with the commit and the time of that."""
    anew = {
        row["rig"]: {**row, "commit": told["commit"], "began_at": told["began_at"]} for row in told["rigs"]
    }
    return {**before, "rigs": [anew.get(row["rig"], row) for row in before["rigs"]]}


def print_table(told: dict[str, Any]) -> None:
    for row in told["rigs"]:
        for figure in row["figures"] or [{}]:
            promises = promises_of(row, figure)
            bound = bound_of(promises, figure)
            shown = "" if bound is None else f"{bound:.1e}"
            cases = figure.get("cases", f"{row['tests']} tests")
            wrong = figure.get("violations", row["failed"])
            ran = f"{row['rig']}: {figure['ran']}" if figure else row["rig"]
            sys.stdout.write(f"{'/'.join(promises):11} {cases!s:>9} {wrong!s:>3} {shown:>8}  {ran[:150]}\n")
    found = [row for row in told["planted"] if row["found_by"]]
    sys.stdout.write(f"{'P37':10} planted bugs found: {len(found)} of {len(told['planted'])}\n")
    sys.stdout.write(f"{totals(told)}\n")


def main() -> int:
    """Run what the form asks for; 0 when nothing was violated and every planted bug was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ci", action="store_true", help="the shortest form; writes no documents")
    parser.add_argument("--only", action="append", help="this rig and no planted bugs; writes no documents")
    parser.add_argument("--again", action="append", help="this rig of the last long run, in its form")
    asked = parser.parse_args()
    before = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    if asked.again and not (IS_LONG and before.get("form") == "long"):
        parser.error("--again needs LONG=1 and the results of a long run")
    asked.only = asked.again or asked.only
    form = "ci" if asked.ci else "long" if IS_LONG else "short"
    os.environ[FORM_NAME] = form
    unknown = set(asked.only or ()) - {rig.name for rig in RIGS}
    if unknown:
        parser.error(f"no such rigs: {', '.join(sorted(unknown))}")
    chosen = [rig for rig in RIGS if (rig.name in asked.only if asked.only else form in rig.forms)]
    run = Run(form, chosen)
    run.run()
    if not asked.only:
        run.plant(CI_BUGS if form == "ci" else ())
    told = run.told
    print_table(told)
    replaces = form == "long" or (form == "short" and before.get("form") != "long")
    if asked.again or (not asked.only and replaces):
        told = put_again(told, before) if asked.again else told
        RESULTS.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")
        write_page(RESULTS)
    is_clean = not any(row["failed"] for row in run.told["rigs"]) and all(
        row["found_by"] for row in run.told["planted"]
    )
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
