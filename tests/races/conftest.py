"""Two servers on one database, shared by the races of a worker."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.api.stories import Story
from tests.races.servers import Client, ServerProcess, create_tenant, serving


@pytest.fixture(scope="session")
def two_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    with serving(tmp_path_factory.mktemp("races"), 2) as servers:
        yield servers


@pytest.fixture
def both(two_servers: list[ServerProcess]) -> Iterator[list[Story]]:
    """One fresh environment, seen through each of the two servers."""
    tenant = create_tenant(two_servers[0].data)
    clients: list[Client] = [server.client(tenant.test_key) for server in two_servers]
    stories: list[Any] = [Story(client, tenant) for client in clients]
    yield stories
    for client in clients:
        client.close()
