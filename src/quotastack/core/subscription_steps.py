"""What time does to subscriptions: one step at a time, each at its own instant, and their interval ticks.

``next_step`` is the only place that says what comes next. Time runs the steps through ``due_*``, a
caller's trigger that finds the next step already past (a renewal of a period that is over too) runs
them through ``catch_up``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from quotastack.core.draft import replace
from quotastack.core.governing import running_variant
from quotastack.core.periods import add_days
from quotastack.core.subscription_events import tell_contract, tell_subscription
from quotastack.core.subscription_grants import grant_template
from quotastack.core.subscription_lifecycle import (
    activate,
    end_contract,
    end_subscription,
    resume_subscription,
)
from quotastack.core.subscription_periods import enter_next_period, go_overdue
from quotastack.core.subscription_terms import (
    TRIAL_ENDING_DAYS,
    contract_ending_soon_at,
    extend_contract,
    is_paid_ahead,
    record_transition,
    tick_at,
    ticking_templates,
    upcoming_variant,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from quotastack.core.catalog import Catalog, GrantTemplate
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Subscription
    from quotastack.core.draft import Draft

CATCH_UP_MAX: Final = 1_000


class Step(NamedTuple):
    """One thing ahead of a subscription. ``order`` sorts what falls on one instant."""

    at: datetime
    order: int
    kind: str


def next_step(catalog: Catalog, subscription: Subscription) -> Step | None:
    """What time does next to a live subscription; None for a pause without an end."""
    return min(all_steps(catalog, subscription), default=None)


def all_steps(catalog: Catalog, subscription: Subscription) -> Iterator[Step]:
    """Each kind of step that lies ahead of a live subscription as it stands, in no order."""
    if subscription.status == "paused":
        if subscription.pause_resumes_at is not None:
            yield Step(subscription.pause_resumes_at, 0, "pause_end")
        return
    variant = running_variant(catalog, subscription)
    contract = subscription.contract
    if contract is not None:
        if not contract.is_ending_soon_told:
            yield Step(contract_ending_soon_at(contract, variant), 2, "contract_ending_soon")
        yield Step(contract.ends_at, 3, "contract_end")
    if subscription.status == "trialing":
        assert subscription.trial_ends_at is not None
        if not subscription.is_trial_ending_told:
            told_at = add_days(subscription.trial_ends_at, -TRIAL_ENDING_DAYS)
            yield Step(max(told_at, subscription.current_period_start), 1, "trial_ending")
        yield Step(subscription.trial_ends_at, 4, "trial_end")
    elif subscription.status == "active":
        if is_renewal_expected(subscription):
            assert subscription.renewal_due_at is not None
            yield Step(subscription.renewal_due_at, 1, "renewal_due")
        yield Step(subscription.current_period_end, 4, "period_end")
    elif subscription.grace_ends_at is not None:
        yield Step(subscription.grace_ends_at, 4, "grace_end")


def is_renewal_expected(subscription: Subscription) -> bool:
    """Whether the payment of the next period is still to be asked for in this one."""
    return (
        subscription.renewal_due_at is not None
        and not subscription.is_renewal_due_told
        and not subscription.cancel_at_period_end
        and not is_paid_ahead(subscription)
    )


def _tell_trial_ending(draft: Draft, context: Context, subscription_id: str) -> None:
    subscription = replace(draft.subscriptions[subscription_id], is_trial_ending_told=True)
    draft.put_subscription(subscription)
    tell_subscription(draft, context, subscription, "trial_ending")


def _tell_renewal_due(draft: Draft, context: Context, subscription_id: str) -> None:
    subscription = replace(draft.subscriptions[subscription_id], is_renewal_due_told=True)
    draft.put_subscription(subscription)
    tell_subscription(draft, context, subscription, "renewal_due")


def _tell_contract_ending(draft: Draft, context: Context, subscription_id: str) -> None:
    subscription = draft.subscriptions[subscription_id]
    assert subscription.contract is not None
    contract = replace(subscription.contract, is_ending_soon_told=True)
    subscription = replace(subscription, contract=contract)
    draft.put_subscription(subscription)
    tell_contract(draft, context, subscription, "ending_soon")


def _end_contract(draft: Draft, context: Context, subscription_id: str) -> None:
    subscription = draft.subscriptions[subscription_id]
    variant = running_variant(context.catalog, subscription)
    assert subscription.contract is not None
    if not subscription.contract.auto_renew or variant.contract is None:
        end_contract(draft, context, subscription)
        return
    subscription = replace(subscription, contract=extend_contract(subscription.contract, variant))
    subscription = record_transition(
        subscription, context.now, "contract_renewed", from_status=subscription.status
    )
    draft.put_subscription(subscription)
    tell_contract(draft, context, subscription, "renewed")


def _end_trial(draft: Draft, context: Context, subscription_id: str) -> None:
    subscription = draft.subscriptions[subscription_id]
    if subscription.cancel_at_period_end:
        _cancel_as_scheduled(draft, context, subscription, "trial_end")
    elif upcoming_variant(context.catalog, subscription, context.now).billing_mode == "postpaid":
        activate(draft, context, subscription, trigger="trial_end")
    else:
        end_subscription(
            draft, context, subscription, status="expired", trigger="trial_end", credits_="cycle"
        )


def _end_period(draft: Draft, context: Context, subscription_id: str) -> None:
    subscription = draft.subscriptions[subscription_id]
    upcoming = upcoming_variant(context.catalog, subscription, subscription.current_period_end)
    if is_paid_ahead(subscription):
        enter_next_period(draft, context, subscription, trigger="period_end")
    elif subscription.cancel_at_period_end:
        _cancel_as_scheduled(draft, context, subscription, "period_end")
    elif upcoming.billing_mode == "postpaid":
        enter_next_period(draft, context, subscription, trigger="period_end")
    else:
        go_overdue(draft, context, subscription)


def _end_grace(draft: Draft, context: Context, subscription_id: str) -> None:
    subscription = draft.subscriptions[subscription_id]
    if subscription.cancel_at_period_end:
        _cancel_as_scheduled(draft, context, subscription, "grace_end")
    else:
        end_subscription(
            draft, context, subscription, status="expired", trigger="grace_end", credits_="cycle"
        )


def _cancel_as_scheduled(draft: Draft, context: Context, subscription: Subscription, trigger: str) -> None:
    end_subscription(
        draft,
        context,
        subscription,
        status="canceled",
        trigger=trigger,
        credits_=subscription.cancel_credits,
    )


def _end_pause(draft: Draft, context: Context, subscription_id: str) -> None:
    resume_subscription(draft, context, draft.subscriptions[subscription_id], trigger="pause_end")


STEPS: Final[dict[str, Callable[[Draft, Context, str], None]]] = {
    "trial_ending": _tell_trial_ending,
    "renewal_due": _tell_renewal_due,
    "contract_ending_soon": _tell_contract_ending,
    "contract_end": _end_contract,
    "trial_end": _end_trial,
    "period_end": _end_period,
    "grace_end": _end_grace,
    "pause_end": _end_pause,
}


# Interval ticks


class Tick(NamedTuple):
    """The next tick of one interval template of a subscription."""

    at: datetime
    subscription: Subscription
    template: GrantTemplate

    @property
    def id(self) -> str:
        """What names it among all that is due."""
        return f"{self.subscription.id}/{self.template.id}"


def next_ticks(catalog: Catalog, subscription: Subscription) -> Iterator[Tick]:
    """The next tick of each template whose grid runs; a paused subscription has none."""
    if subscription.status == "paused" or not subscription.grids:
        return
    variant = running_variant(catalog, subscription)
    for template in ticking_templates(subscription, variant):
        grid = subscription.grids.get(template.id)
        if grid is not None:
            yield Tick(tick_at(template, grid), subscription, template)


def run_tick(draft: Draft, context: Context, tick_id: str) -> None:
    """Grant an interval template's tick; dropped while overdue does not allow usage."""
    subscription_id, _, template_id = tick_id.partition("/")
    subscription = draft.subscriptions[subscription_id]
    variant = running_variant(context.catalog, subscription)
    template = next(t for t in variant.templates if t.id == template_id)
    grid = subscription.grids[template_id]
    subscription = replace(
        subscription,
        grids={**subscription.grids, template_id: replace(grid, next_index=grid.next_index + 1)},
    )
    draft.put_subscription(subscription)
    if subscription.status == "overdue" and not variant.allow_usage_while_overdue:
        return
    grant_template(draft, context, subscription, template, part=str(grid.next_index))


def catch_up(draft: Draft, context: Context) -> None:
    """Run what a trigger left behind it: steps and first ticks that are due at or before now."""
    for _ in range(CATCH_UP_MAX):
        due: list[tuple[datetime, int, str, Callable[[Draft, Context, str], None]]] = []
        for subscription in draft.subscriptions.values():
            step = next_step(context.catalog, subscription)
            if step is not None:
                due.append((step.at, 0, subscription.id, STEPS[step.kind]))
            due.extend((tick.at, 1, tick.id, run_tick) for tick in next_ticks(context.catalog, subscription))
        first = min(due, default=None, key=lambda found: found[:3])
        if first is None or first[0] > context.now:
            return
        first[3](draft, context, first[2])
