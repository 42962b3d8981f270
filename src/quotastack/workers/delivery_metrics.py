"""What the delivery worker counts."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from quotastack.runtime.telemetry import REGISTRY

ATTEMPTS: Final = Counter(
    "quotastack_webhook_attempts_total",
    "Attempts made, by class of the answer's status; 'error' where there was no answer.",
    ("result",),
    registry=REGISTRY,
)
ATTEMPT_SECONDS: Final = Histogram(
    "quotastack_webhook_attempt_seconds",
    "Time of an attempt, from resolving the name to the answer.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
IN_FLIGHT: Final = Gauge(
    "quotastack_webhook_in_flight",
    "Deliveries on the wire.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
OVERDUE_SECONDS: Final = Gauge(
    "quotastack_webhook_overdue_seconds",
    "How long the oldest lane has been due when nothing could be claimed.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
