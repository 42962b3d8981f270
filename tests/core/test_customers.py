"""Customers as tables: patches, and a deletion that ends everything and erases what is personal."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.lives import CUSTOMER, ENVIRONMENT, START, Life

from quotastack.core.catalog import Variant
from quotastack.core.credits import TakeAdjustment
from quotastack.core.customer_state import Customer, Override, Subscription
from quotastack.core.customers import ChangeCustomer, CreateCustomer, DeleteCustomer, merge_metadata
from quotastack.core.draft import Draft, new_state, replace
from quotastack.core.errors import ConflictError, ValidationFailedError
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.topups import SetAutoTopup


def test_create_fills_a_new_customer() -> None:
    life = Life()
    customer = Customer(id=CUSTOMER, external_id="user_9", created_at=START, updated_at=START)
    life.draft = Draft(new_state(ENVIRONMENT, customer))
    made = life.run(CreateCustomer(display_name="Ada", metadata={"a": 1}))
    assert (made.external_customer_id, made.display_name, made.metadata) == ("user_9", "Ada", {"a": 1})
    assert made.version == 1
    with pytest.raises(ConflictError) as refusal:
        life.run(CreateCustomer())
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
    with pytest.raises(ValidationFailedError):
        merge_metadata({f"a{n}": 1 for n in range(30)}, {f"b{n}": 1 for n in range(21)})
    with pytest.raises(ValidationFailedError):
        merge_metadata({"a": "x" * 9_000}, {"b": "y" * 9_000})
    full = {f"a{n}": 1 for n in range(50)}
    assert len(merge_metadata(full, {"a0": None, "b": 1})) == 50


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
