"""Holds: how a reservation ends, by a caller or by its TTL.

One state column, one function that leaves ``active``: whoever comes second finds the hold final.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from quotastack.core.blocks import free_after_hold
from quotastack.core.draft import replace
from quotastack.core.ledger import append_entry

if TYPE_CHECKING:
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Hold
    from quotastack.core.draft import Draft

HELD_RESERVATIONS_MAX = 10_000


def give_back_hold(
    draft: Draft,
    context: Context,
    hold: Hold,
    *,
    status: Literal["released", "expired"],
) -> Hold:
    """End ``hold`` without spending: its credits are effective again, or expire if they are over.

    Writes the line (``release`` or ``reservation_expired``) and the event of the same meaning.
    """
    account = draft.account(hold.unit)
    ended = replace(hold, status=status, returned_mc=hold.reserved_mc, ended_at=context.now)
    draft.put_hold(ended)
    append_entry(
        draft,
        context,
        replace(account, reserved_mc=account.reserved_mc - hold.reserved_mc),
        entry_type="release" if status == "released" else "reservation_expired",
        reserved_delta_mc=-hold.reserved_mc,
        reference=("reservation", hold.id),
    )
    free_after_hold(draft, context, hold.unit, hold.created_at)
    after = draft.account(hold.unit)
    data = {
        "reservation_id": hold.id,
        "unit": hold.unit,
        "returned_amount": hold.reserved_mc,
        "effective_balance": after.effective_mc,
    }
    if hold.billable_metric_key is not None:
        data["billable_metric_key"] = hold.billable_metric_key
    draft.add_event(context, f"reservation.{status}", data)
    return ended
