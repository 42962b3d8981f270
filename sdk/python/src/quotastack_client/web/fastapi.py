"""A FastAPI dependency: a route that holds its units while it runs.

meter = Meter(client, metric="renders", customer=lambda request: request.headers["x-user"])

@app.post("/render")
async def render(hold: Annotated[AsyncHold, Depends(meter)]): ...
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import HTTPException, Request

from quotastack_client.client import AsyncClient
from quotastack_client.errors import InsufficientCreditsError, ProblemError, QuotaProblemError
from quotastack_client.holds import AsyncHold
from quotastack_client.models import Units


class Meter:
    """Reserve before the route, commit after it, release when it raises.

    A refusal is answered as the server's own: 402, 403 or 429 with the problem as ``detail``. In the route
    ``hold.actual_units`` says what was really used; unset, the estimate is charged.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        metric: str,
        customer: Callable[[Request], str | Awaitable[str]],
        units: Units = 1,
        ttl_seconds: int = 300,
    ) -> None:
        self._client = client
        self._metric = metric
        self._customer = customer
        self._units = units
        self._ttl_seconds = ttl_seconds

    async def __call__(self, request: Request) -> AsyncIterator[AsyncHold]:
        """What ``Depends`` calls."""
        named = self._customer(request)
        customer = await named if inspect.isawaitable(named) else named
        hold = self._client.hold(
            external_customer_id=customer,
            billable_metric_key=self._metric,
            estimated_units=self._units,
            ttl_seconds=self._ttl_seconds,
        )
        try:
            await hold.__aenter__()
        except ProblemError as refusal:
            if (
                not isinstance(refusal, InsufficientCreditsError | QuotaProblemError)
                and refusal.status != 403
            ):
                raise
            raise _answer(refusal) from refusal
        try:
            yield hold
        except BaseException as error:
            await hold.__aexit__(type(error), error, error.__traceback__)
            raise
        await hold.__aexit__(None, None, None)


def _answer(refusal: ProblemError) -> HTTPException:
    detail: dict[str, Any] = {**refusal.problem}
    headers = None
    if refusal.retry_after_seconds is not None:
        headers = {"Retry-After": str(int(refusal.retry_after_seconds))}
    return HTTPException(refusal.status, detail=detail, headers=headers)
