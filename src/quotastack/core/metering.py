"""Metering: which rule prices an event, at which position, and what must move when it is charged.

A pricing position counts the units of one customer, metric and ``match`` in one period. It is a
``Counter`` of kind ``price:<match>``; beside the position it keeps what a usage summary tells of the
period (per rule: units, cost, tiers). Held units and reversals never move it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from quotastack.core.amounts import AMOUNT_MAX, AmountOverflowError, checked_amount
from quotastack.core.closed_counters import find_closed_counters
from quotastack.core.customer_state import Counter
from quotastack.core.draft import replace
from quotastack.core.errors import NoActiveMeteringRuleError
from quotastack.core.governing import pricing_period
from quotastack.core.periods import calendar_period
from quotastack.core.pricing import price_usage, split_by_tier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quotastack.core.catalog import Catalog, MeteringRule, Metric
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft
    from quotastack.core.periods import Period

PRICE: Final = "price:"
PRICE_OF_ALL: Final = "price:{}"
PRICE_OF_QUOTA: Final = "price:quota"

_encode = msgspec.json.Encoder(order="deterministic").encode
_EMPTY: Final[dict[str, Any]] = {}


class CostPlan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an event will cost, found without changing anything; ``apply_cost`` makes it so.

    ``before`` is the position it is priced at. ``counter`` is the position's row as it stands, None
    when this event begins its period. ``source`` tells whose price it is: a rule's, the quota's
    priced tiers', or nobody's (cost 0).
    """

    metric: Metric
    units: int
    cost_mc: int
    source: Literal["rule", "quota", "none"]
    rule: MeteringRule | None = None
    kind: str = PRICE_OF_ALL
    before: int = 0
    counter: Counter | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None

    @property
    def rule_id(self) -> str | None:
        """The rule that the event names; None when no rule priced it."""
        return None if self.rule is None else self.rule.id

    @property
    def period(self) -> Period | None:
        """The pricing period; None when nothing is priced."""
        if self.period_start is None or self.period_end is None:
            return None
        return self.period_start, self.period_end


def has_rules(catalog: Catalog, metric_key: str) -> bool:
    """Whether the metric was ever given a price: then an event that none of its rules fits is refused."""
    return bool(catalog.rules.get(metric_key))


def find_rule(
    catalog: Catalog, metric_key: str, dimensions: Mapping[str, str], at: datetime
) -> MeteringRule | None:
    """The rule in force at ``at`` that matches the most dimensions; None when none matches."""
    found: MeteringRule | None = None
    for rule in catalog.rules.get(metric_key, ()):
        if rule.active_from > at or (rule.active_to is not None and rule.active_to <= at):
            continue
        if found is not None and len(rule.match) < len(found.match):
            continue
        if not rule.match or all(dimensions.get(name) == value for name, value in rule.match.items()):
            found = rule
    return found


def price_kind(match: Mapping[str, str]) -> str:
    """The kind of counter that positions the rules of one ``match``, whichever of them is in force."""
    return PRICE_OF_ALL if not match else PRICE + _encode(match).decode()


@lru_cache(maxsize=64)
def _utc_month(year: int, month: int) -> Period:
    return calendar_period("month", datetime(year, month, 1, tzinfo=UTC))


def price_period(draft: Draft, catalog: Catalog, metric_key: str, at: datetime) -> Period:
    """``pricing_period``, cheap for customers without a subscription."""
    if draft.subscriptions:
        return pricing_period(draft, catalog, metric_key, at)
    return _utc_month(at.year, at.month)


def find_position(
    draft: Draft, context: Context, metric_key: str, *, kind: str, at: datetime
) -> tuple[Counter | None, Period]:
    """The counter of the pricing period at ``at`` and the period; None when nothing was priced in it yet.

    Raises:
        HistoryNeededError: the period's counter is not in the state and was not loaded.
    """
    period = price_period(draft, context.catalog, metric_key, at)
    start = period[0]
    current = draft.counters.get((metric_key, kind))
    if current is not None and current.period_start == start:
        return current, period
    # A period that is over may have been counted by late events alone, after the newest that ran.
    is_new = context.now < period[1] and (current is None or current.period_start < start)
    return (None if is_new else _find_closed(draft, metric_key, kind=kind, start=start, at=at)), period


def _find_closed(
    draft: Draft, metric_key: str, *, kind: str, start: datetime, at: datetime
) -> Counter | None:
    for counter in find_closed_counters(draft, metric_key, at):
        if counter.kind == kind and counter.period_start == start:
            return counter
    return None


