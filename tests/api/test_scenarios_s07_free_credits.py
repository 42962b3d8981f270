"""S7 Free credits: a signup grant is given once, whatever happens."""

from datetime import timedelta

from tests.api.stories import Story, answer, at_once

SIGNUP = {"credits": 3_000, "source": "promotional", "reason": "signup"}
KEY = "signup-grant:user_42"


def test_s7_one_block_for_ever(story: Story) -> None:
    story.freeze()
    customer = story.customer("user_42")
    path = f"/v1/customers/{customer}/credits/grant"

    first, second = at_once([lambda: story.post(path, SIGNUP, key=KEY)] * 2)
    assert answer(first, 201) == answer(second, 201)
    replays = [response.headers.get("x-idempotent-replayed") for response in (first, second)]
    assert sorted(replays, key=str) == [None, "true"]

    for span in ({"days": 1}, {"days": 365}):
        story.advance(seconds=timedelta(**span).total_seconds())
        again = story.post(path, SIGNUP, key=KEY)
        assert answer(again, 201) == first.json
        assert again.headers["x-idempotent-replayed"] == "true"

    (block,) = story.blocks(customer)
    assert block["original_amount"] == 3_000
    assert story.balance(customer) == 3_000
    assert story.account(customer)["lifetime_earned"] == 3_000
    assert len(story.events("credit.granted", customer)) == 1
    story.verify(customer)
