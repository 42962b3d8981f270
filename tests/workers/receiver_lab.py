"""A receiver on loopback inside the test's own loop, which verifies and keeps what comes."""

import asyncio
from collections import defaultdict
from typing import Any, Self

import msgspec
from aiohttp import web
from standardwebhooks import Webhook
from tests.workers.delivery_world import SECRET

from quotastack.core.signing import show_secret


class Lab:
    """A receiver on loopback; ``decide(event)`` gives the status. Every request is verified and kept.

    ``pause_seconds`` pass between the decision and the answer.
    """

    def __init__(self, decide: Any = lambda event: 204, *, pause_seconds: float = 0.0) -> None:
        self.decide = decide
        self.pause_seconds = pause_seconds
        self.received: list[tuple[dict[str, Any], dict[str, str], int]] = []
        self.in_flight: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.most_in_flight = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{endpoint}", self._receive)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        Webhook(show_secret(SECRET)).verify(body, headers)
        event = msgspec.json.decode(body)
        lane = (request.match_info["endpoint"], event["customer_id"])
        self.in_flight[lane] += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight[lane])
        try:
            status = self.decide(event)
            await asyncio.sleep(self.pause_seconds)
            self.received.append((event, headers, status))
            return web.Response(status=status)
        finally:
            self.in_flight[lane] -= 1

    def accepted(self, customer: str) -> list[tuple[dict[str, Any], dict[str, str], int]]:
        return [came for came in self.received if came[0]["customer_id"] == customer and 200 <= came[2] < 300]
