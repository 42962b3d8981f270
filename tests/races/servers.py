"""Servers of a test's own: several processes on one database, killed and started again at will."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

QUOTASTACK = str(Path(sys.executable).with_name("quotastack"))


class Answer(NamedTuple):
    """A response in the form of the `api` fixture's."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content) if self.content else None


class Client:
    """The calls of the `api` fixture, against any base URL. Safe to share between threads."""

    def __init__(self, base_url: str, api_key: str, *, timeout_seconds: float = 60) -> None:
        self.base_url = base_url
        self.api_key = api_key
        limits = httpx2.Limits(max_connections=128, max_keepalive_connections=128)
        self._others: list[Client] = []
        headers = {"X-API-Key": api_key}
        self.http = httpx2.Client(base_url=base_url, headers=headers, timeout=timeout_seconds, limits=limits)

    def with_key(self, api_key: str) -> "Client":
        """The same calls with another key; closed together with this one."""
        self._others.append(Client(self.base_url, api_key))
        return self._others[-1]

    def get(self, path: str, **query: Any) -> Answer:
        return self._call("GET", path, params=query or None)

    def delete(self, path: str) -> Answer:
        return self._call("DELETE", path)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        return self._write("POST", path, body, key)

    def patch(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        return self._write("PATCH", path, body, key)

    def put(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        return self._write("PUT", path, body, key)

    def _write(self, verb: str, path: str, body: Any, key: str | None) -> Answer:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self._call(verb, path, json={} if body is None else body, headers=headers)

    def _call(self, verb: str, path: str, **more: Any) -> Answer:
        response = self.http.request(verb, path, **more)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, headers, response.content)

    def close(self) -> None:
        for other in self._others:
            other.close()
        self.http.close()


class Tenant(NamedTuple):
    """What `quotastack tenants create` prints."""

    tenant_id: str
    test_key: str
    live_key: str


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class ServerProcess:
    """One `quotastack serve` on a data folder; the first one there brings the database up."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.settings = settings
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log = data.parent / f"server-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.clients: list[Client] = []

    def start(self, *, timeout_seconds: float = 60) -> "ServerProcess":
        """Serve, and return when the server says that it is ready."""
        command = [
            QUOTASTACK,
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--data",
            str(self.data),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **self.settings}
            )
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()[-4_000:]
            try:
                if httpx2.get(f"{self.base_url}/readyz", timeout=2).status_code == 200:
                    return self
            except httpx2.HTTPError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready in {timeout_seconds} s:\n{self.log.read_text()[-4_000:]}")

    def kill(self) -> None:
        """End the process as a power cut of one process would."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close_clients()

    def _close_clients(self) -> None:
        while self.clients:
            self.clients.pop().close()

    def stop(self) -> None:
        """Ask the process to end, and wait until it has."""
        self._close_clients()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def postmaster_pid(self) -> int:
        """The process id of the embedded PostgreSQL below the data folder."""
        (pid_file,) = self.data.rglob("postmaster.pid")
        return int(pid_file.read_text().splitlines()[0])

    def client(self, api_key: str) -> Client:
        """A client of this server, closed with it at the latest."""
        self.clients.append(Client(self.base_url, api_key))
        return self.clients[-1]


def run_command(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One `quotastack` command on a data folder."""
    command = [QUOTASTACK, *arguments, "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def create_tenant(data: Path, name: str = "races") -> Tenant:
    done = run_command(data, "tenants", "create", name, "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    return Tenant(printed["tenant_id"], printed["test_key"], printed["live_key"])


@contextmanager
def serving(folder: Path, count: int = 1, **settings: str) -> Iterator[list[ServerProcess]]:
    """That many servers on one new database; all stopped at the end, the database's owner last.

    The first has one lane, the second two, so that lanes of one process meet each other, too.
    """
    data = folder / "data"
    servers: list[ServerProcess] = []
    try:
        for number in range(1, count + 1):
            servers.append(ServerProcess(data, **{"QUOTASTACK_LANES": str(number), **settings}))
            servers[-1].start()
        yield servers
    finally:
        for server in reversed(servers):
            server.stop()
        stop_database(data)


def stop_database(data: Path) -> None:
    """End an embedded PostgreSQL that outlived its killed server."""
    for pid_file in data.rglob("postmaster.pid"):
        try:
            os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGINT)
        except (ProcessLookupError, FileNotFoundError, IndexError):
            continue
        wait_until(lambda found=pid_file: not found.exists(), "PostgreSQL has ended")


def wait_until(is_true: Callable[[], bool], what: str, *, timeout_seconds: float = 30) -> None:
    """Ask again and again; for what another process does in its own time."""
    deadline = time.monotonic() + timeout_seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not in {timeout_seconds} s: {what}"
        time.sleep(0.02)
