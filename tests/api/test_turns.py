"""Requests that may wait take a bounded time of each turn of the loop; all others, and their order, are untouched."""

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.engine.conftest import open_world

from quotastack.api import turns
from quotastack.api.app import create_app
from quotastack.api.door import Door
from quotastack.api.http_protocol import HttpProtocol
from quotastack.api.routing import BoundRoute, Request, Response, Route
from quotastack.runtime import slices
from quotastack.services.tenants import create_tenant

HEAD = b" HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n"
PATIENT = b"POST /v1/usage" + HEAD + b"{}"
PROMPT = b"GET /v1/check HTTP/1.1\r\nHost: here\r\n\r\n"


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False
        self.is_reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    def get_extra_info(self, _name: str) -> None:
        return None


class Server:
    """Connections to ``app``, else to an application that answers at once and notes whom."""

    def __init__(self, app: Any = None) -> None:
        self.app = app or self
        self.has_room = True
        self.refused = 0
        routes = [_bound("POST", "/v1/usage", is_shed=True), _bound("GET", "/v1/check")]
        self.turns = turns.Turns(routes, slices.Slices(), self)
        self.door = (
            app.door if app else Door(routes, self, refuse=_refuse, name=lambda: "req_1", count=_count)
        )
        self.served: list[tuple[str, str]] = []
        self.late: list[bool] = []
        self._state = SimpleNamespace(connections=set(), default_headers=[], total_requests=0)

    def note_refused(self) -> None:
        self.refused += 1

    def serve(self, request: Request) -> None:
        request.request_id = "req_1"
        self.served.append((request.verb, request.raw_path.decode()))
        self.late.append(self.turns.is_late)
        request.connection.respond(request, Response(200, b"{}"))

    def connect(self) -> tuple[Any, Wire]:
        config: Any = SimpleNamespace(loaded=True, app=self.app, timeout_keep_alive=75)
        link: Any = HttpProtocol(config, self._state, {})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        wire = Wire()
        link.connection_made(wire)
        return link, wire


def _refuse(_request: Request) -> Response:
    return Response(503, b"full", headers=[(b"retry-after", b"1")])


def _count(_bound: BoundRoute, _status: int) -> None: ...


def _bound(method: Any, path: str, *, is_shed: bool = False) -> BoundRoute:
    route = Route(
        method=method,
        path=path,
        handler=lambda _request: Response(200),
        scope=None,
        summary="",
        tag="",
        answers={},
        is_shed=is_shed,
    )
    return BoundRoute(route, path, None)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    # No time at all: of what may wait, the first of each turn is served in it, and no more.
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(turns, "SERVED_AT_ONCE", 1)
    return lambda story: asyncio.run(story(Server()))


def test_what_may_wait_is_served_in_later_turns_in_its_order(run: Callable[[Any], None]) -> None:
    async def story(server: Server) -> None:
        links = [server.connect() for _ in range(5)]
        for link, _ in links:
            link.data_received(PATIENT)
        assert len(server.served) == 1
        link, wire = server.connect()
        link.data_received(PROMPT)
        assert wire.written.startswith(b"HTTP/1.1 200")
        assert len(server.served) == 2
        answered: list[int] = []
        for _ in range(10):
            await asyncio.sleep(0)
            answered.append(sum(bool(wire.written) for _, wire in links))
        assert answered[-1] == 5
        assert [bool(wire.written) for _, wire in links] == sorted(
            (bool(wire.written) for _, wire in links), reverse=True
        )

    run(story)


def test_what_follows_on_the_same_connection_waits_behind_it(run: Callable[[Any], None]) -> None:
    async def story(server: Server) -> None:
        server.connect()[0].data_received(PATIENT)
        link, _ = server.connect()
        link.data_received(PATIENT[:20])
        link.data_received(PATIENT[20:])
        link.data_received(PROMPT)
        assert len(server.served) == 1
        await _turns()
        assert server.served[1:] == [("POST", "/v1/usage"), ("GET", "/v1/check")]

    run(story)


