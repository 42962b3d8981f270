"""The client on the test's own environment."""

import asyncio
from collections.abc import Iterator

import pytest
from tests.races.servers import ServerProcess

from quotastack.services.tenants import NewTenant
from quotastack_client import Client


@pytest.fixture
def client(server: ServerProcess, tenant: NewTenant) -> Iterator[Client]:
    """A blocking client with the tenant's test key."""
    with Client(tenant.test_key, server.base_url) as made:
        yield made


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Runs what is async."""
    with asyncio.Runner() as made:
        yield made


@pytest.fixture
def priced(client: Client) -> str:
    """The metric ``look`` at 1,000 mc, and the customer ``maker`` with 100,000."""
    client.metrics.create(key="look", name="Look")
    client.rules.create(billable_metric_key="look", cost_type="per_unit", unit_cost=1_000)
    client.topups.grant(external_customer_id="maker", credits=100_000)
    return "look"
