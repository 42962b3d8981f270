"""Nothing that a request or a connection leaves behind waits for the search for cycles, which sees the young only.

What has lived for long and ends in a cycle would stay in memory until the server stops.
"""

import asyncio
import gc
import json
from collections import Counter
from types import SimpleNamespace
from typing import Any

import uvloop
from tests.engine.conftest import open_world
from uvicorn.server import ServerState

from quotastack.api.app import create_app
from quotastack.api.http_protocol import HttpProtocol
from quotastack.services.tenants import create_tenant

CALLS = 40

GRANT = {"credits": 10_000_000, "source": "promotional"}
USAGE = {"external_customer_id": "someone", "billable_metric_key": "calls", "units": 1}
HOLD = {"external_customer_id": "someone", "billable_metric_key": "calls", "estimated_units": 1}
CALLS_OF: dict[str, tuple[str, str, int, Any]] = {
    "check": (
        "GET",
        "/v1/entitlements/check?external_customer_id=someone&billable_metric_key=calls",
        200,
        None,
    ),
    "list": ("GET", "/v1/customers", 200, None),
    "no such path": ("GET", "/v1/nothing", 404, None),
    "usage": ("POST", "/v1/usage", 201, USAGE),
    "usage of nobody": ("POST", "/v1/usage", 404, {**USAGE, "external_customer_id": "nobody"}),
    "usage beyond the balance": ("POST", "/v1/usage", 402, {**USAGE, "units": 10**9}),
    "usage in bad form": ("POST", "/v1/usage", 400, {"units": "many"}),
    "hold": ("POST", "/v1/reserve", 201, HOLD),
    "hold beyond the balance": ("POST", "/v1/reserve", 402, {**HOLD, "estimated_units": 10**9}),
    "hold of nobody": ("POST", "/v1/reserve", 404, {**HOLD, "external_customer_id": "nobody"}),
    "grant": ("POST", "/v1/customer-by-external-id/someone/credits/grant", 201, GRANT),
    "batch": ("POST", "/v1/usage/batch", 207, {"events": [{**USAGE, "idempotency_key": "KEY"}, USAGE]}),
    "metric that is there": ("POST", "/v1/billable-metrics", 409, {"key": "calls", "name": "Calls"}),
    "customer's credits": ("GET", "/v1/customer-by-external-id/someone/credits", 200, None),
    "strong check": (
        "GET",
        "/v1/entitlements/check?external_customer_id=someone&billable_metric_key=calls&consistency=strong",
        200,
        None,
    ),
    "not JSON": ("POST", "/v1/usage", 400, ...),
}


class Served:
    """The application on a socket of the test's own loop."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._number = 0

    async def call(self, method: str, path: str, body: Any = None) -> int:
        """The answer's status, over a connection of its own."""
        self._number += 1
        sent = (
            b"{"
            if body is ...
            else b""
            if body is None
            else json.dumps(body).replace("KEY", f"event-{self._number}").encode()
        )
        head = f"{method} {path} HTTP/1.1\r\nHost: here\r\nX-API-Key: {self._key}\r\nConnection: close\r\n"
        if sent:
            head += f"Content-Type: application/json\r\nIdempotency-Key: {self._number}\r\n"
            head += f"Content-Length: {len(sent)}\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(head.encode() + b"\r\n" + sent)
        answer = await reader.read()
        writer.close()
        return int(answer[9:12])


def test_no_call_leaves_cycles(database: Any) -> None:
    found = uvloop.run(_measure(database))
    assert set(found) == set(CALLS_OF)
    often = {
        name: {kind: count for kind, count in kinds.items() if count >= CALLS // 2}
        for name, kinds in found.items()
    }
    assert {name: kinds for name, kinds in often.items() if kinds} == {}


async def _measure(database: Any) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    async with open_world(database) as world:
        key = (await create_tenant(world.services, name="garbage")).test_key
        config: Any = SimpleNamespace(loaded=True, app=create_app(world.services), timeout_keep_alive=75)
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: HttpProtocol(config, state, {}, loop), "127.0.0.1", 0)  # type: ignore[arg-type,return-value] # pyright: ignore[reportArgumentType]
        served = Served(server.sockets[0].getsockname()[1], key)
        for path, body in (
            ("/v1/billable-metrics", {"key": "calls", "name": "Calls"}),
            (
                "/v1/metering-rules",
                {"billable_metric_key": "calls", "cost_type": "per_unit", "unit_cost": 1_000},
            ),
            ("/v1/customers", {"external_id": "someone"}),
            ("/v1/customer-by-external-id/someone/credits/grant", GRANT),
        ):
            assert await served.call("POST", path, body) == 201, path
        for name, (method, path, status, body) in CALLS_OF.items():
            assert await served.call(method, path, body) == status, name
            found[name] = await _collect(served, method, path, body)
        server.close()
    return found


async def _collect(served: Served, method: str, path: str, body: Any) -> Counter[str]:
    await asyncio.sleep(0.05)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(CALLS):
            await served.call(method, path, body)
        await asyncio.sleep(0.05)
        gc.collect()
        return Counter(type(thing).__name__ for thing in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
