"""The time machine: what happens at a boundary happens at its microsecond, and periods tile the line for ever."""

import sys
from calendar import monthrange
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.api.stories import Story
from tests.model.calendar_months import MICROSECOND, anchored, calendar_start, to_datetime, to_instant
from tests.model.driver import CoreDriver
from tests.model.http_driver import HttpDriver
from tests.races.servers import Client
from tests.rigs.boundary_walk import HttpWalk, Walk
from tests.rigs.figures import FORM, tell
from tests.rigs.model_machine import WORLDS

from quotastack.core.periods import Interval, anchored_period, boundary_at, calendar_period, period_index
from quotastack.services.tenants import NewTenant

LIFE = 60
SEEDS = {"ci": 4, "short": 20, "long": 80}[FORM]
HTTP_LIFE = 40
HTTP_SEEDS = {"ci": 1, "short": 2, "long": 16}[FORM]
KINDS = {
    "a hold ends",
    "a block begins",
    "a block expires",
    "a quota's period ends",
    "the turn of a subscription that is active",
}
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
)
PERIODS = 120
ZONES_TRIED = {"ci": 1, "short": 1, "long": 8}[FORM]
DAYS_APART = {"ci": 6, "short": 1, "long": 1}[FORM]


def tell_boundaries(cases: Counter[str], where: str) -> None:
    kinds = ", ".join(f"{count:,} where {kind}" for kind, count in sorted(cases.items()))
    tell("P14", ran=f"boundaries to the microsecond, without a sweep, {where}: {kinds}", cases=cases.total())


def test_boundaries_to_the_microsecond() -> None:
    cases = Counter[str]()
    for kind, make in WORLDS.items():
        for seed in range(SEEDS):
            random = Random(f"boundaries {kind} {seed}")
            world = make(random)
            walk = Walk(world, CoreDriver(world), random)
            try:
                walk.walk(LIFE)
            except AssertionError as difference:
                raise AssertionError(f"boundaries {kind} {seed}: {difference}") from None
            cases += walk.cases
        sys.stderr.write(f"{kind}: {cases.total():,} cases at boundaries as the model says\n")
    tell_boundaries(cases, "on the core")
    assert set(cases) >= KINDS


def _walk_over_http(kind: str, seed: int, base_url: str, tenant: NewTenant) -> Counter[str]:
    client = Client(base_url, tenant.test_key)
    random = Random(f"http boundaries {kind} {seed}")
    world = WORLDS[kind](random)
    walk = HttpWalk(world, HttpDriver(Story(client, tenant), world), random)
    try:
        walk.walk(HTTP_LIFE)
    except AssertionError as difference:
        raise AssertionError(f"http boundaries {kind} {seed}: {difference}") from None
    finally:
        client.close()
    return walk.cases


def test_boundaries_by_the_test_clock(in_process: Any, server: Any) -> None:
    named = [(kind, seed) for seed in range(HTTP_SEEDS) for kind in WORLDS]
    tenants = [in_process.create_tenant(f"{kind} {seed}") for kind, seed in named]
    cases = Counter[str]()
    with ThreadPoolExecutor(4) as pool:
        walks = [
            pool.submit(_walk_over_http, kind, seed, server.base_url, tenant)
            for (kind, seed), tenant in zip(named, tenants, strict=True)
        ]
        for walk in walks:
            cases += walk.result()
    tell_boundaries(cases, "by the test clock over HTTP")
    assert len(cases) >= 4


@pytest.mark.parametrize("zone", ZONES[:ZONES_TRIED])
def test_periods_tile_the_line(zone: str) -> None:
    """Every day of a leap year as an anchor, at a local time that some nights leave out or have twice."""
    tried = 0
    for day in range(0, 366, DAYS_APART):
        local = datetime(2024, 1, 1, 2, 30, 0, 1) + timedelta(days=day)  # noqa: DTZ001 - its zone comes next.
        anchor = local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for interval in ("day", "week", "month", "year"):
            tried += _tile(anchor, interval)
    tell("P16", ran=f"periods counted from anchors at 2:30 in {zone}", cases=tried)


def _tile(anchor: datetime, interval: Interval) -> int:
    """All periods of one anchor: as the model counts them, each beginning where the one before ended."""
    at = to_instant(anchor)
    start = anchor
    for index in range(PERIODS):
        end = boundary_at(anchor, interval, 1, index + 1)
        assert to_instant(end) == anchored(at, index + 1, interval), (anchor, interval, index)
        assert start < end
        assert anchored_period(anchor, interval, 1, start) == (start, end)
        assert period_index(anchor, interval, 1, end - MICROSECOND) == index
        if interval in {"month", "year"}:
            assert end.day == min(anchor.day, monthrange(end.year, end.month)[1])
        first, following = calendar_period(interval, end)
        assert first == to_datetime(calendar_start(to_instant(end), interval)) <= end < following
        assert calendar_period(interval, following)[0] == following
        start = end
    return PERIODS
