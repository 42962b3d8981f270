"""Usage views: how a usage event is answered, when it happens and ever after."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.credit_views import AccountView, DrawView
from quotastack.core.quota_signals import QuotaStanding

if TYPE_CHECKING:
    from quotastack.core.catalog import Catalog
    from quotastack.core.changes import UsageEvent


class UsageView(msgspec.Struct, frozen=True, kw_only=True):
    """A usage event. The balances and the quota are those of the moment it was charged: only the answer
    to the request that made it has them.
    """

    id: str
    status: str
    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str | UnsetType = UNSET
    units: int | str | UnsetType = UNSET
    value: int | str | UnsetType = UNSET
    cost: int
    unit: str
    rule_id: str | UnsetType = UNSET
    reservation_id: str | UnsetType = UNSET
    blocks: tuple[DrawView, ...]
    overage: int
    quota: QuotaStanding | UnsetType = UNSET
    balance: int | UnsetType = UNSET
    reserved_balance: int | UnsetType = UNSET
    effective_balance: int | UnsetType = UNSET
    ledger_sequence: int | UnsetType = UNSET
    timestamp: datetime
    dimensions: dict[str, str] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    enforcement: str | UnsetType = UNSET
    dry_run: bool | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET
    reversed_at: datetime | UnsetType = UNSET
    refunded: int | UnsetType = UNSET
    problem: dict[str, Any] | UnsetType = UNSET
    created_at: datetime
    version: int | UnsetType = UNSET


class AcceptedView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to ``Prefer: respond-async``."""

    id: str
    status: str
    customer_id: str
    external_customer_id: str | None
    version: int


class ReversalView(msgspec.Struct, frozen=True, kw_only=True):
    """What a reversal gave back: ``blocks`` are what went to each block, new ones included."""

    usage: UsageView
    refunded: int
    blocks: tuple[DrawView, ...]
    account: AccountView


def view_usage(
    event: UsageEvent, catalog: Catalog, *, customer_id: str, external_customer_id: str | None
) -> UsageView:
    """A stored event as it is answered; its units at the metric's scale."""
    metric = catalog.metrics.get(event.billable_metric_key)
    scale = 0 if metric is None else metric.scale
    details = event.details
    has_units = metric is not None and metric.aggregation != "Gauge"
    return UsageView(
        id=event.id,
        status=event.status,
        customer_id=customer_id,
        external_customer_id=external_customer_id,
        billable_metric_key=event.billable_metric_key or UNSET,
        units=units_on_the_wire(event.units, scale) if has_units else UNSET,
        value=UNSET if event.value is None else units_on_the_wire(event.value, scale),
        cost=event.cost_mc,
        unit=event.unit,
        rule_id=event.rule_id or UNSET,
        reservation_id=event.reservation_id or UNSET,
        blocks=tuple(DrawView(block_id, amount_mc) for block_id, amount_mc in event.draws),
        overage=event.overage_mc,
        ledger_sequence=UNSET if event.ledger_sequence is None else event.ledger_sequence,
        timestamp=event.timestamp,
        dimensions=event.dimensions or UNSET,
        metadata=event.metadata or UNSET,
        enforcement=details.get("enforcement", UNSET),
        idempotency_key=event.idempotency_key or UNSET,
        reversed_at=details.get("reversed_at", UNSET),
        refunded=details.get("refunded", UNSET),
        problem=details.get("problem", UNSET),
        created_at=event.created_at,
    )