def test_who_waited_too_long_is_told_late(
    run: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LATE_SECONDS", 0.02)

    async def story(server: Server) -> None:
        links = [server.connect() for _ in range(4)]
        for link, _ in links[:3]:
            link.data_received(PATIENT.replace(b"Host", b"Expect: nothing\r\nHost"))
        links[3][0].data_received(PATIENT)
        await asyncio.sleep(0)
        time.sleep(0.03)  # noqa: ASYNC251 - the loop is what stands still here
        await _turns()
        server.connect()[0].data_received(PATIENT)
        # The first was served as it came, the second in the next turn, before the loop stood still. The last of those
        # who waited was plain: it is refused unread.
        assert server.late == [False, False, True, False]
        assert links[3][1].written.startswith(b"HTTP/1.1 503")
        assert server.refused == 1

    run(story)


def test_who_is_late_gets_503_and_who_comes_then_is_served(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(turns, "SERVED_AT_ONCE", 1)
    monkeypatch.setattr(turns, "LATE_SECONDS", 0.05)

    async def story() -> None:
        async with open_world(database) as world:
            key = (await create_tenant(world.services, name="late")).test_key.encode()
            server = Server(create_app(world.services))
            # Nothing of these keys is remembered before the first of them was looked up.
            await _answers(server, key, 1)
            late = await _answers(server, key, 4, pause_seconds=0.06)
            assert [answer[9:12] for answer in late] == [b"404", b"503", b"503", b"503"]
            assert b"retry-after: 1" in late[1]
            assert b"more requests than it can take" in late[1]
            assert [answer[9:12] for answer in await _answers(server, key, 2)] == [b"404", b"404"]

    asyncio.run(story())


def test_a_caller_who_has_said_everything_is_answered(run: Callable[[Any], None]) -> None:
    async def story(server: Server) -> None:
        server.connect()[0].data_received(PATIENT)
        link, wire = server.connect()
        link.data_received(PATIENT)
        assert not wire.written
        link.eof_received()
        assert wire.written.startswith(b"HTTP/1.1 200")
        await _turns()
        assert len(server.served) == 2

    run(story)


def test_a_server_that_stops_answers_what_has_come(run: Callable[[Any], None]) -> None:
    async def story(server: Server) -> None:
        server.connect()[0].data_received(PATIENT)
        link, wire = server.connect()
        link.data_received(PATIENT)
        link.shutdown()
        assert wire.written.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in wire.written
        assert wire.is_closed

    run(story)


def test_a_caller_who_is_gone_is_not_served(run: Callable[[Any], None]) -> None:
    async def story(server: Server) -> None:
        server.connect()[0].data_received(PATIENT)
        link, wire = server.connect()
        link.data_received(PATIENT)
        link.connection_lost(None)
        await _turns()
        assert len(server.served) == 1
        assert not wire.written

    run(story)


def test_what_comes_while_it_waits_is_bounded(run: Callable[[Any], None]) -> None:
    async def story(server: Server) -> None:
        server.connect()[0].data_received(PATIENT)
        link, wire = server.connect()
        link.data_received(PATIENT)
        link.data_received(PATIENT * 2_000)
        assert not wire.is_reading
        await _turns()
        assert wire.is_reading
        assert len(server.served) == 2_002

    run(story)


async def _answers(server: Server, key: bytes, count: int, *, pause_seconds: float = 0.0) -> list[bytes]:
    """What as many events at once, of a customer who is not there, are answered; the loop stands still meanwhile."""
    body = b'{"external_customer_id":"nobody","billable_metric_key":"calls","units":1}'
    wires: list[Wire] = []
    for number in range(count):
        link, wire = server.connect()
        head = (
            b"POST /v1/usage HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nX-API-Key: %b\r\n"
            % key
        )
        link.data_received(
            b"%bIdempotency-Key: %d\r\nContent-Length: %d\r\n\r\n%b" % (head, number, len(body), body)
        )
        wires.append(wire)
    time.sleep(pause_seconds)  # noqa: ASYNC251 - the loop is what stands still here
    async with asyncio.timeout(20):
        while not all(wire.written for wire in wires):  # noqa: ASYNC110 - nothing tells of an answer
            await asyncio.sleep(0.01)
    return [wire.written for wire in wires]


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
