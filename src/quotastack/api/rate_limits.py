"""The request limit of an environment: one token bucket, off unless ``requests_per_minute`` is set.

The header fields are those of draft-ietf-httpapi-ratelimit-headers: a policy with its quota and window, and
what is left of it.
"""

from __future__ import annotations

import math
from typing import Final

from quotastack.core.errors import RateLimitedError
from quotastack.core.ids import EnvironmentId
from quotastack.runtime.clock import monotonic_seconds

WINDOW_SECONDS: Final = 60
BUCKETS_MAX: Final = 100_000

LimitHeaders = tuple[tuple[bytes, bytes], ...]


class RateLimiter:
    """The buckets of a process. A full bucket holds a minute's requests and fills evenly."""

    def __init__(self) -> None:
        self._buckets: dict[EnvironmentId, tuple[float, float, int]] = {}

    def take(self, environment_id: EnvironmentId, requests_per_minute: int) -> tuple[bool, LimitHeaders, int]:
        """Take one token: whether there was one, the header fields, and the seconds until there is one again.

        A changed limit starts with a full bucket.
        """
        now = monotonic_seconds()
        tokens, filled_at, limit = self._buckets.get(environment_id, (0.0, now, 0))
        if limit != requests_per_minute:
            tokens, filled_at = float(requests_per_minute), now
        tokens = min(
            float(requests_per_minute), tokens + (now - filled_at) * requests_per_minute / WINDOW_SECONDS
        )
        is_allowed = tokens >= 1.0
        if is_allowed:
            tokens -= 1.0
        if len(self._buckets) >= BUCKETS_MAX:
            self._buckets.clear()
        self._buckets[environment_id] = (tokens, now, requests_per_minute)
        remaining = int(tokens)
        full_in = math.ceil((requests_per_minute - tokens) * WINDOW_SECONDS / requests_per_minute)
        wait = 0 if is_allowed else math.ceil((1.0 - tokens) * WINDOW_SECONDS / requests_per_minute)
        headers = (
            (b"ratelimit-policy", b'"default";q=%d;w=%d' % (requests_per_minute, WINDOW_SECONDS)),
            (b"ratelimit", b'"default";r=%d;t=%d' % (remaining, full_in if is_allowed else wait)),
        )
        return is_allowed, headers, wait


def too_many(wait_seconds: int) -> RateLimitedError:
    """The refusal of a request that found the bucket empty."""
    return RateLimitedError(
        "The requests of this minute are used up.", retry_after_seconds=max(1, wait_seconds)
    )
