"""``quotastack listen`` and ``quotastack trigger``: a developer's side of webhooks, by the HTTP API alone."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import msgspec

from quotastack.cli.client_error import ClientError
from quotastack.core.signing import read_secret, sign_payload
from quotastack.runtime.clock import monotonic_seconds, unix_seconds

PAUSE_SECONDS: Final = 0.3
FORWARD_SECONDS: Final = 30.0
CALL_SECONDS: Final = 30.0
ANSWER_CHARACTERS_MAX: Final = 2_048


class ApiClient:
    """Calls of one API key; every write carries a fresh idempotency key."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, api_key: str) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._headers = {"X-API-Key": api_key}

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The decoded answer.

        Raises:
            ClientError: anything but 2xx, or no answer.
        """
        headers = {**self._headers, "Idempotency-Key": f"cli:{uuid.uuid4()}"}
        try:
            async with self._session.post(f"{self._base_url}{path}", json=body, headers=headers) as response:
                content = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ClientError(f"{self._base_url} cannot be reached: {error}") from error
        try:
            answer = msgspec.json.decode(content) if content else {}
        except msgspec.DecodeError as error:
            raise ClientError(f"{self._base_url} is no QuotaStack server.") from error
        if response.status >= 300:
            raise ClientError(str(answer.get("detail", f"The server answered {response.status}.")))
        return answer

    async def delete(self, path: str) -> None:
        """Delete, and mind nothing: it is the last thing that a command does."""
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self._session.delete(f"{self._base_url}{path}", headers=self._headers):
                pass


async def listen(
    base_url: str,
    api_key: str,
    *,
    forward_to: str,
    patterns: list[str],
    stopping: asyncio.Event | None = None,
    write: Callable[[str], object] = sys.stdout.write,
) -> None:
    """Hand on a test environment's events to ``forward_to``, signed like deliveries, and print each with its answer.

    Runs until cancelled or ``stopping`` is set. Events of one customer come in order; an event that the local
    receiver refuses is not tried again.

    Raises:
        ClientError: the server refuses or cannot be reached.
    """
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        api = ApiClient(session, base_url, api_key)
        made = await api.post("/v1/webhooks/listeners", {"events": patterns})
        secret = read_secret(made["secret"], pointer="/secret")
        write(f"Listening for {', '.join(made['events'])}, handing on to {forward_to}\n")
        write(f"Signing secret: {made['secret']}\n")
        results: list[dict[str, Any]] = []
        try:
            while stopping is None or not stopping.is_set():
                answer = await api.post(f"/v1/webhooks/listeners/{made['id']}/pull", {"results": results})
                results = [
                    await _forward(session, forward_to, secret, delivery, write)
                    for delivery in answer["deliveries"]
                ]
                if not results:
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            await asyncio.shield(api.delete(f"/v1/webhooks/endpoints/{made['id']}"))


async def _forward(
    session: aiohttp.ClientSession,
    url: str,
    secret: bytes,
    delivery: dict[str, Any],
    write: Callable[[str], object],
) -> dict[str, Any]:
    body = delivery["body"].encode()
    sent_at = unix_seconds()
    headers = {
        **delivery["headers"],
        "webhook-timestamp": str(sent_at),
        "webhook-signature": sign_payload(secret, delivery["event_id"], sent_at, body),
    }
    started_at = monotonic_seconds()
    result: dict[str, Any] = {"delivery_id": delivery["id"]}
    try:
        timeout = aiohttp.ClientTimeout(total=FORWARD_SECONDS)
        async with session.post(
            url, data=body, headers=headers, allow_redirects=False, timeout=timeout
        ) as response:
            content = await response.content.read(ANSWER_CHARACTERS_MAX)
        result["status"] = response.status
        text = content.decode("utf-8", "replace")
        result["answer"] = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        result["error"] = (str(error) or type(error).__name__)[:500]
    result["duration_ms"] = round((monotonic_seconds() - started_at) * 1_000)
    event = msgspec.json.decode(body)
    outcome = result.get("status", result.get("error"))
    write(
        f"{delivery['event_type']:<28} {event.get('external_customer_id', '-')} #{event.get('sequence', 0)}"
        f"  ->  {outcome} ({result['duration_ms']} ms)\n"
    )
    return result


async def trigger(base_url: str, api_key: str, *, type_: str) -> str:
    """Send a sample of a type to all that want it; one line for the terminal.

    Raises:
        ClientError: the server refuses or cannot be reached.
    """
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        answer = await ApiClient(session, base_url, api_key).post("/v1/webhooks/trigger", {"type": type_})
    count = len(answer["deliveries"])
    if not count:
        return f"Nobody wants {type_}: no active endpoint or listener subscribes to it."
    return f"Sent {type_} ({answer['event_id']}) to {count} endpoint{'s' if count > 1 else ''}."
