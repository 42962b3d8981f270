"""S6 Plan bought from the wallet: both legs of an exchange happen, or neither.

The kill of the server during exchanges is in tests/races/test_http_kills.py.
"""

from datetime import timedelta

from tests.api.stories import START, Story, answer, at_once, refused, same_instant

PLAN = {
    "debit_credits": 100_000,
    "grant": {
        "credits": 250_000,
        "priority": 0,
        "expires_after_seconds": 3_600,
        "reason": "plan for an hour",
    },
}


def test_s6_exchange(story: Story) -> None:
    story.freeze()
    customer = story.wallet(500_000, priority=10)
    (wallet,) = story.live_blocks(customer)
    bought = answer(story.post(f"/v1/customers/{customer}/credits/exchange", PLAN), 201)
    assert bought["debit"] == {"amount": 100_000, "blocks": [{"block_id": wallet["id"], "amount": 100_000}]}
    assert (bought["block"]["source"], bought["block"]["remaining_amount"]) == ("exchange", 250_000)
    same_instant(bought["block"]["expires_at"], START + timedelta(hours=1))
    assert bought["account"]["balance"] == 650_000
    deltas = [(entry["type"], entry["delta"]) for entry in story.ledger(customer)]
    assert deltas == [("grant", 500_000), ("exchange", -100_000), ("grant", 250_000)]

    story.advance(seconds=3_600, sweep=False)
    assert story.balance(customer) == 400_000
    story.advance(seconds=1)
    story.verify(customer)


def test_s6_both_legs_or_neither(story: Story) -> None:
    customer = story.wallet(250_000)
    path = f"/v1/customers/{customer}/credits/exchange"
    answers = at_once([lambda: story.post(path, PLAN)] * 8)
    bought = [response for response in answers if response.status == 201]
    # Each exchange brings more than it costs, so that the bought credits may buy again.
    assert len(bought) == 8
    poor = story.wallet(99_999)
    refused(story.post(f"/v1/customers/{poor}/credits/exchange", PLAN), 402, "insufficient-credits")
    assert [entry["type"] for entry in story.ledger(poor)] == ["grant"]
    story.verify(customer)


def test_s6_exchange_into_another_unit(story: Story) -> None:
    customer = story.wallet(500_000)
    body = {"debit_credits": 100_000, "unit": "credits", "grant": {"credits": 7_000, "unit": "tokens"}}
    bought = answer(story.post(f"/v1/customers/{customer}/credits/exchange", body), 201)
    assert bought["block"]["unit"] == "tokens"
    assert story.balance(customer) == 400_000
    assert story.balance(customer, unit="tokens") == 7_000
