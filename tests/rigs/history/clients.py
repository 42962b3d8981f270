"""Clients that send random commands to several servers at once and note when each began and ended."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
from tests.api.stories import Json, wire
from tests.model.calendar_months import to_datetime
from tests.model.worlds import Command
from tests.rigs.history.world import READS, HistoryChooser, Request, Shared, Translator

CLIENTS = 32
CUT_SHARE = 0.01
TWICE_SHARE = 0.02
NEVER = float("inf")
REPLAYED = "X-Idempotent-Replayed"
WAIT = aiohttp.ClientTimeout(total=60)


class Op(NamedTuple):
    """One command for one customer: when it was sent and answered, by which server, and the answer.

    ``twin`` marks the second of two requests with one key: its answer must be the first one's.
    """

    customer: str
    command: Command
    key: str
    server: int
    invoked: float
    returned: float
    status: int
    body: Json

    @property
    def version(self) -> int | None:
        """The customer's version that the answer carries."""
        account = self.body.get("account", {})
        return self.body.get("version", account.get("version"))


class Unanswered(NamedTuple):
    """A command whose connection was cut by its own client: to be settled by its key."""

    customer: str
    command: Command
    key: str
    invoked: float
    request: Request


class WrongAnswerError(AssertionError):
    """What no answer may be, whatever the order of things was."""


