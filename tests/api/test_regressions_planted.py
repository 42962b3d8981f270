"""What planted bugs showed to be untested."""

from tests.api.stories import Story, answer, refused


def test_a_key_names_one_act_on_one_thing(story: Story) -> None:
    """The same key and body on another path is another request."""
    first, second = story.customer(), story.customer()
    body = {"credits": 1_000, "source": "promotional"}
    answer(story.post(f"/v1/customers/{first}/credits/grant", body, key="one-act"), 201)
    other = story.post(f"/v1/customers/{second}/credits/grant", body, key="one-act")
    refused(other, 422, "idempotency-key-reused")
    assert story.balance(second) == 0
