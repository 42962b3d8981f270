"""The world of a benchmark: a scratch installation with its own database, a server, and customers with credits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import asyncpg

from quotastack.api.metering import MetricBody, RuleBody
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import UnavailableError
from quotastack.core.ids import EnvironmentId, TenantId
from quotastack.core.overrides import PutOverride
from quotastack.core.topups import GrantTopup
from quotastack.core.usage import RecordUsage
from quotastack.engine.submission import Submission
from quotastack.runtime.bootstrap import open_installation
from quotastack.runtime.embedded import Cluster
from quotastack.runtime.settings import load_settings
from quotastack.services import tenants
from quotastack.services.caller import Caller, system_caller
from quotastack.services.container import Services, run_services
from quotastack.services.metering import create_metric, create_rule
from quotastack.store.environments import select_environments

RETRY_SECONDS = 0.2
LOG_LINES = 40
PLENTY_MC = 1_000_000_000_000
QUOTASTACK = str(Path(sys.executable).parent / "quotastack")


class Tenant(NamedTuple):
    """A tenant's test environment and its key."""

    tenant_id: str
    test_key: str


def end_by_signal() -> None:
    """Have a stop signal end the run as an error does: servers and databases are stopped, folders removed."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


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


def make_prices(base_url: str, key: str, *more: tuple[str, dict[str, Any]]) -> None:
    """The metric ``api_calls`` at one credit a unit, and more metrics with their rules."""
    for name, rule in (("api_calls", {"cost_type": "per_unit", "unit_cost": 1000}), *more):
        call(base_url, key, "POST", "/v1/billable-metrics", {"key": name, "name": name})
        call(base_url, key, "POST", "/v1/metering-rules", {"billable_metric_key": name, **rule})


@contextlib.asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Services]:
    """The installation's services in this process."""
    settings = load_settings({}, data=data)
    async with (
        open_installation(settings) as installation,
        run_services(settings, installation.target, installation.secret) as services,
    ):
        yield services


async def find_caller(services: Services, tenant: Tenant) -> Caller:
    """The system in the tenant's test environment."""
    async with services.database.reads.acquire() as connection:
        environments = await select_environments(connection)
    [environment_id] = [
        e.id for e in environments if e.tenant_id == tenant.tenant_id and e.environment == "test"
    ]
    return system_caller(
        EnvironmentId(environment_id), tenant_id=TenantId(tenant.tenant_id), environment="test"
    )


