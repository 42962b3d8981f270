"""Every use case is a script that runs against a server, as its page says; twice, in one environment."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path for path in (ROOT / "examples").glob("*.py") if path.name != "client.py")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs(script: Path, server: Any, tenant: Any) -> None:
    environment = {
        **os.environ,
        "QUOTASTACK_URL": server.base_url,
        "QUOTASTACK_API_KEY": tenant.test_key,
    }
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, script.name],
            cwd=script.parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout


def test_every_example_has_its_page() -> None:
    pages = {path.stem.replace("-", "_"): path for path in (ROOT / "docs" / "use-cases").glob("*.md")}
    assert set(pages) == {script.stem for script in SCRIPTS}
    for name, page in pages.items():
        assert f"examples/{name}.py" in page.read_text("utf-8")
