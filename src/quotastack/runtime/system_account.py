"""The account that PostgreSQL runs under: ours, or an unprivileged one when we are root.

PostgreSQL refuses to run as root. A dedicated system user is made when there is none; nothing outside our own
directories changes its mode for it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec

NAME: Final = "quotastack"
FALLBACKS: Final = ("postgres", "nobody")


class AccountError(Exception):
    """No account that PostgreSQL could run under."""


class Account(msgspec.Struct, frozen=True):
    """A user id and its primary group id."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """Whether it is the account of this process, so that nothing needs to be handed over."""
        return self.uid == os.geteuid()

    def process_arguments(self) -> dict[str, Any]:
        """Arguments that make ``subprocess`` run a program under the account."""
        return {} if self.is_ours else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def take_over(self, path: Path) -> None:
        """Give one path to the account."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_enter(self, directory: Path) -> bool:
        """Whether the account may enter a directory, all its parents included."""
        if self.is_ours:
            return True
        return all(self._may_pass(path.stat()) for path in [directory, *directory.parents])

    def _may_pass(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def choose_account(owned: Path | None = None) -> Account:
    """The account for a cluster: who owns it already, else ours, else (as root) a dedicated one.

    Raises:
        AccountError: we are root, and no user could be made or found.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if owned is not None and owned.exists() and owned.stat().st_uid != 0:
        status = owned.stat()
        return Account(status.st_uid, status.st_gid)
    if _find(NAME) is None:
        _create()
    for name in (NAME, *FALLBACKS):
        account = _find(name)
        if account is not None:
            return account
    raise AccountError(
        "PostgreSQL does not run as root, and no unprivileged user could be made. Start as another user, or add one:"
        f" useradd --system {NAME}"
    )


def _find(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def _create() -> None:
    commands = (
        [
            "useradd",
            "--system",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
            "--shell",
            "/usr/sbin/nologin",
            NAME,
        ],
        ["adduser", "-S", "-D", "-H", "-s", "/sbin/nologin", NAME],
    )
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
        if done.returncode == 0 or _find(NAME) is not None:
            return
