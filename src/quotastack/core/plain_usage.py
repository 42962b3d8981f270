"""Plain usage: the event that most events are, decided in one pass.

Whole units of a metric without a quota, at a price without tiers, by a customer without subscriptions, paid by the
first block with something left of it. Of such an event every capability that ``RecordUsage`` asks in turn has little
to say; here it is said at once. Only what was looked at decides whether an event is plain, nothing is written before
that is known, and ``tests/core/test_plain_usage.py`` holds the two ways equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from quotastack.core.amounts import AMOUNT_MAX
from quotastack.core.burn_down import is_spendable
from quotastack.core.changes import UsageEvent
from quotastack.core.counters import ASSET_KIND
from quotastack.core.credit_views import DrawView
from quotastack.core.ledger import append_usage
from quotastack.core.metering import PRICE_OF_ALL, add_to_rule, find_rule, price_period
from quotastack.core.pricing import price_usage
from quotastack.core.usage_views import UsageView

if TYPE_CHECKING:
    from quotastack.core.catalog import MeteringRule, Metric
    from quotastack.core.context import Context
    from quotastack.core.customer_state import Account, Block, Counter
    from quotastack.core.draft import Draft
    from quotastack.core.usage import RecordUsage


class PlainEvent(NamedTuple):
    """What a plain event moves, as it stands before it, and what it costs (> 0)."""

    metric: Metric
    units: int
    rule: MeteringRule
    cost_mc: int
    counter: Counter
    position: Counter
    account: Account
    block: Block


def find_plain(command: RecordUsage, draft: Draft, context: Context) -> PlainEvent | None:
    """The event of ``command`` where it is plain; None where any rule beyond these has a say in it.

    Raises:
        AmountOverflowError: the cost is beyond the contract's bound.
    """
    key = command.billable_metric_key
    metric = context.catalog.metrics.get(key)
    units = 1 if command.units is None else command.units
    if (
        metric is None
        or metric.default_value is not None
        or metric.type != "metered"
        or metric.aggregation != "CumulativeCounter"
        or metric.scale
        or type(units) is not int
        or units <= 0
        or command.value is not None
        or command.timestamp is not None
        or command.dry_run
        or command.enforcement != "enforce"
        or draft.subscriptions
        or key in draft.overrides
        or context.catalog.named_events
    ):
        return None
    asset = draft.assets.get(key)
    if asset is not None and asset.is_suspended:
        return None
    account = draft.accounts.get(metric.unit)
    blocks = draft.blocks.get(metric.unit)
    counter = draft.counters.get((key, ASSET_KIND))
    position = draft.counters.get((key, PRICE_OF_ALL))
    if account is None or not blocks or counter is None or position is None or account.status != "active":
        return None
    now = context.now
    if (
        counter.period_start > now
        or (position.period_start, position.period_end) != price_period(draft, context.catalog, key, now)
        or max(counter.value, position.value) > AMOUNT_MAX - units
    ):
        return None
    rule = find_rule(context.catalog, key, command.dimensions, now)
    if rule is None or rule.match or rule.cost_type == "tiered":
        return None
    cost_mc = price_usage(rule, units=units, before=position.value, scale=0)
    block = blocks[0]
    if not 0 < cost_mc < block.remaining_mc or not _can_pay(account, block, cost_mc, context):
        return None
    return PlainEvent(metric, units, rule, cost_mc, counter, position, account, block)


def _can_pay(account: Account, block: Block, cost_mc: int, context: Context) -> bool:
    """Whether ``block`` pays alone, from what no hold needs, with every sum within its bound."""
    return (
        is_spendable(block, context.now)
        and cost_mc <= account.blocks_mc - account.reserved_mc
        and account.overdraft_mc == 0
        and account.lifetime_spent_mc <= AMOUNT_MAX - cost_mc
    )


def decide_plain(
    command: RecordUsage, draft: Draft, context: Context, event: PlainEvent, usage_id: str
) -> UsageView:
    """Count, charge and write ``event``; refuses nothing."""
    metric, units, rule, cost_mc, counter, position, _, block = event
    key, unit, now = metric.key, metric.unit, context.now
    draft.move_counter(replace(counter, value=counter.value + units, cost_mc=counter.cost_mc + cost_mc))
    details = position.details
    rules = details.get("rules")
    row = add_to_rule(None if rules is None else rules.get(rule.id), units=units, cost_mc=cost_mc)
    draft.move_counter(
        replace(
            position,
            value=position.value + units,
            cost_mc=position.cost_mc + cost_mc,
            details={**details, "rules": {rule.id: row} if rules is None else {**rules, rule.id: row}},
        )
    )
    draft.lower_block(block, cost_mc)
    account, sequence = append_usage(draft, context, event.account, block.id, cost_mc, usage_id)
    draft.add_usage_event(
        UsageEvent(
            id=usage_id,
            billable_metric_key=key,
            status="applied",
            units=units,
            cost_mc=cost_mc,
            unit=unit,
            draws=((block.id, cost_mc),),
            rule_id=rule.id,
            timestamp=now,
            dimensions=command.dimensions,
            metadata=command.metadata,
            idempotency_key=context.idempotency_key,
            ledger_sequence=sequence,
            created_at=now,
        )
    )
    balance_mc, reserved_mc = account.blocks_mc, account.reserved_mc
    return UsageView(
        id=usage_id,
        status="applied",
        customer_id=draft.customer.id,
        external_customer_id=draft.customer.external_id,
        billable_metric_key=key,
        units=units,
        cost=cost_mc,
        unit=unit,
        rule_id=rule.id,
        blocks=(DrawView(block.id, cost_mc),),
        overage=0,
        balance=balance_mc,
        reserved_balance=reserved_mc,
        effective_balance=balance_mc - reserved_mc,
        ledger_sequence=sequence,
        timestamp=now,
        dimensions=command.dimensions or UNSET,
        metadata=command.metadata or UNSET,
        created_at=now,
        version=draft.version + 1,
    )
