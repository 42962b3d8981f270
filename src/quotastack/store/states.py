"""States: a CustomerState out of its rows, in one statement for any number of customers.

Each customer comes back as one JSON document that msgspec decodes into typed values: one round
trip, no column by column conversion. What is equal in many of them is then one value of all: a decision reads a
customer who has long left the processor's caches, and what is shared is still in them. Writing is in
``store/batch_writes.py``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec.structs import force_setattr

from quotastack.core.burn_down import in_burn_order
from quotastack.core.customer_state import (
    NEVER,
    Account,
    Asset,
    AutoTopup,
    Block,
    Counter,
    Customer,
    CustomerState,
    Hold,
    Override,
    Subscription,
)

if TYPE_CHECKING:
    from quotastack.runtime.database import Connection

# An account's hash is base64 in JSON, which is how msgspec reads bytes. Documents hold the terms of
# blocks and holds; the columns that change win over them.
LOAD_STATES: Final = """
    SELECT json_build_object(
        'environment_id', c.environment_id, 'version', c.version,
        'event_sequence', c.event_sequence, 'last_entry_at', c.last_entry_at,
        'written_due_at', (SELECT d.due_at FROM customer_due AS d
                            WHERE d.environment_id = c.environment_id AND d.customer_id = c.id),
        'customer', json_build_object(
            'id', c.id, 'external_id', c.external_id, 'display_name', c.display_name,
            'email', c.email, 'metadata', c.metadata,
            'low_balance_threshold', c.low_balance_threshold, 'overage_policy', c.overage_policy,
            'overage_limit', c.overage_limit, 'created_at', c.created_at,
            'updated_at', c.updated_at, 'deleted_at', c.deleted_at),
        'accounts', (SELECT json_agg(json_build_object(
                'unit', a.unit, 'blocks_mc', a.blocks_mc, 'reserved_mc', a.reserved_mc,
                'overdraft_mc', a.overdraft_mc, 'lifetime_earned_mc', a.lifetime_earned_mc,
                'lifetime_spent_mc', a.lifetime_spent_mc,
                'lifetime_expired_mc', a.lifetime_expired_mc, 'status', a.status,
                'sequence', a.sequence, 'hash', encode(a.hash, 'base64'),
                'is_low', a.is_low, 'is_exhausted', a.is_exhausted))
            FROM accounts AS a
           WHERE a.environment_id = c.environment_id AND a.customer_id = c.id),
        'blocks', (SELECT json_agg(b.doc || jsonb_build_object(
                'remaining_mc', b.remaining_mc, 'status', b.status))
            FROM blocks AS b
           WHERE b.environment_id = c.environment_id AND b.customer_id = c.id AND b.is_live),
        'holds', (SELECT json_agg(r.doc) FROM reservations AS r
           WHERE r.environment_id = c.environment_id AND r.customer_id = c.id AND r.is_live),
        'counters', (SELECT json_agg(json_build_object(
                'billable_metric_key', n.billable_metric_key, 'kind', n.kind,
                'period_start', n.period_start, 'period_end', n.period_end, 'value', n.value,
                'max', n.max, 'overage_units', n.overage_units, 'cost_mc', n.cost_mc,
                'details', n.details, 'is_current', n.is_current))
            FROM counters AS n
           WHERE n.environment_id = c.environment_id AND n.customer_id = c.id AND n.is_current),
        'assets', (SELECT json_agg(s.doc) FROM assets AS s
           WHERE s.environment_id = c.environment_id AND s.customer_id = c.id),
        'overrides', (SELECT json_agg(o.doc) FROM overrides AS o
           WHERE o.environment_id = c.environment_id AND o.customer_id = c.id),
        'subscriptions', (SELECT json_agg(u.doc) FROM subscriptions AS u
           WHERE u.environment_id = c.environment_id AND u.customer_id = c.id AND u.is_live),
        'auto_topups', (SELECT json_agg(t.doc) FROM auto_topups AS t
           WHERE t.environment_id = c.environment_id AND t.customer_id = c.id)
    )::text AS state
      FROM customers AS c
     WHERE c.environment_id = current_setting('quotastack.environment_id')::uuid
       AND c.id = ANY($1::uuid[])
"""

SELECT_CUSTOMER_IDS: Final = """
    SELECT external_id, customer_id::text AS customer_id
      FROM external_ids
     WHERE environment_id = current_setting('quotastack.environment_id')::uuid
       AND external_id = ANY($1::text[])
