"""Migrations: applied once, in order, by one process; a changed or unknown one is refused."""

import asyncio
from typing import Any

import asyncpg
import pytest

from quotastack.runtime import migrate as migrations
from quotastack.runtime.migrate import MigrationError, list_migrations, migrate, register_secret
from quotastack.runtime.secret import InstallationSecret, generate_secret
from quotastack.runtime.self_check import IsolationError, check_isolation


def as_owner(database: Any, work: Any) -> Any:
    async def run() -> Any:
        owner = await database.target.connect_owner()
        try:
            return await work(owner)
        finally:
            await owner.close()

    return asyncio.run(run())


def test_numbers_are_unique_and_start_at_one() -> None:
    numbers = [migration.number for migration in list_migrations()]
    assert numbers[0] == 1
    assert numbers == sorted(set(numbers))


def test_a_second_run_applies_nothing(database: Any) -> None:
    assert as_owner(database, migrate) == []


def test_many_at_once_apply_each_once(database: Any) -> None:
    async def run(_owner: Any) -> list[list[str]]:
        async def one() -> list[str]:
            connection = await database.target.connect_owner()
            try:
                return await migrate(connection)
            finally:
                await connection.close()

        return await asyncio.gather(*(one() for _ in range(4)))

    async def begin_anew(owner: Any) -> None:
        await owner.execute("DROP SCHEMA quotastack CASCADE")

    as_owner(database, begin_anew)
    applied = as_owner(database, run)
    assert sorted(len(one) for one in applied) == [0, 0, 0, len(list_migrations())]


def test_a_changed_file_is_refused(database: Any) -> None:
    async def run(owner: Any) -> None:
        await owner.execute("UPDATE quotastack.schema_migrations SET checksum = '\\x00' WHERE number = 1")
        await migrate(owner)

    with pytest.raises(MigrationError, match="0001_tenants was changed after it had been applied"):
        as_owner(database, run)


def test_a_newer_database_is_refused(database: Any) -> None:
    async def run(owner: Any) -> None:
        await owner.execute("INSERT INTO quotastack.schema_migrations VALUES (9999, 'of_tomorrow', '\\x00')")
        await migrate(owner)

    with pytest.raises(MigrationError, match="9999 \\(of_tomorrow\\)"):
        as_owner(database, run)


def test_a_file_that_fails_leaves_nothing_of_itself(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    known = list_migrations()
    broken = migrations.Migration(9_000, "broken", "CREATE TABLE quotastack.half (id int); SELECT 1/0")
    monkeypatch.setattr(migrations, "list_migrations", lambda: [*known, broken])

    async def run(owner: Any) -> Any:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(owner)
        return await owner.fetchval("SELECT to_regclass('quotastack.half')")

    assert as_owner(database, run) is None


def test_another_secret_is_refused(database: Any) -> None:
    async def run(owner: Any) -> None:
        await register_secret(owner, generate_secret(), store=False)

    with pytest.raises(MigrationError, match="QUOTASTACK_SECRET_KEY"):
        as_owner(database, run)


def test_the_owner_is_no_server(database: Any) -> None:
    with pytest.raises(IsolationError) as caught:
        as_owner(database, check_isolation)
    assert any("SUPERUSER" in fault for fault in caught.value.faults)


def test_secrets_never_show() -> None:
    secret = InstallationSecret(b"hidden-and-long-enough")
    assert "hidden" not in repr(secret)
    assert secret.unseal(secret.seal(b"text", purpose="a"), purpose="a") == b"text"
