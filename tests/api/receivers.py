"""A webhook receiver on loopback that answers as it is told and remembers what came."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec
from standardwebhooks import Webhook


class Received(NamedTuple):
    """One request as it arrived."""

    headers: dict[str, str]
    body: bytes
    event: dict[str, Any]
    status: int = 0


class Receiver:
    """Serve on a free loopback port until closed; ``decide`` picks the status of each answer."""

    def __init__(self, secret: str, decide: Callable[[Received], int]) -> None:
        self.secret = secret
        self.received: list[Received] = []
        self.changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                Webhook(receiver.secret).verify(body, headers)
                came = Received(headers, body, msgspec.json.decode(body))
                with receiver.changed:
                    came = came._replace(status=decide(came))
                    receiver.received.append(came)
                    receiver.changed.notify_all()
                self.send_response(came.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def wait_for(
        self, done: Callable[[list[Received]], bool], *, timeout_seconds: float = 30
    ) -> list[Received]:
        """What has come when ``done`` says that all is there."""
        with self.changed:
            assert self.changed.wait_for(lambda: done(self.received), timeout_seconds), [
                (came.event["type"], came.event["sequence"], came.status) for came in self.received
            ]
            return list(self.received)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)
