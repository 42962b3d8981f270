"""Ballast: a million customers and ten million ledger rows, copied from one customer whom the engine made.

The real schema and real rows, with ids of their own; the hash chains of the copies are not theirs, so verification
accepts the customers that are measured, not the ballast. Indexes are dropped and built again, which gives what
inserting would give, in a tenth of the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import asyncpg
from world import Tenant, call, create_tenant, database_environment, fill, make_prices, serving, tidy

from quotastack.runtime.embedded import Cluster

ACTIVE: Final = 10_000
TEMPLATE: Final = "template"
ROWS_EACH: Final = 10
CHUNK: Final = 50_000

TABLES: Final = """
    SELECT c.table_name
      FROM information_schema.columns AS c
      JOIN information_schema.tables AS t USING (table_schema, table_name)
     WHERE c.table_schema = 'quotastack' AND t.table_type = 'BASE TABLE' AND c.column_name = 'customer_id'
     ORDER BY c.table_name
"""
COLUMNS: Final = """
    SELECT column_name FROM information_schema.columns
     WHERE table_schema = 'quotastack' AND table_name = $1 AND is_generated = 'NEVER' ORDER BY ordinal_position
"""
INDEXES: Final = """
    SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition,
           con.conname AS constraint, pg_get_constraintdef(con.oid) AS constraint_definition
      FROM pg_index AS i
      LEFT JOIN pg_constraint AS con ON con.conindid = i.indexrelid AND con.contype IN ('p', 'u')
     WHERE i.indrelid = $1::regclass
"""
MAKE_BALLAST: Final = """
    CREATE UNLOGGED TABLE public.ballast AS
    SELECT n, uuidv7() AS customer_id FROM generate_series(1, {count}) AS n
