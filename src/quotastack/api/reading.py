"""What a request says, in the order in which it is checked: headers, path, query, body, idempotency key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from quotastack.api.fields import Body, Query
from quotastack.api.json_body import BodyReader, named_customer, parse_json
from quotastack.api.known_bodies import KnownBodies, KnownBody
from quotastack.api.query_params import QueryReader, decode_text
from quotastack.api.routing import BoundRoute, Headers, Request
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import (
    CustomerNotFoundError,
    IdempotencyKeyRequiredError,
    MalformedRequestError,
    NotFoundError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)
from quotastack.core.idempotency import fingerprint_content, name_act, read_key_text
from quotastack.core.ids import read_uuid

BODY_SECONDS: Final = 30.0
ONCE: Final = frozenset(
    {
        b"x-api-key",
        b"authorization",
        b"idempotency-key",
        b"content-type",
        b"content-encoding",
        b"x-request-id",
        b"content-length",
        b"prefer",
    }
)
HEADER_POINTER: Final = "Idempotency-Key"
FIELD_POINTER: Final = "/idempotency_key"

_has_uncommon_byte = re.compile(rb"[^\x20-\x7e\t]").search
_is_json_type = re.compile(
    rb"application/json(?:\s*;\s*charset\s*=\s*\"?utf-?8\"?)?\s*", re.IGNORECASE
).fullmatch


class ClientGoneError(Exception):
    """The caller hung up before the request was complete; nobody waits for an answer."""


class Readers:
    """How one route reads its requests; made once per route."""

    __slots__ = (
        "body", "has_dry_run", "is_customer_required", "known_bodies", "no_query", "query", "takes_key",
    )  # fmt: skip

    def __init__(self, bound: BoundRoute) -> None:
        route = bound.route
        is_write = route.method != "GET"
        self.body = BodyReader(route.body or Body) if is_write and route.reads == "json" else None
        self.query = QueryReader(route.query) if route.query is not None else None
        self.no_query = QueryReader(Query)
        self.takes_key = route.key != "none"
        in_body = route.body is not None and "dry_run" in route.body.__struct_fields__
        in_query = route.query is not None and "dry_run" in route.query.__struct_fields__
        self.has_dry_run = in_body or in_query
        self.is_customer_required = self.body is not None and self.body.names_customer
        # Where nothing but the body and a header says what is asked.
        is_told_by_body = self.is_customer_required and self.query is None and not bound.parameters
        self.known_bodies = KnownBodies() if is_told_by_body and self.takes_key else None

    @property
    def is_customer_named(self) -> bool:
        """Whether a body or query of the route may name a customer."""
        return self.is_customer_required or (self.query is not None and self.query.customer_rule is not None)


def refuse_repeated(names: Sequence[bytes]) -> None:
    """Refuse a request in which a header that decides something stands twice; ``names`` are those that do.

    Raises:
        MalformedRequestError: naming the header.
    """
    for name in names:
        if name in ONCE:
            raise MalformedRequestError(f"The header {name.decode()} is there twice.")


def read_path(request: Request, bound: BoundRoute, segments: list[bytes]) -> None:
    """Fill ``params`` and ``customer`` from the raw segments.

    Raises:
        MalformedRequestError: broken percent-encoding, not UTF-8, or a control character.
        CustomerNotFoundError: what stands for our customer id is no UUID; points to the other family.
        NotFoundError: what stands for another id of ours is no UUID.
    """
    params: dict[str, str] = {}
    for (name, is_uuid), segment in zip(bound.parameters, segments, strict=True):
        text = decode_text(segment, what="path")
        if is_uuid:
            canonical = read_uuid(text)
            if canonical is None:
                raise _no_uuid(bound, name)
            text = canonical
        params[name] = text
    request.params = params
    if bound.family == "id":
        request.customer = CustomerRef.by_id(params["customer_id"])
    elif bound.family == "external_id":
        request.customer = CustomerRef.by_external_id(params["external_id"])


def _no_uuid(bound: BoundRoute, name: str) -> NotFoundError | CustomerNotFoundError:
    if bound.family == "id" and name == "customer_id":
        other = bound.template.replace("customers/{customer_id}", "customer-by-external-id/{external_id}")
        return CustomerNotFoundError(
            f"A customer_id is a UUID, and this is none. For your own ids use {other}, percent-encoded."
        )
    return NotFoundError("There is no such object: its id is not a UUID.")


def take_body(request: Request, max_bytes: int) -> bytes:
    """The body of a request that is complete.

    Raises:
        PayloadTooLargeError: above the limit.
    """
    if len(request.raw) > max_bytes:
        raise _too_large(max_bytes)
    return bytes(request.raw)


async def receive_body(request: Request, max_bytes: int) -> bytes:
    """The whole body, waited for.

    Raises:
        PayloadTooLargeError: declared or found to be above the limit; the rest is not read.
        MalformedRequestError: it did not arrive in thirty seconds.
        ClientGoneError: the caller hung up.
    """
    if not request.is_complete:
        declared = request.headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:20]) > max_bytes:
            raise _too_large(max_bytes)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await request.connection.read_body(request, max_bytes)
        except TimeoutError:
            raise MalformedRequestError("The body did not arrive in time.") from None
    body = take_body(request, max_bytes)
    if not request.is_complete:
        raise ClientGoneError
    return body


def _too_large(max_bytes: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body has more than {max_bytes} bytes.")


def check_envelope(headers: Headers, *, is_empty: bool) -> None:
    """Refuse what is not plain JSON.

    Raises:
        UnsupportedMediaTypeError: an encoding, or another content type than JSON in UTF-8.
    """
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in {b"", b"identity"}:
        raise UnsupportedMediaTypeError("Compressed bodies are not taken: send it without Content-Encoding.")
    content_type = headers.get(b"content-type")
    if content_type == b"application/json" or is_empty:
        return
    if content_type is None or not _is_json_type(content_type):
        raise UnsupportedMediaTypeError("Send the body as application/json, in UTF-8.")


def read_json(request: Request, readers: Readers, raw: bytes, fingerprint_path: str) -> None:
    """Fill ``body``, ``raw_body``, ``key`` and, where the body names one, ``customer``.

    Raises:
        MalformedRequestError, ValidationFailedError, IdempotencyKeyRequiredError,
        CustomerIdentifierConflictError: in this order.
    """
    known_bodies = readers.known_bodies
    header = request.headers.get(b"idempotency-key")
    known = None if known_bodies is None else known_bodies.find(raw)
    if known is not None and header is not None:
        request.body, request.customer, content = known
        request.key = name_act(_read_header(header), content)
        return
    assert readers.body is not None
    value: Any = parse_json(raw) if raw else {}
    if b"end_user_id" in raw or b"feature_key" in raw:
        value = readers.body.replace_aliases(value)
    key_text: str | None = None
    if readers.takes_key:
        key_text = _take_key(header, value)
        if readers.has_dry_run and _is_dry_run(request, value):
            key_text = None
        elif key_text is None and request.route.key == "required":
            raise IdempotencyKeyRequiredError(
                "Name the act in the header Idempotency-Key, so that repeating the request never acts twice."
            )
    request.raw_body = value
    request.body = body = readers.body.read(value, len(raw))
    if readers.is_customer_required:
        request.customer = named_customer(body)
    if key_text is None:
        return
    content = fingerprint_content(method=request.method, path=fingerprint_path, body=value)
    request.key = name_act(key_text, content)
    if known_bodies is not None and b"idempotency_key" not in raw:
        known_bodies.note(raw, value, KnownBody(body, request.customer, content))


def _is_dry_run(request: Request, value: Any) -> bool:
    in_body = isinstance(value, dict) and value.get("dry_run") is True
    return in_body or getattr(request.query, "dry_run", msgspec.UNSET) is True


def _take_key(header: bytes | None, value: Any) -> str | None:
    """The key of header or body; it is taken out of the body, which must be an object for that."""
    key = None if header is None else _read_header(header)
    if isinstance(value, dict) and "idempotency_key" in value:
        field = value.pop("idempotency_key")
        if not isinstance(field, str):
            raise ValidationFailedError.at(FIELD_POINTER, "idempotency_key must be a string.")
        from_body = read_key_text(field, pointer=FIELD_POINTER)
        if key is not None and key != from_body:
            raise ValidationFailedError.at(
                FIELD_POINTER, "idempotency_key and the header Idempotency-Key are two different keys."
            )
        key = from_body
    return key


def _read_header(header: bytes) -> str:
    if _has_uncommon_byte(header):
        raise ValidationFailedError.at(HEADER_POINTER, "The header has characters that are not ASCII.")
    return read_key_text(header.decode(), pointer=HEADER_POINTER)
