"""Four environments with the same names in them: to each, what the others own does not exist.

Every operation of the served OpenAPI document is asked with a foreign and with a random identifier at each place
where one may stand. Both answers must be the same, and nothing of the owner may be seen or changed. A canary stands
in every text that the owner can write: no answer to a stranger, no webhook of it and no line of the log shows one.
"""

import copy
import itertools
import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from tests.api.receivers import Receiver
from tests.api.stories import Story, answer
from tests.conftest import InProcess, ScratchDatabase
from tests.races.servers import Client, ServerProcess
from tests.rigs.figures import IS_LONG, tell
from tests.rigs.openapi_operations import Operation, Position, address, kind_of, operations_of, placed
from tests.rigs.twin_texts import add_receiver, fill_texts, uncovered, wait_for_deliveries, webhook_secret
from tests.rigs.twin_world import FIELD_KINDS, Twin, nobodys, plain

# What may be named in one call only: each call names another.
ONCE = {"external_payment_id"}


class Stranger:
    """Asks for the things of ``owner`` with the keys of ``own``, and for things of nobody.

    ``named`` are foreign things that ``own`` wrote down as names of its own before, such as the id of the tenant,
    which both environments of ``owner`` show: they are not foreign any more, and what is written here is added.
    """

    def __init__(self, own: Twin, owner: Twin, named: set[str]) -> None:
        self.own = own
        self.owner = owner
        foreign = owner.foreign_to(own).items()
        self.foreign = {kind: [thing for thing in things if thing not in named] for kind, things in foreign}
        self.named = named
        self.nobodys: dict[str, str] = {}
        self.secrets = owner.secrets(own) - named | {webhook_secret(owner.canary)}
        self.asked: Counter[str] = Counter()
        self.told: list[str] = []

    def ask_all(self) -> None:
        for operation in self.own.operations:
            if operation.scope is None or not operation.is_json:
                continue
            for position in operation.positions:
                for thing in self._things(operation, position):
                    self._compare(operation, position, thing)
                    self.asked[position.place] += 1

    def _things(self, operation: Operation, position: Position) -> list[str]:
        """The foreign things to name there: of the kind that belongs there, or of every kind where none is known."""
        name = position.at[-1]
        kind = (
            kind_of(operation.template, name)
            if position.place == "path"
            else FIELD_KINDS.get(name, "unknown")
        )
        if kind in self.owner.things:
            return self.foreign.get(kind, [])
        return sorted({things[-1] for things in self.foreign.values() if things})

    def _compare(self, operation: Operation, position: Position, thing: str) -> None:
        nobodys_thing = self.nobodys.setdefault(thing, nobodys(thing))
        answers = [self._ask(operation, position, each) for each in (thing, nobodys_thing)]
        where = f"{operation.name} {position.place} {'.'.join(position.at)} = {thing}"
        if operation.verb != "GET" and answers[0].status < 300:
            # The stranger wrote the name down itself, and may read it again.
            self.secrets.discard(thing)
            self.named.add(thing)
        texts = [
            without(response.content.decode(), each)
            for response, each in zip(answers, (thing, nobodys_thing), strict=True)
        ]
        seen = [secret for secret in self.secrets if secret in texts[0]]
        if seen:
            self.told.append(f"{where} shows {seen}: {texts[0][:300]}")
        forms = [form(response, text, operation) for response, text in zip(answers, texts, strict=True)]
        if forms[0] != forms[1] or answers[0].status >= 500:
            self.told.append(f"{where}\n  foreign {forms[0][:600]}\n  nobody  {forms[1][:600]}")

    def _ask(self, operation: Operation, position: Position, thing: str) -> Any:
        values = {name: self.own.own(kind_of(operation.template, name)) for name in operation.parameters}
        body, query = copy.deepcopy(operation.example), {}
        if body is not None:
            body = self._named(body)
        if position.place == "path":
            values[position.at[0]] = thing
        elif position.place == "query":
            query[position.at[0]] = thing
        else:
            body = placed(body, position.at, thing)
        api = self.own.story.api
        path = address(operation.template, values, query)
        if operation.verb in {"GET", "DELETE"}:
            return getattr(api, operation.verb.lower())(path)
        return getattr(api, operation.verb.lower())(path, body)

    def _named(self, body: Any) -> Any:
        """The example with the names of the own things."""
        if isinstance(body, list):
            return [self._named(item) for item in body]
        if not isinstance(body, dict):
            return body
        named = {
            name: self.own.own(FIELD_KINDS[name]) if name in FIELD_KINDS else self._named(value)
            for name, value in body.items()
        }
        return named | {name: str(uuid.uuid4()) for name in ONCE & named.keys()}


def without(text: str, thing: str) -> str:
    """The answer without the identifier that was asked for, in any spelling."""
    for spelling in sorted({thing, quote(thing), quote(thing, safe="")}, key=len, reverse=True):
        text = text.replace(spelling, "<asked>")
    return text


def form(response: Any, text: str, operation: Operation) -> str:
    """What must be the same for both: all of it but generated ids and instants; of a write that was done, its shape."""
    if operation.verb != "GET" and response.status < 300:
        return f"{response.status} {shape(json.loads(text) if text else None)}"
    text = re.sub(r'"request_id":"[^"]*"', "", text)
    kept = {name: response.headers.get(name) for name in ("content-type", "retry-after", "location")}
    return f"{response.status} {kept} {plain(text)}"


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in sorted(value.items())}
    return type(value).__name__ if not isinstance(value, list) else [shape(item) for item in value[:1]]


