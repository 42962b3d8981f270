"""Environments: what commands and checks of one environment decide by, cached by its version.

A batch compares the version that it read under the environment's lock; a check relies on the
listener, which drops an entry as soon as another process changed it.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from quotastack.core.catalog import Catalog, EnvironmentConfig
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.tenancy import environment_transaction
from quotastack.store.catalog import load_catalog
from quotastack.store.environments import select_environment

if TYPE_CHECKING:
    from quotastack.runtime.clock import Clock
    from quotastack.runtime.database import Connection, Database

ENVIRONMENTS_MAX: Final = 5_000


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """One environment at ``version``: catalog, configuration and clock."""

    id: str
    tenant_id: str
    environment: str
    version: int
    catalog: Catalog
    clock_frozen_at: datetime | None
    clock_offset: timedelta

    @property
    def config(self) -> EnvironmentConfig:
        """The settings that decide something."""
        return self.catalog.config

    def time_at(self, real_now: datetime) -> datetime:
        """The environment's time when the database's clock shows ``real_now``."""
        if self.clock_frozen_at is not None:
            return self.clock_frozen_at
        return real_now + self.clock_offset if self.clock_offset else real_now


class UnknownEnvironmentError(LookupError):
    """The environment is gone (its test data was reset) or never was."""


async def load_environment(
    tx: Connection, environment_id: str, *, known: Environment | None = None
) -> Environment:
    """Read an environment in the transaction ``tx`` that is set to it; ``known`` when it is of its version.

    Raises:
        UnknownEnvironmentError: no such row.
    """
    row = await select_environment(tx, EnvironmentId(environment_id))
    if row is None:
        raise UnknownEnvironmentError(environment_id)
    if known is not None and known.version == row["version"]:
        return known
    catalog = await load_catalog(tx, environment_id, row["version"])
    config = msgspec.json.decode(row["config"], type=EnvironmentConfig)
    return Environment(
        id=environment_id,
        tenant_id=row["tenant_id"],
        environment=row["environment"],
        version=row["version"],
        catalog=msgspec.structs.replace(catalog, version=row["version"], config=config),
        clock_frozen_at=row["clock_frozen_at"],
        clock_offset=timedelta(microseconds=row["clock_offset_us"]),
    )


class Environments:
    """The environments that this process has seen lately, the least used dropped first."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: OrderedDict[str, Environment] = OrderedDict()
        self._lowest: OrderedDict[str, int] = OrderedDict()

    def peek(self, environment_id: str) -> Environment | None:
        """What is cached, or None."""
        return self._known.get(environment_id)

    def put(self, environment: Environment) -> None:
        """Remember an environment unless a newer version of it is known to exist."""
        known = self._known.get(environment.id)
        if known is not None and known.version > environment.version:
            return
        if self._lowest.get(environment.id, 0) > environment.version:
            return
        self._known[environment.id] = environment
        self._known.move_to_end(environment.id)
        if len(self._known) > ENVIRONMENTS_MAX:
            self._known.popitem(last=False)

    def invalidate(self, environment_id: str, version: int | None = None) -> None:
        """Forget what is older than ``version``; without one, whatever is cached."""
        if version is not None:
            self._lowest[environment_id] = max(version, self._lowest.get(environment_id, 0))
            self._lowest.move_to_end(environment_id)
            if len(self._lowest) > ENVIRONMENTS_MAX:
                self._lowest.popitem(last=False)
        known = self._known.get(environment_id)
        if known is not None and (version is None or known.version < version):
            del self._known[environment_id]

    def clear(self) -> None:
        """Forget all: the channel that tells of changes was lost."""
        self._known.clear()

    async def get(self, environment_id: str) -> Environment:
        """The environment, cached or read.

        Raises:
            UnknownEnvironmentError: no such environment.
        """
        known = self._known.get(environment_id)
        if known is not None:
            return known
        return await self.refresh(environment_id)

    async def refresh(self, environment_id: str) -> Environment:
        """Read the environment from the database, whatever is cached."""
        async with environment_transaction(
            self._database.reads, EnvironmentId(environment_id), read_only=True
        ) as tx:
            environment = await load_environment(tx, environment_id)
        self.put(environment)
        return environment

    def now(self, environment: Environment) -> datetime:
        """The environment's time by this process's clock (live: at most 5 ms off)."""
        return environment.time_at(self._clock.now())
