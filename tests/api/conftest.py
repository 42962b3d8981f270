"""The storyteller of the scenario tests."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.api.stories import Story


@pytest.fixture
def story(api: Any, tenant: Any) -> Story:
    return Story(api, tenant)


@pytest.fixture
def raw_api(server: Any, tenant: Any) -> Iterator[httpx2.Client]:
    """A client that adds nothing but the test key: no idempotency key, no content type."""
    with httpx2.Client(base_url=server.base_url, headers={"X-API-Key": tenant.test_key}) as client:
        yield client
