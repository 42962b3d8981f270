"""The order in which priorities burn is the environment's, from the moment on when it is changed."""

from tests.api.stories import Story, answer


def _remaining(story: Story, customer: str) -> dict[int, int]:
    return {block["priority"]: block["remaining_amount"] for block in story.live_blocks(customer)}


def _spend(story: Story, customer: str, credits_mc: int) -> None:
    body = {"credits": credits_mc}
    answer(story.post(f"/v1/customers/{customer}/credits/withdraw", body), 200)


def test_a_changed_order_holds_for_customers_who_are_remembered(story: Story) -> None:
    customer = story.customer()
    for priority in (1, 2, 3):
        story.grant(customer, 1_000, priority=priority)
    _spend(story, customer, 100)
    assert _remaining(story, customer) == {1: 900, 2: 1_000, 3: 1_000}
    story.configure(priority_order="desc")
    assert list(_remaining(story, customer)) == [3, 2, 1]
    _spend(story, customer, 100)
    assert _remaining(story, customer) == {1: 900, 2: 1_000, 3: 900}
    # What comes takes its place among them, and the order holds when it is turned again.
    story.grant(customer, 1_000, priority=4)
    _spend(story, customer, 1_100)
    assert _remaining(story, customer) == {1: 900, 2: 1_000, 3: 800}
    story.configure(priority_order="asc")
    _spend(story, customer, 1_000)
    assert _remaining(story, customer) == {2: 900, 3: 800}
