"""Requests that find no room are refused unread: the plain ones, by the answer that reading them would have had."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.test_turns import Server, Wire
from tests.engine.conftest import open_world

from quotastack.api.app import create_app
from quotastack.api.door import Door
from quotastack.api.routing import BoundRoute, Request, Response, Route
from quotastack.engine.engine import Engine
from quotastack.services.tenants import create_tenant

BODY = b'{"external_customer_id":"ada","billable_metric_key":"calls","units":1}'
LINE = b"POST /v1/usage HTTP/1.1"
FIELDS = (
    b"Host: here:8080",
    b"X-API-Key: qs_test_x",
    b"Content-Type: application/json",
    b"Idempotency-Key: a:1",
)


def plain(*more: bytes, line: bytes = LINE, body: bytes = BODY) -> bytes:
    """A request as any client sends it, and more header fields."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((line, *FIELDS, length, *more, b"", body))


class Full:
    """An engine without room."""

    def __init__(self) -> None:
        self.has_room = False
        self.refused = 0

    def note_refused(self) -> None:
        self.refused += 1


def make_door(room: Full, counted: list[tuple[str, int]]) -> Door:
    ids = itertools.count(1)

    def bind(path: str, *, is_shed: bool) -> BoundRoute:
        route = Route(
            method="POST", path=path, handler=lambda _request: Response(200), scope=None, summary="", tag="",
            answers={}, is_shed=is_shed,
        )  # fmt: skip
        return BoundRoute(route, path, None)

    def refuse(request: Request) -> Response:
        told = b"%b asks %b: %b" % (request.headers[b"host"], request.raw_path, request.request_id.encode())
        return Response(503, told, headers=[(b"retry-after", b"1")])

    return Door(
        [
            bind("/v1/usage", is_shed=True),
            bind("/v1/plans", is_shed=False),
            bind("/v1/a/{id}/b", is_shed=True),
        ],
        room,
        refuse=refuse,
        name=lambda: f"req_{next(ids):04d}",
        count=lambda bound, status: counted.append((bound.template, status)),
    )


def ask(door: Door, data: bytes, *, is_late: bool = False) -> bytes | None:
    return door.answer(data, [(b"date", b"today")], scheme="http", is_late=is_late)


def test_a_plain_request_is_answered_whole() -> None:
    room, counted = Full(), []
    door = make_door(room, counted)
    for number in (1, 2):
        answer = ask(door, plain())
        assert answer is not None
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert lines[0] == b"HTTP/1.1 503 Service Unavailable"
        assert body == b"here:8080 asks /v1/usage: req_%04d" % number
        assert {
            b"date: today", b"retry-after: 1", b"x-request-id: req_%04d" % number, b"content-length: %d" % len(body)
        } <= set(lines)  # fmt: skip
    assert (room.refused, counted) == (2, [("/v1/usage", 503)] * 2)


def test_with_room_nobody_is_refused_but_who_is_late() -> None:
    room, counted = Full(), []
    room.has_room = True
    door = make_door(room, counted)
    assert ask(door, plain()) is None
    assert ask(door, plain(), is_late=True) is not None
    assert room.refused == 1


NOT_PLAIN = {
    "another route": plain(line=b"POST /v1/plans HTTP/1.1"),
    "a route with parameters": plain(line=b"POST /v1/a/1/b HTTP/1.1"),
    "a query": plain(line=b"POST /v1/usage?a=1 HTTP/1.1"),
    "another method": plain(line=b"GET /v1/usage HTTP/1.1"),
    "an older protocol": plain(line=b"POST /v1/usage HTTP/1.0"),
    "an id of its own": plain(b"X-Request-Id: mine"),
    "the last of its connection": plain(b"Connection: close"),
    "another protocol": plain(b"Upgrade: h2c"),
    "asks whether it may go on": plain(b"Expect: 100-continue"),
    "in chunks": plain(b"Transfer-Encoding: chunked"),
    "two lengths": plain(b"Content-Length: 5"),
    "two hosts": plain(b"Host: there"),
    "no host": plain().replace(b"Host: here:8080\r\n", b""),
    "no length": plain().replace(b"Content-Length", b"Content-Size"),
    "a body still to come": plain()[:-1],
    "a second request behind it": plain() + plain(),
    "a head still to come": plain()[:60],
    "a length of another base": plain().replace(b"Length: ", b"Length: +"),
    "a length without digits": plain().replace(b"Content-Length: %d" % len(BODY), b"Content-Length: x"),
    "a folded line": plain(b" continued: here"),
    "white space before the colon": plain(b"Transfer-Encoding : chunked"),
    "a bare line feed": plain(b"A: b\nTransfer-Encoding: chunked"),
    "a bare carriage return": plain(b"A: b\rTransfer-Encoding: chunked"),
    "a field without a name": plain(b": nothing"),
    "a field that is none": plain(b"nothing at all"),
    "nothing": b"",
}


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())
def test_what_is_not_plain_is_read(data: bytes) -> None:
    room, counted = Full(), []
    assert ask(make_door(room, counted), data) is None
    assert (room.refused, counted) == (0, [])


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_whatever_comes_is_refused_whole_or_read(head: bytes, body: bytes) -> None:
    """A head that names a length of its own, or none, never takes more or less than what came."""
    data = b"\r\n".join((LINE, b"Host: here", b"Content-Length: %d" % len(body), head, b"", body))
    room: Full = Full()
    answer = ask(make_door(room, []), data)
    assert room.refused == (answer is not None)
    if answer is not None:
        rest = data.partition(b"\r\n\r\n")[2]
        assert rest == body
        assert b"transfer-encoding" not in head.lower()


