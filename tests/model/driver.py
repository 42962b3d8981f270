"""The product's pure core, in the model's words: thousands of steps a second, no HTTP and no database.

The only file of the model that may import the product. It does what the engine does between a lock
and a write: loads the rows of history that a command names, advances, decides, and keeps the changes.
"""

from collections import Counter as Tally
from fractions import Fraction
from typing import Any

import msgspec
from tests.model.calendar_months import to_datetime, to_instant
from tests.model.http_driver import TIER_FIELDS, facts_of, new_id_of
from tests.model.machine import Outcome, whole
from tests.model.reference import DAY, SECOND, Row
from tests.model.subscriptions import Subscriptions
from tests.model.worlds import START, Command, World

from quotastack.core.advance import advance, refresh_due_at
from quotastack.core.assets import ResumeAsset, SuspendAsset
from quotastack.core.balance_events import tell_balance
from quotastack.core.catalog import (
    Catalog,
    EnvironmentConfig,
    GrantTemplate,
    MeteringRule,
    Metric,
    PriceTier,
    Variant,
)
from quotastack.core.changes import Changes, LedgerEntry
from quotastack.core.commands import Command as CoreCommand
from quotastack.core.commands import HistoryNeededError, Needs, RefusedWithChangesError
from quotastack.core.commits import CommitReservation
from quotastack.core.context import Context
from quotastack.core.counters import find_current
from quotastack.core.credits import (
    AddAdjustment,
    ExchangeCredits,
    SetAccountStatus,
    TakeAdjustment,
    VoidBlock,
    WithdrawCredits,
)
from quotastack.core.customer_state import Customer, CustomerState, Override, new_state
from quotastack.core.customers import ChangeCustomer
from quotastack.core.draft import Draft
from quotastack.core.errors import ProblemError
from quotastack.core.grants import GrantCredits, GrantTerms
from quotastack.core.plan_changes import ChangePlan
from quotastack.core.quotas import held_units_of
from quotastack.core.reservations import ExtendReservation, ReleaseReservation, Reserve
from quotastack.core.reversal import ReverseUsage
from quotastack.core.subscriptions import (
    CancelSubscription,
    CreateSubscription,
    PauseSubscription,
    ReactivateSubscription,
    RenewSubscription,
    ResumeSubscription,
)
from quotastack.core.topups import GrantTopup, RefundTopup
from quotastack.core.usage import RecordUsage
from quotastack.core.values import find_quota

ENVIRONMENT = "00000000-0000-7000-8000-000000000001"
GROUPS = {
    "grant": ("grant",),
    "expire": ("expire",),
    "void": ("void",),
    "withdrawal": ("withdrawal",),
    "exchange": ("exchange",),
    "topup_refund": ("topup_refund",),
    "rollover_out": ("rollover_out",),
    "rollover_in": ("rollover_in",),
    "overage_billed": ("overage_billed",),
    "spent": ("usage", "commit", "overage", "adjustment", "refund"),
}


