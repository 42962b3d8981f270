"""Taking usage back: exactly its cost, against overdraft first, then to the blocks that paid."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.metering_world import START, World

from quotastack.core.draft import replace
from quotastack.core.errors import ConflictError, NotFoundError
from quotastack.core.reversal import ReverseUsage
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
