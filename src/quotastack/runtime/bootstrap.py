"""From settings to a database that is ready: started or joined, migrated, with a login that cannot bypass anything.

Done by the parent process and by commands. Worker processes get an address without the owner's credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import msgspec

from quotastack.runtime.database import DATABASE_NAME, WRITES, Connection, DatabaseTarget
from quotastack.runtime.embedded import Cluster
from quotastack.runtime.migrate import (
    MigrationError,
    migrate,
    read_stored_secret,
    register_secret,
    set_app_password,
)
from quotastack.runtime.secret import InstallationSecret, generate_secret, write_private_file
from quotastack.runtime.self_check import check_isolation
from quotastack.runtime.settings import Settings

DATABASE_EXISTS: Final = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
CREATE_DATABASE: Final = f"CREATE DATABASE {DATABASE_NAME}"
SELECT_CLAIM: Final = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'qs_app'"


class Installation(msgspec.Struct, frozen=True):
    """A database that is ready, and what is needed to use it. ``cluster`` is None for a database of one's own."""

    target: DatabaseTarget
    secret: InstallationSecret
    cluster: Cluster | None
    applied: list[str]

    def worker_environment(self) -> dict[str, str]:
        """Settings for a worker process: the same database, without the owner's user and password."""
        parts = urlsplit(self.target.dsn)
        address = parts.netloc.rpartition("@")[2]
        query = f"?{parts.query}" if parts.query else ""
        return {
            "QUOTASTACK_DATABASE_URL": f"{parts.scheme}://{address}{parts.path}{query}",
            "QUOTASTACK_SECRET_KEY": self.secret.reveal().decode("ascii"),
        }


def connect_as_worker(settings: Settings) -> tuple[DatabaseTarget, InstallationSecret]:
    """What a worker process needs; its parent has prepared the database and passes both settings."""
    assert settings.database_url is not None
    assert settings.secret_key is not None
    secret = InstallationSecret(settings.secret_key.get_secret_value().encode())
    return DatabaseTarget(settings.database_url.get_secret_value(), secret.app_password), secret


@contextlib.asynccontextmanager
async def open_installation(settings: Settings, *, claim_roles: bool = False) -> AsyncGenerator[Installation]:
    """Have the database ready while the block runs; an embedded one is left, and stopped by the last who leaves.

    ``claim_roles`` takes over a role ``qs_app`` that another installation on the same server made.

    Raises:
        EmbeddedError, BinariesNotFoundError, AccountError: the embedded database cannot be started.
        MigrationError: see ``migrate``; or ``qs_app`` belongs to another installation.
        IsolationError: the role or the schema would let tenants see each other.
        OSError, asyncpg.PostgresError: a database of one's own cannot be reached or refuses.
    """
    cluster: Cluster | None = None
    try:
        if settings.database_url is None:
            cluster = Cluster(settings.data, postgres_bin=settings.postgres_bin)
            await asyncio.to_thread(cluster.start_or_join)
        yield await _prepare(settings, cluster, claim_roles=claim_roles)
    finally:
        if cluster is not None:
            await asyncio.shield(asyncio.to_thread(cluster.leave))


async def _prepare(settings: Settings, cluster: Cluster | None, *, claim_roles: bool) -> Installation:
    owner = await _connect_owner(settings, cluster)
    try:
        applied = await migrate(owner)
        secret = await _settle_secret(settings, owner, is_embedded=cluster is not None)
        target = _make_target(settings, cluster, app_password=secret.app_password)
        await _claim_app_role(owner, secret, claim_roles=claim_roles or cluster is not None)
    finally:
        await owner.close()
    app = await asyncpg.connect(**target.app_arguments("check", WRITES))
    try:
        await check_isolation(app)
    finally:
        await app.close()
    return Installation(target, secret, cluster, applied)


def _make_target(settings: Settings, cluster: Cluster | None, *, app_password: str) -> DatabaseTarget:
    if cluster is not None:
        return DatabaseTarget(cluster.dsn, app_password, cluster.password)
    assert settings.database_url is not None
    return DatabaseTarget(settings.database_url.get_secret_value(), app_password)


async def _connect_owner(settings: Settings, cluster: Cluster | None) -> Connection:
    target = _make_target(settings, cluster, app_password="")
    if cluster is not None:
        maintenance = await target.connect_owner(database="postgres")
        try:
            if not await maintenance.fetchval(DATABASE_EXISTS, DATABASE_NAME):
                await maintenance.execute(CREATE_DATABASE)
        finally:
            await maintenance.close()
    return await target.connect_owner()


async def _settle_secret(settings: Settings, owner: Connection, *, is_embedded: bool) -> InstallationSecret:
    """The secret by setting, else from the data directory, else (a database of one's own) from the database."""
    if settings.secret_key is not None:
        secret = InstallationSecret(settings.secret_key.get_secret_value().encode())
        await register_secret(owner, secret, store=False)
        return secret
    if is_embedded:
        path = settings.data / "secret"
        if not path.exists():
            write_private_file(path, generate_secret().reveal())
        secret = InstallationSecret(path.read_bytes().strip())
        await register_secret(owner, secret, store=False)
        return secret
    if await read_stored_secret(owner) is None:
        await register_secret(owner, generate_secret(), store=True)
    stored = await read_stored_secret(owner)
    if stored is None:
        raise MigrationError(
            "This database was set up with a secret of its own: set QUOTASTACK_SECRET_KEY to it."
        )
    return InstallationSecret(stored)


async def _claim_app_role(owner: Connection, secret: InstallationSecret, *, claim_roles: bool) -> None:
    """Give ``qs_app`` its password once; the role's comment says which installation did."""
    mark = f"quotastack {secret.fingerprint.hex()}"
    claim = await owner.fetchval(SELECT_CLAIM)
    if claim == mark:
        return
    if claim is not None and not claim_roles:
        raise MigrationError(
            "The role qs_app of this database server belongs to another installation of QuotaStack. Give both the same"
            " QUOTASTACK_SECRET_KEY, use another server, or take the role over with: quotastack migrate --claim-roles"
        )
    await set_app_password(owner, secret, mark=mark)
