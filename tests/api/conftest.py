"""The storyteller of the scenario tests."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest
from tests.api.stories import Story
from tests.conftest import ScratchDatabase

from quotastack.core.events import validate_data


@pytest.fixture
def story(api: Any, tenant: Any) -> Story:
    return Story(api, tenant)


@pytest.fixture
def raw_api(server: Any, tenant: Any) -> Iterator[httpx2.Client]:
    """A client that adds nothing but the test key: no idempotency key, no content type."""
    with httpx2.Client(base_url=server.base_url, headers={"X-API-Key": tenant.test_key}) as client:
        yield client


@pytest.fixture(scope="session", autouse=True)
def events_fit_the_catalog(server_database: ScratchDatabase) -> Iterator[None]:
    """Whatever these tests made the server write: every event's data fits the schema that we publish."""
    yield
    wrong: dict[str, str] = {}
    for type_, data in asyncio.run(_read_events(server_database)):
        try:
            validate_data(type_, msgspec.json.decode(data))
        except (KeyError, msgspec.ValidationError) as fault:
            wrong.setdefault(type_, f"{fault!r}: {data}")
    assert not wrong, wrong


async def _read_events(database: ScratchDatabase) -> list[tuple[str, str]]:
    owner = await database.target.connect_owner()
    try:
        rows = await owner.fetch("SELECT DISTINCT type, data::text FROM quotastack.events")
        return [(row[0], row[1]) for row in rows]
    finally:
        await owner.close()
