"""Wires that break, and servers that stand in for others. All on loopback."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


def read_request(wire: socket.socket) -> bytes:
    """One whole request, head and body; nothing when the caller has gone."""
    request = b""
    while b"\r\n\r\n" not in request:
        more = wire.recv(65_536)
        if not more:
            return b""
        request += more
    head, _, body = request.partition(b"\r\n\r\n")
    (length,) = re.findall(rb"content-length: *(\d+)", head, re.IGNORECASE) or [b"0"]
    while len(body) < int(length):
        body += wire.recv(65_536)
    return head + b"\r\n\r\n" + body


class CuttingProxy:
    """Passes bytes to a server; cuts the first ``cuts`` answers to a request off after the server has made them."""

    def __init__(self, target: str, cuts: int) -> None:
        parts = urlsplit(target)
        self.target = (parts.hostname or "", parts.port or 0)
        self.cuts = cuts
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self.threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(inside,), daemon=True).start()

    def _serve(self, inside: socket.socket) -> None:
        with inside, socket.create_connection(self.target) as outside, contextlib.suppress(OSError):
            while request := read_request(inside):
                self.requests.append(request)
                outside.sendall(request)
                answer = outside.recv(65_536)
                if self.cuts > 0 and request.startswith(b"POST"):
                    # The server has answered, so it has committed; the caller never hears of it.
                    self.cuts -= 1
                    return
                inside.sendall(answer)

    def close(self) -> None:
        self.listener.close()


@contextmanager
def answering(
    answer: Callable[[str, str, dict[str, str], bytes], tuple[int, dict[str, str], Any]],
) -> Iterator[str]:
    """A server whose answers a function makes; a list of bytes is sent piece by piece. Gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, content = answer(self.command, self.path, dict(self.headers), body)
            pieces = content if isinstance(content, list) else [content]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            is_cut = b"" in pieces
            length = sum(map(len, pieces)) + (100 if is_cut else 0)
            self.send_header("content-length", str(length))
            self.end_headers()
            for piece in pieces:
                if piece:
                    self.wfile.write(piece)
            if is_cut:
                self.close_connection = True

        do_GET = do_POST = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
