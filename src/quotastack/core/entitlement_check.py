"""The entitlement check: the bouncer's answer, decided like usage would be, writing nothing.

Reasons are found in the contract's order and all figures are given whether or not one refused:
a caller who is told ``insufficient_credits`` also wants to know how many units are affordable.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import AMOUNT_MAX, read_units, units_on_the_wire
from quotastack.core.blocks import plan_spend
from quotastack.core.counters import CARRIED, find_current
from quotastack.core.customer_state import NEVER
from quotastack.core.entitlements import find_bar
from quotastack.core.errors import NotFoundError, ValidationFailedError
from quotastack.core.explanation import explain_check
from quotastack.core.governing import governing_subscriptions, live_subscriptions
from quotastack.core.metering import find_position, find_rule, has_rules, price_kind
from quotastack.core.overage import PolicyOfOverage, is_within_limit, overage_policy
from quotastack.core.pricing import affordable_units, price_usage
from quotastack.core.quota_signals import QuotaStanding, standing
from quotastack.core.quotas import held_units_of, priced_position
from quotastack.core.tiers import Meeting, limit_now, meet_tiers
from quotastack.core.values import ResolvedValue, resolve_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quotastack.core.catalog import Catalog, MeteringRule, Metric
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Counter
    from quotastack.core.draft import Draft
    from quotastack.core.quota_terms import Quota

Reason = Literal[
    "ok",
    "overage",
    "not_entitled",
    "subscription_paused",
    "subscription_overdue",
    "suspended",
    "quota_exceeded",
    "rate_limited",
    "no_matching_rule",
    "insufficient_credits",
]

_NO_DIMENSIONS: Final[dict[str, str]] = {}


class EntitlementQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: may the customer use so many units now? Units are as the caller wrote them."""

    billable_metric_key: str
    units: int | str | None = None
    current: int | str | None = None
    dimensions: dict[str, str] = {}
    explain: bool = False


class EntitlementAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. ``affordable_units`` is null when nothing limits it."""

    allowed: bool
    reason: Reason
    customer_id: str
    external_customer_id: str | None
    billable_metric_key: str
    type: str
    units: int | str
    unit: str
    balance: int
    reserved_balance: int
    effective_balance: int
    estimated_cost: int
    balance_after: int
    affordable_units: int | str | None
    subscription_status: str | UnsetType = UNSET
    overage_policy: str
    value: dict[str, Any]
    value_source: str
    quota: QuotaStanding | UnsetType = UNSET
    explanation: list[dict[str, Any]] | UnsetType = UNSET


class CheckedQuota(NamedTuple):
    """The quota's part of a check."""

    quota: Quota
    counter: Counter
    meeting: Meeting
    value: int
    held_units: int


class CheckedPrice(NamedTuple):
    """The price's part of a check. ``rule`` is also the one that priced tiers make."""

    rule: MeteringRule | None
    before: int
    cost_mc: int
    source: Literal["rule", "quota", "none", "no_match"]


class Decided(NamedTuple):
    """The answer, and until when it stays true if nothing but time passes (NEVER: not at all by itself)."""

    answer: EntitlementAnswer
    valid_until: datetime
    is_repeatable: bool


def find_metric(catalog: Catalog, metric_key: str) -> Metric:
    """The metric of that key.

    Raises:
        NotFoundError: no such metric in this environment.
    """
    metric = catalog.metrics.get(metric_key)
    if metric is None:
        raise NotFoundError(f"There is no billable metric {metric_key}.")
    return metric


def _read(text: int | str | None, metric: Metric, pointer: str) -> int | None:
    """Units of a query, where numbers arrive as text; a metric without decimals takes integers only."""
    if text is None:
        return None
    value: Any = int(text) if isinstance(text, str) and _is_integer(text) else text
    units = read_units(value, metric.scale)
    if units is None:
        decimals = f", or a decimal of at most {metric.scale} decimals" if metric.scale else ""
        raise ValidationFailedError.at(pointer, f"Must be an integer{decimals}, within {AMOUNT_MAX}.")
    return units


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii()


def _read_units(query: EntitlementQuery, metric: Metric) -> int:
    units = _read(query.units, metric, "/units")
    if units is None:
        return 10**metric.scale
    if units < 0 and metric.aggregation != "UpDownCounter":
        raise ValidationFailedError.at("/units", f"Units of a {metric.aggregation} are 0 or more.")
    return units


