"""A canary in every text that an environment can write down: fields of bodies, idempotency keys, hooks, secrets."""

import base64
import copy
import re
import uuid
from collections.abc import Callable
from typing import Any

from tests.api.receivers import Receiver
from tests.api.stories import Story, answer
from tests.races.servers import wait_until
from tests.rigs.openapi_operations import Operation, address, kind_of, placed
from tests.rigs.twin_world import FIELD_KINDS, Twin

# These end what the others need, or move the time.
_ends_something = re.compile(
    r"/(revoke|reset|suspend|cancel|pause|change-plan|deactivate|void|refund|pull|test-clock|check|preview)\b"
)
CLASHES = {"key", "external_id"}
TRIES = 4
# The texts that were taken, by operation.
Taken = dict[str, list[str]]


def webhook_secret(canary: str) -> str:
    """A secret that holds the canary and is found again in its base64 form."""
    return base64.b64encode(canary.ljust(30, "=").encode()).decode()


def add_receiver(twin: Twin) -> tuple[Receiver, str]:
    """Where the environment's events go, and the endpoint's id."""
    secret = webhook_secret(twin.canary)
    receiver = Receiver(f"whsec_{secret}", lambda came: 200)
    hook = {"url": f"{receiver.url}/{twin.canary}", "secret": secret, "events": ["*"]}
    return receiver, answer(twin.story.post("/v1/webhooks/endpoints", hook), 201)["id"]


def wait_for_deliveries(story: Story, endpoint: str) -> None:
    """Until nothing is on its way to the endpoint any more."""
    query = {"status": "pending", "endpoint_id": endpoint}

    def is_quiet() -> bool:
        return not answer(story.api.get("/v1/webhooks/deliveries", **query), 200)["data"]

    wait_until(is_quiet, "deliveries have ended", timeout_seconds=60)


def is_any(_operation: Operation, _at: tuple[str, ...]) -> bool:
    return True


def fill_texts(twin: Twin, is_wanted: Callable[[Operation, tuple[str, ...]], bool] = is_any) -> Taken:
    """Write the canary into every text of every operation that the document shows; what was taken, by operation.

    What an operation refuses (a text with a form of its own) is left out and the rest sent again.
    """
    taken: Taken = {}
    for operation in twin.operations:
        texts = [at for at in operation.texts if is_wanted(operation, at)]
        if texts and operation.scope and not _ends_something.search(operation.template):
            taken[operation.name] = _fill(twin, operation, texts)
    return taken


def _fill(twin: Twin, operation: Operation, left: list[tuple[str, ...]]) -> list[str]:
    values = {name: twin.own(kind_of(operation.template, name)) for name in operation.parameters}
    path = address(operation.template, values, {})
    for _ in range(TRIES):
        body = _own(twin, copy.deepcopy(operation.example))
        for at in left:
            body = placed(body, at, text_for(at, twin.canary))
        key = f"{twin.canary}:{uuid.uuid4()}"
        response = getattr(twin.story.api, operation.verb.lower())(path, body, key=key)
        if response.status < 300:
            return [".".join(at) for at in left]
        faults = [fault["pointer"] for fault in (response.json or {}).get("errors", ())]
        kept = [at for at in left if not any(_meets(at, fault) for fault in faults)]
        if not faults or kept == left:
            return []
        left = kept
    return []


def uncovered(twin: Twin, taken: Taken) -> set[str]:
    """The texts, by their place in a body, that no operation took."""
    places = {
        ".".join(at) for operation in twin.operations if operation.name in taken for at in operation.texts
    }
    return places - {at for fields in taken.values() for at in fields}


def text_for(at: tuple[str, ...], canary: str) -> str:
    """A text that the field takes, with the canary in it."""
    return f"{canary}@example.com" if at[-1] == "email" else canary


def _meets(at: tuple[str, ...], pointer: str) -> bool:
    """Whether a fault speaks of a text, or of something that lies around it."""
    told = [part for part in pointer.split("/") if part and not part.isdigit() and part != "note"]
    ours = [part for part in at if part not in {"*", "{}"}]
    return bool(told) and ours[: len(told)] == told


def _own(twin: Twin, body: Any) -> Any:
    """The example about the twin's own things, under names that nothing has yet."""
    if isinstance(body, list):
        return [_own(twin, item) for item in body]
    if not isinstance(body, dict):
        return body
    own = {
        name: twin.own(FIELD_KINDS[name]) if name in FIELD_KINDS else _own(twin, value)
        for name, value in body.items()
    }
    return own | {name: f"k{uuid.uuid4().hex}" for name in CLASHES & own.keys()}
