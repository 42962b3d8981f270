"""HTTP/1.1 on one connection: requests read, handed to the application in their order, answers written whole.

llhttp parses; uvicorn owns the sockets and the stopping, this the connection. An ASGI server starts a task, two
queues and a dictionary for each request, which cost more than a check; here a request is one object, and an answer
that is known at once is written before the next byte is read. Bounded: how large the head of a request may be and how
long it may take, how much of a body waits unasked for, how many answers wait unread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import httptools

from quotastack.api.head_size import HEAD_MAX_BYTES, HeadSize, HeadTooLargeError
from quotastack.api.http_messages import CONTINUE, encode_answer, encode_refusal, split_target
from quotastack.api.routing import Request, Response
from quotastack.core.errors import MalformedRequestError

if TYPE_CHECKING:
    from asyncio import Future, TimerHandle, Transport

    from uvicorn import Config
    from uvicorn.server import ServerState

    from quotastack.api.door import Answers

HEAD_SECONDS: Final = 30.0
# What arrives of a body before the application asks for it.
EARLY_BODY_BYTES: Final = 64 * 1024


class HttpProtocol(asyncio.Protocol):
    """One connection; pass the class to ``uvicorn.Config(http=...)`` with an ``Answers`` as the application.

    ``server_state`` is uvicorn's: the connections that its stop waits for, and the headers of every answer.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002 - uvicorn passes it
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        # uvicorn wraps what it takes for ASGI; the application itself stands in its configuration.
        self._application: Answers = config.app  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
        self._turns = self._application.turns
        self._beginnings = self._turns.beginnings
        self._loop = _loop or asyncio.get_event_loop()
        self._state = server_state
        self._idle_seconds = config.timeout_keep_alive
        # The parser holds this and this the parser: cut when the connection is lost, since nobody looks for cycles that
        # have lived for long.
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        # What follows a request that closes the connection is nobody's; without this it would be an error.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._transport: Transport
        self._scheme = "http"
        # What came and waits for a later turn of the loop to be parsed.
        self._late = b""
        # Parsed and not yet served; the one that is served; the one whose parts the parser is telling.
        self._queue: deque[Request] = deque()
        self._current: Request | None = None
        self._incoming: Request | None = None
        self._body_waiter: Future[None] | None = None
        self._body_limit = 0
        self._is_in_head = False
        self._head_size = HeadSize()
        self._head_timer: TimerHandle | None = None
        self._idle_timer: TimerHandle | None = None
        self._idle_since = 0.0
        self._refusal: MalformedRequestError | None = None
        self._is_pumping = False
        self._is_paused = False
        self._is_stopping = False
        self._is_ending = False
        self._is_write_paused = False

    # The connection

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        """Expect a first request in time."""
        self._transport = transport
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"
        self._state.connections.add(self)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        self._head_timer = self._loop.call_later(HEAD_SECONDS, self._give_up)
        self._idle_since = self._loop.time()
        self._idle_timer = self._loop.call_later(self._idle_seconds, self._look_idle)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Expect nothing any more; what is being carried out goes on without its caller."""
        self._state.connections.discard(self)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        self._stop_timer()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._late = b""
        self._queue.clear()
        for request in (self._current, self._incoming):
            if request is not None:
                request.is_lost = True
        self._incoming = None
        self._parser = None
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Parse what came, in its turn: behind what waits already, or later where it begins like what may wait."""
        if self._late:
            self._late += data
            if len(self._late) > EARLY_BODY_BYTES:
                self._pause()
        elif not data.startswith(self._beginnings) or self._turns.may_read():
            self._parse(data)
        elif not self._refuse_unread(data):
            self._late = data
            self._turns.wait(self)

    def serve_late(self) -> None:
        """Parse what waited for its turn."""
        data, self._late = self._late, b""
        if data and not self._transport.is_closing() and not self._refuse_unread(data):
            self._parse(data)

    def _refuse_unread(self, data: bytes) -> bool:
        """Whether ``data`` is one request that is refused without being read; the parser never sees it."""
        is_busy = self._current or self._incoming or self._queue or self._refusal
        if is_busy or self._is_stopping or self._is_ending or self._is_write_paused:
            return False
        headers, is_late = self._state.default_headers, self._turns.is_late
        answer = self._application.door.answer(data, headers, scheme=self._scheme, is_late=is_late)
        if answer is None:
            return False
        self._stop_timer()
        self._transport.write(answer)
        self._state.total_requests += 1
        self._idle_since = self._loop.time()
        return True

    def _parse(self, data: bytes) -> None:
        """Parse, serve what is complete; a head that is still not complete is measured and timed."""
        parser = self._parser
        if self._refusal is not None or parser is None:
            return
        self._head_size.begin_piece(len(data), is_between=self._incoming is None)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Answered as the plain request that it is too, and closed: what follows would be another protocol's.
            pass
        except httptools.HttpParserError as error:
            self._refuse(error)
            return
        if self._is_in_head:
            assert self._incoming is not None
            try:
                self._head_size.end_piece(self._incoming)
            except HeadTooLargeError as error:
                self._refuse(error)
                return
            if self._head_timer is None:
                self._head_timer = self._loop.call_later(HEAD_SECONDS, self._give_up)
        if self._queue and self._current is None:
            self._pump()
        if self._queue:
            self._pause()
        elif self._is_paused and self._current is None:
            self._go_on()

    def eof_received(self) -> bool:
        """The caller says nothing more, but may still listen: what was asked in full is answered."""
        self.serve_late()
        self._give_up_incoming()
        if self._current is None and not self._queue:
            return False
        self._is_ending = True
        return True

    def shutdown(self) -> None:
        """Close now if nobody waits for an answer, else after the answer (uvicorn asks this of each connection)."""
        self._is_stopping = True
        self.serve_late()
        if self._current is None:
            self._transport.close()

    def pause_writing(self) -> None:
        """The caller does not read its answers: it is not served meanwhile."""
        self._is_write_paused = True
        self._pause()

    def resume_writing(self) -> None:
        """The caller reads again."""
        self._is_write_paused = False
        self._go_on()

    # The parser's findings

    def on_message_begin(self) -> None:
        """A head begins."""
        self._is_in_head = True
        self._head_size.begin_head()
        self._incoming = request = Request()
        request.connection = self
        request.target = b""
        request.headers = {}

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        assert self._incoming is not None
        self._incoming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; a repeated one is noted, the last of it counts."""
        request = self._incoming
        assert request is not None
        headers = request.headers
        name = name.lower()
        if name in headers:
            request.repeated = (*request.repeated, name)
        # llhttp leaves the white space behind a value, which is no part of it.
        headers[name] = value.rstrip(b" \t")

    def on_headers_complete(self) -> None:
        """The head is complete: the request takes its place in the queue, its body may still come."""
        self._is_in_head = False
        if self._head_timer is not None:
            self._stop_timer()
        request = self._incoming
        assert request is not None
        self._head_size.end_head(request)
        parser = self._parser
        assert parser is not None
        request.verb = parser.get_method().decode("ascii")
        request.keep_alive = (
            parser.should_keep_alive() and parser.get_http_version() == "1.1" and not parser.should_upgrade()
        )
        request.scheme = self._scheme
        split_target(request)
        self._queue.append(request)

    def on_body(self, body: bytes) -> None:
        """A piece of the body; more than a little is read only when it is asked for."""
        request = self._incoming
        assert request is not None
        if request.is_answered:
            return
        if not request.raw:
            request.raw = body
        else:
            if type(request.raw) is bytes:
                request.raw = bytearray(request.raw)
            request.raw += body
        size = len(request.raw)
        if self._body_waiter is not None:
            if size > self._body_limit:
                self._wake()
        elif size > EARLY_BODY_BYTES:
            self._pause()

    def on_message_complete(self) -> None:
        """The request is complete."""
        request = self._incoming
        assert request is not None
        request.is_complete = True
        self._incoming = None
        if self._body_waiter is not None:
            self._wake()

    # Serving

    def _pump(self) -> None:
        """Serve what waits, one after the other, until one takes longer."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while self._queue and self._current is None and not self._is_write_paused:
                self._current = request = self._queue.popleft()
                self._application.serve(request)
        finally:
            self._is_pumping = False

    async def read_body(self, request: Request, max_bytes: int) -> None:
        """Return once the body is complete, above ``max_bytes``, or the caller is gone."""
        if request.headers.get(b"expect", b"").lower() == b"100-continue" and not request.raw:
            self._transport.write(CONTINUE)
        self._body_limit = max_bytes
        while not (request.is_complete or request.is_lost or len(request.raw) > max_bytes):
            self._body_waiter = self._loop.create_future()
            self._go_on()
            try:
                await self._body_waiter
            finally:
                self._body_waiter = None

    def respond(self, request: Request, response: Response) -> None:
        """Write the answer of the request that is being served, and go on with the next."""
        self._current = None
        request.is_answered = True
        request.raw = b""
        if request.is_lost or self._transport.is_closing():
            self._transport.close()
            return
        is_last = self._is_stopping or (self._is_ending and not self._queue)
        keep_alive = request.keep_alive and not is_last
        self._transport.write(
            encode_answer(request, response, self._state.default_headers, keep_alive=keep_alive)
        )
        self._state.total_requests += 1
        self._idle_since = self._loop.time()
        if not keep_alive:
            self._transport.close()
        elif self._refusal is not None and not self._queue:
            self._write_refusal()
        elif not self._is_pumping:
            if self._queue:
                self._pump()
            self._go_on()

    # What is not HTTP, or comes too slowly

    def _refuse(self, error: Exception) -> None:
        """Answer what cannot be parsed, after what was asked before it."""
        self._is_in_head = False
        self._stop_timer()
        cause = error if isinstance(error, HeadTooLargeError) else error.__context__
        told = (
            f"The request line and headers have more than {HEAD_MAX_BYTES} bytes."
            if isinstance(cause, HeadTooLargeError)
            else "The request is not HTTP/1.1."
        )
        self._refusal = MalformedRequestError(told)
        self._give_up_incoming()
        if self._current is None and self._queue:
            self._pump()
        if self._current is None and not self._transport.is_closing():
            self._write_refusal()

    def _give_up_incoming(self) -> None:
        """The rest of the request that is being told will never come: whoever waits for it is told so."""
        broken, self._incoming = self._incoming, None
        if broken is None:
            return
        broken.is_lost = True
        self._wake()
        if broken in self._queue:
            self._queue.remove(broken)
        if broken is self._current:
            self._current = None

    def _write_refusal(self) -> None:
        assert self._refusal is not None
        self._transport.write(encode_refusal(self._refusal))
        self._transport.close()

    def _give_up(self) -> None:
        """Close a connection whose head does not come; one that is being answered gets its answer first."""
        self._head_timer = None
        if self._late:
            # It came; parsing it begins the time of what is still missing.
            return
        if self._current is None:
            self._transport.close()
        else:
            self._current.keep_alive = False

    def _look_idle(self) -> None:
        """Close a connection that nobody has used for a while: one timer for each, not one for each request."""
        left_seconds = self._idle_since + self._idle_seconds - self._loop.time()
        if left_seconds <= 0 and self._current is None and not self._queue and not self._late:
            self._transport.close()
            return
        self._idle_timer = self._loop.call_later(max(left_seconds, 1.0), self._look_idle)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _wake(self) -> None:
        if self._body_waiter is not None and not self._body_waiter.done():
            self._body_waiter.set_result(None)

    def _pause(self) -> None:
        if not self._is_paused and not self._transport.is_closing():
            self._is_paused = True
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._is_write_paused:
            return
        if self._queue and self._current is None:
            self._pump()
        if self._is_paused and not self._queue and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()
