"""`kill -9` of the server and of PostgreSQL: the short form; tests/rigs/test_kills.py has the long one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.api.stories import Story, instant
from tests.races.boundary_rig import survive_boundaries
from tests.races.kill_rig import survive
from tests.races.servers import ServerProcess, create_tenant, serving, wait_until

pytestmark = pytest.mark.slow


def test_acknowledged_debits_survive_kills(tmp_path: Path) -> None:
    """S6 and R49 as well: exchanges are whole, and a repeat with the same key never doubles."""
    told = survive(tmp_path, server_kills=2, database_kills=2)
    assert (told["server"], told["database"]) == (2, 2)
    assert told["acknowledged"] >= 80


def test_kills_during_a_boundary_sweep(tmp_path: Path) -> None:
    """S12 with a server that falls again and again while it catches up."""
    assert survive_boundaries(tmp_path, kills=2, customers=12) == 2 * 5 * 12


def test_s12_server_was_really_off(tmp_path: Path) -> None:
    """Seven days pass while no server runs; the sweep of the next start does what was missed."""
    begin = datetime(2041, 6, 1, 8, tzinfo=UTC)
    with serving(tmp_path) as servers:
        (server,) = servers
        tenant = create_tenant(server.data)
        story = Story(server.client(tenant.test_key), tenant)
        story.freeze(begin)
        plan = story.plan("daily")
        variant = story.variant(plan, billing_mode="postpaid", interval="day")
        story.template(plan, variant, 1_000)
        customer = story.customer()
        story.subscribe(customer, variant)
        story.advance(days=7, sweep=False)
        server.kill()

        servers.append(ServerProcess(server.data).start())
        story = Story(servers[-1].client(tenant.test_key), tenant)
        wait_until(lambda: len(story.events("subscription.renewed", customer)) >= 7, "seven renewals")
        renewed = [instant(event["created_at"]) for event in story.events("subscription.renewed", customer)]
        assert renewed == [begin + timedelta(days=day) for day in range(1, 8)]
        granted = [entry for entry in story.ledger(customer) if entry["type"] == "grant"]
        assert [instant(entry["occurred_at"]) for entry in granted] == [
            begin + timedelta(days=day) for day in range(8)
        ]
        story.verify(customer)


def test_r35_holds_end_without_any_traffic(tmp_path: Path) -> None:
    """Nobody calls: the sweep still writes the end of a hold, and tells it."""
    with serving(tmp_path) as (server,):
        tenant = create_tenant(server.data)
        story = Story(server.client(tenant.test_key), tenant)
        customer = story.wallet(5_000)
        story.post("/v1/reserve", {"customer_id": customer, "credits": 2_000, "ttl_seconds": 1})
        wait_until(
            lambda: any(entry["type"] == "reservation_expired" for entry in story.ledger(customer)),
            "the ledger entry of the hold's end",
            timeout_seconds=10,
        )
        assert len(story.events("reservation.expired", customer)) == 1
        assert story.effective(customer) == 5_000
        story.verify(customer)
