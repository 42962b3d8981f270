"""Context: what a decision may know besides the customer's state.

No clock and no randomness stand in ``core``: the instant, fresh ids and salts come in here. Time
itself acts through a context too (``at_instant``): then ids are derived from what is made, the
actor is ``system`` and ``now`` is the due instant, so that early and late computation agree.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from quotastack.core.catalog import Catalog

SYSTEM: Final = "system"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One command's surroundings.

    ``now`` is the environment's time, read after the lock. ``new_id`` gives UUIDv7 strings,
    ``new_salt`` 16 secret bytes. ``is_time`` is true while time acts, not a caller.
    """

    environment_id: str
    environment: str
    catalog: Catalog
    now: datetime
    request_id: str | None
    actor: str
    new_id: Callable[[], str]
    new_salt: Callable[[], bytes]
    idempotency_key: str | None = None
    is_time: bool = False

    def at_instant(self, at: datetime) -> Context:
        """The context in which time acts at its due instant ``at``."""
        return msgspec.structs.replace(
            self,
            now=at,
            request_id=None,
            actor=SYSTEM,
            idempotency_key=None,
            is_time=True,
        )