"""


@contextlib.asynccontextmanager
async def owner_of(cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """A connection past row-level security."""
    where = database_environment(cluster, "quotastack")
    owner = await asyncpg.connect(
        host=where["PGHOST"], user="postgres", password=where["PGPASSWORD"], database="quotastack"
    )
    try:
        yield owner
    finally:
        await owner.close()


def make_small(data: Path) -> Tenant:
    """An installation with the customers that are measured and the template; nothing where it stands already."""
    ready = data.parent / "small.json"
    if ready.exists():
        return Tenant(*json.loads(ready.read_text()))
    tenant = create_tenant(data, "growth")
    with serving(data) as (base_url, _):
        make_prices(base_url, tenant.test_key)
        paid = {"external_customer_id": TEMPLATE, "credits": 1_000_000}
        call(base_url, tenant.test_key, "POST", "/v1/topup/grant", paid)
        for _ in range(ROWS_EACH - 1):
            usage = {"external_customer_id": TEMPLATE, "billable_metric_key": "api_calls", "units": 1}
            call(base_url, tenant.test_key, "POST", "/v1/usage", usage)
    asyncio.run(fill(data, tenant, ACTIVE))
    ready.write_text(json.dumps(tenant))
    return tenant


async def add_ballast(cluster: Cluster, data: Path, customers: int) -> None:
    """So many copies of the template; nothing where they stand already."""
    ready = data.parent / "ballast.json"
    if ready.exists() and json.loads(ready.read_text()) == customers:
        return
    async with owner_of(cluster) as owner:
        template = await owner.fetchrow(
            "SELECT environment_id::text AS environment_id, id::text AS id FROM quotastack.customers"
            " WHERE external_id = $1",
            TEMPLATE,
        )
        assert template is not None
        await owner.execute("SET maintenance_work_mem = '1GB'; SET synchronous_commit = off")
        await owner.execute("DROP TABLE IF EXISTS public.ballast")
        await owner.execute(MAKE_BALLAST.format(count=customers))
        tables = [row["table_name"] for row in await owner.fetch(TABLES)]
        for table in ["customers", *tables]:
            await _copy(owner, table, template, customers)
    await tidy(cluster)
    ready.write_text(json.dumps(customers))


def _source(table: str, column: str) -> str:
    """What stands in a column of a copy."""
    if column == "customer_id" or (table == "customers" and column == "id"):
        return "b.customer_id"
    if column == "external_id":
        return "'ballast-' || b.n"
    if column == "key_digest":
        return "sha256((b.customer_id::text || t.key)::bytea)"
    if column == "id":
        return "uuidv7()"
    return f't."{column}"'


async def _copy(owner: asyncpg.Connection, table: str, template: Any, customers: int) -> None:
    own = "id" if table == "customers" else "customer_id"
    where = f"t.environment_id = '{template['environment_id']}' AND t.{own} = '{template['id']}'"
    each = await owner.fetchval(f"SELECT count(*) FROM quotastack.{table} AS t WHERE {where}")
    if not each:
        return
    started = time.monotonic()
    indexes = await owner.fetch(INDEXES, f"quotastack.{table}")
    for index in indexes:
        if index["constraint"]:
            await owner.execute(f"ALTER TABLE quotastack.{table} DROP CONSTRAINT {index['constraint']}")
        else:
            await owner.execute(f"DROP INDEX {index['name']}")
    columns = [row["column_name"] for row in await owner.fetch(COLUMNS, table)]
    sources = ", ".join(_source(table, column) for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    # The template's rows are found while it has no index: once.
    await owner.execute(
        f"CREATE TEMPORARY TABLE template ON COMMIT PRESERVE ROWS AS"
        f" SELECT * FROM quotastack.{table} AS t WHERE {where}"
    )
    for start in range(1, customers + 1, CHUNK):
        await owner.execute(
            f"INSERT INTO quotastack.{table} ({names}) SELECT {sources} FROM public.ballast AS b"
            f" CROSS JOIN template AS t WHERE b.n BETWEEN {start} AND {start + CHUNK - 1} ORDER BY b.n",
            timeout=900,
        )
    await owner.execute("DROP TABLE template")
    for index in sorted(indexes, key=lambda index: index["constraint"] is None):
        made = index["definition"]
        if index["constraint"]:
            definition = index["constraint_definition"]
            made = f"ALTER TABLE quotastack.{table} ADD CONSTRAINT {index['constraint']} {definition}"
        await owner.execute(made, timeout=900)
    rows = each * customers
    print(f"  {table}: {rows:,} rows in {time.monotonic() - started:.0f} s", flush=True)


async def add_blocks(cluster: Cluster, name: str, count: int, *, customers: int) -> None:
    """Give customers ``name-1`` to ``name-n``, who have one block each, so many of them."""
    async with owner_of(cluster) as owner:
        ids = f"SELECT id FROM quotastack.customers WHERE external_id ~ '^{name}-[0-9]+$'"
        columns = [row["column_name"] for row in await owner.fetch(COLUMNS, "blocks")]
        fresh = {"id": "gen_random_uuid()", "original_mc": "1000000000", "remaining_mc": "1000000000"}
        sources = ", ".join(fresh.get(column, f't."{column}"') for column in columns)
        await owner.execute(
            f"INSERT INTO quotastack.blocks ({', '.join(columns)}) SELECT {sources}"
            f" FROM quotastack.blocks AS t CROSS JOIN generate_series(2, {count}) WHERE t.customer_id IN ({ids})"
        )
        await owner.execute(
            f"UPDATE quotastack.accounts AS a SET blocks_mc = s.sum FROM (SELECT customer_id, sum(remaining_mc) AS sum"
            f" FROM quotastack.blocks WHERE is_live AND customer_id IN ({ids}) GROUP BY 1) AS s"
            " WHERE s.customer_id = a.customer_id"
        )
        found = await owner.fetchval(
            f"SELECT min(count) FROM (SELECT count(*) FROM quotastack.blocks WHERE is_live"
            f" AND customer_id IN ({ids}) GROUP BY customer_id) AS s"
        )
        assert found == count, f"{name}: {found} blocks"
        assert customers > 0


async def make_due(cluster: Cluster, count: int) -> None:
    """Have the block of so many customers of the ballast expire, and the customers be due for it."""
    async with owner_of(cluster) as owner:
        # Those whose block is live still: a kept database has been swept before.
        await owner.execute(
            "CREATE TEMPORARY TABLE chosen AS SELECT DISTINCT b.environment_id, b.customer_id"
            " FROM quotastack.blocks AS b JOIN public.ballast AS a ON a.customer_id = b.customer_id"
            f" WHERE b.is_live LIMIT {count}",
            timeout=300,
        )
        await owner.execute(
            "UPDATE quotastack.blocks AS b SET expires_at = clock_timestamp() - interval '1 second' FROM chosen AS c"
            " WHERE b.environment_id = c.environment_id AND b.customer_id = c.customer_id AND b.is_live",
            timeout=300,
        )
        await owner.execute(
            "INSERT INTO quotastack.customer_due (environment_id, customer_id, due_at)"
            " SELECT environment_id, customer_id, clock_timestamp() FROM chosen"
            " ON CONFLICT (environment_id, customer_id) DO UPDATE SET due_at = excluded.due_at",
            timeout=300,
        )


async def count_due(cluster: Cluster) -> int:
    """How many customers are due now."""
    async with owner_of(cluster) as owner:
        return int(
            await owner.fetchval(
                "SELECT count(*) FROM quotastack.customer_due WHERE due_at <= clock_timestamp()"
            )
        )
