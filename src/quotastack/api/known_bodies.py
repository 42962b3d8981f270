"""Known bodies: small bodies that came before are not read again.

A caller who counts calls sends the same bytes for the same customer each time, only under another key. What they say
never changes: it depends on the route and on nothing else. A body is kept when it comes for the second time, so that
bodies that are all different push nobody out, and only if nothing in it can be changed by who is handed it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from quotastack.core.customer_ref import CustomerRef

BODIES_MAX: Final = 20_000
BODY_BYTES_MAX: Final = 256

_SLOTS: Final = 1 << 16
_SCALARS: Final = frozenset({str, int, bool, type(None)})


class KnownBody(NamedTuple):
    """What a body says: the typed form, the customer it names, and ``fingerprint_content`` of a request with it."""

    body: Any
    customer: CustomerRef | None
    content: bytes


class KnownBodies:
    """The bodies of one route by their bytes."""

    __slots__ = ("_known", "_seen", "find")

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, KnownBody] = OrderedDict()
        # A byte of the hash of the last body that fell on each slot.
        self._seen = bytearray(_SLOTS)
        self.find = self._known.get

    def note(self, raw: bytes, value: Any, known: KnownBody) -> None:
        """A body was read: ``value`` are its plain objects. Keep it if it is small, plain, and not new."""
        if len(raw) > BODY_BYTES_MAX or not isinstance(value, dict):
            return
        if any(type(field) not in _SCALARS for field in value.values()):
            return
        digest = hash(raw)
        slot, mark = digest % _SLOTS, (digest >> 16) % 255 + 1
        if self._seen[slot] != mark:
            self._seen[slot] = mark
            return
        if len(self._known) >= BODIES_MAX:
            self._known.popitem(last=False)
        self._known[raw] = known
