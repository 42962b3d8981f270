"""Regression rows of reliability.md section 6 about lists, filters, texts and the ledger's chain."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from tests.api.stories import START, Story, answer, pages

ODD = [
    "o'neill",
    "100%",
    "_under",
    "back\\slash",
    '"quoted"',
    "a;drop table x",
    "$1",
    "%s",
    "{}",
    "ünïcode",
    "日本",
    "🙂",
]


@pytest.mark.parametrize("text", ODD)
def test_r38_filters_take_any_text_literally(story: Story, text: str) -> None:
    customer = story.customer(f"{text}:1", display_name=text)
    story.customer("another")
    found = answer(story.api.get("/v1/customers", external_id=f"{text}:1"), 200)["data"]
    assert [row["customer_id"] for row in found] == [customer]
    assert [row["customer_id"] for row in pages(story.api, "/v1/customers", q=text)] == [customer]
    for path in ("/v1/usage", "/v1/reserve", "/v1/subscriptions"):
        assert story.api.get(path, external_customer_id=text).status in {200, 404}
    by_name = story.api.get(f"/v1/customer-by-external-id/{quote(f'{text}:1', safe='')}")
    assert answer(by_name, 200)["external_customer_id"] == f"{text}:1"


@pytest.mark.parametrize(
    "external_id", ["a/b", "a:b", "a%b", "a b", "a?b", "a#b", "ü", "a%2Fb", "a+b", "{id}"]
)
def test_r38_external_ids_in_paths(story: Story, external_id: str) -> None:
    customer = story.customer(external_id)
    path = f"/v1/customer-by-external-id/{quote(external_id, safe='')}"
    assert answer(story.api.get(path), 200)["customer_id"] == customer
    answer(story.api.post(f"{path}/credits/grant", {"credits": 5, "source": "promotional"}), 201)
    assert answer(story.api.get(f"{path}/credits"), 200)["balance"] == 5


def test_r38_offsets_equal_z(story: Story) -> None:
    """An instant with an offset is the same instant as with Z, in bodies and in filters."""
    story.freeze(START + timedelta(days=2))
    story.metric("calls")
    customer = story.customer()
    at = datetime(2041, 3, 2, 1, tzinfo=UTC)
    told = [
        story.used(customer, "calls", 1, timestamp=text)["id"]
        for text in ("2041-03-02T01:00:00Z", at.astimezone(timezone(timedelta(hours=4))).isoformat())
    ]
    for begin in ("2041-03-02T01:00:00Z", "2041-03-02T05:00:00+04:00"):
        query = {"customer_id": customer, "from": begin, "to": "2041-03-02T01:00:01Z"}
        assert sorted(row["id"] for row in pages(story.api, "/v1/usage", **query)) == sorted(told)
        query = {"customer_id": customer, "from": "2041-03-01T00:00:00Z", "to": begin}
        assert list(pages(story.api, "/v1/usage", **query)) == []


@pytest.mark.parametrize(
    "bad",
    [
        "2041-03-02T01:00:00",
        "2041-03-02",
        "2041-13-01T00:00:00Z",
        "1999-12-31T23:59:59Z",
        "2200-01-01T00:00:01Z",
        "5",
    ],
)
def test_r38_times_without_zone_or_range(story: Story, bad: str) -> None:
    assert story.api.get("/v1/usage", **{"from": bad}).status == 400
    customer = story.customer()
    body = {"credits": 1, "source": "promotional", "expires_at": bad}
    assert story.post(f"/v1/customers/{customer}/credits/grant", body).status == 400


@pytest.mark.parametrize("limit", ["0", "-1", "201", "1000000000", "abc", "1.5", ""])
def test_r38_limits_are_refused_not_clamped(story: Story, limit: str) -> None:
    assert story.api.get("/v1/customers", limit=limit).status == 400


def test_cursors_are_stable_and_tamper_evident(story: Story) -> None:
    customers = [story.customer() for _ in range(7)]
    first = answer(story.api.get("/v1/customers", limit=3), 200)
    assert [row["customer_id"] for row in first["data"]] == customers[:-4:-1], "newest first"
    story.customer("came between")
    cursor = first["pagination"]["next_cursor"]
    second = answer(story.api.get("/v1/customers", limit=3, cursor=cursor), 200)
    assert [row["customer_id"] for row in second["data"]] == customers[3:0:-1]
    for forged in (cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1], "x", cursor + "A"):
        assert story.api.get("/v1/customers", limit=3, cursor=forged).status == 400
    ascending = [row["customer_id"] for row in pages(story.api, "/v1/customers", order="asc")]
    assert ascending[:7] == customers


def test_r39_unicode_goes_through_the_chain(story: Story) -> None:
    customer = story.customer("ünï:1")
    for number, text in enumerate([*ODD, "a" * 200, "\u202e", "é", "e\u0301"]):
        story.grant(customer, number + 1, reason=text, metadata={text[:40]: text})
    reasons = [entry["reason"] for entry in story.ledger(customer)]
    assert reasons[: len(ODD)] == ODD
    hashes = [entry["hash"] for entry in story.ledger(customer)]
    assert len(set(hashes)) == len(hashes)
    story.verify(customer)


def test_r39_equal_lives_have_different_chains(story: Story) -> None:
    story.freeze()
    chains = []
    for _ in range(2):
        customer = story.wallet(1_000)
        chains.append(story.ledger(customer)[0]["hash"])
    assert chains[0] != chains[1]
