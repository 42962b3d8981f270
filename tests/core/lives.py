"""One customer's life in memory: a draft, a clock that only moves by hand, and the checks of its books."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from quotastack.core.advance import advance
from quotastack.core.balance_events import tell_balance
from quotastack.core.blocks import apply_draws, free_after_hold, plan_commit
from quotastack.core.catalog import Catalog, EnvironmentConfig
from quotastack.core.changes import LedgerEntry, OutboxEvent
from quotastack.core.commands import Command
from quotastack.core.context import Context
from quotastack.core.customer_state import Block, Customer, Hold, new_state
from quotastack.core.draft import Draft, replace
from quotastack.core.holds import give_back_hold
from quotastack.core.ledger import append_entry
from quotastack.core.replay import AccountReplay

START = datetime(2041, 3, 1, tzinfo=UTC)
ENVIRONMENT = "0190a000-0000-7000-8000-000000000001"
CUSTOMER = "0190a000-0000-7000-8000-000000000002"


class Life:
    """A customer of a fresh environment. Commands are decided as the engine decides them."""

    def __init__(self, *, config: EnvironmentConfig | None = None, **catalog: Any) -> None:
        self.catalog = Catalog(version=1, config=config or EnvironmentConfig(), **catalog)
        customer = Customer(id=CUSTOMER, external_id="user_1", created_at=START, updated_at=START)
        self.draft = Draft(
            new_state(ENVIRONMENT, customer), priority_order=self.catalog.config.priority_order
        )
        self.draft.version = 1
        self.now = START
        self.ids = itertools.count(1)
        self.entries: list[LedgerEntry] = []
        self.events: list[OutboxEvent] = []
        self.gone_blocks: dict[str, Block] = {}

    def context(self, *, key: str | None = None) -> Context:
        return Context(
            environment_id=ENVIRONMENT,
            environment="test",
            catalog=self.catalog,
            now=self.now,
            request_id="req-1",
            actor="key:1",
            new_id=self.new_id,
            new_salt=lambda: b"0123456789abcdef",
            idempotency_key=key,
        )

    def new_id(self) -> str:
        return f"0190a000-0000-7000-9000-{next(self.ids):012x}"

    def run(self, command: Command, *, key: str | None = None) -> Any:
        """Let time happen, decide, tell the balance, keep what was written."""
        self.catch_up()
        context = self.context(key=key)
        if command.needs is not None:
            for block_id in command.needs.block_ids:
                if block_id in self.gone_blocks:
                    self.draft.extra["block", block_id] = self.gone_blocks[block_id]
        before = self.draft.writes
        try:
            answer = command.decide(self.draft, context)
        except Exception:
            assert self.draft.writes == before, "a refusal wrote something"
            raise
        tell_balance(self.draft, context)
        if self.draft.writes > before:
            self.draft.version += 1
        self._collect()
        return answer

    def catch_up(self) -> None:
        while not advance(self.draft, self.context()):
            pass
        self._collect()

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)
        self.catch_up()

    def _collect(self) -> None:
        changes = self.draft.take_changes()
        self.entries += changes.entries
        self.events += changes.events
        for block in (*changes.rare.new_blocks.values(), *changes.changed_blocks.values()):
            if block.status in {"active", "pending"}:
                self.gone_blocks.pop(block.id, None)
            else:
                self.gone_blocks[block.id] = block

    # Holds, as a reservation of plain credits makes and ends them.

    def hold(self, amount_mc: int, *, seconds: int = 300, unit: str = "credits") -> str:
        """Hold what is effective; the caller knows that it is."""
        self.catch_up()
        hold = Hold(
            id=self.new_id(),
            unit=unit,
            reserved_mc=amount_mc,
            expires_at=self.now + timedelta(seconds=seconds),
            created_at=self.now,
        )
        account = self.draft.account(unit)
        self.draft.put_hold(hold)
        append_entry(
            self.draft,
            self.context(),
            replace(account, reserved_mc=account.reserved_mc + amount_mc),
            entry_type="reserve",
            reserved_delta_mc=amount_mc,
            reference=("reservation", hold.id),
        )
        self._collect()
        return hold.id

    def release(self, hold_id: str) -> None:
        self.catch_up()
        give_back_hold(self.draft, self.context(), self.draft.holds[hold_id], status="released")
        self._collect()

    def commit(self, hold_id: str, amount_mc: int) -> dict[str, int]:
        """Commit at most what is held; the draws by block."""
        self.catch_up()
        context, hold = self.context(), self.draft.holds[hold_id]
        draws, missing_mc = plan_commit(self.draft, context, hold, amount_mc)
        assert missing_mc == 0, "what is held is covered"
        deltas = apply_draws(self.draft, draws, context)
        self.draft.put_hold(replace(hold, status="committed"))
        account = self.draft.account(hold.unit)
        append_entry(
            self.draft,
            context,
            replace(
                account,
                blocks_mc=account.blocks_mc - amount_mc,
                reserved_mc=account.reserved_mc - hold.reserved_mc,
            ),
            entry_type="commit",
            delta_mc=-amount_mc,
            reserved_delta_mc=-hold.reserved_mc,
            blocks=deltas,
            reference=("reservation", hold.id),
        )
        free_after_hold(self.draft, context, hold.unit, hold.created_at)
        self._collect()
        return {draw.block.id: draw.amount_mc for draw in draws}

    # What can be seen.

    def balance(self, unit: str = "credits") -> int:
        return self.draft.account(unit).balance_mc

    def left(self, unit: str = "credits") -> list[int]:
        """What is left in each live block, in burn order."""
        return [block.remaining_mc for block in self.draft.live_blocks(unit)]

    def types(self, unit: str = "credits") -> list[str]:
        return [entry.type for entry in self.entries if entry.unit == unit]

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.type == kind]

    def replay(self, unit: str) -> AccountReplay:
        """The account rebuilt from its entries."""
        replayed = AccountReplay(environment_id=ENVIRONMENT, customer_id=CUSTOMER, unit=unit)
        for entry in self.entries:
            if entry.unit == unit:
                replayed.apply(entry)
        return replayed

    def check_books(self) -> None:
        """Every invariant of credits.md."""
        for unit, account in self.draft.accounts.items():
            live = self.draft.live_blocks(unit)
            assert account.blocks_mc == sum(block.remaining_mc for block in live)
            assert all(0 < block.remaining_mc <= block.original_mc for block in live)
            replayed = self.replay(unit)
            replayed.compare_account(account)
            pending = [block for block in self.draft.pending_blocks if block.unit == unit]
            gone = [block for block in self.gone_blocks.values() if block.unit == unit]
            replayed.compare_blocks([*live, *pending, *gone])
            replayed.compare_holds({h.id: h.reserved_mc for h in self.draft.holds.values() if h.unit == unit})
        sequences = [event.sequence for event in self.events]
        assert sequences == list(range(1, len(sequences) + 1))
