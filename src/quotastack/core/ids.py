"""Ids: lowercase canonical UUID text, told apart by type.

Having an ``EnvironmentId`` proves that someone checked a key: only ``api/auth.py``, the workers' loop
and the command line make one.
"""

from __future__ import annotations

import re
from typing import Final, NewType

TenantId = NewType("TenantId", str)
EnvironmentId = NewType("EnvironmentId", str)
ApiKeyId = NewType("ApiKeyId", str)
CustomerId = NewType("CustomerId", str)
BlockId = NewType("BlockId", str)
LedgerEntryId = NewType("LedgerEntryId", str)
MetricId = NewType("MetricId", str)
RuleId = NewType("RuleId", str)
UsageEventId = NewType("UsageEventId", str)
ReservationId = NewType("ReservationId", str)
PlanId = NewType("PlanId", str)
VariantId = NewType("VariantId", str)
GrantTemplateId = NewType("GrantTemplateId", str)
SubscriptionId = NewType("SubscriptionId", str)
PackageId = NewType("PackageId", str)
EventId = NewType("EventId", str)
EndpointId = NewType("EndpointId", str)
DeliveryId = NewType("DeliveryId", str)

_is_canonical = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_is_any_case = re.compile(
    r"[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
).fullmatch

UUID_PATTERN: Final = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"


def read_uuid(text: str) -> str | None:
    """The canonical form of a UUID written with hyphens in either case; None for anything else.

    Braces, ``urn:uuid:`` and the form without hyphens are not ids of ours: they would be second names.
    """
    if _is_canonical(text):
        return text
    return text.lower() if _is_any_case(text) else None
