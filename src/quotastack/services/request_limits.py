"""The request limit of an environment, exact over all processes of the installation.

A process takes a small share of the bucket at once and hands it out from memory: a tenth of a second's requests, one
request where the limit is low. What it does not hand out within a second is lost, so the limit is never exceeded.
"""

from __future__ import annotations

from typing import Final

import msgspec

from quotastack.core.ids import EnvironmentId
from quotastack.runtime.clock import monotonic_seconds
from quotastack.runtime.tenancy import environment_transaction
from quotastack.services.container import Services
from quotastack.store.request_buckets import take_tokens

WINDOW_SECONDS: Final = 60
SHARES_A_MINUTE: Final = 600
SHARE_SECONDS: Final = 1.0
SHARES_MAX: Final = 10_000


class Allowance(msgspec.Struct, frozen=True):
    """Whether a request may go on; ``left`` of the limit's tokens remain (a fraction is one in the making)."""

    is_allowed: bool
    left: float


class _Share(msgspec.Struct):
    requests_per_minute: int
    count: int
    left_in_bucket: float
    good_until: float


class RequestLimits:
    """The shares of a process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._shares: dict[EnvironmentId, _Share] = {}

    async def take(self, environment_id: EnvironmentId, requests_per_minute: int) -> Allowance:
        """Count one request."""
        share = self._shares.get(environment_id)
        if (
            share is None
            or share.count == 0
            or share.requests_per_minute != requests_per_minute
            or share.good_until <= monotonic_seconds()
        ):
            share = await self._refill(environment_id, requests_per_minute)
        if share.count == 0:
            return Allowance(is_allowed=False, left=share.left_in_bucket)
        share.count -= 1
        return Allowance(is_allowed=True, left=share.left_in_bucket + share.count)

    async def _refill(self, environment_id: EnvironmentId, requests_per_minute: int) -> _Share:
        wanted = max(1, requests_per_minute // SHARES_A_MINUTE)
        async with environment_transaction(self._services.database.writes, environment_id) as tx:
            taken = await take_tokens(
                tx, environment_id, requests_per_minute=requests_per_minute, wanted=wanted
            )
        share = _Share(requests_per_minute, taken.taken, taken.left, monotonic_seconds() + SHARE_SECONDS)
        # While this one waited another request of the process may have brought a share: keep what is left of it.
        other = self._shares.get(environment_id)
        if other is not None and other.requests_per_minute == requests_per_minute:
            share.count += other.count
        if len(self._shares) >= SHARES_MAX:
            self._shares.clear()
        self._shares[environment_id] = share
        return share
