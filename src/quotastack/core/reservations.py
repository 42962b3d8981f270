"""Reservations: credits and quota units are held now, and paid for when the work is done.

``active -> committed | released | expired``; the three on the right are final. Quota and suspension
decide at reserve. The commit is in ``core/commits.py``; how a hold ends without being spent in
``core/holds.py``, because time ends holds too.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from msgspec import UNSET, UnsetType

from quotastack.core.amounts import units_on_the_wire
from quotastack.core.commands import Command, Needs
from quotastack.core.customer_state import Hold
from quotastack.core.draft import replace
from quotastack.core.entitlements import require_entitled
from quotastack.core.errors import (
    AssetSuspendedError,
    ConflictError,
    NotFoundError,
    ReservationNotActiveError,
    ValidationFailedError,
)
from quotastack.core.holds import HELD_RESERVATIONS_MAX, give_back_hold
from quotastack.core.ledger import append_entry
from quotastack.core.metering import plan_cost
from quotastack.core.overage import overage_policy, require_reservable
from quotastack.core.quota_signals import QuotaStanding
from quotastack.core.quotas import apply_count, plan_count, quota_price
from quotastack.core.reservation_views import ReservationView, answer_hold
from quotastack.core.usage import read_event_units, require_metric

if TYPE_CHECKING:
    from quotastack.core.catalog import MeteringRule, Metric
    from quotastack.core.context import Context
    from quotastack.core.customer_state import CustomerState
    from quotastack.core.draft import Draft
    from quotastack.core.quotas import CountPlan

TTL_SECONDS_DEFAULT: Final = 300
LIFE_MAX: Final = timedelta(days=7)

# Readings cannot be held: nobody knows what the next one will say.
_HELD: Final = frozenset({"CumulativeCounter", "UpDownCounter"})


class Reserve(Command, frozen=True, kw_only=True):
    """Hold the estimated cost of ``estimated_units`` of a metric, or plain ``credits_mc`` of ``unit``."""

    status: ClassVar[int] = 201

    billable_metric_key: str | None = None
    estimated_units: int | str | None = None
    dimensions: dict[str, str] = msgspec.field(default_factory=dict)
    credits_mc: int | None = None
    unit: str | None = None
    ttl_seconds: int = TTL_SECONDS_DEFAULT
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)

    def decide(self, draft: Draft, context: Context) -> ReservationView:
        """Refuse as the entitlement check does, in its order; else hold credits and quota units.

        Raises:
            NotFoundError: no such metric.
            ValidationFailedError: the units do not fit the metric.
            NotEntitledError, AssetSuspendedError: see ``require_entitled``.
            QuotaExceededError, QuotaRateLimitedError, AssetSuspendedError: see ``plan_count``.
            NoActiveMeteringRuleError: rules exist, none fits.
            InsufficientCreditsError: more than the effective balance and the overage policy allow.
            ConflictError: 10,000 reservations are active.
        """
        metric: Metric | None = None
        units: int | None = None
        count: CountPlan | None = None
        rule: MeteringRule | None = None
        terms: dict[str, Any] = {}
        if self.billable_metric_key is None:
            assert self.credits_mc is not None
            unit, cost_mc = self.unit or "credits", self.credits_mc
            require_open_account(draft, unit)
        else:
            metric = require_metric(context.catalog, self.billable_metric_key)
            units = self._read_units(metric)
            require_entitled(draft, context, metric)
            count = plan_count(
                draft,
                context,
                metric,
                dimensions=self.dimensions,
                at=context.now,
                held_units_delta=units,
            )
            cost = plan_cost(
                draft,
                context,
                metric,
                units=units,
                dimensions=self.dimensions,
                quota_cost_mc=quota_price(draft, context, metric, units=units),
            )
            unit, cost_mc, rule = metric.unit, cost.cost_mc, cost.rule
            terms = {"source": cost.source}
        policy = overage_policy(draft, context, rule=rule, metric=metric)
        require_reservable(draft, context, unit=unit, cost_mc=cost_mc, policy=policy)
        if len(draft.holds) >= HELD_RESERVATIONS_MAX:
            raise ConflictError(f"The customer has {HELD_RESERVATIONS_MAX} active reservations already.")
        hold = Hold(
            id=context.new_id(),
            unit=unit,
            reserved_mc=cost_mc,
            billable_metric_key=None if metric is None else metric.key,
            estimated_units=units,
            dimensions=self.dimensions,
            rule_id=None if rule is None else rule.id,
            terms=terms,
            metadata=self.metadata,
            expires_at=context.now + timedelta(seconds=self.ttl_seconds),
            created_at=context.now,
        )
        return self._write(draft, context, hold, metric=metric, count=count)

    def _read_units(self, metric: Metric) -> int:
        if metric.aggregation not in _HELD:
            what = metric.aggregation or f"{metric.type} metric"
            raise ValidationFailedError.at(
                "/billable_metric_key", f"Units of a {what} cannot be reserved; reserve plain credits."
            )
        units = read_event_units(self.estimated_units, metric, pointer="/estimated_units")
        if units is None:
            raise ValidationFailedError.at("/estimated_units", "Is required with billable_metric_key.")
        if units < 0:
            raise ValidationFailedError.at("/estimated_units", "Must be 0 or more.")
        return units

    @staticmethod
    def _write(
        draft: Draft, context: Context, hold: Hold, *, metric: Metric | None, count: CountPlan | None
    ) -> ReservationView:
        quota: QuotaStanding | UnsetType = UNSET
        draft.put_hold(hold)
        if count is not None and count.quota is not None:
            quota = apply_count(draft, context, count)
        account = draft.account(hold.unit)
        append_entry(
            draft,
            context,
            replace(account, reserved_mc=account.reserved_mc + hold.reserved_mc),
            entry_type="reserve",
            reserved_delta_mc=hold.reserved_mc,
            reference=("reservation", hold.id),
        )
        view = answer_hold(draft, context, hold, quota=quota)
        if "reservation.created" in context.catalog.named_events:
            data = {
                "reservation_id": hold.id,
                "unit": hold.unit,
                "reserved_amount": hold.reserved_mc,
                "effective_balance": draft.account(hold.unit).effective_mc,
                "expires_at": hold.expires_at,
            }
            if metric is not None:
                data["billable_metric_key"] = metric.key
                data["estimated_units"] = units_on_the_wire(hold.estimated_units or 0, metric.scale)
            draft.add_event(context, "reservation.created", data)
        return view


def require_open_account(draft: Draft, unit: str) -> None:
    """Refuse a new debit or hold on a suspended account.

    Raises:
        AssetSuspendedError: it is suspended.
    """
    account = draft.accounts.get(unit)
    if account is not None and account.status == "suspended":
        raise AssetSuspendedError(f"The account {unit} is suspended.")


class OneReservation(Command, frozen=True, kw_only=True):
    """Base of what happens to a reservation that exists."""

    reservation_id: str

    @property
    def needs(self) -> Needs:
        """The reservation's row, in case it is final already."""
        return Needs(hold_ids=(self.reservation_id,))

    def lacks(self, state: Draft | CustomerState) -> Needs | None:
        """Nothing for a hold that the state has: should it end first, the draft's changes tell how."""
        return None if self.reservation_id in state.holds else self.needs

    def require_active(self, draft: Draft) -> Hold:
        """The hold, active at this instant: one whose time has come was ended before.

        Raises:
            NotFoundError: the customer has no such reservation.
            ReservationNotActiveError: it is final; the problem carries its status.
        """
        hold = draft.holds.get(self.reservation_id)
        if hold is not None:
            return hold
        ended: Hold | None = draft.changes.holds.get(self.reservation_id) or draft.extra.get(
            ("hold", self.reservation_id)
        )
        if ended is None:
            raise NotFoundError("There is no such reservation.")
        # The row was read before time went on: what is not in the state any more has expired.
        status = "expired" if ended.status == "active" else ended.status
        raise ReservationNotActiveError(
            f"The reservation is {status}.", extra={"reservation_id": ended.id, "reservation_status": status}
        )


