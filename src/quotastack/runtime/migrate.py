"""Migrations: numbered SQL files, applied once each, in order, under an advisory lock.

Any number of processes may start at once: one migrates, the others wait and find it done. A file that was applied
must not change afterwards; its checksum is kept.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from typing import Any, Final

import msgspec

from quotastack.runtime.database import POSTGRES_VERSION_MAX, POSTGRES_VERSION_MIN, Connection
from quotastack.runtime.secret import InstallationSecret, scram_verifier

LOCK_KEY: Final = 0x71756F7461  # "quota"
LOCK_SECONDS: Final = 120

TAKE_LOCK: Final = f"SET lock_timeout = '{LOCK_SECONDS}s'; SELECT pg_advisory_lock({LOCK_KEY})"
RELEASE_LOCK: Final = f"SELECT pg_advisory_unlock({LOCK_KEY})"
SELECT_APPLIED: Final = "SELECT number, name, checksum FROM quotastack.schema_migrations ORDER BY number"
INSERT_APPLIED: Final = (
    "INSERT INTO quotastack.schema_migrations (number, name, checksum) VALUES ($1, $2, $3)"
)
BE_OWNER: Final = (
    "SET LOCAL ROLE qs_owner; SET LOCAL search_path = quotastack, pg_temp;"
    " SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '15min'"
)
SELECT_INSTALLATION: Final = "SELECT secret, secret_fingerprint FROM quotastack.installation"
INSERT_INSTALLATION: Final = (
    "INSERT INTO quotastack.installation (secret, secret_fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING"
)
HAS_INSTALLATION: Final = "SELECT to_regclass('quotastack.installation') IS NOT NULL"

_is_migration = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql").fullmatch


class MigrationError(Exception):
    """The schema cannot be brought up to date; the message says why and what to do."""


class Migration(msgspec.Struct, frozen=True):
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> bytes:
        """What is compared to find a file that changed after it was applied."""
        return hashlib.sha256(self.sql.encode()).digest()


def list_migrations() -> list[Migration]:
    """All numbered files, in order; two with one number are a mistake of ours."""
    found: list[Migration] = []
    for file in resources.files("quotastack.runtime.migrations").iterdir():
        match = _is_migration(file.name)
        if match is not None:
            found.append(Migration(int(match[1]), match[2], file.read_text("utf-8")))
    found.sort(key=lambda migration: migration.number)
    assert len({migration.number for migration in found}) == len(found), "two migrations have one number"
    return found


def read_script(name: str) -> str:
    """A file that is not numbered: it runs every time and changes nothing when all is there."""
    return resources.files("quotastack.runtime.migrations").joinpath(name).read_text("utf-8")


async def migrate(owner: Connection) -> list[str]:
    """Bring the schema up to date; returns the names of what was applied.

    Locks: one advisory lock for the whole run; each file in a transaction of its own that gives up after five
    seconds of waiting for a table, so that it never queues everybody else behind it.

    Raises:
        MigrationError: PostgreSQL is too old, an applied file has changed, the database is newer than this code.
        asyncpg.PostgresError: a file failed; the ones before it stay applied.
    """
    _check_server_version(owner)
    await owner.execute(TAKE_LOCK)
    try:
        async with owner.transaction():
            await owner.execute(read_script("roles.sql"))
            await owner.execute(read_script("schema.sql"))
        applied = {row["number"]: row for row in await _fetch_as_owner(owner, SELECT_APPLIED)}
        migrations = list_migrations()
        _check_applied(applied, migrations)
        pending = [migration for migration in migrations if migration.number not in applied]
        for migration in pending:
            async with owner.transaction():
                await owner.execute(BE_OWNER)
                await owner.execute(migration.sql)
                await owner.execute(INSERT_APPLIED, migration.number, migration.name, migration.checksum)
        return [f"{migration.number:04d}_{migration.name}" for migration in pending]
    finally:
        await owner.execute(RELEASE_LOCK)


async def read_stored_secret(owner: Connection) -> bytes | None:
    """The secret that the database keeps itself, if it does."""
    if not await owner.fetchval(HAS_INSTALLATION):
        return None
    rows = await _fetch_as_owner(owner, SELECT_INSTALLATION)
    return rows[0]["secret"] if rows else None


async def register_secret(owner: Connection, secret: InstallationSecret, *, store: bool) -> None:
    """Tie the database to the secret on first use, and refuse another one later.

    ``store`` keeps the secret itself in the database; of two processes that do so at once, the first one's stays.

    Raises:
        MigrationError: the database was set up with another secret.
    """
    async with owner.transaction():
        await owner.execute(BE_OWNER)
        rows = await owner.fetch(SELECT_INSTALLATION)
        if not rows:
            await owner.execute(INSERT_INSTALLATION, secret.reveal() if store else None, secret.fingerprint)
            rows = await owner.fetch(SELECT_INSTALLATION)
        if not store and rows[0]["secret_fingerprint"] != secret.fingerprint:
            raise MigrationError(
                "This database was set up with another secret: API keys and stored secrets would not work."
                " Put the old one into QUOTASTACK_SECRET_KEY, or the file 'secret' back into the data directory."
            )


async def set_app_password(owner: Connection, secret: InstallationSecret, *, mark: str) -> None:
    """Give ``qs_app`` the password that is derived from the secret; sent as a verifier, never as itself.

    ``mark`` becomes the role's comment. Both texts are made of hexadecimal and base64 digits.
    """
    verifier = scram_verifier(secret.app_password, salt=secret.derive("salt of qs_app")[:16])
    async with owner.transaction():
        await owner.execute(f"ALTER ROLE qs_app PASSWORD '{verifier}'; COMMENT ON ROLE qs_app IS '{mark}'")


async def _fetch_as_owner(owner: Connection, statement: str) -> list[dict[str, Any]]:
    async with owner.transaction():
        await owner.execute(BE_OWNER)
        return [dict(row) for row in await owner.fetch(statement)]


def _check_server_version(owner: Connection) -> None:
    version = owner.get_server_version()
    number = version.major * 10_000
    if not POSTGRES_VERSION_MIN <= number < POSTGRES_VERSION_MAX:
        raise MigrationError(
            f"PostgreSQL {version.major} is not supported: QuotaStack needs 15, 16, 17 or 18."
        )


def _check_applied(applied: dict[int, dict[str, Any]], migrations: list[Migration]) -> None:
    known = {migration.number: migration for migration in migrations}
    for number, row in applied.items():
        migration = known.get(number)
        if migration is None:
            raise MigrationError(
                f"The database has migration {number} ({row['name']}), which this version does not know:"
                " it was used by a newer QuotaStack. Start that version, or restore a backup."
            )
        if migration.checksum != row["checksum"]:
            raise MigrationError(
                f"Migration {number:04d}_{migration.name} was changed after it had been applied to this database."
                " Restore the file and write a new migration instead."
            )
