"""A receiver of webhooks in threads of its own, and what must hold of everything that came."""

import json
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook
from tests.api.stories import Story, answer, pages
from tests.races.servers import wait_until

SETTLE_SECONDS_MAX = 120


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that is cut off is what these rigs are about."""


class Receiver:
    """Accepts everything, verifies it, and keeps the order in which it came."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.webhook: Webhook | None = None
        self.unsigned = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.take(body, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.address: tuple[str, int] = ("127.0.0.1", self.server.server_address[1])
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        with self.lock:
            try:
                assert self.webhook is not None
                self.webhook.verify(body, headers)
            except Exception:  # noqa: BLE001 - whatever is wrong with it
                self.unsigned += 1
            self.received.append(json.loads(body))

    def subscribe(self, story: Story, url: str) -> None:
        """Have everything delivered through a URL that leads here."""
        made = answer(story.api.post("/v1/webhooks/endpoints", {"url": url, "events": ["*"]}), 201)
        self.webhook = Webhook(made["secret"])

    def ids(self) -> set[str]:
        with self.lock:
            return {event["id"] for event in self.received}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


def judge(story: Story, receiver: Receiver) -> tuple[int, int, list[str]]:
    """Wait until everything has come; how many events, how many duplicates, and what is wrong."""
    told = {event["id"]: event for event in story.events() if event.get("customer_id")}
    faults: list[str] = []
    try:
        wait_until(
            lambda: told.keys() <= receiver.ids(),
            "every event has been delivered",
            timeout_seconds=SETTLE_SECONDS_MAX,
        )
        wait_until(
            lambda: not list(pages(story.api, "/v1/webhooks/deliveries", status="pending")),
            "every delivery is recorded",
            timeout_seconds=SETTLE_SECONDS_MAX,
        )
    except AssertionError as error:
        faults.append(str(error))
    with receiver.lock:
        received = list(receiver.received)
    came = Counter(event["id"] for event in received)
    if missing := told.keys() - came.keys():
        failed = pages(story.api, "/v1/webhooks/deliveries", status="failed")
        given_up = {delivery["event_id"] for delivery in failed}
        words = {each: "given up" if each in given_up else "lost" for each in missing}
        faults += [f"{words[each]}: {told[each]['type']}" for each in missing]
    faults += [f"invented: {each}" for each in came.keys() - told.keys()]
    faults += ["not signed"] * receiver.unsigned
    first: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for event in received:
        first[event["customer_id"]].setdefault(event["id"], event["sequence"])
    for customer, by_id in first.items():
        sequences = list(by_id.values())
        if sequences != list(range(1, len(sequences) + 1)):
            faults.append(f"{customer}: first deliveries came as {sequences}")
    return len(told), came.total() - len(came), faults