class ReleaseReservation(OneReservation, frozen=True, kw_only=True):
    """Give all of a hold back."""

    def decide(self, draft: Draft, context: Context) -> ReservationView:
        """End the hold without spending.

        Raises:
            NotFoundError, ReservationNotActiveError: see ``require_active``.
        """
        released = give_back_hold(draft, context, self.require_active(draft), status="released")
        return answer_hold(draft, context, released)


class ExtendReservation(OneReservation, frozen=True, kw_only=True):
    """Let a hold live for ``ttl_seconds`` from now."""

    is_money: ClassVar[bool] = False

    ttl_seconds: int

    def decide(self, draft: Draft, context: Context) -> ReservationView:
        """Move the end of the hold.

        Raises:
            NotFoundError, ReservationNotActiveError: see ``require_active``.
            ConflictError: it would live for more than 7 days in all.
        """
        hold = self.require_active(draft)
        expires_at = context.now + timedelta(seconds=self.ttl_seconds)
        latest = hold.created_at + LIFE_MAX
        if expires_at > latest:
            raise ConflictError(
                f"A reservation lives for 7 days at most: this one until {latest.isoformat()}.",
                extra={"latest": latest},
            )
        extended = replace(hold, expires_at=expires_at)
        draft.put_hold(extended)
        draft.is_due_stale = True
        return answer_hold(draft, context, extended)
