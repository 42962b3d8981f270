"""Charges: what a decided debit writes, and what is told of it.

Shared by a usage event and by the commit of a reservation: the part that blocks pay and the part that
becomes overdraft are two lines of the ledger, the second of type ``overage``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quotastack.core.blocks import apply_draws
from quotastack.core.draft import replace
from quotastack.core.ledger import append_entry
from quotastack.core.overage import tell_overage

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.catalog import Metric
    from quotastack.core.changes import UsageEvent
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Hold
    from quotastack.core.draft import Draft
    from quotastack.core.overage import DebitPlan, PolicyOfOverage


def write_charge(
    draft: Draft,
    context: Context,
    plan: DebitPlan,
    *,
    unit: str,
    reference: tuple[str, str],
    hold: Hold | None = None,
) -> int | None:
    """Take what ``plan`` says and write its lines; a commit's first line also ends what ``hold`` holds.

    Returns the sequence of the last line, None when nothing was charged and nothing held.
    """
    draws, overage_mc = plan
    sequence: int | None = None
    deltas = apply_draws(draft, draws, context)
    paid_mc = sum([draw.amount_mc for draw in draws])
    if paid_mc or hold is not None:
        account = draft.account(unit)
        held_mc = 0 if hold is None else hold.reserved_mc
        entry = append_entry(
            draft,
            context,
            replace(
                account,
                blocks_mc=account.blocks_mc - paid_mc,
                reserved_mc=account.reserved_mc - held_mc,
            ),
            entry_type="usage" if hold is None else "commit",
            delta_mc=-paid_mc,
            reserved_delta_mc=-held_mc,
            blocks=deltas,
            reference=reference,
        )
        sequence = entry.sequence
    if overage_mc:
        account = draft.account(unit)
        entry = append_entry(
            draft,
            context,
            replace(account, overdraft_mc=account.overdraft_mc + overage_mc),
            entry_type="overage",
            delta_mc=-overage_mc,
            reference=reference,
        )
        sequence = entry.sequence
    return sequence


def tell_charge(
    draft: Draft,
    context: Context,
    event: UsageEvent,
    *,
    metric: Metric | None,
    units: int | str | None,
    policy: PolicyOfOverage,
    period: tuple[datetime, datetime] | None,
) -> None:
    """Queue what subscribers asked to hear of a charge: each one by name, the first overage of a period."""
    account = draft.account(event.unit)
    data: dict[str, Any] = {"usage_id": event.id, "unit": event.unit}
    if metric is not None:
        data["billable_metric_key"] = metric.key
    if "credit.consumed" in context.catalog.named_events:
        consumed = {
            **data,
            "cost": event.cost_mc,
            "balance": account.balance_mc,
            "effective_balance": account.effective_mc,
        }
        if units is not None:
            consumed["units"] = units
        if event.overage_mc:
            consumed["overage"] = event.overage_mc
        if event.reservation_id is not None:
            consumed["reservation_id"] = event.reservation_id
        draft.add_event(context, "credit.consumed", consumed)
    if event.overage_mc and policy.policy == "notify":
        overage = {
            **data,
            "overage": event.overage_mc,
            "overdraft": account.overdraft_mc,
            "balance": account.balance_mc,
        }
        tell_overage(draft, context, unit=event.unit, metric=metric, period=period, data=overage)