def test_hosts_that_somebody_makes_up_fill_nothing() -> None:
    door = make_door(Full(), [])
    for number in range(500):
        host = b"host-%d" % number
        answer = ask(door, plain().replace(b"here:8080", host))
        assert answer is not None
        assert host in answer
    assert len(door._known) <= 64  # pyright: ignore[reportPrivateUsage]


def _story(database: Any, story: Callable[[Server, Engine, bytes], Awaitable[None]]) -> None:
    async def run() -> None:
        async with open_world(database) as world:
            key = (await create_tenant(world.services, name="door")).test_key.encode()
            await story(Server(create_app(world.services)), world.services.engine, key)

    asyncio.run(run())


async def _send(server: Server, data: bytes) -> bytes:
    link, wire = server.connect()
    link.data_received(data)
    return await _read(wire)


async def _read(wire: Wire) -> bytes:
    async with asyncio.timeout(20):
        while not wire.written:  # noqa: ASYNC110 - nothing tells of an answer
            await asyncio.sleep(0.01)
    answer, wire.written = wire.written, b""
    return answer


def _without_id(answer: bytes) -> bytes:
    return re.sub(rb"req_[0-9a-f]{18}|mine-to-find-again-001", b"ID", answer)


def test_refused_unread_and_refused_read_are_the_same_answer(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(server: Server, engine: Engine, key: bytes) -> None:
        asked = plain().replace(b"qs_test_x", key)
        assert (await _send(server, asked)).startswith(b"HTTP/1.1 404"), "with room it is read"
        monkeypatch.setattr(Engine, "has_room", False)
        counted = engine.lanes[0].refused
        await asyncio.sleep(0)
        unread = await _send(server, asked)
        await asyncio.sleep(0)
        named = asked.replace(b"Content-Type", b"X-Request-Id: mine-to-find-again-001\r\nContent-Type")
        read = await _send(server, named)
        assert b"mine-to-find-again-001" in read
        assert _without_id(unread) == _without_id(read)
        assert b"retry-after: 1" in unread
        assert b"http://here:8080/errors/unavailable" in unread
        assert engine.lanes[0].refused == counted + 2

    _story(database, story)


def test_a_connection_whose_request_was_refused_unread_goes_on(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(server: Server, _engine: Engine, key: bytes) -> None:
        asked = plain().replace(b"qs_test_x", key)
        link, wire = server.connect()
        answers: list[bytes] = []
        for has_room in (False, True, False, False, True):
            monkeypatch.setattr(Engine, "has_room", has_room)
            await asyncio.sleep(0)
            link.data_received(asked)
            answers.append((await _read(wire))[9:12])
            assert link._head_timer is None, "its head came in time"
        assert answers == [b"503", b"404", b"503", b"503", b"404"]

    _story(database, story)


def test_what_waits_behind_a_request_that_is_served_is_not_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        server = Server()
        served: list[Request] = []
        monkeypatch.setattr(server, "serve", served.append)
        link, wire = server.connect()
        link.data_received(plain())
        server.has_room = False
        await asyncio.sleep(0)
        link.data_received(plain())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not wire.written, "the first answer comes first"
        served[0].request_id = "req_1"
        link.respond(served[0], Response(200, b"{}"))
        assert wire.written.startswith(b"HTTP/1.1 200")
        assert len(served) == 2, "it was read, and is served now"

    asyncio.run(story())


def test_a_refusal_is_counted_for_its_route(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: Server, _engine: Engine, key: bytes) -> None:
        monkeypatch.setattr(Engine, "has_room", False)
        await asyncio.sleep(0)
        await _send(server, plain().replace(b"qs_test_x", key))
        app: Any = server.app
        [tally] = [b.tally for b in app.table.bound if b.template == "/v1/usage" and b.route.method == "POST"]
        assert tally.statuses == {503: 1}

    _story(database, story)
