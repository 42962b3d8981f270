"""Customers over HTTP: two names, lists, patches, and a deletion that leaves nothing personal behind."""

import asyncio
import json
import uuid
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest
from tests.api.stories import Story, answer, at_once, pages, refused

ODD_NAMES = [
    "ada@example.com",
    "user:1/companion:2",
    "50% off",
    "a b",
    "Zoë-日本",
    "00000000-0000-7000-8000-000000000000",
    "x" * 255,
]


def both(customer: str, external: str) -> tuple[str, str]:
    return f"/v1/customers/{customer}", f"/v1/customer-by-external-id/{quote(external, safe='')}"


@pytest.mark.parametrize("external", ODD_NAMES)
def test_both_names_lead_to_the_customer(story: Story, external: str) -> None:
    made = answer(story.post("/v1/customers", {"external_id": external}), 201)
    for path in both(made["customer_id"], external):
        found = answer(story.api.get(path), 200)
        assert found == made
        assert answer(story.api.get(f"{path}/credits"), 200)["balance"] == 0


def test_a_customer_as_answered(story: Story) -> None:
    body = {"external_id": "u1", "display_name": "Ada", "email": "ada@example.com", "metadata": {"a": 1}}
    made = answer(story.post("/v1/customers", body), 201)
    assert made.pop("customer_id")
    assert made.pop("created_at") == made.pop("updated_at")
    assert made == {
        "external_customer_id": "u1",
        "display_name": "Ada",
        "email": "ada@example.com",
        "metadata": {"a": 1},
        "low_balance_threshold": None,
        "overage_policy": None,
        "version": 1,
    }


def test_a_taken_external_id(story: Story) -> None:
    customer = story.customer("u1")
    problem = refused(story.post("/v1/customers", {"external_id": "u1"}), 409, "conflict")
    assert problem["customer_id"] == customer
    answers = at_once([lambda: story.post("/v1/customers", {"external_id": "u2"})] * 6)
    assert sorted(response.status for response in answers) == [201, 409, 409, 409, 409, 409]


def test_unknown_customers(story: Story) -> None:
    refused(story.api.get(f"/v1/customers/{uuid.uuid4()}"), 404, "customer-not-found")
    refused(story.api.get("/v1/customer-by-external-id/nobody"), 404, "customer-not-found")
    problem = refused(story.api.get("/v1/customers/nobody"), 404, "customer-not-found")
    assert "customer-by-external-id" in problem["detail"]


def test_patch_merges_metadata_and_clears_with_null(story: Story) -> None:
    customer = story.customer("u1", display_name="Ada", metadata={"keep": 1, "drop": 2})
    path = f"/v1/customers/{customer}"
    patch = {"metadata": {"drop": None, "new": [3]}, "display_name": None, "low_balance_threshold": 500}
    changed = answer(story.api.patch(path, patch), 200)
    assert changed["metadata"] == {"keep": 1, "new": [3]}
    assert "display_name" not in changed
    assert (changed["low_balance_threshold"], changed["version"]) == (500, 2)
    same = answer(story.api.patch(path, {"low_balance_threshold": 500}), 200)
    assert same["version"] == 2
    cleared = answer(story.api.patch(path, {"low_balance_threshold": None}), 200)
    assert cleared["low_balance_threshold"] is None
    too_many = {"metadata": {f"k{number}": 1 for number in range(49)}}
    refused(story.api.patch(path, too_many), 400, "validation-error")
    assert answer(story.api.get(path), 200)["metadata"] == {"keep": 1, "new": [3]}


def test_lists_filter_and_page(story: Story) -> None:
    names = ["alpha:1", "alpha:2", "beta:1", "al%ha"]
    ids = {name: story.customer(name, email=f"{name[0]}.{name[-1]}@example.com") for name in names}

    def found(**query: Any) -> list[str]:
        return [row["external_customer_id"] for row in pages(story.api, "/v1/customers", **query)]

    assert found() == list(reversed(names))
    assert found(order="asc") == names
    assert found(external_id="beta:1") == ["beta:1"]
    assert found(q="ALPHA", order="asc") == ["alpha:1", "alpha:2"]
    assert found(q="al%") == ["al%ha"]
    assert found(email="B.1@example.com") == ["beta:1"]
    assert found(q="b.1@") == ["beta:1"]
    first = answer(story.api.get("/v1/customers", limit=3), 200)
    assert first["pagination"]["has_more"] is True
    story.customer("inserted meanwhile")
    second = answer(story.api.get("/v1/customers", limit=3, cursor=first["pagination"]["next_cursor"]), 200)
    assert [row["customer_id"] for row in second["data"]] == [ids["alpha:1"]]
    assert second["pagination"] == {"has_more": False, "next_cursor": None}
    boundary = answer(story.api.get(f"/v1/customers/{ids['beta:1']}"), 200)["created_at"]
    assert found(**{"from": boundary, "order": "asc"})[0] == "beta:1"
    assert "beta:1" not in found(to=boundary)


