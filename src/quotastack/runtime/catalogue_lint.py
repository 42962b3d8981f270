"""Catalogue lint: what the database's own catalogue says about isolation, held against what must be true.

Run by tests over all migrations, and at start on the real database: a table made by hand, a grant given in a
hurry, a role that was made a superuser are found before the first request is served.
"""

from __future__ import annotations

from typing import Final

import msgspec

from quotastack.runtime.database import Connection


class CatalogueFault(msgspec.Struct, frozen=True):
    """One broken rule and the object that breaks it."""

    rule: str
    subject: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}"


# What a rule of the lint says, and a query that lists the objects that break it.
RULES: Final[dict[str, str]] = {
    "row-level security must be enabled and forced": """
        SELECT c.oid::regclass::text
          FROM ours AS c
         WHERE c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
    """,
    "must be owned by qs_owner": """
        SELECT c.oid::regclass::text
          FROM ours AS c
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relowner <> 'qs_owner'::regrole
        UNION ALL
        SELECT 'schema quotastack' FROM pg_namespace WHERE nspname = 'quotastack' AND nspowner <> 'qs_owner'::regrole
    """,
    "must be unable to log in, to bypass policies and to make roles": """
        SELECT rolname
          FROM pg_roles
         WHERE rolname IN ('qs_owner', 'qs_definer')
           AND (rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole)
    """,
    "must be an ordinary role, a member of nothing": """
        SELECT rolname FROM pg_roles
         WHERE rolname = 'qs_app' AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)
        UNION ALL
        SELECT 'qs_app is a member of ' || roleid::regrole FROM pg_auth_members WHERE member = 'qs_app'::regrole
        UNION ALL
        SELECT 'qs_app owns ' || c.oid::regclass FROM pg_class AS c WHERE c.relowner = 'qs_app'::regrole
    """,
    "a policy must be for all commands, with USING and WITH CHECK": """
        SELECT p.polrelid::regclass || '.' || p.polname
          FROM pg_policy AS p JOIN ours AS c ON c.oid = p.polrelid
         WHERE p.polcmd <> '*' OR p.polqual IS NULL OR p.polwithcheck IS NULL
    """,
    "a policy for qs_app must compare the environment, by quotastack.protect": """
        SELECT p.polrelid::regclass || '.' || p.polname
          FROM pg_policy AS p JOIN ours AS c ON c.oid = p.polrelid
         WHERE c.relname <> 'schema_migrations'
           AND (0 = ANY (p.polroles) OR 'qs_app'::regrole = ANY (p.polroles))
           AND NOT (
               coalesce(pg_get_expr(p.polqual, p.polrelid), '') = wanted_policy(c.relname)
               AND coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') = wanted_policy(c.relname)
           )
    """,
    "environment_id must be uuid and not null": """
        SELECT c.oid::regclass::text
          FROM ours AS c
         WHERE c.relkind IN ('r', 'p') AND granted(c.oid)
           AND c.relname NOT IN ('schema_migrations', 'environments')
           AND NOT EXISTS (
               SELECT FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attname = 'environment_id' AND a.attnotnull
                  AND a.atttypid = 'uuid'::regtype
           )
    """,
    "a view must be security_invoker": """
        SELECT c.oid::regclass::text
          FROM ours AS c
         WHERE c.relkind = 'v' AND NOT coalesce(c.reloptions @> ARRAY['security_invoker=true'], false)
           AND NOT coalesce(c.reloptions @> ARRAY['security_invoker=on'], false)
    """,
    "a materialized view, sequence or partition must not be granted": """
        SELECT c.oid::regclass::text
          FROM ours AS c
         WHERE (c.relkind IN ('m', 'S') OR c.relispartition) AND granted(c.oid)
    """,
    "TRUNCATE, REFERENCES, TRIGGER and MAINTAIN must not be granted": """
        SELECT c.oid::regclass || ': ' || g.privilege_type || ' to ' || g.grantee::regrole
          FROM ours AS c, aclexplode(c.relacl) AS g
         WHERE g.grantee <> c.relowner AND g.privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN')
    """,
    "a unique index must begin with environment_id": """
        SELECT i.indexrelid::regclass::text
          FROM pg_index AS i
          JOIN ours AS c ON c.oid = i.indrelid
         WHERE i.indisunique AND granted(c.oid)
           AND c.relname NOT IN ('schema_migrations', 'environments')
           AND NOT EXISTS (
               SELECT FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum = i.indkey[0] AND a.attname = 'environment_id'
           )
    """,
    "a foreign key must begin with environment_id": """
        SELECT c.oid::regclass || '.' || k.conname
          FROM pg_constraint AS k
          JOIN ours AS c ON c.oid = k.conrelid
         WHERE k.contype = 'f'
           AND NOT EXISTS (
               SELECT FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum = k.conkey[1] AND a.attname = 'environment_id'
           )
    """,
    "a SECURITY DEFINER function must be owned by qs_definer, with search_path 'pg_catalog, pg_temp'": """
        SELECT p.oid::regprocedure::text
          FROM pg_proc AS p
         WHERE p.pronamespace = 'quotastack'::regnamespace AND p.prosecdef
           AND NOT (
               p.proowner = 'qs_definer'::regrole
               AND coalesce(p.proconfig @> ARRAY['search_path=pg_catalog, pg_temp'], false)
           )
    """,
    "nothing must be granted to PUBLIC": """
        SELECT c.oid::regclass || ': ' || g.privilege_type
          FROM ours AS c, aclexplode(c.relacl) AS g WHERE g.grantee = 0
        UNION ALL
        SELECT p.oid::regprocedure || ': EXECUTE'
          FROM pg_proc AS p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS g
         WHERE p.pronamespace = 'quotastack'::regnamespace AND g.grantee = 0
           AND p.prorettype <> 'trigger'::regtype
        UNION ALL
        SELECT 'schema quotastack: ' || g.privilege_type
          FROM pg_namespace AS n, aclexplode(n.nspacl) AS g WHERE n.nspname = 'quotastack' AND g.grantee = 0
    """,
    "CREATE must not be granted in the schema": """
        SELECT g.grantee::regrole::text
          FROM pg_namespace AS n, aclexplode(n.nspacl) AS g
         WHERE n.nspname = 'quotastack' AND g.privilege_type = 'CREATE' AND g.grantee <> n.nspowner
    """,
}