class CoreDriver:
    """One environment in memory, with one customer at a time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = START
        self.made = 0
        self.catalog = _catalog(world)

    # -- the engine's part ---------------------------------------------------------------------------

    def new_id(self) -> str:
        self.made += 1
        return f"00000000-0000-7000-8000-{self.made:012d}"

    def context(self) -> Context:
        return Context(
            environment_id=ENVIRONMENT,
            environment="test",
            catalog=self.catalog,
            now=to_datetime(self.now),
            request_id="request",
            actor="key",
            new_id=self.new_id,
            new_salt=lambda: b"s" * 16,
            idempotency_key=f"key:{self.made}",
        )

    def start(self) -> int:
        at = to_datetime(self.now)
        customer = Customer(id=self.new_id(), external_id="user", created_at=at, updated_at=at)
        state = msgspec.structs.replace(new_state(ENVIRONMENT, customer), version=1)
        overrides = {metric: _override(metric, quota, at) for metric, quota in self.world.quotas.items()}
        self.state: CustomerState = msgspec.structs.replace(state, overrides=overrides)
        self.history: dict[Any, Any] = {}
        self.closed_counters: dict[Any, Any] = {}
        self.entries: list[LedgerEntry] = []
        self.events: list[Any] = []
        return self.now

    def advanced(self, *, keep: bool) -> Draft:
        """A draft of the state as of now; with ``keep`` what time did is written."""
        draft = Draft(self.state, priority_order=self.catalog.config.priority_order)
        while not advance(draft, self.context()):
            pass
        if keep:
            self._write(draft)
        return draft

    def _write(self, draft: Draft) -> None:
        """Keep the changes, and move to the state that they lead to."""
        changes = draft.take_changes()
        if draft.writes:
            draft.version += 1
        self._keep(changes)
        if draft.is_due_stale:
            refresh_due_at(draft, self.catalog)
        self.state = draft.freeze()

    def _keep(self, changes: Changes) -> None:
        self.entries += changes.entries
        self.events += changes.events
        for block in [*changes.rare.new_blocks.values(), *changes.changed_blocks.values()]:
            self.history["block", block.id] = block
        for hold in changes.holds.values():
            self.history["hold", hold.id] = hold
        for subscription in changes.rare.subscriptions.values():
            self.history["subscription", subscription.id] = subscription
        for event in [*changes.usage_events, *changes.rare.usage_updates.values()]:
            self.history["usage", event.id] = event
        for key, counter in changes.counters.items():
            self.closed_counters[key] = counter

    def _load(self, needs: Needs | None, extra: dict[Any, Any]) -> None:
        """Put the rows of history that a command asked for into ``extra``."""
        if needs is None:
            return
        wanted = [("usage", name) for name in needs.usage_ids]
        wanted += [("hold", name) for name in needs.hold_ids]
        wanted += [("block", name) for name in needs.block_ids]
        wanted += [("subscription", name) for name in needs.subscription_ids]
        extra.update({key: self.history[key] for key in wanted if key in self.history})
        assert not needs.recounts, "no quota of a world ever changes its period"
        for metric, at in needs.counters_at:
            found = tuple(
                counter
                for counter in self.closed_counters.values()
                if counter.billable_metric_key == metric
                and not counter.is_current
                and counter.period_start <= at < counter.period_end
            )
            extra["counters", metric] = (*extra.get(("counters", metric), ()), *found)
            extra.setdefault(("counters_at", metric), set()).add(at)

    def run(self, command: CoreCommand) -> Outcome:
        """Decide one command as the engine would, and write what it leaves."""
        self.advanced(keep=True)
        extra: dict[Any, Any] = {}
        self._load(command.needs, extra)
        while True:
            try:
                return self._decide(command, extra)
            except HistoryNeededError as needed:
                self._load(needed.needs, extra)

    def _decide(self, command: CoreCommand, extra: dict[Any, Any]) -> Outcome:
        context = self.context()
        draft = Draft(self.state, priority_order=self.catalog.config.priority_order)
        draft.extra = extra
        try:
            answer = command.decide(draft, context)
        except RefusedWithChangesError as refusal:
            self._write(draft)
            return Outcome({}, refusal.error.slug)
        except ProblemError as refusal:
            assert draft.writes == 0, f"{type(command).__name__} was refused and wrote all the same"
            return Outcome({}, refusal.slug)
        if not command.is_dry_run:
            if draft.writes:
                tell_balance(draft, context)
            self._write(draft)
        return Outcome(msgspec.json.decode(msgspec.json.encode(answer)))

    # -- the model's words ---------------------------------------------------------------------------

    def perform(self, command: Command) -> Outcome:
        outcome = self.run(getattr(self, f"_{command.name}")(**command.arguments))
        if outcome.refusal is not None:
            return outcome
        if command.name == "subscribe":
            self.subscription_id = outcome.facts["id"]
        return Outcome(facts_of(command.name, outcome.facts), None, new_id_of(command.name, outcome.facts))

    def advance(self, seconds: int) -> None:
        """Move the clock; every other time without the sweep, which must not make a difference."""
        self.now += seconds * SECOND
        if self.now // SECOND % 2:
            self.advanced(keep=True)

    def _terms(self, **terms: Any) -> GrantTerms:
        after = {"expires_after": "expires_at", "effective_after": "effective_at"}
        more = {after.get(name, name): value for name, value in terms.items()}
        for name in after.values():
            if name in more:
                more[name] = to_datetime(self.now + more[name])
        return GrantTerms(**more)

    def _grant(self, **terms: Any) -> CoreCommand:
        planned = self._terms(**terms)
        if "price_paid" not in terms:
            return GrantCredits(terms=planned)
        names = ("credits_mc", "unit", "priority", "expires_at", "price_paid")
        return GrantTopup(currency="EUR", **{name: getattr(planned, name) for name in names})

    def _refund_topup(self, *, block_id: str, credits_mc: int | None = None) -> CoreCommand:
        return RefundTopup(block_id=block_id, credits_mc=credits_mc)

    def _suspend_asset(self, *, metric: str) -> CoreCommand:
        return SuspendAsset(billable_metric_key=metric)

    def _resume_asset(self, *, metric: str) -> CoreCommand:
        return ResumeAsset(billable_metric_key=metric)

    def _set_policy(self, *, policy: Any) -> CoreCommand:
        return ChangeCustomer(overage_policy=policy)

    def _use(
        self,
        *,
        metric: str,
        units: Fraction,
        dimensions: dict[str, str] | None = None,
        record: bool = False,
        dry_run: bool = False,
        late: int = 0,
    ) -> CoreCommand:
        named = (
            "value"
            if self.world.kinds.get(metric, {}).get("aggregation") in {"TotalCounter", "Gauge"}
            else "units"
        )
        more: Row = {named: whole(units)}
        if late:
            more["timestamp"] = to_datetime(self.now - late)
        if record:
            more["enforcement"] = "record"
        return RecordUsage(billable_metric_key=metric, dimensions=dimensions or {}, dry_run=dry_run, **more)

    def _reserve(self, *, ttl_seconds: int, **what: Any) -> CoreCommand:
        if "credits_mc" in what:
            return Reserve(credits_mc=what["credits_mc"], unit=what["unit"], ttl_seconds=ttl_seconds)
        return Reserve(
            billable_metric_key=what["metric"],
            estimated_units=whole(what["units"]),
            dimensions=what.get("dimensions", {}),
            ttl_seconds=ttl_seconds,
        )

    def _commit(
        self, *, hold_id: str, actual_units: Fraction | None = None, actual_mc: int | None = None
    ) -> CoreCommand:
        units = None if actual_units is None else whole(actual_units)
        return CommitReservation(reservation_id=hold_id, actual_units=units, actual_credits_mc=actual_mc)

    def _release(self, *, hold_id: str) -> CoreCommand:
        return ReleaseReservation(reservation_id=hold_id)

    def _extend(self, *, hold_id: str, ttl_seconds: int) -> CoreCommand:
        return ExtendReservation(reservation_id=hold_id, ttl_seconds=ttl_seconds)

    def _reverse(self, *, usage_id: str) -> CoreCommand:
        event = self.history["usage", usage_id]
        return ReverseUsage(usage_id=usage_id, block_ids=tuple(block_id for block_id, _ in event.draws))

    def _adjust(self, *, delta: int, unit: str, allow_negative: bool = False) -> CoreCommand:
        if delta > 0:
            return AddAdjustment(terms=self._terms(credits_mc=delta, unit=unit, source="adjustment"))
        return TakeAdjustment(amount_mc=-delta, unit=unit, reason="model", allow_negative=allow_negative)

    def _withdraw(self, *, credits_mc: int, unit: str) -> CoreCommand:
        return WithdrawCredits(amount_mc=credits_mc, unit=unit)

    def _void(self, *, block_id: str) -> CoreCommand:
        return VoidBlock(block_id=block_id)

    def _exchange(self, *, debit_mc: int, unit: str, credits_mc: int, into: str, **terms: Any) -> CoreCommand:
        grant = self._terms(credits_mc=credits_mc, unit=into, source="exchange", **terms)
        return ExchangeCredits(debit_mc=debit_mc, unit=unit, grant=grant)

    def _suspend(self, *, unit: str) -> CoreCommand:
        return SetAccountStatus(unit=unit, is_suspended=True)

    def _resume(self, *, unit: str) -> CoreCommand:
        return SetAccountStatus(unit=unit, is_suspended=False)

    def _subscribe(self, *, variant: str) -> CoreCommand:
        return CreateSubscription(plan_variant_id=variant)

    def _renew(self) -> CoreCommand:
        return RenewSubscription(subscription_id=self.subscription_id)

    def _pause(self, *, days: int | None = None) -> CoreCommand:
        resumes_at = None if days is None else to_datetime(self.now + days * DAY)
        return PauseSubscription(subscription_id=self.subscription_id, resumes_at=resumes_at)

    def _resume_subscription(self) -> CoreCommand:
        return ResumeSubscription(subscription_id=self.subscription_id)

    def _cancel(self, *, when: Any, credits_then: Any = "expire") -> CoreCommand:
        return CancelSubscription(subscription_id=self.subscription_id, when=when, credits=credits_then)

    def _reactivate(self) -> CoreCommand:
        return ReactivateSubscription(subscription_id=self.subscription_id)

    def _change_plan(self, *, variant: str, when: Any, credits_then: Any) -> CoreCommand:
        credits_now = credits_then if when == "now" else None
        return ChangePlan(
            subscription_id=self.subscription_id, plan_variant_id=variant, when=when, credits=credits_now
        )

    # -- state -------------------------------------------------------------------------------------

    def snapshot(self, model: Subscriptions) -> Row:
        """As a check would see it: advanced to now, whether or not a sweep has run."""
        draft = self.advanced(keep=False)
        told: Row = {}
        for unit in model.units():
            account = draft.account(unit)
            told[f"account {unit}"] = {
                "balance": account.balance_mc,
                "reserved_balance": account.reserved_mc,
                "effective_balance": account.effective_mc,
                "overdraft": account.overdraft_mc,
                "blocks": [
                    (block.id, block.remaining_mc, block.priority, _micros(block.expires_at))
                    for block in draft.live_blocks(unit)
                ],
            }
        told["holds"] = {
            hold.id: (hold.reserved_mc, to_instant(hold.expires_at)) for hold in draft.holds.values()
        }
        if model.subscription is not None:
            told["subscription"] = self._subscription(draft, model)
        for metric in model.seen_assets():
            told[f"asset {metric}"] = self._asset(draft, metric, model.asset(metric))
        return told

    def _subscription(self, draft: Draft, model: Subscriptions) -> Row:
        """What the newest subscription says, as far as the model asks for it."""
        found = draft.subscriptions.get(self.subscription_id)
        if found is None:
            changed = draft.changes.rare.subscriptions.get(self.subscription_id)
            found = changed or self.history["subscription", self.subscription_id]
        told = {
            "status": found.status,
            "variant": found.plan_variant_id,
            "cancel_at_period_end": found.cancel_at_period_end,
            "end": to_instant(found.current_period_end),
        }
        return {name: told[name] for name in model.subscription_picture() or {}}

    def _asset(self, draft: Draft, key: str, names: Row) -> Row:
        """What the asset of a metric says, as far as the model asks for it."""
        metric, context = self.catalog.metrics[key], self.context()
        quota = find_quota(draft, self.catalog, metric)
        counter = find_current(draft, context, metric, quota)
        asset = draft.assets.get(key)
        told: Row = {
            "value": Fraction(counter.value),
            "reserved_units": Fraction(held_units_of(draft, key)),
            "suspended": asset is not None and asset.is_suspended,
            "overage_units": Fraction(counter.overage_units),
            "level": None if quota is None else quota.tier_at(counter.value).level,
        }
        return {name: told[name] for name in names}

    def check_books(self, model: Subscriptions) -> None:
        """The invariants of credits.md over every entry that was ever written."""
        self.advanced(keep=True)
        for unit in model.units():
            entries = [entry for entry in self.entries if entry.unit == unit]
            account = self.state.accounts.get(unit)
            assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
            balance = reserved = 0
            for entry in entries:
                balance += entry.delta_mc
                reserved += entry.reserved_delta_mc
                assert (entry.balance_after_mc, entry.reserved_after_mc) == (balance, reserved), entry
            assert balance == model.balance(unit)
            assert reserved == model.reserved(unit)
            self._check_types(model, unit, entries)
            if account is not None:
                assert account.lifetime_expired_mc == -model.total(unit, "expire")
                assert account.lifetime_earned_mc >= model.total(unit, "grant")
        self._check_blocks()
        sequences = [event.sequence for event in self.events]
        assert sequences == list(range(1, len(sequences) + 1))

    def _check_types(self, model: Subscriptions, unit: str, entries: list[LedgerEntry]) -> None:
        for name, types in GROUPS.items():
            told = sum(entry.delta_mc for entry in entries if entry.type in types)
            assert told == model.total(unit, *types), (name, told, model.total(unit, *types))

    def _check_blocks(self) -> None:
        """What the ledger says of each block is what is left in it."""
        left: Tally[str] = Tally()
        for entry in self.entries:
            for block_id, delta in entry.blocks:
                left[block_id] += delta
        for (kind, block_id), block in self.history.items():
            if kind == "block" and block.status != "pending":
                assert left[block_id] == block.remaining_mc >= 0, block


def _micros(at: Any) -> int | None:
    return None if at is None else to_instant(at)


def _catalog(world: World) -> Catalog:
    """The world's metrics and rules as the product's catalog."""
    at = to_datetime(START)
    metrics: dict[str, Metric] = {}
    rules: dict[str, tuple[MeteringRule, ...]] = {}
    for metric, (unit, terms) in world.prices.items():
        kind = world.kinds.get(metric, {})
        metrics[metric] = Metric(
            id=metric, key=metric, name=metric, unit=unit, created_at=at, updated_at=at, **kind
        )
        if terms:
            rules[metric] = tuple(_rule(metric, number, rule) for number, rule in enumerate(terms))
    order = "desc" if world.descending else "asc"
    config = EnvironmentConfig(overage_policy=world.policy, overage_limit=world.limit, priority_order=order)
    by_id = {rule.id: rule for some in rules.values() for rule in some}
    variants = {(name, 1): _variant(terms, at, world.prices) for name, terms in world.variants.items()}
    latest = {variant.id: variant for variant in variants.values()}
    return Catalog(
        version=1,
        config=config,
        metrics=metrics,
        rules=rules,
        rules_by_id=by_id,
        variants=variants,
        latest_variants=latest,
    )


def _variant(terms: Row, at: Any, prices: Row) -> Variant:
    templates = tuple(
        GrantTemplate(
            expires_with_cycle=template["recurrence"] == "cycle" and "expires_after_seconds" not in template,
            **template,
        )
        for template in terms["templates"]
    )
    return Variant(
        version=1,
        plan_id="plan",
        plan_key="plan",
        family="plan",
        key=terms["id"],
        name=terms["id"],
        created_at=at,
        updated_at=at,
        entitlements={metric: {} for metric in prices} if terms["lists"] else {},
        **{name: value for name, value in terms.items() if name not in {"templates", "lists"}},
        templates=templates,
    )


def _rule(metric: str, number: int, rule: Row) -> MeteringRule:
    at = to_datetime(START)
    terms = dict(rule)
    if "tiers" in terms:
        terms["tiers"] = tuple(PriceTier(**tier) for tier in terms["tiers"])
        default = "period" if terms["tier_mode"] == "graduated" else "event"
        terms.setdefault("tier_scope", default)
    return MeteringRule(
        id=f"{metric}/{number}", billable_metric_key=metric, active_from=at, created_at=at, **terms
    )


def _override(metric: str, quota: Row, at: Any) -> Override:
    if "cap" in quota:
        value: Row = {"cap": quota["cap"]}
    else:
        terms = {name: quota[name] for name in ("period", "alignment", "allowance") if name in quota}
        tiers = [{name: tier[name] for name in TIER_FIELDS if name in tier} for tier in quota["tiers"]]
        value = {"quota": {**terms, "tiers": tiers}}
    return Override(billable_metric_key=metric, value=value, created_at=at, updated_at=at)
