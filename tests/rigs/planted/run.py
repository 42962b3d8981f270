"""Plants one bug after the other and tells which test notices it: ``python tests/rigs/planted/run.py [name ...]``."""

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

from tests.rigs.figures import FORM_NAME  # noqa: E402 - the path has to be known first
from tests.rigs.planted.bugs import BUGS, MIGRATIONS_READ, Bug  # noqa: E402 - the path has to be known first
from tests.rigs.planted.rewriting import SWITCH  # noqa: E402

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
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "--tb=line", catcher],
            cwd=ROOT,
            env={**environment(bug.name), FORM_NAME: "ci"},
            capture_output=True,
            text=True,
            check=False,
        )
        match = _failed.search(done.stdout)
        if "IsolationError" in done.stdout:
            found = "the server's own check: it does not start"
            break
        if match is None and done.returncode:
            # Not found: a test that cannot run has noticed nothing.
            sys.stderr.write(f"{bug.name}: {catcher} did not run\n{(done.stdout + done.stderr)[-1_500:]}\n")
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


def try_all(names: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Each bug by itself; a line is printed for each."""
    told = []
    for bug in BUGS.values():
        if not names or bug.name in names:
            told.append(try_bug(bug))
            sys.stdout.write(f"{json.dumps(told[-1])}\n")
            sys.stdout.flush()
    return told


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(BUGS)
    if unknown:
        sys.exit(f"no such bugs: {sorted(unknown)}")
    results = try_all(sys.argv[1:])
    missed = [row["bug"] for row in results if row["found_by"] is None]
    sys.stdout.write(f"{len(results) - len(missed)} of {len(results)} found; missed: {missed}\n")
    sys.exit(bool(missed))
