"""HTTP/1.1 by hand: one request framed in many ways, and answers read off a plain socket."""

import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

SECONDS_MAX = 20.0


class Asked(NamedTuple):
    """A request before it is framed."""

    name: str
    verb: str
    target: str
    headers: dict[str, str]
    body: bytes | None = None

    def framed(
        self,
        *headers: str,
        version: str = "1.1",
        body: bytes | None = None,
        length: int | None = None,
        target: str | None = None,
    ) -> bytes:
        """The bytes of the request; ``body`` as it stands, or the own one with its length."""
        lines = [f"{self.verb} {target or self.target} HTTP/{version}", "Host: rig"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        sent = self.body if body is None else body
        if sent is not None and body is None:
            lines.append(f"Content-Length: {len(sent) if length is None else length}")
        lines += headers
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (sent or b"")


class Raw(NamedTuple):
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), SECONDS_MAX)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.left = b""

    def send(self, data: bytes) -> None:
        self.link.sendall(data)

    def end(self) -> None:
        """Say that nothing more comes."""
        self.link.shutdown(socket.SHUT_WR)

    def answer(self, *, is_continue: bool = False) -> Raw:
        """The next answer; an interim one only when asked for."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        if status == 100:
            return Raw(status, headers, b"") if is_continue else self.answer()
        length = int(headers.get("content-length", "0"))
        while len(self.left) < length:
            self._more()
        body, self.left = self.left[:length], self.left[length:]
        return Raw(status, headers, body)

    def is_closed(self) -> bool:
        """Whether the other side ends the connection, and tells nothing more before."""
        try:
            return not self.left and self.link.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.left:
            self._more()
        found, _, self.left = self.left.partition(mark)
        return found

    def _more(self) -> None:
        part = self.link.recv(65_536)
        if not part:
            raise ConnectionError("closed before the answer was complete")
        self.left += part

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close()


def chunks(body: bytes, size: int, *, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """The body in chunks."""
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
    return framed + b"0\r\n" + trailer + b"\r\n"


def sent_whole(wire: Wire, asked: Asked) -> Raw:
    wire.send(asked.framed())
    return wire.answer()


def sent_by_bytes(wire: Wire, asked: Asked) -> Raw:
    for byte in asked.framed():
        wire.send(bytes([byte]))
    return wire.answer()


def head_then_body(wire: Wire, asked: Asked) -> Raw:
    """The body comes when the server has had time to read the head alone."""
    head, mark, body = asked.framed().partition(b"\r\n\r\n")
    wire.send(head + mark)
    time.sleep(0.05)  # no event tells that it has been read
    wire.send(body)
    return wire.answer()


def chunked(size: int, *, extension: bytes = b"", trailer: bytes = b"") -> Callable[[Wire, Asked], Raw]:
    def send(wire: Wire, asked: Asked) -> Raw:
        if asked.body is None:
            return sent_whole(wire, asked)
        body = chunks(asked.body, size, extension=extension, trailer=trailer)
        wire.send(asked.framed("Transfer-Encoding: chunked", body=body))
        return wire.answer()

    return send


def expecting(wire: Wire, asked: Asked) -> Raw:
    """The body is sent once the server asks for it; what is refused before is answered without."""
    head, mark, body = asked.framed("Expect: 100-continue").partition(b"\r\n\r\n")
    wire.send(head + mark)
    if asked.body is None:
        return wire.answer()
    told = wire.answer(is_continue=True)
    if told.headers.get("connection") != "close":
        wire.send(body)  # Also when it is refused: a connection that stays open reads it, and throws it away.
    return wire.answer() if told.status == 100 else told


def expecting_in_vain(wire: Wire, asked: Asked) -> Raw:
    """The body is sent without waiting, which is allowed."""
    wire.send(asked.framed("Expect: 100-continue"))
    return wire.answer()


def with_header(*headers: str, version: str = "1.1") -> Callable[[Wire, Asked], Raw]:
    def send(wire: Wire, asked: Asked) -> Raw:
        wire.send(asked.framed(*headers, version=version))
        return wire.answer()

    return send


def absolute(wire: Wire, asked: Asked) -> Raw:
    wire.send(asked.framed(target=f"http://rig{asked.target}"))
    return wire.answer()


def other_case(wire: Wire, asked: Asked) -> Raw:
    """Header names in another case, values with space before them."""
    headers = {name.swapcase(): f" \t {value} \t" for name, value in asked.headers.items()}
    wire.send(asked._replace(headers=headers).framed())
    return wire.answer()


# Each must be answered as the plain one is. The last column: whether the connection is closed afterwards.
FRAMINGS: dict[str, tuple[Callable[[Wire, Asked], Raw], bool]] = {
    "whole": (sent_whole, False),
    "byte by byte": (sent_by_bytes, False),
    "head, then body": (head_then_body, False),
    "one chunk": (chunked(1 << 20), False),
    "chunks of one byte": (chunked(1), False),
    "chunks with extensions": (chunked(7, extension=b";a=b;c"), False),
    "chunks with a trailer": (chunked(7, trailer=b"X-Sum: 1\r\n"), False),
    "Expect: 100-continue": (expecting, False),
    "Expect, body at once": (expecting_in_vain, False),
    "Connection: close": (with_header("Connection: close"), True),
    "HTTP/1.0": (with_header(version="1.0"), True),
    "absolute form": (absolute, False),
    "other case": (other_case, False),
    "many headers": (with_header(*(f"X-{number}: y" for number in range(500))), False),
    "60 KB of headers": (with_header(f"X-Long: {'x' * 60_000}"), False),
}


def told(raw: Raw, *names: str) -> tuple[Any, ...]:
    """What of an answer must not depend on its framing."""
    return (raw.status, raw.body, *(raw.headers.get(name) for name in ("content-type", *names)))
