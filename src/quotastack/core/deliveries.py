"""When a delivery is tried again, when it is given up, and when an endpoint is disabled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

DeliveryStatus = Literal["pending", "succeeded", "failed", "canceled"]

# Each wait is moved by at most this many thousandths, so that lanes which failed together do not come back together.
JITTER_PERMILLE: Final = 100

# An endpoint whose every attempt failed for this long is disabled.
FAILING_FOR: Final = timedelta(days=5)

GONE: Final = 410
RETRY_AFTER_STATUSES: Final = frozenset({429, 502, 503, 504})


def retry_wait_ms(
    failures: int, *, waits_ms: Sequence[int], jitter_permille: int, retry_after_ms: int | None = None
) -> int | None:
    """How long to wait after the ``failures``-th failure; None when that was the last attempt.

    ``waits_ms`` are the waits before each retry, ``jitter_permille`` moves the wait by that many thousandths, a
    tenth at most. A receiver's ``Retry-After`` makes the wait longer, at most as long as the next step of the
    table, never shorter: it cannot make us spend the attempts faster than the table.
    """
    assert failures > 0
    assert abs(jitter_permille) <= JITTER_PERMILLE
    if failures > len(waits_ms):
        return None
    wait_ms = waits_ms[failures - 1]
    if retry_after_ms is not None:
        next_wait_ms = waits_ms[min(failures, len(waits_ms) - 1)]
        wait_ms = max(wait_ms, min(retry_after_ms, next_wait_ms))
    return wait_ms + wait_ms * jitter_permille // 1_000


def next_attempt_at(
    failed_at: datetime,
    failures: int,
    *,
    waits_ms: Sequence[int],
    jitter_permille: int,
    retry_after_ms: int | None = None,
) -> datetime | None:
    """When the delivery is tried again, counted from the failure; None when it is given up."""
    wait_ms = retry_wait_ms(
        failures, waits_ms=waits_ms, jitter_permille=jitter_permille, retry_after_ms=retry_after_ms
    )
    return None if wait_ms is None else failed_at + timedelta(milliseconds=wait_ms)


def is_success(status: int | None) -> bool:
    """Any 2xx. A redirect is an answer like any other: a failure, never followed."""
    return status is not None and 200 <= status < 300


def read_retry_after_ms(status: int | None, value: str | None, *, now: datetime) -> int | None:
    """How long the receiver asks us to wait; None when it asks nothing that we honour.

    Both forms are read, seconds and an HTTP date; anything else, and what lies in the past, is as if the
    header were not there. Honoured on 429, 502, 503 and 504 only.
    """
    if status not in RETRY_AFTER_STATUSES or value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return int(text[:12]) * 1_000
    at = _read_http_date(text)
    return None if at is None or at <= now else (at - now) // timedelta(milliseconds=1)


def _read_http_date(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


def should_disable(failing_since: datetime | None, failed_at: datetime) -> bool:
    """Whether the failure at ``failed_at`` is one too many: nothing has succeeded for five days.

    ``failing_since`` is the first failure after the last success. Completed attempts count, nothing else.
    """
    return failing_since is not None and failed_at - failing_since >= FAILING_FOR
