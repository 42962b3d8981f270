"""The HTTP parser's protocol with bounds: how large the head of a request may be, and how long it may take.

uvicorn's own has neither, so one connection could fill the memory, and many slow ones the table of connections. What
is not HTTP at all is answered with a problem, like every other refusal.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from quotastack.api.errors import encode_problem
from quotastack.core.errors import MalformedRequestError

if TYPE_CHECKING:
    from asyncio import TimerHandle, Transport

HEAD_MAX_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 30.0


# Where the application finds the exchange that a request belongs to; servers other than ours do not set it.
CYCLE: Final = "quotastack.cycle"


def answer_at_once(cycle: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
    """Write a whole answer in one piece; false when it has to go the long way through ``send``.

    ``send`` takes the head and the body apart and writes each: two system calls, which were two fifths of the
    time of a check. ``headers`` hold the right ``content-length`` and nothing of a caller's that was not looked at.
    """
    if (
        cycle.response_started
        or cycle.disconnected
        or cycle.flow.write_paused
        or not cycle.keep_alive
        or cycle.scope["method"] == "HEAD"
    ):
        return False
    parts = [STATUS_LINE[status]]
    for name, value in cycle.default_headers:
        parts += (name, b": ", value, b"\r\n")
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    parts += (b"\r\n", body)
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join(parts))
    cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True


class HeadTooLargeError(Exception):
    """The request line and the headers are together above the bound."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol; pass it to ``uvicorn.Config(http=...)``."""

    _is_in_head = False
    _head_bytes = 0
    _chunk_bytes = 0
    _head_timer: TimerHandle | None = None
    _refusal = "The request is not HTTP/1.1."

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Expect a first request in time."""
        super().connection_made(transport)
        self._head_timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; a head that is still not complete is measured and timed."""
        self._chunk_bytes = len(data)
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self._refuse_head()
            elif self._head_timer is None:
                self._head_timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._give_up)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._is_in_head = False
        if self._head_timer is not None:
            self._stop_timer()
        if self._head_bytes + self._chunk_bytes > HEAD_MAX_BYTES:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > HEAD_MAX_BYTES:
                self._refusal = f"The request line and headers have more than {HEAD_MAX_BYTES} bytes."
                raise HeadTooLargeError
        super().on_headers_complete()
        cycle: Any = self.cycle
        cycle.scope[CYCLE] = cycle

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the name is uvicorn's
        """Answer what the parser refused; ``msg`` is uvicorn's, ours says more."""
        request_id = f"req_{secrets.token_hex(9)}"
        error = MalformedRequestError(self._refusal)
        body = encode_problem(error, base_url="", instance="", request_id=request_id)
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
            b"content-length: %d\r\nx-request-id: %s\r\n\r\n%s" % (len(body), request_id.encode(), body)
        )
        self.transport.close()

    def _refuse_head(self) -> None:
        self._is_in_head = False
        self._refusal = f"The request line and headers have more than {HEAD_MAX_BYTES} bytes."
        self.send_400_response("")

    def _give_up(self) -> None:
        """Close a connection whose head does not come; one that is being answered gets its answer first."""
        self._head_timer = None
        cycle: Any = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
