"""Usage: one event is entitled, counted, priced, paid and written, in one decision.

``RecordUsage`` is the hottest command of all. Most events are plain and decided in one pass (``core/plain_usage.py``);
for the others it looks everything up once and replaces only the structs that change. ``AcceptUsage`` decides the same
event for a caller who does not wait for the outcome: a refusal is kept under the event's id and told, instead of
answered.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET

from quotastack.core.amounts import AMOUNT_MAX, AmountOverflowError, read_units, units_on_the_wire
from quotastack.core.changes import UsageEvent
from quotastack.core.charges import tell_charge, write_charge
from quotastack.core.commands import Command, RefusedWithChangesError
from quotastack.core.counters import check_event_fields
from quotastack.core.credit_views import DrawView
from quotastack.core.entitlements import require_entitled
from quotastack.core.errors import (
    NotFoundError,
    ProblemError,
    TimestampOutOfRangeError,
    ValidationFailedError,
)
from quotastack.core.metering import CostPlan, apply_cost, plan_cost
from quotastack.core.overage import decide_debit, overage_policy
from quotastack.core.plain_usage import decide_plain, find_plain
from quotastack.core.quotas import CountPlan, apply_count, plan_count
from quotastack.core.usage_views import AcceptedView, UsageView

if TYPE_CHECKING:
    from quotastack.core.catalog import Catalog, Metric
    from quotastack.core.context import Context
    from quotastack.core.draft import Draft

AHEAD_MAX: Final = timedelta(minutes=5)
_COUNTED: Final = frozenset({"metered", "gauge"})
_NOTHING: Final[dict[str, Any]] = {}


def require_metric(catalog: Catalog, metric_key: str) -> Metric:
    """The metric of that key.

    Raises:
        NotFoundError: no such metric in this environment.
    """
    metric = catalog.metrics.get(metric_key)
    if metric is None:
        raise NotFoundError(f"There is no billable metric {metric_key}.")
    return metric


def read_event_units(units: int | str | None, metric: Metric, *, pointer: str) -> int | None:
    """Units as a caller wrote them, at the metric's scale; None when there were none.

    Raises:
        ValidationFailedError: a string where the metric has no decimals, too many decimals, too large.
    """
    if units is None:
        return None
    read = read_units(units, metric.scale)
    if read is None:
        form = (
            f"an integer or a decimal string of at most {metric.scale} decimals"
            if metric.scale
            else "an integer"
        )
        raise ValidationFailedError.at(pointer, f"Must be {form}, within {AMOUNT_MAX}.")
    return read


def check_timestamp(timestamp: datetime, context: Context) -> datetime:
    """When the event counts: its ``timestamp``, or now for one that lies a little ahead.

    Nothing is counted in a period, or by a price, that has not begun.

    Raises:
        TimestampOutOfRangeError: more than 5 minutes ahead, or before the window for late events.
    """
    now = context.now
    if timestamp >= now:
        if timestamp - now > AHEAD_MAX:
            raise TimestampOutOfRangeError(
                f"The timestamp is more than 5 minutes ahead of {now.isoformat()}.",
                extra={"latest": now + AHEAD_MAX},
            )
        return now
    earliest = now - timedelta(seconds=context.catalog.config.late_event_window_seconds)
    if timestamp < earliest:
        raise TimestampOutOfRangeError(
            f"The timestamp is before {earliest.isoformat()}, the oldest that is taken now.",
            extra={"earliest": earliest},
        )
    return timestamp


class RecordUsage(Command, frozen=True, kw_only=True):
    """One usage event. ``units`` and ``value`` are as the caller wrote them: the metric's scale reads them."""

    status: ClassVar[int] = 201

    billable_metric_key: str
    units: int | str | None = None
    value: int | str | None = None
    timestamp: datetime | None = None
    dimensions: dict[str, str] = msgspec.field(default_factory=dict)
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    enforcement: Literal["enforce", "record"] = "enforce"
    dry_run: bool = False

    @property
    def is_dry_run(self) -> bool:
        """Whether the caller only asks what would happen."""
        return self.dry_run

    def decide(self, draft: Draft, context: Context) -> UsageView:
        """Refuse as the entitlement check does, in its order; else count, charge and write the event.

        Raises:
            NotFoundError: no such metric.
            ValidationFailedError: units or value do not fit the metric.
            TimestampOutOfRangeError: too old or too far ahead.
            NotEntitledError, AssetSuspendedError: see ``require_entitled``.
            QuotaExceededError, QuotaRateLimitedError, AssetSuspendedError, ConflictError: see ``plan_count``.
            NoActiveMeteringRuleError: rules exist, none fits.
            InsufficientCreditsError: more than the balance and the overage policy allow.
            AmountOverflowError: a result beyond the contract's bound.
        """
        return self.decide_as(draft, context, context.new_id())

    def decide_as(self, draft: Draft, context: Context, usage_id: str) -> UsageView:
        """``decide`` for an event whose id is known."""
        plain = find_plain(self, draft, context)
        if plain is not None:
            return decide_plain(self, draft, context, plain, usage_id)
        return self._decide_in_turn(draft, context, usage_id)

    def _decide_in_turn(self, draft: Draft, context: Context, usage_id: str) -> UsageView:
        """Ask every capability what it has to say."""
        metric = require_metric(context.catalog, self.billable_metric_key)
        units, value = self._read_amounts(metric)
        at = now = context.now
        if self.timestamp is not None:
            at = check_timestamp(self.timestamp, context)
        require_entitled(draft, context, metric)
        is_recorded = self.enforcement == "record"
        count = plan_count(
            draft,
            context,
            metric,
            units=units,
            value=value,
            dimensions=self.dimensions,
            at=at,
            is_recorded=is_recorded,
        )
        cost = self._plan_cost(draft, context, metric, count=count, at=at)
        cost_mc, unit = cost.cost_mc, metric.unit
        policy = overage_policy(draft, context, rule=cost.rule, metric=metric)
        debit = decide_debit(
            draft, context, unit=unit, cost_mc=cost_mc, policy=policy, is_recorded=is_recorded
        )

        quota = apply_count(draft, context, count, cost_mc=cost_mc)
        apply_cost(draft, context, cost)
        sequence = write_charge(draft, context, debit, unit=unit, reference=("usage", usage_id))
        draws = tuple([(draw.block.id, draw.amount_mc) for draw in debit.draws])
        details = count.details
        if is_recorded:
            details = {**details, "enforcement": "record"}
        event = UsageEvent(
            id=usage_id,
            billable_metric_key=metric.key,
            status="applied",
            units=count.charged_units if metric.aggregation == "TotalCounter" else units,
            value=value,
            cost_mc=cost_mc,
            unit=unit,
            overage_mc=debit.overage_mc,
            draws=draws,
            rule_id=cost.rule_id,
            timestamp=at if self.timestamp is None else self.timestamp,
            dimensions=self.dimensions,
            metadata=self.metadata,
            idempotency_key=context.idempotency_key,
            ledger_sequence=sequence,
            details=details,
            created_at=now,
        )
        draft.add_usage_event(event)
        if context.catalog.named_events or event.overage_mc:
            told_units = units_on_the_wire(event.units, metric.scale)
            tell_charge(
                draft, context, event, metric=metric, units=told_units, policy=policy, period=cost.period
            )
        return self._answer(draft, event, metric=metric, quota=quota)

    def _read_amounts(self, metric: Metric) -> tuple[int, int | None]:
        """The event's units (1 when it names none) and its reading, checked against the aggregation."""
        if metric.type not in _COUNTED:
            raise ValidationFailedError.at(
                "/billable_metric_key", f"A {metric.type} metric is never counted."
            )
        units, value = self.units, self.value
        if value is None and metric.scale == 0 and metric.aggregation == "CumulativeCounter":
            if units is None:
                return 1, None
            if type(units) is int and 0 <= units <= AMOUNT_MAX:
                return units, None
        read = read_event_units(units, metric, pointer="/units")
        reading = read_event_units(value, metric, pointer="/value")
        check_event_fields(metric, units=read, value=reading)
        if reading is not None:
            return 0, reading
        return 10**metric.scale if read is None else read, None

    def _plan_cost(
        self, draft: Draft, context: Context, metric: Metric, *, count: CountPlan, at: datetime
    ) -> CostPlan:
        if count.movement.reading is None and self.value is not None:
            # A reading older than the last one is kept; it changes nothing and costs nothing.
            return CostPlan(metric=metric, units=0, cost_mc=0, source="none")
        return plan_cost(
            draft,
            context,
            metric,
            units=count.charged_units,
            dimensions=self.dimensions,
            at=at,
            quota_cost_mc=count.price_mc,
        )

    def _answer(self, draft: Draft, event: UsageEvent, *, metric: Metric, quota: Any) -> UsageView:
        account = draft.account(event.unit)
        scale = metric.scale
        return UsageView(
            id=event.id,
            status=event.status,
            customer_id=draft.customer.id,
            external_customer_id=draft.customer.external_id,
            billable_metric_key=metric.key,
            units=UNSET if metric.aggregation == "Gauge" else units_on_the_wire(event.units, scale),
            value=UNSET if event.value is None else units_on_the_wire(event.value, scale),
            cost=event.cost_mc,
            unit=event.unit,
            rule_id=UNSET if event.rule_id is None else event.rule_id,
            blocks=tuple([DrawView(block_id, amount_mc) for block_id, amount_mc in event.draws]),
            overage=event.overage_mc,
            quota=quota,
            balance=account.balance_mc,
            reserved_balance=account.reserved_mc,
            effective_balance=account.effective_mc,
            ledger_sequence=UNSET if event.ledger_sequence is None else event.ledger_sequence,
            timestamp=event.timestamp,
            dimensions=event.dimensions or UNSET,
            metadata=event.metadata or UNSET,
            enforcement="record" if self.enforcement == "record" else UNSET,
            dry_run=True if self.dry_run else UNSET,
            created_at=event.created_at,
            version=draft.next_version,
        )