def test_deletion_ends_everything_and_frees_the_name(story: Story) -> None:
    customer = story.wallet(10_000, "u1")
    story.grant(customer, 500, effective_at="2150-01-01T00:00:00Z")
    key = "signup-grant:u1"
    grant = {"credits": 700, "source": "promotional"}
    answer(story.post(f"/v1/customers/{customer}/credits/grant", grant, key=key), 201)
    gone = answer(story.api.delete(f"/v1/customers/{customer}"), 200)
    assert gone["customer_id"] == customer
    assert len(gone["voided_block_ids"]) == 3

    for path in both(customer, "u1"):
        refused(story.api.get(path), 404, "customer-not-found")
        refused(story.post(f"{path}/credits/grant", {"credits": 1}), 404, "customer-not-found")
    refused(story.api.delete(f"/v1/customers/{customer}"), 404, "customer-not-found")
    assert list(pages(story.api, "/v1/customers")) == []

    entries = story.ledger(customer)
    assert [entry["type"] for entry in entries] == [
        "grant",
        "grant_scheduled",
        "grant",
        "void",
        "void",
        "void",
    ]
    assert entries[-1]["balance_after"] == 0
    assert all("reason" not in entry and "idempotency_key" not in entry for entry in entries)
    answer(story.api.get("/v1/ledger/verify", customer=customer), 200)

    again = story.customer("u1")
    assert again != customer
    repeated = story.post("/v1/customer-by-external-id/u1/credits/grant", grant, key=key)
    refused(repeated, 409, "conflict")
    assert story.balance(again) == 0


def test_a_deletion_is_replayed_by_its_key(story: Story) -> None:
    customer = story.wallet(1_000, "u1")
    http, headers = story.api.http, {"Idempotency-Key": "delete:u1"}
    first = http.delete(f"/v1/customers/{customer}", headers=headers)
    second = http.delete(f"/v1/customers/{customer}", headers=headers)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.content == second.content
    assert second.headers["x-idempotent-replayed"] == "true"


CANARY = "canary-5e1d"


def test_erasure_leaves_no_trace_in_the_database(story: Story, server_database: Any) -> None:
    customer = story.customer(
        f"{CANARY}-external", display_name=f"{CANARY}-name", email=f"{CANARY}@example.com"
    )
    path = f"/v1/customers/{customer}"
    answer(story.api.patch(path, {"metadata": {"note": CANARY}}), 200)
    story.grant(customer, 1_000, reason=f"{CANARY}-reason", metadata={"a": CANARY}, key=f"{CANARY}-key")
    story.priced("erased_metric", 10)
    story.used(customer, "erased_metric", 3, metadata={"note": CANARY})
    answer(story.reserve(customer, "erased_metric", 5, metadata={"note": CANARY}), 201)
    story.override(customer, "erased_metric", {"enabled": True}, reason=CANARY)
    answer(story.post(f"{path}/credits/withdraw", {"credits": 10, "reason": CANARY}), 200)
    assert asyncio.run(_rows_with(server_database.url, CANARY)), "the search finds what is there"
    answer(story.api.delete(path), 200)

    found = asyncio.run(_rows_with(server_database.url, CANARY))
    assert found == []
    answer(story.api.get("/v1/ledger/verify", customer=customer), 200)


async def _rows_with(url: str, needle: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "select table_name from information_schema.tables where table_schema = 'quotastack'"
            " and table_type = 'BASE TABLE'"
        )
        found: list[str] = []
        for table in tables:
            name = table["table_name"]
            rows = await connection.fetch(
                f"select to_jsonb(t)::text as doc from quotastack.{name} as t where to_jsonb(t)::text like $1"
                f" or exists (select from jsonb_each_text(to_jsonb(t)) as f"
                "             where f.value like '\\\\x%' and f.value like $2)",
                f"%{needle}%",
                f"%{needle.encode().hex()}%",
            )
            found += [f"{name}: {json.loads(row['doc'])}" for row in rows]
        return found
    finally:
        await connection.close()
