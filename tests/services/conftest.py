"""Services on a database of the test module's own, and a way to run coroutines on them."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from tests.conftest import InProcess

from quotastack.services.caller import Caller, system_caller
from quotastack.services.container import Services
from quotastack.services.tenants import NewTenant


@pytest.fixture(scope="module")
def process(cluster: Any) -> Iterator[InProcess]:
    made = cluster.make()
    process = InProcess(made)
    yield process
    process.close()
    cluster.drop(made)


@pytest.fixture
def services(process: InProcess) -> Services:
    return process.services


@pytest.fixture
def run(process: InProcess) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    return process.runner.run


@pytest.fixture
def made(process: InProcess) -> NewTenant:
    return process.create_tenant("a tenant")


@pytest.fixture
def caller(made: NewTenant) -> Caller:
    """Full access to the tenant's test environment."""
    return system_caller(made.test_environment_id, tenant_id=made.tenant_id, environment="test")
