"""The TypeScript client: built strictly, fresh against the server, told the shared stories, packed and installed.

Its own tests are in ``sdk/typescript/tests`` and run with node's test runner; each of their files is one test here.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import InProcess, ScratchDatabase
from tests.races.servers import Client, ServerProcess, wait_until

from quotastack.services.tenants import NewTenant

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason="node is not on this machine")

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "sdk" / "typescript"
SOURCES = ("package.json", "tsconfig.json", "src/**/*.ts")


def run(*command: str, cwd: Path = FOLDER, **environment: str) -> str:
    """The command's output; a failure shows all of it."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def digest(*patterns: str) -> str:
    """One word for what these files hold."""
    found = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in FOLDER.glob(pattern)):
        found.update(str(path.relative_to(FOLDER)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def do_once(stamp: Path, word: str, *command: str) -> None:
    """Run the command unless it has been run for the same files."""
    if not stamp.is_file() or stamp.read_text() != word:
        run(*command)
        stamp.write_text(word)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with its compiler installed and ``dist`` built; workers take turns."""
    base = tmp_path_factory.getbasetemp()
    lock = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "typescript.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        do_once(FOLDER / "node_modules/.stamp", digest("package*.json"), "npm", "ci", "--ignore-scripts")
        if not (FOLDER / "dist/.stamp").is_file() or (FOLDER / "dist/.stamp").read_text() != digest(*SOURCES):
            shutil.rmtree(FOLDER / "dist", ignore_errors=True)
            do_once(FOLDER / "dist/.stamp", digest(*SOURCES), "npm", "run", "build")
    return FOLDER


def access(server: ServerProcess, tenant: Any) -> Mapping[str, str]:
    return {"QUOTASTACK_BASE_URL": server.base_url, "QUOTASTACK_API_KEY": tenant.test_key}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in (FOLDER / "tests").glob("*.test.mjs")))
def test_its_own(name: str, package: Path, server: ServerProcess, tenant: Any) -> None:
    run("node", "--test", "--test-reporter=spec", f"tests/{name}", cwd=package, **access(server, tenant))


def test_the_generated_files_are_what_the_server_says(server: ServerProcess) -> None:
    run("node", "scripts/generate.mjs", f"{server.base_url}/openapi.json", "--check")


@pytest.mark.slow
def test_examples_are_strictly_typed(package: Path) -> None:
    settings = json.loads((FOLDER / "tsconfig.json").read_text())["compilerOptions"]
    assert settings["strict"] is True
    run("npm", "run", "check", cwd=package)


def test_the_lock_names_no_address() -> None:
    text = (FOLDER / "package-lock.json").read_text()
    assert "://" not in text
    assert '"integrity": "sha512-' in text
    manifest = json.loads((FOLDER / "package.json").read_text())
    assert "dependencies" not in manifest, "the client has no runtime dependency"


@pytest.mark.slow
def test_the_packed_client_works_in_an_empty_folder(
    package: Path, server: ServerProcess, tenant: Any, tmp_path: Path
) -> None:
    run("npm", "pack", "--ignore-scripts", "--pack-destination", str(tmp_path), cwd=package)
    (tarball,) = tmp_path.glob("*.tgz")
    app = tmp_path / "app"
    app.mkdir()
    (app / "package.json").write_text('{"private": true, "type": "module"}')
    run("npm", "install", "--offline", "--ignore-scripts", str(tarball), cwd=app)
    assert [path.name for path in (app / "node_modules").iterdir() if path.name[0] != "."] == ["@quotastack"]
    script = (
        'import { Client } from "@quotastack/client";'
        'const made = await new Client().customers.create({ external_id: "packed" });'
        "console.log(made.external_customer_id);"
    )
    assert run("node", "--input-type=module", "-e", script, cwd=app, **access(server, tenant)) == "packed\n"


def blocks_of(page: Path) -> list[str]:
    """The page's pieces of TypeScript."""
    return re.findall(r"```ts\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def compile_strictly(package: Path, folder: Path, files: Mapping[str, str]) -> None:
    """The files, as an app of their own that has the client installed."""
    (folder / "node_modules" / "@quotastack").mkdir(parents=True)
    (folder / "node_modules" / "@quotastack" / "client").symlink_to(package, target_is_directory=True)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICT, "files": list(files)}))
    for name, text in files.items():
        (folder / name).write_text(text)
    run(str(package / "node_modules" / ".bin" / "tsc"), cwd=folder)


