"""What lies behind and ahead of a subscription: its timeline, its terms, its grants, step by step."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import UNSET
from tests.core.chronicle import Chronicle, metric, rule
from tests.core.lives import START
from tests.core.plans import Subscriber, template, variant

from quotastack.core.catalog import EnvironmentConfig
from quotastack.core.credits import TakeAdjustment, WithdrawCredits
from quotastack.core.errors import ConflictError, SubscriptionStateConflictError, ValidationFailedError
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.subscription_terms import record_transition
from quotastack.core.subscription_views import view_timeline
from quotastack.core.subscriptions import CreateSubscription

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
APRIL, MAY, JUNE = (datetime(2041, month, 1, tzinfo=UTC) for month in (4, 5, 6))


def ahead(life: Subscriber, sub: str) -> list[tuple[str, datetime, str]]:
    """What the timeline says will happen: trigger, instant, status after it."""
    told = view_timeline(life.catalog, life.sub(sub), life.draft.customer)
    return [(step.trigger, step.at, step.to_status) for step in told.scheduled]


def behind(life: Subscriber, sub: str) -> list[tuple[str, str | None, str]]:
    """What it went through: trigger, status before and after it."""
    told = view_timeline(life.catalog, life.sub(sub), life.draft.customer)
    return [
        (step.trigger, None if step.from_status is UNSET else step.from_status, step.to_status)
        for step in told.past
    ]


# The timeline


def in_state(name: str) -> tuple[Subscriber, str]:
    mode = "prepaid" if name.startswith("prepaid") else "postpaid"
    life = Subscriber(
        variant("month", template(10), billing_mode=mode, trial_days=10 if "trial" in name else 0)
    )
    sub = life.subscribe()
    if "paid ahead" in name:
        life.to(APRIL - DAY)
        life.trigger("renew", sub)
    if "overdue" in name:
        life.to(APRIL)
    if "paused" in name:
        life.trigger("pause", sub, resumes_at=START + 40 * DAY if "until" in name else None)
    if "canceling" in name:
        life.trigger("cancel", sub, when="period_end")
    return life, sub


AHEAD = [
    ("prepaid",                     [("renewal_due", APRIL - 3 * DAY, "active"), ("period_end", APRIL, "overdue")]),
    ("prepaid paid ahead",          [("period_end", APRIL, "active")]),
    ("prepaid canceling",           [("period_end", APRIL, "canceled")]),
    ("prepaid paid ahead canceling", [("period_end", APRIL, "active")]),
    ("prepaid trial",               [("trial_ending", START + 7 * DAY, "trialing"),
                                     ("trial_end", START + 10 * DAY, "expired")]),
    ("prepaid trial canceling",     [("trial_ending", START + 7 * DAY, "trialing"),
                                     ("trial_end", START + 10 * DAY, "canceled")]),
    ("prepaid overdue",             [("grace_end", APRIL + 3 * DAY, "expired")]),
    ("prepaid overdue canceling",   [("grace_end", APRIL + 3 * DAY, "canceled")]),
    ("prepaid paused",              []),
    ("prepaid paused until",        [("pause_end", START + 40 * DAY, "active")]),
    ("prepaid trial paused until",  [("pause_end", START + 40 * DAY, "trialing")]),
    ("prepaid overdue paused until", [("pause_end", START + 40 * DAY, "overdue")]),
    ("postpaid",                    [("period_end", APRIL, "active")]),
    ("postpaid canceling",          [("period_end", APRIL, "canceled")]),
    ("postpaid trial",              [("trial_ending", START + 7 * DAY, "trialing"),
                                     ("trial_end", START + 10 * DAY, "active")]),
    ("postpaid trial canceling",    [("trial_ending", START + 7 * DAY, "trialing"),
                                     ("trial_end", START + 10 * DAY, "canceled")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "expected"), AHEAD, ids=[name for name, _ in AHEAD])
def test_a_timeline_says_what_time_will_do(name: str, expected: list[tuple[str, datetime, str]]) -> None:
    """And time does it: each step that is told comes at its instant and leads where it was said to."""
    life, sub = in_state(name)
    assert ahead(life, sub) == expected
    if not expected:
        return
    _, at, status = expected[-1]
    life.to(at - MICROSECOND)
    before = life.sub(sub)
    life.to(at)
    assert life.sub(sub).status == status
    assert life.sub(sub).transitions[-1].at == at
    assert life.sub(sub).transitions[-1].from_status == before.status


CONTRACTS = [
    # auto_renew, does the variant have terms still, status after the contract's end
    (True,  True,  "active"),
    (False, True,  "canceled"),
    (True,  False, "canceled"),
]  # fmt: skip


@pytest.mark.parametrize(("auto_renew", "has_terms", "status"), CONTRACTS)
def test_a_timeline_shows_the_end_of_a_contract(*, auto_renew: bool, has_terms: bool, status: str) -> None:
    terms = {"term_interval": "month", "term_count": 1, "auto_renew": auto_renew, "ending_soon_days": 5}
    life = Subscriber(variant("month", interval="week", billing_mode="postpaid", contract=terms))
    sub = life.subscribe()
    if not has_terms:
        bare = variant("month", interval="week", billing_mode="postpaid", version=2, updated_at=START + HOUR)
        life.publish(bare)
        life.to(START + 7 * DAY)
        assert life.sub(sub).variant_version == 2
    told = ahead(life, sub)
    soon = [(at, to) for trigger, at, to in told if trigger == "contract_ending_soon"]
    # Without terms the 30 days of the default: it was told when the terms went.
    assert soon == ([(APRIL - 5 * DAY, "active")] if has_terms else [])
    assert ("contract_end", APRIL, status) in told
    life.to(APRIL)
    assert life.sub(sub).status == status


def test_a_timeline_names_the_plan_that_comes_and_the_template_that_ticks() -> None:
    tick = template(5, "tick", recurrence="interval", interval_seconds=86_400 * 20)
    life = Subscriber(
        variant("one", tick, family="crm", billing_mode="postpaid"),
        variant("two", family="crm", billing_mode="postpaid"),
    )
    sub = life.subscribe()
    life.trigger("change-plan", sub, plan_variant_id="two", when="period_end")
    told = view_timeline(life.catalog, life.sub(sub), life.draft.customer, version=4)
    assert (told.id, told.customer_id, told.external_customer_id) == (sub, life.draft.customer.id, "user_1")
    assert (told.status, told.version) == ("active", 4)
    steps = [(step.trigger, step.at, step.plan_variant_id, step.grant_template_id) for step in told.scheduled]
    assert steps == [
        ("interval_grant", START + 20 * DAY, UNSET, "tick"),
        ("period_end", APRIL, "two", UNSET),
    ]
    assert [step.to_status for step in told.scheduled] == ["active", "active"]


def test_only_the_period_end_names_the_plan_that_comes() -> None:
    life = Subscriber(variant("one", family="crm", rank=2), variant("two", family="crm", rank=1))
    sub = life.subscribe()
    life.trigger("change-plan", sub, plan_variant_id="two")
    told = view_timeline(life.catalog, life.sub(sub), life.draft.customer)
    assert [(step.trigger, step.plan_variant_id) for step in told.scheduled] == [
        ("renewal_due", UNSET),
        ("period_end", "two"),
    ]


def test_a_timeline_keeps_every_step_it_took() -> None:
    life, sub = in_state("prepaid trial")
    life.later(days=1)
    life.trigger("pause", sub)
    life.later(days=1)
    life.trigger("resume", sub)
    life.trigger("renew", sub)
    life.to(life.sub(sub).current_period_end - DAY)
    life.trigger("renew", sub)
    life.trigger("cancel", sub, when="period_end")
    life.trigger("reactivate", sub)
    life.to(life.sub(sub).current_period_end)
    life.to(life.sub(sub).current_period_end)
    life.trigger("renew", sub)
    life.trigger("cancel", sub, when="now")
    assert ahead(life, sub) == []
    life.trigger("reactivate", sub)
    assert behind(life, sub) == [
        ("create",               None,       "trialing"),
        ("pause",                "trialing", "paused"),
        ("resume",               "paused",   "trialing"),
        ("renew",                "trialing", "active"),
        ("renew",                "active",   "active"),
        ("cancel_at_period_end", "active",   "active"),
        ("reactivate",           "active",   "active"),
        ("period_end",           "active",   "active"),
        ("period_end",           "active",   "overdue"),
        ("renew",                "overdue",  "active"),
        ("cancel",               "active",   "canceled"),
        ("reactivate",           "canceled", "active"),
    ]  # fmt: skip


def test_a_timeline_drops_the_oldest_of_more_than_100_steps() -> None:
    life, sub = in_state("postpaid")
    found = life.sub(sub)
    for number in range(100):
        found = record_transition(found, START + number * DAY, f"step-{number}", from_status="active")
    assert [step.trigger for step in found.transitions] == [f"step-{number}" for number in range(100)]
    assert found.updated_at == START + 99 * DAY


# Renewals and their window


@pytest.mark.parametrize(
    ("at", "is_allowed"), [(APRIL - 3 * DAY - MICROSECOND, False), (APRIL - 3 * DAY, True)]
)
def test_the_window_of_a_renewal_opens_at_its_instant(at: datetime, *, is_allowed: bool) -> None:
    life, sub = in_state("prepaid")
    life.to(at)
    if is_allowed:
        assert life.trigger("renew", sub).paid_through == MAY
        return
    with pytest.raises(SubscriptionStateConflictError) as refusal:
        life.trigger("renew", sub)
    assert refusal.value.detail == (
        "A subscription that is active cannot take the trigger renew now. Allowed: pause, cancel, change-plan."
    )
    assert refusal.value.extra == {
        "subscription_id": sub,
        "subscription_status": "active",
        "trigger": "renew",
        "allowed_triggers": ["pause", "cancel", "change-plan"],
    }


def test_a_second_end_of_the_period_is_refused_with_what_would_end_it_at_once() -> None:
    life, sub = in_state("prepaid canceling")
    with pytest.raises(SubscriptionStateConflictError) as refusal:
        life.trigger("cancel", sub, when="period_end")
    assert refusal.value.detail == (
        "A subscription that is active cannot take the trigger cancel now. It is canceled at the end of its "
        "period already; `when: now` ends it at once. Allowed: pause, cancel, change-plan, reactivate."
    )


def test_paying_ahead_follows_the_anchor_not_the_shorter_month() -> None:
    """From 31 January the boundaries are 28 February and 31 March: paid from the one to the other."""
    life = Subscriber(variant("month", template(10)))
    sub = life.subscribe(starts_at=datetime(2041, 1, 31, 10, tzinfo=UTC))
    assert life.sub(sub).current_period_end == datetime(2041, 3, 31, 10, tzinfo=UTC)
    life.to(datetime(2041, 3, 30, tzinfo=UTC))
    assert life.trigger("renew", sub).paid_through == datetime(2041, 4, 30, 10, tzinfo=UTC)
    life.to(datetime(2041, 4, 29, tzinfo=UTC))
    assert life.trigger("renew", sub).paid_through == datetime(2041, 5, 31, 10, tzinfo=UTC)


def test_wrong_instants_are_named() -> None:
    life, sub = in_state("prepaid")
    with pytest.raises(ValidationFailedError) as refusal:
        life.trigger("pause", sub, resumes_at=START)
    assert refusal.value.errors == (("/resumes_at", "Must lie in the future."),)
    assert life.trigger("pause", sub, resumes_at=START + MICROSECOND).pause_resumes_at == START + MICROSECOND


def test_one_family_and_archived_variants_are_refused_in_words() -> None:
    life = Subscriber(variant("one", family="crm"), variant("gone", archived_at=START))
    sub = life.subscribe()
    with pytest.raises(ConflictError) as refusal:
        life.subscribe("one")
    assert refusal.value.detail == (
        "The customer has a live subscription of the plan family crm already; "
        "change its plan or cancel it first."
    )
    assert refusal.value.extra == {"subscription_id": sub, "subscription_status": "active"}
    with pytest.raises(ConflictError) as refusal:
        life.subscribe("gone")
    assert refusal.value.detail == "The plan variant is archived and takes no new subscriptions."
    assert refusal.value.extra == {"plan_variant_id": "gone"}


# Trials


def test_credits_of_a_trial_say_so_and_others_keep_their_source() -> None:
    trial = {"in_trial": True, "recurrence": "activation"}
    life = Subscriber(
        variant(
            "month",
            template(1, "plan", **trial),
            template(2, "gift", source="promotional", **trial),
            template(4, "later"),
            trial_days=10,
        )
    )
    sub = life.subscribe()
    assert {block.grant_template_id: block.source for block in life.draft.live_blocks("credits")} == {
        "plan": "trial",
        "gift": "promotional",
    }
    life.trigger("renew", sub)
    (later,) = [b for b in life.draft.live_blocks("credits") if b.grant_template_id == "later"]
    assert later.source == "plan_grant"
    assert sorted(life.left()) == [1, 2, 4], "what the trial granted is not granted again"


def test_a_contract_begins_with_the_activation() -> None:
    terms = {"term_interval": "month", "term_count": 2}
    life = Subscriber(variant("month", template(10), trial_days=10, contract=terms))
    sub = life.subscribe()
    assert life.sub(sub).contract is None
    life.later(days=5)
    life.trigger("renew", sub)
    contract = life.sub(sub).contract
    assert contract is not None
    assert (contract.starts_at, contract.ends_at) == (START + 5 * DAY, datetime(2041, 5, 6, tzinfo=UTC))
    assert (contract.anchor_at, contract.auto_renew, contract.term_index) == (START + 5 * DAY, True, 0)


def test_a_contract_renews_on_the_terms_that_were_published_meanwhile() -> None:
    """Counted from the old end, because the old anchor has no boundary there."""
    terms = {"term_interval": "month", "term_count": 2}
    other = {"term_interval": "week", "term_count": 3, "auto_renew": False}
    life = Subscriber(variant("month", billing_mode="postpaid", contract=terms))
    sub = life.subscribe()
    life.publish(variant("month", billing_mode="postpaid", version=2, contract=other, updated_at=START + DAY))
    life.to(MAY)
    contract = life.sub(sub).contract
    assert contract is not None
    assert (contract.starts_at, contract.ends_at) == (MAY, MAY + 21 * DAY)
    assert (contract.anchor_at, contract.term_index, contract.auto_renew) == (MAY, 0, False)
    assert contract.is_ending_soon_told is True, "21 days are less than the 30 before which it is told"


def test_a_contract_that_started_in_the_past_is_in_the_term_that_holds_now() -> None:
    terms = {"term_interval": "month", "term_count": 2}
    life = Subscriber(variant("month", billing_mode="postpaid", contract=terms))
    sub = life.subscribe(starts_at=datetime(2040, 12, 15, tzinfo=UTC))
    contract = life.sub(sub).contract
    assert contract is not None
    assert (contract.starts_at, contract.ends_at) == (
        datetime(2041, 2, 15, tzinfo=UTC), datetime(2041, 4, 15, tzinfo=UTC),
    )  # fmt: skip
    assert (contract.anchor_at, contract.term_index) == (datetime(2040, 12, 15, tzinfo=UTC), 1)


# Rollover


ROLLED = [
    # left of 1,000, terms of the template, what rolls over
    (1_000, {"rollover_percentage": 50},                        500),
    (3,     {"rollover_percentage": 50},                        1),
    (1,     {"rollover_percentage": 50},                        0),
    (1_000, {"rollover_percentage": 50, "rollover_max": 400},   400),
    (1_000, {"rollover_percentage": 50, "rollover_max": 0},     0),
    (1_000, {"rollover_percentage": 100},                       1_000),
    (1_000, {"rollover_percentage": 1},                         10),
    (1_000, {"rollover_percentage": 0, "rollover_max": 400},    0),
]  # fmt: skip


@pytest.mark.parametrize(("left", "terms", "rolled"), ROLLED)
def test_rollover_is_a_share_rounded_down_and_bounded(left: int, terms: dict[str, int], rolled: int) -> None:
    life = Subscriber(
        variant("month", template(1_000, priority=3, metadata={"a": 1}, **terms), billing_mode="postpaid")
    )
    sub = life.subscribe()
    (old,) = life.draft.live_blocks("credits")
    if left < 1_000:
        life.run(WithdrawCredits(amount_mc=1_000 - left))
    life.to(APRIL)
    assert life.left() == [1_000, *([rolled] if rolled else [])]
    moved = [entry for entry in life.entries if entry.type in {"rollover_out", "rollover_in", "expire"}]
    if rolled:
        out, *expired, back = moved
        assert (out.type, out.delta_mc, out.blocks) == ("rollover_out", -rolled, ((old.id, -rolled),))
        assert (back.type, back.delta_mc) == ("rollover_in", rolled)
        references = {(entry.reference_type, entry.reference_id) for entry in (out, back)}
        assert references == {("subscription", sub)}
        assert [entry.delta_mc for entry in expired] == [rolled - left] * (rolled < left)
        block = life.draft.live_blocks("credits")[1]
        told = (block.source, block.priority, block.expires_at, block.rolled_from_block_id, block.metadata)
        assert told == ("rollover", 8, MAY, old.id, {"a": 1})
    else:
        assert [(entry.type, entry.delta_mc) for entry in moved] == [("expire", -left)]
    assert life.draft.account("credits").lifetime_earned_mc == 2_000, "rollover is not earned twice"
    life.check_books()


@pytest.mark.parametrize(("order", "priority"), [("asc", 8), ("desc", -2)])
def test_what_rolled_over_burns_after_the_fresh_grant(order: Any, priority: int) -> None:
    life = Subscriber(
        variant("month", template(1_000, priority=3, rollover_percentage=50), billing_mode="postpaid"),
        config=EnvironmentConfig(priority_order=order),
    )
    life.subscribe()
    life.to(APRIL)
    assert life.left() == [1_000, 500]
    assert [block.priority for block in life.draft.live_blocks("credits")] == [3, priority]
    life.to(MAY)
    assert life.left() == [1_000, 500], "it does not roll again"


def test_rollover_takes_from_several_blocks_in_burn_order() -> None:
    """Half of what both hold together, from the first to burn; a second template rolls by its own terms."""
    life = Subscriber(
        variant(
            "month",
            template(1_000, "half", rollover_percentage=50),
            template(100, "none"),
            template(10, "all", rollover_percentage=100, unit="tokens"),
            billing_mode="postpaid",
        )
    )
    sub = life.subscribe()
    life.to(APRIL)
    assert (life.balance(), life.balance("tokens")) == (1_600, 20)
    outs = [(entry.unit, entry.delta_mc) for entry in life.entries if entry.type == "rollover_out"]
    assert outs == [("credits", -500), ("tokens", -10)]
    assert life.sub(sub).granted == ("half", "none", "all")


# Ends


def test_a_free_plan_that_gives_way_takes_all_its_credits_along() -> None:
    life = Subscriber(
        variant("month", template(10)),
        variant(
            "free",
            template(2, "f"),
            template(3, "once", recurrence="activation"),
            billing_mode="postpaid",
        ),
        config=EnvironmentConfig(default_free_plan_variant_id="free"),
    )
    sub = life.subscribe()
    life.trigger("cancel", sub, when="now")
    assert sorted(life.left()) == [2, 3]
    life.trigger("reactivate", sub)
    assert life.left() == [10]
    told = life.told("subscription.canceled")
    assert [(row["plan_variant_id"], row["reason"]) for row in told] == [
        ("month", "cancel"),
        ("free", "superseded"),
    ]


FALLBACKS = [
    # terms of the free plan                                       does it start
    ({},                                                           True),
    ({"billing_mode": "prepaid"},                                  False),
    ({"trial_days": 1},                                            False),
    ({"contract": {"term_interval": "month", "term_count": 1}},    False),
    ({"archived_at": START},                                       False),
]  # fmt: skip


@pytest.mark.parametrize(("terms", "starts"), FALLBACKS)
def test_a_variant_that_is_not_fit_for_it_is_not_fallen_back_to(
    terms: dict[str, Any], *, starts: bool
) -> None:
    life = Subscriber(
        variant("month"),
        variant("free", **{"billing_mode": "postpaid", **terms}),
        config=EnvironmentConfig(default_free_plan_variant_id="free"),
    )
    sub = life.subscribe()
    life.trigger("cancel", sub, when="now")
    assert [found.plan_variant_id for found in life.draft.subscriptions.values()] == ["free"] * starts


def test_a_free_plan_that_nobody_knows_is_not_fallen_back_to() -> None:
    life = Subscriber(variant("month"), config=EnvironmentConfig(default_free_plan_variant_id="none"))
    life.trigger("cancel", life.subscribe(), when="now")
    assert life.draft.subscriptions == {}


@pytest.mark.parametrize("is_allowed", [False, True])
def test_an_overdue_pause_resumes_with_its_blocks_locked_as_before(*, is_allowed: bool) -> None:
    life = Subscriber(variant("month", template(10), allow_usage_while_overdue=is_allowed))
    sub = life.subscribe()
    life.to(APRIL + DAY)
    life.trigger("pause", sub)
    life.later(days=5)
    life.trigger("resume", sub)
    (block,) = life.draft.live_blocks("credits")
    assert (life.sub(sub).status, block.is_locked, block.is_frozen) == ("overdue", not is_allowed, False)
    assert block.expires_at == life.sub(sub).grace_ends_at == APRIL + 8 * DAY


def test_a_resumed_active_subscription_has_no_locked_blocks() -> None:
    life = Subscriber(variant("month", template(10), allow_usage_while_overdue=False))
    sub = life.subscribe()
    life.trigger("pause", sub)
    life.later(days=5)
    life.trigger("resume", sub)
    (block,) = life.draft.live_blocks("credits")
    assert (block.is_locked, block.is_frozen, block.expires_at) == (False, False, APRIL + 5 * DAY)


def test_locked_blocks_pay_no_overdraft_free_credits_do() -> None:
    life = Subscriber(variant("month", template(10), template(5, "t", recurrence="activation"),
                              allow_usage_while_overdue=False))  # fmt: skip
    life.subscribe()
    life.to(APRIL)
    life.run(TakeAdjustment(amount_mc=8, reason="r", allow_negative=True))
    account = life.draft.account("credits")
    assert (account.blocks_mc, account.overdraft_mc) == (10, 3)
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1)))
    assert life.draft.account("credits").overdraft_mc == 2
    life.check_books()


# What is asked for is summed up by whoever invoices it.


def test_a_usage_summary_has_its_tiers_in_order_and_its_rules_by_id() -> None:
    tiers = ({"up_to": 10, "unit_cost": 4}, {"up_to": 20, "unit_cost": 3}, {"up_to": None, "unit_cost": 2})
    other = ({"up_to": 5, "unit_cost": 1}, {"up_to": 10, "unit_cost": 1}, {"up_to": None, "unit_cost": 1})
    life = Chronicle(
        variant("team", billing_mode="postpaid", overage_policy="allow", entitlements={"calls": {}}),
        metrics=[metric("calls")],
        rules=[
            rule("z", "calls", tiers=tiers, match={"model": "large"}),
            rule("a", "calls", tiers=other, match={"model": "small"}),
        ],
    )
    life.act(CreateSubscription(plan_variant_id="team"))
    for units in (1, 24):
        life.use("calls", units, dimensions={"model": "large"})
    life.use("calls", 7, dimensions={"model": "small"})
    life.to(APRIL)
    (told,) = life.told("subscription.renewed")
    assert told["usage_summary"] == {
        "period_start": START,
        "period_end": APRIL,
        "total_cost": 87,
        "overage_cost": 87,
        "metrics": [
            {
                "billable_metric_key": "calls",
                "units": 32,
                "cost": 87,
                "tiers": [
                    {"up_to": 5, "units": 5, "cost": 5},
                    {"up_to": 10, "units": 12, "cost": 42},
                    {"up_to": 20, "units": 10, "cost": 30},
                    {"up_to": None, "units": 5, "cost": 10},
                ],
                "rules": [
                    {"rule_id": "a", "units": 7, "cost": 7},
                    {"rule_id": "z", "units": 25, "cost": 80},
                ],
            }
        ],
        "late": [],
    }
