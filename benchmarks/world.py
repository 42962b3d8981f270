"""The world of a benchmark: a scratch installation with its own database, a server, and customers with credits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from quotastack.core.customer_ref import CustomerRef
from quotastack.core.ids import EnvironmentId, TenantId
from quotastack.core.overrides import PutOverride
from quotastack.core.topups import GrantTopup
from quotastack.core.usage import RecordUsage
from quotastack.engine.submission import Submission
from quotastack.runtime.bootstrap import open_installation
from quotastack.runtime.embedded import Cluster
from quotastack.runtime.settings import load_settings
from quotastack.services.caller import Caller
from quotastack.services.container import run_services
from quotastack.store.environments import select_environments

PLENTY_MC = 1_000_000_000_000
QUOTASTACK = str(Path(sys.executable).parent / "quotastack")


class Tenant(NamedTuple):
    """A tenant's test environment and its key."""

    tenant_id: str
    test_key: str


def free_port() -> int:
    """A port of the loopback that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def create_tenant(data: Path, name: str) -> Tenant:
    """A tenant of its own, by the command line."""
    command = [QUOTASTACK, "tenants", "create", name, "--json", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    made = json.loads(done.stdout)
    return Tenant(made["tenant_id"], made["test_key"])


def call(base_url: str, key: str, method: str, path: str, body: Any = None) -> Any:
    """One HTTP call with a fresh idempotency key; its decoded answer."""
    request = urllib.request.Request(
        base_url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "X-API-Key": key,
            "Content-Type": "application/json",
            "Idempotency-Key": f"bench:{time.monotonic_ns()}",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read() or b"null")


async def fill(data: Path, tenant: Tenant, customers: int, *, blocks: int = 1, quota: Any = None) -> None:
    """Create ``customer-1`` to ``customer-n``, each with credits that no benchmark can use up.

    With ``quota`` each also gets it as the override of the metric ``tiered_calls``.
    """
    settings = load_settings({}, data=data)
    async with (
        open_installation(settings) as installation,
        run_services(settings, installation.target, installation.secret) as services,
    ):
        async with services.database.reads.acquire() as connection:
            environments = await select_environments(connection)
        [environment_id] = [
            e.id for e in environments if e.tenant_id == tenant.tenant_id and e.environment == "test"
        ]
        caller = Caller(
            environment_id=EnvironmentId(environment_id),
            tenant_id=TenantId(tenant.tenant_id),
            environment="test",
            key_id=None,
            actor="system",
            scopes=frozenset(),
            request_id="bench",
        )

        async def grant(number: int) -> None:
            ref = CustomerRef.by_external_id(f"customer-{number}")
            for _ in range(blocks):
                command = GrantTopup(credits_mc=PLENTY_MC // blocks)
                await services.engine.submit(
                    Submission(caller=caller, customer=ref, command=command, creates_customer=True)
                )
            if quota is not None:
                override = PutOverride(billable_metric_key="tiered_calls", value={"quota": quota})
                await services.engine.submit(Submission(caller=caller, customer=ref, command=override))
                # The first event of a period makes the counters; what is measured is every one after it.
                for metric in ("api_calls", "tiered_calls"):
                    usage = RecordUsage(billable_metric_key=metric, units=1)
                    await services.engine.submit(Submission(caller=caller, customer=ref, command=usage))

        for start in range(1, customers + 1, 2_000):
            numbers = range(start, min(start + 2_000, customers + 1))
            await asyncio.gather(*(grant(number) for number in numbers))


@contextlib.contextmanager
def serving(data: Path, *, workers: int = 1) -> Iterator[tuple[str, int]]:
    """A server on a free port; gives its base URL and the id of its process. Its webhooks may reach loopback."""
    port = free_port()
    command = [QUOTASTACK, "serve", "--data", str(data), "--port", str(port)]
    command += ["--workers", str(workers)]
    log = (data.parent / "server.log").open("ab")
    known = {**os.environ, "QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "1"}
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=data.parent, env=known)
    base_url = f"http://127.0.0.1:{port}"
    try:
        _wait(base_url + "/readyz", process)
        yield base_url, process.pid
    finally:
        process.terminate()
        process.wait(30)
        log.close()


@contextlib.contextmanager
def serving_hello() -> Iterator[str]:
    """The raw ASGI floor on a free port."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).parent / "hello.py"), str(port)]
    process = subprocess.Popen(command)
    base_url = f"http://127.0.0.1:{port}"
    try:
        _wait(base_url + "/hello?external_customer_id=a&billable_metric_key=b", process)
        yield base_url
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}; see its log")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing answers at {url}")


def database_environment(cluster: Cluster, name: str) -> dict[str, str]:
    """What psql and pgbench need to reach a database of the cluster as its superuser."""
    host = cluster.dsn.partition("host=")[2].partition("&")[0]
    return {
        "PGHOST": unquote(host),
        "PGUSER": "postgres",
        "PGPASSWORD": cluster.password,
        "PGDATABASE": name,
        "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", ""),
    }
