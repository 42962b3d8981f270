"""Many clients, two servers, one database: every answer has its place in one order that the model explains."""

import asyncio
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.api.stories import Story, answer, pages
from tests.model.reference import SECOND
from tests.model.worlds import START
from tests.races.servers import ServerProcess, create_tenant, run_command, serving
from tests.rigs.figures import FORM, tell
from tests.rigs.history.checker import Anomaly, CustomerCheck, Told
from tests.rigs.history.clients import Clients, Op, Unanswered
from tests.rigs.history.world import CUSTOMERS, Shared, new_model, set_up


class Size(NamedTuple):
    rounds: int
    commands: int


# A round has customers of its own and three phases; between them the clock moves.
SIZES = {"ci": Size(1, 700), "short": Size(3, 2_000), "long": Size(20, 2_500)}
# Over a minute most holds end; after three days every block that may expire has expired.
MOVES_SECONDS = (0, 60, 3 * 86_400)


class History:
    """One round: an environment with its customers, their models, and what was answered."""

    def __init__(self, servers: list[ServerProcess], seed: str, told: Told) -> None:
        tenant = create_tenant(servers[0].data)
        self.servers = servers
        self.story = Story(servers[0].client(tenant.test_key), tenant)
        set_up(self.story)
        with ThreadPoolExecutor(8) as pool:
            self.shared = list(pool.map(self._create, range(CUSTOMERS)))
        self.clients = Clients([server.base_url for server in servers], tenant.test_key, self.shared, seed)
        self.now = START
        self.checks: dict[str, CustomerCheck] = {}
        for customer in self.shared:
            model = new_model(may_overdraw=customer.may_overdraw, now=START)
            self.checks[customer.id] = CustomerCheck(model, 0, told)

    def _create(self, number: int) -> Shared:
        customer = Shared(number, self.story.customer())
        if customer.may_overdraw:
            answer(self.story.api.patch(f"/v1/customers/{customer.id}", {"overage_policy": "allow"}))
        return customer

    def phase(self, number: int, commands: int) -> None:
        """Move the clock, let the clients run, read everything once more, and check all of it."""
        if MOVES_SECONDS[number]:
            self.story.advance(seconds=MOVES_SECONDS[number])
            self.now += MOVES_SECONDS[number] * SECOND
        for row in pages(self.story.api, "/v1/customers"):
            check = self.checks[row["customer_id"]]
            check.version = row["version"]
            check.model.advance_to(self.now)
        for customer in self.shared:
            customer.usages.clear()
        asyncio.run(self.clients.run(commands, now=self.now, phase=number))
        ops: dict[str, list[Op]] = defaultdict(list)
        for op in self.clients.ops:
            ops[op.customer].append(op)
        lost: dict[str, list[Unanswered]] = defaultdict(list)
        for cut in self.clients.lost:
            lost[cut.customer].append(cut)
        self.clients.ops, self.clients.lost = [], []
        for customer, check in self.checks.items():
            try:
                check.phase(ops[customer], lost[customer])
            except Anomaly as anomaly:
                raise AssertionError(f"customer {customer}: {anomaly}") from None


def test_every_answer_has_its_place_in_one_order(tmp_path: Path) -> None:
    size, told, sent = SIZES[FORM], Told(), Counter[str]()
    with serving(tmp_path, 2) as servers:
        for number in range(size.rounds):
            seed = f"history {number}"
            history = History(servers, seed, told)
            for phase in range(len(MOVES_SECONDS)):
                history.phase(phase, size.commands)
            sent.update(history.clients.told)
            sys.stderr.write(f"{seed}: {told.counts.total():,} answers explained\n")
        verified = run_command(servers[0].data, "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
    counts = told.counts
    assert min(counts[name] for name in ("changes", "reads", "checks", "refusals")) > 50
    assert min(sent[name] for name in ("cut and found done", "sent twice", "batches")) > 0
    ran = ", ".join(f"{count:,} {name}" for name, count in [*counts.items(), *sent.items()])
    tell("P3", ran=f"history of 32 clients on 2 servers: {ran}", cases=counts.total())
    stalest = f"{max(0.0, told.stalest_seconds) * 1_000:.0f} ms"
    tell("P33", ran=f"checks in that history, the stalest by {stalest}", cases=counts["checks"])
