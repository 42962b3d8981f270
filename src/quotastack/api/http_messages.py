"""What goes over the wire around a request: its target taken apart, its answer put together."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import httptools

from quotastack.api.errors import encode_problem
from quotastack.api.routing import Request, Response
from quotastack.core.errors import MalformedRequestError

STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class TargetError(Exception):
    """What stands for the path is none."""


def encode_answer(
    request: Request,
    response: Response,
    default_headers: Iterable[tuple[bytes, bytes]],
    *,
    keep_alive: bool,
) -> bytes:
    """A whole answer in one piece. Neither a type nor, on a 204, a length belongs to no body."""
    body: bytes | None = response.body
    encoded = b"" if body is None else body
    parts = [STATUS_LINES[response.status]]
    for name, value in default_headers:
        parts += (name, b": ", value, b"\r\n")
    if body is not None:
        parts += (b"content-type: ", response.content_type, b"\r\n")
    if body is not None or response.status != 204:
        parts.append(b"content-length: %d\r\n" % len(encoded))
    parts += (b"x-request-id: ", request.request_id.encode(), b"\r\n")
    for headers in (response.headers, request.limit_headers):
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    if request.verb != "HEAD":
        parts.append(encoded)
    return b"".join(parts)


def encode_refusal(error: MalformedRequestError) -> bytes:
    """The answer to what could not be parsed; the connection ends with it."""
    request_id = f"req_{secrets.token_hex(9)}"
    body = encode_problem(error, base_url="", instance="", request_id=request_id)
    return (
        b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
        b"content-length: %d\r\nx-request-id: %s\r\n\r\n%s" % (len(body), request_id.encode(), body)
    )


def split_target(request: Request) -> None:
    """Path and query of the request target.

    Raises:
        TargetError, httptools.HttpParserInvalidURLError: it is neither a path nor an address.
    """
    target = request.target
    if not target.isascii():
        raise TargetError
    if target[:1] == b"/" and b"#" not in target:
        request.raw_path, _, request.query_string = target.partition(b"?")
        return
    parsed = httptools.parse_url(target)
    # A target like example.com:443 has none, whatever the type says.
    path: Any = parsed.path
    if path is None:
        raise TargetError
    request.raw_path = path
    request.query_string = parsed.query or b""
