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
    query = dict(parse_qsl(scope["query_string"].decode()))
    body = _encode(
        {"allowed": True, "customer": query["external_customer_id"], "metric": query["billable_metric_key"]}
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        hello, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="error",
        lifespan="off",
    )  # fmt: skip
