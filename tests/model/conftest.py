"""The environments that the model's HTTP driver fills."""

from typing import Any

import pytest
from tests.api.stories import Story


@pytest.fixture
def story(api: Any, tenant: Any) -> Story:
    return Story(api, tenant)
