"""What every answer has in common."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar, cast

import msgspec

T = TypeVar("T")


class Http(NamedTuple):
    """The response that an answer came in."""

    status: int
    request_id: str
    is_replayed: bool


class Model(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """An object of the API, by its wire names. Fields that this version does not know are ignored."""

    @property
    def http(self) -> Http:
        """Status, request id, and whether it is a replay. Only what a call returned has it, not what is inside.

        Raises:
            AttributeError: this object is a part of an answer, or was made by hand.
        """
        try:
            return self.__dict__["http"]
        except KeyError:
            raise AttributeError("http: only what a call returned knows its response") from None


class Pagination(Model, frozen=True, kw_only=True):
    """Whether more follows, and where."""

    has_more: bool
    next_cursor: str | None = None


def with_http(answer: T, http: Http) -> T:
    """The answer, which now knows its response."""
    if isinstance(answer, Model):
        cast("dict[str, Any]", answer.__dict__)["http"] = http
    return answer
