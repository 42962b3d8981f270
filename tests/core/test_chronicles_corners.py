"""Lives in the corners, whole: limits of overage, refused fields, late events, volumes, frozen and locked blocks."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.chronicle import Chronicle, metric, rule
from tests.core.plans import template, variant

from quotastack.core.amounts import AMOUNT_MAX
from quotastack.core.catalog import EnvironmentConfig
from quotastack.core.commits import CommitReservation
from quotastack.core.credits import (
    AddAdjustment,
    SetAccountStatus,
    TakeAdjustment,
    VoidBlock,
    WithdrawCredits,
)
from quotastack.core.customers import ChangeCustomer, DeleteCustomer
from quotastack.core.draft import replace
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.overrides import DeleteOverride, PutOverride
from quotastack.core.plan_changes import ChangePlan
from quotastack.core.reservations import ExtendReservation, ReleaseReservation, Reserve
from quotastack.core.subscriptions import (
    CancelSubscription,
    CreateSubscription,
    PatchSubscription,
    PauseSubscription,
    ReactivateSubscription,
    RenewSubscription,
    ResumeSubscription,
)

DAY = timedelta(days=1)
FREE = variant("free", template(1), billing_mode="postpaid")
NORMAL = {"level": "Normal", "policy": "NotifyOnly"}
DENY = {"up_to": None, "level": "OverUsage", "policy": "Deny"}


def grant(life: Chronicle, credits_mc: int, **terms: Any) -> Any:
    return life.act(GrantCredits(terms=GrantTerms(credits_mc=credits_mc, **terms)))


def overage() -> Chronicle:
    """Who may go below 0, and how far: the rule says, else the customer, else the plan, else the environment."""
    config = EnvironmentConfig(overage_policy="notify", overage_limit=40)
    team = variant(
        "team", template(10, "t"), billing_mode="postpaid", overage_policy="allow", overage_limit=60
    )
    life = Chronicle(
        team, metrics=[metric("calls"), metric("strict")], config=config,
        rules=[rule("r", "calls", unit_cost=10), rule("s", "strict", unit_cost=10, overage_policy="block")],
    )  # fmt: skip
    for _ in range(2):
        life.use("calls", 4)
        life.use("calls", 1)
        life.ask("calls")
    life.use("strict", 1)
    life.ask("strict", units=3)
    life.act(ChangeCustomer(overage_policy="allow", overage_limit=45))
    life.use("calls", 1)
    life.ask("calls")
    life.act(ChangeCustomer(overage_policy="block"))
    life.ask("calls")
    life.act(ChangeCustomer(overage_policy=None, overage_limit=None))
    life.act(CreateSubscription(plan_variant_id="team"))
    life.ask("calls")
    life.use("calls", 2)
    hold = life.act(Reserve(billable_metric_key="calls", estimated_units=1))
    life.act(Reserve(billable_metric_key="strict", estimated_units=1))
    life.act(CommitReservation(reservation_id=hold.id, actual_units=3))
    grant(life, 100)
    hold = life.act(Reserve(billable_metric_key="calls", estimated_units=1))
    life.act(CommitReservation(reservation_id=hold.id, actual_units=30))
    life.act(CommitReservation(reservation_id=hold.id, actual_units=9))
    held = life.act(Reserve(credits_mc=10))
    life.act(CommitReservation(reservation_id=held.id, actual_credits_mc=10_000))
    life.act(CommitReservation(reservation_id=held.id, actual_credits_mc=50))
    life.act(TakeAdjustment(amount_mc=AMOUNT_MAX, reason="all", allow_negative=True))
    life.act(TakeAdjustment(amount_mc=AMOUNT_MAX - 57, reason="all", allow_negative=True))
    life.wait(days=31)
    life.act(AddAdjustment(terms=GrantTerms(credits_mc=30, source="adjustment")))
    return life


def fields() -> Chronicle:
    """What a reservation, a commit and a usage event must not look like; holds that end with others around them."""
    life = Chronicle(
        FREE, metrics=[metric("calls", scale=1), metric("seats", type="gauge", aggregation="UpDownCounter"),
                       metric("level", type="gauge", aggregation="Gauge"), metric("sum", aggregation="TotalCounter")],
        rules=[rule("r", "calls", unit_cost=10)],
    )  # fmt: skip
    grant(life, 1_000)
    for command in (
        Reserve(billable_metric_key="calls"),
        Reserve(billable_metric_key="calls", estimated_units=-1),
        Reserve(billable_metric_key="calls", estimated_units="1.25"),
        Reserve(billable_metric_key="calls", estimated_units=1, unit="tokens"),
        Reserve(billable_metric_key="seats", estimated_units=1),
        Reserve(billable_metric_key="level", estimated_units=1),
        Reserve(billable_metric_key="sum", estimated_units=1),
        Reserve(billable_metric_key="calls", estimated_units=10**14),
        Reserve(credits_mc=5, unit="tokens"),
        Reserve(credits_mc=5, dimensions={"a": "b"}),
    ):
        life.act(command)
    held = life.act(Reserve(billable_metric_key="calls", estimated_units=3))
    plain = life.act(Reserve(credits_mc=70))
    none = life.act(Reserve(billable_metric_key="calls", estimated_units=0))
    for command in (
        CommitReservation(reservation_id=held.id, actual_credits_mc=5),
        CommitReservation(reservation_id=held.id, actual_units=-1),
        CommitReservation(reservation_id=held.id, actual_units="x"),
        CommitReservation(reservation_id=plain.id, actual_units=1),
        CommitReservation(reservation_id=none.id),
        CommitReservation(reservation_id=plain.id),
        CommitReservation(reservation_id=held.id),
    ):
        life.act(command)
    for units, value in ((None, None), (1, 1), (-1, None), ("0.5", None), ("0.05", None), (0, None)):
        life.use("calls", units, value=value)
        life.use("seats", units, value=value)
        life.use("level", units, value=value)
        life.use("sum", units, value=value)
    grant(life, 40, unit="tokens")
    tokens = life.act(Reserve(credits_mc=30, unit="tokens", metadata={"job": 9}))
    life.act(CommitReservation(reservation_id=tokens.id, actual_credits_mc=12))
    first = life.act(Reserve(credits_mc=10, ttl_seconds=60))
    life.act(ExtendReservation(reservation_id=first.id, ttl_seconds=600))
    life.wait(minutes=5)
    life.look("holds", sorted(life.draft.holds))
    life.act(ReleaseReservation(reservation_id=first.id))
    return life


def late() -> Chronicle:
    """Events of a closed period and their reversal, by every kind of counter, under quotas."""
    month = {
        "quota": {
            "period": "month",
            "tiers": [
                {"up_to": 10, **NORMAL},
                {"up_to": 20, "level": "Warning", "policy": "AllowWithOverage"},
                DENY,
            ],
        }
    }
    kinds = {
        "calls": {},
        "sum": {"aggregation": "TotalCounter"},
        "level": {"type": "gauge", "aggregation": "Gauge"},
        "seats": {"type": "gauge", "aggregation": "UpDownCounter"},
    }
    life = Chronicle(
        FREE, metrics=[metric(key, **terms) for key, terms in kinds.items()],
        rules=[rule("r", "calls", tiers=({"up_to": 5, "unit_cost": 4}, {"up_to": None, "unit_cost": 2, "flat_cost": 1})),  # noqa: E501
               rule("s", "sum", unit_cost=1)],
        config=EnvironmentConfig(late_event_window_seconds=20 * 86_400),
    )  # fmt: skip
    grant(life, 10_000)
    for key in kinds:
        life.act(PutOverride(billable_metric_key=key, value=month, reason=key))
    life.wait(days=5)
    used = [
        life.use("calls", 8),
        life.use("sum", None, value=7),
        life.use("sum", None, value=11),
        life.use("level", None, value=4),
        life.use("seats", 3),
    ]
    then = life.now
    life.wait(days=27)
    for key in kinds:
        life.ask(key)
    used += [
        life.use("calls", 3, timestamp=then + DAY * 10),
        life.use("sum", None, value=15, timestamp=then + DAY * 10),
        life.use("level", None, value=9, timestamp=then + DAY * 10),
        life.use("seats", -2, timestamp=then + DAY * 10),
        life.use("seats", -9, timestamp=then + DAY * 10),
        life.use("calls", 3, timestamp=then),
        life.use("calls", 12, timestamp=then + DAY * 10, enforcement="record"),
        life.use("calls", 1),
        life.use("sum", None, value=2),
        life.use("level", None, value=1),
        life.use("seats", -1),
    ]
    for event in used:
        if hasattr(event, "id"):
            life.reverse(event)
    for key in kinds:
        life.show(key)
        life.act(DeleteOverride(billable_metric_key=key))
    return life


def volumes() -> Chronicle:
    """Volume prices and event scopes, what they let one afford, holds whose rule is gone or whose metric is free."""
    tiers = (
        {"up_to": 10, "unit_cost": 9},
        {"up_to": 100, "unit_cost": 7, "per_units": 3, "flat_cost": 5},
        {"up_to": None, "unit_cost": 5, "flat_cost": 11},
    )
    life = Chronicle(
        FREE,
        metrics=[metric("event", scale=1), metric("even"), metric("down", scale=2), metric("flat"), metric("none")],
        rules=[rule("r", "event", tiers=tiers, tier_mode="volume", tier_scope="event"),
               rule("s", "even", tiers=tiers, tier_scope="event", rounding="half_even"),
               rule("t", "down", unit_cost=7, per_units=4, rounding="down"),
               rule("u", "flat", cost_type="flat", flat_cost=30)],
    )  # fmt: skip
    for amount in (0, 29, 31, 60, 210, 460):
        if amount:
            grant(life, amount)
        for key in ("event", "even", "down", "flat", "none"):
            life.ask(key, units=3)
    for units in (1, 10, 11, 100, 101):
        life.use("event", units)
        life.use("even", units)
        life.use("down", f"{units}.25")
    grant(life, 5_000)
    for units in (1, 10, 11, 100, 101):
        life.use("event", units)
        life.use("even", units)
        life.use("down", f"{units}.25")
    holds = [
        life.act(Reserve(billable_metric_key=key, estimated_units=12))
        for key in ("event", "even", "down", "flat", "none")
    ]
    life.catalog = replace(life.catalog, rules={}, rules_by_id={})
    for hold in holds:
        life.act(CommitReservation(reservation_id=hold.id, actual_units=13))
    life.catalog = replace(life.catalog, metrics={})
    life.act(Reserve(billable_metric_key="none", estimated_units=12))
    return life


def frozen() -> Chronicle:
    """Blocks that are locked, frozen or kept, and what is paid back into them."""
    rolls = template(100, "l", rollover_percentage=100)
    life = Chronicle(
        variant("lock", rolls, allow_usage_while_overdue=False, renewal_due_days=5),
        variant("other", template(900, "o"), rank=3, billing_mode="postpaid", interval="week"),
        metrics=[metric("calls")], rules=[rule("r", "calls", unit_cost=10)],
    )  # fmt: skip
    lock = life.act(CreateSubscription(plan_variant_id="lock", metadata={"a": 1})).id
    used = [life.use("calls", 1) for _ in range(4)]
    life.act(PauseSubscription(subscription_id=lock))
    life.reverse(used[0])
    life.use("calls", 2)
    life.ask("calls")
    life.wait(days=40)
    life.act(ResumeSubscription(subscription_id=lock))
    life.reverse(used[1])
    life.wait(days=31)
    life.ask("calls")
    life.use("calls", 1)
    life.reverse(used[2])
    life.act(VoidBlock(block_id=next(block.id for block in life.draft.live_blocks("credits"))))
    life.act(PatchSubscription(subscription_id=lock, metadata={"a": None}))
    life.act(CancelSubscription(subscription_id=lock, when="period_end", credits="keep"))
    life.act(CancelSubscription(subscription_id=lock, when="period_end"))
    life.act(RenewSubscription(subscription_id=lock))
    life.reverse(used[3])
    held = life.act(Reserve(credits_mc=50, ttl_seconds=86_400 * 60))
    life.wait(days=31)
    life.act(ReactivateSubscription(subscription_id=lock))
    life.act(ChangePlan(subscription_id=lock, plan_variant_id="other", when="period_end"))
    life.act(ChangePlan(subscription_id=lock, plan_variant_id="other", when="now", credits="reset"))
    life.act(WithdrawCredits(amount_mc=200))
    life.act(CommitReservation(reservation_id=held.id, actual_credits_mc=20))
    life.act(SetAccountStatus(is_suspended=True))
    life.ask("calls")
    life.wait(days=8)
    life.act(DeleteCustomer())
    return life


def priced() -> Chronicle:
    """Holds priced by a quota that is gone when they are committed, and commits that pass a quota's end."""
    paid = {"up_to": 10, "unit_cost": 3, "base_cost": 7, **NORMAL}
    quota = {"quota": {"period": "month", "tiers": [paid, DENY]}}
    life = Chronicle(
        variant(
            "team", template(40, "t"), billing_mode="postpaid", entitlements={"calls": {"enabled": True}}
        ),
        metrics=[metric("calls"), metric("sum", aggregation="TotalCounter")],
        rules=[
            rule("r", "calls", unit_cost=10, match={"model": "large"}),
            rule("s", "calls", unit_cost=1, match={"model": "small"}),
        ],
        named_events=frozenset({"credit.consumed", "reservation.created"}),
    )
    life.act(CreateSubscription(plan_variant_id="team"))
    life.act(PutOverride(billable_metric_key="calls", value=quota))
    held = [
        life.act(Reserve(billable_metric_key="calls", estimated_units=1, dimensions=dimensions))
        for dimensions in ({"model": "large"}, {"model": "small"}, {}, {}, {"model": "large"})
    ]
    life.ask("calls", units=2)
    life.act(CommitReservation(reservation_id=held[3].id, actual_units=2))
    life.use("calls", 4)
    life.act(CommitReservation(reservation_id=held[4].id, actual_units=9))
    life.use("calls", 1)
    life.act(DeleteOverride(billable_metric_key="calls"))
    for hold in held[:3]:
        life.act(CommitReservation(reservation_id=hold.id, actual_units=2))
    free = life.act(Reserve(billable_metric_key="sum", estimated_units=1))
    life.act(CommitReservation(reservation_id=getattr(free, "id", held[0].id)))
    large = life.act(Reserve(billable_metric_key="calls", estimated_units=1, dimensions={"model": "large"}))
    life.act(CommitReservation(reservation_id=large.id, actual_units=90))
    life.use("calls", 5, dimensions={"model": "large"})
    life.wait(days=1)
    life.use("sum", None, value=9)
    life.use("sum", None, value=4, timestamp=life.now - timedelta(hours=3))
    life.use("sum", None, value=5)
    life.use("sum", None, value=5, dimensions={"source": "b"})
    life.wait(days=30)
    life.use("calls", 5, dimensions={"model": "large"})
    return life


CHRONICLES = [priced, overage, fields, late, volumes, frozen]


@pytest.mark.parametrize("live", CHRONICLES, ids=lambda live: live.__name__)
def test_everything_is_as_approved(live: Any) -> None:
    live().compare(live.__name__)
