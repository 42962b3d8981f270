"""Drills: what an operator does on a bad day, by the commands of the page, under load, with the books checked after.

Restores are compared with what was acknowledged, and when, by the clock of the machine.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from tests.api.stories import Story, answer
from tests.conftest import InProcess, RunCluster, ScratchDatabase
from tests.races.servers import (
    QUOTASTACK,
    ServerProcess,
    create_tenant,
    stop_database,
)
from tests.rigs.drill_tools import Debits, keys_in, keys_in_data, run_page
from tests.rigs.figures import FORM, tell
from tests.rigs.openapi_operations import Operation, operations_of
from tests.rigs.twin_texts import fill_texts
from tests.rigs.twin_world import Twin

from quotastack.runtime.database import DatabaseTarget
from quotastack.runtime.embedded import Cluster
from quotastack.runtime.postgres_binaries import find_binaries

ROOT = Path(__file__).parents[2]
POINTS = {"ci": 1, "short": 2, "long": 25}[FORM]
BETWEEN = 60
CANARY = "canary_erased"
KEPT = {"dimensions", "match", "external_payment_id"}
MIGRATIONS = "src/quotastack/runtime/migrations"
_is_numbered = re.compile(r"\d{4}_[a-z0-9_]+\.sql").fullmatch
# What a plan that was prepared before must live with.
NEXT_MIGRATION = """
alter table customers add column drilled text;
alter table blocks add column drilled bigint not null default 0;
alter table usage_events add column drilled text;
alter table ledger_entries add column drilled text;
create table drilled (environment_id uuid not null, id uuid not null, primary key (environment_id, id));
select quotastack.protect('quotastack.drilled');
"""


def spending(story: Story) -> dict[str, Any]:
    """A debit that never runs dry."""
    metric = story.priced("drilled", 1_000)
    return {"customer_id": story.wallet(1_000_000_000_000), "billable_metric_key": metric}


# Dump and restore


def test_a_dump_taken_under_load_restores(
    server: ServerProcess,
    server_database: ScratchDatabase,
    cluster: RunCluster,
    in_process: InProcess,
    tmp_path: Path,
) -> None:
    tenant = in_process.create_tenant("dumped")
    client = server.client(tenant.test_key)
    with Debits(server.base_url, tenant.test_key, spending(Story(client))) as debits:
        debits.wait_for(BETWEEN)
        began_at = time.time()
        section = "Dump and restore a PostgreSQL of your own"
        run_page(tmp_path, section, DUMPED=server_database.url)
        ended_at = time.time()
        debits.wait_for(1)
    restored = cluster.make()
    try:
        secret = {"QUOTASTACK_SECRET_KEY": restored.environment["QUOTASTACK_SECRET_KEY"]}
        told = run_page(tmp_path, section, 1, RESTORED=restored.url, **secret)
        assert "dumped (test)" in told
        assert "BROKEN" not in told
        found = keys_in(restored.target)
        lost = [debit for debit in debits.done if debit.answered_at < began_at and debit.key not in found]
        late = [debit for debit in debits.done if debit.sent_at > ended_at and debit.key in found]
        again = ServerProcess(tmp_path / "data", **restored.environment).start()
        try:
            replay = again.client(tenant.test_key).post("/v1/usage", debits.body, key=debits.done[0].key)
            assert (replay.status, replay.headers["x-idempotent-replayed"]) == (201, "true")
        finally:
            again.stop()
    finally:
        cluster.drop(restored)
    tell(
        "P35",
        ran=f"dump under load, restored; {len(debits.done)} debits acknowledged",
        cases=1,
        violations=len(lost) + len(late),
    )
    assert not lost
    assert not late
    assert not debits.refused, debits.refused[:3]


# Base backup and point in time


@contextmanager
def archive_of(data: Path) -> Iterator[Path]:
    """A directory that the account of the cluster may write to, wherever the tests are."""
    folder = Path(tempfile.mkdtemp(prefix="quotastack-archive-"))
    owner = (data / "postgres").stat()
    if os.geteuid() == 0:
        os.chown(folder, owner.st_uid, owner.st_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def switch_wal(data: Path) -> None:
    """Have everything that was written archived."""
    cluster = Cluster(data)
    cluster.start_or_join()
    try:
        asyncio.run(_switch_wal(cluster))
    finally:
        cluster.leave()


async def _switch_wal(cluster: Cluster) -> None:
    owner = await DatabaseTarget(cluster.dsn, "", cluster.password).connect_owner()
    try:
        name = await owner.fetchval("SELECT pg_walfile_name(pg_switch_wal())")
        for _ in range(600):
            if await owner.fetchval("SELECT last_archived_wal >= $1 FROM pg_stat_archiver", name):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{name} was not archived")
    finally:
        await owner.close()


def test_restores_to_points_in_time(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    backup.mkdir()
    tenant = create_tenant(data, "restored")
    instants: list[float] = []
    with archive_of(data) as archive:
        run_page(tmp_path, "Archive the log of the embedded PostgreSQL", DATA=data, ARCHIVE=archive)
        server = ServerProcess(data)
        try:
            server.start()
            body = spending(Story(server.client(tenant.test_key)))
            with Debits(server.base_url, tenant.test_key, body) as debits:
                debits.wait_for(BETWEEN)
                run_page(tmp_path, "Take a base backup", DATA=data, BACKUP=backup)
                for _ in range(POINTS):
                    debits.wait_for(Random(len(instants)).randint(BETWEEN // 2, BETWEEN))
                    instants.append(time.time())
                debits.wait_for(1)
            switch_wal(data)
        finally:
            server.stop()
            stop_database(data)
        assert not debits.refused, debits.refused[:3]
        wrong: list[str] = []
        seconds: list[float] = []
        for number, instant in enumerate(instants):
            new = tmp_path / f"new-{number}"
            started = time.monotonic()
            names: dict[str, Any] = {"DATA": data, "BACKUP": backup, "ARCHIVE": archive, "NEW": new}
            target = datetime.fromtimestamp(instant, UTC).isoformat(" ")
            told = run_page(tmp_path, "Restore to a point in time", TARGET=target, **names)
            seconds.append(time.monotonic() - started)
            if "BROKEN" in told or "restored (test)" not in told:
                wrong.append(f"{target}: {told}")
            found = keys_in_data(new)
            wrong += [
                f"{target}: lost {d}" for d in debits.done if d.answered_at < instant and d.key not in found
            ]
            wrong += [f"{target}: shows {d}" for d in debits.done if d.sent_at > instant and d.key in found]
            shutil.rmtree(new)
    ran = (
        f"base backup under load, {POINTS} points in time restored, the longest in {max(seconds):.1f} s, "
        f"{len(debits.done)} debits acknowledged"
    )
    tell("P35", ran=ran, cases=POINTS, violations=len(wrong))
    assert not wrong, "\n".join(wrong[:10])


# Upgrade


def git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, check=True).stdout


def numbered(revision: str) -> dict[str, bytes]:
    """The migrations of a commit: what each file is called, and what is in it."""
    listed = git("ls-tree", "-r", revision, "--", MIGRATIONS).decode().splitlines()
    rows = [line.split(maxsplit=3) for line in listed]
    return {Path(name).name: blob.encode() for _, _, blob, name in rows if _is_numbered(Path(name).name)}


def version_before() -> str | None:
    """The newest commit whose schema this version extends.

    None where a file was edited since then, which is allowed until it is released: no database of such a commit can
    be upgraded, and it is refused aloud.
    """
    now = numbered("HEAD")
    changes = git("log", "--format=%H", "--", f"{MIGRATIONS}/0*.sql").decode().split()
    assert changes, "the history is not there: the drill needs a clone that is not shallow"
    for change in changes[:-1]:
        before = numbered(f"{change}^")
        if before.items() < now.items():
            return f"{change}^"
    return None


def source_of(revision: str, folder: Path) -> Path:
    """The sources of a commit."""
    folder.mkdir()
    subprocess.run(
        ["tar", "-x", "-C", str(folder)], input=git("archive", revision, "src", "docs"), check=True
    )
    return folder / "src"


def source_of_next(folder: Path) -> Path:
    """The sources as they are, and one migration more: it adds columns to what every debit writes and reads."""
    for part in ("src", "docs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    migrations = folder / MIGRATIONS
    assert (migrations / "0001_tenants.sql").exists()
    (migrations / "9999_drill.sql").write_text(NEXT_MIGRATION, "utf-8")
    return folder / "src"


def command_of(source: Path, data: Path, *words: str) -> str:
    """What a command of a version prints; it must succeed."""
    done = subprocess.run(
        [QUOTASTACK, *words, "--data", str(data)],
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def applied(data: Path, source: Path) -> set[str]:
    lines = command_of(source, data, "migrate").splitlines()
    return {line.split()[1] for line in lines if line.startswith("Applied")}


def test_upgrade_from_the_version_before(tmp_path: Path) -> None:
    before = version_before()
    if before is None:
        # Said in the table: from which commit on there is none, ends with the first release.
        ran = (
            "no commit with an older schema can be upgraded: migrations were edited before the first release"
        )
        tell("P34", ran=ran, cases=0)
        return
    upgrade_under_load(tmp_path, source_of(before, tmp_path / "before"), ROOT / "src")


def test_upgrade_to_the_next_version(tmp_path: Path) -> None:
    upgrade_under_load(tmp_path, ROOT / "src", source_of_next(tmp_path / "next"))


def upgrade_under_load(folder: Path, before: Path, after: Path) -> None:
    """The schema moves on under load; what the version before began, the version after ends."""
    data = folder / "data"
    old = ServerProcess(data, PYTHONPATH=str(before))
    new = ServerProcess(data, PYTHONPATH=str(after))
    try:
        old.start()
        tenant = json.loads(command_of(before, data, "tenants", "create", "upgraded", "--json"))["test_key"]
        story = Story(old.client(tenant))
        body = spending(story)
        holds = [answer(story.reserve(body["customer_id"], "drilled"), 201)["id"] for _ in range(10)]
        with Debits(old.base_url, tenant, body) as debits:
            debits.wait_for(BETWEEN)
            migrations = applied(data, after)
            assert migrations, "nothing to migrate"
            debits.wait_for(BETWEEN)
            new.start()
            debits.wait_for(BETWEEN)
            with Debits(new.base_url, tenant, body | {"units": 2}, "new") as others:
                others.wait_for(BETWEEN)
        later = Story(new.client(tenant))
        for hold in holds:
            answer(later.post(f"/v1/reserve/{hold}/commit", {}), 200)
        replay = later.api.post("/v1/usage", body, key=debits.done[0].key)
        assert (replay.status, replay.headers["x-idempotent-replayed"]) == (201, "true")
        later.verify(body["customer_id"])
        command_of(after, data, "verify")
    finally:
        new.stop()
        old.stop()
        stop_database(data)
    refused = debits.refused + others.refused
    unknown = debits.unknown + others.unknown
    tell(
        "P34",
        ran=f"{sorted(migrations)} applied while the version before served {len(debits.done)} debits",
        cases=len(debits.done) + len(others.done) + len(holds),
        violations=len(refused) + len(unknown),
    )
    assert not refused, refused[:5]
    assert not unknown


# Erasure


_of_a_customer = re.compile(r"/customer|/v1/(usage|reserve|subscriptions|topup/grant)")


def is_of_a_customer(operation: Operation, at: tuple[str, ...]) -> bool:
    """Texts about a customer that end with it. The page on customers names what stays: dimensions, payments' ids."""
    return bool(_of_a_customer.search(operation.template)) and not KEPT & set(at)


