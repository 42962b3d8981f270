"""Balance events: what a customer's app is told about a falling balance, and when it is asked to top up.

``tell_balance`` compares each account with what it was when last looked at: a balance that fell
through the threshold is told once, and again only after it rose above it, because only then it can
fall through it again. It looks at balances, not at effective balances: credits that are merely held
are still there. Cheap when no account changed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from quotastack.core.draft import replace
from quotastack.core.periods import calendar_period

if TYPE_CHECKING:
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Account, AutoTopup
    from quotastack.core.draft import Draft


def tell_balance(draft: Draft, context: Context) -> None:
    """Queue the events of the accounts that changed since the last call.

    ``credit.balance_low`` when a balance came from above the threshold (the customer's, else the
    environment's; off when neither is set) to it or below; ``credit.exhausted`` when it came from
    above zero to zero or below; ``topup.requested`` as the auto-topup of the unit says. Called after
    each command and at the end of each instant of time; a deleted customer is told nothing.
    """
    if not draft.untold_balances:
        return
    untold, draft.untold_balances = draft.untold_balances, {}
    if draft.customer.deleted_at is not None:
        return
    threshold = draft.customer.low_balance_threshold
    if threshold is None:
        threshold = context.catalog.config.low_balance_threshold
    for unit, before_mc in untold.items():
        account = draft.account(unit)
        balance_mc = account.balance_mc
        if balance_mc < before_mc:
            if threshold is not None and before_mc > threshold >= balance_mc:
                draft.add_event(context, "credit.balance_low", {"threshold": threshold, **_facts(account)})
            if before_mc > 0 >= balance_mc:
                draft.add_event(context, "credit.exhausted", _facts(account))
        auto_topup = draft.auto_topups.get(unit)
        if auto_topup is not None:
            request_topup(draft, context, auto_topup)


def _facts(account: Account) -> dict[str, int | str]:
    return {
        "unit": account.unit,
        "balance": account.balance_mc,
        "effective_balance": account.effective_mc,
    }


def request_topup(draft: Draft, context: Context, auto_topup: AutoTopup) -> None:
    """Ask the app for a topup (``topup.requested``) when the balance is at the threshold or below.

    Asked once for each time that the balance falls there, and again after ``cooldown_seconds`` while
    it stays there (0: not again); never twice within the cooldown, never more than
    ``max_per_period`` times in a UTC calendar period, never for a suspended account or an inactive
    package.
    """
    account = draft.account(auto_topup.unit)
    if account.balance_mc > auto_topup.threshold:
        if not auto_topup.is_armed:
            draft.put_auto_topup(replace(auto_topup, is_armed=True))
        return
    if account.status != "active" or not _may_ask(auto_topup, context):
        return
    period_start, _ = calendar_period(auto_topup.period, context.now)
    is_same_period = auto_topup.period_start == period_start
    asked = auto_topup.requested_in_period if is_same_period else 0
    if auto_topup.max_per_period is not None and asked >= auto_topup.max_per_period:
        return
    data: dict[str, Any] = {"threshold": auto_topup.threshold, **_facts(account)}
    if auto_topup.package_id is None:
        data["credits"] = auto_topup.credits
    else:
        package = context.catalog.packages.get(auto_topup.package_id)
        if package is None or not package.active:
            return
        data |= {"package_id": package.id, "credits": package.credits}
        if package.price is not None:
            data["price"] = package.price
        if package.currency is not None:
            data["currency"] = package.currency
    draft.put_auto_topup(
        replace(
            auto_topup,
            is_armed=False,
            last_requested_at=context.now,
            period_start=period_start,
            requested_in_period=asked + 1,
        )
    )
    draft.add_event(context, "topup.requested", data)


def _may_ask(auto_topup: AutoTopup, context: Context) -> bool:
    if auto_topup.last_requested_at is None:
        return auto_topup.is_armed
    if not auto_topup.is_armed and auto_topup.cooldown_seconds == 0:
        return False
    cooldown = timedelta(seconds=auto_topup.cooldown_seconds)
    return context.now >= auto_topup.last_requested_at + cooldown
