"""A middleware for any ASGI application: ask before the request, charge after it succeeded."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from quotastack_client.client import AsyncClient
from quotastack_client.models import EntitlementAnswer
from quotastack_client.recorder import AsyncRecorder

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class MeterMiddleware:
    """Requests of a customer pass when the check allows them; those answered below 400 are recorded.

    Args:
        app: the application behind it.
        client: asks; its ``on_unavailable`` decides when the server cannot be asked.
        recorder: records; close it when the application ends.
        metric: one request is one unit of it.
        customer: your id of the customer of a request, or None for one that is neither gated nor charged.
    """

    def __init__(
        self,
        app: App,
        *,
        client: AsyncClient,
        recorder: AsyncRecorder,
        metric: str,
        customer: Callable[[Scope], str | None],
    ) -> None:
        self._app = app
        self._client = client
        self._recorder = recorder
        self._metric = metric
        self._customer = customer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        customer = self._customer(scope) if scope["type"] == "http" else None
        if customer is None:
            await self._app(scope, receive, send)
            return
        check = await self._client.check_entitlement(customer, self._metric)
        if not check.allowed:
            await refuse(check, send)
            return
        statuses: list[int] = []

        async def watch(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            await send(message)

        await self._app(scope, receive, watch)
        if statuses and statuses[0] < 400:
            self._recorder.record(external_customer_id=customer, billable_metric_key=self._metric)


def status_of(check: EntitlementAnswer) -> int:
    """The status of a refusal: 402 without credits, 429 too fast, 503 unknown, else 403."""
    return {"insufficient_credits": 402, "rate_limited": 429, "unavailable": 503}.get(check.reason, 403)


async def refuse(check: EntitlementAnswer, send: Send) -> None:
    """Answer what the check says no to, as a problem."""
    status = status_of(check)
    problem = {
        "type": "about:blank",
        "title": check.reason,
        "status": status,
        "billable_metric_key": check.billable_metric_key,
    }
    headers = [(b"content-type", b"application/problem+json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(problem).encode()})
