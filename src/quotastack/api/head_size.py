"""Head size: how large the request line and headers are that the parser is reading, in whatever pieces they come."""

from __future__ import annotations

from typing import Final

from quotastack.api.routing import Request

HEAD_MAX_BYTES: Final = 64 * 1024


class HeadTooLargeError(Exception):
    """The request line and the headers are together above the bound."""


class HeadSize:
    """Counts whole pieces while a head goes on in them, which costs a request nothing.

    Where other requests stand before it in the same piece, what the parser has told of it is counted instead.
    """

    __slots__ = ("_begun", "_bytes", "_is_alone", "_piece_bytes")

    def __init__(self) -> None:
        self._bytes = 0
        self._piece_bytes = 0
        # How many heads began in the piece that is being parsed, and whether nothing can stand before the first.
        self._begun = 0
        self._is_alone = True

    def begin_piece(self, size: int, *, is_between: bool) -> None:
        """So many bytes are parsed next; ``is_between``: no request has begun that is not complete."""
        self._piece_bytes = size
        self._begun = 0
        self._is_alone = is_between

    def begin_head(self) -> None:
        """A head begins."""
        self._begun += 1
        self._bytes = 0

    def end_piece(self, request: Request) -> None:
        """The piece has ended within the head of ``request``.

        Raises:
            HeadTooLargeError: it is above the bound.
        """
        if self._begun > self._is_alone:
            self._bytes = _told_bytes(request)
        else:
            self._bytes += self._piece_bytes
        if self._bytes > HEAD_MAX_BYTES:
            raise HeadTooLargeError

    def end_head(self, request: Request) -> None:
        """The head is complete.

        Raises:
            HeadTooLargeError: it is above the bound.
        """
        if self._bytes + self._piece_bytes > HEAD_MAX_BYTES and _told_bytes(request) > HEAD_MAX_BYTES:
            raise HeadTooLargeError


def _told_bytes(request: Request) -> int:
    """What the parser has told of the head of ``request``."""
    return len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers.items())
