"""S10 Four counters: the same readings, four meanings."""

from datetime import timedelta

from tests.api.stories import START, Story, answer, refused, wire

READINGS = (5, 8, 3, 4)


def test_s10_cumulative_counter_sums(story: Story) -> None:
    customer = story.customer()
    story.metric("calls", aggregation="CumulativeCounter")
    for units in READINGS:
        story.used(customer, "calls", units)
    assert story.asset(customer, "calls")["value"] == 20
    refused(story.use(customer, "calls", -1), 400, "validation-error")
    assert story.asset(customer, "calls")["value"] == 20


def test_s10_total_counter_sums_increases_over_a_restart(story: Story) -> None:
    customer = story.customer()
    story.metric("requests_total", aggregation="TotalCounter")
    values = []
    for reading in READINGS:
        answer(story.report(customer, "requests_total", reading), 201)
        values.append(story.asset(customer, "requests_total")["value"])
    assert values == [0, 3, 6, 7]


def test_s10_total_counter_keeps_sources_apart(story: Story) -> None:
    customer = story.customer()
    story.metric("requests_total", aggregation="TotalCounter")
    for source, reading in (("a", 10), ("b", 100), ("a", 15), ("b", 101)):
        answer(story.report(customer, "requests_total", reading, dimensions={"source": source}), 201)
    assert story.asset(customer, "requests_total")["value"] == 6


def test_s10_gauge_takes_the_latest_and_keeps_the_highest(story: Story) -> None:
    customer = story.customer()
    story.metric("seats", type="gauge", aggregation="Gauge")
    for reading in READINGS:
        answer(story.report(customer, "seats", reading), 201)
    asset = story.asset(customer, "seats")
    assert (asset["value"], asset["max"], asset["aggregation"]) == (4, 8, "Gauge")


def test_s10_gauge_ignores_a_reading_older_than_the_last(story: Story) -> None:
    story.freeze(START + timedelta(days=9))
    customer = story.customer()
    story.metric("seats", type="gauge", aggregation="Gauge")
    answer(story.report(customer, "seats", 5), 201)
    late = wire(START + timedelta(days=8))
    answer(story.report(customer, "seats", 9, timestamp=late), 201)
    assert story.asset(customer, "seats")["value"] == 5


def test_s10_gauge_carries_over_into_the_next_period(story: Story) -> None:
    story.freeze(START + timedelta(days=9))
    customer = story.customer()
    story.metric("seats", type="gauge", aggregation="Gauge")
    story.metric("calls", aggregation="CumulativeCounter")
    story.metric("open_jobs", aggregation="UpDownCounter")
    for reading in (8, 4):
        answer(story.report(customer, "seats", reading), 201)
    story.used(customer, "calls", 9)
    story.used(customer, "open_jobs", 3)
    story.advance_to(START.replace(month=4))
    asset = story.asset(customer, "seats")
    assert (asset["value"], asset["max"]) == (4, 4)
    assert story.asset(customer, "calls")["value"] == 0
    assert story.asset(customer, "open_jobs")["value"] == 3


def test_s10_up_down_counter_runs_and_never_falls_below_zero(story: Story) -> None:
    customer = story.customer()
    story.metric("open_jobs", aggregation="UpDownCounter")
    for units in (5, 8, -3, 4):
        story.used(customer, "open_jobs", units)
    assert story.asset(customer, "open_jobs")["value"] == 14
    refused(story.use(customer, "open_jobs", -15), 409, "conflict")
    assert story.asset(customer, "open_jobs")["value"] == 14
    story.used(customer, "open_jobs", -14)
    assert story.asset(customer, "open_jobs")["value"] == 0


def test_s10_total_counter_is_charged_for_its_increase(story: Story) -> None:
    customer = story.wallet(100_000)
    story.metric("requests_total", aggregation="TotalCounter")
    story.rule("requests_total", cost_type="per_unit", unit_cost=1_000)
    costs = [answer(story.report(customer, "requests_total", reading), 201)["cost"] for reading in READINGS]
    assert costs == [0, 3_000, 3_000, 1_000]
    assert story.balance(customer) == 93_000
    story.verify(customer)
