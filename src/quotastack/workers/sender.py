"""One attempt: a signed POST with a hard deadline, and what the receiver said."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Final

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from quotastack.runtime.clock import monotonic_seconds
from quotastack.workers.guard import AddressDeniedError, GuardedConnector

BODY_MAX_BYTES: Final = 64 * 1024
EXCERPT_MAX_BYTES: Final = 2 * 1024

# How long an answer's body may take once its status is known: it is for the log only.
BODY_SECONDS: Final = 1.0

_KEPT_CONTROLS: Final = {"\n", "\t"}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt gave: a status, or ``error`` when there was none."""

    status: int | None = None
    retry_after: str | None = None
    excerpt: str = ""
    error: str | None = None
    duration_ms: int = 0


class Sender:
    """Sends deliveries; holds connections to receivers and nothing of ours.

    Certificates are verified, by the system's authorities unless ``tls`` says otherwise.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        connections_max: int,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._connector = GuardedConnector(
            allow_private=allow_private, limit=connections_max, resolver=resolver, tls=tls
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            # The deadline is ours, over everything; the library's own would only add others.
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            skip_auto_headers=("Accept-Encoding", "User-Agent", "Content-Type"),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._connector.close_all()

    async def send(
        self, url: str, *, body: bytes, headers: dict[str, str], deadline_seconds: float
    ) -> Answer:
        """POST ``body``; never raises for what a receiver does.

        The deadline covers resolving, connecting, TLS, writing and waiting for the status; the answer's body
        gets one second more. Redirects are not followed. At most 64 KiB are read, undecoded.
        """
        started_at = monotonic_seconds()
        try:
            async with asyncio.timeout(deadline_seconds):
                response = await self._session.post(url, data=body, headers=headers, allow_redirects=False)
        except TimeoutError:
            answer = Answer(error=f"no answer within {deadline_seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            answer = Answer(error=_describe(error))
        else:
            answer = await _take_answer(response)
        duration_ms = round((monotonic_seconds() - started_at) * 1_000)
        return msgspec.structs.replace(answer, duration_ms=duration_ms)


async def _take_answer(response: aiohttp.ClientResponse) -> Answer:
    """The answer, whose status is known by now: what happens to its body changes nothing."""
    try:
        content = await _read_some(response)
    finally:
        # What was not read is not waited for: the connection is of no further use then.
        if response.content.at_eof():
            response.release()
        else:
            response.close()
    return Answer(
        status=response.status,
        retry_after=response.headers.get("Retry-After"),
        excerpt=clean_excerpt(content),
    )


async def _read_some(response: aiohttp.ClientResponse) -> bytes:
    """The first 64 KiB of the body, or what came of it in a second."""
    parts: list[bytes] = []
    missing = BODY_MAX_BYTES
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(BODY_SECONDS):
            while missing > 0:
                part = await response.content.read(missing)
                if not part:
                    break
                parts.append(part)
                missing -= len(part)
    return b"".join(parts)


def clean_excerpt(content: bytes) -> str:
    """The first 2 KiB as text that can be stored and shown: no control characters, no broken UTF-8."""
    text = content[:EXCERPT_MAX_BYTES].decode("utf-8", "replace")
    return "".join(
        character if character.isprintable() or character in _KEPT_CONTROLS else "�" for character in text
    )[:EXCERPT_MAX_BYTES]


def _describe(error: BaseException) -> str:
    """What went wrong, in words that tell the receiver's owner enough and nothing about our network."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 5:
        chain.append(current)
        inner = getattr(current, "certificate_error", None) or getattr(current, "os_error", None)
        current = inner or current.__cause__
    for found in chain:
        if isinstance(found, AddressDeniedError):
            return str(found)
        if isinstance(found, ssl.SSLCertVerificationError) and hasattr(found, "verify_message"):
            return f"TLS: {found.verify_message}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host's name cannot be resolved"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS: the handshake failed"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "the connection was refused or failed"
    if isinstance(error, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, ConnectionError)):
        return "the connection was closed before an answer"
    if isinstance(error, aiohttp.InvalidURL):
        return "the URL is not valid"
    return "the answer is not HTTP"
