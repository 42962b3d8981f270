"""A crash at every step of a sweep, and between every two statements of the migrations."""

import asyncio
import hashlib
import itertools
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest
from tests.api.stories import Story, instant
from tests.conftest import RunCluster
from tests.races.servers import QUOTASTACK, run_command, wait_until
from tests.rigs.failpoints.hooks import file_name
from tests.rigs.failpoints.points import ENGINE, MIGRATION, SWEEP
from tests.rigs.figures import FORM, tell
from tests.rigs.fleet import Fleet, SteadyClient, failpoint_environment

ACTIONS = ("server", "backend", "cut")
BEGIN = datetime(2041, 6, 1, 8, tzinfo=UTC)
CUSTOMERS_EACH = 2
# A customer whose sweep fell is claimed by it for half a minute.
SWEPT_SECONDS_MAX = 120

SHAPE = """
    SELECT c.table_schema || '.' || c.table_name || '.' || c.column_name || ' ' || c.data_type
      FROM information_schema.columns AS c WHERE c.table_schema = 'quotastack'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'quotastack'
    UNION ALL SELECT tablename || policyname || qual || with_check FROM pg_policies WHERE schemaname = 'quotastack'
    UNION ALL SELECT proname || prosrc FROM pg_proc WHERE pronamespace = 'quotastack'::regnamespace
    UNION ALL SELECT number::text FROM quotastack.schema_migrations
    ORDER BY 1
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path, 1)
    yield made
    made.close()


def test_a_sweep_survives_a_crash_at_every_step(fleet: Fleet) -> None:
    api = SteadyClient(fleet, fleet.tenant.test_key)
    story = Story(api, fleet.tenant)
    story.freeze(BEGIN)
    plan = story.plan("daily")
    variant = story.variant(plan, billing_mode="postpaid", interval="day")
    story.template(plan, variant, 1_000, rollover_percentage=50)
    points = SWEEP + tuple(point for point in ENGINE if "COMMIT" in point.name)
    cells = list(itertools.product(points, ACTIONS))
    if FORM != "long":
        cells = [(point, ACTIONS[number % 3]) for number, point in enumerate(points)]
    if FORM == "ci":
        cells = cells[1::4]
    done: Counter[str] = Counter()
    begun: dict[str, int] = {}
    for day, (point, action) in enumerate(cells):
        for _ in range(CUSTOMERS_EACH):
            customer = story.customer()
            story.subscribe(customer, variant)
            begun[customer] = day
        member = fleet.ready()
        member.arm(point.name, action)
        story.advance(days=1, sweep=False)
        wait_until(partial(member.has_fired, point.name), f"'{point.name}' has fired", timeout_seconds=60)
        done[action] += 1
        fleet.ready()

    faults: list[str] = []
    for customer, day in begun.items():
        expected = [BEGIN + timedelta(days=turn) for turn in range(day + 1, len(cells) + 1)]
        wait_until(
            partial(_has_renewed, story, customer, len(expected)),
            "every boundary has run",
            timeout_seconds=SWEPT_SECONDS_MAX,
        )
        if _renewed(story, customer) != expected:
            faults.append(f"{customer}: {_renewed(story, customer)} instead of {expected}")
        grants = [entry for entry in story.ledger(customer) if entry["type"] == "grant"]
        if len(grants) != len(expected) + 1:
            faults.append(f"{customer}: {len(grants)} grants for {len(expected) + 1} periods")
        story.verify(customer)
    verified = run_command(fleet.data, "verify")
    if verified.returncode:
        faults.append(f"verify: {verified.stdout}{verified.stderr}")
    api.close()
    tell(
        "P6",
        "P15",
        ran=f"{len({point.name for point, _ in cells})} steps of a sweep, {dict(done)}: "
        f"{len(begun)} subscriptions, each boundary once",
        cases=len(cells),
        violations=len(faults),
        kills=done["server"] + done["backend"],
    )
    assert not faults, faults[:10]


def _renewed(story: Story, customer: str) -> list[datetime]:
    events = story.events("subscription.renewed", customer)
    return [instant(event["created_at"]) for event in events]


def _has_renewed(story: Story, customer: str, times: int) -> bool:
    return len(_renewed(story, customer)) >= times


class EmptyDatabases:
    """Databases without a schema, on the run's cluster."""

    def __init__(self, cluster: RunCluster, folder: Path) -> None:
        self.cluster = cluster.cluster
        self.control = folder / "control"
        self.environment = {**os.environ, **cluster.make().environment, **failpoint_environment(self.control)}
        self.names: list[str] = []

    def url(self, name: str) -> str:
        return self.cluster.dsn.replace("@/quotastack", f":{self.cluster.password}@/{quote(name)}")

    def make(self) -> str:
        name = f"steps_{os.getpid()}_{len(self.names)}"
        self.names.append(name)
        self.ask("postgres", f'CREATE DATABASE "{name}"')
        return name

    def drop_all(self) -> None:
        for name in self.names:
            self.ask("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def ask(self, name: str, statement: str) -> list[str]:
        """Repeated while PostgreSQL recovers from a killed process of its own."""

        async def ask_once() -> list[str]:
            owner = await asyncpg.connect(self.url(name))
            try:
                return [str(row[0]) for row in await owner.fetch(statement)]
            finally:
                await owner.close()

        said: list[list[str]] = []

        def try_once() -> bool:
            try:
                said.append(asyncio.run(ask_once()))
            except (asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError, OSError):
                return False
            return True

        wait_until(try_once, "PostgreSQL answers")
        return said[0]

    def shape(self, name: str) -> str:
        return hashlib.sha256("\n".join(self.ask(name, SHAPE)).encode()).hexdigest()

    def run(self, name: str, command: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment, "QUOTASTACK_DATABASE_URL": self.url(name)}
        return subprocess.run(
            [QUOTASTACK, command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def databases(cluster: RunCluster, tmp_path: Path) -> Iterator[EmptyDatabases]:
    made = EmptyDatabases(cluster, tmp_path)
    yield made
    made.drop_all()


def test_migrations_survive_a_crash_between_every_two_statements(databases: EmptyDatabases) -> None:
    calm = databases.make()
    (point,) = MIGRATION
    armed = databases.control / file_name(point.name)
    done = databases.run(calm, "migrate")
    assert done.returncode == 0, done.stderr
    shape = databases.shape(calm)
    statements = int(armed.with_name(f"{armed.name}.count").read_text("ascii"))
    numbers = range(1, statements + 1, {"ci": statements, "short": 16, "long": 1}[FORM])
    faults: list[str] = []
    for number in numbers:
        action = ACTIONS[number % 3]
        name = databases.make()
        armed.write_text(f"{number} {action}", "ascii")
        fallen = databases.run(name, "migrate")
        if armed.exists() or fallen.returncode == 0:
            faults.append(f"{action} before statement {number}: ended with {fallen.returncode}")
            armed.unlink(missing_ok=True)
        databases.ask("postgres", "SELECT 1")
        again = databases.run(name, "migrate")
        if again.returncode or databases.shape(name) != shape:
            faults.append(f"{action} before statement {number}: another schema; {again.stderr}")
    tell(
        "P6",
        ran=f"migrations fall before statement {numbers.start} to {numbers[-1]} of {statements}, "
        "and end in the same schema when they run again",
        cases=len(numbers),
        violations=len(faults),
        kills=len(numbers),
    )
    assert not faults, "\n".join(faults[:10])
