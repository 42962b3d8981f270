"""A database of one's own: an owner that is no superuser, any number of processes, other installations beside it."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.races.servers import QUOTASTACK
from tests.store.test_embedded import MADE_BY_US, ON_THE_SYSTEM, place_for

from quotastack.runtime.bootstrap import open_installation
from quotastack.runtime.database import DatabaseTarget
from quotastack.runtime.embedded import Cluster
from quotastack.runtime.migrate import MigrationError
from quotastack.runtime.settings import Settings, load_settings


@pytest.fixture(scope="module", params=[MADE_BY_US, *ON_THE_SYSTEM])
def foreign(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server that somebody else runs, with databases ``one`` and ``two`` of a role that may create roles."""
    data = place_for(request.param, tmp_path_factory.mktemp("foreign"))
    cluster = Cluster(data, postgres_bin=request.param)
    cluster.start_or_join()
    asyncio.run(_prepare(cluster))
    yield cluster
    cluster.leave()
    shutil.rmtree(data)


async def _prepare(cluster: Cluster) -> None:
    owner = await DatabaseTarget(cluster.dsn, "", cluster.password).connect_owner(database="postgres")
    await owner.execute("CREATE ROLE billing LOGIN CREATEROLE PASSWORD 'secret'")
    for name in ("one", "two"):
        await owner.execute(f"CREATE DATABASE {name} OWNER billing")
    await owner.close()


def url(cluster: Cluster, name: str) -> str:
    return cluster.dsn.replace("postgres@/quotastack", f"billing:secret@/{name}")


def opened(settings: Settings, **more: Any) -> tuple[list[str], bytes]:
    async def run() -> tuple[list[str], bytes]:
        async with open_installation(settings, **more) as installation:
            return installation.applied, installation.secret.reveal()

    return asyncio.run(run())


def test_an_ordinary_owner_migrates_and_the_secret_is_kept(foreign: Cluster, tmp_path: Path) -> None:
    settings = load_settings({"QUOTASTACK_DATABASE_URL": url(foreign, "one")}, data=tmp_path / "unused")
    applied, secret = opened(settings)
    assert applied[0] == "0001_tenants"
    assert opened(settings) == ([], secret)
    assert not (tmp_path / "unused").exists()


def test_another_installation_does_not_take_the_role(foreign: Cluster) -> None:
    one = load_settings({"QUOTASTACK_DATABASE_URL": url(foreign, "one")})
    two = load_settings({"QUOTASTACK_DATABASE_URL": url(foreign, "two")})
    _, secret = opened(one)
    with pytest.raises(MigrationError, match="--claim-roles"):
        opened(two)
    opened(two, claim_roles=True)
    with pytest.raises(MigrationError, match="--claim-roles"):
        opened(one)
    assert opened(one, claim_roles=True) == ([], secret)


def test_commands_work_on_it(foreign: Cluster, tmp_path: Path) -> None:
    environment = {**os.environ, "QUOTASTACK_DATABASE_URL": url(foreign, "one")}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [QUOTASTACK, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )

    assert command("migrate", "--claim-roles").returncode == 0
    made = command("tenants", "create", "Acme", "--json")
    assert made.returncode == 0, made.stderr
    printed = json.loads(made.stdout)
    assert set(printed) >= {"tenant_id", "test_key", "live_key"}
    examined = command("doctor")
    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert "isolation" in examined.stdout


def test_doctor_refuses_a_role_that_could_bypass(foreign: Cluster, tmp_path: Path) -> None:
    environment = {**os.environ, "QUOTASTACK_DATABASE_URL": url(foreign, "one")}

    async def alter(attribute: str) -> None:
        owner = await DatabaseTarget(foreign.dsn, "", foreign.password).connect_owner(database="postgres")
        await owner.execute(f"ALTER ROLE qs_app {attribute}")
        await owner.close()

    opened(load_settings({"QUOTASTACK_DATABASE_URL": url(foreign, "one")}), claim_roles=True)
    asyncio.run(alter("BYPASSRLS"))
    try:
        for command in ("doctor", "serve", "migrate"):
            done = subprocess.run(
                [QUOTASTACK, command],
                env=environment,
                capture_output=True,
                text=True,
                cwd=tmp_path,
                check=False,
            )
            assert done.returncode == 1
            assert "BYPASSRLS" in done.stdout + done.stderr
    finally:
        asyncio.run(alter("NOBYPASSRLS"))


def test_what_cannot_be_reached_is_one_message(tmp_path: Path) -> None:
    environment = {**os.environ, "QUOTASTACK_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = subprocess.run(
        [QUOTASTACK, "migrate"], env=environment, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The database cannot be used:")
    assert "Traceback" not in done.stderr
