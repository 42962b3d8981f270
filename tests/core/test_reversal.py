"""Taking usage back: exactly its cost, against overdraft first, then to the blocks that paid."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.chronicle import Chronicle, metric, rule
from tests.core.metering_world import START, World
from tests.core.plans import template, variant

from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError, NotFoundError
from quotastack.core.reservations import Reserve
from quotastack.core.reversal import ReverseUsage
from quotastack.core.subscriptions import CancelSubscription, PauseSubscription, ResumeSubscription
from quotastack.core.usage import RecordUsage


@pytest.fixture
def world() -> World:
    world = World(overage_policy="allow")
    world.metric()
    world.rule(unit_cost=10)
    return world


def use(world: World, units: int, **more: Any) -> Any:
    return world.run(RecordUsage(billable_metric_key="calls", units=units, **more))


def reverse(world: World, usage_id: str) -> Any:
    """As the engine does it: the event and its blocks are loaded as history."""
    event = world.usage(usage_id)
    world.draft.extra["usage", usage_id] = event
    return world.run(ReverseUsage(usage_id=usage_id, block_ids=tuple(block for block, _ in event.draws)))


def remains(world: World) -> list[int]:
    return [block.remaining_mc for block in world.draft.live_blocks("credits")]


def test_back_to_the_same_blocks(world: World) -> None:
    first = world.grant(50)
    second = world.grant(100, priority=1)
    used = use(world, 8)
    assert remains(world) == [70]
    answer = reverse(world, used.id)
    assert (answer.refunded, answer.account.balance, answer.usage.status) == (80, 150, "reversed")
    assert {(draw.block_id, draw.amount) for draw in answer.blocks} == {(first.id, 50), (second.id, 30)}
    assert remains(world) == [50, 100], "a block that was used up lives again"
    (entry,) = world.entries("refund")
    assert (entry.delta_mc, entry.reference_id) == (80, used.id)
    assert [row["refunded"] for row in world.events("usage.reversed")] == [80]
    assert [row["amount"] for row in world.events("credit.refunded")] == [80]
    assert world.draft.counters["calls", "asset"].value == 0
    assert world.draft.counters["calls", "price:{}"].value == 8, "prices never move back"
    world.check_sums()


def test_only_once(world: World) -> None:
    world.grant(100)
    used = use(world, 1)
    reverse(world, used.id)
    with pytest.raises(ConflictError) as refusal:
        reverse(world, used.id)
    assert refusal.value.extra == {"usage_status": "reversed"}
    with pytest.raises(NotFoundError):
        world.run(ReverseUsage(usage_id="unknown"))


def test_own_overage_goes_first(world: World) -> None:
    block = world.grant(30)
    used = use(world, 5)
    assert world.account().overdraft_mc == 20
    answer = reverse(world, used.id)
    assert [(draw.block_id, draw.amount) for draw in answer.blocks] == [(block.id, 30)]
    assert (world.account().balance_mc, world.account().overdraft_mc) == (30, 0)
    world.check_sums()


def test_overdraft_of_another_event_takes_what_would_have_covered_it(world: World) -> None:
    world.grant(20)
    late = world.grant(20, priority=1)
    paid = use(world, 4)
    use(world, 3)
    assert world.account().overdraft_mc == 30
    answer = reverse(world, paid.id)
    assert answer.refunded == 40
    assert [(draw.block_id, draw.amount) for draw in answer.blocks] == [(late.id, 10)]
    assert world.account().balance_mc == 10
    world.check_sums()


def test_settled_overage_comes_back_as_a_block(world: World) -> None:
    used = use(world, 5)
    world.grant(80)
    assert remains(world) == [30]
    answer = reverse(world, used.id)
    (given,) = answer.blocks
    block = world.draft.find_block(given.block_id)
    assert block is not None
    assert (block.source, block.remaining_mc, block.expires_at) == ("refund", 50, None)
    assert world.account().balance_mc == 80
    world.check_sums()


@pytest.mark.parametrize(
    ("life", "left"),
    [(timedelta(hours=1), timedelta(days=30)), (timedelta(days=20), timedelta(days=30))],
)
def test_dead_block_is_replaced_on_its_terms(world: World, life: timedelta, left: timedelta) -> None:
    world.grant(100, priority=7, expires_at=START + life)
    used = use(world, 4)
    world.now = START + life
    answer = reverse(world, used.id)
    (given,) = answer.blocks
    block = world.draft.find_block(given.block_id)
    assert block is not None
    assert (block.source, block.priority, block.original_mc) == ("refund", 7, 40)
    assert block.expires_at == world.now + left
    assert world.account().balance_mc == 40
    assert world.entries("refund")[0].blocks == ((block.id, 40),)
    world.check_sums()


def test_a_long_lived_voided_block_keeps_its_expiry(world: World) -> None:
    expires_at = START + timedelta(days=90)
    block = world.grant(100, expires_at=expires_at)
    used = use(world, 4)
    live = world.draft.find_block(block.id)
    assert live is not None
    account = world.account()
    # As a void leaves it, without its line: only the block matters here.
    world.draft.change_block(live, replace(live, remaining_mc=0, status="voided"))
    world.draft.put_account(replace(account, blocks_mc=0))
    answer = reverse(world, used.id)
    new = world.draft.find_block(answer.blocks[0].block_id)
    assert new is not None
    assert (new.id != block.id, new.expires_at) == (True, expires_at)


def test_free_events_can_be_taken_back(world: World) -> None:
    world.metric("free")
    used = world.run(RecordUsage(billable_metric_key="free", units=3))
    answer = reverse(world, used.id)
    assert (answer.refunded, answer.blocks) == (0, ())
    assert world.draft.counters["free", "asset"].value == 0
    assert world.entries() == []


def test_a_block_of_an_earlier_batch_is_the_one_in_the_state(world: World) -> None:
    """What was written is no longer among the changes; the live block needs no row to be found."""
    block = world.grant(100)
    used = use(world, 4)
    world.draft.extra["usage", used.id] = world.usage(used.id)
    world.draft.take_changes()
    answer = world.run(ReverseUsage(usage_id=used.id))
    assert [(draw.block_id, draw.amount) for draw in answer.blocks] == [(block.id, 40)]
    assert remains(world) == [100]


WORDS = [
    # status of the event   what the refusal says
    ("reversed",            "The usage event is reversed: only an applied one can be reversed, once."),
    ("rejected",            "The usage event is rejected: only an applied one can be reversed, once."),
]  # fmt: skip


@pytest.mark.parametrize(("status", "detail"), WORDS)
def test_only_what_was_applied_can_be_taken_back(world: World, status: str, detail: str) -> None:
    used = use(world, 1)
    world.draft.extra["usage", used.id] = replace(world.usage(used.id), status=status)
    with pytest.raises(ConflictError) as refusal:
        world.run(ReverseUsage(usage_id=used.id))
    assert (refusal.value.detail, refusal.value.extra) == (detail, {"usage_status": status})
    with pytest.raises(NotFoundError, match=r"^There is no such usage event\.$"):
        world.run(ReverseUsage(usage_id="unknown"))


def test_what_is_told_of_a_reversal(world: World) -> None:
    world.grant(100)
    world.run(Reserve(credits_mc=30))
    used = use(world, 4)
    reverse(world, used.id)
    assert world.events("credit.refunded") == [
        {"unit": "credits", "amount": 40, "balance": 100, "effective_balance": 70, "usage_id": used.id}
    ]
    assert world.events("usage.reversed") == [
        {
            "usage_id": used.id,
            "billable_metric_key": "calls",
            "unit": "credits",
            "refunded": 40,
            "balance": 100,
        }
    ]
    assert world.usage(used.id).details == {"reversed_at": START, "refunded": 40}


# Blocks of a subscription that were used up: the steps of the subscription touched live blocks only.


def subscriber(**terms: Any) -> Chronicle:
    life = Chronicle(
        variant("month", template(40, **terms), billing_mode="postpaid"),
        metrics=[metric("calls")],
        rules=[rule("r", "calls", unit_cost=10)],
    )
    life.subscribe()
    return life


def test_a_refund_into_a_used_up_block_rolls_over_with_its_cycle() -> None:
    life = subscriber(rollover_percentage=50)
    used = life.use("calls", 4)
    assert life.left() == []
    life.reverse(used)
    life.wait(days=31)
    assert life.left() == [40, 20], "the fresh grant, and half of what was given back"


def test_a_refund_into_a_used_up_block_stands_still_while_its_subscription_does() -> None:
    life = subscriber()
    used = life.use("calls", 4)
    (subscription_id,) = life.draft.subscriptions
    life.wait(days=10)
    life.act(PauseSubscription(subscription_id=subscription_id))
    life.wait(days=10)
    life.reverse(used)
    life.wait(days=30)
    assert life.balance() == 40, "its expiry has passed, frozen"
    life.act(ResumeSubscription(subscription_id=subscription_id))
    (block,) = life.draft.live_blocks("credits")
    assert (block.is_frozen, block.expires_at) == (
        False,
        life.draft.subscriptions[subscription_id].current_period_end,
    )
    life.wait(days=21)
    assert [(entry.type, entry.delta_mc) for entry in life.entries[-2:]] == [("expire", -40), ("grant", 40)]


def test_a_refund_into_a_used_up_block_of_an_ended_subscription_expires_by_itself() -> None:
    life = subscriber()
    used = life.use("calls", 4)
    (subscription_id,) = life.draft.subscriptions
    life.act(CancelSubscription(subscription_id=subscription_id, when="now", credits="keep"))
    life.reverse(used)
    (block,) = life.draft.live_blocks("credits")
    assert (block.is_cycle, block.is_frozen, block.is_locked) == (False, False, False)
    life.wait(days=31)
    assert (life.balance(), life.types()[-1]) == (0, "expire")
