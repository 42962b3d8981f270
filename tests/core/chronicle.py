"""A life written down whole: each act with its answer and every row that it left, compared with what was approved.

A test that asks for three fields of an answer lets the other twenty become anything. Here nothing is left out: all
fields that differ from their default, of everything written. What was approved stands in ``chronicles/<name>.json``,
one line for each act; ``APPROVE=1`` writes the file anew, to be read as a difference before it is committed.
"""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from tests.core.plans import Subscriber

from quotastack.core.advance import advance
from quotastack.core.asset_views import view_asset
from quotastack.core.balance_events import tell_balance
from quotastack.core.catalog import MeteringRule, Metric, PriceTier
from quotastack.core.changes import Changes
from quotastack.core.commands import Command, HistoryNeededError, Needs, RefusedWithChangesError
from quotastack.core.counters import Recount
from quotastack.core.draft import Draft
from quotastack.core.entitlement_check import EntitlementQuery, decide_entitlement
from quotastack.core.errors import ProblemError
from quotastack.core.reversal import ReverseUsage
from quotastack.core.usage import RecordUsage
from quotastack.core.value_faults import value_faults

APPROVED = Path(__file__).with_name("chronicles")
# What all ids that a life makes have in common.
IDS = "0190a000-0000-7000-9000-00000000"
_LISTS = ("entries", "usage_events", "events", "payments", "ran")
_SETS = ("new_accounts", "deleted_overrides", "deleted_auto_topups", "new_counters", "reworked_blocks")
_OBJECTS = (
    "usage_updates",
    "new_blocks",
    "changed_blocks",
    "holds",
    "counters",
    "assets",
    "overrides",
    "subscriptions",
    "auto_topups",
)


def _collected(changes: Changes, name: str) -> Any:
    return getattr(changes if hasattr(changes, name) else changes.rare, name)


