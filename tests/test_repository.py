"""What a checkout promises: locks without addresses, settings in one place, a version in one place."""

import re
import subprocess
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
