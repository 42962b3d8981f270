"""Usage and reservations of the reference model; see reference.py for its rules of the game."""

import copy
from fractions import Fraction
from typing import Any

from tests.model.calendar_months import month_start
from tests.model.prices import Rule, event_price, pick_rule
from tests.model.reference import DAY, SECOND, Credits, Grey, Refused, Row


class DryRun(Exception):  # noqa: N818 - an answer, not a failure.
    """A dry run ends here, with what it found."""

    def __init__(self, cost: int) -> None:
        super().__init__(cost)
        self.facts = {"cost": cost}


class Spending(Credits):
    """A customer who uses, reserves, commits and takes back."""

    is_plain = False  # Whether the debit at hand is of plain credits, of no metric.

    # -- prices ------------------------------------------------------------------------------------

    def _rule(self, metric: str, dimensions: dict[str, str], at: int) -> Rule | None:
        """The rule that prices an event; None when the metric has no rules at all."""
        rules = self.rules.get(metric, [])
        if not rules:
            return None
        rule = pick_rule(rules, dimensions, at)
        if rule is None:
            raise Refused("no-active-metering-rule")
        return rule

    def _position_key(self, metric: str, rule: Rule, at: int) -> Any:
        return metric, tuple(sorted(rule["match"].items())), self.price_period(metric, at)

    def price_period(self, metric: str, at: int) -> int:
        """Where the pricing period of an instant begins."""
        return month_start(at)

    def _cost(self, metric: str, rule: Rule | None, units: Fraction, at: int) -> int:
        if rule is None:
            return 0
        before = self.positions.get(self._position_key(metric, rule, at), Fraction(0))
        return event_price(rule, before, units)

    def _move_position(self, metric: str, rule: Rule | None, units: Fraction, at: int) -> None:
        if rule is not None:
            key = self._position_key(metric, rule, at)
            self.positions[key] = self.positions.get(key, Fraction(0)) + units

    # -- what quotas add; see quotas.py --------------------------------------------------------------

    def require_entitled(self, metric: str, at: int) -> None:
        """Refuse what a subscription refuses; see subscriptions.py."""

    def counted(self, metric: str, units: Fraction, dimensions: dict[str, str]) -> Fraction:
        """How far an event moves its counter, which is what it is charged for."""
        return units

    def meet(self, metric: str, units: Fraction, at: int, *, record: bool = False) -> None:
        """Refuse what a suspended asset or a quota refuses."""

    def count(self, metric: str, units: Fraction, at: int) -> None:
        """Move the counter; negative units move it back."""

    def price(
        self, metric: str, dimensions: dict[str, str], units: Fraction, at: int
    ) -> tuple[Rule | None, int]:
        """The rule that prices an event, and its cost."""
        rule = self._rule(metric, dimensions, at)
        return rule, self._cost(metric, rule, units, at)

    def commit_price(self, hold: Row, units: Fraction) -> int:
        return self._cost(hold["metric"], hold["rule"], units, self.now)

    # -- usage -------------------------------------------------------------------------------------

    def use(
        self,
        *,
        new_id: str,
        metric: str,
        units: Fraction,
        dimensions: dict[str, str] | None = None,
        record: bool = False,
        dry_run: bool = False,
        late: int = 0,
    ) -> Row:
        """One usage event, ``late`` microseconds old."""
        unit, at = self.metrics[metric]["unit"], self.now - late
        self.is_plain = False
        self.require_entitled(metric, at)
        self._refuse_when_suspended(unit)
        moved = self.counted(metric, units, dimensions or {})
        self.meet(metric, moved, at, record=record)
        rule, cost = self.price(metric, dimensions or {}, moved, at)
        if cost == 0 and self.effective(unit) < 0:
            raise Grey("an event that costs nothing on a negative effective balance")
        if not record:
            self._affordable(unit, cost, rule)
        if dry_run:
            raise DryRun(cost)
        done = self._debit(unit, cost, "usage")
        self._move_position(metric, rule, moved, at)
        self.count(metric, moved, at)
        event = {
            "id": new_id,
            "metric": metric,
            "unit": unit,
            "units": moved,
            "cost": cost,
            "reversed": False,
        }
        self.usages.append({**event, "at": at, **done})
        return {"cost": cost, **done, "balance": self.balance(unit), "effective": self.effective(unit)}

    def reverse(self, *, usage_id: str, new_ids: dict[str, str] | None = None) -> Row:
        """Give an event's cost back: against overdraft, to its blocks, or to a refund block each."""
        event = next(event for event in self.usages if event["id"] == usage_id)
        if event["reversed"]:
            raise Refused("conflict")
        unit = event["unit"]
        owed = self.overdraft.get(unit, 0)
        against = min(event["cost"], owed)
        if against != event["overage"]:
            raise Grey("how a refund is split when the overdraft of now is not the event's own")
        if self.metrics[event["metric"]]["aggregation"] not in {"CumulativeCounter", "UpDownCounter"}:
            raise Grey("what the reversal of a reading does to its counter")
        if any(self.block(block_id)["kept"] is not None for block_id, _ in event["draws"]):
            raise Grey("refund to a block that only has a kept rest")
        self.overdraft[unit] = owed - against
        for block_id, amount in event["draws"]:
            self._give_back(
                self.block(block_id), amount, (new_ids or {}).get(block_id, f"refund-of-{block_id}")
            )
        event["reversed"] = True
        self.count(event["metric"], -event["units"], event["at"])
        self._write("refund", unit, event["cost"])
        self._settle(unit)
        return {"refunded": event["cost"], "balance": self.balance(unit)}

    def _give_back(self, block: Row, amount: int, new_id: str) -> None:
        if block.get("used_up_in_pause"):
            raise Grey("whether the expiry of a block that was used up while it stood still has moved")
        alive = block["status"] in {"active", "depleted"}
        expired = block["expires_at"] is not None and block["expires_at"] <= self.now
        if alive and not expired:
            block["remaining"] += amount
            block["status"] = "active"
            return
        if "kind" in block:
            raise Grey("whether the refund block of a plan's dead block belongs to the plan")
        twin = copy.deepcopy(block)
        later = None if block["expires_at"] is None else max(block["expires_at"], self.now + 30 * DAY)
        twin.update(
            id=new_id,
            original=amount,
            remaining=amount,
            expires_at=later,
            status="active",
            kept=None,
            created_at=self.now,
            effective_at=self.now,
            is_refund=True,
        )
        self.blocks.append(twin)

    # -- reservations ------------------------------------------------------------------------------

    def reserve(
        self,
        *,
        new_id: str,
        credits_mc: int | None = None,
        unit: str = "credits",
        metric: str | None = None,
        units: Fraction | None = None,
        dimensions: dict[str, str] | None = None,
        ttl_seconds: int = 300,
    ) -> Row:
        """A hold on plain credits, or on the estimated cost of units."""
        rule, amount = None, credits_mc or 0
        if metric is not None and units is not None:
            unit = self.metrics[metric]["unit"]
            self.require_entitled(metric, self.now)
            self._refuse_when_suspended(unit)
            self.meet(metric, units, self.now)
            rule, amount = self.price(metric, dimensions or {}, units, self.now)
        self._refuse_when_suspended(unit)
        self.is_plain = metric is None
        if amount == 0 and self.effective(unit) < 0:
            raise Grey("a hold of nothing on a negative effective balance")
        self._affordable(unit, amount, rule)
        hold = {
            "id": new_id,
            "unit": unit,
            "amount": amount,
            "metric": metric,
            "units": units,
            "rule": copy.deepcopy(rule),
            "created_at": self.now,
            "expires_at": self.now + ttl_seconds * SECOND,
            "status": "active",
        }
        self.holds.append(hold)
        self._write("reserve", unit, 0, amount)
        return {"reserved": amount, "effective": self.effective(unit)}

    def commit(
        self, *, hold_id: str, new_id: str, actual_units: Fraction | None = None, actual_mc: int | None = None
    ) -> Row:
        """Pay for what was held; the rest comes back, what is above is charged."""
        hold = self._active_hold(hold_id)
        unit, held, metric = hold["unit"], hold["amount"], hold["metric"]
        units = hold["units"] if actual_units is None else actual_units
        named_mc = held if actual_mc is None else actual_mc
        cost = named_mc if metric is None else self.commit_price(hold, units)
        self.is_plain = metric is None
        if cost > held:
            if self.suspended.get(unit):
                raise Grey("the excess of a commit on a suspended account")
            self._affordable(unit, cost, hold["rule"], held=held)
        done = self._debit(unit, cost, "commit", hold=hold, held=held)
        hold["status"] = "committed"
        if metric is not None:
            self._move_position(metric, hold["rule"], units, self.now)
            self.count(metric, units, self.now)
        event = {"id": new_id, "metric": metric, "unit": unit, "units": units, "cost": cost, "at": self.now}
        self.usages.append({**event, "reversed": metric is None, **done})
        self._expire_kept(hold)
        self._settle(unit)
        return {"committed": cost, "returned": max(0, held - cost), **done, "balance": self.balance(unit)}

    def release(self, *, hold_id: str) -> Row:
        hold = self._active_hold(hold_id)
        hold["status"] = "released"
        self._write("release", hold["unit"], 0, -hold["amount"])
        self._expire_kept(hold)
        self._settle(hold["unit"])
        return {"balance": self.balance(hold["unit"])}

    def extend(self, *, hold_id: str, ttl_seconds: int) -> Row:
        hold = self._active_hold(hold_id)
        until = self.now + ttl_seconds * SECOND
        if until > hold["created_at"] + 7 * DAY:
            raise Grey("which refusal an extension beyond seven days gets")
        hold["expires_at"] = until
        return {"expires_at": until}

    def _active_hold(self, hold_id: str) -> Row:
        hold = self.hold(hold_id)
        if hold["status"] != "active":
            raise Refused("reservation-not-active")
        return hold