class Clients:
    """All clients of one phase: the clock is frozen while they run."""

    def __init__(self, base_urls: list[str], api_key: str, customers: list[Shared], seed: str) -> None:
        self.base_urls = base_urls
        self.headers = {"X-API-Key": api_key}
        self.customers = customers
        self.translators = {customer.id: Translator(customer.id) for customer in customers}
        self.by_id = {customer.id: customer for customer in customers}
        self.seed = seed
        self.ops: list[Op] = []
        self.unanswered: list[Unanswered] = []
        # Unanswered, and not done: whether they were refused nobody knows.
        self.lost: list[Unanswered] = []
        self.told: Counter[str] = Counter()
        self.now = 0
        self.left = 0

    async def run(self, count: int, *, now: int, phase: int) -> None:
        """Send that many commands from all clients, then settle what was never answered."""
        self.now, self.left = now, count
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers=self.headers, timeout=WAIT, connector=connector) as session:
            self.session = session
            async with asyncio.TaskGroup() as group:
                for number in range(CLIENTS):
                    group.create_task(self._client(Random(f"{self.seed}:{phase}:{number}")))
            await self._settle()

    async def _client(self, random: Random) -> None:
        chooser = HistoryChooser(random, self.customers)
        while self.left > 0:
            name, parts = chooser.next()
            self.left -= len(parts)
            server = random.randrange(len(self.base_urls))
            if name == "batch":
                await self._batch(server, parts)
                continue
            customer, command = parts[0]
            request = self.translators[customer.id].request(command, self.now)
            chance = random.random()
            if name not in READS and chance < CUT_SHARE:
                await self._cut(server, customer, command, request, random.uniform(0, 0.006))
            elif name not in READS and chance < CUT_SHARE + TWICE_SHARE:
                await self._twice(customer, command, request)
            else:
                await self._one(server, customer, command, request)

    async def _send(self, server: int, request: Request, key: str | None) -> tuple[int, bytes, Json, bool]:
        """Status, raw body, body, and whether it was a replay."""
        headers = {} if key is None else {"Idempotency-Key": key}
        url = self.base_urls[server] + request.path
        async with self.session.request(request.verb, url, json=request.body, headers=headers) as response:
            raw = await response.read()
            body = await response.json(content_type=None)
        if response.status >= 500:
            raise WrongAnswerError(f"{response.status} {raw!r} to {request}")
        return response.status, raw, body, response.headers.get(REPLAYED) == "true"

    async def _one(self, server: int, customer: Shared, command: Command, request: Request) -> None:
        key = None if request.verb == "GET" else str(uuid.uuid4())
        invoked = time.monotonic()
        status, _, body, is_replay = await self._send(server, request, key)
        if is_replay:
            raise WrongAnswerError(f"a fresh key was answered as a replay: {request}")
        self._note(Op(customer.id, command, key or "", server, invoked, time.monotonic(), status, body))

    async def _twice(self, customer: Shared, command: Command, request: Request) -> None:
        """The same request with the same key to two servers at once: one effect, one answer."""
        key = str(uuid.uuid4())
        invoked = time.monotonic()
        sent = [self._send(server, request, key) for server in range(len(self.base_urls))]
        answers = await asyncio.gather(*sent)
        returned = time.monotonic()
        done = [answer for answer in answers if answer[0] < 300]
        if done:
            first = [answer for answer in done if not answer[3]]
            if len(first) != 1 or len({answer[1] for answer in done}) != 1:
                raise WrongAnswerError(f"one key, two answers: {answers}")
            self._note(Op(customer.id, command, key, 0, invoked, returned, done[0][0], done[0][2]))
            self.told["sent twice"] += 1
        for server, answer in enumerate(answers):
            if answer[0] >= 300:
                self._note(Op(customer.id, command, key, server, invoked, returned, answer[0], answer[2]))

    async def _cut(
        self, server: int, customer: Shared, command: Command, request: Request, after_seconds: float
    ) -> None:
        """Send, and close the connection before the answer is there, or just then."""
        key = str(uuid.uuid4())
        invoked = time.monotonic()
        try:
            async with asyncio.timeout(after_seconds):
                status, _, body, _ = await self._send(server, request, key)
        except TimeoutError:
            self.unanswered.append(Unanswered(customer.id, command, key, invoked, request))
            return
        self._note(Op(customer.id, command, key, server, invoked, time.monotonic(), status, body))

    async def _batch(self, server: int, parts: list[tuple[Shared, Command]]) -> None:
        keys = [str(uuid.uuid4()) for _ in parts]
        events = []
        for (customer, command), key in zip(parts, keys, strict=True):
            request = self.translators[customer.id].request(command, self.now)
            events.append({**(request.body or {}), "idempotency_key": key})
        invoked = time.monotonic()
        request = Request("POST", "/v1/usage/batch", {"events": events})
        status, _, body, _ = await self._send(server, request, None)
        returned = time.monotonic()
        if status not in {201, 207}:
            raise WrongAnswerError(f"{status} {body} to a batch")
        for (customer, command), key, result in zip(parts, keys, body["results"], strict=True):
            is_done = result["status"] == "created"
            told = result["usage"] if is_done else result["problem"]
            status = 201 if is_done else told["status"]
            self._note(Op(customer.id, command, key, server, invoked, returned, status, told))
        self.told["batches"] += 1

    def _note(self, op: Op) -> None:
        self.ops.append(op)
        if op.status >= 300:
            return
        customer, name = self.by_id[op.customer], op.command.name
        if name == "reserve":
            customer.holds.append({"id": op.body["id"], "is_plain": "metric" not in op.command.arguments})
        if name == "use":
            customer.usages.append(op.body["id"])

    # -- what was never answered -------------------------------------------------------------------

    async def _settle(self) -> None:
        """Repeat each unanswered command with its key, and look it up in the ledger: done once, or not at all."""
        await self._each(self._settle_one, self.unanswered)
        self.unanswered = []

    async def _each(self, work: Callable[[Any], Awaitable[None]], rows: list[Any]) -> None:
        gate = asyncio.Semaphore(8)

        async def one(row: Any) -> None:
            async with gate:
                await work(row)

        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(one(row))

    async def _settle_one(self, cut: Unanswered) -> None:
        again = time.monotonic()
        status, _, body, is_replay = await self._send(0, cut.request, cut.key)
        found = await self._entries_of(cut)
        if status < 300 and bool(found) is _writes_no_entry(cut.command, body):
            raise WrongAnswerError(f"in the ledger {found} times under its key: {cut.command}")
        if status >= 300 and found:
            raise WrongAnswerError(f"refused when repeated, and in the ledger all the same: {cut.command}")
        self.told["cut and found done" if is_replay else "cut and not done"] += 1
        if not is_replay:
            self.lost.append(cut)
        invoked = cut.invoked if is_replay else again
        self._note(Op(cut.customer, cut.command, cut.key, 0, invoked, time.monotonic(), status, body))

    async def _entries_of(self, cut: Unanswered) -> int:
        """How many ledger entries carry the key, each type counted once."""
        found: Counter[str] = Counter()
        since = quote(wire(to_datetime(self.now)))
        for unit in ("credits", "tokens"):
            cursor: str | None = ""
            while cursor is not None:
                path = (
                    f"/v1/customers/{cut.customer}/credits/ledger?unit={unit}&limit=200&from={since}{cursor}"
                )
                _, _, page, _ = await self._send(1, Request("GET", path), None)
                found.update(
                    f"{unit} {row['type']}" for row in page["data"] if row.get("idempotency_key") == cut.key
                )
                following = page["pagination"]["next_cursor"]
                cursor = f"&cursor={following}" if following else None
        if any(count > 1 for kind, count in found.items() if not kind.endswith("overage_settlement")):
            raise WrongAnswerError(f"two entries of one type under one key: {cut.command} {found}")
        return len(found)


def _writes_no_entry(command: Command, body: Json) -> bool:
    """A longer hold moves nothing; nor does a use that costs nothing."""
    return command.name == "extend" or (command.name == "use" and body["cost"] == 0)
