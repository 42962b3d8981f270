"""Usage in the background: nothing is lost, nothing is doubled, nothing is dropped in silence."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import InProcess, ScratchDatabase
from tests.races.servers import ServerProcess, free_port, wait_until

from quotastack.services.tenants import NewTenant
from quotastack_client import (
    AsyncClient,
    BufferFullError,
    Client,
    ProblemError,
    UsageNotRecordedError,
)

LOOK = {"external_customer_id": "maker", "billable_metric_key": "look"}
EVENTS = 600


def entries(client: Client) -> int:
    return sum(
        1 for entry in client.credits.list_ledger(external_customer_id="maker", limit=200) if entry.delta < 0
    )


def test_batches_are_flushed(client: Client, priced: str) -> None:
    with client.recorder(batch_max=7, interval_seconds=60) as recorder:
        keys = {recorder.record(**LOOK) for _ in range(20)}
        recorder.record(**LOOK, units=10, idempotency_key="render:1")
        recorder.record(**LOOK, units=10, idempotency_key="render:1")
        recorder.flush()
        assert len(recorder.buffer) == 0
        recorder.record(**LOOK)
    assert len(keys) == 20
    assert entries(client) == 22
    assert client.credits.get(external_customer_id="maker").balance == 69_000
    with pytest.raises(RuntimeError, match="closed"):
        recorder.record(**LOOK)


def test_what_is_refused_is_told(client: Client, priced: str) -> None:
    told: list[tuple[str, str]] = []

    def on_refused(event: dict[str, object], error: ProblemError) -> None:
        told.append((str(event["external_customer_id"]), error.kind))

    recorder = client.recorder()
    recorder.record(**LOOK)
    recorder.record(**{**LOOK, "external_customer_id": "nobody"}, idempotency_key="n:1")
    with pytest.raises(UsageNotRecordedError) as caught:
        recorder.close()
    assert [(one.event["idempotency_key"], one.error.kind) for one in caught.value.refused] == [
        ("n:1", "customer-not-found")
    ]
    with client.recorder(on_refused=on_refused) as other:
        other.record(**{**LOOK, "external_customer_id": "nobody"})
        with pytest.raises(TypeError, match="exactly one"):
            other.record(billable_metric_key="look")
    assert told == [("nobody", "customer-not-found")]
    assert entries(client) == 1


def test_a_done_thing_is_charged_beyond_the_balance(client: Client, priced: str) -> None:
    with client.recorder() as recorder:
        recorder.record(**LOOK, units=101)
    assert client.credits.get(external_customer_id="maker").balance == -1_000
    recorder = client.recorder(enforcement="enforce")
    recorder.record(**LOOK)
    with pytest.raises(UsageNotRecordedError, match="insufficient-credits"):
        recorder.close()


def test_an_unreachable_server_fills_the_buffer() -> None:
    with Client("key", f"http://127.0.0.1:{free_port()}") as client:
        recorder = client.recorder(buffer_max=3, interval_seconds=0.01, close_seconds=0.05)
        keys = [recorder.record(**LOOK) for _ in range(3)]
        with pytest.raises(BufferFullError):
            recorder.record(**LOOK)
        with pytest.raises(UsageNotRecordedError):
            recorder.flush(timeout_seconds=0.05)
        with pytest.raises(UsageNotRecordedError) as caught:
            recorder.close()
    assert [event["idempotency_key"] for event in caught.value.waiting] == keys


def test_flushed_at_exit(client: Client, priced: str, server: ServerProcess, tenant: NewTenant) -> None:
    script = (
        "from quotastack_client import Client\n"
        "recorder = Client().recorder(interval_seconds=60)\n"
        "recorder.record(external_customer_id='maker', billable_metric_key='look')\n"
    )
    source = Path(__file__).parents[2] / "sdk" / "python" / "src"
    known = {"QUOTASTACK_API_KEY": tenant.test_key, "PYTHONPATH": str(source)}
    for url in (server.base_url, f"http://127.0.0.1:{free_port()}"):
        told = subprocess.run(
            [sys.executable, "-c", script.replace("=60", "=60, close_seconds=2")],
            env={**known, "QUOTASTACK_BASE_URL": url},
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        assert ("usage event not sent" in told) is (url != server.base_url), told
    assert entries(client) == 1


def test_async(
    client: Client, priced: str, server: ServerProcess, tenant: NewTenant, runner: asyncio.Runner
) -> None:
    async def record() -> None:
        async with AsyncClient(tenant.test_key, server.base_url) as other:
            async with other.recorder(batch_max=3) as recorder:
                for _ in range(8):
                    recorder.record(**LOOK)
                await recorder.flush()
                recorder.record(**LOOK)
            lost = AsyncClient("key", f"http://127.0.0.1:{free_port()}")
            broken = lost.recorder(buffer_max=1, close_seconds=0.05)
            broken.record(**LOOK)
            with pytest.raises(BufferFullError):
                broken.record(**LOOK)
            with pytest.raises(UsageNotRecordedError):
                await broken.close()
            await lost.close()

    runner.run(record())
    assert entries(client) == 9


@pytest.mark.slow
def test_a_server_killed_during_a_flush_loses_and_doubles_nothing(
    database: ScratchDatabase, tmp_path: Path
) -> None:
    own = ServerProcess(tmp_path / "data", **database.environment)
    try:
        own.start()
        tenants = InProcess(database)
        key = tenants.create_tenant("killed").test_key
        tenants.close()
        with Client(key, own.base_url) as client:
            client.metrics.create(key="look", name="Look")
            client.rules.create(billable_metric_key="look", cost_type="per_unit", unit_cost=10)
            client.topups.grant(external_customer_id="maker", credits=1_000_000)
            recorder = client.recorder(batch_max=20, interval_seconds=0.01)
            for _ in range(EVENTS):
                recorder.record(**LOOK)
            for left in (EVENTS - 100, EVENTS - 300):
                wait_until(lambda left=left: len(recorder.buffer) <= left, "some batches are in")
                own.kill()
                assert len(recorder.buffer) > 0, "the kill came during the flush"
                own.start()
            recorder.flush()
            recorder.close()
            charged = [
                one
                for one in client.credits.list_ledger(external_customer_id="maker", limit=200)
                if one.delta
            ]
            assert len([one for one in charged if one.type == "usage"]) == EVENTS
            assert client.credits.get(external_customer_id="maker").balance == 1_000_000 - 10 * EVENTS
            assert client.ledger.verify().ok
    finally:
        own.stop()
