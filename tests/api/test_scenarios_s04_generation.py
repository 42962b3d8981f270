"""S4 AI generation: a job holds its credits first, and pays when it is done."""

from tests.api.stories import Story, answer, at_once, refused


def looks(story: Story, count: int) -> str:
    """A customer who can afford that many looks."""
    story.priced("look", 1_000)
    return story.wallet(1_000 * count)


def test_s4_two_reserves_share_one_look(story: Story) -> None:
    customer = looks(story, 1)
    calls = [lambda: story.reserve(customer, "look")] * 2
    answers = at_once(calls)
    assert sorted(response.status for response in answers) == [201, 402]
    lost = next(response for response in answers if response.status == 402)
    problem = refused(lost, 402, "insufficient-credits")
    assert (problem["required"], problem["available"], problem["shortfall"]) == (1_000, 0, 1_000)
    account = story.account(customer)
    assert (account["balance"], account["reserved_balance"], account["effective_balance"]) == (
        1_000,
        1_000,
        0,
    )
    assert story.check(customer, "look")["allowed"] is False
    story.verify(customer)


def test_s4_failed_job_releases(story: Story) -> None:
    customer = looks(story, 1)
    hold = answer(story.reserve(customer, "look"), 201)
    assert (hold["status"], hold["reserved_amount"], hold["estimated_units"]) == ("active", 1_000, 1)
    assert hold["effective_balance"] == 0
    released = answer(story.post(f"/v1/reserve/{hold['id']}/release"), 200)
    assert released["status"] == "released"
    account = story.account(customer)
    assert (account["balance"], account["reserved_balance"]) == (1_000, 0)
    assert account["lifetime_spent"] == 0
    story.verify(customer)


def test_s4_crashed_worker_gets_credits_back_after_the_ttl(story: Story) -> None:
    story.freeze()
    customer = looks(story, 1)
    hold = answer(story.reserve(customer, "look", ttl_seconds=120), 201)
    story.advance(seconds=119, sweep=False)
    assert story.effective(customer) == 0
    story.advance(seconds=1, sweep=False)
    assert story.effective(customer) == 1_000
    assert story.check(customer, "look")["allowed"] is True
    commit = story.post(f"/v1/reserve/{hold['id']}/commit")
    refused(commit, 409, "reservation-not-active")
    assert answer(story.api.get(f"/v1/reserve/{hold['id']}"), 200)["status"] == "expired"
    story.verify(customer)


def test_s4_commit_of_nothing_returns_all(story: Story) -> None:
    customer = looks(story, 3)
    hold = answer(story.reserve(customer, "look", 2), 201)
    committed = answer(story.post(f"/v1/reserve/{hold['id']}/commit", {"actual_units": 0}), 200)
    assert (committed["committed_amount"], committed["returned_amount"]) == (0, 2_000)
    assert committed["status"] == "committed"
    account = story.account(customer)
    assert (account["balance"], account["reserved_balance"]) == (3_000, 0)
    story.verify(customer)


def test_s4_commit_below_and_above_the_estimate(story: Story) -> None:
    customer = looks(story, 5)
    hold = answer(story.reserve(customer, "look", 3), 201)
    below = answer(story.post(f"/v1/reserve/{hold['id']}/commit", {"actual_units": 2}), 200)
    assert (below["committed_amount"], below["returned_amount"], below["balance"]) == (2_000, 1_000, 3_000)

    hold = answer(story.reserve(customer, "look", 2), 201)
    refused(story.post(f"/v1/reserve/{hold['id']}/commit", {"actual_units": 4}), 402, "insufficient-credits")
    assert answer(story.api.get(f"/v1/reserve/{hold['id']}"), 200)["status"] == "active"
    above = answer(story.post(f"/v1/reserve/{hold['id']}/commit", {"actual_units": 3}), 200)
    assert (above["committed_amount"], above["returned_amount"], above["balance"]) == (3_000, 0, 0)
    story.verify(customer)
