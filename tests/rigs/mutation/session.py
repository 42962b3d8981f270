"""Runs the tests that reach a mutant against it: one forked child for each mutant, from tests collected once.

mutmut's own runner starts pytest anew for each mutant: hours for all of ``core``. Here the tests are imported and
collected once and never run in the parent; a child changes the code of one function and stops at the first test
that fails. The children inherit nothing that a test has left behind.
"""

import __future__

import gc
import json
import os
import resource
import signal
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import pytest
from _pytest.runner import runtestprotocol
from tests.rigs.mutation.mutants import CORE, Mutant

EXAMPLES = 12
MEMORY_BYTES = 4 * 2**30
# A child that takes this much longer than its tests did is caught in a loop: noticed.
PATIENCE = 3
MOST_LIKELY = 12
_annotations = __future__.annotations.compiler_flag


def plant(mutant: Mutant) -> None:
    """Give the function the mutant's code, wherever the function is already known."""
    module = sys.modules[mutant.module]
    owner, _, name = mutant.function.rpartition(".")
    source = f"class {owner}:\n{textwrap.indent(mutant.source, '    ')}" if owner else mutant.source
    scope = dict(vars(module))
    exec(compile(source, str(module.__file__), "exec", flags=_annotations, dont_inherit=True), scope)
    target, made = (
        getattr(found, "__func__", found)
        for found in (
            vars(getattr(module, owner) if owner else module)[name],
            vars(scope[owner])[name] if owner else scope[name],
        )
    )
    target.__code__ = made.__code__
    target.__defaults__ = made.__defaults__
    target.__kwdefaults__ = made.__kwdefaults__


class Running(NamedTuple):
    """A child at work on a mutant; ``heard`` is where it tells which of the tests has failed."""

    mutant: Mutant
    tests: list[int]
    heard: int


class Reach:
    """Which test runs which lines of ``core``, and how long it takes."""

    def __init__(self, seconds: list[float], lines: dict[str, dict[str, list[int]]]) -> None:
        self.seconds = seconds
        self.lines = lines

    def tests_of(self, mutant: Mutant) -> list[int]:
        """The tests that reach the mutant's statement, the quickest first."""
        lines = self.lines.get(mutant.module.rpartition(".")[2], {})
        reached: set[int] = set()
        for line in range(mutant.first, mutant.last + 1):
            reached.update(lines.get(str(line), ()))
        return sorted(reached, key=self.seconds.__getitem__)


def measure(items: list[Any], file: Path) -> None:
    """Run every test once, in a child, and write what it reaches."""
    recorder = coverage.Coverage(data_file=None, include=[f"{CORE}/*"], config_file=False)
    seconds: list[float] = []
    recorder.start()
    for index, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
        recorder.switch_context(str(index))
        began = time.process_time()
        reports = runtestprotocol(item, log=False, nextitem=following)
        seconds.append(time.process_time() - began)
        for report in reports:
            if report.failed:
                sys.stderr.write(f"{item.nodeid} fails without a mutant\n{report.longreprtext}\n")
                os._exit(1)
    recorder.stop()
    data = recorder.get_data()
    lines = {
        Path(path).stem: {
            str(line): [int(context) for context in contexts if context]
            for line, contexts in data.contexts_by_lineno(path).items()
        }
        for path in data.measured_files()
    }
    file.write_text(json.dumps({"seconds": seconds, "lines": lines}), "utf-8")


def try_mutant(mutant: Mutant, items: list[Any], tell: int) -> int:
    """Run the tests until one fails; 0 when none did, 1 when one noticed, 3 when the mutant could not be planted."""
    try:
        plant(mutant)
    except ValueError:
        return 3
    for index, (item, following) in enumerate(zip(items, [*items[1:], None], strict=True)):
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=following)):
            os.write(tell, b"%d" % index)
            return 1
    return 0


