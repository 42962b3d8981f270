"""Field types of bodies and queries: each bound stands here once, and in the OpenAPI document through it.

Bodies and queries are frozen msgspec structs made with ``kw_only=True, forbid_unknown_fields=True`` (inherit
from ``Body`` or ``Query``). A field that may be left out is ``T | UnsetType = UNSET``; only where the contract
gives null a meaning is it ``T | None``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from quotastack.core.amounts import AMOUNT_MAX, ExactNumber
from quotastack.core.ids import UUID_PATTERN

INSTANT_MIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
INSTANT_MAX: Final = datetime(2200, 1, 1, tzinfo=UTC)
METADATA_KEYS_MAX: Final = 50
METADATA_BYTES_MAX: Final = 16 * 1024

# Control characters, bidirectional overrides, zero-width and other invisible marks, line separators and
# unassigned-on-purpose code points: two ids that look alike must be alike.
_INVISIBLE: Final = (
    r"\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
)
_NO_INVISIBLE: Final = rf"(?![\s\S]*[{_INVISIBLE}])"
_NO_CONTROL: Final = r"(?![\s\S]*[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069])"
_TRIMMED: Final = r"\S(?:[\s\S]*\S)?$"

ExternalId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=rf"^(?!\.\.?$){_NO_INVISIBLE}{_TRIMMED}",
        description="Your own id of the customer, stored verbatim: 1 to 255 characters, no control or invisible "
        "ones, no space at either end, not `.` or `..`.",
        examples=["user_123"],
    ),
]
Uuid = Annotated[
    str,
    Meta(pattern=UUID_PATTERN, extra={"is_uuid": True}, extra_json_schema={"format": "uuid"}),
]
Key = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[a-z0-9_]+(?!\n)$",
        description="Lowercase letters, digits and underscores.",
    ),
]
Unit = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[a-z0-9_]+(?!\n)$",
        description="The account: `credits` unless said otherwise.",
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=rf"^{_NO_CONTROL}{_TRIMMED}",
        description="1 to 255 characters, no control characters, no space at either end.",
    ),
]
LongText = Annotated[str, Meta(max_length=2000)]
Email = Annotated[
    str,
    Meta(min_length=3, max_length=254, pattern=rf"^{_NO_INVISIBLE}[^@\s]+@[^@\s]+(?!\n)$"),
]
Amount = Annotated[int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX, description="Millicredits (1 credit = 1,000).")]
NonNegativeAmount = Annotated[
    int, Meta(ge=0, le=AMOUNT_MAX, description="Millicredits (1 credit = 1,000), 0 or more.")
]
PositiveAmount = Annotated[
    int, Meta(ge=1, le=AMOUNT_MAX, description="Millicredits (1 credit = 1,000), above 0.")
]
Money = Annotated[int, Meta(ge=0, le=AMOUNT_MAX, description="In the smallest unit of `currency`.")]
Currency = Annotated[
    str, Meta(min_length=3, max_length=3, pattern=r"^[A-Z]{3}(?!\n)$", description="ISO 4217.")
]
Priority = Annotated[int, Meta(ge=-1_000_000, le=1_000_000, description="Lower burns first.")]
PositiveInt = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
NonNegativeInt = Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]
TtlSeconds = Annotated[int, Meta(ge=1, le=86_400, description="1 to 86,400 seconds.")]
SpanSeconds = Annotated[
    int, Meta(ge=1, le=200 * 366 * 86_400, description="A length of time in seconds, at least 1.")
]
Scale = Annotated[int, Meta(ge=0, le=6, description="Decimals of the metric's units.")]

Units = (
    Annotated[int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
    | Annotated[str, Meta(max_length=24, pattern=r"^-?[0-9]{1,16}(\.[0-9]{1,6})?(?!\n)$")]
)
"""An integer, or for a metric with ``scale`` a decimal string; the metric's scale is applied later."""

UnitsText = Annotated[
    str,
    Meta(
        max_length=24,
        pattern=r"^-?[0-9]{1,16}(\.[0-9]{1,6})?(?!\n)$",
        description="Units in a query: an integer, or decimals where the metric has a scale.",
    ),
]
Instant = Annotated[
    datetime,
    Meta(
        tz=True,
        extra={"is_instant": True},
        description="RFC 3339 with a zone, from 2000-01-01 to 2200-01-01; kept in UTC.",
    ),
]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=255)], Any],
    Meta(
        max_length=METADATA_KEYS_MAX,
        extra={"max_bytes": METADATA_BYTES_MAX},
        description="A JSON object of at most 50 keys and 16 KiB.",
    ),
]
Dimensions = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=100)],
        Annotated[str, Meta(max_length=255)],
    ],
    Meta(max_length=METADATA_KEYS_MAX, description="Names and values, both strings."),
]
FractionOfOne = Annotated[
    ExactNumber,
    Meta(
        description="Above 0, at most 1: a number, or its decimal digits in a string, which are exact.",
        extra_json_schema={
            "pattern": r"^(0?\.[0-9]{1,30}|1(\.0{1,30})?)$",
            "exclusiveMinimum": 0,
            "maximum": 1,
        },
    ),
]
OveragePolicy = Literal["block", "allow", "notify"]
IdempotencyKeyField = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=257,
        description="Stands for the `Idempotency-Key` header.",
        extra_json_schema={"pattern": "^[!-~]+$"},
    ),
]


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every body inherits. ``idempotency_key`` never reaches it: the dispatcher takes it out."""


class CustomerBody(Body, frozen=True, kw_only=True):
    """A body that names exactly one customer; the dispatcher checks it and fills ``request.customer``.

    ``end_user_id`` is accepted as another name of ``external_customer_id``.
    """

    customer_id: Uuid | UnsetType = UNSET
    external_customer_id: ExternalId | UnsetType = UNSET


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every query inherits: unknown parameters are refused, values are read strictly.

    Fields are ``str``, ``int``, ``bool``, ``datetime`` or ``Literal`` of strings, with their ``Meta``.
    """


class CustomerQuery(Query, frozen=True, kw_only=True):
    """A query that names exactly one customer; the dispatcher fills ``request.customer``."""

    customer_id: Uuid | UnsetType = UNSET
    external_customer_id: ExternalId | UnsetType = UNSET


class PageQuery(Query, frozen=True, kw_only=True):
    """The parameters of every list."""

    limit: Annotated[int, Meta(ge=1, le=200, description="Rows in one page.")] = 50
    cursor: (
        Annotated[str, Meta(min_length=1, max_length=1000, description="`next_cursor` of the page before.")]
        | UnsetType
    ) = UNSET
    order: Literal["desc", "asc"] = "desc"


class TimedPageQuery(PageQuery, frozen=True, kw_only=True):
    """A list with a time filter: ``from`` inclusive, ``to`` exclusive."""

    from_at: Instant | UnsetType = msgspec.field(name="from", default=UNSET)
    to_at: Instant | UnsetType = msgspec.field(name="to", default=UNSET)


class CustomerFilter(PageQuery, frozen=True, kw_only=True):
    """A list that may be narrowed to one customer; ``request.customer`` is None when it is not."""

    customer_id: Uuid | UnsetType = UNSET
    external_customer_id: ExternalId | UnsetType = UNSET


class TimedCustomerFilter(TimedPageQuery, frozen=True, kw_only=True):
    """A list that may be narrowed to one customer and to a time."""

    customer_id: Uuid | UnsetType = UNSET
    external_customer_id: ExternalId | UnsetType = UNSET


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    """Where a list goes on: ``next_cursor`` is null on the last page."""

    has_more: bool
    next_cursor: str | None
