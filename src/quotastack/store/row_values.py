"""Row values: how what was decided becomes the columns of a set-based statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

_json = msgspec.json.Encoder().encode

Row = tuple[Any, ...]


def json_text(value: Any) -> str:
    """``value`` as JSON, for a jsonb column."""
    return _json(value).decode()


EMPTY_OBJECT: Final = "{}"
EMPTY_ARRAY: Final = "[]"


def json_object(value: dict[str, Any]) -> str:
    """An object as JSON; the empty one, which most are, costs nothing."""
    return _json(value).decode() if value else EMPTY_OBJECT


def json_pairs(pairs: tuple[tuple[str, int], ...]) -> str:
    """(block id, amount) pairs as JSON."""
    return _json(pairs).decode() if pairs else EMPTY_ARRAY


def columns_of(rows: Sequence[Row], count: int) -> list[list[Any]]:
    """The rows as one list for each column; ``count`` empty ones when there is no row."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]
