"""Lives of quotas, subscriptions and contracts, whole: against what was approved of them."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.chronicle import Chronicle, metric, rule
from tests.core.lives import START
from tests.core.plans import template, variant

from quotastack.core.asset_views import list_assets
from quotastack.core.assets import ResumeAsset, SuspendAsset, TopupAsset, WithdrawFromAsset
from quotastack.core.catalog import EnvironmentConfig
from quotastack.core.commits import CommitReservation
from quotastack.core.credits import (
    TakeAdjustment,
)
from quotastack.core.grants import GrantTerms
from quotastack.core.overrides import DeleteOverride, PutOverride, RecountAsset
from quotastack.core.plan_changes import ChangePlan
from quotastack.core.reservations import Reserve
from quotastack.core.subscription_views import view_timeline
from quotastack.core.subscriptions import (
    CancelSubscription,
    CreateSubscription,
    PatchSubscription,
    PauseSubscription,
    ReactivateSubscription,
    RenewSubscription,
    ResumeSubscription,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NAMED = frozenset({"credit.consumed", "reservation.created"})


def quotas() -> Chronicle:
    """A ladder walked up, over, down again, into the next period; grace, rates, suspension, priced tiers."""
    ladder = {
        "quota": {
            "period": "month",
            "tiers": [
                {"up_to": 10, "level": "Normal", "policy": "NotifyOnly"},
                {"up_to": 20, "level": "Warning", "policy": "AllowWithOverage", "unit_cost": 4},
                {"up_to": 30, "level": "Critical", "policy": "AllowWithGrace", "grace_units": 3},
                {"up_to": None, "level": "OverUsage", "policy": "Deny"},
            ],
        }
    }
    limited = {
        "quota": {
            "period": "day",
            "alignment": "calendar",
            "tiers": [
                {"up_to": 5, "level": "Normal", "policy": "NotifyOnly"},
                {"up_to": 8, "level": "Warning", "policy": "RateLimit", "rate": {"units": 2, "seconds": 60}},
                {"up_to": None, "level": "OverUsage", "policy": "SuspendUsage", "resume": "next_period"},
            ],
        }
    }
    life = Chronicle(
        variant(
            "plan",
            template(1_000),
            billing_mode="postpaid",
            entitlements={
                "calls": ladder,
                "mails": limited,
                "seats": {"cap": 3},
                "is_on": {"enabled": True},
                "limits": {"config": {"rows": 5}},
            },
        ),
        metrics=[
            metric("calls"),
            metric("mails"),
            metric("seats", type="gauge", aggregation="UpDownCounter"),
            metric("is_on", type="boolean", aggregation=None),
            metric("limits", type="static", aggregation=None),
            metric("other", scale=1),
        ],
        rules=[rule("r1", "mails", unit_cost=2), rule("r2", "other", unit_cost=5, per_units=2)],
    )
    for key in ("calls", "mails", "seats", "is_on", "limits", "other"):
        life.ask(key)
    life.act(CreateSubscription(plan_variant_id="plan"))
    for key in ("calls", "mails", "seats", "is_on", "limits", "other"):
        life.ask(key)
        life.ask(key, units=2)
    first = life.use("calls", 8)
    hold = life.act(Reserve(billable_metric_key="calls", estimated_units=4))
    life.use("calls", 1)
    life.ask("calls", units=3)
    life.act(CommitReservation(reservation_id=hold.id, actual_units=3))
    life.use("calls", 4)
    life.wait(hours=2)
    life.use("calls", 1)
    over = life.use("calls", 6)
    life.ask("calls", units=20)
    life.use("calls", 20)
    life.use("calls", 20, enforcement="record")
    life.ask("calls")
    life.show("calls")
    life.reverse(over)
    life.reverse(first)
    life.use("mails", 4)
    life.use("mails", 2)
    life.use("mails", 2)
    life.wait(minutes=1)
    life.use("mails", 2)
    life.use("mails", 2)
    life.ask("mails", units=1)
    life.use("mails", 1)
    life.act(ResumeAsset(billable_metric_key="mails"))
    life.act(SuspendAsset(billable_metric_key="mails"))
    life.act(SuspendAsset(billable_metric_key="mails"))
    life.use("mails", 1)
    life.ask("mails")
    life.wait(days=1)
    life.use("mails", 1)
    life.act(ResumeAsset(billable_metric_key="mails"))
    life.use("mails", 1)
    life.use("seats", 2)
    life.use("seats", 2)
    life.use("seats", -1)
    life.ask("seats", units=2)
    life.ask("seats", current=3)
    life.ask("other", units="0.5", dimensions={"model": "x"})
    life.look("assets", [found.key for found in list_assets(life.draft, life.context())])
    for key in ("calls", "mails", "seats"):
        life.show(key)
    life.act(
        PutOverride(
            billable_metric_key="calls",
            value={
                "quota": {
                    "period": "week",
                    "tiers": [
                        {"up_to": 5, "level": "Normal", "policy": "NotifyOnly"},
                        {"up_to": None, "level": "OverUsage", "policy": "Deny"},
                    ],
                }
            },
            expires_at=life.now + 3 * DAY,
            reason="vip",
        )
    )
    life.act(PutOverride(billable_metric_key="calls", value={"quota": {"period": "never", "tiers": []}}))
    life.act(PutOverride(billable_metric_key="nothing", value={}))
    life.act(PutOverride(billable_metric_key="is_on", value={"enabled": False}))
    life.ask("is_on")
    life.use("is_on", 1)
    life.use("calls", 1)
    life.act(RecountAsset(billable_metric_key="calls"))
    life.ask("calls", units=30)
    life.act(DeleteOverride(billable_metric_key="is_on"))
    life.act(DeleteOverride(billable_metric_key="is_on"))
    life.act(TopupAsset(billable_metric_key="calls", terms=GrantTerms(credits_mc=99, source="topup")))
    life.act(WithdrawFromAsset(billable_metric_key="calls", amount_mc=9, reason="back", metadata={"a": 1}))
    life.act(WithdrawFromAsset(billable_metric_key="is_on", amount_mc=9))
    life.act(SuspendAsset(billable_metric_key="nothing"))
    life.wait(days=4)
    life.ask("calls")
    life.wait(days=31)
    life.use("calls", 3)
    life.use("calls", 2, timestamp=life.now - 10 * DAY)
    life.ask("calls")
    life.act(TakeAdjustment(amount_mc=5_000, reason="spend", allow_negative=True))
    life.ask("other", units=3)
    return life


def subscriptions() -> Chronicle:
    entitlements = {"calls": {"enabled": True}}
    templates = (
        template(
            10_000, "cycle", rollover_percentage=50, rollover_max=3_000, accumulation_cap=12_500, priority=4
        ),
        template(500, "once", recurrence="activation", source="promotional", metadata={"x": 1}),
        template(90, "daily", recurrence="interval", interval_seconds=86_400 * 10, unit="tokens"),
        template(
            700, "trial", recurrence="activation", in_trial=True, source="trial", expires_after_seconds=86_400
        ),
    )
    contract = {"term_interval": "month", "term_count": 3, "ending_soon_days": 20}
    life = Chronicle(
        variant(
            "small",
            *templates,
            family="crm",
            rank=1,
            trial_days=7,
            price=900,
            currency="EUR",
            entitlements=entitlements,
        ),
        variant(
            "big",
            template(31_000, "b"),
            family="crm",
            rank=2,
            billing_mode="postpaid",
            overage_policy="allow",
            entitlements=entitlements,
        ),
        variant(
            "lock",
            template(4_000, "l"),
            family="lock",
            allow_usage_while_overdue=False,
            renewal_due_days=2,
            grace_period_days=4,
            contract=contract,
            interval="week",
            interval_count=2,
        ),
        variant("gone", template(1, "g"), archived_at=START),
        variant("free", template(200, "f"), billing_mode="postpaid"),
        metrics=[metric("calls")],
        rules=[rule("r", "calls", unit_cost=10)],
        config=EnvironmentConfig(default_free_plan_variant_id="free"),
        named_events=NAMED,
    )

    def timeline(id_: str) -> None:
        life.look(
            "timeline",
            view_timeline(life.catalog, life.known["subscription", id_], life.draft.customer, version=3),
        )

    life.act(CreateSubscription(plan_variant_id="small", dry_run=True))
    small = life.act(CreateSubscription(plan_variant_id="small", metadata={"seat": 1}), key="s:1").id
    life.act(CreateSubscription(plan_variant_id="big"))
    life.act(CreateSubscription(plan_variant_id="gone"))
    life.act(CreateSubscription(plan_variant_id="none"))
    life.act(CreateSubscription(plan_variant_id="lock", starts_at=START + DAY))
    timeline(small)
    life.wait(days=2)
    life.act(PauseSubscription(subscription_id=small, resumes_at=START))
    life.act(PauseSubscription(subscription_id=small, resumes_at=START + 3 * DAY))
    timeline(small)
    life.wait(days=1)
    life.act(RenewSubscription(subscription_id=small, dry_run=True))
    life.act(RenewSubscription(subscription_id=small), key="renew:1")
    life.use("calls", 100)
    life.act(PatchSubscription(subscription_id=small, metadata={"seat": None, "b": 2}, grandfathered=True))
    lock = life.act(CreateSubscription(plan_variant_id="lock", starts_at=START - 3 * DAY)).id
    timeline(lock)
    life.wait(days=8)
    life.act(ReactivateSubscription(subscription_id=lock))
    life.wait(days=4)
    life.use("calls", 100)
    life.ask("calls", units=9)
    life.act(RenewSubscription(subscription_id=lock))
    life.act(CancelSubscription(subscription_id=lock, when="period_end"))
    life.act(ReactivateSubscription(subscription_id=lock))
    life.act(CancelSubscription(subscription_id=lock, when="period_end"))
    life.wait(days=12)
    life.act(RenewSubscription(subscription_id=small))
    life.wait(days=9)
    timeline(small)
    life.act(ChangePlan(subscription_id=small, plan_variant_id="small"))
    life.act(ChangePlan(subscription_id=small, plan_variant_id="gone"))
    life.act(ChangePlan(subscription_id=small, plan_variant_id="big", credits="prorate", dry_run=True))
    life.act(ChangePlan(subscription_id=small, plan_variant_id="big"), key="up:1")
    life.use("calls", 5_000)
    life.act(ChangePlan(subscription_id=small, plan_variant_id="small"))
    timeline(small)
    life.wait(days=30)
    timeline(small)
    life.act(PauseSubscription(subscription_id=small))
    life.wait(days=3)
    life.use("calls", 1)
    life.act(ResumeSubscription(subscription_id=small))
    life.act(ResumeSubscription(subscription_id=small))
    life.wait(days=40)
    life.act(CancelSubscription(subscription_id=small, when="now", credits="keep"))
    life.act(ReactivateSubscription(subscription_id=small))
    life.act(CancelSubscription(subscription_id=small, when="now"))
    life.act(RenewSubscription(subscription_id="0190a000-0000-7000-8000-00000000dead"))
    life.wait(days=40)
    return life


def contracts() -> Chronicle:
    """A contract that renews itself, ends, and an overage that a postpaid period bills."""
    contract = {"term_interval": "month", "term_count": 2}
    ended = {**contract, "auto_renew": False}
    life = Chronicle(
        variant(
            "team",
            template(1_000, "t"),
            billing_mode="postpaid",
            contract=contract,
            overage_policy="allow",
            overage_limit=9_000,
            entitlements={"calls": {"enabled": True}},
        ),
        variant(
            "year",
            template(7_000, "y", expires_after_seconds=86_400 * 45),
            billing_mode="postpaid",
            interval="year",
            contract=ended,
        ),
        metrics=[metric("calls")],
        rules=[
            rule(
                "r",
                "calls",
                tiers=({"up_to": 100, "unit_cost": 10}, {"up_to": None, "unit_cost": 7, "flat_cost": 50}),
            )
        ],
    )
    team = life.act(CreateSubscription(plan_variant_id="team")).id
    year = life.act(CreateSubscription(plan_variant_id="year")).id
    used = life.use("calls", 300)
    life.use("calls", 30_000)
    life.wait(days=31)
    life.use("calls", 10, timestamp=life.now - 3 * DAY)
    life.reverse(used)
    life.wait(days=20)
    life.act(CancelSubscription(subscription_id=team, when="period_end"))
    life.act(ReactivateSubscription(subscription_id=team))
    life.wait(days=20)
    life.publish(
        variant("team", template(2_000, "t"), version=2, billing_mode="postpaid", updated_at=life.now)
    )
    life.wait(days=35)
    for id_ in (team, year):
        life.look(
            "timeline", view_timeline(life.catalog, life.known["subscription", id_], life.draft.customer)
        )
    life.act(CancelSubscription(subscription_id=year, when="now"))
    return life


CHRONICLES = [quotas, subscriptions, contracts]


@pytest.mark.parametrize("live", CHRONICLES, ids=lambda live: live.__name__)
def test_everything_is_as_approved(live: Any) -> None:
    live().compare(live.__name__)
