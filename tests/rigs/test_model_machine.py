"""The model machine's long form: random lives on the core in two processes, and fewer of them over HTTP."""

import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from tests.api.stories import Story
from tests.model.http_driver import HttpDriver
from tests.model.machine import Machine
from tests.races.servers import Client
from tests.rigs.figures import FORM, tell
from tests.rigs.model_machine import MODULE, WORLDS

from quotastack.services.tenants import NewTenant

ROOT = Path(__file__).parents[2]
STEPS = 250
SEEDS = {"ci": 8, "short": 60, "long": 1_500}[FORM]
HTTP_STEPS = 100
HTTP_LIVES = {"ci": 1, "short": 3, "long": 34}[FORM]
COMPARED_EVERY = 10


def test_the_core_follows_the_model() -> None:
    """Half of the seeds in each process; the first difference ends a process with the command that repeats it."""
    half = SEEDS // 2
    running = [
        subprocess.Popen(
            [sys.executable, "-m", MODULE, "--seeds", f"{first}:{first + half}", "--steps", str(STEPS)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in (0, half)
    ]
    told: dict[str, Counter[str]] = {kind: Counter() for kind in WORLDS}
    for process in running:
        printed, _ = process.communicate()
        assert process.returncode == 0, "the life that differs stands in the output of the process"
        for kind, counts in json.loads(printed).items():
            told[kind].update(counts)
    for kind, counts in told.items():
        done = counts["commands"] + counts["moves of the clock"]
        refused = sum(number for name, number in counts.items() if name.startswith("refused"))
        ran = f"{counts['seeds']:,} seeds of {kind} on the core, {refused:,} refusals as the model says"
        tell("P1", "P2", ran=ran, cases=done, operations=done, seeds=counts["seeds"])
        assert counts["seeds"] == 2 * half
        assert done > 0.8 * STEPS * counts["seeds"]


class _Glancing(Machine):
    """Reads the whole state back only every few steps: each read is some requests."""

    def compare_state(self) -> None:
        new_ids = any(block["id"].startswith(("refund-of-", "~plan-")) for block in self.model.blocks)
        if new_ids or self.steps % COMPARED_EVERY == 0:
            super().compare_state()


def _live_over_http(kind: str, seed: int, base_url: str, tenant: NewTenant) -> Machine:
    client = Client(base_url, tenant.test_key)
    random = Random(f"http {kind} {seed}")
    world = WORLDS[kind](random)
    machine = _Glancing(world, HttpDriver(Story(client, tenant), world), random)
    try:
        machine.run(HTTP_STEPS, books_every=100)
    except AssertionError as difference:
        raise AssertionError(f"http {kind} {seed}: {difference}") from None
    finally:
        client.close()
    sys.stderr.write(f"http {kind} {seed}: {machine.steps} steps as the model says\n")
    return machine


def test_the_product_follows_the_model(in_process: Any, server: Any) -> None:
    named = [(kind, seed) for seed in range(HTTP_LIVES) for kind in WORLDS]
    tenants = [in_process.create_tenant(f"{kind} {seed}") for kind, seed in named]
    with ThreadPoolExecutor(4) as pool:
        lives = [
            pool.submit(_live_over_http, kind, seed, server.base_url, tenant)
            for (kind, seed), tenant in zip(named, tenants, strict=True)
        ]
        machines = [life.result() for life in lives]
    done = sum(machine.steps - sum(machine.greys.values()) for machine in machines)
    refused = sum(sum(machine.refusals.values()) for machine in machines)
    ran = f"{len(machines)} seeds of all kinds over HTTP, {refused:,} refusals as the model says"
    tell("P1", "P2", ran=ran, cases=done, operations=done, seeds=len(machines))
