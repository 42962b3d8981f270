"""The mutation score of ``core``: ``python tests/rigs/mutation/run.py [module ...] [--sample N] [--seed N]``.

The mutants are mutmut's; ``session.py`` tells why its own runner is not used. What became of each is kept in
``--folder``, so that a long run can go on where it was stopped. What may survive, and why: ``survivors.toml``.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402 - the path has to be known first
from tests.rigs.mutation.mutants import CORE, Mutant, make_mutants  # noqa: E402
from tests.rigs.mutation.session import MutationSession  # noqa: E402
from tests.rigs.mutation.survivors import describe, read_groups, reason_of  # noqa: E402

# The model's long lives are left out: what they would notice besides, the score does not count.
TESTS = (
    "tests/core",
    "tests/model/test_model_core.py::test_core_follows_the_model_and_shrinks",
    "tests/model/test_model_invariants.py::test_nobody_overspends_without_a_policy",
)
SEED = 20_260_101
SAVE_SECONDS = 5
NOTICED = {"killed", "timeout"}


def select(mutants: list[Mutant], sample: int | None, seed: int = SEED) -> list[Mutant]:
    """All, or so many drawn with the seed."""
    if sample is None or sample >= len(mutants):
        return mutants
    return Random(seed).sample(mutants, sample)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="of core, by their file names; default all")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn with the seed")
    parser.add_argument("--seed", type=int, default=SEED, help="another draws another sample")
    parser.add_argument("--folder", type=Path, help="where to keep what is known")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long, to be continued")
    parser.add_argument("--children", type=int, default=2)
    parser.add_argument("--slowest", type=float, default=60, help="leave out tests that take longer")
    parser.add_argument("--again", action="store_true", help="try those again that survived")
    parser.add_argument("--tests", nargs="*", default=TESTS, help="which tests may kill")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        return _run(options, folder)


class Results:
    """What became of each mutant, kept in a file; a mutant of a function that has changed is unknown again."""

    def __init__(self, file: Path, mutants: list[Mutant]) -> None:
        self.file = file
        self.marks = {
            mutant.name: hashlib.sha256(mutant.source.encode()).hexdigest()[:12] for mutant in mutants
        }
        self.rows: dict[str, list[str]] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        self.saved_at = time.monotonic()

    def status(self, mutant: Mutant) -> str | None:
        status, mark = self.rows.get(mutant.name, (None, None))
        return status if mark == self.marks[mutant.name] else None

    def keep(self, told: dict[str, str]) -> None:
        self.rows.update({name: [status, self.marks[name]] for name, status in told.items()})
        self.file.write_text(json.dumps(self.rows), "utf-8")
        self.saved_at = time.monotonic()

    def keep_sometimes(self, told: dict[str, str]) -> None:
        if time.monotonic() - self.saved_at > SAVE_SECONDS:
            self.keep(told)


def _run(options: argparse.Namespace, folder: Path) -> int:
    files = [CORE / f"{module}.py" for module in options.modules] or sorted(CORE.glob("*.py"))
    made = list(make_mutants(files, folder / "mutants"))
    mutants = select(made, options.sample, options.seed)
    results = Results(folder / "results.json", mutants)
    settled = NOTICED if options.again else {*NOTICED, "survived", "not reached", "not planted"}
    unknown = [mutant for mutant in mutants if results.status(mutant) not in settled]
    if unknown:
        session = MutationSession(
            unknown,
            save=results.keep_sometimes,
            reach=folder / f"reach-{_state(options.tests)}.json",
            children=options.children,
            budget_seconds=options.seconds,
            slowest_seconds=options.slowest,
        )
        os.chdir(ROOT)
        status = pytest.main(["-q", "-s", "-p", "no:xdist", *options.tests], plugins=[session])
        if status and not session.told:
            return int(status)
        results.keep(session.told)
    told = {"of": len(made), **summarize(mutants, results)}
    for change in told["survived"]:
        sys.stderr.write(f"survived: {change}\n")
    sys.stdout.write(f"{json.dumps({**told, 'survived': len(told['survived'])})}\n")
    return 0


def summarize(mutants: list[Mutant], results: Results) -> dict[str, Any]:
    """How many were tried and noticed, which of the others may survive, and what is left. Open ones do not count."""
    groups = read_groups()
    tried = [(mutant, status) for mutant in mutants if (status := results.status(mutant)) is not None]
    noticed = sum(status in NOTICED for _, status in tried)
    others = [(mutant, status) for mutant, status in tried if status not in NOTICED]
    excused = Counter(filter(None, (reason_of(mutant, groups) for mutant, _ in others)))
    left = [f"{describe(mutant)} ({status})" for mutant, status in others if not reason_of(mutant, groups)]
    counted = noticed + len(left)
    return {
        "tried": len(tried),
        "noticed": noticed,
        "equivalent": excused.total(),
        "score": round(100 * noticed / counted, 2) if counted else None,
        "survived": left,
    }


def _state(tests: list[str]) -> str:
    """What the reach of the tests depends on."""
    digest = hashlib.sha256()
    for folder in (CORE, ROOT / "tests" / "core", ROOT / "tests" / "model"):
        for file in sorted(folder.glob("*.py")):
            digest.update(file.read_bytes())
    digest.update(repr(tests).encode())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
