"""Overage: whether a debit may go beyond what is there, how far, and who is told.

One policy is asked for each debit: the first one set of the rule's, the customer's, the plan
variant's and the environment's. Its limit stands beside it and bounds the account's whole overdraft.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from quotastack.core.blocks import plan_commit, plan_spend
from quotastack.core.customer_state import Counter
from quotastack.core.errors import InsufficientCreditsError
from quotastack.core.governing import governing_subscriptions, live_subscriptions, running_variant
from quotastack.core.periods import calendar_period

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.burn_down import Draw
    from quotastack.core.catalog import MeteringRule, Metric, OveragePolicy
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Hold
    from quotastack.core.draft import Draft

OVERAGE: Final = "overage:"


class PolicyOfOverage(NamedTuple):
    """A policy and the limit set beside it; ``limit_mc`` None sets none."""

    policy: OveragePolicy
    limit_mc: int | None


class DebitPlan(NamedTuple):
    """Which blocks pay, and what becomes overdraft (0 for a covered debit)."""

    draws: tuple[Draw, ...]
    overage_mc: int


def overage_policy(
    draft: Draft,
    context: Context,
    *,
    rule: MeteringRule | None = None,
    metric: Metric | None = None,
) -> PolicyOfOverage:
    """The policy that decides: rule, customer, plan variant, environment; the first one that is set.

    Of several governing subscriptions the oldest one's variant with a policy speaks; a postpaid variant without
    one allows. A debit without a metric is governed by every live subscription.
    """
    if rule is not None and rule.overage_policy is not None:
        return PolicyOfOverage(rule.overage_policy, rule.overage_limit)
    customer = draft.customer
    if customer.overage_policy is not None:
        return PolicyOfOverage(customer.overage_policy, customer.overage_limit)
    if draft.subscriptions:
        catalog = context.catalog
        if metric is None:
            variants = [running_variant(catalog, found) for found in live_subscriptions(draft)]
        else:
            variants = [variant for _, variant in governing_subscriptions(draft, catalog, metric.key)]
        for variant in variants:
            if variant.overage_policy is not None:
                return PolicyOfOverage(variant.overage_policy, variant.overage_limit)
            is_fallback = variant.id == catalog.config.default_free_plan_variant_id
            if variant.billing_mode == "postpaid" and not is_fallback:
                return PolicyOfOverage("allow", variant.overage_limit)
    config = context.catalog.config
    return PolicyOfOverage(config.overage_policy, config.overage_limit)


def is_within_limit(policy: PolicyOfOverage, overdraft_mc: int) -> bool:
    """Whether the policy lets an account's overdraft grow to ``overdraft_mc``."""
    return policy.policy != "block" and (policy.limit_mc is None or overdraft_mc <= policy.limit_mc)


def decide_debit(
    draft: Draft,
    context: Context,
    *,
    unit: str,
    cost_mc: int,
    policy: PolicyOfOverage,
    is_recorded: bool = False,
) -> DebitPlan:
    """How a new charge of ``cost_mc`` is paid: from what no hold needs, the rest by overdraft if allowed.

    ``is_recorded``: it has happened already, so neither policy nor limit refuses it.

    Raises:
        InsufficientCreditsError: more is needed than is there, and the policy or its limit forbids the rest.
    """
    if cost_mc == 0:
        return _NOTHING
    draws, missing_mc = plan_spend(draft, context, unit, cost_mc)
    if missing_mc and not is_recorded:
        account = draft.account(unit)
        if not is_within_limit(policy, account.overdraft_mc + missing_mc):
            raise refuse_debit(
                cost_mc=cost_mc,
                available_mc=min(account.effective_mc, cost_mc - missing_mc),
                overdraft_mc=account.overdraft_mc,
                policy=policy,
            )
    return DebitPlan(draws, missing_mc)


_NOTHING: Final = DebitPlan((), 0)


def decide_commit(
    draft: Draft, context: Context, *, hold: Hold, cost_mc: int, policy: PolicyOfOverage
) -> DebitPlan:
    """How a commit of ``hold`` is paid: its own credits first, an excess from what is free.

    What is within the hold is never refused, overdraft included: reserve let it through. The excess is
    charged when the effective balance covers it or the policy allows it.

    Raises:
        InsufficientCreditsError: the excess is neither covered nor allowed.
    """
    draws, missing_mc = plan_commit(draft, context, hold, cost_mc)
    excess_mc = cost_mc - hold.reserved_mc
    if excess_mc > 0 and missing_mc:
        account = draft.account(hold.unit)
        if not is_within_limit(policy, account.overdraft_mc + missing_mc):
            raise refuse_debit(
                cost_mc=excess_mc,
                available_mc=min(account.effective_mc, excess_mc - missing_mc),
                overdraft_mc=account.overdraft_mc,
                policy=policy,
            )
    return DebitPlan(draws, missing_mc)


def require_reservable(
    draft: Draft, context: Context, *, unit: str, cost_mc: int, policy: PolicyOfOverage
) -> None:
    """Refuse a hold that neither the effective balance nor the policy covers.

    The limit counts what would be overdrawn if every active hold were committed.

    Raises:
        InsufficientCreditsError: too little is free, and the policy or its limit forbids more.
    """
    if cost_mc == 0:
        return
    _, missing_mc = plan_spend(draft, context, unit, cost_mc)
    account = draft.account(unit)
    missing_mc = max(missing_mc, cost_mc - account.effective_mc)
    if missing_mc > 0 and not is_within_limit(policy, missing_mc):
        raise refuse_debit(
            cost_mc=cost_mc,
            available_mc=cost_mc - missing_mc,
            overdraft_mc=0,
            policy=policy,
        )


def refuse_debit(
    *, cost_mc: int, available_mc: int, overdraft_mc: int, policy: PolicyOfOverage
) -> InsufficientCreditsError:
    """The refusal, with what could be used at most: under a limit, what is left of it counts too."""
    if policy.policy != "block" and policy.limit_mc is not None:
        available_mc += max(0, policy.limit_mc - overdraft_mc)
    return InsufficientCreditsError.of(required_mc=cost_mc, available_mc=available_mc)


def tell_overage(
    draft: Draft,
    context: Context,
    *,
    unit: str,
    metric: Metric | None,
    period: tuple[datetime, datetime] | None,
    data: dict[str, Any],
) -> None:
    """Send ``usage.overage`` unless this account was told in the period already (policy ``notify``)."""
    start, end = period or calendar_period("month", context.now)
    key = ("" if metric is None else metric.key, OVERAGE + unit)
    told = draft.counters.get(key)
    if told is not None and told.period_start >= start:
        return
    if told is not None:
        # The row is only a mark, but one mark per key can be current.
        draft.put_counter(
            Counter(
                billable_metric_key=key[0],
                kind=key[1],
                period_start=told.period_start,
                period_end=told.period_end,
                value=told.value,
                is_current=False,
            )
        )
    draft.put_counter(
        Counter(billable_metric_key=key[0], kind=key[1], period_start=start, period_end=end, value=1)
    )
    draft.add_event(context, "usage.overage", {**data, "period_start": start, "period_end": end})
