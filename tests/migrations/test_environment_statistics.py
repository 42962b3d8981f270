"""Plans of the hot statements do not depend on how many environments there are beside the largest."""

import asyncio
from typing import Any

import asyncpg
import pytest

from quotastack.runtime.random_ids import new_id

SMALL = 300
LARGE_ROWS = 3_000

FILL = """
    INSERT INTO quotastack.{table} (environment_id, {columns})
    SELECT e.id, {values}
      FROM (SELECT $1::uuid AS id, $2::int AS count
             UNION ALL SELECT gen_random_uuid(), 10 FROM generate_series(1, $3::int)) AS e,
           generate_series(1, e.count)
"""
TABLES = {
    "customers": ("id, created_at, updated_at", "gen_random_uuid(), now(), now()"),
    "accounts": ("customer_id, unit", "gen_random_uuid(), 'credits'"),
}
PLANS = {
    "customers": """
        PREPARE write (uuid, quotastack.customer_change[]) AS UPDATE quotastack.customers AS c SET version = u.version
          FROM unnest($2) AS u WHERE c.environment_id = $1 AND c.id = u.id
    """,
    "accounts": """
        PREPARE write (uuid, quotastack.account_change[]) AS UPDATE quotastack.accounts AS a SET sequence = u.sequence
          FROM unnest($2) AS u WHERE a.environment_id = $1 AND a.customer_id = u.customer_id AND a.unit = u.unit
    """,
}


@pytest.mark.parametrize("table", TABLES)
def test_a_batch_looks_its_rows_up_by_the_whole_key(database: Any, table: str) -> None:
    async def story() -> None:
        owner = await database.target.connect_owner()
        work = owner.transaction()
        await work.start()
        try:
            await _check(owner, table)
        finally:
            await work.rollback()
            await owner.close()

    asyncio.run(story())


async def _check(owner: asyncpg.Connection, table: str) -> None:
    columns, values = TABLES[table]
    await owner.execute(f"ALTER TABLE quotastack.{table} NO FORCE ROW LEVEL SECURITY")
    fill = FILL.format(table=table, columns=columns, values=values)
    await owner.execute(fill, new_id(), LARGE_ROWS, SMALL)
    await owner.execute(f"ANALYZE quotastack.{table}")
    for setting in ("hashjoin", "mergejoin", "seqscan", "bitmapscan"):
        await owner.execute(f"SET LOCAL enable_{setting} = off")
    await owner.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    await owner.execute(PLANS[table])
    lines = await owner.fetch(f"EXPLAIN EXECUTE write('{new_id()}', '{{}}')")
    await owner.execute("DEALLOCATE write")
    plan = "\n".join(line[0] for line in lines)
    [condition] = [line[0] for line in lines if "Index Cond" in line[0]]
    assert "environment_id = $1" in condition, plan
    assert "u." in condition, plan


def test_every_tenant_table_is_told(database: Any) -> None:
    async def story() -> None:
        owner = await database.target.connect_owner()
        try:
            forgotten = await owner.fetch("""
                SELECT c.relname FROM pg_class AS c
                  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'environment_id'
                 WHERE c.relnamespace = 'quotastack'::regnamespace AND c.relkind = 'r'
                   AND NOT coalesce('n_distinct=1' = ANY(a.attoptions), false)
            """)
        finally:
            await owner.close()
        assert [row[0] for row in forgotten] == []

    asyncio.run(story())