def _read_current(query: EntitlementQuery, metric: Metric) -> int | None:
    current = _read(query.current, metric, "/current")
    if current is not None and metric.type != "gauge":
        raise ValidationFailedError.at("/current", f"Is for gauges; {metric.key} is {metric.type}.")
    if current is not None and current < 0:
        raise ValidationFailedError.at("/current", "Must be 0 or more.")
    return current


def decide_entitlement(draft: Draft, context: Context, query: EntitlementQuery) -> Decided:
    """Whether usage of these units would be let through now, and why not.

    Raises:
        NotFoundError: no such metric.
        ValidationFailedError: units or current do not fit the metric.
        HistoryNeededError: the counter must be recounted first.
        AmountOverflowError: the cost is beyond the contract's bound.
    """
    metric = find_metric(context.catalog, query.billable_metric_key)
    units = _read_units(query, metric)
    current = _read_current(query, metric)
    value = resolve_value(draft, context.catalog, metric)
    checked = _check_quota(draft, context, metric, value.quota, units=units, current=current)
    price = _check_price(draft, context, metric, checked, units=units, dimensions=query.dimensions)
    policy = overage_policy(draft, context, rule=price.rule, metric=metric)
    reason = _find_reason(draft, context, metric, checked=checked, price=price, policy=policy)
    answer = _answer(
        draft,
        context,
        metric,
        units=units,
        value=value,
        checked=checked,
        price=price,
        policy=policy,
        reason=reason,
    )
    if query.explain:
        answer = msgspec.structs.replace(
            answer,
            explanation=explain_check(
                draft,
                context,
                metric,
                answer=answer,
                value=value,
                checked=checked,
                price=price,
                policy=policy,
            ),
        )
    has_rate_limit = value.quota is not None and value.quota.has_rate_limit
    return Decided(answer, _valid_until(context, metric, checked), not query.explain and not has_rate_limit)


def _valid_until(context: Context, metric: Metric, checked: CheckedQuota | None) -> datetime:
    """The first instant at which something changes that the state's own ``due_at`` does not know of."""
    until = NEVER if checked is None else checked.counter.period_end
    for rule in context.catalog.rules.get(metric.key, ()):
        for at in (rule.active_from, rule.active_to):
            if at is not None and context.now < at < until:
                until = at
    return until


def _check_quota(
    draft: Draft,
    context: Context,
    metric: Metric,
    quota: Quota | None,
    *,
    units: int,
    current: int | None,
) -> CheckedQuota | None:
    if quota is None:
        return None
    counter = find_current(draft, context, metric, quota)
    value = counter.value if current is None else current
    held_units = held_units_of(draft, metric.key)
    before = value + held_units
    meeting = meet_tiers(
        quota,
        counter,
        draft.assets.get(metric.key),
        before=before,
        after=before + units,
        now=context.now,
    )
    return CheckedQuota(quota, counter, meeting, value, held_units)


def _check_price(
    draft: Draft,
    context: Context,
    metric: Metric,
    checked: CheckedQuota | None,
    *,
    units: int,
    dimensions: Mapping[str, str],
) -> CheckedPrice:
    if metric.aggregation in CARRIED or metric.aggregation is None:
        return CheckedPrice(None, 0, 0, "none")
    scale = metric.scale
    if checked is not None and checked.quota.rule is not None:
        rule, before = checked.quota.rule, priced_position(checked.counter)
        return CheckedPrice(rule, before, price_usage(rule, units=units, before=before, scale=scale), "quota")
    if not has_rules(context.catalog, metric.key):
        return CheckedPrice(None, 0, 0, "none")
    rule = find_rule(context.catalog, metric.key, dimensions, context.now)
    if rule is None:
        return CheckedPrice(None, 0, 0, "no_match")
    before = 0
    if rule.cost_type == "tiered" and rule.tier_scope == "period":
        counter, _ = find_position(draft, context, metric.key, kind=price_kind(rule.match), at=context.now)
        before = 0 if counter is None else counter.value
    return CheckedPrice(rule, before, price_usage(rule, units=units, before=before, scale=scale), "rule")


