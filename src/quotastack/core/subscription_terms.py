"""Terms: which version of a variant rules which period, and the instants that follow from it.

A running period keeps the version it started with. The next one takes the newest version that was
published at or before its start, so a boundary processed late uses what was in force at its instant.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from quotastack.core.customer_state import SubscriptionContract, TickGrid, Transition
from quotastack.core.draft import replace
from quotastack.core.governing import running_variant
from quotastack.core.periods import add_days, boundary_at, period_index

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.catalog import Catalog, GrantTemplate, Variant
    from quotastack.core.customer_state import Subscription

TRANSITIONS_MAX: Final = 100
TRIAL_ENDING_DAYS: Final = 3
LATE_DAYS: Final = 31


def variant_at(catalog: Catalog, variant_id: str, at: datetime) -> Variant:
    """The newest version of the variant that was published at or before ``at``."""
    latest = catalog.latest_variants[variant_id]
    for version in range(latest.version, 0, -1):
        found = catalog.variants.get((variant_id, version))
        if found is not None and found.updated_at <= at:
            return found
    return latest


def upcoming_variant(catalog: Catalog, subscription: Subscription, at: datetime) -> Variant:
    """The terms of a period that begins at ``at``: the pending variant's, the pinned or the newest ones."""
    if subscription.pending_plan_variant_id is not None:
        return variant_at(catalog, subscription.pending_plan_variant_id, at)
    if subscription.grandfathered:
        return running_variant(catalog, subscription)
    return variant_at(catalog, subscription.plan_variant_id, at)


def is_paid_ahead(subscription: Subscription) -> bool:
    """Whether the period after the running one is paid for already."""
    paid_through = subscription.paid_through
    return paid_through is not None and paid_through > subscription.current_period_end


def fits_fallback(variant: Variant) -> bool:
    """Whether a variant may be the free plan that customers fall back to."""
    return variant.billing_mode == "postpaid" and variant.trial_days == 0 and variant.contract is None


def record_transition(
    subscription: Subscription, at: datetime, trigger: str, *, from_status: str | None
) -> Subscription:
    """``subscription`` with one more line in its timeline; the oldest of more than 100 are dropped."""
    step = Transition(at=at, trigger=trigger, from_status=from_status, to_status=subscription.status)
    return replace(
        subscription,
        transitions=(*subscription.transitions, step)[-TRANSITIONS_MAX:],
        updated_at=at,
    )


def adopt_variant(subscription: Subscription, variant: Variant) -> Subscription:
    """``subscription`` on that version of that variant; no period, status or block changes."""
    return replace(
        subscription,
        plan_id=variant.plan_id,
        family=variant.family,
        plan_variant_id=variant.id,
        variant_version=variant.version,
        billing_mode=variant.billing_mode,
    )


def enter_period(
    subscription: Subscription, variant: Variant, *, anchor_at: datetime, index: int
) -> Subscription:
    """``subscription`` in period ``index`` of ``anchor_at``, active, on the terms of ``variant``.

    What belonged to the period before is cleared; a prepaid period is paid for when it is entered.
    """
    start = boundary_at(anchor_at, variant.interval, variant.interval_count, index)
    end = boundary_at(anchor_at, variant.interval, variant.interval_count, index + 1)
    activations = {t.id for t in variant.templates if t.recurrence == "activation"}
    entered = replace(
        adopt_variant(subscription, variant),
        status="active",
        anchor_at=anchor_at,
        period_index=index,
        current_period_start=start,
        current_period_end=end,
        trial_ends_at=None,
        grace_ends_at=None,
        paid_through=end if variant.billing_mode == "prepaid" else None,
        pending_plan_variant_id=None,
        is_renewal_due_told=False,
        granted=tuple(t for t in subscription.granted if t in activations),
    )
    return replace(entered, renewal_due_at=renewal_due_at(entered, variant))


def renewal_due_at(subscription: Subscription, variant: Variant) -> datetime | None:
    """From when a prepaid period may be renewed: never before it has started. None for postpaid."""
    if variant.billing_mode != "prepaid":
        return None
    window_at = add_days(subscription.current_period_end, -variant.renewal_due_days)
    return max(window_at, subscription.current_period_start)


