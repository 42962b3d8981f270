"""A disk of the embedded database is full: writes are refused, nothing acknowledged is lost, and it comes back.

Three disks: one that holds the tables only, with PostgreSQL's log on another; one that holds both, where the log still
has room in the file that it has; and one where the log has none either, so that PostgreSQL stops.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from tests.api.stories import Story
from tests.races.servers import (
    Client,
    ServerProcess,
    create_tenant,
    run_command,
    stop_database,
    wait_until,
)
from tests.rigs.figures import FORM, tell

DISK_BYTES = 224 * 1024 * 1024
CYCLES = 20 if FORM == "long" else 1
FULL_SECONDS = 2.0
WRITES_REFUSED_MIN = 10
# How many files of the log may stand ready.
LOG_FILES_MAX = 12
# A log that keeps to a part of the small disk: by default it may take all of it, and then what fills the disk besides
# leaves no room to come back when it goes.
SMALL_LOG = "min_wal_size = 32MB\nmax_wal_size = 64MB\n"
ANSWER_SECONDS_MAX = 5.75
RECOVERY_SECONDS_MAX = 10.0
WALLET = 1_000_000_000
CUSTOMERS = 3


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes. Where none may be mounted the rig has not run, and says so by failing."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "tmpfs", str(place)]
    tries = [words, ["sudo", "-n", *words]] if shutil.which("sudo") else [words]
    said = [subprocess.run(each, capture_output=True, text=True, check=False) for each in tries]
    if all(done.returncode for done in said):
        why = said[0].stderr.strip()
        tell("P10", ran=f"NOT RUN: no small file system can be mounted here ({why})", cases=0, violations=1)
        pytest.fail(f"a small file system cannot be mounted: {why}; run as root")
    yield place
    unmount = ["umount", str(place)]
    wait_until(
        lambda: any(
            subprocess.run(each, capture_output=True, check=False).returncode == 0
            for each in (unmount, ["sudo", "-n", *unmount])[: len(tries)]
        ),
        "the disk is free",
    )


class World:
    """A server on the small disk, what it acknowledged, and what it answered in each phase."""

    def __init__(self, disk: Path, logs: Path, log_disk: Path | None = None) -> None:
        self.disk = disk
        self.server = ServerProcess(disk / "data")
        self.server.log = logs / "server.log"
        self.server.start()
        self.server.stop()
        operator_conf = self.server.data / "postgres" / "operator.conf"
        operator_conf.write_text(SMALL_LOG)
        operator_conf.chmod(0o644)
        if log_disk is not None:
            move_log(self.server.data / "postgres", log_disk)
        self.server.start()
        tenant = create_tenant(self.server.data)
        self.api: Client = self.server.client(tenant.test_key)
        self.story = Story(self.api, tenant)
        self.story.priced("look", 1_000)
        self.customers = [self.story.wallet(WALLET) for _ in range(CUSTOMERS)]
        self.acknowledged: dict[str, str] = {}
        self.unknown: dict[str, str] = {}
        self.answers: defaultdict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
        self.faults: list[str] = []
        self.slowest = 0.0
        self.count = 0

    def ask(self, phase: str) -> int:
        """One write, one read, one check; the write's status."""
        self.count += 1
        key, customer = f"disk:{self.count}", self.customers[self.count % CUSTOMERS]
        status = self.write(phase, key, customer)
        books = f"/v1/customers/{customer}"
        for word, path in (("read", f"{books}/credits"), ("check", f"{books}/entitlements/look")):
            self.note(phase, word, lambda path=path: self.api.get(path))
        return status

    def write(self, phase: str, key: str, customer: str) -> int:
        body = {"customer_id": customer, "billable_metric_key": "look", "metadata": {"filling": "x" * 400}}
        status = self.note(phase, "write", lambda: self.api.post("/v1/usage", body, key=key))
        if status == 201:
            self.acknowledged[key] = customer
            self.unknown.pop(key, None)
        else:
            self.unknown[key] = customer
        return status

    def note(self, phase: str, word: str, call: Any) -> int:
        started = time.monotonic()
        try:
            said = call()
        except httpx2.HTTPError as error:
            self.faults.append(f"{phase}, {word}: {error!r}")
            return 0
        self.slowest = max(self.slowest, time.monotonic() - started)
        self.answers[phase][word, said.status] += 1
        if said.status not in {200, 201, 503}:
            self.faults.append(f"{phase}, {word}: {said.status} {said.json}")
        if said.status == 503 and "retry-after" not in said.headers:
            self.faults.append(f"{phase}, {word}: 503 without Retry-After")
        return said.status

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """While nothing more can be written to the disk."""
        ballast = self.disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4_096))
        try:
            yield
        finally:
            ballast.unlink()

    @contextlib.contextmanager
    def owner(self) -> Iterator[Callable[[str], None]]:
        """Runs statements as the owner of PostgreSQL, on a connection of its own."""
        data = self.server.data
        password = (data / "postgres-password").read_text("ascii").strip()
        with asyncio.Runner() as runner:
            connecting = asyncpg.connect(
                host=str(data / "postgres"),
                port=5432,
                user="postgres",
                database="quotastack",
                password=password,
            )
            connection = runner.run(_awaited(connecting))
            try:
                yield lambda statement: runner.run(connection.execute(statement))
            finally:
                connection.terminate()

    def end_log_segment(self) -> None:
        """Have the write-ahead log need a new file, for which there is no room: PostgreSQL stops."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError), self.owner() as run:
            run("SELECT pg_switch_wal()")

    def recover(self) -> float:
        """Until writes are taken again; the seconds."""
        started = time.monotonic()
        while self.ask("freed") != 201:
            assert time.monotonic() < started + 60, self.server.log.read_text()[-3_000:]
        return time.monotonic() - started

    def settle(self) -> None:
        """Repeat what was refused, with its key; then the books must hold what was acknowledged, once each."""
        for key, customer in list(self.unknown.items()):
            if self.write("repeated", key, customer) != 201:
                self.faults.append(f"{key} is still refused")
        for customer in self.customers:
            entries = self.story.ledger(customer)
            found = Counter(entry["idempotency_key"] for entry in entries if entry["type"] == "usage")
            mine = {key for key, owner in self.acknowledged.items() if owner == customer}
            self.faults += [f"lost: {key}" for key in mine - found.keys()]
            self.faults += [f"never acknowledged: {key}" for key in found.keys() - mine]
            self.faults += [f"not once: {key}" for key, count in found.items() if count > 1]
            self.story.verify(customer)
        verified = run_command(self.server.data, "verify")
        if verified.returncode:
            self.faults.append(f"verify: {verified.stdout}{verified.stderr}")

    def tell(self, what: str, cycles: int, recovered: list[float]) -> None:
        shown = {
            phase: {f"{word} {status}": count for (word, status), count in sorted(seen.items())}
            for phase, seen in self.answers.items()
        }
        tell(
            "P10",
            ran=f"{what}, {cycles} times: {shown}, slowest {self.slowest:.1f} s, writes again after at most "
            f"{max(recovered):.1f} s",
            cases=cycles,
            violations=len(self.faults),
        )

    def close(self) -> None:
        self.server.stop()
        stop_database(self.server.data)


async def _awaited(future: Any) -> Any:
    return await future


def move_log(cluster: Path, place: Path) -> None:
    """Put the write-ahead log of a cluster that is not running elsewhere, as an operator does with a second disk."""
    owner = cluster.stat()
    shutil.move(cluster / "pg_wal", place / "pg_wal")
    (cluster / "pg_wal").symlink_to(place / "pg_wal")
    if os.geteuid() == 0:
        for path in (place, *place.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)


@pytest.fixture
def world(disk: Path, tmp_path: Path) -> Iterator[World]:
    made = World(disk, tmp_path)
    yield made
    made.close()


@pytest.fixture
def parted_world(disk: Path, tmp_path: Path) -> Iterator[World]:
    """The log is on another disk, at a place that the account of the cluster may go to, wherever the tests are."""
    with tempfile.TemporaryDirectory(prefix="quotastack-log-") as place:
        made = World(disk, tmp_path, Path(place))
        yield made
        made.close()


def test_reads_and_checks_go_on_while_the_disk_of_the_tables_is_full(parted_world: World) -> None:
    """Not for a moment only: files of the log that begin meanwhile, and checkpoints, change nothing."""
    world = parted_world
    before = world.server.postmaster_pid()
    checkpoints = Counter[str]()
    # Who connects while the disk is full may be refused: PostgreSQL keeps a file for that, which can be due.
    with world.owner() as run:

        def checkpoint() -> None:
            try:
                run("CHECKPOINT")
                checkpoints["done"] += 1
            except asyncpg.InternalServerError:
                # It is done later. PostgreSQL, and this connection, live on.
                checkpoints["put off"] += 1

        recovered = go_on_while_tables_cannot_grow(world, lambda: run("SELECT pg_switch_wal()"), checkpoint)
        run("CHECKPOINT")
    if world.server.postmaster_pid() != before:
        world.faults.append("PostgreSQL stopped")
    world.tell(
        f"the tables' disk is full, the log's is not: PostgreSQL goes on, checkpoints meanwhile {dict(checkpoints)}",
        CYCLES,
        recovered,
    )
    judge(world, recovered)


def test_reads_and_checks_go_on_while_writes_are_refused(world: World) -> None:
    """Tables and log are on one disk, and the log still has room in the file it has."""
    recovered = go_on_while_tables_cannot_grow(world)
    world.tell(
        "one disk for all is full, the log has room in its file: PostgreSQL goes on", CYCLES, recovered
    )
    judge(world, recovered)


def go_on_while_tables_cannot_grow(world: World, *meanwhile: Callable[[], None]) -> list[float]:
    """Fill and free the disk so many times; how long after each time writes were taken again."""
    recovered: list[float] = []
    for _ in range(CYCLES):
        world.ask("before")
        refused = 0
        with world.full():
            ends_at = time.monotonic() + FULL_SECONDS
            while time.monotonic() < ends_at or refused < WRITES_REFUSED_MIN:
                refused += world.ask("full") == 503
            for act in meanwhile:
                act()
                world.ask("full")
        recovered.append(world.recover())
    world.settle()
    for word in ("read", "check"):
        if world.answers["full"][word, 503]:
            world.faults.append(f"{word} refused while the disk was full: {world.answers['full']}")
    return recovered


def judge(world: World, recovered: list[float]) -> None:
    assert not world.faults, world.faults[:20]
    assert world.slowest <= ANSWER_SECONDS_MAX
    assert max(recovered) <= RECOVERY_SECONDS_MAX


def test_the_database_comes_back_when_its_log_had_no_room(world: World) -> None:
    """PostgreSQL stops where it cannot log. Until there is room everything is answered by 503; then it is started."""
    recovered: list[float] = []
    for _ in range(CYCLES):
        world.ask("before")
        before = world.server.postmaster_pid()
        with world.full():
            for _ in range(LOG_FILES_MAX):
                world.end_log_segment()
                for _ in range(WRITES_REFUSED_MIN):
                    world.ask("no log")
                if _is_stopped(world, before):
                    break
            wait_until(lambda pid=before: _is_stopped(world, pid), "PostgreSQL has no room for its log")
            for _ in range(WRITES_REFUSED_MIN):
                world.ask("stopped")
        recovered.append(world.recover())
    world.settle()
    if world.answers["stopped"]["write", 201]:
        world.faults.append(f"written without a log: {world.answers['stopped']}")
    world.tell(
        "the log's disk is full: PostgreSQL stops, reads and checks are refused too", CYCLES, recovered
    )
    judge(world, recovered)


def _is_stopped(world: World, pid: int) -> bool:
    try:
        return world.server.postmaster_pid() != pid
    except (ValueError, IndexError):
        return not os.path.exists(f"/proc/{pid}")  # noqa: PTH110 - a process, not a file
