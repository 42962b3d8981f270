"""The storyteller of the scenario tests."""

from typing import Any

import pytest
from tests.api.stories import Story


@pytest.fixture
def story(api: Any, tenant: Any) -> Story:
    return Story(api, tenant)