def plain(value: Any) -> Any:
    """JSON of anything of core: structs as their fields that differ from the default."""
    if isinstance(value, msgspec.Struct):
        told = {"": type(value).__name__} if isinstance(value, Command) else {}
        defaults = _defaults(type(value))
        for name in value.__struct_fields__:
            found = getattr(value, name)
            if found != defaults[name] and found not in ({}, ()) and found is not msgspec.UNSET:
                told[name] = plain(found)
        return told
    if isinstance(value, dict):
        return {
            name if isinstance(name, str) else str(plain(name)): plain(item) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.hex() if isinstance(value, bytes) else value


@cache
def _defaults(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {field.name: field.default for field in msgspec.structs.fields(kind)}


def wire(answer: Any) -> Any:
    """An answer as the caller gets it."""
    return msgspec.json.decode(msgspec.json.encode(answer))


class Chronicle(Subscriber):
    """A subscriber whose acts and their consequences are written down."""

    def __init__(self, *variants: Any, metrics: Any = (), rules: Any = (), **more: Any) -> None:
        by_metric: dict[str, tuple[MeteringRule, ...]] = {}
        for rule in rules:
            by_metric[rule.billable_metric_key] = (*by_metric.get(rule.billable_metric_key, ()), rule)
        super().__init__(
            *variants,
            metrics={metric.key: metric for metric in metrics},
            rules=by_metric,
            rules_by_id={rule.id: rule for rule in rules},
            **more,
        )
        for plan in variants:
            for key, value in plan.entitlements.items():
                assert value_faults(self.catalog.metrics[key], value) == []
        self.lines: list[dict[str, Any]] = []
        self.known: dict[Any, Any] = {}

    def act(self, command: Command, *, key: str | None = None) -> Any:
        """Decide a command as the engine does, and write down all of it. The answer, or the refusal."""
        self.pass_time()
        line: dict[str, Any] = {"do": plain(command)}
        before = self.draft.writes
        draft = Draft(self.draft.freeze()) if command.is_dry_run else self.draft
        context = self.context(key=key)
        told: Any
        try:
            told = self._decide(draft, command, context)
            line["answer"] = wire(told)
        except RefusedWithChangesError as refusal:
            told = refusal.error
            line["refused"] = _problem(refusal.error)
        except ProblemError as refusal:
            told = refusal
            line["refused"] = _problem(refusal)
            assert self.draft.writes == before, "a refusal wrote something"
        if not command.is_dry_run:
            tell_balance(self.draft, context)
        self._write(line, is_changed=self.draft.writes > before)
        return told

    def _decide(self, draft: Draft, command: Command, context: Any) -> Any:
        self._load(draft, command.needs)
        return self.with_history(lambda: command.decide(draft, context), draft)

    def with_history(self, read: Callable[[], Any], draft: Draft | None = None) -> Any:
        """What ``read`` gives once the rows that it asks for are loaded."""
        while True:
            try:
                return read()
            except HistoryNeededError as more:
                self._load(draft or self.draft, more.needs)

    def _load(self, draft: Draft, needs: Needs | None) -> None:
        if needs is None:
            return
        wanted = [("usage", name) for name in needs.usage_ids]
        wanted += [("hold", name) for name in needs.hold_ids]
        wanted += [("block", name) for name in needs.block_ids]
        wanted += [("subscription", name) for name in needs.subscription_ids]
        wanted += [("payment", name) for name in needs.payment_ids]
        draft.extra.update({key: self.known[key] for key in wanted if key in self.known})
        for metric, at in needs.counters_at:
            draft.extra["counters", metric] = tuple(
                counter
                for (kind, *_), counter in self.known.items()
                if kind == "counter"
                and counter.billable_metric_key == metric
                and not counter.is_current
                and counter.period_start <= at < counter.period_end
            )
            draft.extra.setdefault(("counters_at", metric), set()).add(at)
        for metric, start, end in needs.recounts:
            events = [
                event
                for (kind, *_), event in self.known.items()
                if kind == "usage" and event.billable_metric_key == metric and start <= event.timestamp < end
            ]
            draft.extra["recount", metric, start] = Recount(
                units=sum(event.units for event in events if event.status == "applied"),
                cost_mc=sum(event.cost_mc for event in events if event.status == "applied"),
                max=None,
            )

    def pass_time(self) -> None:
        """What happened by itself until now, as a line of its own."""
        before = self.draft.writes
        while not advance(self.draft, self.context()):
            pass
        if self.draft.writes > before:
            self._write({"by": "time", "now": plain(self.now)}, is_changed=True)

    def wait(self, **span: float) -> None:
        self.now += timedelta(**span)
        self.pass_time()

    def use(self, metric_key: str, units: Any = None, **more: Any) -> Any:
        command = RecordUsage(billable_metric_key=metric_key, units=units, **more)
        return self.act(command, key=f"use:{len(self.lines)}")

    def reverse(self, used: Any) -> Any:
        draws = self.known["usage", used.id].draws
        return self.act(ReverseUsage(usage_id=used.id, block_ids=tuple(block_id for block_id, _ in draws)))

    def ask(self, metric_key: str, **query: Any) -> None:
        """Write down what an explained check answers, and how long it stays true."""
        self.pass_time()
        asked = EntitlementQuery(billable_metric_key=metric_key, explain=True, **query)
        decided = self.with_history(lambda: decide_entitlement(self.draft, self.context(), asked))
        self.look(f"check {metric_key} {query}", decided.answer)
        self.look("until", [decided.valid_until, decided.is_repeatable])

    def show(self, metric_key: str) -> None:
        """Write down what the asset of the metric shows."""
        counted = self.catalog.metrics[metric_key]
        self.look(metric_key, self.with_history(lambda: view_asset(self.draft, self.context(), counted)))

    def look(self, what: str, seen: Any) -> None:
        """Write down what a read answers."""
        self.lines.append(
            {"look": what, "seen": wire(seen) if isinstance(seen, msgspec.Struct) else plain(seen)}
        )

    def _write(self, line: dict[str, Any], *, is_changed: bool) -> None:
        changes = self.draft.take_changes()
        if is_changed:
            self.draft.version += 1
        self._remember(changes)
        wrote = {name: plain(_collected(changes, name)) for name in (*_LISTS, *_SETS)}
        wrote |= {name: [plain(item) for item in _collected(changes, name).values()] for name in _OBJECTS}
        wrote["accounts"] = [plain(self.draft.account(unit)) for unit in sorted(changes.changed_accounts)]
        wrote["customer"] = plain(self.draft.customer) if changes.rare.is_customer_changed else None
        wrote["erased"] = changes.rare.is_erased
        self.lines.append({**line, **{name: rows for name, rows in wrote.items() if rows}})

    def _remember(self, changes: Changes) -> None:
        self.entries += changes.entries
        self.events += changes.events
        for block in (*changes.rare.new_blocks.values(), *changes.changed_blocks.values()):
            self.known["block", block.id] = block
        self.known |= {("hold", hold.id): hold for hold in changes.holds.values()}
        self.known |= {("subscription", found.id): found for found in changes.rare.subscriptions.values()}
        self.known |= {("usage", event.id): event for event in changes.usage_events}
        self.known |= {("usage", event.id): event for event in changes.rare.usage_updates.values()}
        self.known |= {("payment", payment): block for payment, block in changes.rare.payments}
        self.known |= {("counter", *place): counter for place, counter in changes.counters.items()}

    def compare(self, name: str) -> None:
        """Fail on the first act that differs from the approved chronicle, and where the ledger tells another story."""
        for unit, account in self.draft.accounts.items():
            replayed = self.replay(unit)
            replayed.compare_account(account)
            holds = {hold.id: hold.reserved_mc for hold in self.draft.holds.values() if hold.unit == unit}
            replayed.compare_holds(holds)
        file = APPROVED / f"{name}.json"
        written = [json.dumps(line, ensure_ascii=False).replace(IDS, "#") for line in self.lines]
        if os.environ.get("APPROVE"):
            file.write_text("".join(f"{line}\n" for line in written), "utf-8")
        approved = file.read_text("utf-8").splitlines()
        for number, (now, then) in enumerate(zip(written, approved, strict=False), start=1):
            assert json.loads(now) == json.loads(then), f"{file.name}:{number}"
        assert len(written) == len(approved)


def _problem(error: ProblemError) -> dict[str, Any]:
    told = {
        "type": error.slug,
        "detail": error.detail,
        "extra": plain(error.extra),
        "errors": plain(error.errors),
        "retry_after_seconds": error.retry_after_seconds,
    }
    return {name: value for name, value in told.items() if value}


def metric(key: str, **terms: Any) -> Metric:
    at = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
    return Metric(key=key, id=f"id-{key}", name=key.title(), created_at=at, updated_at=at, **terms)


def rule(id_: str, metric_key: str, *, tiers: Any = (), **terms: Any) -> MeteringRule:
    at = datetime.fromisoformat("2030-01-01T00:00:00+00:00")
    terms = {"cost_type": "tiered" if tiers else "per_unit", "active_from": at, **terms}
    steps = tuple(PriceTier(**tier) for tier in tiers)
    return MeteringRule(id=id_, billable_metric_key=metric_key, tiers=steps, created_at=at, **terms)