def _find_reason(
    draft: Draft,
    context: Context,
    metric: Metric,
    *,
    checked: CheckedQuota | None,
    price: CheckedPrice,
    policy: PolicyOfOverage,
) -> Reason:
    """The first of the contract's reasons that holds."""
    bar = find_bar(draft, context, metric)
    if bar is not None:
        return bar
    if checked is not None and checked.meeting.refusal is not None:
        return "rate_limited" if checked.meeting.refusal.kind == "rate" else "quota_exceeded"
    if price.source == "no_match":
        return "no_matching_rule"
    if price.cost_mc == 0:
        return "ok"
    _, missing_mc = plan_spend(draft, context, metric.unit, price.cost_mc)
    if missing_mc == 0:
        return "ok"
    overdraft_mc = draft.account(metric.unit).overdraft_mc + missing_mc
    return "overage" if is_within_limit(policy, overdraft_mc) else "insufficient_credits"


def budget_of(draft: Draft, context: Context, unit: str, policy: PolicyOfOverage) -> int | None:
    """The most that one debit may cost now, overage included; None when nothing limits it."""
    account = draft.account(unit)
    _, missing_mc = plan_spend(draft, context, unit, account.free_mc)
    free_mc = account.free_mc - missing_mc
    if policy.policy == "block":
        return free_mc
    if policy.limit_mc is None:
        return None
    return free_mc + max(0, policy.limit_mc - account.overdraft_mc)


def _affordable(
    draft: Draft,
    context: Context,
    metric: Metric,
    *,
    checked: CheckedQuota | None,
    price: CheckedPrice,
    policy: PolicyOfOverage,
) -> int | None:
    """The most units that neither the quota's value nor the credits refuse; None: nothing limits them."""
    found: int | None = None
    if price.source == "no_match":
        return 0
    if price.rule is not None:
        budget_mc = budget_of(draft, context, metric.unit, policy)
        if budget_mc is not None:
            found = affordable_units(price.rule, budget_mc=budget_mc, before=price.before, scale=metric.scale)
    if checked is not None:
        limit = limit_now(checked.quota, checked.counter, context.now)
        if limit is not None:
            left = max(0, limit - checked.value - checked.held_units)
            found = left if found is None else min(found, left)
    return found


def _status_of(draft: Draft, context: Context, metric: Metric) -> str | UnsetType:
    """The status of the subscription that governs the metric, else of the oldest live one."""
    if not draft.subscriptions:
        return UNSET
    governing = governing_subscriptions(draft, context.catalog, metric.key)
    for subscription, variant in governing:
        is_barred = subscription.status == "overdue" and not variant.allow_usage_while_overdue
        if subscription.status != "paused" and not is_barred:
            return subscription.status
    return (governing[0][0] if governing else live_subscriptions(draft)[0]).status


def _answer(
    draft: Draft,
    context: Context,
    metric: Metric,
    *,
    units: int,
    value: ResolvedValue,
    checked: CheckedQuota | None,
    price: CheckedPrice,
    policy: PolicyOfOverage,
    reason: Reason,
) -> EntitlementAnswer:
    account = draft.account(metric.unit)
    balance_mc, effective_mc = account.balance_mc, account.effective_mc
    affordable = _affordable(draft, context, metric, checked=checked, price=price, policy=policy)
    quota: QuotaStanding | UnsetType = UNSET
    if checked is not None:
        quota = standing(
            checked.quota,
            checked.counter,
            metric,
            held_units=checked.held_units,
            tier=checked.meeting.reached,
            now=context.now,
            value=checked.value,
        )
    return EntitlementAnswer(
        allowed=reason in {"ok", "overage"},
        reason=reason,
        customer_id=draft.customer.id,
        external_customer_id=draft.customer.external_id,
        billable_metric_key=metric.key,
        type=metric.type,
        units=units_on_the_wire(units, metric.scale),
        unit=metric.unit,
        balance=balance_mc,
        reserved_balance=account.reserved_mc,
        effective_balance=effective_mc,
        estimated_cost=price.cost_mc,
        balance_after=balance_mc - price.cost_mc,
        affordable_units=None if affordable is None else units_on_the_wire(affordable, metric.scale),
        subscription_status=_status_of(draft, context, metric),
        overage_policy=policy.policy,
        value=value.value,
        value_source=value.value_source,
        quota=quota,
    )
