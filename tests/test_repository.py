"""What a checkout promises: locks without addresses, settings in one place, a version in one place."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quotastack import __version__

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_hashes_and_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE), (
        "no index option: the operator's own configuration decides"
    )
    packages = re.findall(
        r"^[a-z0-9][^\n]*==[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}[^\n]*\n?)+)", text, re.MULTILINE
    )
    assert len(packages) == len(re.findall(r"^[a-z0-9][^\n]*==", text, re.MULTILINE)) > 20


def test_the_locks_agree() -> None:
    pinned = [
        dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in LOCKS
    ]
    assert {name: version for name, version in pinned[1].items() if name in pinned[0]} == pinned[0]


def test_the_version_stands_once() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{__version__}"' in project
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_ruff_ignores_with_a_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    block = project.partition("ignore = [")[2].partition("\n]")[0]
    bare = [line for line in block.splitlines() if line.strip() and "#" not in line]
    assert not bare, f"say why: {bare}"


def test_make_help_lists_every_target() -> None:
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "run", "test", "check", "bench", "rigs", "help"):
        assert f"make {target} " in printed


def test_the_fastest_python_is_chosen(tmp_path: Path) -> None:
    """Of those on the PATH; who cannot run QuotaStack says nothing, whatever else is said."""
    said = {
        "python3.13": "echo '9000 /slow/python3.13'",
        "python3.11": "echo '7000 /with space/python3.11'",
        "python3": "echo 'not for you' >&2; exit 1",
        "python": "echo '10000 /slower/python'",
    }
    for name, line in said.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    assert _choose(tmp_path) == "/with space/python3.11"
    for name in said:
        (tmp_path / name).unlink()
    (tmp_path / "python3").symlink_to(sys.executable)
    assert Path(_choose(tmp_path)).resolve() == Path(sys.executable).resolve()


def test_no_python_that_would_do_is_told(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    tried = subprocess.run(
        ["make", "setup", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        env={"PATH": _path(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode != 0
    assert "PYTHON=/path/to/python" in tried.stderr
    assert not (tmp_path / "venv").exists()


def _choose(folder: Path) -> str:
    made = subprocess.run(
        [str(ROOT / "tools" / "choose_python")],
        env={**os.environ, "PATH": _path(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


def _path(folder: Path) -> str:
    """A PATH on which only ``folder`` has interpreters, besides the tools that choose one."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("bash", "dirname", "make", "readlink", "sed", "sort"):
        found = shutil.which(tool)
        assert found is not None
        if not (tools / tool).exists():
            (tools / tool).symlink_to(found)
    return f"{folder}:{tools}"
