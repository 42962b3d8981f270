"""`kill -9` of servers, worker processes, backends and the postmaster at random times, under load."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from tests.races.servers import run_command, wait_until
from tests.rigs.crash_load import CrashLoad, settled
from tests.rigs.figures import FORM, tell
from tests.rigs.fleet import Fleet, Member

# How often each falls; together with the crashes at named steps the long form makes more than a thousand.
VICTIMS = {
    "ci": {"server": 2, "worker": 1, "backend": 3, "postmaster": 1},
    "short": {"server": 7, "worker": 2, "backend": 12, "postmaster": 4},
    "long": {"server": 33, "worker": 8, "backend": 50, "postmaster": 15},
}[FORM]
SEEDS = range(5, 9) if FORM == "long" else (5,)
SERVERS = 2 if FORM == "ci" else 3
CONTROL_KILLS_MAX = 12


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """Processes that a process has started and that live."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = entry.joinpath("stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent) == pid and state != "Z":
                found.append(int(entry.name))
    return found


class Killer:
    """Kills on a fleet whose last member has worker processes."""

    def __init__(self, fleet: Fleet, load: CrashLoad, chance: Random) -> None:
        self.fleet = fleet
        self.load = load
        self.chance = chance
        self.done: Counter[str] = Counter()

    def run(self, victims: list[str]) -> None:
        for victim in victims:
            self.load.wait_for(self.chance.randint(3, 25))
            time.sleep(self.chance.random() * 0.05)
            pid = self.find(victim)
            os.kill(pid, signal.SIGKILL)
            self.done[victim] += 1

    def find(self, victim: str) -> int:
        """The process to kill; waits until there is one."""
        found: list[int] = []

        def look() -> bool:
            self.fleet.revive()
            found[:] = getattr(self, f"_{victim}")()
            return bool(found)

        wait_until(look, f"a {victim} to kill", timeout_seconds=60)
        return self.chance.choice(found)

    def _server(self) -> list[int]:
        ready = [member for member in self.fleet.members[:-1] if not member.is_dead() and member.is_ready()]
        return [_pid(member) for member in ready]

    def _worker(self) -> list[int]:
        return [pid for pid in children(_pid(self.fleet.members[-1])) if " work " in command_line(pid)]

    def _backend(self) -> list[int]:
        return [pid for pid in children(self._running()) if "qs_app" in command_line(pid)]

    def _postmaster(self) -> list[int]:
        pid = self._running()
        return [pid] if any("qs_app" in command_line(child) for child in children(pid)) else []

    def _running(self) -> int:
        try:
            return self.fleet.postmaster_pid()
        except (OSError, ValueError, IndexError):
            return -1


def _pid(member: Member) -> int:
    assert member.process is not None
    return member.process.pid


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path, SERVERS)
    with_workers = Member(made.nursery, made.data, tmp_path / "control-workers", QUOTASTACK_WORKERS="2")
    with_workers.spawn()
    made.members.append(with_workers)
    yield made
    made.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_acknowledged_writes_survive_kills_at_random_times(fleet: Fleet, seed: int) -> None:
    chance = Random(seed)
    victims = [name for name, count in VICTIMS.items() for _ in range(count)]
    chance.shuffle(victims)
    load = CrashLoad(fleet, seed=seed)
    started = time.monotonic()
    try:
        load.learn()
        load.start()
        killer = Killer(fleet, load, chance)
        killer.run(victims)
        faults = settled(load)
    finally:
        load.close()
    verified = run_command(fleet.data, "verify")
    if verified.returncode:
        faults.append(f"verify: {verified.stdout}{verified.stderr}")
    tell(
        "P5",
        "P8",
        ran=f"kills {dict(killer.done)} on {len(fleet.members)} servers in {time.monotonic() - started:.0f} s; "
        f"{len(load.done)} writes acknowledged, {dict(load.told)}, slowest answer {load.slowest:.1f} s",
        cases=killer.done.total(),
        violations=len(faults),
        kills=killer.done.total(),
    )
    assert killer.done.total() == len(victims)
    assert not faults, "\n".join(faults[:20])


def test_control_without_synchronous_commit_is_caught(tmp_path: Path) -> None:
    """The checker is worth something: where acknowledged writes are lost on purpose, it says so."""
    fleet = Fleet(tmp_path, 1)
    kills = 0
    faults: list[str] = []
    try:
        (fleet.data / "postgres" / "operator.conf").write_text("synchronous_commit = off\n")
        (fleet.data / "postgres" / "operator.conf").chmod(0o644)
        os.kill(fleet.postmaster_pid(), signal.SIGKILL)
        load = CrashLoad(fleet, seed=2)
        killer = Killer(fleet, load, Random(6))
        load.learn()
        while not any(fault.startswith("lost") for fault in faults) and kills < CONTROL_KILLS_MAX:
            load.start()
            killer.run(["postmaster"])
            kills += 1
            load.wait_for(5)
            faults = settled(load)
        load.close()
    finally:
        fleet.close()
    lost = sum(fault.startswith("lost") for fault in faults)
    tell(
        "P8",
        ran=f"control with synchronous_commit = off: {kills} kills of PostgreSQL lost {lost} "
        f"of {len(load.done)} acknowledged writes, and the checker names each",
        cases=kills,
        violations=int(not lost),
        kills=kills,
    )
    assert lost, "the checker has missed lost writes, or none was lost"
