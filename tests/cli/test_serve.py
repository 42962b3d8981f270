"""``quotastack serve`` as a user meets it: first start, later starts, stops, crashes, several workers."""

import os
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.races.servers import QUOTASTACK, ServerProcess, free_port, run_command, stop_database, wait_until


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    stop_database(folder)


def printed(server: ServerProcess) -> str:
    return server.log.read_text()


def keys_of(data: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (data / "env").read_text().splitlines())


def children(pid: int) -> list[int]:
    """The worker processes of a parent; its PostgreSQL not counted."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            is_worker = b"quotastack.cli.main" in (process / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and is_worker:
            found.append(int(process.name))
    return found


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_the_first_start_shows_the_key_once_and_keeps_it(data: Path) -> None:
    server = ServerProcess(data).start()
    told = printed(server)
    keys = keys_of(data)
    assert told.count(keys["QS_TEST_KEY"]) == 2
    assert keys["QS_LIVE_KEY"] not in told
    assert f"{server.base_url}/reference" in told
    assert stat.S_IMODE((data / "env").stat().st_mode) == 0o600
    assert data.stat().st_mode & 0o007 == 0
    server.stop()
    server.start()
    assert printed(server).count(keys["QS_TEST_KEY"]) == 2, "a later start shows no key"
    assert keys_of(data) == keys
    server.stop()


def test_the_printed_call_works_as_pasted(data: Path) -> None:
    server = ServerProcess(data).start()
    for _ in range(2):
        wait_until(lambda: "entitlements/api_calls" in printed(server), "the call is printed")
        call = re.findall(r"^  (.*entitlements/api_calls.*)$", printed(server), re.MULTILINE)[-1]
        answer = subprocess.run(
            ["sh", "-c", call], capture_output=True, text=True, cwd=data.parent, check=True
        ).stdout
        assert '"allowed":true' in answer
        assert '"balance":49000' in answer
        server.stop()
        server.start()
    server.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_server_and_database(data: Path, number: signal.Signals) -> None:
    server = ServerProcess(data).start()
    postmaster = server.postmaster_pid()
    assert server.process is not None
    server.process.send_signal(number)
    assert server.process.wait(30) == 0
    assert is_gone(postmaster)
    assert not list(data.rglob("postmaster.pid"))
    assert "Traceback" not in printed(server)


def test_a_stop_while_starting_leaves_nothing_behind(data: Path) -> None:
    process = subprocess.Popen(
        [QUOTASTACK, "serve", "--port", str(free_port()), "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    wait_until(lambda: bool(list(data.rglob("postmaster.pid"))), "PostgreSQL is starting")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert b"Traceback" not in output
    assert not list(data.rglob("postmaster.pid"))


def test_a_killed_server_is_taken_over_by_the_next(data: Path) -> None:
    server = ServerProcess(data).start()
    key = keys_of(data)["QS_TEST_KEY"]
    postmaster = server.postmaster_pid()
    server.kill()
    assert not is_gone(postmaster)
    server.start()
    assert server.postmaster_pid() == postmaster
    client = server.client(key)
    assert client.get("/v1/admin/api-keys").status == 200
    client.close()
    server.stop()
    assert is_gone(postmaster)


def test_a_killed_database_is_started_again_under_the_server(data: Path) -> None:
    server = ServerProcess(data).start()
    postmaster = server.postmaster_pid()
    client = server.client(keys_of(data)["QS_TEST_KEY"])
    os.kill(postmaster, signal.SIGKILL)
    wait_until(lambda: is_gone(postmaster), "the postmaster is gone")
    wait_until(lambda: client.get("/v1/admin/api-keys").status == 200, "it answers again")
    assert client.get("/readyz").status == 200
    client.close()
    server.stop()


def test_commands_join_the_running_database(data: Path) -> None:
    server = ServerProcess(data).start()
    postmaster = server.postmaster_pid()
    made = run_command(data, "tenants", "create", "Acme", "--json")
    assert made.returncode == 0, made.stderr
    assert run_command(data, "doctor").returncode == 0
    assert run_command(data, "verify").returncode == 0
    assert server.postmaster_pid() == postmaster
    server.stop()
    assert run_command(data, "verify").returncode == 0, "and start it when it does not run"
    assert is_gone(postmaster)
    assert not list(data.rglob("postmaster.pid"))


def test_several_workers_share_the_port_and_are_replaced(data: Path) -> None:
    server = ServerProcess(data, QUOTASTACK_WORKERS="2").start()
    assert server.process is not None
    parent = server.process.pid
    wait_until(lambda: len(children(parent)) == 2, "both workers are there")
    victim = children(parent)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(set(children(parent)) - {victim}) == 2, "the dead one is replaced")
    assert httpx2.get(f"{server.base_url}/livez").status_code == 200
    workers = children(parent)
    server.stop()
    assert all(is_gone(worker) for worker in workers)
    assert not list(data.rglob("postmaster.pid"))


def test_workers_do_not_outlive_a_killed_parent(data: Path) -> None:
    server = ServerProcess(data, QUOTASTACK_WORKERS="2").start()
    assert server.process is not None
    workers = children(server.process.pid)
    server.kill()
    wait_until(lambda: all(is_gone(worker) for worker in workers), "the workers are gone")
    server.settings = {}
    server.start()
    server.stop()


def test_a_taken_port_is_one_message(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run_command(data, "serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "is in use" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(data.rglob("postmaster.pid"))


def test_an_unknown_setting_is_refused() -> None:
    environment = {**os.environ, "QUOTASTACK_PROT": "1"}
    done = subprocess.run([QUOTASTACK, "serve"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "QUOTASTACK_PROT is not a setting. Did you mean QUOTASTACK_PORT?"


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["tenants", "create"], ["migrate"], ["doctor"], ["verify"]]
)
def test_help_explains_each_setting(command: list[str]) -> None:
    done = subprocess.run([QUOTASTACK, *command, "--help"], capture_output=True, text=True, check=True)
    for setting in ("DATABASE_URL", "DATA", "WEBHOOK_RETRY_WAITS"):
        assert f"QUOTASTACK_{setting}" in done.stdout
    if command:
        assert "--" in done.stdout


def test_python_without_assertions_is_refused() -> None:
    done = subprocess.run(
        [Path(QUOTASTACK).with_name("python"), "-O", "-m", "quotastack.cli.main", "version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "python -O" in done.stderr
