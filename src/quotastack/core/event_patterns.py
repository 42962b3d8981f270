"""Which events an endpoint wants: exact types, ``credit.*`` prefixes, ``*``, and two filters.

Types that are off by default (``credit.consumed``, ``reservation.created``) are wanted only by who names them
exactly: neither ``*`` nor a prefix brings them. A filter lets only those events through whose ``data`` carries
its field with its value, so an event without the field does not pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from quotastack.core.errors import FieldFault, ValidationFailedError
from quotastack.core.events import EVENT_TYPES, OFF_BY_DEFAULT

EVERYTHING: Final = "*"

_PREFIXES: Final = frozenset(name.split(".", 1)[0] for name in EVENT_TYPES)


class EndpointFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What of an active endpoint decides whether an event goes to it; part of the environment's catalog.

    ``is_pulled``: its deliveries wait to be fetched (``quotastack listen``), no worker sends them.
    """

    id: str
    patterns: tuple[str, ...]
    severity: str | None = None
    billable_metric_key: str | None = None
    is_pulled: bool = False


def matches_type(patterns: Iterable[str], type_: str) -> bool:
    """Whether one of the patterns stands for the type."""
    is_off = type_ in OFF_BY_DEFAULT
    prefix = type_.split(".", 1)[0] + ".*"
    return any(pattern == type_ or (not is_off and pattern in {EVERYTHING, prefix}) for pattern in patterns)


def wants_event(endpoint: EndpointFilter, type_: str, data: dict[str, Any]) -> bool:
    """Whether the event goes to the endpoint."""
    if not matches_type(endpoint.patterns, type_):
        return False
    if endpoint.severity is not None and data.get("severity") != endpoint.severity:
        return False
    metric = endpoint.billable_metric_key
    return metric is None or data.get("billable_metric_key") == metric


def wanted_types(patterns: Iterable[str]) -> tuple[str, ...]:
    """Every type of the catalog that the patterns stand for."""
    known = tuple(patterns)
    return tuple(type_ for type_ in EVENT_TYPES if matches_type(known, type_))


def named_types(endpoints: Iterable[EndpointFilter]) -> frozenset[str]:
    """The types that are off by default and that some endpoint names: only these are written at all."""
    return frozenset(
        pattern for endpoint in endpoints for pattern in endpoint.patterns if pattern in OFF_BY_DEFAULT
    )


def check_patterns(patterns: Iterable[str], *, pointer: str) -> tuple[str, ...]:
    """The patterns without repeats, in their order.

    Raises:
        ValidationFailedError: one is neither a type of the catalog, nor the prefix of some, nor ``*``.
    """
    unique = tuple(dict.fromkeys(patterns))
    faults = [
        FieldFault(
            f"{pointer}/{index}", f"{pattern!r} is no event type, no prefix such as credit.*, and not *."
        )
        for index, pattern in enumerate(unique)
        if not _is_known(pattern)
    ]
    if faults:
        raise ValidationFailedError("Some event patterns stand for nothing.", errors=faults)
    return unique


def _is_known(pattern: str) -> bool:
    if pattern.endswith(".*"):
        return pattern[:-2] in _PREFIXES
    return pattern == EVERYTHING or pattern in EVENT_TYPES
