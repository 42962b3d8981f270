"""P37: whether the tests of ``core`` notice when one expression of it is another. A sample with a fixed seed.

What was reached must not be lost: below the floor, which leaves room for another sample, the rig fails.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.rigs.figures import tell

ROOT = Path(__file__).parents[2]
SAMPLE = 600
SECONDS = 420
GOAL = 95
FLOOR = 93


def test_the_tests_of_core_notice_mutants() -> None:
    run = ROOT / "tests" / "rigs" / "mutation" / "run.py"
    done = subprocess.run(
        [sys.executable, str(run), "--sample", str(SAMPLE), "--seconds", str(SECONDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3_000:]
    told = json.loads(done.stdout.splitlines()[-1])
    counted = told["tried"] - told["equivalent"]
    tell(
        "P37",
        ran=(
            f"{counted} mutants of core drawn from {told['of']:,}: {told['noticed']} noticed, "
            f"score {told['score']} % (goal {GOAL}), {told['equivalent']} equivalent ones left out"
        ),
        cases=counted,
        violations=told["survived"],
    )
    assert counted >= SAMPLE // 4, "too few were tried to say anything"
    assert told["score"] >= FLOOR, done.stderr[-6_000:]
