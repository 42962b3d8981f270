"""The floor of every HTTP row: a raw ASGI application that parses two query parameters and answers JSON."""

from __future__ import annotations

import sys
from urllib.parse import parse_qsl

import msgspec
import uvicorn

_encode = msgspec.json.Encoder().encode


async def hello(scope, _receive, send) -> None:  # noqa: ANN001 - an ASGI callable
    """Answer what a check answers at least: which customer, which metric, allowed."""
    if scope["type"] != "http":
        return
    if scope["path"] != "/hello":
        await _receive_webhook(scope, send)
        return
    query = dict(parse_qsl(scope["query_string"].decode()))
    body = _encode(
        {"allowed": True, "customer": query["external_customer_id"], "metric": query["billable_metric_key"]}
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


received = 0


async def _receive_webhook(scope, send) -> None:  # noqa: ANN001 - as above
    """Take an event at once, or tell how many there were."""
    global received  # noqa: PLW0603 - the whole state of a receiver
    received += scope["method"] == "POST"
    body = str(received).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        hello, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="error",
        lifespan="off",
    )  # fmt: skip
