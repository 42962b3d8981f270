"""The application: one ASGI callable that answers every route the same way.

Order for every request: path, method, authentication, scope, rate limit, path parameters, query, body, idempotency
key, handler. No middleware and no objects per request beyond ``Request`` and ``Response``: a check should cost
little more than the server underneath it. Whatever goes wrong, the answer is a problem; what is not a refusal
by name is logged with the request id and answered 503.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from importlib import import_module
from typing import Any, Final

import msgspec

from quotastack.api.auth import KeyRing, presented_key
from quotastack.api.errors import PROBLEM_TYPE, encode_problem, known_refusal, status_of
from quotastack.api.http_protocol import CYCLE, answer_at_once
from quotastack.api.rate_limits import limit_headers, too_many
from quotastack.api.reading import (
    ClientGoneError,
    Readers,
    Receive,
    check_envelope,
    read_json,
    read_path,
    receive_body,
    refuse_repeated,
)
from quotastack.api.request_metrics import FLUSH_SECONDS, flush_tallies
from quotastack.api.routing import BoundRoute, Request, Response, Route, RouteTable
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
from quotastack.services.container import Services
from quotastack.services.request_limits import RequestLimits

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

Scope = MutableMapping[str, Any]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

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
    """The ASGI callable. ``table`` is open to what describes or measures the routes."""

    def __init__(self, services: Services, routes: Iterable[Route]) -> None:
        self.services = services
        self.table = RouteTable(routes)
        for bound in self.table.bound:
            bound.reads = Readers(bound)
        self._keys = KeyRing(services)
        self._limits = RequestLimits(services)
        self._flushing: asyncio.TimerHandle | None = None
        # What a path of a GET says never changes, and the same customers are checked again and again.
        self._known_paths: dict[bytes, tuple[BoundRoute, Mapping[str, str], CustomerRef | None]] = {}
        self._request_ids = itertools.count(1)
        self._request_prefix = f"req_{secrets.token_hex(6)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (or one lifespan)."""
        if scope["type"] != "http":
            await _serve_other(scope, receive, send)
            return
        started = monotonic_seconds()
        request = Request()
        pairs: list[tuple[bytes, bytes]] = scope["headers"]
        request.headers = headers = dict(pairs)
        request.app = self.services
        request.table = self.table
        request.scope = scope
        given_id = headers.get(b"x-request-id")
        if given_id is not None and _is_sane_token(given_id):
            request.request_id = given_id.decode()
        else:
            request.request_id = f"{self._request_prefix}{next(self._request_ids):06x}"
        try:
            if len(headers) != len(pairs):
                refuse_repeated(pairs)
            response = await self._answer(request, receive, started)
        except ProblemError as error:
            response = self._refuse(request, error)
        except ClientGoneError:
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not this request was cancelled but what it waited for: the server is stopping.
            response = self._refuse(
                request, UnavailableError("The server is stopping.", retry_after_seconds=1)
            )
        except Exception as error:  # noqa: BLE001 - no request, however odd, ends in a 500 or a stack trace
            response = self._refuse(request, self._name(error, request))
        if request.bound is not None:
            request.bound.tally.count(response.status, monotonic_seconds() - started)
            if self._flushing is None:
                self._flushing = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)
        await _send(send, request, response)

    async def _answer(self, request: Request, receive: Receive, started: float) -> Response:
        scope = request.scope
        raw_path: bytes = scope["raw_path"]
        method: str = scope["method"]
        segments: list[bytes] = []
        known_path = self._known_paths.get(raw_path) if method == "GET" else None
        if known_path is not None:
            bound, request.params, request.customer = known_path
        else:
            found = self.table.find(raw_path)
            if found is None:
                raise NotFoundError("There is nothing at this path.")
            methods, segments = found
            bound = methods.get("GET" if method == "HEAD" else method)
            if bound is None:
                return self._answer_method(request, method, methods)
        request.bound = bound
        request.route = route = bound.route
        request.method = route.method
        if route.scope is not None:
            header = presented_key(request.headers)
            known = self._keys.recall(header, started) or await self._keys.find(header, request.request_id)
            request.caller = caller = known.as_caller(request.request_id)
            if known.scopes:
                caller.require_scope(route.scope)
            if known.requests_per_minute is not None and route.is_rate_limited:
                await self._limit(request, known.environment_id, known.requests_per_minute)
        if segments:
            read_path(request, bound, segments)
            if method == "GET" and len(raw_path) <= KNOWN_PATH_BYTES_MAX:
                self._know_path(raw_path, bound, request)
        readers: Readers = bound.reads
        query_string: bytes = scope["query_string"]
        if readers.query is not None:
            request.query, customer = readers.query.read(query_string)
            if customer is not None:
                request.customer = customer
        elif query_string and route.scope is not None:
            readers.no_query.read(query_string)
        if route.method != "GET":
            raw = await receive_body(receive, route.body_max_bytes, request.headers.get(b"content-length"))
            if readers.body is None:
                request.raw_body = raw
            else:
                check_envelope(request.headers, is_empty=not raw)
                read_json(request, readers, raw, _fingerprint_path(bound, request))
        response = await route.handler(request)
        body = response.body
        if body is not None and type(body) is not bytes:
            response.body = _encode(body)
        return response

    def _flush(self) -> None:
        self._flushing = None
        flush_tallies(self.table)

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
            headers.append((b"connection", b"close"))
        body = encode_problem(
            error, base_url=request.base_url, instance=request.path, request_id=request.request_id
        )
        return Response(status, body, headers=headers, content_type=PROBLEM_TYPE)


def _fingerprint_path(bound: BoundRoute, request: Request) -> str:
    return "\x00".join((bound.template, *request.params.values())) if bound.parameters else bound.template


async def _send(send: Send, request: Request, response: Response) -> None:
    body: bytes | None = response.body
    encoded = b"" if body is None else body
    headers: list[tuple[bytes, bytes]] = [
        (b"content-type", response.content_type),
        (b"content-length", b"%d" % len(encoded)),
        (b"x-request-id", request.request_id.encode()),
    ]
    if body is None:
        # Neither a type nor, on a 204, a length belongs to no body.
        del headers[0 : 2 if response.status == 204 else 1]
    if response.headers:
        headers += response.headers
    if request.limit_headers:
        headers += request.limit_headers
    # Taken out, so that scope and exchange do not hold each other until the collector comes.
    cycle = request.scope.pop(CYCLE, None)
    if cycle is not None and answer_at_once(cycle, response.status, headers, encoded):
        return
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    is_head = request.scope["method"] == "HEAD"
    await send({"type": "http.response.body", "body": b"" if is_head else encoded})


async def _serve_other(scope: Scope, receive: Receive, send: Send) -> None:
    """Lifespan: what runs in the background belongs to ``services``, so there is nothing to start here."""
    if scope["type"] != "lifespan":
        await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
