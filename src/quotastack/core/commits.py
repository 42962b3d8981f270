"""Commits: what was held is paid for with what was used, and the rest is free again.

Priced by the rule of reserve time at the position of commit time. Quotas refuse nothing any more;
units above the hold count as recorded. A commit writes a usage event, which can be reversed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET, UnsetType

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.blocks import free_after_hold
from quotastack.core.changes import UsageEvent
from quotastack.core.charges import tell_charge, write_charge
from quotastack.core.credit_views import view_draws
from quotastack.core.draft import replace
from quotastack.core.errors import ValidationFailedError
from quotastack.core.metering import CostPlan, apply_cost, find_rule, plan_cost
from quotastack.core.overage import decide_commit, overage_policy
from quotastack.core.quota_signals import QuotaStanding
from quotastack.core.quotas import apply_count, plan_count
from quotastack.core.reservation_views import ReservationView, answer_hold
from quotastack.core.reservations import OneReservation, require_open_account
from quotastack.core.usage import read_event_units, require_metric

if TYPE_CHECKING:
    from quotastack.core.catalog import Metric
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Hold
    from quotastack.core.draft import Draft
    from quotastack.core.overage import PolicyOfOverage
    from quotastack.core.periods import Period
    from quotastack.core.quotas import CountPlan


class CommitReservation(OneReservation, frozen=True, kw_only=True):
    """Pay for what was used of a hold; nothing said means the estimate."""

    actual_units: int | str | None = None
    actual_credits_mc: int | None = None

    def decide(self, draft: Draft, context: Context) -> ReservationView:
        """Charge the actual amount, free the rest, write the usage event.

        Raises:
            NotFoundError, ReservationNotActiveError: see ``require_active``.
            ValidationFailedError: ``actual_units`` of plain credits, or the other way round; bad units.
            AmountOverflowError: the cost is beyond the contract's bound.
            AssetSuspendedError: the account is suspended and the excess would be a new debit.
            InsufficientCreditsError: the excess is neither covered nor allowed; the hold stays active.
        """
        hold = self.require_active(draft)
        if hold.billable_metric_key is None:
            return self._commit_credits(draft, context, hold)
        metric = require_metric(context.catalog, hold.billable_metric_key)
        if self.actual_credits_mc is not None:
            raise ValidationFailedError.at(
                "/actual_credits", "The reservation is in units: commit actual_units."
            )
        units = read_event_units(self.actual_units, metric, pointer="/actual_units")
        if units is None:
            units = hold.estimated_units or 0
        if units < 0:
            raise ValidationFailedError.at("/actual_units", "Must be 0 or more.")
        count = plan_count(
            draft,
            context,
            metric,
            units=units,
            dimensions=hold.dimensions,
            at=context.now,
            is_recorded=True,
            held_units_delta=-(hold.estimated_units or 0),
        )
        cost = _commit_cost(draft, context, hold, metric=metric, count=count, units=units)
        return _write_commit(
            draft, context, hold, cost_mc=cost.cost_mc, metric=metric, units=units, cost=cost, count=count
        )

    def _commit_credits(self, draft: Draft, context: Context, hold: Hold) -> ReservationView:
        if self.actual_units is not None:
            raise ValidationFailedError.at(
                "/actual_units", "The reservation is in plain credits: commit actual_credits."
            )
        actual_mc = hold.reserved_mc if self.actual_credits_mc is None else self.actual_credits_mc
        return _write_commit(draft, context, hold, cost_mc=actual_mc)


def _commit_cost(
    draft: Draft, context: Context, hold: Hold, *, metric: Metric, count: CountPlan, units: int
) -> CostPlan:
    """The price of reserve time at the position of now: the same rule, the quota's tiers, or none."""
    source = hold.terms.get("source", "rule")
    if source == "none":
        return CostPlan(metric=metric, units=units, cost_mc=0, source="none")
    if source == "quota" and count.price_mc is not None:
        return plan_cost(draft, context, metric, units=units, quota_cost_mc=count.price_mc)
    rule = context.catalog.rules_by_id.get(hold.rule_id or "")
    if rule is None:
        # A priced quota that is gone by now leaves the units to the rule in force, if there is one.
        rule = find_rule(context.catalog, metric.key, hold.dimensions, context.now)
        if rule is None:
            return CostPlan(metric=metric, units=units, cost_mc=0, source="none")
    return plan_cost(draft, context, metric, units=units, rule=rule)


