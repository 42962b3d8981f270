"""Door: requests that are refused unread, while the engine has no room for them.

At twice the load that a server can take there are as many refusals as answers. To read a request, to find whose it is
and to say no in an answer of its own costs half of what carrying it out costs: those who are refused would halve what
the others get. So what comes to a full engine by a route marked ``is_shed`` is refused by a look at its head instead.
Only what is plain is: the whole of one request, with nothing in its head that would change where it ends or how it is
answered. Everything else goes the usual way, where it is refused a little later, in the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from quotastack.api.http_messages import encode_answer
from quotastack.api.routing import BoundRoute, Request, Response
from quotastack.api.turns import Room, Turns

# Answers of so many hosts are kept; more of them are made up by somebody.
KNOWN_MAX: Final = 64
HOST_BYTES_MAX: Final = 255
# Bodies that come in more than one piece are longer than this, and read.
LENGTH_DIGITS_MAX: Final = 6

# What of a head decides where the request ends, whether the connection stays, and what the answer repeats.
_NOT_PLAIN: Final = frozenset(
    {b"connection", b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade", b"x-request-id"}
)
_NAME_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"


class Answers(Protocol):
    """What the application has to offer a connection."""

    turns: Turns
    door: Door

    def serve(self, request: Request) -> None:
        """Answer with ``request.connection.respond``, at once or later, exactly once."""
        ...


class Door:
    """Refuses what may be shed while there is no room.

    ``refuse`` gives the answer to a request that found no room, ``name`` the id of the next request, ``count`` is told
    of each answer's route and status.
    """

    def __init__(
        self,
        routes: Iterable[BoundRoute],
        room: Room,
        *,
        refuse: Callable[[Request], Response],
        name: Callable[[], str],
        count: Callable[[BoundRoute, int], None],
    ) -> None:
        self._bound = {
            f"{bound.route.method} {bound.template} HTTP/1.1".encode(): bound
            for bound in routes
            if bound.route.is_shed and not bound.parameters
        }
        self._room = room
        self._refuse = refuse
        self._name = name
        self._count = count
        # Pieces of an answer, between which the server's own headers and twice the request's id belong.
        self._known: dict[tuple[bytes, bytes, str, int], tuple[bytes, ...]] = {}

    def answer(
        self, data: bytes, headers: Sequence[tuple[bytes, bytes]], *, scheme: str, is_late: bool
    ) -> bytes | None:
        """The refusal of the one request that ``data`` is; None when there is room, or it is to be read.

        ``headers`` are the server's own, of every answer; ``is_late`` that it waited for too long already.
        """
        if not is_late and self._room.has_room:
            return None
        line, _, rest = data.partition(b"\r\n")
        bound = self._bound.get(line)
        if bound is None:
            return None
        head, _, body = rest.partition(b"\r\n\r\n")
        host = _read_plain_head(head, len(body))
        if host is None:
            return None
        request_id = self._name()
        pieces = self._known.get((line, host, scheme, len(request_id)))
        if pieces is None:
            pieces = self._make(line, bound, host, scheme, request_id)
        self._room.note_refused()
        self._count(bound, 503)
        first, *others = pieces
        own = b"".join([b"%b: %b\r\n" % header for header in headers])
        return first + own + request_id.encode().join(others)

    def _make(
        self, line: bytes, bound: BoundRoute, host: bytes, scheme: str, request_id: str
    ) -> tuple[bytes, ...]:
        request = Request()
        request.verb = request.method = bound.route.method
        request.raw_path = bound.template.encode()
        request.headers = {b"host": host}
        request.scheme = scheme
        request.request_id = request_id
        whole = encode_answer(request, self._refuse(request), (), keep_alive=True)
        status, _, others = whole.partition(b"\r\n")
        pieces = (status + b"\r\n", *others.split(request_id.encode()))
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[line, host, scheme, len(request_id)] = pieces
        return pieces


def _read_plain_head(head: bytes, body_length: int) -> bytes | None:
    """The host that the head names; None when it is not plain, or promises another body than the one that came."""
    if head.count(b"\n") != head.count(b"\r\n") or head.count(b"\r") != head.count(b"\r\n"):
        return None
    host: bytes | None = None
    length: bytes | None = None
    for field in head.split(b"\r\n"):
        name, _, value = field.partition(b":")
        name = name.lower()
        if name == b"content-length" and length is None:
            length = value.strip(b" \t")
        elif name == b"host" and host is None:
            host = value.strip(b" \t")
        elif name in _NOT_PLAIN or name in {b"content-length", b"host"} or not _is_name(name):
            return None
    if host is None or length is None or len(host) > HOST_BYTES_MAX:
        return None
    if not length.isdigit() or len(length) > LENGTH_DIGITS_MAX or int(length) != body_length:
        return None
    return host


def _is_name(name: bytes) -> bool:
    return bool(name) and not name.translate(None, _NAME_BYTES)
