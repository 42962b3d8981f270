"""The application: answers every route the same way.

Order for every request: path, method, authentication, scope, rate limit, path parameters, query, body, idempotency
key, handler. No middleware and no objects per request beyond ``Request`` and ``Response``, and no task where nothing
is waited for or only the engine is: a check should cost little more than the server underneath it. Whatever goes
wrong, the answer is a problem; what is not a refusal by name is logged with the request id and answered 503.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Awaitable, Coroutine, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import msgspec

from quotastack.api.auth import KeyRing, KnownCaller, presented_key
from quotastack.api.door import Door
from quotastack.api.errors import PROBLEM_TYPE, encode_problem, known_refusal, status_of
from quotastack.api.rate_limits import limit_headers, too_many
from quotastack.api.reading import (
    ClientGoneError,
    Readers,
    check_envelope,
    read_json,
    read_path,
    receive_body,
    refuse_repeated,
    take_body,
)
from quotastack.api.request_metrics import FLUSH_SECONDS, flush_tallies
from quotastack.api.routing import BoundRoute, Queued, Request, Response, Route, RouteTable
from quotastack.api.turns import Turns
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import (
    MethodNotAllowedError,
    NotFoundError,
    ProblemError,
    UnavailableError,
)
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.telemetry import get_logger
from quotastack.services.commands import no_room, queue_command, require_room
from quotastack.services.container import Services
from quotastack.services.request_limits import RequestLimits

if TYPE_CHECKING:
    from quotastack.services.commands import Outcome

# Every module here has ROUTES; a new capability is one more line.
CAPABILITIES: Final = (
    "health",
    "docs_pages",
    "openapi",
    "tenants",
    "api_keys",
    "audit_log",
    "customers",
    "credits",
    "topups",
    "integrations",
    "verification",
    "analytics",
    "metering",
    "usage",
    "reservations",
    "entitlements",
    "assets",
    "plans",
    "plan_parts",
    "subscriptions",
    "test_clock",
    "webhooks",
    "webhook_log",
)

KNOWN_PATHS_MAX: Final = 20_000
KNOWN_PATH_BYTES_MAX: Final = 512

_encode = msgspec.json.Encoder().encode
_is_sane_token = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch

log = get_logger(__name__)


def collect_routes() -> list[Route]:
    """The routes of every capability."""
    return [route for name in CAPABILITIES for route in import_module(f"quotastack.api.{name}").ROUTES]


def create_app(services: Services, routes: Iterable[Route] | None = None) -> Application:
    """The application over ``services``; ``routes`` replaces the product's own in tests of the dispatcher."""
    return Application(services, collect_routes() if routes is None else routes)


