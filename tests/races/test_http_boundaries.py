"""Two servers sweep at once (R11, R28): the short form; tests/rigs/test_boundaries.py has the long one."""

import pytest
from tests.api.stories import Story, at_once, wire
from tests.races.sweep_rig import BEGIN, sweep_together


@pytest.mark.slow
def test_each_boundary_runs_once(both: list[Story]) -> None:
    assert sweep_together(both, subscriptions=40, boundaries=24) == 40 * 24


def test_two_servers_move_one_clock(both: list[Story]) -> None:
    """The same move through both servers at once: the clock moves twice, each boundary runs once."""
    first, second = both
    first.freeze(BEGIN)
    plan = first.plan("daily")
    variant = first.variant(plan, billing_mode="postpaid", interval="day")
    first.template(plan, variant, 1_000)
    customer = first.customer()
    first.subscribe(customer, variant)
    body = {"seconds": 2 * 86_400}
    moves = [lambda s=story: s.api.post("/v1/test-clock/advance", body) for story in (first, second)]
    answers = at_once(moves)
    assert [response.status for response in answers] == [200, 200]
    ran = sorted(row["at"] for response in answers for row in response.json["ran"])
    assert ran == sorted(set(ran)), "what one answer tells, the other does not"
    assert len(ran) == 4
    assert wire(second.now()) == "2041-06-05T08:00:00Z"
    assert len(second.events("subscription.renewed", customer)) == 4
    second.verify(customer)
