"""Charge in the background: the request does not wait, and nothing is lost when the server is away."""

from quotastack_client import Client, ProblemError


def told(event: dict[str, object], error: ProblemError) -> None:
    """Where your alerts go."""
    raise SystemExit(f"{event['idempotency_key']}: {error}")


with Client() as client:
    client.metrics.create(key="thumbnails", name="Thumbnails")
    client.rules.create(billable_metric_key="thumbnails", cost_type="per_unit", unit_cost=3)
    client.topups.grant(external_customer_id="ada", credits=10_000)

    with client.recorder(on_refused=told, interval_seconds=0.2) as recorder:
        for number in range(2_000):
            recorder.record(
                external_customer_id="ada",
                billable_metric_key="thumbnails",
                idempotency_key=f"thumbnail:{number}",
            )

    account = client.credits.get(external_customer_id="ada")
    assert account.balance == 10_000 - 6_000, account
    assert sum(1 for _ in client.usage.list(external_customer_id="ada", limit=200)) == 2_000
