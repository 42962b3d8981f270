"""Logs and metrics: what an operator sees, and nothing that belongs to a tenant's customers.

Logs carry an allow list of fields. A field that is not on it is dropped and its name is noted, so that a body, a key
or a secret can only get into a log by a change of this file.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from quotastack.runtime.settings import Settings

FIELDS: Final = frozenset(
    {
        "action",
        "address",
        "attempt",
        "batch_size",
        "command",
        "count",
        "delay_seconds",
        "duration_ms",
        "endpoint_id",
        "environment_id",
        "error",
        "error_bound_us",
        "event",
        "event_id",
        "exception",
        "exit_code",
        "kind",
        "lane",
        "level",
        "logger",
        "method",
        "migrations",
        "path",
        "pid",
        "port",
        "reason",
        "request_id",
        "route",
        "slug",
        "status",
        "tenant_id",
        "timestamp",
        "version",
        "worker",
    }
)

METRICS_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"

_OWN: Final = frozenset(
    {"event", "level", "timestamp", "logger", "exception", "exc_info", "_record", "_from_structlog"}
)

# One registry; with several worker processes each scrape adds up what all of them have written to files.
REGISTRY: Final = CollectorRegistry()

REQUESTS: Final = Counter(
    "quotastack_http_requests_total",
    "Requests answered.",
    ("method", "route", "status"),
    registry=REGISTRY,
)
REQUEST_BOUNDS_SECONDS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0
)  # fmt: skip
REQUEST_SECONDS: Final = Histogram(
    "quotastack_http_request_seconds",
    "Time from the first byte of a request to the last of its answer.",
    ("route",),
    buckets=REQUEST_BOUNDS_SECONDS,
    registry=REGISTRY,
)
CLOCK_ERROR: Final = Gauge(
    "quotastack_clock_error_microseconds",
    "How far the process's clock can be from the database's.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
ENGINE_BATCHES: Final = Counter(
    "quotastack_engine_batches_total", "Batches of commands that were carried out.", registry=REGISTRY
)
ENGINE_COMMANDS: Final = Counter(
    "quotastack_engine_commands_total", "Commands in these batches.", registry=REGISTRY
)
ENGINE_REFUSED: Final = Counter(
    "quotastack_engine_refused_total", "Commands refused because too many were waiting.", registry=REGISTRY
)
ENGINE_WAITING: Final = Gauge(
    "quotastack_engine_waiting",
    "Commands that wait for their batch.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
CACHE_BYTES: Final = Gauge(
    "quotastack_cache_bytes",
    "Estimated size of the cached customers.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
CACHE_ENTRIES: Final = Gauge(
    "quotastack_cache_entries", "Cached customers.", registry=REGISTRY, multiprocess_mode="livesum"
)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; its messages are short sentences, everything variable goes into fields."""
    return structlog.stdlib.get_logger(name)


def configure_logging(settings: Settings) -> None:
    """Send our logs and those of libraries to standard error, in one form."""
    is_console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer() if is_console else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                drop_unlisted_fields,
                structlog.processors.format_exc_info,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # Libraries speak up when something is wrong; what they do all day is theirs.
    for name in ("uvicorn", "uvicorn.error", "asyncio", "aiohttp", "asyncpg"):
        logging.getLogger(name).setLevel(logging.WARNING)


def drop_unlisted_fields(
    _logger: Any, _method: str, entry: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep the fields of the allow list; note the names of the others."""
    dropped = [name for name in entry if name not in FIELDS and name not in _OWN]
    for name in dropped:
        del entry[name]
    if dropped:
        entry["dropped_fields"] = sorted(dropped)
    return entry


def render_metrics() -> bytes:
    """All metrics in Prometheus's text form; with several workers, of all of them."""
    if os.environ.get(METRICS_DIRECTORY):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)
    return generate_latest(REGISTRY)