async def grant(services: Services, caller: Caller, name: str, *, blocks: int = 1) -> None:
    """Credits in so many blocks that no benchmark can use up, for a customer who is made if need be."""
    ref = CustomerRef.by_external_id(name)
    for _ in range(blocks):
        command = GrantTopup(credits_mc=PLENTY_MC // blocks)
        submission = Submission(caller=caller, customer=ref, command=command, creates_customer=True)
        while True:
            try:
                await services.engine.submit(submission)
            except UnavailableError:
                # A wave is more than the lanes take at once; the rest of it comes again, as callers do.
                await asyncio.sleep(RETRY_SECONDS)
            else:
                break


async def in_waves(count: int, work: Callable[[int], Awaitable[None]], *, at_once: int = 500) -> None:
    """``work`` for 1 to ``count``, many at once."""
    for start in range(1, count + 1, at_once):
        await asyncio.gather(*(work(number) for number in range(start, min(start + at_once, count + 1))))


async def fill(data: Path, tenant: Tenant, customers: int, *, quota: Any = None) -> None:
    """Create ``customer-1`` to ``customer-n``, each with credits that no benchmark can use up.

    With ``quota`` each also gets it as the override of the metric ``tiered_calls``.
    """
    async with opened(data) as services:
        caller = await find_caller(services, tenant)

        async def make(number: int) -> None:
            name = f"customer-{number}"
            await grant(services, caller, name)
            if quota is not None:
                ref = CustomerRef.by_external_id(name)
                override = PutOverride(billable_metric_key="tiered_calls", value={"quota": quota})
                await services.engine.submit(Submission(caller=caller, customer=ref, command=override))
                # The first event of a period makes the counters; what is measured is every one after it.
                for metric in ("api_calls", "tiered_calls"):
                    usage = RecordUsage(billable_metric_key=metric, units=1)
                    await services.engine.submit(Submission(caller=caller, customer=ref, command=usage))

        await in_waves(customers, make)


async def fill_environments(data: Path, count: int, *, customers_each: int) -> list[str]:
    """So many environments (an even number), each with the prices of ``make_prices`` and customers; their keys."""
    keys: list[str] = []
    async with opened(data) as services:

        async def make(number: int) -> None:
            made = await tenants.create_tenant(services, name=f"tenant {number}")
            keys.extend((made.test_key, made.live_key))
            test = made.test_environment_id, "test"
            for environment_id, environment in (test, (made.live_environment_id, "live")):
                caller = system_caller(environment_id, tenant_id=made.tenant_id, environment=environment)
                metric = MetricBody(key="api_calls", name="api_calls")
                await create_metric(services, caller, terms=metric, key=None)
                rule = RuleBody(billable_metric_key="api_calls", cost_type="per_unit", unit_cost=1000)
                await create_rule(services, caller, terms=rule, key=None)
                names = (f"customer-{n}" for n in range(1, customers_each + 1))
                await asyncio.gather(*(grant(services, caller, name) for name in names))

        await in_waves(count // 2, make, at_once=50)
    return keys


async def settle_log(cluster: Cluster, segments: int) -> None:
    """Have PostgreSQL make so many segments of its log now, which it uses again ever after.

    A new one is 16 MB of zeros that must be on the disk before anybody goes on, 40 ms and more. An installation pays
    that until it has seen its first checkpoints under load; so do the floors, which write to the same log.
    """
    where = database_environment(cluster, "postgres")
    owner = await asyncpg.connect(
        host=where["PGHOST"], user="postgres", password=where["PGPASSWORD"], database="postgres"
    )
    try:
        for _ in range(segments):
            await owner.execute("SELECT pg_logical_emit_message(false, 'bench', ''), pg_switch_wal()")
        await owner.execute("CHECKPOINT", timeout=600)
    finally:
        await owner.close()


async def tidy(cluster: Cluster, database: str = "quotastack") -> None:
    """Do now what autovacuum would do in the middle of a measurement."""
    where = database_environment(cluster, database)
    owner = await asyncpg.connect(
        host=where["PGHOST"], user="postgres", password=where["PGPASSWORD"], database=database
    )
    try:
        await owner.execute("VACUUM ANALYZE", timeout=600)
        await owner.execute("CHECKPOINT", timeout=600)
    finally:
        await owner.close()


@contextlib.contextmanager
def serving(data: Path, *, workers: int = 1, **settings: str) -> Iterator[tuple[str, int]]:
    """A server on a free port; gives its base URL and the id of its process. Its webhooks may reach loopback.

    ``settings`` are environment variables without ``QUOTASTACK_``.
    """
    port = free_port()
    command = [QUOTASTACK, "serve", "--data", str(data), "--port", str(port)]
    command += ["--workers", str(workers)]
    log_file = data.parent / "server.log"
    log = log_file.open("ab")
    named = {f"QUOTASTACK_{name.upper()}": value for name, value in settings.items()}
    known = {**os.environ, "QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "1", **named}
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd=data.parent, env=known)
    base_url = f"http://127.0.0.1:{port}"
    try:
        _wait(base_url + "/readyz", process)
        yield base_url, process.pid
    except Exception:
        # The folder goes with the run; what the server said last is wanted then.
        print(
            "\n".join(
                ["the server's log ends:", *log_file.read_text(errors="replace").splitlines()[-LOG_LINES:]]
            ),
            file=sys.stderr,
        )
        raise
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


def read_metrics(base_url: str) -> dict[str, float]:
    """The server's metrics, those with labels added up."""
    with urllib.request.urlopen(base_url + "/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    found: dict[str, float] = {}
    for line in lines:
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0]
            found[name] = found.get(name, 0.0) + float(value)
    return found


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
