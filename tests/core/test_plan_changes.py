"""Changes of plan: when they come, what is invoiced on the way, what is granted for the rest of the period."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.core.chronicle import Chronicle, metric, rule
from tests.core.lives import START
from tests.core.plans import Subscriber, template, variant

from quotastack.core.amounts import AMOUNT_MAX
from quotastack.core.errors import ConflictError, NotFoundError, ValidationFailedError
from quotastack.core.plan_changes import ChangePlan
from quotastack.core.subscriptions import CreateSubscription

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
APRIL, MAY, JUNE = (datetime(2041, month, 1, tzinfo=UTC) for month in (4, 5, 6))
BOTH = {"calls": {"enabled": True}, "looks": {"enabled": True}}
ONE = {"calls": {"enabled": True}}


def change(life: Subscriber, sub: str, to: str, **more: Any) -> Any:
    return life.trigger("change-plan", sub, plan_variant_id=to, **more)


def plan(key: str, credits_mc: int = 31_000, **terms: Any) -> Any:
    """One template for each plan, all of one family."""
    return variant(key, template(credits_mc, f"t-{key}"), **{"family": "crm", **terms})


WHEN = [
    # rank of the running one and of the new one, what the caller says, when it comes
    (1,    2,    None,         "now"),
    (2,    1,    None,         "period_end"),
    (1,    2,    "period_end", "period_end"),
    (2,    1,    "now",        "now"),
    (0,    1,    None,         "now"),
    (1,    1,    None,         None),
    (None, 1,    None,         None),
    (1,    None, None,         None),
    (None, None, None,         None),
    (1,    1,    "now",        "now"),
]  # fmt: skip


@pytest.mark.parametrize(("rank", "new_rank", "said", "when"), WHEN)
def test_an_upgrade_comes_now_a_downgrade_at_the_periods_end(
    rank: int | None, new_rank: int | None, said: Any, when: str | None
) -> None:
    life = Subscriber(plan("one", rank=rank), plan("two", rank=new_rank))
    sub = life.subscribe()
    if when is None:
        with pytest.raises(ValidationFailedError) as refusal:
            change(life, sub, "two", when=said)
        assert refusal.value.errors == (
            ("/when", "Required: neither of the two variants has the higher rank."),
        )
        return
    view = change(life, sub, "two", when=said)
    pending = view.pending_plan_variant_id if when == "period_end" else view.plan_variant_id
    assert pending == "two"
    assert view.plan_variant_id == ("two" if when == "now" else "one")


def test_credits_are_decided_about_by_a_change_now_only() -> None:
    life = Subscriber(plan("one", rank=2), plan("two", rank=1))
    sub = life.subscribe()
    for when in (None, "period_end"):
        with pytest.raises(ValidationFailedError) as refusal:
            change(life, sub, "two", when=when, credits="keep")
        assert refusal.value.errors == (
            ("/credits", "Only a change with `when: now` decides about the running period's credits."),
        )
    assert change(life, sub, "two", when="now", credits="keep").plan_variant_id == "two"


def test_a_change_to_what_it_is_on_is_refused() -> None:
    life = Subscriber(plan("one", rank=1), plan("two", rank=2), plan("gone", archived_at=START))
    sub = life.subscribe()
    for when in ("now", "period_end"):
        with pytest.raises(ConflictError, match=r"^The subscription is on that variant already\.$"):
            change(life, sub, "one", when=when)
    with pytest.raises(ConflictError, match="archived"):
        change(life, sub, "gone", when="now")
    with pytest.raises(NotFoundError, match=r"^There is no such plan variant\.$"):
        change(life, sub, "none", when="now")
    # A pending change is taken back by a change to the running variant, not by one to it now.
    change(life, sub, "two", when="period_end")
    with pytest.raises(ConflictError):
        change(life, sub, "one", when="now")
    change(life, sub, "one", when="period_end")
    assert life.sub(sub).pending_plan_variant_id is None


def test_the_newest_version_of_its_own_variant_is_another_one() -> None:
    life = Subscriber(plan("one", rank=1))
    sub = life.subscribe()
    life.publish(plan("one", 40_000, rank=1, version=2))
    change(life, sub, "one", when="now", credits="reset")
    assert (life.sub(sub).variant_version, life.left()) == (2, [40_000])


PRORATED = [
    # credits,        at,                          what the rest of the 31 days is worth
    (31_000,          START,                       31_000),
    (31_000,          START + 10 * DAY,            21_000),
    (31_001,          START + 10 * DAY,            21_000),
    (3,               START + 30 * DAY,            None),
    (31_000,          APRIL - MICROSECOND,         None),
    (AMOUNT_MAX,      START + 15 * DAY + MICROSECOND,
     AMOUNT_MAX * (16 * 86_400_000_000 - 1) // (31 * 86_400_000_000)),
]  # fmt: skip


@pytest.mark.parametrize(("credits_mc", "at", "expected"), PRORATED)
def test_a_prorated_grant_is_exact_and_rounded_down(
    credits_mc: int, at: datetime, expected: int | None
) -> None:
    """What is rounded down to nothing is no grant, and is not made again in the period."""
    life = Subscriber(variant("one", family="crm", rank=1), plan("two", credits_mc, rank=2))
    sub = life.subscribe()
    life.to(at)
    change(life, sub, "two")
    assert life.left() == ([] if expected is None else [expected])
    assert life.types() == ([] if expected is None else ["grant"])
    assert life.sub(sub).granted == ("t-two",)
    life.check_books()


def test_the_old_cycles_blocks_expire_when_prorated_and_stay_when_kept() -> None:
    for mode, left in (("prorate", [21_000]), ("keep", [10_000, 31_000])):
        life = Subscriber(plan("one", 10_000, rank=1), plan("two", rank=2))
        sub = life.subscribe()
        life.later(days=10)
        change(life, sub, "two", when="now", credits=mode)
        assert sorted(life.left()) == left
        told = life.told("subscription.plan_changed")
        assert [(row["reason"], row["previous_plan_variant_id"]) for row in told] == [(mode, "one")]
        life.check_books()


# Between billing modes.


def billed(running: str, new: str, *, lists: Any = ONE) -> tuple[Chronicle, str]:
    """Both metrics at 10 mc a unit, used once each: 30 and 50 mc."""
    terms = {"overage_policy": "allow"}
    life = Chronicle(
        variant("one", family="crm", billing_mode=running, entitlements=BOTH, **terms),
        variant("two", family="crm", billing_mode=new, entitlements=lists, **terms),
        metrics=[metric("calls"), metric("looks")],
        rules=[rule("c", "calls", unit_cost=10), rule("l", "looks", unit_cost=10)],
    )
    sub = life.act(CreateSubscription(plan_variant_id="one")).id
    life.use("calls", 3)
    life.use("looks", 5)
    life.wait(days=10)
    return life, sub


# Running mode, new mode, what the new one lists; the keys, total and overage that are invoiced at once; what is owed.
INVOICED = [
    ("postpaid", "postpaid", BOTH, None,                   80),
    ("postpaid", "postpaid", ONE,  (["looks"], 50, 0),     80),
    ("postpaid", "prepaid",  BOTH, (["calls", "looks"], 80, 80), 0),
    ("postpaid", "prepaid",  ONE,  (["calls", "looks"], 80, 80), 0),
    ("prepaid",  "postpaid", ONE,  None,                   80),
    ("prepaid",  "prepaid",  ONE,  None,                   80),
]  # fmt: skip


@pytest.mark.parametrize(("running", "new", "lists", "invoiced", "owed"), INVOICED)
def test_what_nobody_would_invoice_later_is_invoiced_now(
    running: str, new: str, lists: Any, invoiced: tuple[list[str], int, int] | None, owed: int
) -> None:
    life, sub = billed(running, new, lists=lists)
    life.act(ChangePlan(subscription_id=sub, plan_variant_id="two", when="now", credits="keep"))
    (told,) = life.told("subscription.plan_changed")
    if invoiced is None:
        assert "usage_summary" not in told
    else:
        summary = told["usage_summary"]
        keys = [row["billable_metric_key"] for row in summary["metrics"]]
        assert (keys, summary["total_cost"], summary["overage_cost"]) == invoiced
        assert (summary["period_start"], summary["period_end"]) == (START, START + 10 * DAY)
    assert life.draft.account("credits").overdraft_mc == owed


PAID = [
    # running mode, new mode, is paid ahead   paid through
    ("prepaid",  "prepaid",  False,           APRIL),
    ("prepaid",  "prepaid",  True,            MAY),
    ("postpaid", "prepaid",  False,           APRIL),
    ("prepaid",  "postpaid", False,           None),
    ("prepaid",  "postpaid", True,            None),
]  # fmt: skip


@pytest.mark.parametrize(("running", "new", "is_paid_ahead", "paid_through"), PAID)
def test_what_was_paid_for_stays_paid(
    *, running: str, new: str, is_paid_ahead: bool, paid_through: datetime | None
) -> None:
    life = Subscriber(plan("one", billing_mode=running), plan("two", billing_mode=new))
    sub = life.subscribe()
    life.to(APRIL - DAY)
    if is_paid_ahead:
        life.trigger("renew", sub)
    change(life, sub, "two", when="now")
    changed = life.sub(sub)
    due_at = APRIL - 3 * DAY if new == "prepaid" else None
    assert (changed.billing_mode, changed.paid_through, changed.renewal_due_at) == (new, paid_through, due_at)
    # What was asked for already is not asked for again; a plan that was never asked for is.
    asked = life.kinds().count("renewal_due")
    assert asked == (0 if running == "postpaid" and new == "postpaid" else 1)


def test_a_reset_keeps_a_period_that_was_paid_ahead() -> None:
    life = Subscriber(plan("one", rank=1), plan("two", rank=2))
    sub = life.subscribe()
    life.to(APRIL - DAY)
    life.trigger("renew", sub)
    change(life, sub, "two", when="now", credits="reset")
    changed = life.sub(sub)
    assert (changed.anchor_at, changed.current_period_start) == (APRIL - DAY, APRIL - DAY)
    assert (changed.current_period_end, changed.paid_through) == (
        datetime(2041, 4, 30, tzinfo=UTC),
        datetime(2041, 5, 31, tzinfo=UTC),
    )


def test_a_reset_without_a_payment_ahead_pays_for_its_own_period() -> None:
    life = Subscriber(plan("one", rank=1), plan("two", rank=2))
    sub = life.subscribe()
    life.later(days=10)
    change(life, sub, "two", when="now", credits="reset")
    end = datetime(2041, 4, 11, tzinfo=UTC)
    assert (life.sub(sub).current_period_end, life.sub(sub).paid_through) == (end, end)


def test_a_reset_of_a_postpaid_period_invoices_it() -> None:
    life, sub = billed("postpaid", "postpaid", lists=BOTH)
    life.act(ChangePlan(subscription_id=sub, plan_variant_id="two", when="now", credits="reset"))
    (told,) = life.told("subscription.plan_changed")
    summary = told["usage_summary"]
    assert (summary["total_cost"], summary["overage_cost"], summary["period_end"]) == (80, 80, life.now)
    assert life.balance() == 0
    assert life.types()[-1] == "overage_billed"


def test_a_period_of_another_length_is_counted_from_the_end_of_the_running_one() -> None:
    life = Subscriber(
        plan("one", billing_mode="postpaid"),
        plan("two", billing_mode="postpaid", interval="week", interval_count=2),
    )
    sub = life.subscribe()
    life.later(days=10)
    change(life, sub, "two", when="now")
    assert (life.sub(sub).current_period_end, life.sub(sub).anchor_at) == (APRIL, APRIL)
    life.to(APRIL)
    assert (life.sub(sub).current_period_start, life.sub(sub).current_period_end) == (APRIL, APRIL + 14 * DAY)
    life.to(APRIL + 14 * DAY)
    assert life.sub(sub).current_period_end == APRIL + 28 * DAY


@pytest.mark.parametrize("new", ["postpaid", "prepaid"])
def test_at_the_boundary_a_postpaid_period_is_invoiced_whatever_follows(new: str) -> None:
    """A prepaid plan that follows is not paid for yet: it is overdue, and the old period is closed."""
    life, sub = billed("postpaid", new)
    life.act(ChangePlan(subscription_id=sub, plan_variant_id="two", when="period_end"))
    life.to(APRIL)
    kind = "renewed" if new == "postpaid" else "overdue"
    (told,) = life.told(f"subscription.{kind}")
    summary = told["usage_summary"]
    assert (summary["total_cost"], summary["overage_cost"]) == (80, 80)
    assert (summary["period_start"], summary["period_end"]) == (START, APRIL)
    assert life.balance() == 0


def test_a_pending_change_moves_the_window_of_its_renewal() -> None:
    life = Subscriber(plan("one", rank=2), plan("two", rank=1, renewal_due_days=10))
    sub = life.subscribe()
    assert life.sub(sub).renewal_due_at == APRIL - 3 * DAY
    change(life, sub, "two")
    assert life.sub(sub).renewal_due_at == APRIL - 10 * DAY
    (step,) = [row for row in life.sub(sub).transitions if row.trigger == "change_plan_at_period_end"]
    assert (step.from_status, step.to_status, step.at) == ("active", "active", START)


# Contracts and grids of the old plan and of the new one.

TERMS = {"term_interval": "month", "term_count": 3}
OTHER_TERMS = {"term_interval": "month", "term_count": 6}
CONTRACTS = [
    # contract of the old one and of the new one, when the term ends after a change on 11 March
    (TERMS, TERMS,       JUNE),
    (TERMS, OTHER_TERMS, datetime(2041, 9, 11, tzinfo=UTC)),
    (TERMS, None,        None),
    (None,  TERMS,       datetime(2041, 6, 11, tzinfo=UTC)),
    (None,  None,        None),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["keep", "prorate", "reset"])
@pytest.mark.parametrize(("old", "new", "ends_at"), CONTRACTS)
def test_a_contract_runs_on_when_its_terms_stay(
    old: Any, new: Any, ends_at: datetime | None, mode: str
) -> None:
    life = Subscriber(
        plan("one", billing_mode="postpaid", contract=old), plan("two", billing_mode="postpaid", contract=new)
    )
    sub = life.subscribe()
    life.later(days=10)
    change(life, sub, "two", when="now", credits=mode)
    contract = life.sub(sub).contract
    assert (None if contract is None else contract.ends_at) == ends_at


def test_ticks_missed_on_another_plan_are_dropped_and_the_grid_stays() -> None:
    daily = template(5, "daily", recurrence="interval", interval_seconds=86_400)
    life = Subscriber(
        variant("one", daily, family="crm", billing_mode="postpaid"),
        variant("two", family="crm", billing_mode="postpaid"),
    )
    sub = life.subscribe()
    life.later(days=2, hours=6)
    assert life.types().count("grant") == 3
    change(life, sub, "two", when="now", credits="keep")
    life.later(days=3)
    assert life.types().count("grant") == 3
    change(life, sub, "one", when="now", credits="keep")
    assert life.types().count("grant") == 3
    life.to(START + 6 * DAY - MICROSECOND)
    assert life.types().count("grant") == 3
    life.to(START + 6 * DAY)
    assert life.types().count("grant") == 4
    assert life.entries[-1].created_at == START + 6 * DAY


def test_a_grid_that_comes_back_on_its_own_tick_takes_it() -> None:
    daily = template(5, "daily", recurrence="interval", interval_seconds=86_400)
    life = Subscriber(
        variant("one", daily, family="crm", billing_mode="postpaid"),
        variant("two", family="crm", billing_mode="postpaid"),
    )
    sub = life.subscribe()
    life.later(hours=6)
    change(life, sub, "two", when="now", credits="keep")
    life.to(START + 4 * DAY)
    change(life, sub, "one", when="now", credits="keep")
    grants = [entry.created_at for entry in life.entries if entry.type == "grant"]
    assert grants == [START, START + 4 * DAY]
