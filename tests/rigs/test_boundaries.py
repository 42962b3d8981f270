"""1,000 subscriptions over 24 boundaries, swept by two servers at once: each boundary once."""

from pathlib import Path

from tests.api.stories import Story
from tests.races.servers import create_tenant, serving
from tests.races.sweep_rig import sweep_together


def test_a_thousand_subscriptions_over_24_boundaries(tmp_path: Path) -> None:
    with serving(tmp_path, 2) as servers:
        tenant = create_tenant(servers[0].data)
        stories = [Story(server.client(tenant.test_key), tenant) for server in servers]
        assert sweep_together(stories, subscriptions=1_000, boundaries=24) == 24_000
