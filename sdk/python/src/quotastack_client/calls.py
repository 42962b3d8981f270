"""One call as data: what both clients send, built without any input or output."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypedDict, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType

T = TypeVar("T")
JSON: Final = {"Content-Type": "application/json"}


class CallOptions(TypedDict, total=False):
    """What any call takes. ``timeout`` in seconds, for each attempt; ``max_retries`` 0 means one attempt."""

    timeout: float | None
    max_retries: int


class WriteOptions(CallOptions, total=False):
    """What a change takes: the key names the act, so that however often it is sent it happens once."""

    idempotency_key: str


class Call(NamedTuple):
    """Bytes on the wire; every attempt sends the same ones, with the same key."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes | None
    timeout: float | UnsetType | None
    max_retries: int | None


def opt(value: T | None) -> T | UnsetType:
    """What was not given is not sent."""
    return UNSET if value is None else value


def seg(value: str) -> str:
    """One segment of a path; ``/``, ``:`` and ``%`` included in it stay inside."""
    if not value:
        raise ValueError("an id or a key in the path must not be empty")
    return quote(value, safe="")


def customer_path(customer_id: str | None, external_customer_id: str | None, rest: str = "") -> str:
    """The path of a customer's things by either name; exactly one of them must be given."""
    if (customer_id is None) == (external_customer_id is None):
        raise TypeError("exactly one of customer_id and external_customer_id")
    if customer_id is not None:
        return f"/v1/customers/{seg(customer_id)}{rest}"
    return f"/v1/customer-by-external-id/{seg(external_customer_id or '')}{rest}"


def build_call(
    method: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    is_keyed: bool = False,
    options: Mapping[str, Any],
) -> Call:
    """The call; a change without a key of the caller's gets one of its own, so that its retries are one act."""
    sent = dict(headers or {})
    if body is not None:
        given = {name: value for name, value in body.items() if value is not UNSET}
        content = msgspec.json.encode(given)
    if content is not None:
        sent |= JSON
    if is_keyed:
        sent["Idempotency-Key"] = options.get("idempotency_key") or str(uuid.uuid4())
    return Call(
        method,
        path,
        {name: query_text(value) for name, value in (query or {}).items() if value is not UNSET},
        sent,
        content,
        options.get("timeout", UNSET),
        options.get("max_retries"),
    )


def query_text(value: Any) -> str:
    """A value as it stands in a query; dimensions as ``name:value``, separated by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{one}" for name, one in value.items())
    return str(value)
