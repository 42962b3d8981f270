"""Gates in front of routes, and webhooks behind them."""

import asyncio
import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from standardwebhooks import Webhook
from tests.races.servers import ServerProcess, free_port

from quotastack.services.tenants import NewTenant
from quotastack_client import AsyncClient, Client, WebhookError, verify
from quotastack_client.holds import AsyncHold
from quotastack_client.web.asgi import MeterMiddleware
from quotastack_client.web.fastapi import Meter


def balances(client: Client) -> tuple[int, int]:
    account = client.credits.get(external_customer_id="maker")
    return account.balance, account.reserved_balance


@pytest.fixture
def other(server: ServerProcess, tenant: NewTenant, runner: asyncio.Runner) -> Iterator[AsyncClient]:
    made = AsyncClient(tenant.test_key, server.base_url)
    yield made
    runner.run(made.close())


def test_a_fastapi_route_holds_and_pays(
    client: Client, priced: str, other: AsyncClient, runner: asyncio.Runner
) -> None:
    app = FastAPI()
    meter = Meter(other, metric=priced, customer=lambda request: request.headers["x-user"], units=10)

    @app.post("/render")
    async def render(request: Request, hold: Annotated[AsyncHold, Depends(meter)]) -> dict[str, str]:
        if "fail" in request.query_params:
            raise HTTPException(418)
        hold.actual_units = 3
        return {"reservation": hold.id}

    async def call(query: str = "", user: str = "maker") -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://app") as browser:
            return await browser.post(f"/render{query}", headers={"x-user": user})

    assert runner.run(call()).status_code == 200
    assert balances(client) == (97_000, 0)
    assert runner.run(call("?fail")).status_code == 418
    assert balances(client) == (97_000, 0)
    client.credits.withdraw(external_customer_id="maker", credits=96_000)
    refused = runner.run(call())
    assert refused.status_code == 402
    assert refused.json()["detail"]["shortfall"] == 9_000


def test_an_asgi_application_is_gated_and_charged(
    client: Client, priced: str, other: AsyncClient, runner: asyncio.Runner
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = 500 if scope["path"] == "/broken" else 204
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def customer(scope: Any) -> str | None:
        return dict(scope["headers"]).get(b"x-user", b"").decode() or None

    async def run() -> list[int]:
        recorder = other.recorder()
        gated = MeterMiddleware(app, client=other, recorder=recorder, metric=priced, customer=customer)
        transport = httpx2.ASGITransport(app=gated)
        async with httpx2.AsyncClient(transport=transport, base_url="http://app") as browser:
            user = {"x-user": "maker"}
            statuses = [(await browser.get(path, headers=user)).status_code for path in ("/", "/broken")]
            statuses.append((await browser.get("/")).status_code)
            await recorder.flush()
            await other.credits.withdraw(external_customer_id="maker", credits=99_000)
            refused = await browser.get("/", headers=user)
            assert refused.json()["title"] == "insufficient_credits"
            statuses.append(refused.status_code)
        await recorder.close()
        async with AsyncClient(
            "key", f"http://127.0.0.1:{free_port()}", max_retries=0, on_unavailable="deny"
        ) as lost:
            gated = MeterMiddleware(app, client=lost, recorder=recorder, metric=priced, customer=customer)
            transport = httpx2.ASGITransport(app=gated)
            async with httpx2.AsyncClient(transport=transport, base_url="http://app") as browser:
                statuses.append((await browser.get("/", headers=user)).status_code)
        return statuses

    assert runner.run(run()) == [204, 500, 204, 402, 503]
    assert balances(client) == (0, 0)


def test_webhooks_are_verified() -> None:
    secret = "whsec_" + base64.b64encode(b"0" * 24).decode()
    body = json.dumps({"id": "evt_1", "type": "credit.granted"})
    now = datetime.now(UTC)
    headers = {
        "Webhook-Id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1", now, body),
    }
    assert verify(body, headers, secret)["id"] == "evt_1"
    assert Client.verify_webhook(body.encode(), headers, [secret])["type"] == "credit.granted"
    with pytest.raises(WebhookError, match="No signature fits"):
        verify(body + " ", headers, secret)
    with pytest.raises(WebhookError, match="too far"):
        verify(body, headers, secret, now_seconds=now.timestamp() + 301)
    with pytest.raises(WebhookError, match="missing"):
        verify(body, {}, secret)
