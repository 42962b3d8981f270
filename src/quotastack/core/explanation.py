"""Explanation: the steps of an entitlement check with what each one looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.blocks import plan_spend
from quotastack.core.entitlements import find_subscription_bar
from quotastack.core.governing import governing_subscriptions
from quotastack.core.overage import is_within_limit

if TYPE_CHECKING:
    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft
    from quotastack.core.entitlement_check import CheckedPrice, CheckedQuota, EntitlementAnswer
    from quotastack.core.overage import PolicyOfOverage
    from quotastack.core.values import ResolvedValue

STEP_OF: Final = {
    "not_entitled": "value",
    "subscription_paused": "subscription",
    "subscription_overdue": "subscription",
    "suspended": "suspension",
    "quota_exceeded": "quota",
    "rate_limited": "quota",
    "no_matching_rule": "price",
    "insufficient_credits": "credits",
}


def explain_check(
    draft: Draft,
    context: Context,
    metric: Metric,
    *,
    answer: EntitlementAnswer,
    value: ResolvedValue,
    checked: CheckedQuota | None,
    price: CheckedPrice,
    policy: PolicyOfOverage,
) -> list[dict[str, Any]]:
    """Each step in its order: what it looked at and whether it let the request through.

    All steps are shown, also those after the one that refused; ``decided`` marks that one.
    """
    steps = [
        {
            "step": "value",
            "passed": value.is_included,
            "value": value.value,
            "value_source": value.value_source,
        },
        _subscription_step(draft, context, metric),
        _suspension_step(draft, metric),
        _quota_step(metric, checked, answer),
        _price_step(metric, price, answer),
        _credits_step(draft, context, metric, price=price, policy=policy),
    ]
    decided_by = STEP_OF.get(answer.reason)
    for step in steps:
        if step["step"] == decided_by:
            step["decided"] = True
    return steps


def _subscription_step(draft: Draft, context: Context, metric: Metric) -> dict[str, Any]:
    bar = find_subscription_bar(draft, context, metric)
    governing = governing_subscriptions(draft, context.catalog, metric.key)
    return {
        "step": "subscription",
        "passed": bar is None,
        "governing": [
            {
                "subscription_id": subscription.id,
                "status": subscription.status,
                "plan_variant_id": variant.id,
                "allow_usage_while_overdue": variant.allow_usage_while_overdue,
            }
            for subscription, variant in governing
        ],
    }


def _suspension_step(draft: Draft, metric: Metric) -> dict[str, Any]:
    account_status = draft.account(metric.unit).status
    asset = draft.assets.get(metric.key)
    is_suspended = asset is not None and asset.is_suspended
    return {
        "step": "suspension",
        "passed": account_status == "active" and not is_suspended,
        "account_status": account_status,
        "asset_suspended": is_suspended,
    }


def _quota_step(metric: Metric, checked: CheckedQuota | None, answer: EntitlementAnswer) -> dict[str, Any]:
    if checked is None:
        return {"step": "quota", "passed": True, "quota": False}
    meeting = checked.meeting
    scale = metric.scale
    step: dict[str, Any] = {
        "step": "quota",
        "passed": meeting.refusal is None,
        "quota": True,
        "period_start": checked.counter.period_start,
        "period_end": checked.counter.period_end,
        "value": units_on_the_wire(checked.value, scale),
        "held_units": units_on_the_wire(checked.held_units, scale),
        "units": answer.units,
        "tier": checked.quota.wire_tiers[meeting.reached.index],
        "tier_index": meeting.reached.index,
    }
    if meeting.refusal is not None:
        step["limit"] = units_on_the_wire(meeting.refusal.limit, scale)
        if meeting.refusal.retry_after_seconds is not None:
            step["retry_after_seconds"] = meeting.refusal.retry_after_seconds
    return step


def _price_step(metric: Metric, price: CheckedPrice, answer: EntitlementAnswer) -> dict[str, Any]:
    step: dict[str, Any] = {
        "step": "price",
        "passed": price.source != "no_match",
        "source": price.source,
        "estimated_cost": price.cost_mc,
        "units": answer.units,
    }
    rule = price.rule
    if rule is None:
        return step
    if price.source == "rule":
        step |= {"rule_id": rule.id, "match": rule.match}
    step |= {"cost_type": rule.cost_type, "rounding": rule.rounding}
    if rule.cost_type == "tiered":
        step |= {
            "tier_mode": rule.tier_mode,
            "tier_scope": rule.tier_scope,
            "position": units_on_the_wire(price.before, metric.scale),
            "tiers": [
                {
                    "up_to": None if tier.up_to is None else units_on_the_wire(tier.up_to, metric.scale),
                    "unit_cost": tier.unit_cost,
                    "per_units": tier.per_units,
                    "flat_cost": tier.flat_cost,
                }
                for tier in rule.tiers
            ],
        }
    elif rule.cost_type == "flat":
        step["flat_cost"] = rule.flat_cost
    else:
        step |= {"unit_cost": rule.unit_cost, "per_units": rule.per_units}
    return step


def _credits_step(
    draft: Draft, context: Context, metric: Metric, *, price: CheckedPrice, policy: PolicyOfOverage
) -> dict[str, Any]:
    account = draft.account(metric.unit)
    draws, missing_mc = plan_spend(draft, context, metric.unit, price.cost_mc)
    overdraft_mc = account.overdraft_mc + missing_mc
    step: dict[str, Any] = {
        "step": "credits",
        "passed": missing_mc == 0 or is_within_limit(policy, overdraft_mc),
        "effective_balance": account.effective_mc,
        "required": price.cost_mc,
        "overage": missing_mc,
        "overage_policy": policy.policy,
        "blocks": [{"block_id": draw.block.id, "amount": draw.amount_mc} for draw in draws],
    }
    if policy.limit_mc is not None:
        step["overage_limit"] = policy.limit_mc
    return step
