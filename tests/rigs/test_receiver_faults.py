"""The line between worker and receiver fails, and the worker at each of its steps: nothing lost, order kept."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.stories import Story
from tests.races.servers import wait_until
from tests.rigs.failpoints.points import DELIVERY
from tests.rigs.fault_proxy import FaultProxy
from tests.rigs.figures import FORM, tell
from tests.rigs.fleet import Fleet, SteadyClient
from tests.rigs.receiver import Receiver, judge

# Seconds each.
MODES = {
    "ci": {"reset": 0.5, "cut": 0.5},
    "short": {
        "swallow": 1.5,
        "reset": 1.0,
        "half-close": 1.0,
        "half-close-up": 1.5,
        "delay": 1.0,
        "cut": 1.0,
    },
    "long": {
        "swallow": 8.0,
        "strand": 4.0,
        "reset": 8.0,
        "half-close": 8.0,
        "half-close-up": 8.0,
        "delay": 10.0,
        "cut": 20.0,
    },
}[FORM]
# Nothing may be given up: a delivery that meets each fault in turn is tried for longer than all of them last.
RETRY_WAITS = ",".join(["0.5", "1", "1", "2", "2", *["4"] * 15])
assert sum(map(float, RETRY_WAITS.split(","))) > sum(MODES.values())
CUSTOMERS = 20
ACTIONS = ("server", "backend", "cut")
FIRED_SECONDS_MAX = 30


class World:
    """Two servers, a receiver, and the proxy between them."""

    def __init__(self, folder: Path) -> None:
        settings = {
            "QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "1",
            "QUOTASTACK_WEBHOOK_TIMEOUT_SECONDS": "1",
            "QUOTASTACK_WEBHOOK_RETRY_WAITS": RETRY_WAITS,
        }
        self.receiver = Receiver()
        self.proxy = FaultProxy(self.receiver.address, cut_at=b"webhook-id")
        self.fleet = Fleet(folder, 2, **settings)
        self.api = SteadyClient(self.fleet, self.fleet.tenant.test_key)
        self.story = Story(self.api, self.fleet.tenant)
        self.receiver.subscribe(self.story, f"http://127.0.0.1:{self.proxy.port}/hook")

    def close(self) -> None:
        self.api.close()
        self.fleet.close()
        self.proxy.close()
        self.receiver.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def test_deliveries_survive_a_failing_line(world: World) -> None:
    customers = [world.story.customer() for _ in range(CUSTOMERS)]
    count = 0
    for mode, seconds in MODES.items():
        world.proxy.set_mode(mode)
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            count += 1
            world.story.grant(customers[count % CUSTOMERS], 1_000)
        world.proxy.set_mode("pass")
    started = time.monotonic()
    events, duplicates, faults = judge(world.story, world.receiver)
    tell(
        "P26",
        "P27",
        ran=f"line to the receiver fails ({', '.join(MODES)}): {events} events, {duplicates} duplicates, "
        f"{world.proxy.connections} connections, {world.proxy.cuts} cut after the request, all delivered "
        f"{time.monotonic() - started:.0f} s after the last fault",
        cases=events,
        violations=len(faults),
    )
    assert not faults, "\n".join(faults[:20])


def test_deliveries_survive_a_crash_at_every_step(world: World) -> None:
    cells = [(point, action) for point in DELIVERY for action in ACTIONS]
    if FORM != "long":
        cells = [(point, ACTIONS[number % 3]) for number, point in enumerate(DELIVERY)]
    if FORM == "ci":
        cells = cells[3::3]
    done: Counter[str] = Counter()
    missed: list[str] = []
    for number, (point, action) in enumerate(cells):
        world.fleet.ready()
        for member in world.fleet.members:
            member.arm(point.name, action)
        world.story.wallet(1_000, f"crash_{number:03d}")
        try:
            wait_until(
                lambda name=point.name: any(member.has_fired(name) for member in world.fleet.members),
                f"{point.name} has fired",
                timeout_seconds=FIRED_SECONDS_MAX,
            )
        except AssertionError as error:
            missed.append(str(error))
        for member in world.fleet.members:
            member.disarm(point.name)
        done[action] += 1
        world.fleet.revive()
    events, duplicates, faults = judge(world.story, world.receiver)
    faults += missed + world.api.unexpected
    tell(
        "P6",
        "P26",
        "P27",
        ran=f"{len({point.name for point, _ in cells})} steps of a delivery, {dict(done)}: {events} events, "
        f"{duplicates} duplicates",
        cases=len(cells),
        violations=len(faults),
        kills=done["server"] + done["backend"],
    )
    assert not faults, "\n".join(faults[:20])
