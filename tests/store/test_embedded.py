"""The embedded cluster: made, joined, crashed, recovered, stopped. On every PostgreSQL that this machine has."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.races.servers import wait_until

from quotastack.runtime.database import DatabaseTarget
from quotastack.runtime.embedded import Cluster, EmbeddedError
from quotastack.runtime.postgres_binaries import (
    SUPPORTED,
    SYSTEM,
    BinariesNotFoundError,
    find_binaries,
)
from quotastack.runtime.system_account import choose_account

MADE_BY_US = pytest.param(None, id="default")
ON_THE_SYSTEM = [
    pytest.param(SYSTEM / str(major) / "bin", id=f"system-{major}")
    for major in SUPPORTED
    if (SYSTEM / str(major) / "bin" / "initdb").exists()
]


@pytest.fixture(params=[MADE_BY_US, *ON_THE_SYSTEM])
def cluster_of_its_own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    data = tmp_path / "data"
    data.mkdir()
    if (
        not choose_account().can_enter(data)
        and request.param is not None
        and find_binaries(request.param).major < 16
    ):
        data = Path("/var/tmp") / f"quotastack-test-{os.getpid()}-{tmp_path.name}"
    cluster = Cluster(data, postgres_bin=request.param)
    yield cluster
    cluster.leave()
    shutil.rmtree(cluster.data, ignore_errors=True)


def place_for(postgres_bin: Path | None, folder: Path) -> Path:
    """A data directory; before PostgreSQL 16 one whose parents its account may pass, where root's folder has none."""
    data = folder / "data"
    data.mkdir()
    if postgres_bin is None or find_binaries(postgres_bin).major >= 16 or choose_account().can_enter(data):
        return data
    return Path("/var/tmp") / f"quotastack-test-{os.getpid()}-{folder.name}"


def ask(cluster: Cluster, statement: str) -> object:
    async def run() -> object:
        connection = await DatabaseTarget(cluster.dsn, "", cluster.password).connect_owner(
            database="postgres"
        )
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def postmaster_pid(cluster: Cluster) -> int:
    return int((cluster.directory / "postmaster.pid").read_text().splitlines()[0])