def add_texts(twin: Twin) -> None:
    """The canary where an example does not lead: on what ends, and on what is paid."""
    story, canary, customer = twin.story, twin.canary, twin.own("customers")
    texts = {"note": canary}
    story.override(customer, "canary_metric", {"enabled": True}, reason=canary)
    topup = {"customer_id": customer, "credits": 5_000, "price_paid": 5, "currency": "EUR", "metadata": texts}
    topup |= {"reason": canary, "external_payment_id": "payment:1"}
    block = answer(story.post("/v1/topup/grant", topup, key=f"topup:{canary}"), 201)["block"]["id"]
    answer(story.post(f"/v1/topup/{block}/refund", {"credits": 1_000, "reason": canary}), 200)
    answer(story.post(f"/v1/customers/{customer}/credits/blocks/{block}/void", {"reason": canary}), 200)


def test_an_erased_customer_is_in_no_dump(
    server: ServerProcess, server_database: ScratchDatabase, in_process: InProcess, tmp_path: Path
) -> None:
    """Its texts are gone from a dump of the whole database, its books add up as before.

    Rows that were overwritten stay in the WAL, in free space of the files until it is used again, and in older backups.
    """
    tenant = in_process.create_tenant("erased")
    client = server.client(tenant.test_key)
    twin = Twin(Story(client, tenant), operations_of(answer(client.get("/openapi.json"), 200)), "kept")
    twin.canary = CANARY
    taken = fill_texts(twin, is_of_a_customer)
    add_texts(twin)
    wanted = {
        at for operation in twin.operations for at in operation.texts if is_of_a_customer(operation, at)
    }
    covered = {at for fields in taken.values() for at in fields}
    assert {".".join(at) for at in wanted} <= covered
    assert dumped(tmp_path, server_database).count(CANARY) > 30
    customers = answer(client.get("/v1/customers", limit=200), 200)["data"]
    for row in customers:
        answer(client.delete(f"/v1/customers/{row['customer_id']}"), 200)
    report = answer(client.get("/v1/ledger/verify"), 200)
    left = [line[:500] for line in dumped(tmp_path, server_database).splitlines() if CANARY in line]
    fields = sum(len(fields) for fields in taken.values())
    ran = f"{len(customers)} customers with canaries in {fields} fields erased, {report['entries']} entries verified"
    tell("P36", ran=ran, cases=fields, violations=len(left))
    assert report["ok"], report
    assert not left, "\n".join(left[:20])


def dumped(folder: Path, database: ScratchDatabase) -> str:
    """A plain dump of the whole database."""
    file = folder / "dump.sql"
    run_page(folder, "Dump and restore a PostgreSQL of your own", DUMPED=database.url)
    bin_directory = find_binaries(None).directory
    command = [str(bin_directory / "pg_restore"), "--file", str(file), str(folder / "quotastack.dump")]
    subprocess.run(command, check=True, capture_output=True)
    return file.read_text("utf-8")
