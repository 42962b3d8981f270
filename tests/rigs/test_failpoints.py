"""A crash at every named step of every kind of write: the effect is there once, and the key is free to be repeated."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.api.stories import Story
from tests.races.servers import Answer, run_command
from tests.rigs.failpoints.kinds import (
    CATALOG_KINDS,
    ENGINE_KINDS,
    Kind,
    World,
    Write,
    difference,
    plain,
    remove,
    snapshot,
)
from tests.rigs.failpoints.points import ANSWER, CATALOG, ENGINE, HALF, Point
from tests.rigs.figures import FORM, tell
from tests.rigs.fleet import Fleet, Member, SteadyClient
from tests.rigs.planted.rewriting import SWITCH as PLANTED

ACTIONS = ("server", "backend", "cut")
KINDS = ENGINE_KINDS + CATALOG_KINDS
if FORM == "ci":
    KINDS = tuple(
        kind
        for kind in KINDS
        if kind.name in {"usage", "usage again", "reserve", "exchange", "topup", "metric", "plan"}
    )
POINTS = (*ENGINE, *CATALOG, *ANSWER)
FLEETS = 2
# The long form in pieces of a minute or two.
PARTS = 6 if FORM == "long" else 1
MEMBERS = 2 if FORM == "ci" else 3
FIRED_SECONDS_MAX = 2.0
# What a server remembers of a customer may have gone with the crash before.
TRIES_MAX = 4


class Cell(NamedTuple):
    """One crash: where, in what, and of whom; on the server that made the customer (``is_known``) or another."""

    point: Point
    kind: Kind
    action: str
    is_known: bool

    @property
    def name(self) -> str:
        where = "known" if self.is_known else "unknown"
        return f"{self.action} at '{self.point.name}' in {self.kind.name} of a customer {where} to the server"


Reach = dict[tuple[Kind, bool], set[str]]


def matrix(reach: Reach) -> list[Cell]:
    """Every point that a kind of write passes, with every action."""
    cells: list[Cell] = []
    for kind in {kind.name: kind for kind, _ in reach}.values():
        # What a kind's server does beside it, in another task, is none of its steps.
        own = (CATALOG if kind in CATALOG_KINDS else ENGINE) + ANSWER
        for point in own:
            ways = [is_known for is_known in (True, False) if point.name in reach[kind, is_known]]
            cells += [
                Cell(point, kind, action, ways[(len(cells) + number) % len(ways)])
                for number, action in enumerate(ACTIONS)
                if ways and (point.moment != HALF or action == "server")
            ]
    chance = random.Random(17)
    chance.shuffle(cells)
    return cells if FORM == "long" else thinned(cells)


def thinned(cells: list[Cell]) -> list[Cell]:
    """Each pair of a point and an action once, with kinds that take turns; in CI each point once."""
    seen: Counter[str] = Counter()
    chosen: list[Cell] = []
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.point.name, "" if FORM == "ci" else cell.action), []).append(cell)
    for found in groups.values():
        cell = min(found, key=lambda each: (seen[each.action], seen[each.kind.name]))
        seen.update((cell.kind.name, cell.action))
        chosen.append(cell)
    return chosen


def is_allowed(first: Answer | None, meant: int) -> bool:
    """Nothing, what was meant, or 503; a batch says either for each event apart."""
    if first is None or first.status in {503, meant}:
        return True
    if first.status != 207:
        return False
    return all(
        each["status"] != "failed" or each["problem"]["status"] == 503 for each in first.json["results"]
    )


class Crashes:
    """One fleet on a database of its own, and the cells that fall in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        settings = {"QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "1"}
        self.fleet = Fleet(folder, MEMBERS, **settings)
        self.api = SteadyClient(self.fleet, self.fleet.tenant.test_key)
        self.world = World(Story(self.api, self.fleet.tenant))
        self.references: dict[str, tuple[int, Any, Any]] = {}
        self.faults: list[str] = []
        self.done: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()

    def reference(self, kind: Kind) -> tuple[int, Any, Any]:
        """Status, body and effect of the kind where nothing falls."""
        if kind.name not in self.references:
            tag = f"calm_{KINDS.index(kind):02d}"
            write = kind.prepare(self.world, tag)
            said = self.api.call(write.verb, write.path, write.body, f"key-{tag}")
            assert 200 <= said.status < 300, (kind.name, said)
            effect = self.effect(kind, write, tag)
            self.references[kind.name] = (said.status, plain(said.json, tag), effect)
        return self.references[kind.name]

    def reach(self) -> Reach:
        """Which points each kind passes where nothing falls."""
        passed: Reach = {}
        for kind in KINDS:
            self.reference(kind)
            for is_known in (True, False):
                tag = f"walk_{KINDS.index(kind):02d}_{int(is_known)}"
                member, write = self.prepare(kind, tag, is_known=is_known)
                trace = member.trace()
                said = self.api.once(member, write.verb, write.path, write.body, f"key-{tag}")
                assert said is not None, kind.name
                passed[kind, is_known] = set(trace.read_text("utf-8").split("\n"))
                trace.unlink()
                self.effect(kind, write, tag)
        return passed

    def effect(self, kind: Kind, write: Write, tag: str) -> Any:
        """Everything that shows it; what would change the next writes is removed."""
        seen = snapshot(self.world, write, tag)
        if kind.is_removed:
            remove(self.world, write.subject, tag)
        return seen

    def prepare(self, kind: Kind, tag: str, *, is_known: bool) -> tuple[Member, Write]:
        """What the kind needs, made through the server that will get the write, or through another one."""
        member = self.fleet.ready()
        self.api.member = member if is_known else self.fleet.ready(other_than=member)
        return member, kind.prepare(self.world, tag)

    def run(self, cells: list[Cell], first_number: int) -> None:
        for number, cell in enumerate(cells, first_number):
            try:
                self.fall(cell, f"fall_{number:05d}")
            except AssertionError as error:
                self.faults.append(f"{cell.name}: {str(error)[:600]}")
            self.done[cell.action] += 1
        self.faults += self.api.unexpected
        verified = run_command(self.fleet.data, "verify")
        if verified.returncode:
            self.faults.append(f"verify: {verified.stdout}{verified.stderr}")

    def fall(self, cell: Cell, tag: str) -> None:
        expected = self.reference(cell.kind)
        for number in range(TRIES_MAX):
            member, write = self.prepare(cell.kind, f"{tag}_{number}", is_known=cell.is_known)
            member.arm(cell.point.name, cell.action)
            first = self.api.once(member, write.verb, write.path, write.body, f"key-{tag}_{number}")
            has_fired = self.has_fired(member, cell.point, first)
            member.disarm(cell.point.name)
            if has_fired:
                break
        assert has_fired, f"the point never fired; answered {first}"
        tag = f"{tag}_{number}"
        self.outcomes["none" if first is None else str(first.status)] += 1
        assert is_allowed(first, expected[0]), f"answered {first}"
        self.settle(cell.kind, write, f"key-{tag}", tag, first if first and first.status != 503 else None)
        effect = self.effect(cell.kind, write, tag)
        assert effect == expected[2], f"another effect: {difference(effect, expected[2])}"

    @staticmethod
    def has_fired(member: Member, point: Point, first: Answer | None) -> bool:
        """An answer may come before the file that tells of the point is there, where the point is after it."""
        deadline = time.monotonic() + (FIRED_SECONDS_MAX if first is None else FIRED_SECONDS_MAX / 10)
        while not member.has_fired(point.name) and time.monotonic() < deadline:
            time.sleep(0.005)
        return member.has_fired(point.name)

    def settle(self, kind: Kind, write: Write, key: str, tag: str, first: Any) -> None:
        """Repeat with the key, twice: both give what was acknowledged, if it was, and what was meant."""
        status, body, _ = self.reference(kind)
        self.api.member = self.fleet.ready()
        second, third = (self.api.call(write.verb, write.path, write.body, key) for _ in range(2))
        assert second.status == third.status == status, f"repeated: {second}, {third}"
        if kind.has_equal_bytes:
            assert plain(second.json, tag) == body, f"repeated: {difference(plain(second.json, tag), body)}"
            assert second.content == third.content, f"two repetitions differ: {second}, {third}"
            assert first is None or first.content == second.content, f"answered {first}, then {second}"
            assert third.headers.get("x-idempotent-replayed") == "true", f"not a repetition: {third}"

    def close(self) -> None:
        self.api.close()
        self.fleet.close()


@pytest.fixture
def crashes(tmp_path: Path) -> Iterator[list[Crashes]]:
    made: list[Crashes] = []
    try:
        for number in range(1 if FORM == "ci" else FLEETS):
            made.append(Crashes(tmp_path / f"fleet-{number}"))  # noqa: PERF401 - what was made is closed
        yield made
    finally:
        for each in made:
            each.close()


@pytest.mark.parametrize("part", range(PARTS))
def test_every_write_survives_a_crash_at_every_step(crashes: list[Crashes], part: int) -> None:
    reach = crashes[0].reach()
    missed = {point.name for point in POINTS} - set().union(*reach.values())
    assert not missed, f"no write passes {missed}"
    cells = matrix(reach)[part::PARTS]
    shares = [cells[number :: len(crashes)] for number in range(len(crashes))]
    threads = [
        threading.Thread(target=each.run, args=(share, 10_000 * number))
        for number, (each, share) in enumerate(zip(crashes, shares, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = sum((each.done for each in crashes), Counter[str]())
    outcomes = sum((each.outcomes for each in crashes), Counter[str]())
    faults = [fault for each in crashes for fault in each.faults]
    points = {cell.point.name for cell in cells}
    kinds = {cell.kind.name for cell in cells}
    tell(
        "P6",
        ran=f"part {part + 1} of {PARTS}: {len(points)} steps x {len(kinds)} kinds of writes, {dict(done)}; "
        f"first answers {dict(outcomes)}, slowest {max(each.api.slowest for each in crashes):.1f} s",
        cases=len(cells),
        violations=len(faults),
        kills=done["server"] + done["backend"],
    )
    assert done.total() == len(cells)
    assert not faults, "\n".join(faults[:20])


def test_an_answer_before_commit_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrix is worth something: it sees what it is made to see."""
    bug = "answer before COMMIT"
    monkeypatch.setenv(PLANTED, bug)
    crashes = Crashes(tmp_path / "planted")
    try:
        (point,) = (point for point in ENGINE if point.name == "after all writes, before COMMIT")
        kinds = [kind for kind in ENGINE_KINDS if kind.name in {"exchange", "reserve", "topup"}]
        cells = [Cell(point, kind, action, is_known=True) for kind in kinds for action in ("cut", "backend")]
        crashes.run(cells, 0)
    finally:
        crashes.close()
    found = [fault for fault in crashes.faults if "answered" in fault]
    tell("P6", ran=f"control with the bug '{bug}' planted: noticed {len(found)} times", cases=len(cells),
         violations=int(not found))  # fmt: skip
    assert found, crashes.faults
