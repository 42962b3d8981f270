"""Cache: copies of customers' states with their versions, and answers computed from them.

Truth is in PostgreSQL only. A state enters when a batch committed it or a read loaded it, leaves
when another process says that there is a newer one, and is never written back. Bounded in bytes,
the least used leave first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from quotastack.runtime.collector import leave_out

if TYPE_CHECKING:
    from datetime import datetime

    from quotastack.core.customer_state import CustomerState

CustomerKey = tuple[str, str]

_STATE_BYTES: Final = 3_000
_OBJECT_BYTES: Final = 700
_NOTICES_MAX: Final = 50_000
_ANSWERS_MAX: Final = 64
# After so many more states than ever before, those that live are left out of searches for cycles.
_GROWTH: Final = 2_000


def _estimate_bytes(state: CustomerState) -> int:
    objects = len(state.holds) + len(state.counters) + len(state.pending_blocks) + len(state.accounts)
    objects += 3 * len(state.subscriptions) + len(state.overrides)
    for blocks in state.blocks.values():
        objects += len(blocks)
    return _STATE_BYTES + _OBJECT_BYTES * objects


class CacheEntry:
    """A state at its version, and encoded answers that hold until ``valid_until`` of it.

    ``answers`` belongs to whoever checks: keyed as they like, cleared when the state is replaced.
    ``advanced`` is the state brought forward in memory by the last check (never written).
    """

    __slots__ = ("answers", "bytes", "environment_version", "state", "sure_seconds", "valid_until")

    def __init__(self, state: CustomerState) -> None:
        self.state = state
        self.answers: dict[Any, bytes] = {}
        self.environment_version = 0
        self.valid_until: datetime | None = None
        self.bytes = _estimate_bytes(state)

    def replace(self, state: CustomerState) -> int:
        """Hold the customer's next state, forget the answers of the last; returns by how many bytes it grew."""
        self.state = state
        if self.answers:
            self.answers = {}
        self.valid_until = None
        before, self.bytes = self.bytes, _estimate_bytes(state)
        return self.bytes - before

    def remember(self, key: Any, answer: bytes) -> None:
        """Keep one encoded answer; a full entry starts over."""
        if len(self.answers) >= _ANSWERS_MAX:
            self.answers.clear()
        self.answers[key] = answer


class StateCache:
    """States by (environment, customer), and customers by external id."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._entries: OrderedDict[CustomerKey, CacheEntry] = OrderedDict()
        self._customer_ids: dict[CustomerKey, str] = {}
        # The newest version heard of for states that are not here: a read that began before the
        # notice must not put an older state back.
        self._heard: OrderedDict[CustomerKey, int] = OrderedDict()
        self._left_out_at = _GROWTH
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, environment_id: str, customer_id: str) -> CacheEntry | None:
        """The entry, now the most recently used, or None."""
        key = (environment_id, customer_id)
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def find_customer_id(self, environment_id: str, external_id: str) -> str | None:
        """The customer of a cached state by external id."""
        return self._customer_ids.get((environment_id, external_id))

    def put(self, state: CustomerState) -> CacheEntry | None:
        """Keep ``state`` unless a newer one is here or was heard of; returns its entry if kept."""
        key = (state.environment_id, state.customer.id)
        known = self._entries.get(key)
        if known is not None:
            if known.state.version >= state.version and known.state is not state:
                return known if known.state.version == state.version else None
            if known.state.customer.external_id == state.customer.external_id:
                self.bytes += known.replace(state)
                self._entries.move_to_end(key)
                self._make_room()
                return known
            self._drop(key, known)
        elif self._heard.get(key, 0) > state.version:
            return None
        entry = CacheEntry(state)
        self._entries[key] = entry
        self.bytes += entry.bytes
        if state.customer.external_id is not None:
            self._customer_ids[state.environment_id, state.customer.external_id] = state.customer.id
        self._make_room()
        if len(self._entries) >= self._left_out_at:
            self._left_out_at += _GROWTH
            leave_out()
        return entry

    def _make_room(self) -> None:
        while self.bytes > self._bytes_max and len(self._entries) > 1:
            oldest = next(iter(self._entries))
            self._drop(oldest, self._entries[oldest])

    def invalidate(self, environment_id: str, customer_id: str, version: int) -> None:
        """Another process wrote ``version``: drop what is older."""
        key = (environment_id, customer_id)
        entry = self._entries.get(key)
        if entry is not None and entry.state.version < version:
            self._drop(key, entry)
        self._heard[key] = version
        self._heard.move_to_end(key)
        if len(self._heard) > _NOTICES_MAX:
            self._heard.popitem(last=False)

    def forget(self, environment_id: str, customer_id: str) -> None:
        """Drop the state, whatever its version."""
        key = (environment_id, customer_id)
        entry = self._entries.get(key)
        if entry is not None:
            self._drop(key, entry)

    def clear(self) -> None:
        """Drop everything: the channel that tells of changes was lost."""
        self._entries.clear()
        self._customer_ids.clear()
        self.bytes = 0

    def _drop(self, key: CustomerKey, entry: CacheEntry) -> None:
        del self._entries[key]
        self.bytes -= entry.bytes
        external_id = entry.state.customer.external_id
        if external_id is not None:
            self._customer_ids.pop((key[0], external_id), None)
