"""Lives of subscriptions at random: one long jump of time is many short ones, and the books always add up.

Regression rows: R11 and R12 (each boundary once), R16 and R18 (one event for one transition), R27 (what
happens exactly at a boundary), R30 (expiry counts from the grant), R31 (expired means unspendable).
"""

import random
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.core.lives import START
from tests.core.plans import TRIGGERS, Subscriber, template, variant

from quotastack.core.catalog import EnvironmentConfig
from quotastack.core.errors import ProblemError

DAY = timedelta(days=1)
encode = msgspec.json.Encoder(order="deterministic").encode


def catalog(*, order: str = "asc") -> Subscriber:
    """Plans of every kind in one family or beside it, and a free plan to fall back to."""
    return Subscriber(
        variant(
            "month",
            template(10_000, "m1", rollover_percentage=50, rollover_max=4_000),
            template(300, "m2", recurrence="activation"),
            template(70, "m3", recurrence="interval", interval_seconds=5 * 86_400),
            family="main",
            rank=1,
            trial_days=10,
            contract={"term_interval": "month", "term_count": 5},
        ),
        variant(
            "week",
            template(2_000, "w1", rollover_percentage=100, accumulation_cap=5_000),
            template(
                11, "w2", recurrence="interval", interval_seconds=86_400, expires_after_seconds=3 * 86_400
            ),
            family="main",
            rank=2,
            interval="week",
            allow_usage_while_overdue=False,
            grace_period_days=2,
        ),
        variant(
            "usage",
            template(500, "u1", expires_after_seconds=86_400 * 40),
            template(900, "u2", in_trial=True),
            family="main",
            rank=3,
            billing_mode="postpaid",
            contract={"term_interval": "month", "term_count": 2, "auto_renew": False},
        ),
        variant(
            "day",
            template(100, "d1"),
            family="addon",
            interval="day",
            billing_mode="postpaid",
            trial_days=2,
        ),
        variant("free", template(40, "f1"), family="free", billing_mode="postpaid"),
        config=EnvironmentConfig(default_free_plan_variant_id="free", priority_order=order),
    )


def acts(seed: int, count: int) -> list[tuple[timedelta, str, dict[str, Any]]]:
    """Random triggers with the time that passes before each; the subscription is chosen at run time."""
    chance = random.Random(seed)
    found: list[tuple[timedelta, str, dict[str, Any]]] = []
    for _ in range(count):
        span = chance.choice(
            [
                timedelta(0),
                timedelta(0),
                timedelta(hours=7),
                timedelta(hours=7),
                DAY,
                3 * DAY,
                12 * DAY,
                31 * DAY,
            ]
        )
        name = chance.choice(
            [
                "create",
                *["renew"] * 7,
                "pause",
                "resume",
                "cancel",
                "reactivate",
                "change-plan",
                "change-plan",
            ]
        )
        more: dict[str, Any] = {"pick": chance.random()}
        if name == "create":
            more |= {"variant_id": chance.choice(["month", "week", "usage", "day", "free"])}
            if chance.random() < 0.3:
                more |= {"starts_at": START - timedelta(days=chance.randrange(400))}
            if chance.random() < 0.3:
                more |= {"trial_days": chance.choice([0, 5])}
        elif name == "pause" and chance.random() < 0.5:
            more |= {"resumes_in": timedelta(days=chance.randrange(1, 60))}
        elif name == "cancel":
            more |= {
                "when": chance.choice(["now", "period_end"]),
                "credits": chance.choice(["expire", "keep"]),
            }
        elif name == "change-plan":
            more |= {"plan_variant_id": chance.choice(["month", "week", "usage"])}
            more |= {"when": chance.choice(["now", "period_end", None])}
            if more["when"] == "now":
                more |= {"credits": chance.choice(["keep", "prorate", "reset", None])}
        found.append((span, name, more))
    return found


def live(
    life: Subscriber, story: list[tuple[timedelta, str, dict[str, Any]]], *, step: timedelta | None
) -> None:
    """Run the story; with ``step``, time passes in steps of that length and never in one jump."""
    known: list[str] = []
    for span, name, terms in story:
        pass_time(life, life.now + span, step=step)
        more = dict(terms)
        pick = more.pop("pick")
        try:
            if name == "create":
                life.subscribe(more.pop("variant_id"), **more)
            elif known:
                if name == "renew":
                    pass_time(life, when_to_renew(life, known[int(pick * len(known))], pick), step=step)
                resumes_in = more.pop("resumes_in", None)
                if resumes_in is not None:
                    more["resumes_at"] = life.now + resumes_in
                life.trigger(name, known[int(pick * len(known))], **more)
        except ProblemError:
            pass
        for subscription_id in life.draft.subscriptions:
            if subscription_id not in known:
                known.append(subscription_id)
        spend_some(life, pick)
        life.check_books()
        check_state(life)
    pass_time(life, life.now + 400 * DAY, step=step)
    life.check_books()
    check_state(life)


