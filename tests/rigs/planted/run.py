"""Plants one bug after the other and tells which test notices it: ``python tests/rigs/planted/run.py [name ...]``."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from tests.rigs.figures import FORM_NAME  # noqa: E402 - the path has to be known first
from tests.rigs.planted.bugs import BUGS, MIGRATIONS_READ, Bug  # noqa: E402 - the path has to be known first
from tests.rigs.planted.rewriting import SWITCH  # noqa: E402

# A bug may make a test wait for ever; that notices nothing by itself.
CATCHER_SECONDS_MAX = 300
# Where a busy second core could hide what has to be seen, or show what is not there.
RACES = ("tests/races/", "tests/rigs/test_history.py", "tests/engine/")
# Tests that were told to end tidy up for so long.
TIDY_SECONDS = 90
MIGRATIONS = ROOT / "src" / "quotastack" / "runtime" / "migrations"
_failed = re.compile(r"^FAILED (\S+)", re.MULTILINE)


def environment(switch: str) -> dict[str, str]:
    """The environment of a process, and of those it starts, that carries what the switch names."""
    site = str(Path(__file__).with_name("site"))
    known = os.environ.get("PYTHONPATH", "")
    path = f"{site}{os.pathsep}{known}" if known else site
    return {**os.environ, SWITCH: switch, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def gone_texts(bug: Bug) -> list[str]:
    """The patches of the bug that no longer fit: what they replace is not in the module any more."""
    gone = []
    for patch in bug.patches:
        file = ROOT / "src" / Path(*patch.module.split(".")).with_suffix(".py")
        if not file.exists() or patch.old not in file.read_text("utf-8"):
            gone.append(f"{patch.module}: {patch.old.strip().splitlines()[0][:90]}")
        if patch.old == MIGRATIONS_READ:
            text, _ = ast.literal_eval(f"({patch.new.partition('.replace(')[2].removesuffix(')))')})")
            if not any(text in migration.read_text("utf-8") for migration in MIGRATIONS.glob("*.sql")):
                gone.append(f"the migrations: {text.strip().splitlines()[0][:90]}")
    return gone


def run_tests(
    arguments: list[str], surroundings: dict[str, str], seconds_max: float
) -> tuple[int | None, str]:
    """pytest's exit code, None when it had to be ended, and what it printed."""
    with tempfile.TemporaryFile() as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", *arguments],
            cwd=ROOT,
            env=surroundings,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = _ended(running, seconds_max)
        finally:
            if running.poll() is None:
                _end(running)
        out.seek(0)
        return code, out.read().decode("utf-8", errors="replace")


def _ended(running: subprocess.Popen[bytes], seconds_max: float) -> int | None:
    try:
        return running.wait(seconds_max)
    except subprocess.TimeoutExpired:
        return None


def _end(running: subprocess.Popen[bytes]) -> None:
    """First as by a key, so that the servers of the tests go with it."""
    running.send_signal(signal.SIGINT)
    if _ended(running, TIDY_SECONDS) is None:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def try_bug(bug: Bug) -> dict[str, Any]:
    """Run the tests that must notice the bug, in their shortest form; the first that fails has found it.

    A bug whose text is gone is not found, whatever fails: nothing was planted.
    """
    started = time.monotonic()
    found = None
    gone = gone_texts(bug)
    for text in gone:
        sys.stderr.write(f"NOT PLANTED: {bug.name}: its text is gone from {text}\n")
    for catcher in () if gone else bug.catchers:
        surroundings = {**environment(bug.name), FORM_NAME: "ci"}
        code, said = run_tests(["-x", "--tb=line", catcher], surroundings, CATCHER_SECONDS_MAX)
        match = _failed.search(said)
        if "IsolationError" in said:
            found = "the server's own check: it does not start"
            break
        if match is None and code != 0:
            # Not found: a test that cannot run, or does not end, has noticed nothing.
            word = "end" if code is None else "run"
            sys.stderr.write(f"{bug.name}: {catcher} did not {word}\n{said[-1_500:]}\n")
        if match is not None:
            found = match[1]
            break
    return {
        "bug": bug.name,
        "promises": bug.promises,
        "found_by": found,
        "gone": gone,
        "seconds": round(time.monotonic() - started, 1),
    }


def try_all(names: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    """Each bug by itself: two at once, but for those that only a race shows."""
    chosen = [bug for bug in BUGS.values() if not names or bug.name in names]
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(try_bug, (bug for bug in chosen if not _is_race(bug)))
    yield from map(try_bug, filter(_is_race, chosen))


def _is_race(bug: Bug) -> bool:
    return any(catcher.startswith(RACES) for catcher in bug.catchers)


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(BUGS)
    if unknown:
        sys.exit(f"no such bugs: {sorted(unknown)}")
    results = []
    for row in try_all(sys.argv[1:]):
        results.append(row)
        sys.stdout.write(f"{json.dumps(row)}\n")
        sys.stdout.flush()
    missed = [row["bug"] for row in results if row["found_by"] is None]
    sys.stdout.write(f"{len(results) - len(missed)} of {len(results)} found; missed: {missed}\n")
    sys.exit(bool(missed))
