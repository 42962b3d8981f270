"""A change happens once, however often it has to be sent."""

import asyncio
import json
from collections.abc import Iterator

import httpx2
import pytest
from tests.races.servers import ServerProcess, free_port
from tests.sdk.wires import CuttingProxy, answering

from quotastack.services.tenants import NewTenant
from quotastack_client import AsyncClient, Client
from quotastack_client.errors import (
    InsufficientCreditsError,
    QuotaRateLimitedError,
    RateLimitedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from quotastack_client.transport import Reply, wait_before_retry

USE = {"external_customer_id": "maker", "billable_metric_key": "look"}


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[CuttingProxy]:
    made = CuttingProxy(server.base_url, cuts=2)
    yield made
    made.close()


def test_a_request_cut_after_it_was_sent_is_charged_once(
    client: Client, priced: str, proxy: CuttingProxy, tenant: NewTenant
) -> None:
    with Client(tenant.test_key, proxy.url) as cut:
        used = cut.usage.record(**USE)
    assert used.http.is_replayed
    assert proxy.cuts == 0
    keys = {
        line.partition(b":")[2].strip()
        for request in proxy.requests
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"idempotency-key:")
    }
    assert len(proxy.requests) == 3
    assert len(keys) == 1
    entries = [
        entry for entry in client.credits.list_ledger(external_customer_id="maker") if entry.type == "usage"
    ]
    assert [entry.delta for entry in entries] == [-1_000]
    assert client.credits.get(external_customer_id="maker").balance == 99_000


def test_the_same_for_async(
    client: Client, priced: str, proxy: CuttingProxy, tenant: NewTenant, runner: asyncio.Runner
) -> None:
    async def use() -> bool:
        async with AsyncClient(tenant.test_key, proxy.url) as cut:
            return (await cut.usage.record(**USE)).http.is_replayed

    assert runner.run(use())
    assert client.credits.get(external_customer_id="maker").balance == 99_000


def test_retries_end(tenant: NewTenant) -> None:
    with Client(tenant.test_key, f"http://127.0.0.1:{free_port()}", max_retries=1) as lost:
        with pytest.raises(UnreachableError):
            lost.customers.get(customer_id="x")
        with pytest.raises(UnreachableError):
            lost.usage.record(**USE, max_retries=0)


def reply(status: int, kind: str = "", retry_after: str | None = None) -> Reply:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Reply(status, headers, json.dumps({"type": f"/errors/{kind}", "status": status}).encode())


@pytest.mark.parametrize(
    ("outcome", "is_retried"),
    [
        (reply(503, "unavailable"), True),
        (reply(502), True),
        (reply(429, "rate-limited"), True),
        (reply(429, "quota-rate-limited"), False),
        (reply(409, "idempotency-key-in-flight"), True),
        (reply(409, "conflict"), False),
        (reply(402, "insufficient-credits"), False),
        (reply(422, "idempotency-key-reused"), False),
        (reply(201), False),
        (reply(429, "rate-limited", "61"), False),
        (httpx2.ConnectError("no"), True),
        (httpx2.ReadTimeout("no"), True),
    ],
)
def test_what_time_may_mend_is_retried(outcome: Reply | httpx2.TransportError, *, is_retried: bool) -> None:
    assert (wait_before_retry(outcome, attempt=0, max_retries=1) is not None) is is_retried
    assert wait_before_retry(outcome, attempt=1, max_retries=1) is None


def test_waits_grow_with_jitter_and_honour_retry_after() -> None:
    waits = [wait_before_retry(reply(503), attempt=n, max_retries=99) or 0 for n in range(12)]
    assert all(
        0.5 * top <= wait <= top
        for wait, top in zip(waits, [min(8, 0.25 * 2**n) for n in range(12)], strict=True)
    )
    assert len({wait_before_retry(reply(503), attempt=3, max_retries=9) for _ in range(20)}) > 1
    told = [
        wait_before_retry(reply(503, "unavailable", "5"), attempt=0, max_retries=9) or 0 for _ in range(20)
    ]
    assert all(5 <= wait < 5.1 for wait in told)


def test_errors_carry_what_the_refusal_says(client: Client, priced: str) -> None:
    with pytest.raises(InsufficientCreditsError) as caught:
        client.usage.record(**USE, units=101)
    error = caught.value
    assert (error.status, error.required, error.available, error.shortfall) == (402, 101_000, 100_000, 1_000)
    assert error.request_id in str(error)


def test_answers_of_somebody_else() -> None:
    def page(*_: object) -> tuple[int, dict[str, str], bytes]:
        return 404, {"content-type": "text/html"}, b"<html>nginx</html>"

    with (
        answering(page) as url,
        Client("key", url) as client,
        pytest.raises(UnexpectedAnswerError, match="nginx"),
    ):
        client.ledger.verify()


def test_a_rate_limit_is_an_error_with_its_wait() -> None:
    def limited(_: str, path: str, *__: object) -> tuple[int, dict[str, str], bytes]:
        kind = "quota-rate-limited" if path == "/v1/usage" else "rate-limited"
        problem = {
            "type": f"/errors/{kind}",
            "status": 429,
            "metric": "look",
            "policy": "RateLimit",
            "limit": "1.5",
        }
        return 429, {"Retry-After": "3"}, json.dumps(problem).encode()

    with answering(limited) as url, Client("key", url, max_retries=0) as client:
        with pytest.raises(RateLimitedError) as limit:
            client.ledger.verify()
        assert limit.value.retry_after_seconds == 3
        with pytest.raises(QuotaRateLimitedError) as quota:
            client.usage.record(**USE)
        assert (quota.value.metric, quota.value.policy, quota.value.limit) == ("look", "RateLimit", "1.5")
