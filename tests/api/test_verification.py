"""Verification finds what was done behind the server's back: as superuser, with the triggers off."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from tests.api.stories import Json, Story, answer, refused
from tests.races.servers import QUOTASTACK

TABLES = ("ledger_entries", "ledger_texts", "accounts", "blocks", "reservations", "events", "customers")


class Books:
    """A customer with a life of some entries, and a way to change rows that no program of ours has."""

    def __init__(self, story: Story, url: str) -> None:
        self.story = story
        self.url = url
        self.customer = customer = story.wallet(10_000, metadata={"a": 1.5, "b": [1e30, -0.0, 2.0]})
        story.grant(customer, 500, effective_at="2150-01-01T00:00:00Z")
        path = f"/v1/customers/{customer}/credits"
        answer(story.post(f"{path}/withdraw", {"credits": 2_000, "reason": "first"}), 200)
        story.priced("verified", 7)
        story.used(customer, "verified", 3, metadata={"note": "x"})
        answer(story.post("/v1/reserve", {"customer_id": customer, "credits": 100}), 201)
        hold = answer(story.reserve(customer, "verified", 10), 201)["id"]
        answer(story.post(f"/v1/reserve/{hold}/commit", {"actual_units": 4}), 200)
        answer(story.post(f"{path}/withdraw", {"credits": 30, "reason": "last"}), 200)

    def change(self, *statements: str) -> None:
        asyncio.run(self._change(statements))

    async def _change(self, statements: tuple[str, ...]) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute("set session_replication_role = replica; set search_path = quotastack")
            for statement in statements:
                await connection.execute(statement.replace("$customer", f"'{self.customer}'"))
        finally:
            await connection.close()

    def broken(self) -> list[Json]:
        response = self.story.api.get("/v1/ledger/verify", customer=self.customer)
        return refused(response, 409, "conflict")["broken"]


@pytest.fixture
def books(story: Story, server_database: Any) -> Iterator[Books]:
    made = Books(story, server_database.url)
    yield made
    made.change(
        *(
            f"delete from {table} where {'id' if table == 'customers' else 'customer_id'} = $customer"
            for table in TABLES
        )
    )


ENTRY = "update ledger_entries set {} where customer_id = $customer and sequence = 3"
TAMPERS = [
    # what was done, the check that must fail, the first broken entry
    (ENTRY.format("delta = -1999"), "hash", 3),
    (ENTRY.format("balance_after = balance_after + 1"), "hash", 3),
    (ENTRY.format("occurred_at = occurred_at + interval '1 second'"), "hash", 3),
    (ENTRY.format("actor = 'key:somebody'"), "hash", 3),
    (ENTRY.format("texts_digest = sha256('x')"), "hash", 3),
    (ENTRY.format("hash = sha256('x')"), "hash", 3),
    (ENTRY.format("details = '{\"priority\": -9}'"), "hash", 3),
    ("delete from ledger_entries where customer_id = $customer and sequence = 3", "sequence", 4),
    ("delete from ledger_entries where customer_id = $customer and sequence = 1", "sequence", 2),
    ("update ledger_texts set reason = 'other' where customer_id = $customer and sequence = 3", "texts", 3),
    ("update ledger_texts set metadata = '{}' where customer_id = $customer and sequence = 1", "texts", 1),
    ("delete from ledger_texts where customer_id = $customer and sequence = 3", "texts", 3),
    ("update usage_events set idempotency_key = 'k' where customer_id = $customer", "texts", 4),
    ("update accounts set blocks_mc = blocks_mc + 1 where customer_id = $customer", "account", None),
    ("update accounts set lifetime_spent_mc = 0 where customer_id = $customer", "account", None),
    ("delete from accounts where customer_id = $customer", "account", None),
    ("update blocks set remaining_mc = 5 where customer_id = $customer and status = 'active'", "blocks", None),
    ("update blocks set priority = 9 where customer_id = $customer", "blocks", None),
    ("update blocks set expires_at = '2090-01-01Z' where customer_id = $customer", "blocks", None),
    ("update blocks set status = 'active' where customer_id = $customer and status = 'pending'", "blocks", None),
    ("delete from blocks where customer_id = $customer and status = 'pending'", "blocks", None),
    ("delete from reservations where customer_id = $customer and status = 'active'", "holds", None),
    ("delete from events where customer_id = $customer and sequence = 2", "events", None),
]  # fmt: skip


@pytest.mark.parametrize(("tamper", "check", "sequence"), TAMPERS)
def test_a_planted_change_is_found(books: Books, tamper: str, check: str, sequence: int | None) -> None:
    books.story.verify(books.customer)
    books.change(tamper)
    (broken,) = books.broken()
    assert (broken["check"], broken.get("sequence")) == (check, sequence), broken
    assert broken["customer_id"] == books.customer


def test_a_removal_at_the_end_is_found(books: Books) -> None:
    books.change(
        "delete from ledger_entries where customer_id = $customer and sequence ="
        " (select max(sequence) from ledger_entries where customer_id = $customer)"
    )
    (broken,) = books.broken()
    assert broken["check"] == "account"


def test_a_reordering_is_found(books: Books) -> None:
    books.change(
        "update ledger_entries set sequence = 1000 where customer_id = $customer and sequence = 3",
        "update ledger_entries set sequence = 3 where customer_id = $customer and sequence = 4",
        "update ledger_entries set sequence = 4 where customer_id = $customer and sequence = 1000",
    )
    (broken,) = books.broken()
    assert (broken["check"], broken["sequence"]) == ("hash", 3)


def test_a_planted_entry_is_found(books: Books) -> None:
    books.change(
        "insert into ledger_entries select (jsonb_populate_record(l, jsonb_build_object("
        "  'sequence', l.sequence + 1, 'id', gen_random_uuid()))).* from ledger_entries as l"
        " where l.customer_id = $customer order by l.sequence desc limit 1"
    )
    (broken,) = books.broken()
    assert broken["check"] == "hash"


def test_the_ledger_cannot_be_changed_by_anyone_without_tricks(books: Books, server_database: Any) -> None:
    async def refusals(url: str) -> list[str]:
        connection = await asyncpg.connect(url)
        told: list[str] = []
        try:
            for statement in (
                "update quotastack.ledger_entries set delta = 0",
                "delete from quotastack.ledger_entries",
                "truncate quotastack.ledger_entries",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError) as refusal:
                    await connection.execute(statement)
                told.append(str(refusal.value))
        finally:
            await connection.close()
        return told

    assert all("append-only" in told for told in asyncio.run(refusals(server_database.url)))


def test_the_command_exits_with_1_and_names_the_entry(books: Books, server_database: Any) -> None:
    environment = {**os.environ, **server_database.environment}

    def verify() -> Any:
        return subprocess.run(
            [QUOTASTACK, "verify"], env=environment, capture_output=True, text=True, check=False
        )

    clean = verify()
    assert clean.returncode == 0, clean.stdout + clean.stderr
    books.change(ENTRY.format("delta = 0"))
    found = verify()
    assert found.returncode == 1, found.stdout + found.stderr
    assert books.customer in found.stdout
    assert "entry 3" in found.stdout


def test_verify_names_a_customer_by_either_id(story: Story) -> None:
    customer = story.wallet(100, "user:1/a")
    for name in (customer, "user:1/a"):
        report = answer(story.api.get("/v1/ledger/verify", customer=name), 200)
        assert (report["ok"], report["customers"], report["entries"]) == (True, 1, 1)
    story.wallet(100)
    assert answer(story.api.get("/v1/ledger/verify"), 200)["customers"] == 2
    refused(story.api.get("/v1/ledger/verify", customer=str(uuid.uuid4())), 404, "customer-not-found")
