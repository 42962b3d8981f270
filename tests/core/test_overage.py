"""Overage by whose policy, up to which limit, and told for which period."""

from datetime import timedelta
from typing import Any

import pytest
from tests.core.chronicle import Chronicle, metric, rule
from tests.core.lives import START
from tests.core.plans import variant

from quotastack.core.catalog import EnvironmentConfig
from quotastack.core.commits import CommitReservation
from quotastack.core.customers import ChangeCustomer
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.overage import PolicyOfOverage, is_within_limit, overage_policy
from quotastack.core.reservations import Reserve
from quotastack.core.subscriptions import CreateSubscription

DAY = timedelta(days=1)
APRIL = START + 31 * DAY
LISTED = {"entitlements": {"listed": {}}}
BLOCK = PolicyOfOverage("block", None)
ALLOW = PolicyOfOverage("allow", None)


def life_on(*variants: Any, **config: Any) -> Chronicle:
    """Two metrics at 10 mc a unit; the variants, all subscribed to, list one of them."""
    life = Chronicle(
        *variants,
        metrics=[metric("listed"), metric("other")],
        rules=[rule("l", "listed", unit_cost=10), rule("o", "other", unit_cost=10)],
        config=EnvironmentConfig(**config),
    )
    for plan in variants:
        life.act(CreateSubscription(plan_variant_id=plan.id))
        life.wait(seconds=1)
    return life


def plan(key: str, **terms: Any) -> Any:
    return variant(key, **{"billing_mode": "postpaid", **LISTED, **terms})


POLICIES = [
    # the plans of the customer                                             the listed metric, and another one
    ([],                                                                    BLOCK, BLOCK),
    ([plan("a")],                                                           ALLOW, BLOCK),
    ([plan("a", overage_limit=9)],                                          PolicyOfOverage("allow", 9), BLOCK),
    ([plan("a", overage_policy="notify", overage_limit=9)],                 PolicyOfOverage("notify", 9), BLOCK),
    ([plan("a", overage_policy="block")],                                   BLOCK, BLOCK),
    ([plan("a", billing_mode="prepaid")],                                   BLOCK, BLOCK),
    ([plan("a", billing_mode="prepaid", overage_policy="allow")],           ALLOW, BLOCK),
    ([plan("free")],                                                        BLOCK, BLOCK),
    ([plan("free", overage_policy="allow")],                                ALLOW, BLOCK),
    # Of several the oldest one that has a policy.
    ([plan("a", billing_mode="prepaid"), plan("b", overage_limit=3), plan("c", overage_limit=4)],
     PolicyOfOverage("allow", 3), BLOCK),
    ([plan("a", overage_policy="block"), plan("b")],                        BLOCK, BLOCK),
]  # fmt: skip


@pytest.mark.parametrize(("plans", "listed", "other"), POLICIES)
def test_a_plan_speaks_for_the_metrics_that_it_lists(
    plans: list[Any], listed: PolicyOfOverage, other: PolicyOfOverage
) -> None:
    life = life_on(*(plans or [plan("unused")]), default_free_plan_variant_id="free")
    if not plans:
        life.draft.subscriptions = {}
    context = life.context()
    for key, expected in (("listed", listed), ("other", other)):
        found = overage_policy(life.draft, context, metric=life.catalog.metrics[key])
        assert found == expected
    # Plain credits have no metric: every live subscription governs them.
    assert overage_policy(life.draft, context) == listed


WITHIN = [
    # policy, limit, overdraft, is within
    ("block",  None, 1,  False),
    ("block",  100,  1,  False),
    ("allow",  None, 99, True),
    ("allow",  10,   10, True),
    ("allow",  10,   11, False),
    ("notify", 10,   10, True),
    ("notify", 0,    1,  False),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "limit_mc", "overdraft_mc", "is_within"), WITHIN)
def test_a_limit_bounds_the_overdraft(
    policy: Any, limit_mc: int | None, overdraft_mc: int, *, is_within: bool
) -> None:
    assert is_within_limit(PolicyOfOverage(policy, limit_mc), overdraft_mc) is is_within


def test_a_reservation_asks_the_policy_of_its_metric() -> None:
    life = life_on(plan("a"))
    assert life.act(Reserve(billable_metric_key="listed", estimated_units=1)).status == "active"
    assert life.act(Reserve(billable_metric_key="other", estimated_units=1)).slug == "insufficient-credits"
    assert life.act(Reserve(credits_mc=10)).status == "active"


def test_what_a_reservation_let_through_its_commit_may_spend() -> None:
    """The policy has changed meanwhile: what is within the hold is never refused, an excess is."""
    life = life_on(plan("a", billing_mode="prepaid"), overage_policy="allow")
    held = life.act(Reserve(billable_metric_key="listed", estimated_units=3))
    life.act(ChangeCustomer(overage_policy="block"))
    refused = life.act(CommitReservation(reservation_id=held.id, actual_units=4))
    assert (refused.slug, refused.extra) == (
        "insufficient-credits", {"required": 10, "available": -30, "shortfall": 40},
    )  # fmt: skip
    committed = life.act(CommitReservation(reservation_id=held.id, actual_units=3))
    assert (committed.status, committed.overage, committed.balance) == ("committed", 30, -30)


def test_an_overage_is_told_once_in_the_pricing_period() -> None:
    """A subscription's period where one lists the metric, the UTC month elsewhere."""
    life = life_on(plan("a", overage_policy="notify"), overage_policy="notify")
    (subscription,) = life.draft.subscriptions.values()
    period = (subscription.current_period_start, subscription.current_period_end)
    life.wait(days=3)
    life.use("listed", 1)
    life.use("listed", 1)
    life.use("other", 1)
    held = life.act(Reserve(credits_mc=10))
    life.act(CommitReservation(reservation_id=held.id))
    told = [
        (row.get("billable_metric_key"), row["overage"], row["period_start"], row["period_end"])
        for row in life.told("usage.overage")
    ]
    assert told == [("listed", 10, *period), ("other", 10, START, APRIL), (None, 10, START, APRIL)]


def test_a_commit_tells_its_overage_in_the_pricing_period() -> None:
    life = life_on(plan("a", overage_policy="notify"))
    (subscription,) = life.draft.subscriptions.values()
    life.wait(days=3)
    held = life.act(Reserve(billable_metric_key="listed", estimated_units=1))
    committed = life.act(CommitReservation(reservation_id=held.id, actual_units=2))
    (told,) = life.told("usage.overage")
    assert told == {
        "usage_id": committed.usage_id,
        "unit": "credits",
        "billable_metric_key": "listed",
        "overage": 20,
        "overdraft": 20,
        "balance": -20,
        "period_start": subscription.current_period_start,
        "period_end": subscription.current_period_end,
    }
    assert committed.overage == 20


def test_a_limit_counts_what_is_overdrawn_already_in_what_is_available() -> None:
    life = life_on(plan("a", overage_limit=50))
    life.act(GrantCredits(terms=GrantTerms(credits_mc=15)))
    life.use("listed", 3)
    refused = life.use("listed", 6)
    assert refused.extra == {"required": 60, "available": 20, "shortfall": 40}
    assert life.use("listed", 3).balance == -45