@pytest.mark.slow
def test_every_piece_of_the_pages_is_strictly_typed(package: Path, tmp_path: Path) -> None:
    pages = (ROOT / "docs" / "sdk" / "typescript.md", FOLDER / "README.md")
    pieces = [piece for page in pages for piece in blocks_of(page)]
    assert len(pieces) >= 9
    compile_strictly(package, tmp_path, {f"piece{number}.ts": text for number, text in enumerate(pieces)})


@pytest.mark.slow
def test_the_readme_integrates_in_fifteen_lines(
    package: Path, server: ServerProcess, tenant: Any, api: Any, tmp_path: Path
) -> None:
    """Compiled as it stands and called with credits for two: a repeated request is charged once."""
    (example,) = blocks_of(ROOT / "README.md")
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    prepare(api, customer="user_123", granted=2000, unit_cost=1000)
    surroundings = "declare function answer(request: Request): Promise<string>;\n"
    compile_strictly(package, tmp_path, {"route.ts": f"{example}\n{surroundings}"})
    (tmp_path / "call.mjs").write_text(CALLER)
    told = run("node", "call.mjs", cwd=tmp_path, **access(server, tenant))
    assert json.loads(told) == [[200, "hello"], [200, "hello"], [200, "hello"], [402, ""]]
    account = api.get("/v1/customer-by-external-id/user_123/credits").json
    assert (account["balance"], account["lifetime_spent"]) == (0, 2000)


STRICT = {
    "strict": True,
    "target": "es2022",
    "module": "nodenext",
    "lib": ["es2022", "dom", "dom.iterable"],
    "types": [],
}
CALLER = """
globalThis.answer = async () => "hello";
const { POST } = await import("./route.js");
const call = async (id) => {
  const headers = { "x-user-id": "user_123", "x-request-id": id };
  const response = await POST(new Request("http://app/chat", { method: "POST", headers }));
  const text = await response.text();
  return [response.status, response.ok ? text : ""];
};
console.log(JSON.stringify([await call("one"), await call("one"), await call("two"), await call("three")]));
"""


def prepare(api: Client, *, customer: str, granted: int, unit_cost: int) -> None:
    """A customer with credits, and a price for a metric."""
    rule = {"billable_metric_key": "api_calls", "cost_type": "per_unit", "unit_cost": unit_cost}
    for path, body in (
        ("/v1/billable-metrics", {"key": "api_calls", "name": "API calls"}),
        ("/v1/metering-rules", rule),
        ("/v1/topup/grant", {"external_customer_id": customer, "credits": granted}),
    ):
        answer = api.post(path, body)
        assert answer.status == 201, answer.json


@pytest.mark.slow
def test_a_server_killed_during_a_flush_loses_and_doubles_nothing(
    package: Path, database: ScratchDatabase, tmp_path: Path
) -> None:
    """The recorder repeats what it got no answer for, with the same keys; the ledger has every unit once."""
    events, unit_cost = 3000, 10
    server = ServerProcess(tmp_path / "data", **database.environment)
    try:
        tenant = make_tenant(database)
        api = server.start().client(tenant.test_key)
        prepare(api, customer="busy", granted=events * unit_cost + 7, unit_cost=unit_cost)
        recorder = subprocess.Popen(
            ["node", "tests/record.mjs", str(events)],
            cwd=package,
            env={**os.environ, **access(server, tenant)},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            for _kill in range(2):
                before = spent(api)
                wait_until(lambda known=before, http=api: spent(http) > known, "a batch has landed")
                server.kill()
                api = server.start().client(tenant.test_key)
            told, _ = recorder.communicate(timeout=120)
        finally:
            if recorder.poll() is None:
                recorder.kill()
                recorder.communicate()
        assert recorder.returncode == 0, told
        assert json.loads(told)["errors"] > 0, "the kills came after the flush"
        account = api.get("/v1/customer-by-external-id/busy/credits").json
        assert (account["balance"], account["lifetime_spent"]) == (7, events * unit_cost)
        assert api.get("/v1/ledger/verify").json["ok"] is True
    finally:
        server.stop()


def make_tenant(database: ScratchDatabase) -> NewTenant:
    services = InProcess(database)
    try:
        return services.create_tenant("recorder")
    finally:
        services.close()


def spent(api: Client) -> int:
    return api.get("/v1/customer-by-external-id/busy/credits").json["lifetime_spent"]