def _write_commit(
    draft: Draft,
    context: Context,
    hold: Hold,
    *,
    cost_mc: int,
    metric: Metric | None = None,
    units: int = 0,
    cost: CostPlan | None = None,
    count: CountPlan | None = None,
) -> ReservationView:
    """Decide how the commit is paid, then write it."""
    if cost_mc > hold.reserved_mc:
        require_open_account(draft, hold.unit)
    rule = None if cost is None else cost.rule
    policy = overage_policy(draft, context, rule=rule, metric=metric)
    debit = decide_commit(draft, context, hold=hold, cost_mc=cost_mc, policy=policy)
    quota: QuotaStanding | UnsetType = UNSET
    usage_id = context.new_id()
    terms = hold.terms if metric is None else {**hold.terms, "actual_units": units}
    committed = _end(draft, context, hold, cost_mc=cost_mc, usage_id=usage_id, terms=terms)
    if count is not None and cost is not None:
        quota = apply_count(draft, context, count, cost_mc=cost_mc)
        apply_cost(draft, context, cost)
    sequence = write_charge(
        draft, context, debit, unit=hold.unit, reference=("reservation", hold.id), hold=hold
    )
    free_after_hold(draft, context, hold.unit, hold.created_at)
    event = UsageEvent(
        id=usage_id,
        billable_metric_key="" if metric is None else metric.key,
        status="applied",
        units=units,
        cost_mc=cost_mc,
        unit=hold.unit,
        overage_mc=debit.overage_mc,
        draws=tuple((draw.block.id, draw.amount_mc) for draw in debit.draws),
        rule_id=None if rule is None else rule.id,
        reservation_id=hold.id,
        timestamp=context.now,
        dimensions=hold.dimensions,
        metadata=hold.metadata,
        idempotency_key=context.idempotency_key,
        ledger_sequence=sequence,
        details={} if count is None else count.details,
        created_at=context.now,
    )
    draft.add_usage_event(event)
    _tell_commit(draft, context, event, committed=committed, metric=metric)
    period = None if cost is None else cost.period
    _tell_charge(draft, context, event, metric=metric, policy=policy, period=period)
    return answer_hold(
        draft,
        context,
        committed,
        blocks=view_draws(debit.draws),
        overage=debit.overage_mc,
        quota=quota,
        ledger_sequence=UNSET if sequence is None else sequence,
    )


def _end(
    draft: Draft, context: Context, hold: Hold, *, cost_mc: int, usage_id: str, terms: dict[str, Any]
) -> Hold:
    committed = replace(
        hold,
        status="committed",
        committed_mc=cost_mc,
        returned_mc=max(0, hold.reserved_mc - cost_mc),
        usage_id=usage_id,
        ended_at=context.now,
        terms=terms,
    )
    draft.put_hold(committed)
    return committed


def _tell_commit(
    draft: Draft, context: Context, event: UsageEvent, *, committed: Hold, metric: Metric | None
) -> None:
    account = draft.account(committed.unit)
    data = {
        "reservation_id": committed.id,
        "unit": committed.unit,
        "committed_amount": event.cost_mc,
        "returned_amount": committed.returned_mc,
        "usage_id": event.id,
        "balance": account.balance_mc,
        "effective_balance": account.effective_mc,
    }
    if metric is not None:
        data["billable_metric_key"] = metric.key
    draft.add_event(context, "reservation.committed", data)


def _tell_charge(
    draft: Draft,
    context: Context,
    event: UsageEvent,
    *,
    metric: Metric | None,
    policy: PolicyOfOverage,
    period: Period | None,
) -> None:
    if context.catalog.named_events or event.overage_mc:
        units = None if metric is None else units_on_the_wire(event.units, metric.scale)
        tell_charge(draft, context, event, metric=metric, units=units, policy=policy, period=period)
