"""Health: whether the process lives, is ready, which version it is, and what it counted."""

from __future__ import annotations

import platform
from typing import Final

import msgspec

from quotastack import __version__
from quotastack.api.request_metrics import flush_tallies
from quotastack.api.routing import Request, Response, Route, Text
from quotastack.runtime.telemetry import CLOCK_ERROR, render_metrics
from quotastack.services.health import Readiness, check_readiness

METRICS_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
NOT_STORED: Final = ((b"cache-control", b"no-store"),)


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "ok"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What runs here."""

    version: str
    python: str


async def get_livez(_request: Request) -> Response:
    """200 as long as the process can answer at all."""
    return Response(200, Alive(), headers=NOT_STORED)


async def get_readyz(request: Request) -> Response:
    """200 when requests can be served, else 503; the body lists the checks either way."""
    readiness = await check_readiness(request.app)
    return Response(200 if readiness.ready else 503, readiness, headers=NOT_STORED)


async def get_version(_request: Request) -> Response:
    """The version of server and interpreter."""
    return Response(200, Version(version=__version__, python=platform.python_version()))


async def get_metrics(request: Request) -> Response:
    """Prometheus's text form; with several workers, of all of them."""
    flush_tallies(request.table)
    error_us = request.app.clock.error_bound_us
    CLOCK_ERROR.set(error_us)
    return Response(200, render_metrics(), headers=NOT_STORED, content_type=METRICS_TYPE)


ROUTES: Final = (
    Route(
        method="GET",
        path="/livez",
        handler=get_livez,
        scope=None,
        tag="Health",
        summary="Is the process alive",
        answers={200: Alive},
    ),
    Route(
        method="GET",
        path="/readyz",
        handler=get_readyz,
        scope=None,
        tag="Health",
        summary="Can the process serve requests",
        answers={200: Readiness, 503: Readiness},
    ),
    Route(
        method="GET",
        path="/version",
        handler=get_version,
        scope=None,
        tag="Health",
        summary="Which version runs",
        answers={200: Version},
    ),
    Route(
        method="GET",
        path="/metrics",
        handler=get_metrics,
        scope=None,
        tag="Health",
        summary="Metrics for Prometheus",
        answers={200: Text("text/plain", "Prometheus's text form.")},
    ),
)