@pytest.fixture(scope="session")
def server(
    server_database: ScratchDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server that tells its log everything, and delivers to receivers on this machine."""
    settings = {"QUOTASTACK_LOG_LEVEL": "debug", "QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "true"}
    data = tmp_path_factory.mktemp("twins") / "data"
    process = ServerProcess(data, **server_database.environment, **settings)
    try:
        yield process.start()
    finally:
        process.stop()


class Twins(NamedTuple):
    """The environments, their receivers in the same order, and how many texts each holds."""

    twins: list[Twin]
    receivers: list[tuple[Receiver, str]]
    texts: list[dict[str, list[str]]]


@pytest.fixture
def world(server: ServerProcess, in_process: InProcess) -> Iterator[Twins]:
    nobody = Client(server.base_url, "none")
    server.clients.append(nobody)
    operations = operations_of(answer(nobody.get("/openapi.json"), 200))
    made = Twins([], [], [])
    for name in ("amber", "birch"):
        tenant = in_process.create_tenant(name)
        for kind, key in (("test", tenant.test_key), ("live", tenant.live_key)):
            client = Client(server.base_url, key)
            server.clients.append(client)
            twin = Twin(Story(client, tenant), operations, f"canary_{name}_{kind}")
            made.twins.append(twin)
            made.receivers.append(add_receiver(twin))
            made.texts.append(fill_texts(twin))
            twin.read()
    yield made
    for receiver, _endpoint in made.receivers:
        receiver.close()


def test_what_others_own_does_not_exist(server: ServerProcess, world: Twins) -> None:
    twins = world.twins
    pairs = list(itertools.permutations(twins, 2)) if IS_LONG else [(own, twins[0]) for own in twins[1:3]]
    before = {owner.canary: owner.read() for owner in {owner.canary: owner for _, owner in pairs}.values()}
    asked: Counter[str] = Counter()
    told: list[str] = []
    named: dict[str, set[str]] = {own.canary: set() for own in twins}
    for own, owner in pairs:
        stranger = Stranger(own, owner, named[own.canary])
        stranger.ask_all()
        asked += stranger.asked
        told += [f"{own.canary} asks {owner.canary}: {line}" for line in stranger.told]
        if not IS_LONG:
            told += changed(before[owner.canary], owner.read())
        told += seen_in_lists(stranger)
        told += seen_in_hooks(stranger, *world.receivers[twins.index(own)])
    told += seen_in_log(server, twins)
    texts = sum(len(fields) for fields in world.texts[0].values())
    hooks = sum(len(receiver.received) for receiver, _endpoint in world.receivers)
    tell(
        "P17",
        "P19",
        "P25",
        ran=f"{len(pairs)} pairs of environments, {dict(asked)}, canaries in {texts} fields, {hooks} webhooks",
        cases=asked.total(),
        violations=len(told),
    )
    assert not told, f"{len(told)}:\n" + "\n".join(told[:40])
    assert min(asked.values()) > 100


def test_canaries_stand_where_texts_may(world: Twins) -> None:
    """An environment shows its own canaries back, so that looking for them elsewhere means something."""
    for twin, taken in zip(world.twins, world.texts, strict=True):
        assert uncovered(twin, taken) == set()
        assert sum(twin.canary in text for text in twin.read().values()) > 20
    for twin, (receiver, endpoint) in zip(world.twins, world.receivers, strict=True):
        wait_for_deliveries(twin.story, endpoint)
        assert any(twin.canary.encode() in came.body for came in receiver.received)


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What the owner reads otherwise than before."""
    return [
        f"{path} changed:\n  {text[:400]}\n  {after.get(path, '')[:400]}"
        for path, text in before.items()
        if after.get(path) != text
    ]


def seen_in_lists(stranger: Stranger) -> list[str]:
    """Where the owner's canary stands in what the stranger reads, besides the names the stranger itself wrote."""
    told = []
    names = sorted((thing for things in stranger.foreign.values() for thing in things), key=len, reverse=True)
    for path, text in stranger.own.read().items():
        for name in names:
            text = without(text, name)  # noqa: PLW2901 - name after name is taken out
        if stranger.owner.canary in text:
            told.append(f"{path} shows {stranger.owner.canary}")
    return told


def seen_in_hooks(stranger: Stranger, receiver: Receiver, endpoint: str) -> list[str]:
    """Where the owner's canary stands in what the stranger's receiver got."""
    wait_for_deliveries(stranger.own.story, endpoint)
    told = []
    names = sorted((thing for things in stranger.foreign.values() for thing in things), key=len, reverse=True)
    for came in receiver.received:
        text = came.body.decode() + json.dumps(came.headers)
        for name in names:
            text = without(text, name)
        if stranger.owner.canary in text:
            told.append(f"a webhook of {stranger.own.canary} shows {stranger.owner.canary}: {text[:300]}")
    return told


def seen_in_log(server: ServerProcess, twins: list[Twin]) -> list[str]:
    """Lines of the log with anybody's texts, keys or secrets."""
    words = [word for twin in twins for word in (twin.canary, webhook_secret(twin.canary))]
    words += [key for twin in twins for key in (twin.story.tenant.test_key, twin.story.tenant.live_key)]
    lines = server.log.read_text().splitlines()
    return [f"the log: {line[:300]}" for line in lines if any(word in line for word in words)]
