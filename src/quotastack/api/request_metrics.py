"""Request metrics: counted in plain integers on each request, moved into Prometheus's metrics once a second.

A labelled counter and a histogram cost several microseconds for each request, with several workers even more; a
check costs little more than that in all.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from quotastack.runtime.telemetry import REQUEST_BOUNDS_SECONDS, REQUEST_SECONDS, REQUESTS

if TYPE_CHECKING:
    from quotastack.api.routing import BoundRoute, RouteTable

FLUSH_SECONDS: Final = 1.0


class Tally:
    """How often a route was answered with which status, and how fast, since the last flush.

    ``buckets[i]`` counts the answers that took at most the i-th bound and longer than the bound before.
    """

    __slots__ = ("buckets", "statuses", "sum_seconds")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(REQUEST_BOUNDS_SECONDS) + 1)
        self.sum_seconds = 0.0

    def count(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buckets[bisect_left(REQUEST_BOUNDS_SECONDS, seconds)] += 1
        self.sum_seconds += seconds


def flush_tallies(table: RouteTable) -> None:
    """Move what was counted since the last time into the metrics."""
    for bound in table.bound:
        if bound.tally.statuses:
            _flush(bound)


def _flush(bound: BoundRoute) -> None:
    tally, bound.tally = bound.tally, Tally()
    for status, count in tally.statuses.items():
        REQUESTS.labels(bound.route.method, bound.template, str(status)).inc(count)
    histogram = REQUEST_SECONDS.labels(bound.template)
    # A histogram takes one observation at a time only; these are the two things that observe() adds to.
    histogram._sum.inc(tally.sum_seconds)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    for bucket, count in zip(histogram._buckets, tally.buckets, strict=True):  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        if count:
            bucket.inc(count)
