"""Reservation views: how a reservation is answered."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.credit_views import DrawView
from quotastack.core.quota_signals import QuotaStanding

if TYPE_CHECKING:
    from quotastack.core.catalog import Catalog
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Hold
    from quotastack.core.draft import Draft


class ReservationView(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation. What a commit adds is there once it was committed."""

    id: str
    status: str
    customer_id: str
    external_customer_id: str | None
    unit: str
    reserved_amount: int
    billable_metric_key: str | UnsetType = UNSET
    estimated_units: int | str | UnsetType = UNSET
    dimensions: dict[str, str] | UnsetType = UNSET
    rule_id: str | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    actual_units: int | str | UnsetType = UNSET
    committed_amount: int | UnsetType = UNSET
    returned_amount: int | UnsetType = UNSET
    usage_id: str | UnsetType = UNSET
    blocks: tuple[DrawView, ...] | UnsetType = UNSET
    overage: int | UnsetType = UNSET
    quota: QuotaStanding | UnsetType = UNSET
    balance: int | UnsetType = UNSET
    reserved_balance: int | UnsetType = UNSET
    effective_balance: int | UnsetType = UNSET
    ledger_sequence: int | UnsetType = UNSET
    expires_at: datetime
    ended_at: datetime | UnsetType = UNSET
    created_at: datetime
    version: int | UnsetType = UNSET


def view_hold(
    hold: Hold,
    catalog: Catalog,
    *,
    customer_id: str,
    external_customer_id: str | None,
    **more: Any,
) -> ReservationView:
    """A reservation as it is answered; ``more`` are the fields that only one request's answer has."""
    metric = catalog.metrics.get(hold.billable_metric_key or "")
    scale = 0 if metric is None else metric.scale
    has_units = hold.estimated_units is not None
    actual = hold.terms.get("actual_units")
    return ReservationView(
        id=hold.id,
        status=hold.status,
        customer_id=customer_id,
        external_customer_id=external_customer_id,
        unit=hold.unit,
        reserved_amount=hold.reserved_mc,
        billable_metric_key=hold.billable_metric_key or UNSET,
        estimated_units=units_on_the_wire(hold.estimated_units or 0, scale) if has_units else UNSET,
        dimensions=hold.dimensions or UNSET,
        rule_id=hold.rule_id or UNSET,
        metadata=hold.metadata or UNSET,
        actual_units=UNSET if actual is None else units_on_the_wire(actual, scale),
        committed_amount=UNSET if hold.committed_mc is None else hold.committed_mc,
        returned_amount=UNSET if hold.returned_mc is None else hold.returned_mc,
        usage_id=hold.usage_id or UNSET,
        expires_at=hold.expires_at,
        ended_at=UNSET if hold.ended_at is None else hold.ended_at,
        created_at=hold.created_at,
        **more,
    )


def answer_hold(draft: Draft, context: Context, hold: Hold, **more: Any) -> ReservationView:
    """The answer to a request that changed the reservation: it has the balances as they are now."""
    account = draft.account(hold.unit)
    return view_hold(
        hold,
        context.catalog,
        customer_id=draft.customer.id,
        external_customer_id=draft.customer.external_id,
        balance=account.balance_mc,
        reserved_balance=account.reserved_mc,
        effective_balance=account.effective_mc,
        version=draft.next_version,
        **more,
    )
