"""What the long form of the model machine found, as short lives."""

from fractions import Fraction

from tests.model.driver import CoreDriver
from tests.model.reference import SECOND
from tests.model.worlds import PRICES, Command, World

ONCE = {"id": "once", "unit": "credits", "credits": 1_000, "priority": 0, "recurrence": "activation"}
VARIANT = {
    "id": "plan",
    "billing_mode": "postpaid",
    "lists": False,
    "interval": "month",
    "renewal_due_days": 3,
    "grace_period_days": 3,
    "templates": [ONCE],
}


def test_a_block_without_expiry_that_comes_back_in_a_pause_does_not_stand_still() -> None:
    """It was marked as standing still, and no pause of that subscription could end any more."""
    prices = {"whole": PRICES["whole"]}
    world = World(prices, {}, {}, policy="block", limit=None, descending=False, variants={"plan": VARIANT})
    driver = CoreDriver(world)
    driver.start()
    driver.perform(Command("subscribe", {"variant": "plan"}))
    used = driver.perform(Command("use", {"metric": "whole", "units": Fraction(1)}))
    for command in (
        Command("pause", {}),
        Command("reverse", {"usage_id": used.new_id}),
        Command("resume_subscription", {}),
    ):
        assert driver.perform(command).refusal is None
    (block,) = driver.advanced(keep=True).live_blocks("credits")
    assert (block.remaining_mc, block.expires_at, block.is_frozen) == (1_000, None, False)


def test_late_events_of_a_month_without_others_are_priced_one_after_the_other() -> None:
    """The second began at position 0 again, and the month's counter was written over."""
    prices = {"graduated": PRICES["graduated"]}
    world = World(prices, {}, {}, policy="allow", limit=None, descending=False)
    driver = CoreDriver(world)
    driver.start()

    def cost(late_days: int = 0) -> int:
        late = {"late": late_days * 86_400 * SECOND} if late_days else {}
        return driver.perform(Command("use", {"metric": "graduated", "units": Fraction(1), **late})).facts[
            "cost"
        ]

    assert cost() == 53
    driver.advance(100 * 86_400)
    assert [cost(30), cost(29), cost(30)] == [53, 2, 2]
