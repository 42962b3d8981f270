"""Pages: positions instead of offsets, so that rows inserted meanwhile neither repeat nor hide others.

A cursor is a position signed together with the environment, the path and the filter: it opens no other list,
and one that was edited is refused.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

import msgspec

from quotastack.api.fields import Pagination
from quotastack.api.routing import Request, Response
from quotastack.core.errors import ValidationFailedError

MAC_BYTES: Final = 16

T = TypeVar("T")

_encode = msgspec.json.Encoder(order="deterministic").encode


class PageOf(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list."""

    data: list[T]
    pagination: Pagination


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are wanted: up to ``fetch`` of them, so that one more than ``limit`` tells whether others follow.

    ``after`` is what ``position`` gave for the last row of the page before (datetimes as datetimes), or None.
    """

    limit: int
    after: tuple[Any, ...] | None
    is_ascending: bool

    @property
    def fetch(self) -> int:
        """How many rows to ask the store for."""
        return self.limit + 1

    @property
    def after_id(self) -> str | None:
        """The position of a list that is ordered by id alone."""
        return None if self.after is None else self.after[0]


def read_page(request: Request) -> Page:
    """The page that a query (a ``PageQuery``) asks for.

    Raises:
        ValidationFailedError: the cursor was not made by this installation for this very list.
    """
    query = request.query
    after: tuple[Any, ...] | None = None
    if query.cursor is not msgspec.UNSET:
        after = _open(request, query.cursor)
        if after is None:
            raise ValidationFailedError.at(
                "/cursor",
                "The cursor does not belong to this list: use next_cursor with the same path and filters.",
            )
    return Page(limit=query.limit, after=after, is_ascending=query.order == "asc")


def page_response(
    request: Request, rows: Sequence[Any], *, position: Callable[[Any], tuple[Any, ...]]
) -> Response:
    """The answer of a list; ``rows`` has up to ``page.fetch`` of them, ``position`` must be a total order."""
    limit = request.query.limit
    has_more = len(rows) > limit
    shown = list(rows[:limit])
    cursor = _seal(request, position(shown[-1])) if has_more else None
    return Response(200, {"data": shown, "pagination": Pagination(has_more=has_more, next_cursor=cursor)})


def _seal(request: Request, position: tuple[Any, ...]) -> str:
    payload = _encode([_pack(value) for value in position])
    return base64.urlsafe_b64encode(_mac(request, payload) + payload).rstrip(b"=").decode()


def _open(request: Request, cursor: str) -> tuple[Any, ...] | None:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    mac, payload = raw[:MAC_BYTES], raw[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(request, payload)):
        return None
    return tuple(_unpack(value) for value in msgspec.json.decode(payload))


def _mac(request: Request, payload: bytes) -> bytes:
    query = {
        name: value
        for name, value in msgspec.to_builtins(request.query).items()
        if name not in {"limit", "cursor"}
    }
    bound_to = _encode([request.caller.environment_id, request.route.path, dict(request.params), query])
    key = request.app.secret.cursor_key
    return hmac.digest(key, len(bound_to).to_bytes(4, "big") + bound_to + payload, "sha256")[:MAC_BYTES]


def _pack(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"at": value.astimezone(UTC).isoformat()}
    return value


def _unpack(value: Any) -> Any:
    return datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value