def plan_cost(
    draft: Draft,
    context: Context,
    metric: Metric,
    *,
    units: int,
    dimensions: Mapping[str, str] = _EMPTY,
    at: datetime | None = None,
    rule: MeteringRule | None = None,
    quota_cost_mc: int | None = None,
) -> CostPlan:
    """What ``units`` cost at ``at`` (default now), by ``rule`` or by the one then in force.

    ``quota_cost_mc`` is the price that a quota's priced tiers set: it stands in place of any rule's.

    Raises:
        NoActiveMeteringRuleError: the metric has rules, and none fits the dimensions at that time.
        AmountOverflowError: the cost is beyond the contract's bound.
    """
    when = context.now if at is None else at
    catalog = context.catalog
    if quota_cost_mc is not None:
        checked_amount(quota_cost_mc)
        counter, (start, end) = find_position(draft, context, metric.key, kind=PRICE_OF_QUOTA, at=when)
        return CostPlan(
            metric=metric,
            units=units,
            cost_mc=quota_cost_mc,
            source="quota",
            kind=PRICE_OF_QUOTA,
            before=0 if counter is None else counter.value,
            counter=counter,
            period_start=start,
            period_end=end,
        )
    if rule is None:
        if not catalog.rules.get(metric.key):
            return CostPlan(metric=metric, units=units, cost_mc=0, source="none")
        rule = require_rule(catalog, metric.key, dimensions, when)
    kind = PRICE_OF_ALL if not rule.match else price_kind(rule.match)
    counter, (start, end) = find_position(draft, context, metric.key, kind=kind, at=when)
    before = 0 if counter is None else counter.value
    return CostPlan(
        metric=metric,
        units=units,
        cost_mc=price_usage(rule, units=units, before=before, scale=metric.scale),
        source="rule",
        rule=rule,
        kind=kind,
        before=before,
        counter=counter,
        period_start=start,
        period_end=end,
    )


def require_rule(
    catalog: Catalog, metric_key: str, dimensions: Mapping[str, str], at: datetime
) -> MeteringRule:
    """``find_rule``, refused when there is none.

    Raises:
        NoActiveMeteringRuleError: no rule of the metric fits the dimensions at that time.
    """
    rule = find_rule(catalog, metric_key, dimensions, at)
    if rule is None:
        raise NoActiveMeteringRuleError(
            f"The metric {metric_key} has metering rules, but none that is in force at {at.isoformat()} "
            "matches these dimensions.",
            extra={"metric": metric_key},
        )
    return rule


def apply_cost(draft: Draft, context: Context, plan: CostPlan) -> None:
    """Move the position of ``plan`` and note what its period's summary will tell.

    An event of a closed period also stands under ``late`` in the running period's counter, so that the
    next summary tells of it.
    """
    if plan.period_start is None or plan.period_end is None:
        return
    known = plan.counter
    details = _EMPTY if known is None else known.details
    is_running = context.now < plan.period_end
    counter = Counter(
        billable_metric_key=plan.metric.key,
        kind=plan.kind,
        period_start=plan.period_start,
        period_end=plan.period_end,
        value=_position(plan.before + plan.units),
        cost_mc=plan.cost_mc if known is None else known.cost_mc + plan.cost_mc,
        details={**details, "rules": _add_to_rules(details.get("rules", _EMPTY), plan)},
        is_current=is_running or (known is not None and known.is_current),
    )
    if counter.is_current:
        current = draft.counters.get((plan.metric.key, plan.kind))
        if current is not None and current.period_start != counter.period_start:
            close_counter(draft, current, plan.period_start)
    draft.put_counter(counter)
    if draft.subscriptions and not is_running:
        _note_late(draft, context, plan)


def close_counter(draft: Draft, counter: Counter, next_start: datetime) -> None:
    """Let a position go into history: its period is over at ``next_start`` at the latest.

    The row's end is moved forward when a pause made the period longer than it was at the last event.
    """
    ended = replace(counter, is_current=False, period_end=max(counter.period_end, next_start))
    draft.put_counter(ended)


def _position(value: int) -> int:
    if value > AMOUNT_MAX:
        raise AmountOverflowError(f"the position {value} is beyond what can be counted")
    return value


def _add_to_rules(rules: Mapping[str, Any], plan: CostPlan) -> dict[str, Any]:
    """``rules`` (rule id -> units, cost, tiers as [up_to, units, cost]) with the event of ``plan`` in it."""
    rule = plan.rule
    rule_id = "quota" if rule is None else rule.id
    row = add_to_rule(rules.get(rule_id), units=plan.units, cost_mc=plan.cost_mc)
    if rule is not None and rule.cost_type == "tiered":
        tiers = [list(tier) for tier in row.get("tiers", ())]
        shares = split_by_tier(
            rule, units=plan.units, before=plan.before, scale=plan.metric.scale, cost_mc=plan.cost_mc
        )
        for share in shares:
            for tier in tiers:
                if tier[0] == share.up_to:
                    tier[1] += share.units
                    tier[2] += share.cost_mc
                    break
            else:
                tiers.append([share.up_to, share.units, share.cost_mc])
        row["tiers"] = tiers
    return {**rules, rule_id: row}


def add_to_rule(row: Mapping[str, Any] | None, *, units: int, cost_mc: int) -> dict[str, Any]:
    """What one rule's row of a period says with an event more; tiers aside."""
    if row is None:
        return {"units": units, "cost": cost_mc}
    return {**row, "units": row["units"] + units, "cost": row["cost"] + cost_mc}


def _note_late(draft: Draft, context: Context, plan: CostPlan) -> None:
    assert plan.period_start is not None
    assert plan.period_end is not None
    start, end = price_period(draft, context.catalog, plan.metric.key, context.now)
    if start <= plan.period_start:
        return
    current = draft.counters.get((plan.metric.key, plan.kind))
    if current is not None and current.period_start < start:
        close_counter(draft, current, start)
        current = None
    if current is None:
        current = Counter(
            billable_metric_key=plan.metric.key, kind=plan.kind, period_start=start, period_end=end
        )
    late = dict(current.details.get("late", {}))
    period = plan.period_start.isoformat()
    known = late.get(period, {"period_end": plan.period_end.isoformat(), "rules": {}})
    late[period] = {**known, "rules": _add_to_rules(known["rules"], plan)}
    draft.put_counter(replace(current, details={**current.details, "late": late}))
