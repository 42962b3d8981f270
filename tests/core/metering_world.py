"""A customer in memory: a catalog, a draft and a context for tests of decisions without a database."""

import itertools
from datetime import UTC, datetime
from typing import Any

from quotastack.core.advance import advance
from quotastack.core.balance_events import tell_balance
from quotastack.core.blocks import grant_block
from quotastack.core.catalog import Catalog, EnvironmentConfig, MeteringRule, Metric, PriceTier
from quotastack.core.commands import RefusedWithChangesError
from quotastack.core.context import Context
from quotastack.core.customer_state import Block, Customer, new_state
from quotastack.core.draft import Draft

START = datetime(2041, 3, 10, 12, tzinfo=UTC)
CUSTOMER = "019d43b6-0000-7000-8000-000000000001"


class World:
    """One customer; ``now`` moves by hand. Commands run as the engine runs them, refusals undone."""

    def __init__(self, **config: Any) -> None:
        self.now = START
        self.numbers = itertools.count(1)
        self.config = EnvironmentConfig(**config)
        self.metrics: dict[str, Metric] = {}
        self.rules: dict[str, tuple[MeteringRule, ...]] = {}
        self.named_events: frozenset[str] = frozenset()
        customer = Customer(id=CUSTOMER, external_id="user", created_at=START, updated_at=START)
        self.draft = Draft(new_state("environment", customer))

    # -- what is there -------------------------------------------------------------------------------

    def new_id(self) -> str:
        return f"019d43b6-0000-7000-8000-{next(self.numbers):012x}"

    @property
    def catalog(self) -> Catalog:
        return Catalog(
            version=1,
            config=self.config,
            metrics=self.metrics,
            rules=self.rules,
            rules_by_id={rule.id: rule for rules in self.rules.values() for rule in rules},
            named_events=self.named_events,
        )

    def context(self, **more: Any) -> Context:
        return Context(
            environment_id="environment",
            environment="test",
            catalog=self.catalog,
            now=self.now,
            request_id="request",
            actor="key:test",
            new_id=self.new_id,
            new_salt=lambda: b"0" * 16,
            **more,
        )

    def metric(self, key: str = "calls", **terms: Any) -> Metric:
        self.metrics[key] = Metric(
            key=key, id=self.new_id(), name=key, created_at=START, updated_at=START, **terms
        )
        return self.metrics[key]

    def rule(self, metric: str = "calls", **terms: Any) -> MeteringRule:
        """A rule in force from now; it closes the one of the same match."""
        tiers = tuple(PriceTier(**tier) for tier in terms.pop("tiers", ()))
        since = terms.pop("active_from", self.now)
        rule = MeteringRule(
            id=self.new_id(),
            billable_metric_key=metric,
            tiers=tiers,
            active_from=since,
            created_at=since,
            **{"cost_type": "tiered" if tiers else "per_unit", **terms},
        )
        closed = tuple(
            MeteringRule(**{**{f: getattr(old, f) for f in old.__struct_fields__}, "active_to": since})
            if old.active_to is None and old.match == rule.match
            else old
            for old in self.rules.get(metric, ())
        )
        self.rules[metric] = (*closed, rule)
        return rule

    def grant(self, credits_mc: int, **terms: Any) -> Block:
        block = Block(
            id=self.new_id(),
            original_mc=credits_mc,
            remaining_mc=credits_mc,
            **{
                "unit": "credits",
                "priority": 0,
                "effective_at": self.now,
                "expires_at": None,
                "source": "promotional",
                "created_at": self.now,
                **terms,
            },
        )
        return grant_block(self.draft, self.context(), block)

    # -- what happens --------------------------------------------------------------------------------

    def run(self, command: Any, **more: Any) -> Any:
        """Advance, decide, tell; a refusal must have left the draft alone."""
        context = self.context(**more)
        assert advance(self.draft, context)
        if command.is_dry_run:
            return command.decide(Draft(self.draft.freeze()), context)
        writes = self.draft.writes
        try:
            answer = command.decide(self.draft, context)
        except RefusedWithChangesError:
            self.draft.version += 1
            raise
        except Exception:
            assert self.draft.writes == writes, "a refusal wrote something"
            raise
        tell_balance(self.draft, context)
        self.draft.version += 1
        return answer

    def account(self, unit: str = "credits") -> Any:
        return self.draft.account(unit)

    def events(self, type_: str) -> list[dict[str, Any]]:
        return [event.data for event in self.draft.changes.events if event.type == type_]

    def entries(self, *types: str) -> list[Any]:
        return [entry for entry in self.draft.changes.entries if not types or entry.type in types]

    def usage(self, usage_id: str) -> Any:
        known = self.draft.changes.rare.usage_updates.get(usage_id)
        if known is not None:
            return known
        return next(event for event in self.draft.changes.usage_events if event.id == usage_id)

    def check_sums(self) -> None:
        """The invariants of credits.md, over everything that was written."""
        for unit, account in self.draft.accounts.items():
            entries = [entry for entry in self.draft.changes.entries if entry.unit == unit]
            blocks = self.draft.live_blocks(unit)
            assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
            assert sum(entry.delta_mc for entry in entries) == account.balance_mc
            assert sum(entry.reserved_delta_mc for entry in entries) == account.reserved_mc
            assert sum(block.remaining_mc for block in blocks) == account.blocks_mc
            holds = [hold for hold in self.draft.holds.values() if hold.unit == unit]
            assert sum(hold.reserved_mc for hold in holds) == account.reserved_mc
            assert account.overdraft_mc >= 0
            assert all(block.remaining_mc > 0 for block in blocks)
