"""The test clock of a test environment."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import Body, Instant
from quotastack.api.routing import Request, Response, Route, stored_response
from quotastack.services.tenants import reset_test_environment
from quotastack.services.test_clock import (
    ClockView,
    advance_clock,
    freeze_clock,
    read_test_clock,
    release_clock,
)

AdvanceSeconds = Annotated[int, Meta(ge=0, le=200 * 366 * 86_400, description="How far, in seconds.")]


class FreezeBody(Body, frozen=True, kw_only=True):
    """Where the clock stands still; never in its past."""

    frozen_at: Instant


class AdvanceBody(Body, frozen=True, kw_only=True):
    """How far: ``seconds`` or ``to``. ``sweep`` false only moves the clock."""

    seconds: AdvanceSeconds | UnsetType = UNSET
    to: Instant | UnsetType = UNSET
    sweep: bool = True


class EmptyBody(Body, frozen=True, kw_only=True):
    """Nothing to say."""


class ResetView(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing: what was is out of reach."""


async def get_clock(request: Request) -> Response:
    """The environment's time."""
    return Response(200, await read_test_clock(request.app, request.caller))


async def post_clock(request: Request) -> Response:
    """The clock, frozen."""
    body: FreezeBody = request.body
    stored = await freeze_clock(request.app, request.caller, frozen_at=body.frozen_at, key=request.the_key)
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_advance(request: Request) -> Response:
    """The clock where it stands now, and all that ran."""
    body: AdvanceBody = request.body
    stored = await advance_clock(
        request.app,
        request.caller,
        seconds=None if body.seconds is UNSET else body.seconds,
        to=None if body.to is UNSET else body.to,
        sweep=body.sweep,
        key=request.the_key,
    )
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_release(request: Request) -> Response:
    """The clock, running."""
    stored = await release_clock(request.app, request.caller, key=request.the_key)
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


async def post_reset(request: Request) -> Response:
    """Nothing: the tenant's test environment is a new, empty one."""
    stored = await reset_test_environment(request.app, request.caller, key=request.the_key)
    request.app.environment_changed(request.caller.environment_id)
    return stored_response(stored.status, stored.body, replayed=stored.replayed)


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/test-clock",
        handler=get_clock,
        scope="admin",
        tag="Test clock",
        summary="Read the test clock",
        answers={200: ClockView},
    ),
    Route(
        method="POST",
        path="/v1/test-clock",
        handler=post_clock,
        scope="admin",
        tag="Test clock",
        summary="Freeze the test clock",
        body=FreezeBody,
        answers={200: ClockView},
        errors=("conflict",),
        key="required",
        example={"frozen_at": "2041-01-31T10:00:00Z"},
    ),
    Route(
        method="POST",
        path="/v1/test-clock/advance",
        handler=post_advance,
        scope="admin",
        tag="Test clock",
        summary="Advance the test clock",
        description="Everything that would have happened in between runs, in order, before the answer.",
        body=AdvanceBody,
        answers={200: ClockView},
        errors=("conflict",),
        key="required",
        example={"seconds": 86_400},
    ),
    Route(
        method="POST",
        path="/v1/test-clock/release",
        handler=post_release,
        scope="admin",
        tag="Test clock",
        summary="Let the test clock run on",
        body=EmptyBody,
        answers={200: ClockView},
        key="required",
    ),
    Route(
        method="POST",
        path="/v1/test/reset",
        handler=post_reset,
        scope="admin",
        tag="Test clock",
        summary="Start over with an empty test environment",
        description="Catalog, configuration and endpoints are empty, its clock runs on real time, the keys move along.",
        body=EmptyBody,
        answers={200: ResetView},
        key="required",
    ),
)
