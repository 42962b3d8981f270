"""The envelope of an event, as the log answers it and as a delivery carries it.

One event has one body for ever: the same fields in the same order, so that every attempt sends the same bytes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.events import API_VERSION

Format = Literal["standard", "cloudevents"]

_encode = msgspec.json.Encoder().encode


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log. ``external_customer_id`` is absent once the customer was deleted."""

    id: str
    type: str
    api_version: str
    environment: str
    tenant_id: str
    created_at: datetime
    sequence: int
    customer_id: str | UnsetType = UNSET
    external_customer_id: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    data: dict[str, Any] | msgspec.Raw


def make_envelope(
    *,
    event_id: str,
    type_: str,
    environment: str,
    tenant_id: str,
    created_at: datetime,
    sequence: int,
    customer_id: str | None,
    external_customer_id: str | None,
    request_id: str | None,
    data: dict[str, Any] | msgspec.Raw,
) -> Envelope:
    """The envelope; what does not apply is left out."""
    return Envelope(
        id=event_id,
        type=type_,
        api_version=API_VERSION,
        environment=environment,
        tenant_id=tenant_id,
        created_at=created_at,
        sequence=sequence,
        customer_id=UNSET if customer_id is None else customer_id,
        external_customer_id=UNSET if external_customer_id is None else external_customer_id,
        request_id=UNSET if request_id is None else request_id,
        data=data,
    )


def encode_envelope(envelope: Envelope, format_: Format) -> bytes:
    """The body of a delivery in the endpoint's format."""
    return _encode(envelope if format_ == "standard" else _as_cloud_event(envelope))


def content_type(format_: Format) -> str:
    """The ``Content-Type`` of a delivery."""
    return "application/json" if format_ == "standard" else "application/cloudevents+json"


def _as_cloud_event(envelope: Envelope) -> dict[str, Any]:
    """CloudEvents 1.0, structured mode; extension attributes have lowercase names without underscores."""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": f"/tenants/{envelope.tenant_id}/{envelope.environment}",
        "type": envelope.type,
        "time": envelope.created_at,
        "datacontenttype": "application/json",
        "apiversion": envelope.api_version,
        "environment": envelope.environment,
        "tenantid": envelope.tenant_id,
        # The sequence extension of CloudEvents is a string.
        "sequence": str(envelope.sequence),
    }
    if envelope.customer_id is not UNSET:
        event["subject"] = event["customerid"] = envelope.customer_id
    if envelope.external_customer_id is not UNSET:
        event["externalcustomerid"] = envelope.external_customer_id
    if envelope.request_id is not UNSET:
        event["requestid"] = envelope.request_id
    event["data"] = envelope.data
    return event
