"""Requests made from the OpenAPI document, and requests that break it: answered as it says, and never with 5xx.

schemathesis, all phases and checks, NUL bytes on, against a real server with two kinds of keys: one that may do
everything, with a stranger who must not read its things (object_level_authorization), and one with a few scopes.
Switched off is positive_data_acceptance only; openapi_fuzz/fuzz_hooks.py says why, and what stands in for it.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.api import tenant_world
from tests.api.stories import Story, answer
from tests.conftest import InProcess
from tests.races.servers import Client, ServerProcess
from tests.rigs.figures import FORM, tell

HOOKS = Path(__file__).with_name("openapi_fuzz")
ST = str(Path(sys.executable).with_name("st"))
CASES_LONG = 100_000
ROUNDS_MAX = 14
NARROW = ["usage:write", "entitlements:read", "customers:read", "reservations:write"]
# These take the key, the world or its time away: they are asked in a tenant of their own.
DISRUPTIVE = r"/revoke$|/test/reset|/test-clock"
ALL_PHASES = "examples,coverage,stateful,fuzzing"


class Part(NamedTuple):
    """One run of schemathesis: who asks, and for how many seconds at most."""

    who: str
    phases: str
    seconds: int
    paths: tuple[str, ...] = ()
    examples: int = 30


class Told(NamedTuple):
    """What a part found; ``asked`` counts cases by operation, ``statuses`` answers."""

    part: Part
    cases: int
    failures: list[str]
    asked: Counter[str]
    statuses: Counter[str]


class Fuzzers:
    """The server, the keys, and a folder for each run."""

    def __init__(self, server: ServerProcess, in_process: InProcess, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.runs = 0
        own, other, alone = (in_process.create_tenant(name) for name in ("fuzzed", "stranger", "alone"))
        clients = [Client(server.base_url, key) for key in (own.test_key, own.live_key, other.test_key)]
        server.clients += clients
        self.stories = [Story(client, own) for client in clients]
        for story in self.stories:
            tenant_world.build(story)
        narrow = answer(self.stories[0].post("/v1/admin/api-keys", {"name": "narrow", "scopes": NARROW}), 201)
        self.keys = {
            "wide": own.test_key,
            "live": own.live_key,
            "narrow": max(str(value) for value in narrow.values() if str(value).startswith("qs_")),
            "alone": alone.test_key,
        }
        self.stranger = other.test_key

    def run(self, part: Part) -> Told:
        """Run a part to its end."""
        self.runs += 1
        folder = self.folder / f"{self.runs}-{part.who}"
        folder.mkdir()
        self._write_keys(folder, self.keys[part.who])
        done = subprocess.run(
            [ST, "run", f"{self.server.base_url}/openapi.json", *self._arguments(part)],
            cwd=folder,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzz_hooks", "PYTHONPATH": str(HOOKS)},
            capture_output=True,
            text=True,
            check=False,
        )
        report = folder / "report.json"
        assert report.exists(), done.stdout[-4_000:] + done.stderr[-4_000:]
        told = json.loads(report.read_text("utf-8"))
        counted = json.loads((folder / "counts.json").read_text("utf-8"))
        failures = [f"{failure['title']}: {failure['operations']}" for failure in told["failures"]]
        failures += [f"error: {error}" for error in told["errors"]]
        if done.returncode and not failures:
            failures = [f"exit code {done.returncode}"]
        if failures:
            failures.append(done.stdout[-12_000:])
        return Told(
            part,
            told["test_cases"]["generated"],
            failures,
            Counter(counted["operations"]),
            Counter(counted["statuses"]),
        )

    def _write_keys(self, folder: Path, key: str) -> None:
        """Two peers for the object-level check; the first of them asks."""
        users = {"own": key, "stranger": self.stranger}
        auth = [
            {"name": name, "fixedHeaders": [{"name": "X-API-Key", "value": value}]}
            for name, value in users.items()
        ]
        (folder / "keys.json").write_text(json.dumps({"auth": auth}))
        (folder / "schemathesis.toml").write_text(
            '[auth.wfc]\npath = "keys.json"\nuser = "own"\npeers = ["own", "stranger"]\n'
        )

    @staticmethod
    def _arguments(part: Part) -> Iterator[str]:
        yield from ("--phases", part.phases, "--max-time", str(part.seconds))
        yield from ("--max-examples", str(part.examples), "--workers", "1", "--no-color")
        yield from ("--checks", "all", "--exclude-checks", "positive_data_acceptance")
        yield from ("--generation-allow-x00", "true", "--generation-database", "none", "--no-shrink")
        yield from ("--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off")
        yield from ("--report", "json", "--report-json-path", "report.json")
        for path in part.paths:
            yield from ("--include-path-regex", path)
        if part.who != "narrow" and not part.paths:
            yield from ("--exclude-path-regex", DISRUPTIVE)


ALONE = Part("alone", "examples,coverage,fuzzing", 20, (DISRUPTIVE,))
FORMS = {
    "ci": [[Part("wide", "coverage", 18)]],
    "short": [
        [Part("wide", "examples,coverage,fuzzing", 45), Part("wide", "stateful", 10)],
        [Part("narrow", "coverage,fuzzing", 30), ALONE._replace(seconds=15)],
    ],
    "long": [
        [Part("wide", "examples,coverage,fuzzing", 120), Part("wide", "stateful", 60)],
        [Part("narrow", "examples,coverage,fuzzing", 60), ALONE, Part("live", "coverage,stateful", 90)],
    ],
}
ROUND = [[Part("wide", "fuzzing", 45, examples=60)], [Part("live", "fuzzing", 45, examples=60)]]


@pytest.fixture
def fuzzers(server: ServerProcess, in_process: InProcess, tmp_path: Path) -> Fuzzers:
    return Fuzzers(server, in_process, tmp_path)


def run_side_by_side(fuzzers: Fuzzers, lines: list[list[Part]]) -> list[Told]:
    """Each line of parts in a thread of its own: one schemathesis process does not use a core of the server."""
    with ThreadPoolExecutor(len(lines)) as pool:
        told = pool.map(lambda line: [fuzzers.run(part) for part in line], lines)
        return [one for line in told for one in line]


def test_generated_requests(fuzzers: Fuzzers) -> None:
    told = run_side_by_side(fuzzers, FORMS[FORM])
    if FORM == "long":
        for _ in range(ROUNDS_MAX):
            if sum(one.cases for one in told) >= CASES_LONG:
                break
            told += run_side_by_side(fuzzers, ROUND)
    cases = sum(one.cases for one in told)
    asked = sum((one.asked for one in told), Counter())
    statuses = sum((one.statuses for one in told), Counter())
    failures = [f"{one.part}: {failure}" for one in told for failure in one.failures]
    books = [answer(story.api.get("/v1/ledger/verify"), 200) for story in fuzzers.stories]
    failures += [f"the books do not add up: {told}" for told in books if not told["ok"]]
    log = fuzzers.server.log.read_text()
    failures += [line for line in log.splitlines() if "mistake of ours" in line]
    # A key that opens nothing would leave every check content.
    assert all(one.statuses["401"] < one.cases / 4 for one in told if one.part.who != "alone"), statuses
    least = min(asked.items(), key=lambda item: item[1])
    ran = (
        f"{len(asked)} operations, {least[1]} cases at least ({least[0]}), "
        f"answers {dict(sorted(statuses.items()))}"
    )
    tell("P21", ran=ran, cases=cases, violations=len(failures))
    assert not failures, "\n".join(failures)
    assert fuzzers.server.process is not None
    assert fuzzers.server.process.poll() is None


def test_boundary_values_of_customers(fuzzers: Fuzzers) -> None:
    """The smallest run: what a planted bug is looked for with."""
    told = fuzzers.run(
        Part("wide", "coverage", 60, (r"^/v1/customers(/\{customer_id\}(/credits/grant)?)?$",))
    )
    assert not told.failures, "\n".join(told.failures)
    assert told.cases > 100