def when_to_renew(life: Subscriber, subscription_id: str, pick: float) -> datetime:
    """Mostly inside the renewal window, sometimes in the grace, sometimes whenever it is."""
    subscription = life.draft.subscriptions.get(subscription_id)
    if subscription is None or subscription.renewal_due_at is None or int(pick * 1_000) % 7 == 0:
        return life.now
    if int(pick * 1_000) % 3 == 0:
        return max(life.now, subscription.current_period_end + timedelta(hours=30))
    return max(life.now, subscription.renewal_due_at + timedelta(hours=5))


def pass_time(life: Subscriber, until: datetime, *, step: timedelta | None) -> None:
    while step is not None and life.now + step < until:
        life.now += step
        life.catch_up()
    life.to(until)


def spend_some(life: Subscriber, pick: float) -> None:
    free_mc = sum(
        b.remaining_mc for b in life.draft.live_blocks("credits") if not b.is_locked and not b.is_kept
    )
    amount_mc = min(int(free_mc * pick / 2), life.draft.account("credits").free_mc)
    if amount_mc > 0:
        hold = life.hold(amount_mc, seconds=5 * 86_400)
        if pick < 0.7:
            life.commit(hold, amount_mc // 2)


def check_state(life: Subscriber) -> None:
    """What holds of every customer at every instant."""
    draft = life.draft
    families = [s.family for s in draft.subscriptions.values()]
    assert len(families) == len(set(families)), "one live subscription per family"
    for subscription in draft.subscriptions.values():
        if subscription.status in {"active", "trialing"}:
            assert subscription.current_period_start <= life.now < subscription.current_period_end
        if subscription.status == "overdue":
            assert subscription.grace_ends_at is not None
            assert subscription.current_period_end <= life.now < subscription.grace_ends_at
    for block in draft.live_blocks("credits"):
        is_open = block.expires_at is None or life.now < block.expires_at
        assert is_open or block.is_frozen or block.is_kept, "nothing expired is live"
        owner = draft.subscriptions.get(block.subscription_id or "")
        if block.is_cycle and owner is not None and not block.is_kept and owner.status == "active":
            assert block.expires_at == owner.current_period_end
        assert not block.is_frozen or (owner is not None and owner.status == "paused")
        assert not block.is_locked or (owner is not None and "overdue" in {owner.status, owner.paused_status})


@pytest.mark.parametrize("seed", range(60))
def test_one_jump_is_many_steps(seed: int) -> None:
    story = acts(seed, 24)
    order = "desc" if seed % 3 == 0 else "asc"
    jumping, stepping = catalog(order=order), catalog(order=order)
    live(jumping, story, step=None)
    live(stepping, story, step=timedelta(hours=random.Random(seed).choice([5, 24, 100])))
    assert encode(jumping.entries) == encode(stepping.entries)
    assert encode(jumping.events) == encode(stepping.events)
    ours = encode(sorted(jumping.draft.subscriptions.items()))
    assert ours == encode(sorted(stepping.draft.subscriptions.items()))


@pytest.mark.parametrize("seed", range(100, 160))
def test_transitions_are_told_once_each(seed: int) -> None:
    life = catalog()
    live(life, acts(seed, 40), step=None)
    told = [event for event in life.events if event.type.startswith("subscription.")]
    keys = [(event.type, event.data["subscription_id"], event.created_at) for event in told]
    ends = [key for key in keys if key[0] in {"subscription.renewed", "subscription.expired"}]
    assert len(ends) == len(set(ends)), "one period is renewed once, an end is told once"
    assert [event.created_at for event in life.events] == sorted(event.created_at for event in life.events)
    assert [entry.created_at for entry in life.entries] == sorted(entry.created_at for entry in life.entries)


def test_every_trigger_is_in_the_story() -> None:
    names = {name for seed in range(60) for _, name, _ in acts(seed, 24)}
    assert names == {"create", *TRIGGERS}


def test_two_years_in_one_jump_are_two_years_day_by_day() -> None:
    jumping, stepping = catalog(), catalog()
    for life in (jumping, stepping):
        life.subscribe("usage")
        life.subscribe("day")
    jumping.to(START + 731 * DAY)
    for day in range(1, 732):
        stepping.to(START + day * DAY)
    assert encode(jumping.entries) == encode(stepping.entries)
    assert encode(jumping.events) == encode(stepping.events)
    assert jumping.kinds().count("renewed") > 700
