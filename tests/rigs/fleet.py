"""Servers on one embedded database that fall and come back, and a client that does not give up."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2
from tests.races.servers import (
    Answer,
    Client,
    ServerProcess,
    create_tenant,
    stop_database,
    wait_until,
)
from tests.rigs.failpoints.hooks import SWITCH, TRACE, file_name

SITE = Path(__file__).parent / "failpoints" / "site"
READY_SECONDS_MAX = 60.0
SETTLE_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 5.0
# The callers share the processors with the servers: what their own waiting may add.
OWN_SECONDS_MAX = 1.5


def failpoint_environment(control: Path) -> dict[str, str]:
    """Settings of a process that can be told to fall, by files in ``control``."""
    control.mkdir(exist_ok=True)
    known = os.environ.get("PYTHONPATH", "")
    path = f"{SITE}{os.pathsep}{known}" if known else str(SITE)
    return {SWITCH: str(control), "PYTHONPATH": path}


class Nursery:
    """A process that has imported the product and forks servers; see ``failpoints/nursery.py``."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, str(SITE.parent / "nursery.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **failpoint_environment(folder)},
            text=True,
        )

    def bear(self, arguments: list[str], environment: dict[str, str], log: Path) -> "Born":
        told = {"arguments": arguments, "environment": environment, "log": str(log)}
        with self.lock:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(f"{json.dumps(told)}\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        assert line, "the nursery has ended"
        return Born(int(line))

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Born:
    """A server that the nursery forked, with the words of ``Popen`` that are needed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """None while it lives."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return -1
        return -1 if state == "Z" else None

    def wait(self, timeout_seconds: float = 30) -> int:
        deadline = time.monotonic() + timeout_seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("server", timeout_seconds)
            time.sleep(0.005)
        return -1

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)


class Member(ServerProcess):
    """One server of a fleet; whoever finds it dead starts it again."""

    def __init__(self, nursery: Nursery, data: Path, control: Path, **settings: str) -> None:
        super().__init__(data, **settings, **failpoint_environment(control))
        self.nursery = nursery
        self.control = control
        self.starts = 0

    def spawn(self) -> None:
        """Start it, without waiting until it serves."""
        self.starts += 1
        arguments = ["serve", "--host", "127.0.0.1", "--port", str(self.port), "--data", str(self.data)]
        self.process = self.nursery.bear(arguments, self.settings, self.log)  # type: ignore[assignment]

    def is_ready(self) -> bool:
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            asking.request("GET", "/readyz")
            return asking.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asking.close()

    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def trace(self) -> Path:
        """From now on the points that the process passes are written there."""
        passed = self.control / TRACE
        passed.write_text("")
        return passed

    def arm(self, point_name: str, action: str) -> None:
        """The next time the process comes to the point it does what ``action`` says."""
        armed = self.control / file_name(point_name)
        armed.with_name(f"{armed.name}.fired").unlink(missing_ok=True)
        written = armed.with_name(f"{armed.name}.new")
        written.write_text(action, "ascii")
        written.rename(armed)

    def has_fired(self, point_name: str) -> bool:
        return (self.control / f"{file_name(point_name)}.fired").exists()

    def disarm(self, point_name: str) -> None:
        (self.control / file_name(point_name)).unlink(missing_ok=True)


class Fleet:
    """So many servers on one data folder. One that is dead is started again by whoever looks for a ready one."""

    def __init__(self, folder: Path, count: int, **settings: str) -> None:
        self.data = folder / "data"
        self.lock = threading.Lock()
        self.nursery = Nursery(folder / "control")
        self.members = [
            # As in tests/races/servers.py: so many lanes that those of one process meet each other, too.
            Member(
                self.nursery,
                self.data,
                folder / f"control-{number}",
                **{"QUOTASTACK_LANES": str(number), **settings},
            )
            for number in range(1, count + 1)
        ]
        self.turn = 0
        first = self.members[0]
        first.spawn()
        wait_until(first.is_ready, "the first server is ready", timeout_seconds=READY_SECONDS_MAX)
        self.tenant = create_tenant(self.data)
        for member in self.members[1:]:
            member.spawn()

    def revive(self) -> None:
        """Start what is dead."""
        with self.lock:
            for member in self.members:
                if member.is_dead():
                    member.spawn()

    def ready(self, other_than: Member | None = None) -> Member:
        """A server that serves; the next in turn."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            self.revive()
            self.turn += 1
            member = self.members[self.turn % len(self.members)]
            if (member is not other_than or len(self.members) == 1) and member.is_ready():
                return member
            time.sleep(0.02)
        told = "\n".join(member.log.read_text()[-1_500:] for member in self.members)
        raise AssertionError(f"no server is ready:\n{told}")

    def postmaster_pid(self) -> int:
        return self.members[0].postmaster_pid()

    def close(self) -> None:
        for member in self.members:
            member.stop()
        self.nursery.close()
        stop_database(self.data)


class SteadyClient:
    """The calls of the ``api`` fixture, repeated with the same key on other servers until there is an answer.

    ``unexpected`` collects answers that no fault explains; ``stuck`` what was not answered in half a minute.
    """

    def __init__(self, fleet: Fleet, api_key: str) -> None:
        self.fleet = fleet
        self.api_key = api_key
        self.member: Member | None = None
        self.slowest = 0.0
        self.unexpected: list[str] = []
        self._clients: dict[tuple[str, int], Client] = {}

    def client(self, member: Member) -> Client:
        """A client of that server since its last start."""
        name = (member.base_url, member.starts)
        if name not in self._clients:
            self._clients[name] = Client(member.base_url, self.api_key, timeout_seconds=20)
        return self._clients[name]

    def once(self, member: Member, verb: str, path: str, body: Any, key: str) -> Answer | None:
        """One attempt; None when the connection ended without an answer."""
        started = time.monotonic()
        client = self.client(member)
        try:
            answer = (
                client.get(path, **(body or {})) if verb == "GET" else client._write(verb, path, body, key)
            )
        except httpx2.TimeoutException:
            self.unexpected.append(f"no answer in 20 s: {verb} {path}")
            return None
        except httpx2.HTTPError:
            return None
        seconds = time.monotonic() - started
        self.slowest = max(self.slowest, seconds)
        if seconds > ANSWER_SECONDS_MAX + OWN_SECONDS_MAX:
            self.unexpected.append(f"{verb} {path}: answered after {seconds:.1f} s")
        if answer.status == 503 and "retry-after" not in answer.headers:
            self.unexpected.append(f"{verb} {path}: 503 without Retry-After")
        return answer

    def call(self, verb: str, path: str, body: Any, key: str) -> Answer:
        """Repeat until there is an answer that is no 503, at the same server while it answers."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        said: Any = None
        while time.monotonic() < deadline:
            if self.member is None or self.member.is_dead():
                self.member = self.fleet.ready()
            said = self.once(self.member, verb, path, body, key)
            if said is not None and said.status != 503:
                return said
            self.member = None
            time.sleep(0.02)
        raise AssertionError(f"stuck: {verb} {path} with {key}: {said}")

    def get(self, path: str, **query: Any) -> Answer:
        return self.call("GET", path, query, "")

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        return self.call("POST", path, body, key or str(uuid.uuid4()))

    def patch(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        return self.call("PATCH", path, body, key or str(uuid.uuid4()))

    def put(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        return self.call("PUT", path, body, key or str(uuid.uuid4()))

    def delete(self, path: str, *, key: str | None = None) -> Answer:
        return self.call("DELETE", path, None, key or str(uuid.uuid4()))

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
