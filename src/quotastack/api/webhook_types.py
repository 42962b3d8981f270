"""Bodies and queries of webhooks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import (
    Body,
    Instant,
    Key,
    LongText,
    TimedCustomerFilter,
    Uuid,
)

Url = Annotated[
    str, Meta(min_length=1, max_length=2048, description="http or https, without user and fragment.")
]
Secret = Annotated[
    str, Meta(min_length=1, max_length=128, description="Base64 of 16 to 64 bytes, with or without `whsec_`.")
]
Patterns = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=64)]],
    Meta(
        min_length=1,
        max_length=100,
        description="Exact types (`credit.granted`), prefixes (`credit.*`) or `*`. `credit.consumed` and"
        " `reservation.created` come only to who names them exactly.",
    ),
]
Pattern = Annotated[str, Meta(min_length=1, max_length=64, description="A type, `credit.*` or `*`.")]
EventTypeName = Annotated[str, Meta(min_length=1, max_length=64)]
Severity = Annotated[str, Meta(min_length=1, max_length=32, description="Only events of this `severity`.")]
Metric = Annotated[Key, Meta(description="Only events about this metric.")]
Format = Literal["standard", "cloudevents"]
Status = Literal["active", "disabled"]


class CreateEndpoint(Body, frozen=True, kw_only=True):
    """Without a secret one is made, and shown in the answer only."""

    url: Url
    secret: Secret | UnsetType = UNSET
    events: Patterns | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    billable_metric_key: Metric | UnsetType = UNSET
    description: LongText | UnsetType = UNSET
    format: Format | UnsetType = UNSET
    status: Status | UnsetType = UNSET


class PatchEndpoint(Body, frozen=True, kw_only=True):
    """What is left out stays; null takes a filter away."""

    url: Url | UnsetType = UNSET
    events: Patterns | UnsetType = UNSET
    severity: Severity | UnsetType | None = UNSET
    billable_metric_key: Metric | UnsetType | None = UNSET
    description: LongText | UnsetType | None = UNSET
    format: Format | UnsetType = UNSET
    status: Status | UnsetType = UNSET


class RotateSecret(Body, frozen=True, kw_only=True):
    """The old secret signs beside the new one for a while; 0 ends it at once, after a leak."""

    secret: Secret | UnsetType = UNSET
    overlap_seconds: Annotated[int, Meta(ge=0, le=7 * 86_400, description="24 hours by default.")] = 86_400
    force: Annotated[bool, Meta(description="End an earlier overlap that still runs.")] = False


class SendTest(Body, frozen=True, kw_only=True):
    """`webhook.test` by default; in a test environment any type, with its example."""

    type: EventTypeName | UnsetType = UNSET


class TriggerEvent(Body, frozen=True, kw_only=True):
    """A type of the catalog."""

    type: EventTypeName


class Replay(Body, frozen=True, kw_only=True):
    """The span, by the events' `created_at`: `from` inclusive, `to` exclusive."""

    from_at: Instant = msgspec.field(name="from")
    to_at: Instant = msgspec.field(name="to")


class CreateListener(Body, frozen=True, kw_only=True):
    """What to listen for; everything by default."""

    events: Patterns | UnsetType = UNSET


class ForwardResultBody(Body, frozen=True, kw_only=True):
    """What the local receiver said."""

    delivery_id: Uuid
    status: Annotated[int, Meta(ge=100, le=999)] | None = None
    error: Annotated[str, Meta(max_length=500)] | None = None
    duration_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 0
    answer: Annotated[str, Meta(max_length=2048)] = ""


class Pull(Body, frozen=True, kw_only=True):
    """What became of the deliveries fetched before."""

    results: Annotated[list[ForwardResultBody], Meta(max_length=100)] | UnsetType = UNSET


class EventFilter(TimedCustomerFilter, frozen=True, kw_only=True):
    """By customer, type or pattern, and time."""

    type: (
        Annotated[str, Meta(min_length=1, max_length=64, description="A type, `credit.*` or `*`.")]
        | UnsetType
    ) = UNSET


class DeliveryFilter(TimedCustomerFilter, frozen=True, kw_only=True):
    """By status, endpoint, customer, event, and the time at which it was queued."""

    status: Literal["pending", "succeeded", "failed", "canceled"] | UnsetType = UNSET
    endpoint_id: Uuid | UnsetType = UNSET
    event_id: Uuid | UnsetType = UNSET


class EventTypeShown(msgspec.Struct, frozen=True, kw_only=True):
    """One type of the catalog. `schema` is that of `data`; `example` a whole event."""

    type: str
    group: str
    description: str
    is_default: bool
    schema: dict[str, Any]
    example: dict[str, Any]


class EventTypes(msgspec.Struct, frozen=True, kw_only=True):
    """The catalog."""

    data: list[EventTypeShown]
