"""The package: builds, installs alone, types hold, and the README's lines run."""

import ast
import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.races.servers import ServerProcess

from quotastack.services.tenants import NewTenant
from quotastack_client import Client

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sdk" / "python"


def run(*command: str | Path, **more: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needed_by(*names: str) -> Iterator[Path]:
    """What distributions and their own dependencies have put into this environment."""
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # a dependency of other platforms
        needs = [need for need in found.requires or () if "extra ==" not in need]
        waiting += [re.split(r"[^A-Za-z0-9._-]", need)[0] for need in needs]
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in {"..", "__pycache__"}}
        yield from (Path(str(found.locate_file(top))) for top in sorted(tops))


@pytest.mark.slow
def test_the_package_builds_and_installs_alone(
    tmp_path: Path, server: ServerProcess, tenant: NewTenant, client: Client
) -> None:
    """Both distributions; the wheel goes into an empty environment with nothing but its two dependencies beside it."""
    run(sys.executable, "-m", "hatchling", "build", "-d", tmp_path / "dist", cwd=PACKAGE)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert list((tmp_path / "dist").glob("*.tar.gz"))
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        metadata = packed.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert "quotastack_client/py.typed" in names
    assert sorted(re.findall(r"^Requires-Dist: (\w+)", metadata, re.MULTILINE)) == ["httpx2", "msgspec"]

    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        python,
        "install",
        "--quiet",
    )
    run(*pip, "--no-deps", "--no-index", wheel)
    (site,) = (tmp_path / "empty" / "lib").glob("python*/site-packages")
    for entry in needed_by("httpx2", "msgspec"):
        if not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    script = (
        "from quotastack_client import Client\n"
        "import quotastack_client.ai.litellm, quotastack_client.web.asgi\n"
        "print(Client().customers.create(external_id='packed').external_customer_id)"
    )
    environment = {"QUOTASTACK_API_KEY": tenant.test_key, "QUOTASTACK_BASE_URL": server.base_url}
    assert run(python, "-c", script, env=environment, cwd=tmp_path) == "packed\n"
    assert client.customers.get(external_customer_id="packed")


@pytest.mark.slow
def test_types_are_strict() -> None:
    """The client, and the examples as its users' type checkers see them."""
    tool = Path(sys.executable).with_name("basedpyright")
    run(tool, "--pythonpath", sys.executable, PACKAGE / "src", PACKAGE / "examples", cwd=ROOT)


def readme_lines() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return found


def test_the_readme_s_fifteen_lines(
    client: Client, server: ServerProcess, tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = readme_lines()
    assert len([line for line in text.splitlines() if line.strip()]) <= 15
    assert (PACKAGE / "examples" / "fifteen_lines.py").read_text().endswith(text), "the typed copy of it"
    monkeypatch.setenv("QUOTASTACK_API_KEY", tenant.test_key)
    monkeypatch.setenv("QUOTASTACK_BASE_URL", server.base_url)
    client.metrics.create(key="words", name="Words")
    client.rules.create(billable_metric_key="words", cost_type="per_unit", unit_cost=1_000)

    names: dict[str, object] = {"think": lambda question: question}
    exec(compile(ast.parse(text), "README.md", "exec"), names)  # the README's own words
    shown = SimpleNamespace(**names)
    shown.signed_up("ada")
    shown.signed_up("ada")
    assert client.credits.get(external_customer_id="ada").balance == 10_000
    assert shown.answer("ada", "what is it") == "what is it"
    account = client.credits.get(external_customer_id="ada")
    assert (account.balance, account.reserved_balance) == (7_000, 0)
    client.credits.withdraw(external_customer_id="ada", credits=7_000)
    assert shown.answer("ada", "and now") == "Please top up."
    shown.client.close()


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((PACKAGE / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_the_examples_run(path: Path, server: ServerProcess, tenant: NewTenant, client: Client) -> None:
    environment = {
        **os.environ,
        "QUOTASTACK_API_KEY": tenant.test_key,
        "QUOTASTACK_BASE_URL": server.base_url,
        "PYTHONPATH": str(PACKAGE / "src"),
    }
    run(sys.executable, "-W", "error", path, env=environment)
    assert client.ledger.verify().ok
