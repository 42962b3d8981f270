"""Many requests in one piece of what arrives: the size of each head is its own, wherever the piece ends."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from uvicorn.server import ServerState

from quotastack.api.head_size import HEAD_MAX_BYTES
from quotastack.api.http_protocol import HttpProtocol
from quotastack.api.routing import Request, Response

REQUEST = b"GET /v1/a HTTP/1.1\r\nHost: rig\r\nX-Filling: " + b"x" * 1_000 + b"\r\n\r\n"
POST = b"POST /v1/b HTTP/1.1\r\nHost: rig\r\nContent-Length: 2000\r\n\r\n"
COUNT = 2 * HEAD_MAX_BYTES // len(REQUEST)


class Echo:
    """Answers everything at once."""

    turns = SimpleNamespace(beginnings=(b"never",))

    def serve(self, request: Request) -> None:
        request.request_id = "req_1"
        request.connection.respond(request, Response(200, b"{}"))


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_over = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_over = True

    def is_closing(self) -> bool:
        return self.is_over

    def get_extra_info(self, name: str) -> None:
        return None

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def answers_to(*pieces: bytes) -> tuple[int, int, bool]:
    """How many were answered by 200 and by 400, and whether the connection is over."""

    async def receive() -> Wire:
        wire: Any = Wire()
        config: Any = SimpleNamespace(loaded=True, app=Echo(), timeout_keep_alive=75)
        protocol = HttpProtocol(config, ServerState(), {}, asyncio.get_running_loop())
        protocol.connection_made(wire)
        for piece in pieces:
            protocol.data_received(piece)
        protocol.connection_lost(None)
        return wire

    wire = uvloop.run(receive())
    return wire.written.count(b"HTTP/1.1 200 "), wire.written.count(b"HTTP/1.1 400 "), wire.is_over


@pytest.mark.parametrize("cut", [1, 10, 30, 100, len(REQUEST) - 3])
def test_a_piece_may_end_within_a_head(cut: int) -> None:
    whole = REQUEST * COUNT
    assert answers_to(whole + REQUEST[:cut], REQUEST[cut:]) == (COUNT + 1, 0, False)


def test_a_piece_may_begin_within_a_body() -> None:
    after = b"b" * 2_000 + REQUEST * COUNT + REQUEST[:100]
    assert answers_to(POST, after, REQUEST[100:]) == (COUNT + 2, 0, False)


@pytest.mark.parametrize("before", [b"", REQUEST, REQUEST * COUNT])
def test_a_head_that_is_too_large_is_refused_behind_others(before: bytes) -> None:
    count = len(before) // len(REQUEST)
    line = b"X-%d: " + b"x" * 8_000 + b"\r\n"
    large = b"GET / HTTP/1.1\r\n" + b"".join(line % number for number in range(10))
    assert answers_to(before + large) == (count, 1, True)
    assert answers_to(before + large[:100], large[100:]) == (count, 1, True)
    assert answers_to(before + large + b"\r\n") == (count, 1, True)
    endless = (b"y" * 1_000 for _ in range(HEAD_MAX_BYTES // 1_000 + 1))
    assert answers_to(before + b"GET / HTTP/1.1\r\nX-Endless: ", *endless) == (count, 1, True)