def test_it_is_durable_private_and_asks_for_a_password(cluster_of_its_own: Cluster) -> None:
    cluster = cluster_of_its_own
    assert cluster.start_or_join() is True
    for setting, value in {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "unix_socket_permissions": "0700",
    }.items():
        assert ask(cluster, f"SHOW {setting}") == value, setting
    assert ask(cluster, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'") == "C"
    assert cluster.directory.stat().st_mode & 0o777 == 0o700
    assert cluster.data.stat().st_mode & 0o007 == 0
    for name in ("postgres-password", "postgres.log"):
        assert (cluster.data / name).stat().st_mode & 0o777 == 0o600
    wrong = DatabaseTarget(cluster.dsn, "", "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(wrong.connect_owner(database="postgres"))


def test_a_checkpoint_writes_no_file_of_origins(cluster_of_its_own: Cluster) -> None:
    """It would stop PostgreSQL where the disk is full. Backups still have the slots that they use."""
    cluster_of_its_own.start_or_join()
    if ask(cluster_of_its_own, "SELECT current_setting('server_version_num')::int") >= 180_000:
        assert ask(cluster_of_its_own, "SHOW max_active_replication_origins") == "0"
    assert ask(cluster_of_its_own, "SHOW max_replication_slots") == "10"


def test_it_never_runs_as_root(cluster_of_its_own: Cluster) -> None:
    cluster_of_its_own.start_or_join()
    assert Path(f"/proc/{postmaster_pid(cluster_of_its_own)}").stat().st_uid != 0


def test_a_second_process_joins_and_the_last_one_stops_it(cluster_of_its_own: Cluster) -> None:
    first = cluster_of_its_own
    second = Cluster(first.data)
    assert first.start_or_join() is True
    assert second.start_or_join() is False
    pid = postmaster_pid(first)
    first.leave()
    assert ask(second, "SELECT 1") == 1
    second.leave()
    assert not (first.directory / "postmaster.pid").exists()
    assert _is_gone(pid)


def test_what_was_committed_survives_a_kill(cluster_of_its_own: Cluster) -> None:
    cluster = cluster_of_its_own
    cluster.start_or_join()
    ask(cluster, "CREATE TABLE kept AS SELECT 42 AS answer")
    pid = postmaster_pid(cluster)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _is_gone(pid), "the postmaster is gone")
    assert (cluster.directory / "postmaster.pid").exists()
    assert cluster.restart_if_dead() is True
    assert ask(cluster, "SELECT answer FROM kept") == 42
    assert cluster.restart_if_dead() is False


def test_pid_files_that_name_a_stranger_are_stale(cluster_of_its_own: Cluster) -> None:
    """Both that a killed server leaves: its own and its socket's."""
    cluster = cluster_of_its_own
    cluster.start_or_join()
    files = [cluster.directory / "postmaster.pid", *cluster.directory.glob(".s.PGSQL.*.lock")]
    assert len(files) == 2
    texts = [file.read_text() for file in files]
    cluster.leave()
    # Somebody of the same account: of others PostgreSQL itself knows that they are not it.
    account = choose_account(cluster.directory)
    with subprocess.Popen(["sleep", "60"], **account.process_arguments()) as stranger:
        for file, text in zip(files, texts, strict=True):
            file.write_text(text.replace(text.splitlines()[0], str(stranger.pid), 1))
        again = Cluster(cluster.data)
        assert again.start_or_join() is True
        assert ask(again, "SELECT 1") == 1
        again.leave()
        stranger.kill()


def test_an_orphan_of_a_killed_process_is_joined_and_stopped(cluster_of_its_own: Cluster) -> None:
    cluster = cluster_of_its_own
    child = os.fork()
    if child == 0:
        Cluster(cluster.data).start_or_join()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert cluster.start_or_join() is False
    assert ask(cluster, "SELECT 1") == 1
    cluster.leave()
    assert not (cluster.directory / "postmaster.pid").exists()


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / ("long" * 30))
    cluster.start_or_join()
    assert ask(cluster, "SELECT 1") == 1
    joined = Cluster(cluster.data)
    assert joined.start_or_join() is False
    assert ask(joined, "SELECT 1") == 1
    joined.leave()
    cluster.leave()


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a letter").touch()
    before = tmp_path.stat()
    with pytest.raises(EmbeddedError, match="not empty"):
        Cluster(tmp_path).start_or_join()
    after = tmp_path.stat()
    assert (before.st_mode, before.st_uid, before.st_gid) == (after.st_mode, after.st_uid, after.st_gid)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a letter"]


def test_what_an_interrupted_first_start_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "data" / "postgres.new" / "postgres" / "half").mkdir(parents=True)
    cluster = Cluster(tmp_path / "data")
    assert cluster.start_or_join() is True
    assert ask(cluster, "SELECT 1") == 1
    cluster.leave()
    assert not (tmp_path / "data" / "postgres.new").exists()


def test_an_operator_can_set_more(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "data")
    cluster.start_or_join()
    cluster.leave()
    (cluster.directory / "operator.conf").write_text("work_mem = '7MB'\n")
    owner = cluster.directory.stat()
    os.chown(cluster.directory / "operator.conf", owner.st_uid, owner.st_gid)
    again = Cluster(cluster.data)
    again.start_or_join()
    assert ask(again, "SHOW work_mem") == "7MB"
    again.leave()


def test_programs_of_another_version_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BinariesNotFoundError, match="QUOTASTACK_POSTGRES_BIN"):
        find_binaries(tmp_path)
    with pytest.raises(BinariesNotFoundError, match="the data were made by 9"):
        find_binaries(find_binaries(None).directory, major=9)


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