def remember_period(subscription: Subscription) -> Subscription:
    """``subscription`` with its running period among those that late events may fall into."""
    starts = (*subscription.past_starts, subscription.current_period_start)
    oldest_at = subscription.current_period_end - timedelta(days=LATE_DAYS)
    while len(starts) > 1 and starts[1] <= oldest_at:
        starts = starts[1:]
    return replace(subscription, past_starts=starts)


def begin_contract(variant: Variant, at: datetime) -> SubscriptionContract | None:
    """The first term of the variant's contract, begun at ``at``, or None."""
    if variant.contract is None:
        return None
    terms = variant.contract
    return SubscriptionContract(
        starts_at=at,
        ends_at=boundary_at(at, terms.term_interval, terms.term_count, 1),
        auto_renew=terms.auto_renew,
        anchor_at=at,
    )


def begin_contract_holding(
    variant: Variant, anchor_at: datetime, at: datetime
) -> SubscriptionContract | None:
    """The term, counted from ``anchor_at``, that holds ``at``: a subscription that started in the past."""
    if variant.contract is None:
        return None
    terms = variant.contract
    index = period_index(anchor_at, terms.term_interval, terms.term_count, at)
    return SubscriptionContract(
        starts_at=boundary_at(anchor_at, terms.term_interval, terms.term_count, index),
        ends_at=boundary_at(anchor_at, terms.term_interval, terms.term_count, index + 1),
        auto_renew=terms.auto_renew,
        anchor_at=anchor_at,
        term_index=index,
    )


def extend_contract(contract: SubscriptionContract, variant: Variant) -> SubscriptionContract:
    """The next term; terms that were changed meanwhile are counted from the old end."""
    terms = variant.contract
    assert terms is not None
    index, anchor_at = contract.term_index + 1, contract.anchor_at
    if boundary_at(anchor_at, terms.term_interval, terms.term_count, index) != contract.ends_at:
        index, anchor_at = 0, contract.ends_at
    return replace(
        contract,
        starts_at=contract.ends_at,
        ends_at=boundary_at(anchor_at, terms.term_interval, terms.term_count, index + 1),
        auto_renew=terms.auto_renew,
        anchor_at=anchor_at,
        term_index=index,
        is_ending_soon_told=False,
    )


def contract_ending_soon_at(contract: SubscriptionContract, variant: Variant) -> datetime:
    """When the end of the contract is told: some days before, never before the term has started."""
    days = 30 if variant.contract is None else variant.contract.ending_soon_days
    return max(add_days(contract.ends_at, -days), contract.starts_at)


def ticking_templates(subscription: Subscription, variant: Variant) -> tuple[GrantTemplate, ...]:
    """The interval templates that grant in the subscription's status."""
    is_trial = subscription.status == "trialing"
    return tuple(t for t in variant.templates if t.recurrence == "interval" and (t.in_trial or not is_trial))


def tick_at(template: GrantTemplate, grid: TickGrid) -> datetime:
    """The instant of the template's next tick."""
    assert template.interval_seconds is not None
    return grid.origin_at + timedelta(seconds=template.interval_seconds * grid.next_index)


def start_grids(subscription: Subscription, variant: Variant, at: datetime) -> Subscription:
    """``subscription`` with a grid for each ticking template.

    A new one starts at ``at``, its first tick. One that stood still while the subscription was on
    another variant goes on where its grid is now: ticks missed meanwhile are dropped.
    """
    grids = dict(subscription.grids)
    for template in ticking_templates(subscription, variant):
        grid = grids.get(template.id)
        if grid is None:
            grids[template.id] = TickGrid(origin_at=at)
        elif tick_at(template, grid) < at:
            assert template.interval_seconds is not None
            span = timedelta(seconds=template.interval_seconds)
            grids[template.id] = replace(grid, next_index=-((grid.origin_at - at) // span))
    return replace(subscription, grids=grids)