"""

SHARED_MAX: Final = 10_000
T = TypeVar("T", str, datetime, tuple[str, str])

READ_CLOCK: Final = "SELECT clock_timestamp()"


class _StateRow(msgspec.Struct, frozen=True, kw_only=True):
    environment_id: str
    version: int
    event_sequence: int
    last_entry_at: datetime | None
    written_due_at: datetime | None
    customer: Customer
    accounts: list[Account] | None
    blocks: list[Block] | None
    holds: list[Hold] | None
    counters: list[Counter] | None
    assets: list[Asset] | None
    overrides: list[Override] | None
    subscriptions: list[Subscription] | None
    auto_topups: list[AutoTopup] | None


_decode_row = msgspec.json.Decoder(_StateRow).decode
# Values that many states have: keys of metrics, units, periods. Bounded: where there are too many, it begins anew.
_shared: dict[Any, Any] = {}
# What most customers have nothing of. A state is never changed in place, so one is enough for all.
_NONE: Final[dict[Any, Any]] = {}


def _share(value: T) -> T:
    """``value``, or the equal one that was here before."""
    if len(_shared) >= SHARED_MAX:
        _shared.clear()
    return _shared.setdefault(value, value)


def _share_fields(struct: msgspec.Struct, *names: str) -> None:
    """Share fields of a value that nobody else has seen yet."""
    for name in names:
        force_setattr(struct, name, _share(getattr(struct, name)))


def _accounts_by_unit(accounts: list[Account]) -> dict[str, Account]:
    for account in accounts:
        _share_fields(account, "unit")
    return {account.unit: account for account in accounts}


def _counters_by_place(counters: list[Counter]) -> dict[tuple[str, str], Counter]:
    for counter in counters:
        _share_fields(counter, "billable_metric_key", "kind", "period_start", "period_end")
        rules = counter.details.get("rules")
        if rules is not None:
            counter.details["rules"] = {_share(rule_id): row for rule_id, row in rules.items()}
    return {_share((c.billable_metric_key, c.kind)): c for c in counters}


def _blocks_by_unit(blocks: list[Block], *, is_descending: bool) -> dict[str, tuple[Block, ...]]:
    units: dict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        if block.status == "active":
            _share_fields(block, "unit")
            units[block.unit].append(block)
    return {unit: in_burn_order(found, is_descending=is_descending) for unit, found in units.items()}


def _decode_state(text: str, *, is_descending: bool) -> CustomerState:
    row = _decode_row(text)
    blocks = row.blocks or []
    pending = [block for block in blocks if block.status == "pending"]
    return CustomerState(
        environment_id=_share(row.environment_id),
        customer=row.customer,
        version=row.version,
        event_sequence=row.event_sequence,
        last_entry_at=row.last_entry_at,
        # Not known to be later: the first advance makes it exact.
        due_at=row.customer.created_at,
        written_due_at=_share(row.written_due_at or NEVER),
        accounts=_accounts_by_unit(row.accounts or []),
        is_descending=is_descending,
        blocks=_blocks_by_unit(blocks, is_descending=is_descending),
        pending_blocks=tuple(sorted(pending, key=lambda b: (b.effective_at, b.id))),
        holds={hold.id: hold for hold in row.holds or ()} or _NONE,
        counters=_counters_by_place(row.counters or []),
        assets={asset.billable_metric_key: asset for asset in row.assets or ()} or _NONE,
        overrides={_share(o.billable_metric_key): o for o in row.overrides or ()} or _NONE,
        subscriptions={s.id: s for s in row.subscriptions or ()} or _NONE,
        auto_topups={t.unit: t for t in row.auto_topups or ()} or _NONE,
    )


async def load_states(
    tx: Connection, customer_ids: Sequence[str], *, priority_order: str
) -> dict[str, CustomerState]:
    """The states of those of ``customer_ids`` that exist, by id. One statement.

    ``due_at`` of a loaded state is early (the creation): the first ``advance`` makes it exact.
    """
    rows = await tx.fetch(LOAD_STATES, customer_ids)
    is_descending = priority_order == "desc"
    states = (_decode_state(row["state"], is_descending=is_descending) for row in rows)
    return {state.customer.id: state for state in states}


async def select_customer_ids(tx: Connection, external_ids: Sequence[str]) -> dict[str, str]:
    """The customers' ids of those ``external_ids`` that are taken."""
    rows = await tx.fetch(SELECT_CUSTOMER_IDS, external_ids)
    return {row["external_id"]: row["customer_id"] for row in rows}


async def read_clock(tx: Connection) -> datetime:
    """The database's clock, this instant and not the transaction's start."""
    now: Any = await tx.fetchval(READ_CLOCK)
    return now
