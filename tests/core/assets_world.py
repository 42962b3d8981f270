"""A customer with one metric on the pure core: count, hold, let time pass, look."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from quotastack.core.advance import advance
from quotastack.core.catalog import Catalog, Metric
from quotastack.core.commands import HistoryNeededError, RefusedWithChangesError
from quotastack.core.context import Context
from quotastack.core.counters import Recount, find_current
from quotastack.core.customer_state import Counter, Customer, Hold, Override, new_state
from quotastack.core.draft import Draft
from quotastack.core.errors import ProblemError
from quotastack.core.quotas import apply_count, held_units_of, plan_count, quota_of
from quotastack.core.value_faults import value_faults

ENVIRONMENT = "00000000-0000-7000-8000-000000000001"
CUSTOMER = "00000000-0000-7000-8000-0000000000c1"
BEGIN = datetime(2041, 3, 10, 12, tzinfo=UTC)
MARCH, APRIL, MAY = (datetime(2041, month, 1, tzinfo=UTC) for month in (3, 4, 5))
MICROSECOND = timedelta(microseconds=1)


def metric_of(key: str = "calls", **fields: Any) -> Metric:
    return Metric(key=key, id=key, name=key, created_at=BEGIN, updated_at=BEGIN, **fields)


class World:
    """One metric, one customer, one clock."""

    def __init__(self, value: dict[str, Any] | None = None, *, at: datetime = BEGIN, **metric: Any) -> None:
        if "aggregation" in metric and metric["aggregation"] == "Gauge":
            metric.setdefault("type", "gauge")
        self.metric = metric_of(**metric)
        self.now = at
        self.catalog = Catalog(version=1, metrics={self.metric.key: self.metric})
        customer = Customer(id=CUSTOMER, external_id="user_1", created_at=at, updated_at=at)
        self.draft = Draft(new_state(ENVIRONMENT, customer))
        self.numbers = itertools.count(1)
        if value is not None:
            self.override(value)

    @property
    def context(self) -> Context:
        return Context(
            environment_id=ENVIRONMENT,
            environment="test",
            catalog=self.catalog,
            now=self.now,
            request_id=None,
            actor="key:1",
            new_id=lambda: f"00000000-0000-7000-8000-{next(self.numbers):012x}",
            new_salt=lambda: b"0" * 16,
        )

    def override(self, value: dict[str, Any], expires_at: datetime | None = None) -> None:
        assert value_faults(self.metric, value) == []
        override = Override(
            billable_metric_key=self.metric.key,
            value=value,
            expires_at=expires_at,
            created_at=self.now,
            updated_at=self.now,
        )
        self.draft.put_override(override)

    def go(self, at: datetime) -> None:
        self.now = at
        while not advance(self.draft, self.context):
            pass

    def wait(self, **span: float) -> None:
        self.go(self.now + timedelta(**span))

    def use(self, units: int | None = None, **more: Any) -> str:
        """``ok``, or the slug of the refusal."""
        more.setdefault("at", self.now)
        fields = {"units": 1 if units is None and "value" not in more else units or 0}
        try:
            plan = plan_count(self.draft, self.context, self.metric, **fields, **more)
        except RefusedWithChangesError as refusal:
            return refusal.error.slug
        except ProblemError as refusal:
            return refusal.slug
        self.plan = plan
        self.standing = apply_count(self.draft, self.context, plan, cost_mc=plan.price_mc or 0)
        return "ok"

    def read(self, value: int, **more: Any) -> str:
        return self.use(value=value, **more)

    def hold(self, units: int) -> str:
        told = self.use(0, held_units_delta=units)
        if told == "ok":
            hold = Hold(
                id=f"hold-{next(self.numbers)}",
                unit="credits",
                reserved_mc=0,
                billable_metric_key=self.metric.key,
                estimated_units=units,
                expires_at=self.now + timedelta(days=400),
                created_at=self.now,
            )
            self.draft.put_hold(hold)
        return told

    def give_history(self, units: int = 0, *, cost_mc: int = 0, highest: int | None = None) -> None:
        """Load what the counter needs, as the engine would."""
        try:
            find_current(
                self.draft, self.context, self.metric, quota_of(self.draft, self.context, self.metric)
            )
        except HistoryNeededError as more:
            for metric_key, start, _ in more.needs.recounts:
                recount = Recount(units=units, cost_mc=cost_mc, max=highest)
                self.draft.extra["recount", metric_key, start] = recount

    @property
    def counter(self) -> Counter:
        return find_current(
            self.draft, self.context, self.metric, quota_of(self.draft, self.context, self.metric)
        )

    @property
    def value(self) -> int:
        return self.counter.value

    @property
    def level(self) -> str:
        quota = quota_of(self.draft, self.context, self.metric)
        assert quota is not None
        return quota.tier_at(self.value + held_units_of(self.draft, self.metric.key)).level

    @property
    def is_suspended(self) -> bool:
        asset = self.draft.assets.get(self.metric.key)
        return asset is not None and asset.is_suspended

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.draft.changes.events if event.type == kind]

    def signals(self) -> list[str]:
        return [
            event["level"] + (" ended" if event.get("grace_ended") else "")
            for event in self.events("quota.level_changed")
        ]


def tier(up_to: Any, level: str = "Normal", policy: str = "NotifyOnly", **more: Any) -> dict[str, Any]:
    return {"up_to": up_to, "level": level, "policy": policy, **more}


def quota(*tiers: dict[str, Any], period: str = "month", **more: Any) -> dict[str, Any]:
    return {"quota": {"period": period, "tiers": list(tiers), **more}}


LADDER = quota(
    tier(800),
    tier(1_000, "Warning"),
    tier(1_100, "Critical", "AllowWithOverage"),
    tier(None, "OverUsage", "Deny"),
)
