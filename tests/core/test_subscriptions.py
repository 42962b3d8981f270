"""The transition table: every row, every refusal; what happens to credits at each step."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.core.lives import START
from tests.core.plans import TRIGGERS, Subscriber, template, variant

from quotastack.core.catalog import EnvironmentConfig
from quotastack.core.errors import (
    ConflictError,
    NotFoundError,
    SubscriptionStateConflictError,
    ValidationFailedError,
)
from quotastack.core.subscriptions import CreateSubscription

DAY = timedelta(days=1)
APRIL = datetime(2041, 4, 1, tzinfo=UTC)
MAY = datetime(2041, 5, 1, tzinfo=UTC)
JUNE = datetime(2041, 6, 1, tzinfo=UTC)


def prepaid(**terms: Any) -> Subscriber:
    return Subscriber(variant("month", template(10_000), **terms))


def postpaid(**terms: Any) -> Subscriber:
    return Subscriber(variant("month", template(10_000), billing_mode="postpaid", **terms))


def in_state(status: str) -> tuple[Subscriber, str]:
    """A subscription in that state, just entered it or well inside it."""
    life = prepaid(trial_days=14)
    if status == "trialing":
        return life, life.subscribe()
    sub = life.subscribe(trial_days=0)
    if status == "overdue":
        life.to(APRIL + DAY)
    elif status == "paused":
        life.trigger("pause", sub)
    elif status == "canceled":
        life.trigger("cancel", sub, when="now")
    elif status == "expired":
        life.to(APRIL + 4 * DAY)
    elif status == "renewable":
        life.to(APRIL - DAY)
    assert life.sub(sub).status == ("active" if status == "renewable" else status)
    return life, sub


ALLOWED = {
    "trialing": {"renew", "pause", "cancel"},
    "active": {"pause", "cancel", "change-plan"},
    "renewable": {"renew", "pause", "cancel", "change-plan"},
    "overdue": {"renew", "pause", "cancel"},
    "paused": {"resume", "cancel"},
    "canceled": {"reactivate"},
    "expired": {"reactivate"},
}


@pytest.mark.parametrize("trigger", sorted(TRIGGERS))
@pytest.mark.parametrize("status", sorted(ALLOWED))
def test_every_trigger_in_every_state(status: str, trigger: str) -> None:
    life, sub = in_state(status)
    more: dict[str, Any] = {}
    if trigger == "cancel":
        more = {"when": "now"}
    if trigger == "change-plan":
        more = {"plan_variant_id": "month", "when": "now"}
    events = len(life.events)
    if trigger in ALLOWED[status]:
        if trigger == "change-plan":
            with pytest.raises(ConflictError, match="already"):
                life.trigger(trigger, sub, **more)
        else:
            life.trigger(trigger, sub, **more)
    else:
        with pytest.raises(SubscriptionStateConflictError) as refusal:
            life.trigger(trigger, sub, **more)
        state = "active" if status == "renewable" else status
        assert refusal.value.extra["subscription_status"] == state
        assert set(refusal.value.extra["allowed_triggers"]) == ALLOWED[status]
        assert len(life.events) == events
    life.check_books()


def test_create_active_grants_at_once() -> None:
    life = Subscriber(variant("month", template(500, "once", recurrence="activation"), template(10_000)))
    sub = life.sub(life.subscribe())
    assert (sub.status, sub.paid_through, sub.renewal_due_at) == ("active", APRIL, APRIL - 3 * DAY)
    assert life.left() == [10_000, 500]
    assert life.kinds() == ["created"]
    life.check_books()


def test_one_live_subscription_per_family() -> None:
    life = Subscriber(variant("small", template(1), family="crm"), variant("big", template(2), family="crm"))
    first = life.subscribe("small")
    with pytest.raises(ConflictError) as refusal:
        life.subscribe("big")
    assert refusal.value.extra["subscription_id"] == first
    life.trigger("cancel", first, when="now")
    life.subscribe("big")


def test_starts_at_sets_the_anchor_only() -> None:
    life = prepaid()
    with pytest.raises(ValidationFailedError):
        life.subscribe(starts_at=START + DAY)
    sub = life.sub(life.subscribe(starts_at=datetime(2041, 1, 15, tzinfo=UTC)))
    assert sub.current_period_start == datetime(2041, 2, 15, tzinfo=UTC)
    assert sub.current_period_end == datetime(2041, 3, 15, tzinfo=UTC)
    assert life.left() == [10_000]


def test_unknown_variant_and_subscription() -> None:
    life = prepaid()
    with pytest.raises(NotFoundError):
        life.subscribe("nobody")
    with pytest.raises(NotFoundError):
        life.trigger("renew", "0190a000-0000-7000-8000-00000000dead")


def test_trial_then_renew_moves_the_anchor() -> None:
    life = Subscriber(
        variant(
            "month",
            template(10_000),
            template(300, "taste", in_trial=True),
            template(50, "welcome", recurrence="activation"),
            trial_days=14,
        )
    )
    sub = life.subscribe()
    assert life.sub(sub).status == "trialing"
    assert life.left() == [300]
    life.later(days=5)
    life.trigger("renew", sub)
    active = life.sub(sub)
    assert (active.status, active.anchor_at) == ("active", START + 5 * DAY)
    assert active.current_period_end == datetime(2041, 4, 6, tzinfo=UTC)
    assert sorted(life.left()) == [50, 300, 10_000]
    assert life.kinds() == ["created", "activated"]
    life.check_books()


def test_trial_end_prepaid_expires_and_postpaid_activates() -> None:
    life = Subscriber(variant("month", template(10_000, in_trial=True), trial_days=7))
    sub = life.subscribe()
    life.to(START + 7 * DAY)
    assert life.sub(sub).status == "expired"
    assert life.left() == []
    assert life.kinds() == ["created", "trial_ending", "expired"]
    (ending,) = [event for event in life.events if event.type == "subscription.trial_ending"]
    assert ending.created_at == START + 4 * DAY
    life.check_books()

    life = postpaid(trial_days=7)
    sub = life.subscribe()
    assert life.left() == []
    life.to(START + 7 * DAY)
    assert life.sub(sub).status == "active"
    assert life.sub(sub).anchor_at == START + 7 * DAY
    assert life.left() == [10_000]
    life.check_books()


def test_prepaid_life() -> None:
    life = prepaid()
    sub = life.subscribe()
    life.to(APRIL - 3 * DAY - timedelta(seconds=1))
    assert life.kinds() == ["created"]
    life.to(APRIL - 3 * DAY)
    assert life.kinds() == ["created", "renewal_due"]
    life.to(APRIL)
    overdue = life.sub(sub)
    assert (overdue.status, overdue.grace_ends_at) == ("overdue", APRIL + 3 * DAY)
    assert life.left() == [10_000]
    assert life.types()[-1] == "reschedule"
    life.later(days=2)
    life.trigger("renew", sub)
    renewed = life.sub(sub)
    assert (renewed.current_period_start, renewed.current_period_end) == (APRIL, MAY)
    assert life.left() == [10_000]
    assert life.types()[-2:] == ["expire", "grant"]
    life.to(MAY + 3 * DAY)
    assert life.sub(sub).status == "expired"
    assert life.balance() == 0
    assert life.kinds() == [
        "created", "renewal_due", "overdue", "renewed", "renewal_due", "overdue", "expired",
    ]  # fmt: skip
    life.check_books()


def test_renew_ahead_grants_at_the_boundary_only() -> None:
    life = prepaid()
    sub = life.subscribe()
    life.to(APRIL - DAY)
    assert life.trigger("renew", sub).paid_through == MAY
    assert life.left() == [10_000]
    with pytest.raises(SubscriptionStateConflictError):
        life.trigger("renew", sub)
    life.to(APRIL)
    assert life.sub(sub).status == "active"
    assert life.sub(sub).paid_through == MAY
    assert life.kinds() == ["created", "renewal_due", "renewed"]


def test_late_renewal_pays_one_period() -> None:
    life = prepaid(interval="day", grace_period_days=3)
    sub = life.subscribe()
    life.later(days=3)
    life.trigger("renew", sub)
    again = life.sub(sub)
    assert again.status == "overdue"
    assert again.current_period_start == START + DAY
    assert again.grace_ends_at == START + 5 * DAY
    assert life.left() == [10_000]
    life.check_books()


def test_overdue_without_usage_locks_the_cycle_blocks() -> None:
    life = prepaid(allow_usage_while_overdue=False)
    sub = life.subscribe()
    life.to(APRIL)
    (block,) = life.draft.live_blocks("credits")
    assert block.is_locked
    assert block.expires_at == APRIL + 3 * DAY
    life.trigger("renew", sub)
    (fresh,) = life.draft.live_blocks("credits")
    assert not fresh.is_locked


def test_rollover_in_order() -> None:
    life = Subscriber(variant("month", template(10_000_000, rollover_percentage=50)))
    sub = life.subscribe()
    block = life.draft.live_blocks("credits")[0]
    life.commit(life.hold(6_999_999), 6_999_999)
    life.to(APRIL - DAY)
    life.trigger("renew", sub)
    life.to(APRIL)
    assert life.types()[-4:] == ["rollover_out", "expire", "rollover_in", "grant"]
    fresh, rolled = life.draft.live_blocks("credits")
    assert (fresh.remaining_mc, fresh.priority) == (10_000_000, 0)
    assert (rolled.remaining_mc, rolled.priority, rolled.source) == (1_500_000, 5, "rollover")
    assert rolled.rolled_from_block_id == block.id
    assert fresh.expires_at == rolled.expires_at == MAY
    life.to(MAY - DAY)
    life.trigger("renew", sub)
    life.to(MAY)
    assert life.left() == [10_000_000, 5_000_000], "what rolled over does not roll again"
    life.check_books()


def test_rollover_max_and_accumulation_cap() -> None:
    life = Subscriber(
        variant(
            "month",
            template(10_000, rollover_percentage=100, rollover_max=4_000, accumulation_cap=12_000),
            billing_mode="postpaid",
        )
    )
    life.subscribe()
    life.to(APRIL)
    assert sorted(life.left()) == [4_000, 8_000]
    life.check_books()


def test_a_grant_capped_to_nothing_is_a_line() -> None:
    life = Subscriber(
        variant(
            "month",
            template(1_000, "tick", recurrence="interval", interval_seconds=86_400, accumulation_cap=2_000,
                     expires_after_seconds=10 * 86_400),
            billing_mode="postpaid",
        )
    )  # fmt: skip
    life.subscribe()
    life.to(START + 3 * DAY)
    assert life.left() == [1_000, 1_000]
    capped = [entry for entry in life.entries if entry.type == "grant" and entry.delta_mc == 0]
    assert [entry.details and entry.details["reason"] for entry in capped] == ["capped", "capped"]
    life.check_books()


def test_interval_grants_replace_each_other_on_their_grid() -> None:
    life = Subscriber(
        variant(
            "month",
            template(100, "tick", recurrence="interval", interval_seconds=10 * 86_400),
            billing_mode="postpaid",
        )
    )
    life.subscribe()
    assert life.left() == [100]
    life.to(MAY)
    grants = [entry.created_at for entry in life.entries if entry.type == "grant"]
    assert grants == [START + index * 10 * DAY for index in range(7)]
    assert life.left() == [100]
    life.check_books()


def test_pause_moves_everything_ahead() -> None:
    life = Subscriber(
        variant(
            "month",
            template(10_000),
            template(100, "tick", recurrence="interval", interval_seconds=10 * 86_400),
            contract={"term_interval": "year"},
        )
    )
    sub = life.subscribe()
    life.later(days=5)
    life.trigger("pause", sub)
    life.later(days=60)
    assert life.balance() == 10_100, "frozen blocks stay"
    assert life.sub(sub).status == "paused"
    life.trigger("resume", sub)
    moved = life.sub(sub)
    assert moved.status == "active"
    assert moved.current_period_end == APRIL + 60 * DAY == moved.anchor_at
    assert moved.renewal_due_at == APRIL + 57 * DAY
    assert moved.contract is not None
    assert moved.contract.ends_at == datetime(2042, 3, 1, tzinfo=UTC) + 60 * DAY
    assert {block.expires_at for block in life.draft.live_blocks("credits")} == {
        APRIL + 60 * DAY,
        START + 70 * DAY,
    }
    life.to(START + 70 * DAY)
    grants = [entry.created_at for entry in life.entries if entry.type == "grant"]
    assert grants[-1] == START + 70 * DAY
    assert life.kinds() == ["created", "paused", "resumed"]
    life.check_books()


def test_pause_with_an_end_resumes_by_itself() -> None:
    life = prepaid()
    sub = life.subscribe()
    with pytest.raises(ValidationFailedError):
        life.trigger("pause", sub, resumes_at=life.now)
    life.trigger("pause", sub, resumes_at=START + 10 * DAY)
    life.to(START + 11 * DAY)
    assert life.sub(sub).status == "active"
    assert life.sub(sub).current_period_end == APRIL + 10 * DAY
    life.check_books()


def test_pause_of_overdue_and_trial_returns_to_what_it_was() -> None:
    life, sub = in_state("overdue")
    life.trigger("pause", sub)
    life.later(days=10)
    life.trigger("resume", sub)
    assert life.sub(sub).status == "overdue"
    assert life.sub(sub).grace_ends_at == APRIL + 13 * DAY
    life.trigger("renew", sub)
    assert life.sub(sub).current_period_start == APRIL + 10 * DAY
    life.check_books()

    life, sub = in_state("trialing")
    life.trigger("pause", sub)
    life.later(days=30)
    life.trigger("resume", sub)
    assert life.sub(sub).trial_ends_at == START + 44 * DAY
    life.check_books()


@pytest.mark.parametrize(("credits_", "left"), [("expire", []), ("keep", [10_000, 500])])
def test_cancel_now(credits_: str, left: list[int]) -> None:
    life = Subscriber(variant("month", template(10_000), template(500, "once", recurrence="activation")))
    sub = life.subscribe()
    life.trigger("cancel", sub, when="now", credits=credits_)
    ended = life.sub(sub)
    assert (ended.status, ended.ended_at) == ("canceled", START)
    assert life.left() == left
    life.to(APRIL)
    assert life.left() == left[1:], "a kept cycle block runs on to its own expiry"
    life.check_books()


def test_cancel_at_period_end_and_back() -> None:
    life = prepaid()
    sub = life.subscribe()
    life.trigger("cancel", sub, when="period_end")
    with pytest.raises(SubscriptionStateConflictError):
        life.trigger("cancel", sub, when="period_end")
    life.trigger("reactivate", sub)
    life.trigger("cancel", sub, when="period_end")
    life.to(APRIL)
    assert life.sub(sub).status == "canceled"
    assert life.balance() == 0
    assert life.kinds() == ["created", "cancel_scheduled", "reactivated", "cancel_scheduled", "canceled"]
    life.check_books()


def test_cancel_after_paying_ahead_ends_with_what_was_paid() -> None:
    life = prepaid()
    sub = life.subscribe()
    life.to(APRIL - DAY)
    life.trigger("renew", sub)
    life.trigger("cancel", sub, when="period_end")
    life.to(APRIL)
    assert life.sub(sub).status == "active"
    life.to(MAY)
    assert life.sub(sub).status == "canceled"
    assert life.sub(sub).ended_at == MAY


def test_uncancel_inside_the_window_asks_for_the_payment() -> None:
    life = prepaid()
    sub = life.subscribe()
    life.trigger("cancel", sub, when="period_end")
    life.to(APRIL - DAY)
    assert "renewal_due" not in life.kinds()
    life.trigger("reactivate", sub)
    assert life.kinds()[-1] == "renewal_due"


def test_reactivate_begins_anew_without_trial() -> None:
    life, sub = in_state("expired")
    life.trigger("reactivate", sub)
    again = life.sub(sub)
    assert (again.status, again.anchor_at, again.ended_at) == ("active", life.now, None)
    assert life.left() == [10_000]
    life.check_books()


def two_plans(**terms: Any) -> Subscriber:
    return Subscriber(
        variant("small", template(10_000, "s"), family="crm", rank=1, **terms),
        variant("big", template(31_000, "b"), family="crm", rank=2, **terms),
        variant("other", template(5_000, "o"), family="crm", **terms),
    )


def test_upgrade_is_prorated_now() -> None:
    life = two_plans()
    sub = life.subscribe()
    life.later(days=10)
    life.trigger("change-plan", sub, plan_variant_id="big")
    assert life.left() == [21_000]
    changed = life.sub(sub)
    assert (changed.plan_variant_id, changed.current_period_end) == ("big", APRIL)
    assert life.kinds() == ["created", "plan_changed"]
    life.check_books()


def test_keep_and_back_grants_each_template_once() -> None:
    life = two_plans()
    sub = life.subscribe()
    life.trigger("change-plan", sub, plan_variant_id="big", when="now", credits="keep")
    assert sorted(life.left()) == [10_000, 31_000]
    life.trigger("change-plan", sub, plan_variant_id="small", when="now", credits="keep")
    life.trigger("change-plan", sub, plan_variant_id="big", when="now", credits="keep")
    assert sorted(life.left()) == [10_000, 31_000]
    life.to(APRIL - DAY)
    life.trigger("renew", sub)
    life.to(APRIL)
    assert life.left() == [31_000]
    life.check_books()


def test_reset_restarts_the_period() -> None:
    life = two_plans()
    sub = life.subscribe()
    life.later(days=10)
    life.trigger("change-plan", sub, plan_variant_id="big", credits="reset")
    changed = life.sub(sub)
    assert (changed.anchor_at, changed.current_period_start) == (life.now, life.now)
    assert changed.current_period_end == datetime(2041, 4, 11, tzinfo=UTC)
    assert life.left() == [31_000]
    life.check_books()


def test_downgrade_waits_for_the_boundary() -> None:
    life = two_plans()
    sub = life.subscribe("big")
    life.trigger("change-plan", sub, plan_variant_id="small")
    assert life.sub(sub).pending_plan_variant_id == "small"
    assert life.left() == [31_000]
    life.to(APRIL - DAY)
    life.trigger("renew", sub)
    life.to(APRIL)
    assert (life.sub(sub).plan_variant_id, life.sub(sub).pending_plan_variant_id) == ("small", None)
    assert life.left() == [10_000]
    assert life.kinds()[-2:] == ["renewed", "plan_changed"]


def test_without_ranks_when_is_required() -> None:
    life = two_plans()
    sub = life.subscribe()
    with pytest.raises(ValidationFailedError) as refusal:
        life.trigger("change-plan", sub, plan_variant_id="other")
    assert refusal.value.errors[0].pointer == "/when"
    life.trigger("change-plan", sub, plan_variant_id="other", when="period_end")
    life.trigger("change-plan", sub, plan_variant_id="small", when="period_end")
    assert life.sub(sub).pending_plan_variant_id is None, "back to the running one takes it back"


def test_contract_renews_itself_or_ends() -> None:
    life = postpaid(contract={"term_interval": "month", "term_count": 2, "ending_soon_days": 10})
    sub = life.subscribe()
    life.to(JUNE)
    kinds = life.kinds()
    assert kinds.count("contract.renewed") == 1
    assert kinds.count("contract.ending_soon") == 1
    contract = life.sub(sub).contract
    assert contract is not None
    assert contract.ends_at == datetime(2041, 7, 1, tzinfo=UTC)

    life = postpaid(contract={"term_interval": "month", "term_count": 2, "auto_renew": False})
    sub = life.subscribe()
    life.to(MAY)
    assert life.sub(sub).status == "canceled"
    assert life.kinds()[-2:] == ["contract.ended", "canceled"]
    assert life.balance() == 0
    life.check_books()


def free_config() -> EnvironmentConfig:
    return EnvironmentConfig(default_free_plan_variant_id="free")


def with_free_plan(**terms: Any) -> Subscriber:
    return Subscriber(
        variant("month", template(10_000), **terms),
        variant("free", template(2_000, "f"), billing_mode="postpaid"),
        config=free_config(),
    )


def test_fallback_starts_and_gives_way() -> None:
    life = with_free_plan()
    sub = life.subscribe()
    life.to(APRIL + 3 * DAY)
    (free,) = life.draft.subscriptions.values()
    assert (free.plan_variant_id, free.is_fallback, free.anchor_at) == ("free", True, APRIL + 3 * DAY)
    assert life.left() == [2_000]
    life.trigger("reactivate", sub)
    assert [found.id for found in life.draft.subscriptions.values()] == [sub]
    assert life.left() == [10_000]
    life.check_books()


def test_the_free_plan_does_not_fall_back_to_itself() -> None:
    life = with_free_plan()
    free = life.subscribe("free")
    life.trigger("cancel", free, when="now")
    assert life.draft.subscriptions == {}


def test_no_fallback_beside_another_live_subscription() -> None:
    life = Subscriber(
        variant("month", template(10_000)),
        variant("addon", template(1, "a"), billing_mode="postpaid"),
        variant("free", template(2_000, "f"), billing_mode="postpaid"),
        config=free_config(),
    )
    sub = life.subscribe()
    life.subscribe("addon")
    life.trigger("cancel", sub, when="now")
    assert {found.plan_variant_id for found in life.draft.subscriptions.values()} == {"addon"}


@pytest.mark.parametrize(("pinned", "amount"), [(False, 20_000), (True, 10_000)])
def test_new_version_rules_the_next_period_unless_pinned(*, pinned: bool, amount: int) -> None:
    life = postpaid()
    sub = life.subscribe(grandfathered=pinned)
    published_at = START + 10 * DAY
    newer = variant(
        "month", template(20_000, "new"), version=2, updated_at=published_at, billing_mode="postpaid"
    )
    life.publish(newer)
    life.to(published_at + DAY)
    assert (life.sub(sub).variant_version, life.left()) == (1, [10_000]), "a running period keeps its terms"
    life.to(APRIL)
    assert life.left() == [amount]
    life.check_books()


def test_a_boundary_processed_late_takes_what_was_published_then() -> None:
    life = postpaid()
    life.subscribe()
    newer = variant(
        "month", template(20_000, "new"), version=2, updated_at=APRIL + DAY, billing_mode="postpaid"
    )
    life.publish(newer)
    life.to(MAY)
    grants = [entry.delta_mc for entry in life.entries if entry.type == "grant"]
    assert grants == [10_000, 10_000, 20_000]


def test_dry_run_is_answered_like_the_real_one() -> None:
    life = prepaid()
    view = life.run(CreateSubscription(plan_variant_id="month", dry_run=True))
    assert [effect.type for effect in view.effects.ledger] == ["grant"]
    assert view.effects.events == ("credit.granted", "subscription.created")


def test_holds_keep_what_they_need_over_the_boundary() -> None:
    life = postpaid()
    life.subscribe()
    life.to(APRIL - DAY)
    hold = life.hold(4_000, seconds=3 * 86_400)
    life.to(APRIL)
    assert sorted(life.left()) == [4_000, 10_000]
    life.commit(hold, 4_000)
    assert life.left() == [10_000]
    life.check_books()


def test_canceled_with_a_hold_keeps_what_it_needs() -> None:
    life = prepaid()
    sub = life.subscribe()
    hold = life.hold(4_000)
    life.trigger("cancel", sub, when="now")
    assert life.left() == [4_000]
    life.release(hold)
    assert life.left() == []
    life.check_books()
