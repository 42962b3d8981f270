"""Sending: attempts, waits between them, and the answer as a typed object. Twice, blocking and not; the rules once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast

import httpx2
import msgspec
from msgspec import UNSET

from quotastack_client.answers import Http, with_http
from quotastack_client.calls import Call, build_call
from quotastack_client.errors import (
    QuotaStackError,
    RequestTimeoutError,
    UnexpectedAnswerError,
    UnreachableError,
    read_refusal,
)
from quotastack_client.pages import AsyncPages, Page, Pages

T = TypeVar("T")

VERSION: Final = "0.1.0"
FIRST_WAIT_SECONDS: Final = 0.25
LONGEST_WAIT_SECONDS: Final = 8.0
LONGEST_RETRY_AFTER_SECONDS: Final = 60.0
RETRIED_STATUSES: Final = frozenset({408, 500, 502, 503, 504})
# 409 and 429 have kinds that time mends and kinds that it does not.
RETRIED_KINDS: Final = frozenset({"rate-limited", "idempotency-key-in-flight"})


class Settings(NamedTuple):
    """What both clients are made of."""

    api_key: str
    base_url: str
    timeout: float | None
    max_retries: int

    @property
    def headers(self) -> dict[str, str]:
        """Sent with every request."""
        return {"X-API-Key": self.api_key, "User-Agent": f"quotastack-client-python/{VERSION}"}


class Reply(NamedTuple):
    """A response, whoever received it."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def retry_after_seconds(self) -> float | None:
        """What the header says; None without one, or when it is a date."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() else None

    @property
    def http(self) -> Http:
        """What an answer remembers of it."""
        return Http(
            self.status,
            self.headers.get("x-request-id", ""),
            self.headers.get("x-idempotent-replayed") == "true",
        )


Outcome = Reply | httpx2.TransportError


def wait_before_retry(outcome: Outcome, *, attempt: int, max_retries: int) -> float | None:
    """Seconds until the next attempt, or None when this outcome stands.

    The wait doubles, with jitter so that many clients do not come back at once. A ``Retry-After`` is a lower
    bound; one of more than a minute is the caller's to wait for. Every attempt carries the same key, so a request
    whose answer was lost is answered again and not executed again.
    """
    if attempt >= max_retries:
        return None
    wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
    if not isinstance(outcome, Reply):
        return wait
    if not _is_passing(outcome):
        return None
    told = outcome.retry_after_seconds or 0.0
    return None if told > LONGEST_RETRY_AFTER_SECONDS else max(wait, told + 0.1 * wait)


def _is_passing(reply: Reply) -> bool:
    if reply.status in RETRIED_STATUSES:
        return True
    if reply.status not in {409, 429}:
        return False
    refusal = read_refusal(reply.status, reply.content, None)
    return getattr(refusal, "kind", "") in RETRIED_KINDS


def settle(outcome: Outcome) -> Reply:
    """The reply of success.

    Raises:
        UnreachableError, RequestTimeoutError: there was no answer.
        ProblemError, UnexpectedAnswerError: there was one, and it is not a success.
    """
    if isinstance(outcome, httpx2.TimeoutException):
        raise RequestTimeoutError(f"no answer in time: {outcome!r}") from outcome
    if isinstance(outcome, httpx2.TransportError):
        raise UnreachableError(f"no answer: {outcome!r}") from outcome
    if not 200 <= outcome.status < 300:
        raise read_refusal(outcome.status, outcome.content, outcome.retry_after_seconds)
    return outcome


def decode(reply: Reply, kind: type[T], by_status: Mapping[int, Any] | None = None) -> T:
    """The typed answer."""
    wanted = cast("type[T]", by_status.get(reply.status, kind)) if by_status else kind
    try:
        answer = msgspec.json.decode(reply.content, type=wanted)
    except msgspec.DecodeError as fault:
        raise UnexpectedAnswerError(reply.status, reply.content) from fault
    return with_http(answer, reply.http)


def _request_arguments(call: Call, settings: Settings) -> dict[str, Any]:
    return {
        "method": call.method,
        "url": settings.base_url + call.path,
        "params": call.query or None,
        "headers": {**settings.headers, **call.headers},
        "content": call.content,
        "timeout": settings.timeout if call.timeout is UNSET else call.timeout,
    }


class Transport:
    """Sends calls, blocking."""

    def __init__(self, settings: Settings, http: httpx2.Client | None = None) -> None:
        self.settings = settings
        self.http = http or httpx2.Client()

    def send(self, call: Call) -> Reply:
        """The reply of success, after as many attempts as the call may have."""
        retries = self.settings.max_retries if call.max_retries is None else call.max_retries
        attempt = 0
        while True:
            outcome = self._attempt(call)
            wait = wait_before_retry(outcome, attempt=attempt, max_retries=retries)
            if wait is None:
                return settle(outcome)
            time.sleep(wait)
            attempt += 1

    def _attempt(self, call: Call) -> Outcome:
        try:
            response = self.http.request(**_request_arguments(call, self.settings))
        except httpx2.TransportError as lost:
            return lost
        return Reply(response.status_code, response.headers, response.content)


class AsyncTransport:
    """Sends calls, not blocking."""

    def __init__(self, settings: Settings, http: httpx2.AsyncClient | None = None) -> None:
        self.settings = settings
        self.http = http or httpx2.AsyncClient()

    async def send(self, call: Call) -> Reply:
        """The reply of success, after as many attempts as the call may have."""
        retries = self.settings.max_retries if call.max_retries is None else call.max_retries
        attempt = 0
        while True:
            outcome = await self._attempt(call)
            wait = wait_before_retry(outcome, attempt=attempt, max_retries=retries)
            if wait is None:
                return settle(outcome)
            await asyncio.sleep(wait)
            attempt += 1

    async def _attempt(self, call: Call) -> Outcome:
        try:
            response = await self.http.request(**_request_arguments(call, self.settings))
        except httpx2.TransportError as lost:
            return lost
        return Reply(response.status_code, response.headers, response.content)


class Resource:
    """What the blocking resources' methods stand on."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _send(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        by_status: Mapping[int, Any] | None = None,
        options: Mapping[str, Any],
        **parts: Any,
    ) -> T:
        return decode(
            self._transport.send(build_call(method, path, options=options, **parts)), kind, by_status
        )

    def _text(self, method: str, path: str, *, options: Mapping[str, Any], **parts: Any) -> str:
        return self._transport.send(build_call(method, path, options=options, **parts)).content.decode()

    def _nothing(self, method: str, path: str, *, options: Mapping[str, Any], **parts: Any) -> None:
        self._transport.send(build_call(method, path, options=options, **parts))

    def _pages(
        self, path: str, kind: type[T], *, query: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Pages[T]:
        def fetch(cursor: str | None) -> Page[T]:
            asked = query if cursor is None else {**query, "cursor": cursor}
            return self._send("GET", path, Page[kind], query=asked, options=options)  # type: ignore[valid-type]

        return Pages(fetch)


class AsyncResource:
    """What the other resources' methods stand on."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _send(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        by_status: Mapping[int, Any] | None = None,
        options: Mapping[str, Any],
        **parts: Any,
    ) -> T:
        reply = await self._transport.send(build_call(method, path, options=options, **parts))
        return decode(reply, kind, by_status)

    async def _text(self, method: str, path: str, *, options: Mapping[str, Any], **parts: Any) -> str:
        return (
            await self._transport.send(build_call(method, path, options=options, **parts))
        ).content.decode()

    async def _nothing(self, method: str, path: str, *, options: Mapping[str, Any], **parts: Any) -> None:
        await self._transport.send(build_call(method, path, options=options, **parts))

    def _pages(
        self, path: str, kind: type[T], *, query: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncPages[T]:
        async def fetch(cursor: str | None) -> Page[T]:
            asked = query if cursor is None else {**query, "cursor": cursor}
            return await self._send("GET", path, Page[kind], query=asked, options=options)  # type: ignore[valid-type]

        return AsyncPages(fetch)


__all__ = [
    "AsyncResource",
    "AsyncTransport",
    "QuotaStackError",
    "Resource",
    "Settings",
    "Transport",
]