def _limit(seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds * PATIENCE) + 5, int(seconds * PATIENCE) + 6))
    signal.setitimer(signal.ITIMER_REAL, seconds * PATIENCE * 10 + 60)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


class MutationSession:
    """A pytest plugin: takes the place of the loop that would run the tests."""

    def __init__(
        self,
        mutants: Iterable[Mutant],
        *,
        reach: Path,
        save: Callable[[dict[str, str]], None],
        children: int,
        budget_seconds: float,
        slowest_seconds: float,
    ) -> None:
        self.mutants = mutants
        self.file = reach
        self.children = children
        self.budget_seconds = budget_seconds
        self.slowest_seconds = slowest_seconds
        self.told: dict[str, str] = {}
        self.save = save
        self.killers: dict[tuple[str, str], list[int]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        began = time.monotonic()
        items = session.items
        for item in items:
            _quicken(item)
        if not self.file.exists() and not self._measure(items):
            raise pytest.UsageError("the tests do not pass as they are")
        reach = Reach(**json.loads(self.file.read_text("utf-8")))
        gc.collect()
        gc.freeze()
        running: dict[int, Running] = {}
        for mutant in self.mutants:
            if time.monotonic() - began > self.budget_seconds:
                break
            tests = [test for test in reach.tests_of(mutant) if reach.seconds[test] <= self.slowest_seconds]
            if not tests:
                self.told[mutant.name] = "not reached"
                continue
            while len(running) >= self.children:
                self._wait(running)
            seconds = sum(reach.seconds[test] for test in tests)
            tests = self._likely_first(mutant, tests)
            heard, tell = os.pipe()
            child = os.fork()
            if not child:
                _limit(seconds)
                os._exit(_guarded(mutant, [items[test] for test in tests], tell))
            os.close(tell)
            running[child] = Running(mutant, tests, heard)
        while running:
            self._wait(running)
        return True

    def _measure(self, items: list[Any]) -> bool:
        child = os.fork()
        if not child:
            try:
                measure(items, self.file)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        return self.file.exists()

    def _likely_first(self, mutant: Mutant, tests: list[int]) -> list[int]:
        """Those first that noticed the last mutants of this function, then of this module."""
        likely = [
            *reversed(self.killers[mutant.module, mutant.function]),
            *reversed(self.killers[mutant.module, ""]),
        ]
        reached = set(tests)
        first = list(dict.fromkeys(test for test in likely[:MOST_LIKELY] if test in reached))
        return first + [test for test in tests if test not in set(first)]

    def _wait(self, running: dict[int, "Running"]) -> None:
        child, status = os.wait()
        mutant, tests, heard = running.pop(child)
        code = os.waitstatus_to_exitcode(status)
        index = os.read(heard, 16)
        os.close(heard)
        self.told[mutant.name] = {0: "survived", 3: "not planted"}.get(
            code, "killed" if code == 1 else "timeout"
        )
        if index:
            for place in ((mutant.module, mutant.function), (mutant.module, "")):
                known = self.killers[place]
                test = tests[int(index)]
                if test in known:
                    known.remove(test)
                known.append(test)
        self.save(self.told)


def _guarded(mutant: Mutant, items: list[Any], tell: int) -> int:
    try:
        return try_mutant(mutant, items, tell)
    except BaseException:  # noqa: BLE001 - a child that breaks has noticed
        return 1


def _quicken(item: Any) -> None:
    """Fewer examples, the same in every run, and no search for the shortest one."""
    import hypothesis  # pytest complains when it came before its plugin

    test = getattr(getattr(item, "obj", None), "__func__", getattr(item, "obj", None))
    if not hasattr(test, "hypothesis"):
        return
    known = getattr(test, "_hypothesis_internal_use_settings", None) or hypothesis.settings.default
    test._hypothesis_internal_use_settings = hypothesis.settings(
        known,
        max_examples=min(known.max_examples, EXAMPLES),
        derandomize=True,
        database=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )
