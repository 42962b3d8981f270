"""Which subscription governs a metric, and the period that an instant falls into."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.core.lives import START
from tests.core.plans import Subscriber, template, variant

from quotastack.core.governing import (
    governing_subscriptions,
    pricing_period,
    subscription_period,
)

DAY = timedelta(days=1)
APRIL = datetime(2041, 4, 1, tzinfo=UTC)
MAY = datetime(2041, 5, 1, tzinfo=UTC)


def life_on(*keys: str) -> Subscriber:
    """Postpaid variants that all list the metric `call`."""
    return Subscriber(
        *(
            variant(key, billing_mode="postpaid", entitlements={"call": {}}, interval=interval)
            for key, interval in zip(keys, ("month", "week", "day"), strict=False)
        )
    )


def test_the_oldest_subscription_that_lists_it_gives_the_period() -> None:
    life = life_on("one", "two")
    life.to(START + DAY)
    life.subscribe("one")
    life.to(START + 2 * DAY)
    life.subscribe("two")
    governing = governing_subscriptions(life.draft, life.catalog, "call")
    assert [found.key for _, found in governing] == ["one", "two"]
    period = pricing_period(life.draft, life.catalog, "call", life.now)
    assert period == (START + DAY, APRIL + DAY)
    month = pricing_period(life.draft, life.catalog, "other", life.now)
    assert month == (START, APRIL), "what nobody lists follows the calendar"


def test_past_periods_are_what_they_were() -> None:
    """A pause made one longer; a late event still falls where it belongs."""
    life = life_on("month")
    sub = life.subscribe()
    life.later(days=10)
    life.trigger("pause", sub)
    life.later(days=7)
    life.trigger("resume", sub)
    life.to(APRIL + 7 * DAY)
    found = life.sub(sub)
    running = life.catalog.latest_variants["month"]
    moved = APRIL + 7 * DAY
    assert subscription_period(found, running, moved - timedelta(seconds=1)) == (START, moved)
    assert subscription_period(found, running, START + 20 * DAY) == (START, moved)
    assert subscription_period(found, running, moved) == (moved, MAY + 7 * DAY)
    ahead = MAY + 7 * DAY
    assert subscription_period(found, running, ahead)[0] == ahead
    before = subscription_period(found, running, START - DAY)
    assert before[1] <= START


@pytest.mark.parametrize("interval", ["day", "week", "month"])
def test_periods_tile_the_last_31_days(interval: str) -> None:
    life = Subscriber(variant("plan", template(1), billing_mode="postpaid", interval=interval))
    sub = life.subscribe()
    life.to(START + 400 * DAY + timedelta(hours=5))
    found, running = life.sub(sub), life.catalog.latest_variants["plan"]
    at = life.now - 31 * DAY
    while at < life.now:
        start, end = subscription_period(found, running, at)
        assert start <= at < end
        at = end
    assert len(found.past_starts) <= 33


def test_while_overdue_the_new_period_has_begun() -> None:
    life = Subscriber(variant("month", entitlements={"call": {}}))
    life.subscribe()
    life.to(APRIL + DAY)
    assert pricing_period(life.draft, life.catalog, "call", life.now) == (APRIL, MAY)