class Application:
    """What answers the requests of every connection. ``table`` is open to what describes or measures the routes."""

    def __init__(self, services: Services, routes: Iterable[Route]) -> None:
        self.services = services
        self.table = RouteTable(routes)
        self.turns = Turns(self.table.bound, services.engine.slices, services.engine)
        self.door = Door(
            self.table.bound,
            services.engine,
            refuse=self._refuse_unread,
            name=self._next_id,
            count=self._count,
        )
        for bound in self.table.bound:
            bound.reads = Readers(bound)
        self._keys = KeyRing(services)
        self._limits = RequestLimits(services)
        self._flushing: asyncio.TimerHandle | None = None
        # What a path of a GET says never changes, and the same customers are checked again and again.
        self._known_paths: dict[bytes, tuple[BoundRoute, Mapping[str, str], CustomerRef | None]] = {}
        self._request_ids = itertools.count(1)
        self._request_prefix = f"req_{secrets.token_hex(6)}"
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, request: Request) -> None:
        """Answer one request: at once where nothing has to be waited for, by the engine, else in a task."""
        request.started_seconds = monotonic_seconds()
        request.app = self.services
        request.table = self.table
        given_id = request.headers.get(b"x-request-id")
        if given_id is not None and _is_sane_token(given_id):
            request.request_id = given_id.decode()
        else:
            request.request_id = self._next_id()
        try:
            if request.repeated:
                refuse_repeated(request.repeated)
            answer = self._begin(request)
        except ProblemError as error:
            answer = self._refuse(request, error)
        except Exception as error:  # noqa: BLE001 - no request, however odd, ends in a 500 or a stack trace
            answer = self._refuse(request, self._name(error, request))
        if isinstance(answer, Response):
            self._respond(request, answer)
        elif answer is None:
            self._start(self._go_on(request))
        elif isinstance(answer, Queued):
            self._submit(request, answer)
        else:
            self._start(self._wait(request, answer))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _submit(self, request: Request, queued: Queued) -> None:
        try:
            queue_command(
                self.services,
                queued.submission,
                lambda outcome: self._complete(request, queued, outcome),
            )
        except ProblemError as error:
            self._respond(request, self._refuse(request, error))

    def _complete(self, request: Request, queued: Queued, outcome: Outcome | Exception) -> None:
        """Answer with what a queued command came to."""
        try:
            if isinstance(outcome, ProblemError):
                response = self._refuse(request, outcome)
            elif isinstance(outcome, Exception):
                response = self._refuse(request, self._name(outcome, request))
            else:
                response = queued.show(outcome)
            self._respond(request, response)
        except Exception as error:  # noqa: BLE001 - what one caller is told must not stop the answers of others
            self._respond(request, self._refuse(request, self._name(error, request)))

    async def _go_on(self, request: Request) -> None:
        """Answer a request for which something must be waited for before its handler may begin."""
        await self._wait(request, self._read_and_handle(request))

    async def _read_and_handle(self, request: Request) -> Response | Queued:
        bound = request.bound
        assert bound is not None
        route = bound.route
        if route.scope is not None:
            header = presented_key(request.headers)
            known = self._keys.recall(header, request.started_seconds)
            if known is None:
                known = await self._keys.find(header)
            self._admit(request, route, known)
            if known.requests_per_minute is not None and route.is_rate_limited:
                await self._limit(request, known.environment_id, known.requests_per_minute)
        self._prepare(request, bound)
        if route.method != "GET":
            _read_body(request, bound, await receive_body(request, route.body_max_bytes))
        answer = route.handler(request)
        return await answer if isinstance(answer, Awaitable) else answer

    async def _wait(self, request: Request, work: Awaitable[Response | Queued]) -> None:
        """Answer with what ``work`` comes to."""
        try:
            answer = await work
        except ProblemError as error:
            answer = self._refuse(request, error)
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not this request was cancelled but what it waited for: the server is stopping.
            stopping = UnavailableError("The server is stopping.", retry_after_seconds=1)
            answer = self._refuse(request, stopping)
        except Exception as error:  # noqa: BLE001 - no request, however odd, ends in a 500 or a stack trace
            answer = self._refuse(request, self._name(error, request))
        if isinstance(answer, Queued):
            self._submit(request, answer)
        else:
            self._respond(request, answer)

    def _begin(self, request: Request) -> Response | Queued | Awaitable[Response | Queued] | None:
        """Everything up to the handler; None when something must be waited for first."""
        raw_path = request.raw_path
        verb = request.verb
        known_path = self._known_paths.get(raw_path) if verb == "GET" else None
        if known_path is not None:
            bound, request.params, request.customer = known_path
        else:
            found = self.table.find(raw_path)
            if found is None:
                raise NotFoundError("There is nothing at this path.")
            methods, request.segments = found
            bound = methods.get("GET" if verb == "HEAD" else verb)
            if bound is None:
                return self._answer_method(request, verb, methods)
        request.bound = bound
        request.route = route = bound.route
        request.method = route.method
        if route.scope is not None:
            known = self._keys.recall(presented_key(request.headers), request.started_seconds)
            if known is None or (known.requests_per_minute is not None and route.is_rate_limited):
                return None
            self._admit(request, route, known)
        has_body = route.method != "GET"
        if has_body and not request.is_complete:
            return None
        self._prepare(request, bound)
        if has_body:
            _read_body(request, bound, take_body(request, route.body_max_bytes))
        return route.handler(request)

    @staticmethod
    def _admit(request: Request, route: Route, known: KnownCaller) -> None:
        request.caller = caller = known.as_caller(request.request_id)
        if known.scopes:
            assert route.scope is not None
            caller.require_scope(route.scope)

    def _prepare(self, request: Request, bound: BoundRoute) -> None:
        """Room for what it asks, path parameters and query: what needs no body."""
        if bound.route.is_shed:
            require_room(self.services, is_late=self.turns.is_late)
        if request.segments:
            read_path(request, bound, request.segments)
            if request.verb == "GET" and len(request.raw_path) <= KNOWN_PATH_BYTES_MAX:
                self._know_path(request.raw_path, bound, request)
        readers: Readers = bound.reads
        if readers.query is not None:
            request.query, customer = readers.query.read(request.query_string)
            if customer is not None:
                request.customer = customer
        elif request.query_string and bound.route.scope is not None:
            readers.no_query.read(request.query_string)

    def _respond(self, request: Request, response: Response) -> None:
        body = response.body
        if body is not None and type(body) is not bytes:
            response.body = _encode(body)
        if request.bound is not None:
            self._count(request.bound, response.status, monotonic_seconds() - request.started_seconds)
        request.connection.respond(request, response)

    def _next_id(self) -> str:
        return f"{self._request_prefix}{next(self._request_ids):06x}"

    def _refuse_unread(self, request: Request) -> Response:
        request.app = self.services
        return self._refuse(request, no_room())

    def _count(self, bound: BoundRoute, status: int, seconds: float = 0.0) -> None:
        bound.tally.count(status, seconds)
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        flush_tallies(self.table)
        self.services.engine.note_metrics()

    def _know_path(self, raw_path: bytes, bound: BoundRoute, request: Request) -> None:
        if len(self._known_paths) >= KNOWN_PATHS_MAX:
            self._known_paths.clear()
        self._known_paths[raw_path] = (bound, request.params, request.customer)

    def _answer_method(self, request: Request, method: str, methods: Mapping[str, BoundRoute]) -> Response:
        allowed = sorted({*methods, "OPTIONS", *(("HEAD",) if "GET" in methods else ())})
        allow = (b"allow", ", ".join(allowed).encode())
        if method == "OPTIONS":
            return Response(204, headers=(allow,))
        response = self._refuse(request, MethodNotAllowedError(f"This path takes {', '.join(allowed)}."))
        response.headers = (*response.headers, allow)
        return response

    async def _limit(self, request: Request, environment_id: EnvironmentId, requests_per_minute: int) -> None:
        allowance = await self._limits.take(environment_id, requests_per_minute)
        request.limit_headers = limit_headers(allowance, requests_per_minute)
        if not allowance.is_allowed:
            raise too_many(allowance, requests_per_minute)

    def _name(self, error: Exception, request: Request) -> ProblemError:
        refusal = known_refusal(error)
        about = {"request_id": request.request_id, "route": request.bound.template if request.bound else None}
        if refusal is None:
            log.error(
                "A request failed by a mistake of ours.",
                **about,
                exc_info=error,
            )
            return UnavailableError("The request could not be answered.", retry_after_seconds=1)
        if isinstance(refusal, UnavailableError):
            log.warning(
                "The store could not be used.",
                **about,
                error=type(error).__name__,
            )
        return refusal

    def _refuse(self, request: Request, error: ProblemError) -> Response:
        status = status_of(error)
        headers: list[tuple[bytes, bytes]] = []
        if error.retry_after_seconds is not None or status == 503:
            headers.append((b"retry-after", str(error.retry_after_seconds or 1).encode()))
        if status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="quotastack"'))
        elif status == 413:
            # What is left of the body is not read, so the connection cannot be used again.
            request.keep_alive = False
        body = encode_problem(
            error, base_url=request.base_url, instance=request.path, request_id=request.request_id
        )
        return Response(status, body, headers=headers, content_type=PROBLEM_TYPE)


def _fingerprint_path(bound: BoundRoute, request: Request) -> str:
    return "\x00".join((bound.template, *request.params.values())) if bound.parameters else bound.template


def _read_body(request: Request, bound: BoundRoute, raw: bytes) -> None:
    """Body and idempotency key."""
    readers: Readers = bound.reads
    if readers.body is None:
        request.raw_body = raw
    else:
        check_envelope(request.headers, is_empty=not raw)
        read_json(request, readers, raw, _fingerprint_path(bound, request))
