"""One request in every framing that HTTP allows is one request: the same answer, and at most one effect.

On operations that are answered by a way of their own and on others, good requests and refused ones.
"""

import json
import re
from typing import Any

import pytest
from tests.api.stories import Story
from tests.races.servers import Client, ServerProcess
from tests.rigs.figures import FORM, tell
from tests.rigs.raw_http import FRAMINGS, Asked, Raw, Wire, sent_whole
from tests.rigs.raw_http import told as told_of

from quotastack.api.routing import BODY_MAX_BYTES
from quotastack.api.usage import BATCH_MAX_BYTES

COST = 1_000
PIPELINED = {"ci": 50, "short": 200, "long": 1_000}[FORM]
STALLED = {"ci": 50, "short": 200, "long": 500}[FORM]
_volatile = re.compile(rb'"(?:request_id|as_of|checked_at|now)":"[^"]*",?')


@pytest.fixture
def story(server: ServerProcess, api: Client, tenant: Any) -> Story:
    return Story(api, tenant)


class World:
    """A customer with credits, and requests about it that need no further state."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.key = story.tenant.test_key
        self.metric = story.priced("framed", COST)
        self.customer = story.wallet(900_000_000)
        self.numbers = iter(range(1_000_000))

    def post(self, name: str, target: str, body: Any, **headers: str) -> Asked:
        known = {"X-API-Key": self.key, "Content-Type": "application/json", **headers}
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Asked(name, "POST", target, {k.replace("_", "-"): v for k, v in known.items()}, sent)

    def get(self, name: str, target: str, **headers: str) -> Asked:
        known = {"X-API-Key": self.key, **headers}
        return Asked(name, "GET", target, {k.replace("_", "-"): v for k, v in known.items()})

    def usage(self) -> Asked:
        return self.post(
            "usage", "/v1/usage", self.usage_body(), Idempotency_Key=f"framed:{next(self.numbers)}"
        )

    def usage_body(self) -> dict[str, Any]:
        return {"customer_id": self.customer, "billable_metric_key": self.metric, "units": 1}

    def check(self) -> Asked:
        query = f"customer_id={self.customer}&billable_metric_key={self.metric}"
        return self.get("check", f"/v1/entitlements/check?{query}")

    def requests(self) -> list[Asked]:
        """The same key makes a write one act in whatever framing it comes."""
        usage, reserve = self.usage_body(), {"customer_id": self.customer, "credits": COST}
        keyed = {"Idempotency_Key": "framed:one"}
        return [
            self.usage(),
            self.check(),
            self.post("reserve", "/v1/reserve", reserve, **keyed),
            self.post("customer", "/v1/customers", {"external_id": "framed"}, **keyed),
            self.get("customers", "/v1/customers?limit=1&external_id=nobody"),
            self.get("customer by id", f"/v1/customers/{self.customer}"),
            self.post("batch", "/v1/usage/batch", {"events": []}),
            self.post("usage, key in body", "/v1/usage", usage | {"idempotency_key": "framed:two"}),
            self.post("usage without key", "/v1/usage", usage),
            self.post("usage, unknown field", "/v1/usage", usage | {"tenant_id": "x"}, Idempotency_Key="a"),
            self.post("usage, no JSON", "/v1/usage", b'{"a":', Idempotency_Key="b"),
            self.post("usage, twice a key", "/v1/usage", b'{"a":1,"a":2}', Idempotency_Key="c"),
            self.post("usage as text", "/v1/usage", usage, Content_Type="text/plain", Idempotency_Key="d"),
            self.post("usage, wrong key", "/v1/usage", usage, X_API_Key="qs_test_none", Idempotency_Key="e"),
            self.get("check, wrong key", "/v1/entitlements/check?customer_id=x", X_API_Key="none"),
            self.get("check, unknown parameter", "/v1/entitlements/check?tenant_id=x"),
            self.get(
                "check of nobody", "/v1/entitlements/check?external_customer_id=a&billable_metric_key=b"
            ),
            self.get("unknown path", "/v1/nothing"),
            self.post("wrong method", "/v1/entitlements/check/x", {}),
            self.post("customers, no JSON", "/v1/customers", b"\xff", Idempotency_Key="f"),
        ]


@pytest.fixture
def world(story: Story) -> World:
    return World(story)


def settled(raw: Raw) -> tuple[Any, ...]:
    return told_of(raw._replace(body=_volatile.sub(b"", raw.body)), "allow", "x-idempotent-replayed")


def test_framing_changes_nothing(server: ServerProcess, world: World) -> None:
    wrong: list[str] = []
    cases = 0
    for asked in world.requests():
        with Wire(server.port) as wire:
            sent_whole(wire, asked)  # What is kept by a key is kept now.
            plain = sent_whole(wire, asked)
        for name, (send, is_last) in FRAMINGS.items():
            cases += 1
            try:
                with Wire(server.port) as wire:
                    raw = send(wire, asked)
                    # A refusal before the body was read may end the connection.
                    ends = raw.headers.get("connection", "") == "close"
                    if settled(raw) != settled(plain):
                        wrong.append(f"{asked.name}, {name}: {raw}\n  plain: {plain}")
                    if is_last and not ends:
                        wrong.append(f"{asked.name}, {name}: stays open: {raw.headers}")
                    if ends and not wire.is_closed():
                        wrong.append(f"{asked.name}, {name}: says close and does not")
                    if not ends and settled(sent_whole(wire, asked)) != settled(plain):
                        wrong.append(f"{asked.name}, {name}: another answer to the next request")
            except (OSError, ValueError) as error:
                wrong.append(f"{asked.name}, {name}: {error!r}")
    tell("P21", ran=f"{len(FRAMINGS)} framings of one request", cases=cases, violations=len(wrong))
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:20])


def test_pipelined_requests_are_answered_in_order(server: ServerProcess, world: World) -> None:
    """Debits and checks of one customer in one write: every debit shows in what comes after it."""
    asked = [request for _ in range(PIPELINED) for request in (world.usage(), world.check())]
    with Wire(server.port) as wire:
        wire.send(b"".join(request.framed() for request in asked))
        # Who has said everything may still listen.
        wire.end()
        told = [wire.answer() for _ in asked]
    assert {raw.status for raw in told} == {200, 201}, [raw for raw in told if raw.status > 201][:3]
    seen = [json.loads(raw.body)["balance"] for raw in told[1::2]]
    assert seen == [900_000_000 - number * COST for number in range(1, PIPELINED + 1)]
    assert world.story.account(world.customer)["balance"] == seen[-1]
    tell("P4", ran="requests pipelined in one write, in order", cases=len(asked))


def test_a_broken_request_spoils_only_what_follows(server: ServerProcess, world: World) -> None:
    """What was asked before it is answered in full, what was asked after it is never carried out."""
    broken = {
        "no HTTP": b"\x00\x01\x02\r\n\r\n",
        "two lengths": world.usage().framed("Content-Length: 3"),
        "length and chunks": world.usage().framed("Transfer-Encoding: chunked"),
        "bad chunk": world.usage().framed("Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n0\r\n\r\n"),
        "space in a name": world.usage().framed("X Bad: y"),
        "folded": world.usage().framed(" folded: y"),
        "headers too long": world.usage().framed(f"X-Long: {'x' * 200_000}"),
    }
    wrong = []
    for name, request in broken.items():
        before = world.story.account(world.customer)["balance"]
        with Wire(server.port) as wire:
            try:
                wire.send(world.usage().framed() + world.check().framed() + request + world.usage().framed())
                told = [wire.answer().status for _ in range(3)]
                if told != [201, 200, 400] or not wire.is_closed():
                    wrong.append(f"{name}: {told}")
            except OSError as error:
                wrong.append(f"{name}: {error!r}")
        spent = before - world.story.account(world.customer)["balance"]
        if spent != COST:
            wrong.append(f"{name}: {spent} spent instead of {COST}")
    tell("P21", ran="a broken request between good ones", cases=len(broken), violations=len(wrong))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("way", ["length", "chunks"])
@pytest.mark.parametrize(
    ("target", "size"),
    [
        ("/v1/usage", BODY_MAX_BYTES),
        ("/v1/usage/batch", BATCH_MAX_BYTES),
        ("/v1/customers", BODY_MAX_BYTES),
    ],
)
def test_too_much_is_refused_without_being_read(
    server: ServerProcess, world: World, target: str, size: int, way: str
) -> None:
    """A body above the bound is 413, whether it says its length or not."""
    body = b'{"x":"' + b"y" * size + b'"}'
    asked = world.post("too much", target, body, Idempotency_Key="much")
    with Wire(server.port) as wire:
        framed = (
            asked.framed()
            if way == "length"
            else asked.framed("Transfer-Encoding: chunked", body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        )
        try:
            wire.send(framed)
        except OSError:
            assert way  # It closed while we sent: the answer may still be read.
        assert wire.answer().status == 413
    with Wire(server.port) as wire:
        assert sent_whole(wire, world.check()).status == 200


def test_a_body_that_never_ends_has_no_effect(server: ServerProcess, world: World) -> None:
    """Cut inside the head, the body or a chunk: nothing happens, and nobody waits."""
    whole = world.usage().framed()
    piece = world.usage().framed("Transfer-Encoding: chunked", body=b"ffff\r\n{")
    for request in (whole[:40], whole[:-1], piece):
        with Wire(server.port) as wire:
            wire.send(request)
            wire.end()
            assert wire.is_closed() or wire.answer().status == 400
    assert world.story.account(world.customer)["balance"] == 900_000_000


def test_stalled_callers_keep_nobody_waiting(server: ServerProcess, world: World) -> None:
    """Half heads, half bodies and answers that nobody reads, all open at once, while others are served."""
    whole = world.usage().framed()
    deaf = world.check().framed() * 2_000
    stalled = []
    try:
        for number in range(STALLED):
            wire = Wire(server.port)
            stalled.append(wire)
            if number % 3 < 2:
                wire.send((whole[:40], whole[:-1])[number % 3])
            else:
                wire.link.setblocking(False)
                try:
                    wire.link.send(deaf)
                except BlockingIOError:
                    assert number
        with Wire(server.port) as wire:
            told = [
                sent_whole(wire, asked).status for _ in range(20) for asked in (world.usage(), world.check())
            ]
        assert told == [201, 200] * 20
    finally:
        for wire in stalled:
            wire.link.close()
    assert world.story.account(world.customer)["balance"] == 900_000_000 - 20 * COST
    tell("P21", ran="callers that stall in head, body or answer", cases=STALLED)
