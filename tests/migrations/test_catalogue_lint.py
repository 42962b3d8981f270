"""The catalogue lint: clean over all migrations, and each rule finds the fault that is planted for it."""

import asyncio
from typing import Any

import pytest

from quotastack.runtime.catalogue_lint import RULES, lint_catalogue, list_definer_functions

# The functions that may look across environments. A new one is argued for here.
DEFINER_FUNCTIONS = {
    # Clears texts of deleted customers of the transaction's own environment, where qs_app may not update.
    "quotastack.erase_customers(uuid[])",
    "quotastack.claim_due_customers(integer,integer)",
    "quotastack.claim_newest_webhook_lanes(uuid,double precision,integer,integer,uuid[])",
    "quotastack.claim_webhook_lanes(uuid,double precision,integer,uuid[])",
    "quotastack.create_tenant(uuid,text,uuid,uuid,timestamp with time zone)",
    # Whether what was learnt of keys still holds: numbers for ids that are known already.
    "quotastack.environment_versions(uuid[])",
    "quotastack.find_api_key(text)",
    "quotastack.list_environments()",
    "quotastack.lookup_api_key(text)",
    "quotastack.reset_test_environment(uuid,timestamp with time zone)",
    "quotastack.seconds_to_webhook_due()",
    "quotastack.sweep_lag_seconds()",
    "quotastack.touch_api_keys(uuid[],uuid[],timestamp with time zone[])",
}

SOUND = """
    CREATE TABLE quotastack.planted (environment_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (environment_id, id));
    SELECT quotastack.protect('quotastack.planted');
"""

# Rule -> SQL that breaks it, and only it where that is possible. SOUND ran before; all is rolled back after.
PLANTED = {
    "row-level security must be enabled and forced": "ALTER TABLE quotastack.planted NO FORCE ROW LEVEL SECURITY",
    "must be owned by qs_owner": "RESET ROLE; ALTER TABLE quotastack.planted OWNER TO postgres",
    "must be unable to log in, to bypass policies and to make roles": "RESET ROLE; ALTER ROLE qs_owner LOGIN",
    "must be an ordinary role, a member of nothing": "RESET ROLE; GRANT qs_definer TO qs_app",
    "a policy must be for all commands, with USING and WITH CHECK": (
        "CREATE POLICY reading ON quotastack.planted FOR SELECT TO qs_definer USING (true)"
    ),
    "a policy for qs_app must compare the environment, by quotastack.protect": (
        "CREATE POLICY open ON quotastack.planted FOR ALL TO qs_app USING (true) WITH CHECK (true)"
    ),
    "environment_id must be uuid and not null": """
        ALTER TABLE quotastack.planted DROP CONSTRAINT planted_pkey;
        ALTER TABLE quotastack.planted ALTER environment_id DROP NOT NULL
    """,
    "a view must be security_invoker": "CREATE VIEW quotastack.seen AS SELECT id FROM quotastack.planted",
    "a materialized view, sequence or partition must not be granted": """
        CREATE SEQUENCE quotastack.counted; GRANT USAGE ON SEQUENCE quotastack.counted TO qs_app
    """,
    "TRUNCATE, REFERENCES, TRIGGER and MAINTAIN must not be granted": (
        "GRANT TRUNCATE ON quotastack.planted TO qs_app"
    ),
    "a unique index must begin with environment_id": "CREATE UNIQUE INDEX ON quotastack.planted (id)",
    "a foreign key must begin with environment_id": """
        CREATE UNIQUE INDEX target ON quotastack.planted (id);
        ALTER TABLE quotastack.planted ADD UNIQUE USING INDEX target;
        ALTER TABLE quotastack.planted ADD parent uuid REFERENCES quotastack.planted (id)
    """,
    "a SECURITY DEFINER function must be owned by qs_definer, with search_path 'pg_catalog, pg_temp'": (
        "CREATE FUNCTION quotastack.sly() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
    ),
    "nothing must be granted to PUBLIC": "GRANT SELECT ON quotastack.planted TO PUBLIC",
    "CREATE must not be granted in the schema": "GRANT CREATE ON SCHEMA quotastack TO qs_app",
}


def owned(database: Any, sql: str) -> list[str]:
    """The faults that the lint finds after ``sql`` ran as the owner, in a transaction that is rolled back."""

    async def run() -> list[str]:
        owner = await database.target.connect_owner()
        transaction = owner.transaction()
        await transaction.start()
        try:
            await owner.execute("SET LOCAL ROLE qs_owner")
            if sql:
                await owner.execute(SOUND)
                await owner.execute(sql)
            return [fault.rule for fault in await lint_catalogue(owner)]
        finally:
            await transaction.rollback()
            await owner.close()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def linted(cluster: Any) -> Any:
    made = cluster.make()
    yield made
    cluster.drop(made)


def test_the_schema_is_clean(linted: Any) -> None:
    assert owned(linted, "") == []


def test_a_sound_table_is_clean(linted: Any) -> None:
    assert owned(linted, "SELECT 1") == []


def test_every_rule_has_a_planted_fault() -> None:
    assert set(PLANTED) == set(RULES)


@pytest.mark.parametrize("rule", PLANTED)
def test_a_planted_fault_is_found(linted: Any, rule: str) -> None:
    assert rule in owned(linted, PLANTED[rule])


def test_the_runtime_role_is_checked_for_every_attribute(linted: Any) -> None:
    for attribute in ("SUPERUSER", "BYPASSRLS", "CREATEROLE", "CREATEDB", "REPLICATION"):
        found = owned(linted, f"RESET ROLE; ALTER ROLE qs_app {attribute}")
        assert "must be an ordinary role, a member of nothing" in found, attribute


def test_functions_across_environments_are_known(linted: Any) -> None:
    async def run() -> list[str]:
        owner = await linted.target.connect_owner()
        try:
            return await list_definer_functions(owner)
        finally:
            await owner.close()

    unknown = set(asyncio.run(run())) - DEFINER_FUNCTIONS
    assert not unknown, (
        f"argue for these in DEFINER_FUNCTIONS, or do without SECURITY DEFINER: {sorted(unknown)}"
    )
