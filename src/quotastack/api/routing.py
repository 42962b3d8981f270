"""The route table: one typed value per operation, and everything the dispatcher does follows from it.

Authentication, scope, body, query, idempotency key, errors and the OpenAPI document are read from the
route, so a handler holds one service call and nothing else. Matching works on the raw path: segments
are split first and percent-decoded afterwards, so ``%2F`` inside an external id never is a slash.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import msgspec

from quotastack.api.request_metrics import Tally
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.idempotency import IdempotencyKey
from quotastack.services.caller import Caller

if TYPE_CHECKING:
    from quotastack.services.commands import Outcome, Submission
    from quotastack.services.container import Services

JSON_TYPE: Final = b"application/json"
NO_PARAMS: Final[Mapping[str, str]] = {}
NO_SEGMENTS: Final[list[bytes]] = []
CUSTOMER_FAMILIES: Final = ("customers/{customer_id}", "customer-by-external-id/{external_id}")
BODY_MAX_BYTES: Final = 1024 * 1024

Headers = Mapping[bytes, bytes]

_is_sane_host = re.compile(
    rb"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?"
).fullmatch


class Request:
    """One request after every check that its route declares; handlers only read it.

    ``customer`` is set where the path, the body or the query names exactly one. ``raw_body`` is the decoded
    JSON as the fingerprint sees it: without ``idempotency_key``, aliases replaced by their real names.
    ``key`` is None only where the route does not require one, or on a ``dry_run``. ``headers`` have lower-case
    byte names; those that came more than once stand in ``repeated``.

    What the connection keeps of it: ``verb`` is the method as sent (a HEAD is answered by the route of GET),
    ``target`` what stands in the request line, ``raw`` the body as far as it came, ``is_complete`` whether that is all
    of it, ``is_lost`` that the caller is gone, ``is_answered`` that the answer is written.
    """

    __slots__ = (
        "app",
        "body",
        "bound",
        "caller",
        "connection",
        "customer",
        "headers",
        "is_answered",
        "is_complete",
        "is_lost",
        "keep_alive",
        "key",
        "limit_headers",
        "method",
        "params",
        "query",
        "query_string",
        "raw",
        "raw_body",
        "raw_path",
        "repeated",
        "request_id",
        "route",
        "scheme",
        "segments",
        "started_seconds",
        "table",
        "target",
        "verb",
    )

    app: Services
    body: Any
    bound: BoundRoute | None
    caller: Caller
    connection: Connection
    customer: CustomerRef | None
    headers: dict[bytes, bytes]
    is_answered: bool
    is_complete: bool
    is_lost: bool
    keep_alive: bool
    key: IdempotencyKey | None
    limit_headers: Sequence[tuple[bytes, bytes]]
    method: str
    params: Mapping[str, str]
    query: Any
    query_string: bytes
    raw: bytes | bytearray
    raw_body: Any
    raw_path: bytes
    repeated: tuple[bytes, ...]
    request_id: str
    route: Route
    scheme: str
    segments: list[bytes]
    started_seconds: float
    table: RouteTable
    target: bytes
    verb: str

    def __init__(self) -> None:
        self.body = None
        self.bound = None
        self.customer = None
        self.is_answered = False
        self.is_complete = False
        self.is_lost = False
        self.key = None
        self.limit_headers = ()
        self.params = NO_PARAMS
        self.query = None
        self.raw = b""
        self.raw_body = None
        self.repeated = ()
        self.segments = NO_SEGMENTS

    @property
    def path(self) -> str:
        """The path as it was sent, percent-encoding and all."""
        return self.raw_path.decode("ascii", "backslashreplace")

    @property
    def base_url(self) -> str:
        """Under which address the caller reaches this server: the setting, else what the request says."""
        origin = self.app.settings.origin
        if origin is not None:
            return origin.rstrip("/")
        host = self.headers.get(b"host", b"")
        if not _is_sane_host(host):
            return ""
        return f"{self.scheme}://{host.decode()}"

    @property
    def the_customer(self) -> CustomerRef:
        """The customer of a route that always names one."""
        assert self.customer is not None, f"{self.route.path} names no customer"
        return self.customer

    @property
    def the_key(self) -> IdempotencyKey:
        """The key of a route that requires one."""
        assert self.key is not None, f"{self.route.path} requires no idempotency key"
        return self.key


class Response:
    """What is sent: ``body`` bytes as they are, anything else encoded as JSON, None for no body."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: Any = None,
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
        content_type: bytes = JSON_TYPE,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.content_type = content_type


REPLAYED: Final = ((b"x-idempotent-replayed", b"true"),)


def stored_response(status: int, body: bytes, *, replayed: bool) -> Response:
    """The answer that a key is bound to, fresh or again: same status, same bytes."""
    return Response(status, body, headers=REPLAYED if replayed else ())


class Queued:
    """What a handler returns to leave the rest to the engine: the answer is what the command came to.

    ``show`` makes the response of a committed outcome; a refusal is answered as everywhere. No task waits.
    """

    __slots__ = ("show", "submission")

    def __init__(self, submission: Submission, show: Callable[[Outcome], Response]) -> None:
        self.submission = submission
        self.show = show


