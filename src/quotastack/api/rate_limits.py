"""The request limit on the wire: a policy with its quota and window, and what is left of it.

The header fields are those of draft-ietf-httpapi-ratelimit-headers. ``t`` of ``RateLimit`` is the time until the
bucket is full again, or, when it is empty, until the next request may come.
"""

from __future__ import annotations

import math

from quotastack.core.errors import RateLimitedError
from quotastack.services.request_limits import WINDOW_SECONDS, Allowance

LimitHeaders = tuple[tuple[bytes, bytes], ...]


def wait_seconds(allowance: Allowance, requests_per_minute: int) -> int:
    """When the next token will be there, in whole seconds, at least one."""
    return max(1, math.ceil((1.0 - allowance.left) * WINDOW_SECONDS / requests_per_minute))


def limit_headers(allowance: Allowance, requests_per_minute: int) -> LimitHeaders:
    """The two header fields after one request was counted."""
    if allowance.is_allowed:
        seconds = math.ceil((requests_per_minute - allowance.left) * WINDOW_SECONDS / requests_per_minute)
    else:
        seconds = wait_seconds(allowance, requests_per_minute)
    return (
        (b"ratelimit-policy", b'"default";q=%d;w=%d' % (requests_per_minute, WINDOW_SECONDS)),
        (b"ratelimit", b'"default";r=%d;t=%d' % (int(allowance.left), seconds)),
    )


def too_many(allowance: Allowance, requests_per_minute: int) -> RateLimitedError:
    """The refusal of a request that found the bucket empty."""
    return RateLimitedError(
        "The requests of this minute are used up.",
        retry_after_seconds=wait_seconds(allowance, requests_per_minute),
    )
