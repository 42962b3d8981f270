"""Kill the server while it turns periods: nothing missing, nothing double."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from tests.api.stories import Story, instant
from tests.races.servers import ServerProcess, create_tenant, run_command, stop_database, wait_until

BEGIN = datetime(2041, 6, 1, 8, tzinfo=UTC)
DAYS_A_RUN = 5


def survive_boundaries(folder: Path, *, kills: int, customers: int) -> int:
    """Before each kill several days fall due at once; returns how many boundaries ran."""
    data = folder / "data"
    server = ServerProcess(data).start()
    try:
        tenant = create_tenant(data)
        story = Story(server.client(tenant.test_key), tenant)
        story.freeze(BEGIN)
        plan = story.plan("daily")
        variant = story.variant(plan, billing_mode="postpaid", interval="day")
        story.template(plan, variant, 1_000, rollover_percentage=50)
        subscribed = [story.customer() for _ in range(customers)]
        for customer in subscribed:
            story.subscribe(customer, variant)
        for _ in range(kills):
            before = _renewals(story)
            story.advance(days=DAYS_A_RUN, sweep=False)
            wait_until(partial(_has_begun, story, before), "the sweep has begun")
            server.kill()
            server = ServerProcess(data).start()
            story = Story(server.client(tenant.test_key), tenant)
        expected = [BEGIN + timedelta(days=day) for day in range(1, kills * DAYS_A_RUN + 1)]
        wait_until(
            lambda: _renewals(story) >= len(expected) * customers,
            "every boundary has run",
            timeout_seconds=60,
        )
        for customer in subscribed:
            _assert_each_boundary_once(story, customer, expected)
        verified = run_command(data, "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        return _renewals(story)
    finally:
        server.stop()
        stop_database(data)


def _has_begun(story: Story, before: int) -> bool:
    return _renewals(story) > before


def _renewals(story: Story) -> int:
    return len(story.events("subscription.renewed"))


def _assert_each_boundary_once(story: Story, customer: str, expected: list[datetime]) -> None:
    events = story.events(customer=customer)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    renewed = [instant(event["created_at"]) for event in events if event["type"] == "subscription.renewed"]
    assert renewed == expected
    for kind in ("grant", "rollover_in"):
        entries = [entry for entry in story.ledger(customer) if entry["type"] == kind]
        at = [instant(entry["occurred_at"]) for entry in entries]
        assert at == ([BEGIN, *expected] if kind == "grant" else expected), kind
    assert story.balance(customer) == 1_500
    story.verify(customer)
