"""Lives of balances, holds, usage, topups and customers, whole: against what was approved of them."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.chronicle import Chronicle, metric, rule
from tests.core.lives import START
from tests.core.plans import template, variant

from quotastack.core.amounts import Share
from quotastack.core.catalog import EnvironmentConfig, Package
from quotastack.core.commands import Advance
from quotastack.core.commits import CommitReservation
from quotastack.core.credit_views import view_account
from quotastack.core.credits import (
    AddAdjustment,
    ExchangeCredits,
    SetAccountStatus,
    TakeAdjustment,
    VoidBlock,
    WithdrawCredits,
)
from quotastack.core.customers import ChangeCustomer, CreateCustomer, DeleteCustomer
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.overrides import PutOverride
from quotastack.core.reservations import ExtendReservation, ReleaseReservation, Reserve
from quotastack.core.reversal import ReverseUsage
from quotastack.core.subscriptions import (
    CreateSubscription,
)
from quotastack.core.topups import DeleteAutoTopup, GrantTopup, RefundTopup, SetAutoTopup
from quotastack.core.usage import AcceptUsage, RecordUsage

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NAMED = frozenset({"credit.consumed", "reservation.created"})
FREE = variant("free", template(1), billing_mode="postpaid")


def wallet() -> Chronicle:
    life = Chronicle(FREE, config=EnvironmentConfig(low_balance_threshold=1_000), named_events=NAMED)
    life.act(
        GrantCredits(
            terms=GrantTerms(
                credits_mc=5_000, reason="welcome", metadata={"a": 1}, expires_at=START + 9 * DAY
            )
        ),
        key="grant:1",
    )
    life.act(
        GrantCredits(terms=GrantTerms(credits_mc=800, effective_at=START + HOUR, expires_after_seconds=60))
    )
    life.act(GrantCredits(terms=GrantTerms(credits_mc=300, priority=-3, unit="tokens", source="trial")))
    held = life.act(Reserve(credits_mc=4_100, ttl_seconds=600, metadata={"job": "x"}), key="hold:1")
    life.act(WithdrawCredits(amount_mc=901, reason="payout"))
    life.act(WithdrawCredits(amount_mc=900, reason="payout", metadata={"iban": "-"}), key="w:1")
    life.act(TakeAdjustment(amount_mc=1, reason="fix"))
    life.act(TakeAdjustment(amount_mc=250, reason="fix", allow_negative=True, metadata={"ticket": "7"}))
    life.act(AddAdjustment(terms=GrantTerms(credits_mc=100, source="adjustment", reason="sorry")), key="a:1")
    life.act(AddAdjustment(terms=GrantTerms(credits_mc=2_000, source="adjustment")))
    life.wait(minutes=10)
    life.act(ReleaseReservation(reservation_id=held.id))
    life.wait(hours=1)
    paid = life.act(
        ExchangeCredits(
            debit_mc=1_500, grant=GrantTerms(credits_mc=30, unit="tokens", priority=2, source="exchange")
        )
    )
    life.act(
        ExchangeCredits(debit_mc=15, unit="tokens", grant=GrantTerms(credits_mc=10**15, source="exchange"))
    )
    life.act(ExchangeCredits(debit_mc=999_999, grant=GrantTerms(credits_mc=1, unit="tokens")))
    life.act(SetAccountStatus(is_suspended=True))
    life.act(SetAccountStatus(is_suspended=True))
    for command in (
        WithdrawCredits(amount_mc=1),
        TakeAdjustment(amount_mc=1, reason="x"),
        ExchangeCredits(debit_mc=1, grant=GrantTerms(credits_mc=1, unit="tokens")),
        Reserve(credits_mc=1),
    ):
        life.act(command)
    life.act(SetAccountStatus(is_suspended=False))
    life.act(VoidBlock(block_id=paid.block.id, reason="wrong"))
    life.act(VoidBlock(block_id=paid.block.id))
    life.act(VoidBlock(block_id="0190a000-0000-7000-8000-00000000dead"))
    soon = life.act(GrantCredits(terms=GrantTerms(credits_mc=70, effective_at=START + 3 * DAY)))
    life.act(VoidBlock(block_id=soon.block.id, reason="not yet"))
    life.act(GrantCredits(terms=GrantTerms(credits_mc=5, expires_at=START)))
    life.act(GrantCredits(terms=GrantTerms(credits_mc=5, expires_at=START + DAY, expires_after_seconds=5)))
    life.act(
        GrantCredits(terms=GrantTerms(credits_mc=5, effective_at=START + 2 * DAY, expires_at=START + DAY))
    )
    life.act(GrantCredits(terms=GrantTerms(credits_mc=10**15)))
    life.look("account", view_account(life.draft, "credits", version=7, include_blocks=True))
    life.look("tokens", view_account(life.draft, "tokens", version=7))
    life.wait(days=7)
    life.wait(days=2)
    life.act(GrantCredits(terms=GrantTerms(credits_mc=10_000)))
    return life


def holds() -> Chronicle:
    """Holds end in every way, over an expiry too."""
    life = Chronicle(
        FREE,
        metrics=[metric("calls"), metric("work", scale=2)],
        named_events=NAMED,
        rules=[
            rule("r1", "calls", unit_cost=10),
            rule("r2", "work", unit_cost=7, per_units=3, rounding="half_even"),
        ],
    )
    life.act(GrantCredits(terms=GrantTerms(credits_mc=100, expires_at=START + HOUR)))
    life.act(GrantCredits(terms=GrantTerms(credits_mc=500)))
    first = life.act(Reserve(billable_metric_key="calls", estimated_units=6, metadata={"m": 1}), key="h:1")
    second = life.act(
        Reserve(
            billable_metric_key="work", estimated_units="4.25", dimensions={"model": "l"}, ttl_seconds=7_200
        )
    )
    life.act(CommitReservation(reservation_id=first.id, actual_units=4), key="c:1")
    life.act(CommitReservation(reservation_id=first.id))
    life.act(ReleaseReservation(reservation_id=first.id))
    life.act(ExtendReservation(reservation_id=second.id, ttl_seconds=10_800))
    third = life.act(Reserve(credits_mc=40, ttl_seconds=5))
    fourth = life.act(Reserve(credits_mc=450, ttl_seconds=10_000))
    life.act(Reserve(credits_mc=100))
    life.wait(seconds=5)
    life.act(ExtendReservation(reservation_id=third.id, ttl_seconds=60))
    life.wait(hours=2)
    life.act(CommitReservation(reservation_id=second.id, actual_units="9.99"))
    life.act(CommitReservation(reservation_id=fourth.id, actual_credits_mc=460))
    life.act(CommitReservation(reservation_id=fourth.id, actual_units=1))
    life.act(CommitReservation(reservation_id=fourth.id, actual_credits_mc=40))
    life.act(CommitReservation(reservation_id="0190a000-0000-7000-8000-00000000dead"))
    life.act(Reserve(billable_metric_key="nothing", estimated_units=1))
    life.act(Reserve(billable_metric_key="calls", estimated_units="1.5"))
    free = life.act(Reserve(billable_metric_key="calls", estimated_units=0))
    life.act(ReleaseReservation(reservation_id=free.id))
    life.act(Reserve(billable_metric_key="calls", estimated_units=2, ttl_seconds=30))
    life.act(Advance())
    life.wait(seconds=31)
    return life


def usage() -> Chronicle:
    """Events of every kind: priced, free, late, recorded, reversed, over the balance."""
    tiers = (
        {"up_to": 10, "unit_cost": 10},
        {"up_to": 25, "unit_cost": 8, "flat_cost": 3},
        {"up_to": None, "unit_cost": 5},
    )
    life = Chronicle(
        FREE,
        named_events=NAMED,
        metrics=[
            metric("calls"),
            metric("flat"),
            metric("disk", type="gauge", aggregation="Gauge"),
            metric("total", aggregation="TotalCounter"),
            metric("seats", aggregation="UpDownCounter", type="gauge"),
            metric("rare"),
            metric("coins", unit="tokens"),
            metric("is_on", type="boolean", aggregation=None),
        ],
        rules=[
            rule("r1", "calls", tiers=tiers),
            rule("r2", "flat", cost_type="flat", flat_cost=25),
            rule("r3", "total", unit_cost=2),
            rule("r4", "rare", unit_cost=1, match={"model": "small"}),
            rule(
                "r5",
                "rare",
                unit_cost=9,
                match={"model": "large"},
                overage_policy="notify",
                overage_limit=100,
            ),
            rule("r6", "coins", unit_cost=3, overage_policy="allow"),
        ],
    )
    life.act(GrantCredits(terms=GrantTerms(credits_mc=330, expires_at=START + 20 * DAY)))
    life.act(GrantCredits(terms=GrantTerms(credits_mc=200)))
    first = life.use("calls", 8, dimensions={"region": "eu"}, metadata={"trace": "t"})
    second = life.use("calls", 20)
    life.use("calls", 3, dry_run=True)
    life.wait(days=2)
    life.use("calls", 2, timestamp=START + HOUR)
    life.use("calls", 2, timestamp=START - 40 * DAY)
    life.use("calls", 2, timestamp=START + 3 * DAY)
    life.use("flat", 0)
    flat = life.use("flat", 4)
    life.use("rare", 4)
    life.use("rare", 4, enforcement="record")
    rare = life.use("rare", 30, dimensions={"model": "large", "x": "y"})
    life.use("rare", 10, dimensions={"model": "large"})
    life.use("rare", 10, dimensions={"model": "small"})
    life.use("coins", 5)
    life.act(AcceptUsage(usage=RecordUsage(billable_metric_key="calls", units=1)), key="async:1")
    life.act(AcceptUsage(usage=RecordUsage(billable_metric_key="calls", units="x")), key="async:2")
    life.use("total", None, value=50)
    life.use("total", None, value=40)
    life.use("disk", None, value=9)
    life.use("disk", 3)
    life.use("seats", 3)
    life.use("seats", -1)
    life.use("is_on", 1)
    life.use("unknown", 1)
    life.use("calls", "1.5")
    life.use("calls", 10_000, enforcement="record")
    life.reverse(second)
    life.reverse(second)
    life.reverse(rare)
    life.act(ReverseUsage(usage_id="0190a000-0000-7000-8000-00000000dead"))
    life.wait(days=40)
    life.reverse(first)
    life.reverse(flat)
    life.act(GrantCredits(terms=GrantTerms(credits_mc=60_000)))
    life.act(SetAccountStatus(is_suspended=True))
    life.use("calls", 1)
    life.use("calls", 1, enforcement="record")
    return life


def topups() -> Chronicle:
    at = START - DAY
    pack = Package(
        id="pack",
        name="Pack",
        credits=5_000,
        price=490,
        currency="EUR",
        priority=5,
        bonus_credits=700,
        expires_after_seconds=3_600,
        metadata={"sku": 1},
        created_at=at,
        updated_at=at,
    )
    others = [
        Package(id="old", name="Old", credits=1, active=False, created_at=at, updated_at=at),
        Package(id="coins", name="Coins", credits=10, unit="tokens", created_at=at, updated_at=at),
    ]
    life = Chronicle(FREE, packages={package.id: package for package in (pack, *others)})
    life.act(
        SetAutoTopup(threshold=2_000, package_id="pack", max_per_period=2, period="day", cooldown_seconds=600)
    )
    life.act(SetAutoTopup(threshold=100, credits_mc=40, unit="tokens"))
    life.act(SetAutoTopup(threshold=100, package_id="coins"))
    life.act(SetAutoTopup(threshold=100, package_id="old"))
    life.act(SetAutoTopup(threshold=100, package_id="none"))
    bought = life.act(GrantTopup(package_id="pack", external_payment_id="pay_1", reason="web"), key="t:1")
    life.act(GrantTopup(package_id="pack", external_payment_id="pay_1"))
    life.act(GrantTopup(package_id="coins", metadata={"a": 1}, price_paid=5, currency="USD"))
    life.act(GrantTopup(package_id="old"))
    life.act(GrantTopup(package_id="none"))
    life.act(GrantTopup())
    life.act(GrantTopup(credits_mc=10, expires_at=START + DAY, expires_after_seconds=9))
    life.act(WithdrawCredits(amount_mc=3_800))
    life.wait(minutes=5)
    life.act(WithdrawCredits(amount_mc=100))
    life.wait(minutes=6)
    life.act(WithdrawCredits(amount_mc=100))
    life.wait(minutes=20)
    life.act(WithdrawCredits(amount_mc=100))
    life.act(Reserve(credits_mc=500))
    life.act(RefundTopup(block_id=bought.block.id, fraction=Share(1, 10), reason="part"))
    life.act(RefundTopup(block_id=bought.block.id, credits_mc=300))
    life.act(RefundTopup(block_id=bought.block.id))
    life.act(RefundTopup(block_id=bought.bonus_block.id))
    life.act(RefundTopup(block_id="0190a000-0000-7000-8000-00000000dead"))
    life.act(SetAutoTopup(threshold=50, credits_mc=7, period="month"))
    life.wait(days=1)
    life.act(GrantTopup(credits_mc=60, price_paid=0, currency="EUR"))
    life.act(WithdrawCredits(amount_mc=20))
    life.act(DeleteAutoTopup(unit="tokens"))
    life.act(DeleteAutoTopup(unit="tokens"))
    return life


def customers() -> Chronicle:
    entitlements = {
        "calls": {
            "quota": {
                "period": "month",
                "tiers": [{"up_to": None, "level": "Normal", "policy": "NotifyOnly"}],
            }
        }
    }
    life = Chronicle(
        variant("month", template(10_000), entitlements=entitlements),
        metrics=[metric("calls")],
        rules=[rule("r", "calls", unit_cost=1)],
    )
    life.act(CreateCustomer(display_name="Ada", email="ada@example.com", metadata={"a": 1}))
    life.draft.version = 1
    life.act(ChangeCustomer(display_name=None, metadata={"a": None, "b": {"c": 2}}, low_balance_threshold=9))
    life.act(ChangeCustomer(overage_policy="allow", overage_limit=500))
    life.act(ChangeCustomer(overage_policy=None, overage_limit=None, low_balance_threshold=None))
    life.act(ChangeCustomer())
    life.act(ChangeCustomer(metadata={f"k{n}": n for n in range(60)}))
    life.act(CreateSubscription(plan_variant_id="month", metadata={"x": 1}), key="s:1")
    life.act(GrantCredits(terms=GrantTerms(credits_mc=50, effective_at=START + DAY, reason="later")))
    life.act(Reserve(billable_metric_key="calls", estimated_units=20))
    life.act(TakeAdjustment(amount_mc=20_000, reason="overdraw", allow_negative=True))
    life.act(GrantCredits(terms=GrantTerms(credits_mc=70, unit="tokens")))
    life.act(PutOverride(billable_metric_key="calls", value={"enabled": True}, reason="vip"))
    life.act(SetAutoTopup(threshold=1, credits_mc=5))
    life.wait(hours=1)
    life.act(DeleteCustomer(), key="erase:1")
    return life


CHRONICLES = [wallet, holds, usage, topups, customers]


@pytest.mark.parametrize("live", CHRONICLES, ids=lambda live: live.__name__)
def test_everything_is_as_approved(live: Any) -> None:
    live().compare(live.__name__)
