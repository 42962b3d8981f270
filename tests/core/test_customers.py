"""Customers as tables: patches, and a deletion that ends everything and erases what is personal."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.lives import CUSTOMER, ENVIRONMENT, START, Life

from quotastack.core.catalog import Variant
from quotastack.core.creation import open_customer
from quotastack.core.credits import TakeAdjustment
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.customer_state import Account, Customer, Override, Subscription, new_state
from quotastack.core.customers import ChangeCustomer, CreateCustomer, DeleteCustomer, merge_metadata
from quotastack.core.draft import Draft, replace
from quotastack.core.errors import ConflictError, CustomerIdentifierConflictError, ValidationFailedError
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.topups import SetAutoTopup

UUID = "0190a000-0000-7000-8000-0000000000ee"
NAMES = [
    # customer_id, external_id   what is wrong
    (UUID,         None,         None),
    (None,         "user/1",     None),
    (None,         "",           None),
    (None,         None,         "neither"),
    (UUID,         "user/1",     "both"),
]  # fmt: skip


@pytest.mark.parametrize(("customer_id", "external_id", "wrong"), NAMES)
def test_a_request_names_the_customer_by_exactly_one_name(
    customer_id: str | None, external_id: str | None, wrong: str | None
) -> None:
    if wrong is not None:
        with pytest.raises(CustomerIdentifierConflictError) as refusal:
            CustomerRef.one_of(customer_id, external_id)
        assert refusal.value.detail == (
            f"Name the customer by exactly one of customer_id and external_customer_id; {wrong} was given."
        )
        return
    named = CustomerRef.one_of(customer_id, external_id)
    assert (named.customer_id, named.external_id) == (customer_id, external_id)


def test_each_name_stands_in_its_own_place() -> None:
    assert CustomerRef.by_id(UUID) == CustomerRef.one_of(UUID, None)
    assert CustomerRef.by_external_id("user/1") == CustomerRef.one_of(None, "user/1")


def test_the_account_exists_from_creation_on() -> None:
    customer = Customer(id=CUSTOMER, external_id="user_9", created_at=START, updated_at=START)
    life = Life()
    life.draft = Draft(new_state(ENVIRONMENT, customer))
    assert life.draft.is_new
    open_customer(life.draft, life.context())
    assert life.draft.accounts == {"credits": Account(unit="credits")}
    assert life.draft.changes.rare.new_accounts == {"credits"}
    (event,) = life.draft.changes.events
    assert (event.type, event.sequence, event.data) == ("customer.created", 1, {"created_at": START})


def test_create_fills_a_new_customer() -> None:
    life = Life()
    customer = Customer(id=CUSTOMER, external_id="user_9", created_at=START, updated_at=START)
    life.draft = Draft(new_state(ENVIRONMENT, customer))
    made = life.run(CreateCustomer(display_name="Ada", metadata={"a": 1}))
    assert (made.external_customer_id, made.display_name, made.metadata) == ("user_9", "Ada", {"a": 1})
    assert made.version == 1
    with pytest.raises(ConflictError) as refusal:
        life.run(CreateCustomer())
    assert refusal.value.detail == "Another customer has this external_id."
    assert refusal.value.extra == {"customer_id": CUSTOMER}


MERGES: list[tuple[Any, Any, Any]] = [
    ({}, {"a": 1}, {"a": 1}),
    ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"y": 2}}),
    ({"a": 1}, {}, {"a": 1}),
    ({}, {"a": None}, {}),
]


@pytest.mark.parametrize(("known", "patch", "merged"), MERGES)
def test_metadata_merges_key_by_key(known: Any, patch: Any, merged: Any) -> None:
    assert merge_metadata(known, patch) == merged


def test_merged_metadata_stays_within_its_limits() -> None:
    with pytest.raises(ValidationFailedError) as refusal:
        merge_metadata({f"a{n}": 1 for n in range(30)}, {f"b{n}": 1 for n in range(21)})
    assert refusal.value.errors == (("/metadata", "Metadata has at most 50 keys."),)
    full = {f"a{n}": 1 for n in range(50)}
    assert len(merge_metadata(full, {"a0": None, "b": 1})) == 50
    # 16 KiB with all that JSON adds to the two texts: {"a":"","b":""}
    known, room = {"a": "x" * 9_000}, 16_384 - 9_000 - len('{"a":"","b":""}')
    assert len(merge_metadata(known, {"b": "y" * room})) == 2
    with pytest.raises(ValidationFailedError) as refusal:
        merge_metadata(known, {"b": "y" * (room + 1)})
    assert refusal.value.errors == (("/metadata", "Metadata has at most 16384 bytes."),)


def test_a_patch_changes_what_it_names_and_nothing_else() -> None:
    life = Life()
    life.run(ChangeCustomer(email="ada@example.com", low_balance_threshold=5))
    version = life.draft.version
    life.run(ChangeCustomer(low_balance_threshold=5))
    assert life.draft.version == version
    changed = life.run(ChangeCustomer(low_balance_threshold=None))
    assert (changed.email, changed.low_balance_threshold) == ("ada@example.com", None)


def subscription() -> Subscription:
    return Subscription(
        id=CUSTOMER,
        plan_id=CUSTOMER,
        family="f",
        plan_variant_id=CUSTOMER,
        variant_version=1,
        status="active",
        billing_mode="postpaid",
        anchor_at=START,
        current_period_start=START,
        current_period_end=START + timedelta(days=30),
        cancel_at_period_end=True,
        pending_plan_variant_id=CUSTOMER,
        metadata={"secret": "x"},
        created_at=START,
        updated_at=START,
    )


def test_deletion_ends_everything() -> None:
    variant = Variant(
        id=CUSTOMER,
        version=1,
        plan_id=CUSTOMER,
        plan_key="p",
        family="f",
        key="v",
        name="v",
        billing_mode="postpaid",
        created_at=START,
        updated_at=START,
    )
    life = Life(variants={(CUSTOMER, 1): variant}, latest_variants={CUSTOMER: variant})
    life.run(ChangeCustomer(display_name="Ada", email="ada@example.com", metadata={"a": 1}))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=1_000, expires_after_seconds=3_600)))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=70, unit="tokens")))
    life.run(GrantCredits(terms=GrantTerms(credits_mc=9, effective_at=START + timedelta(days=9))))
    life.run(SetAutoTopup(threshold=5_000, credits_mc=5))
    hold = life.hold(600, seconds=7_200)
    life.later(hours=1)
    override = Override(billable_metric_key="m", value={}, created_at=START, updated_at=START)
    life.draft.put_override(override)
    life.draft.subscriptions = {CUSTOMER: subscription()}
    told = len(life.events)
    gone = life.run(DeleteCustomer())
    assert gone.released_reservation_ids == (hold,)
    assert gone.canceled_subscription_ids == (CUSTOMER,)
    draft = life.draft
    assert (draft.holds, draft.subscriptions, draft.overrides, draft.auto_topups) == ({}, {}, {}, {})
    assert (life.balance(), life.balance("tokens"), draft.pending_blocks) == (0, 0, ())
    ended = draft.extra["subscription", CUSTOMER]
    assert (ended.status, ended.cancel_at_period_end, ended.pending_plan_variant_id) == (
        "canceled",
        False,
        None,
    )
    assert (ended.canceled_at, ended.ended_at, ended.updated_at, ended.metadata) == (life.now,) * 3 + ({},)
    customer = draft.customer
    assert (customer.external_id, customer.display_name, customer.email) == (None, None, None)
    assert customer.metadata == {}
    assert customer.deleted_at == life.now
    kinds = [event.type for event in life.events[told:]]
    assert kinds == ["subscription.canceled", "credit.expired", "reservation.released", "customer.deleted"]
    assert replace(customer, metadata={}) == customer
    life.check_books()


def test_an_overdraft_stays_in_the_books() -> None:
    life = Life()
    life.run(TakeAdjustment(amount_mc=500, reason="r", allow_negative=True))
    life.run(DeleteCustomer())
    assert life.balance() == -500
    life.check_books()