# Words that the rules use, spelt out before they run: the schema's relations, whether the server may touch one, and
# the only policy that it may meet there.
OURS: Final = "SELECT * FROM pg_class WHERE relnamespace = 'quotastack'::regnamespace"
GRANTED: Final = """EXISTS (
    SELECT FROM aclexplode(c.relacl) AS acl WHERE acl.grantee IN (0, 'qs_app'::regrole)
    UNION ALL
    SELECT FROM pg_attribute AS att, aclexplode(att.attacl) AS acl
     WHERE att.attrelid = c.oid AND acl.grantee IN (0, 'qs_app'::regrole)
)"""
WANTED_POLICY: Final = (
    "('(' || CASE c.relname WHEN 'environments' THEN 'id' ELSE 'environment_id' END"
    " || ' = (current_setting(''quotastack.environment_id''::text))::uuid)')"
)

LIST_DEFINER_FUNCTIONS: Final = """
    SELECT p.oid::regprocedure::text FROM pg_proc AS p
     WHERE p.pronamespace = 'quotastack'::regnamespace AND p.prosecdef ORDER BY 1
"""


def _lint_statement() -> str:
    parts = [
        f"SELECT {number} AS rule, broken.subject FROM ({rule}) AS broken (subject)"
        for number, rule in enumerate(RULES.values())
    ]
    text = " UNION ALL ".join(parts).replace("granted(c.oid)", GRANTED)
    return f"WITH ours AS ({OURS}) {text} ORDER BY 1, 2".replace("wanted_policy(c.relname)", WANTED_POLICY)


LINT_CATALOGUE: Final = _lint_statement()


async def lint_catalogue(connection: Connection) -> list[CatalogueFault]:
    """Every broken rule; empty when the catalogue is as it must be. Any role may ask: catalogues are public."""
    names = list(RULES)
    return [
        CatalogueFault(names[row["rule"]], row["subject"]) for row in await connection.fetch(LINT_CATALOGUE)
    ]


async def list_definer_functions(connection: Connection) -> list[str]:
    """The functions that look across environments; tests hold them against a list of those that may."""
    return [row[0] for row in await connection.fetch(LIST_DEFINER_FUNCTIONS)]
