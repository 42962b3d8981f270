"""Reservations decided in memory: what is held, how a commit is priced and paid, how a hold ends."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.metering_world import START, World

from quotastack.core.amounts import AMOUNT_MAX
from quotastack.core.commands import Advance, Needs
from quotastack.core.commits import CommitReservation
from quotastack.core.customer_state import Hold
from quotastack.core.draft import replace
from quotastack.core.errors import (
    AssetSuspendedError,
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    ReservationNotActiveError,
    ValidationFailedError,
)
from quotastack.core.holds import HELD_RESERVATIONS_MAX
from quotastack.core.reservations import ExtendReservation, ReleaseReservation, Reserve
from quotastack.core.usage import RecordUsage


@pytest.fixture
def world() -> World:
    world = World()
    world.metric()
    world.rule(unit_cost=10)
    return world


def reserve(world: World, units: Any = 1, **more: Any) -> Any:
    return world.run(Reserve(billable_metric_key="calls", estimated_units=units, **more))


def commit(world: World, hold: Any, units: Any = None, **more: Any) -> Any:
    return world.run(CommitReservation(reservation_id=hold.id, actual_units=units, **more))


def use(world: World, units: int = 1, **more: Any) -> Any:
    return world.run(RecordUsage(billable_metric_key="calls", units=units, **more))


def sums(world: World) -> tuple[int, int, int]:
    account = world.account()
    return account.balance_mc, account.reserved_mc, account.overdraft_mc


def test_hold_lowers_what_can_be_used(world: World) -> None:
    world.grant(100)
    hold = reserve(world, 6, ttl_seconds=120, metadata={"job": "1"})
    assert (hold.status, hold.reserved_amount, hold.estimated_units, hold.effective_balance) == (
        "active",
        60,
        6,
        40,
    )
    assert hold.expires_at == START + timedelta(seconds=120)
    with pytest.raises(InsufficientCreditsError) as refusal:
        use(world, 5)
    assert refusal.value.extra == {"required": 50, "available": 40, "shortfall": 10}
    with pytest.raises(InsufficientCreditsError):
        reserve(world, 5)
    use(world, 4)
    world.check_sums()


@pytest.mark.parametrize(
    ("actual", "committed", "returned", "balance"),
    [(None, 60, 0, 40), (6, 60, 0, 40), (0, 0, 60, 100), (2, 20, 40, 80), (10, 100, 0, 0)],
)
def test_commit_below_at_and_above_the_estimate(
    world: World, actual: Any, committed: int, returned: int, balance: int
) -> None:
    block = world.grant(100)
    hold = reserve(world, 6)
    answer = commit(world, hold, actual)
    assert (answer.status, answer.committed_amount, answer.returned_amount) == (
        "committed",
        committed,
        returned,
    )
    assert (answer.balance, answer.reserved_balance) == (balance, 0)
    assert [(draw.block_id, draw.amount) for draw in answer.blocks] == (
        [(block.id, committed)] if committed else []
    )
    (entry,) = world.entries("commit")
    assert (entry.delta_mc, entry.reserved_delta_mc) == (-committed, -60)
    event = world.usage(answer.usage_id)
    units = 6 if actual is None else actual
    assert (event.reservation_id, event.units, event.cost_mc) == (hold.id, units, committed)
    assert world.draft.counters["calls", "asset"].value == units
    assert len(world.events("reservation.committed")) == 1
    world.check_sums()


def test_excess_that_is_not_covered_leaves_the_hold(world: World) -> None:
    world.grant(100)
    hold = reserve(world, 6)
    with pytest.raises(InsufficientCreditsError) as refusal:
        commit(world, hold, 11)
    assert refusal.value.extra == {"required": 50, "available": 40, "shortfall": 10}
    assert sums(world) == (100, 60, 0)
    assert commit(world, hold, 10).balance == 0


def test_excess_takes_nothing_that_another_hold_needs(world: World) -> None:
    world.grant(100)
    hold = reserve(world, 6)
    other = reserve(world, 3)
    with pytest.raises(InsufficientCreditsError):
        commit(world, hold, 8)
    assert commit(world, hold, 7).balance == 30
    assert commit(world, other).balance == 0
    world.check_sums()


def test_excess_by_overage_policy() -> None:
    world = World(overage_policy="allow", overage_limit=15)
    world.metric()
    world.rule(unit_cost=10)
    world.grant(50)
    hold = reserve(world, 5)
    with pytest.raises(InsufficientCreditsError):
        commit(world, hold, 7)
    answer = commit(world, hold, 6)
    assert (answer.committed_amount, answer.overage, answer.balance) == (60, 10, -10)
    assert [entry.type for entry in world.entries()] == ["grant", "reserve", "commit", "overage"]
    world.check_sums()


def test_reserve_beyond_the_balance_counts_other_holds_in_the_limit() -> None:
    world = World(overage_policy="allow", overage_limit=20)
    world.metric()
    world.rule(unit_cost=10)
    world.grant(10)
    first = reserve(world, 2)
    with pytest.raises(InsufficientCreditsError):
        reserve(world, 2)
    second = reserve(world, 1)
    assert world.account().effective_mc == -20
    assert commit(world, first).overage == 20, "what another hold needs stays in its block"
    assert commit(world, second).overage == 0
    assert sums(world) == (-20, 0, 20)
    world.check_sums()


def test_commit_is_priced_by_the_rule_of_reserve_time(world: World) -> None:
    world.grant(1_000)
    hold = reserve(world, 5)
    world.now = START + timedelta(minutes=1)
    world.rule(unit_cost=900)
    answer = commit(world, hold, 4)
    assert (answer.committed_amount, answer.rule_id) == (40, hold.rule_id)


def test_commit_is_priced_at_its_own_position() -> None:
    world = World()
    world.metric()
    world.rule(tiers=({"up_to": 10, "unit_cost": 10}, {"up_to": None, "unit_cost": 1}))
    world.grant(1_000)
    hold = reserve(world, 10)
    assert hold.reserved_amount == 100
    assert use(world, 5).cost == 50, "held units never move the price"
    assert commit(world, hold).committed_amount == 55


def test_a_hold_of_nothing_stays_free(world: World) -> None:
    world.metric("free")
    hold = world.run(Reserve(billable_metric_key="free", estimated_units=3))
    assert hold.reserved_amount == 0
    world.rule("free", unit_cost=10)
    assert commit(world, hold).committed_amount == 0


def test_plain_credits(world: World) -> None:
    world.grant(100, unit="tokens")
    hold = world.run(Reserve(credits_mc=60, unit="tokens"))
    assert (hold.unit, hold.reserved_amount, hold.effective_balance) == ("tokens", 60, 40)
    with pytest.raises(ValidationFailedError):
        commit(world, hold, 5)
    answer = commit(world, hold, actual_credits_mc=45)
    assert (answer.committed_amount, answer.returned_amount, answer.balance) == (45, 15, 55)
    assert world.usage(answer.usage_id).billable_metric_key == ""
    other = world.run(Reserve(credits_mc=10, unit="tokens"))
    assert commit(world, other).committed_amount == 10
    world.check_sums()


def test_units_are_not_credits(world: World) -> None:
    world.grant(100)
    hold = reserve(world)
    with pytest.raises(ValidationFailedError):
        commit(world, hold, actual_credits_mc=1)
    with pytest.raises(ValidationFailedError):
        commit(world, hold, -1)
    with pytest.raises(ValidationFailedError):
        reserve(world, "1.5")


@pytest.mark.parametrize("aggregation", ["Gauge", "TotalCounter"])
def test_readings_cannot_be_held(world: World, aggregation: Any) -> None:
    world.metric("level", aggregation=aggregation)
    with pytest.raises(ValidationFailedError):
        world.run(Reserve(billable_metric_key="level", estimated_units=1))


# -- how it ends ---------------------------------------------------------------------------------------


def test_release(world: World) -> None:
    world.grant(100)
    hold = reserve(world, 6)
    answer = world.run(ReleaseReservation(reservation_id=hold.id))
    assert (answer.status, answer.returned_amount, answer.effective_balance) == ("released", 60, 100)
    assert len(world.events("reservation.released")) == 1
    world.check_sums()


@pytest.mark.parametrize("end", ["committed", "released", "expired"])
def test_final_is_final(world: World, end: str) -> None:
    world.grant(100)
    hold = reserve(world, 6, ttl_seconds=60)
    if end == "committed":
        commit(world, hold)
    elif end == "released":
        world.run(ReleaseReservation(reservation_id=hold.id))
    else:
        world.now = START + timedelta(seconds=60)
    for command in (
        CommitReservation(reservation_id=hold.id),
        ReleaseReservation(reservation_id=hold.id),
        ExtendReservation(reservation_id=hold.id, ttl_seconds=60),
    ):
        with pytest.raises(ReservationNotActiveError) as refusal:
            world.run(command)
        assert refusal.value.extra["reservation_status"] == end
    world.check_sums()


def test_row_that_was_read_before_it_expired(world: World) -> None:
    """The row was loaded under the lock while it was active; its time came before the command ran."""
    stale = Hold(id="h", unit="credits", reserved_mc=5, expires_at=START, created_at=START)
    world.draft.extra["hold", "h"] = stale
    with pytest.raises(ReservationNotActiveError) as refusal:
        world.run(ReleaseReservation(reservation_id="h"))
    assert refusal.value.extra["reservation_status"] == "expired"
    assert refusal.value.extra == {"reservation_id": "h", "reservation_status": "expired"}
    assert refusal.value.detail == "The reservation is expired."
    with pytest.raises(NotFoundError, match=r"^There is no such reservation\.$"):
        world.run(ReleaseReservation(reservation_id="unknown"))


def test_expiry_at_the_instant(world: World) -> None:
    world.grant(100)
    hold = reserve(world, 6, ttl_seconds=60)
    world.now = START + timedelta(seconds=60) - timedelta(microseconds=1)
    commit_in_time = world.draft.freeze()
    assert hold.id in commit_in_time.holds
    world.now = START + timedelta(seconds=60)
    use(world, 10)
    assert sums(world) == (0, 0, 0)
    (entry,) = world.entries("reservation_expired")
    assert (entry.occurred_at, entry.reserved_delta_mc) == (world.now, -60)
    world.check_sums()


def test_extend_counts_from_now(world: World) -> None:
    world.grant(100)
    hold = reserve(world, 6, ttl_seconds=60)
    world.now = START + timedelta(seconds=50)
    answer = world.run(ExtendReservation(reservation_id=hold.id, ttl_seconds=60))
    assert answer.expires_at == START + timedelta(seconds=110)
    world.now = START + timedelta(seconds=109)
    assert commit(world, hold).status == "committed"


def test_seven_days_in_all(world: World) -> None:
    world.grant(100)
    hold = reserve(world, 6, ttl_seconds=86_400)
    for day in range(1, 7):
        world.now = START + timedelta(days=day, minutes=-day)
        world.run(ExtendReservation(reservation_id=hold.id, ttl_seconds=86_400))
    world.now = START + timedelta(days=6)
    answer = world.run(ExtendReservation(reservation_id=hold.id, ttl_seconds=86_400))
    assert answer.expires_at == START + timedelta(days=7)
    world.now = START + timedelta(days=6, seconds=1)
    with pytest.raises(ConflictError) as refusal:
        world.run(ExtendReservation(reservation_id=hold.id, ttl_seconds=86_400))
    latest = START + timedelta(days=7)
    assert refusal.value.extra == {"latest": latest}
    assert refusal.value.detail == (
        f"A reservation lives for 7 days at most: this one until {latest.isoformat()}."
    )


def test_credits_kept_for_a_hold_pay_its_commit_after_their_expiry(world: World) -> None:
    world.grant(100, expires_at=START + timedelta(seconds=10))
    hold = reserve(world, 6, ttl_seconds=60)
    world.now = START + timedelta(seconds=10)
    with pytest.raises(InsufficientCreditsError):
        use(world, 1)
    assert sums(world) == (60, 60, 0)
    answer = commit(world, hold, 5)
    assert (answer.committed_amount, answer.balance) == (50, 0), "what was not used expires with the hold"
    assert sum(entry.delta_mc for entry in world.entries("expire")) == -50
    world.check_sums()


def test_suspended_account(world: World) -> None:
    world.grant(100)
    hold = reserve(world, 6)
    world.draft.put_account(replace(world.account(), status="suspended"))
    with pytest.raises(AssetSuspendedError):
        reserve(world, 1)
    with pytest.raises(AssetSuspendedError):
        world.run(Reserve(credits_mc=1))
    with pytest.raises(AssetSuspendedError):
        commit(world, hold, 7)
    assert commit(world, hold, 6).status == "committed", "an earlier hold still lands"


def test_at_most_ten_thousand_holds(world: World) -> None:
    world.grant(100)
    reserve(world, 1)
    (hold,) = world.draft.holds.values()
    crowd = {
        str(number): replace(hold, id=str(number), reserved_mc=0) for number in range(HELD_RESERVATIONS_MAX)
    }
    world.draft.holds = crowd
    with pytest.raises(ConflictError, match=r"^The customer has 10000 active reservations already\.$"):
        reserve(world, 1)
    world.draft.holds = dict(list(crowd.items())[1:])
    assert reserve(world, 1).status == "active"


def test_created_is_told_only_to_who_named_it(world: World) -> None:
    world.grant(100)
    reserve(world)
    assert world.events("reservation.created") == []
    world.named_events = frozenset({"reservation.created"})
    hold = reserve(world, 2)
    plain = world.run(Reserve(credits_mc=5))
    first, second = world.events("reservation.created")
    assert first == {
        "reservation_id": hold.id,
        "unit": "credits",
        "reserved_amount": 20,
        "effective_balance": 70,
        "expires_at": START + timedelta(seconds=300),
        "billable_metric_key": "calls",
        "estimated_units": 2,
    }
    assert second == {
        "reservation_id": plain.id,
        "unit": "credits",
        "reserved_amount": 5,
        "effective_balance": 65,
        "expires_at": START + timedelta(seconds=300),
    }


def test_an_excess_beside_a_kept_rest_takes_nothing_that_another_hold_needs(world: World) -> None:
    """Both blocks pay for both holds; what the first draw took is not there for the second."""
    world.grant(100, expires_at=START + timedelta(seconds=60))
    world.grant(100)
    first = reserve(world, 15, ttl_seconds=600)
    second = reserve(world, 5, ttl_seconds=600)
    world.now = START + timedelta(seconds=60)
    world.run(Advance())
    assert sums(world) == (200, 200, 0)
    with pytest.raises(InsufficientCreditsError) as refusal:
        commit(world, first, 16)
    assert refusal.value.extra == {"required": 10, "available": 0, "shortfall": 10}
    answer = commit(world, first)
    assert [draw.amount for draw in answer.blocks] == [100, 50]
    assert (commit(world, second).overage, sums(world)) == (0, (0, 0, 0))
    world.check_sums()


def test_a_kept_rest_pays_for_no_hold_that_was_made_after_it_expired(world: World) -> None:
    world.grant(40, expires_at=START + timedelta(seconds=60))
    first = reserve(world, 4, ttl_seconds=600)
    world.now = START + timedelta(seconds=60)
    world.run(Advance())
    block = world.grant(50)
    second = reserve(world, 5, ttl_seconds=600)
    assert sums(world) == (90, 90, 0)
    answer = commit(world, second)
    assert [(draw.block_id, draw.amount) for draw in answer.blocks] == [(block.id, 50)]
    assert commit(world, first).committed_amount == 40
    world.check_sums()


WORDS = [
    # the request                                            pointer, detail
    (Reserve(billable_metric_key="calls"),
     "/estimated_units", "Is required with billable_metric_key."),
    (Reserve(billable_metric_key="calls", estimated_units=-1),
     "/estimated_units", "Must be 0 or more."),
    (Reserve(billable_metric_key="calls", estimated_units="1"),
     "/estimated_units", f"Must be an integer, within {AMOUNT_MAX}."),
    (Reserve(billable_metric_key="level", estimated_units=1),
     "/billable_metric_key", "Units of a Gauge cannot be reserved; reserve plain credits."),
    (Reserve(billable_metric_key="switch", estimated_units=1),
     "/billable_metric_key", "Units of a boolean metric cannot be reserved; reserve plain credits."),
    (CommitReservation(reservation_id="units", actual_credits_mc=1),
     "/actual_credits", "The reservation is in units: commit actual_units."),
    (CommitReservation(reservation_id="units", actual_units=-1),
     "/actual_units", "Must be 0 or more."),
    (CommitReservation(reservation_id="units", actual_units="1"),
     "/actual_units", f"Must be an integer, within {AMOUNT_MAX}."),
    (CommitReservation(reservation_id="plain", actual_units=1),
     "/actual_units", "The reservation is in plain credits: commit actual_credits."),
]  # fmt: skip


@pytest.mark.parametrize(("command", "pointer", "detail"), WORDS)
def test_a_wrong_field_is_named(world: World, command: Any, pointer: str, detail: str) -> None:
    world.metric("level", aggregation="Gauge", type="gauge")
    world.metric("switch", aggregation=None, type="boolean")
    world.grant(100)
    ids = {"units": reserve(world, 1).id, "plain": world.run(Reserve(credits_mc=1)).id}
    if isinstance(command, CommitReservation):
        command = replace(command, reservation_id=ids[command.reservation_id])
    with pytest.raises(ValidationFailedError) as refusal:
        world.run(command)
    assert refusal.value.errors == ((pointer, detail),)


def test_a_hold_in_the_state_needs_no_row(world: World) -> None:
    """One that is there is looked at as it is; for any other its row is loaded, in case it is final."""
    world.grant(100)
    hold = reserve(world, 1)
    known, unknown = (ReleaseReservation(reservation_id=name) for name in (hold.id, "unknown"))
    assert known.lacks(world.draft.freeze()) is None
    assert unknown.lacks(world.draft.freeze()) == unknown.needs == Needs(hold_ids=("unknown",))


@pytest.mark.parametrize(("commits", "left"), [((0, 1), 0), ((1, 0), 0)])
def test_a_hold_takes_nothing_that_a_later_one_stands_on(
    world: World, commits: tuple[int, int], left: int
) -> None:
    """The rest kept for the first hold pays for no later one, so the first one has to take it."""
    world.grant(60, priority=9, expires_at=START + timedelta(seconds=60))
    first = world.run(Reserve(credits_mc=60, ttl_seconds=600))
    world.now = START + timedelta(seconds=60)
    world.run(Advance())
    world.grant(60)
    second = world.run(Reserve(credits_mc=60, ttl_seconds=600))
    assert world.account().effective_mc == 0
    for number in commits:
        answer = world.run(CommitReservation(reservation_id=(first, second)[number].id))
        assert (answer.committed_amount, answer.overage) == (60, 0)
    assert sums(world) == (left, 0, 0)
    world.check_sums()