class AcceptUsage(Command, frozen=True, kw_only=True):
    """Take a usage event for a caller who does not wait for its outcome (``Prefer: respond-async``).

    It is decided where it stands in the customer's order of arrival, in the transaction that makes it
    durable: there is no moment at which it is accepted and not applied, and nothing to apply again
    after a crash.
    """

    status: ClassVar[int] = 202

    usage: RecordUsage

    def decide(self, draft: Draft, context: Context) -> AcceptedView:
        """Apply the event; keep and tell a refusal that the state causes, under the event's id.

        Raises:
            NotFoundError, ValidationFailedError, TimestampOutOfRangeError: the request itself is wrong.
        """
        usage_id = context.new_id()
        try:
            self.usage.decide_as(draft, context, usage_id)
        except (NotFoundError, ValidationFailedError, TimestampOutOfRangeError):
            raise
        except RefusedWithChangesError as refusal:
            self._reject(draft, context, usage_id, refusal.error)
        except AmountOverflowError as overflow:
            self._reject(
                draft, context, usage_id, ValidationFailedError(f"The result is out of range: {overflow}.")
            )
        except ProblemError as refusal:
            self._reject(draft, context, usage_id, refusal)
        return AcceptedView(
            id=usage_id,
            status="accepted",
            customer_id=draft.customer.id,
            external_customer_id=draft.customer.external_id,
            version=draft.next_version,
        )

    def _reject(self, draft: Draft, context: Context, usage_id: str, refusal: ProblemError) -> None:
        usage = self.usage
        metric = context.catalog.metrics[usage.billable_metric_key]
        units = read_event_units(usage.units, metric, pointer="/units")
        value = read_event_units(usage.value, metric, pointer="/value")
        if units is None and value is None:
            units = 10**metric.scale
        problem = {
            "type": f"/errors/{refusal.slug}",
            "detail": refusal.detail,
            **msgspec.to_builtins(refusal.extra),
        }
        draft.add_usage_event(
            UsageEvent(
                id=usage_id,
                billable_metric_key=metric.key,
                status="rejected",
                units=units or 0,
                value=value,
                unit=metric.unit,
                timestamp=usage.timestamp or context.now,
                dimensions=usage.dimensions,
                metadata=usage.metadata,
                idempotency_key=context.idempotency_key,
                details={"problem": problem},
                created_at=context.now,
            )
        )
        data = {
            "usage_id": usage_id,
            "billable_metric_key": metric.key,
            "units": units_on_the_wire(units or 0, metric.scale),
            "problem": problem,
        }
        draft.add_event(context, "usage.rejected", data)