def show_outcome(outcome: Outcome) -> Response:
    """The answer that a command is bound to, fresh or again: same status, same bytes."""
    return Response(outcome.status, outcome.body, headers=REPLAYED if outcome.is_replayed else ())


Handler = Callable[[Request], Response | Queued | Awaitable[Response | Queued]]


class Connection(Protocol):
    """What a request came by."""

    def respond(self, request: Request, response: Response) -> None:
        """Write the answer, once."""
        ...

    async def read_body(self, request: Request, max_bytes: int) -> None:
        """Return once the body is complete, above ``max_bytes``, or the caller is gone."""
        ...


class Text(msgspec.Struct, frozen=True):
    """An answer that is not JSON, for the OpenAPI document: its media type and what it holds."""

    media_type: str
    description: str = "Text."


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation.

    ``path`` starts with ``/v1/``; ``/v1/{customer}/...`` declares both customer families at once. A parameter
    whose name ends in ``id`` must be a UUID (404 otherwise) and arrives in canonical form. ``scope`` None means
    no authentication at all. ``handler`` returns the answer, a command whose outcome is the answer, or a coroutine of
    either; what it can say without waiting it says without a task.

    ``answers`` maps each success status to the type of its body (None: empty), for
    the OpenAPI document and the tests. ``errors`` are the slugs beyond those every route has. A POST without a
    ``body`` type takes no body or ``{}``; with ``reads="raw"`` the handler finds the bytes in ``raw_body``. Checks
    set ``is_rate_limited=False``; what the hot path is made of sets ``is_shed``: while the engine is full it is refused
    before its body is read; pages for people ``is_documented=False``.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    scope: str | None
    summary: str
    tag: str
    answers: Mapping[int, Any]
    description: str = ""
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    errors: tuple[str, ...] = ()
    key: Literal["required", "optional", "none"] = "none"
    body_max_bytes: int = BODY_MAX_BYTES
    reads: Literal["json", "raw"] = "json"
    is_rate_limited: bool = True
    is_shed: bool = False
    is_documented: bool = True
    example: Any = None
    answer_example: Any = None


class BoundRoute:
    """A route under one concrete path template, with what the dispatcher would else compute each time.

    ``parameters`` are (name, is_uuid) in path order. ``family`` tells which customer family it stands for.
    """

    __slots__ = ("family", "parameters", "reads", "route", "tally", "template")

    def __init__(self, route: Route, template: str, family: Literal["id", "external_id"] | None) -> None:
        self.route = route
        self.template = template
        self.family = family
        names = [part[1:-1] for part in template.split("/") if part.startswith("{")]
        self.parameters = tuple(
            (name, name.endswith("id") and not (name == "external_id" and family == "external_id"))
            for name in names
        )
        self.reads: Any = None
        self.tally = Tally()


class _Node:
    __slots__ = ("children", "methods", "parameter")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node] = {}
        self.parameter: _Node | None = None
        self.methods: dict[str, BoundRoute] = {}


class RouteTable:
    """Finds the route of a raw path. Literal paths cost one dictionary lookup, others one per segment.

    A literal segment wins over a parameter at the same place; if nothing follows from it, the parameter is
    tried. An empty segment matches nothing.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.bound: list[BoundRoute] = []
        self._root = _Node()
        self._literal: dict[bytes, dict[str, BoundRoute]] = {}
        for route in routes:
            for template, family in _templates(route.path):
                self._add(BoundRoute(route, template, family))

    def _add(self, bound: BoundRoute) -> None:
        node = self._root
        for part in bound.template.split("/")[1:]:
            if part.startswith("{"):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.children.setdefault(part.encode(), _Node())
        method = bound.route.method
        assert method not in node.methods, f"{method} {bound.template} is registered twice"
        node.methods[method] = bound
        if not bound.parameters:
            self._literal[bound.template.encode()] = node.methods
        self.bound.append(bound)

    def find(self, raw_path: bytes) -> tuple[dict[str, BoundRoute], list[bytes]] | None:
        """The methods known at this path with the raw parameter segments; None when the path is unknown."""
        methods = self._literal.get(raw_path)
        if methods is not None:
            return methods, []
        segments = raw_path.split(b"/")
        if segments[0]:
            return None
        values: list[bytes] = []
        node = _walk(self._root, segments, 1, values)
        return None if node is None else (node.methods, values)


def _walk(node: _Node, segments: list[bytes], index: int, values: list[bytes]) -> _Node | None:
    if index == len(segments):
        return node if node.methods else None
    segment = segments[index]
    child = node.children.get(segment)
    if child is not None:
        found = _walk(child, segments, index + 1, values)
        if found is not None:
            return found
    if node.parameter is None or not segment:
        return None
    values.append(segment)
    found = _walk(node.parameter, segments, index + 1, values)
    if found is None:
        values.pop()
    return found


def _templates(path: str) -> list[tuple[str, Literal["id", "external_id"] | None]]:
    if "{customer}" not in path:
        return [(path, None)]
    by_id, by_external_id = CUSTOMER_FAMILIES
    return [
        (path.replace("{customer}", by_id), "id"),
        (path.replace("{customer}", by_external_id), "external_id"),
    ]
