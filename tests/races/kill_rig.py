"""Kill the server or its PostgreSQL under load, again and again, and count what was acknowledged."""

import os
import signal
import threading
from collections import Counter
from pathlib import Path
from random import Random

import httpx2
from tests.api.stories import Story, answer
from tests.races.servers import Client, ServerProcess, create_tenant, run_command, stop_database, wait_until
from tests.rigs.figures import tell

CALLERS = 8
CUSTOMERS = 4
WALLET = 1_000_000_000
EXCHANGE = {"debit_credits": 1_000, "grant": {"credits": 1_000, "priority": 5}}


class Load:
    """Callers that charge and exchange with a fresh key each, and remember what was acknowledged."""

    def __init__(self, customers: list[str]) -> None:
        self.customers = customers
        self.acknowledged: set[str] = set()
        self.unknown: dict[str, str] = {}
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self.unexpected: list[str] = []

    def run(self, server: ServerProcess, key: str, *, until: int, then: object, run: int) -> None:
        """Load the server until so many answers came, do ``then``, and let every caller come to its end."""
        self.stopping.clear()
        goal = len(self.acknowledged) + until
        callers = [
            threading.Thread(target=self._call, args=(server, key, run, number)) for number in range(CALLERS)
        ]
        for caller in callers:
            caller.start()
        with self.changed:
            reached = self.changed.wait_for(
                lambda: len(self.acknowledged) >= goal or bool(self.unexpected), 60
            )
        assert reached, f"{len(self.acknowledged)} answers of {goal}"
        then()  # type: ignore[operator]
        self.stopping.set()
        for caller in callers:
            caller.join(60)
            assert not caller.is_alive(), "a caller hangs"
        assert not self.unexpected, self.unexpected[:5]

    def _call(self, server: ServerProcess, key: str, run: int, number: int) -> None:
        client = Client(server.base_url, key)
        count = 0
        while not self.stopping.is_set():
            count += 1
            self._one(client, f"{run}:{number}:{count}", count + number)
        client.close()

    def _one(self, client: Client, key: str, turn: int) -> None:
        customer = self.customers[turn % CUSTOMERS]
        try:
            response = send(client, customer, key, is_exchange=turn % 5 == 0)
        except httpx2.HTTPError:
            with self.changed:
                self.unknown[key] = customer
            return
        with self.changed:
            if response.status == 201:
                self.acknowledged.add(key)
                self.changed.notify_all()
            elif response.status == 503:
                self.unknown[key] = customer
            else:
                self.unexpected.append(f"{response.status} {response.json}")
                self.changed.notify_all()


def send(client: Client, customer: str, key: str, *, is_exchange: bool) -> object:
    if is_exchange:
        return client.post(f"/v1/customers/{customer}/credits/exchange", EXCHANGE, key=f"exchange:{key}")
    body = {"customer_id": customer, "billable_metric_key": "look"}
    return client.post("/v1/usage", body, key=f"usage:{key}")


def survive(folder: Path, *, server_kills: int, database_kills: int, seed: int = 7) -> Counter[str]:
    """Kill both in a random order; after each restart every acknowledged debit stands in the ledger once."""
    random = Random(seed)
    data = folder / "data"
    victims = ["server"] * server_kills + ["database"] * database_kills
    random.shuffle(victims)
    told: Counter[str] = Counter()
    server = ServerProcess(data).start()
    try:
        tenant = create_tenant(data)
        story = Story(server.client(tenant.test_key), tenant)
        story.priced("look", 1_000)
        load = Load([story.wallet(WALLET) for _ in range(CUSTOMERS)])
        for run, victim in enumerate(victims):
            load.run(
                server, tenant.test_key, until=random.randint(20, 120), then=killer(server, victim), run=run
            )
            server.kill() if victim == "database" else None
            server = ServerProcess(data).start()
            story = Story(server.client(tenant.test_key), tenant)
            settle_unknown(story, load, told)
            told[victim] += 1
        told["acknowledged"] = len(load.acknowledged)
        assert_books(story, load)
        verified = run_command(data, "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
    finally:
        server.stop()
        stop_database(data)
    kills = server_kills + database_kills
    ran = f"{server_kills} kills of the server and {database_kills} of PostgreSQL, {told['acknowledged']} acknowledged"
    tell("P5", "P8", ran=ran, cases=kills)
    return told


def killer(server: ServerProcess, victim: str) -> object:
    def kill() -> None:
        if victim == "server":
            server.kill()
            return
        postmaster = server.postmaster_pid()
        os.kill(postmaster, signal.SIGKILL)
        wait_until(lambda: not _is_alive(postmaster), "the postmaster is gone")

    return kill


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def settle_unknown(story: Story, load: Load, told: Counter[str]) -> None:
    """Repeat with the same key what was never answered: a replay, or the first effect; never a second one."""
    for key, customer in list(load.unknown.items()):
        run, number, count = map(int, key.split(":"))
        del run
        response = send(story.api, customer, key, is_exchange=(count + number) % 5 == 0)
        answer(response, 201)
        replayed = response.headers.get("x-idempotent-replayed") == "true"  # type: ignore[attr-defined]
        told["had happened" if replayed else "had not happened"] += 1
        load.acknowledged.add(key)
        del load.unknown[key]


def assert_books(story: Story, load: Load) -> None:
    """Every acknowledged key has its effect once, and nothing else is in the ledger."""
    found: Counter[str] = Counter()
    for customer in load.customers:
        entries = story.ledger(customer)
        kinds = Counter(entry["type"] for entry in entries)
        assert kinds["grant"] == kinds["exchange"] + 1, "both legs of an exchange, or neither"
        found.update(entry["idempotency_key"] for entry in entries if entry["type"] in {"usage", "exchange"})
        assert story.balance(customer) == WALLET - 1_000 * kinds["usage"]
        story.verify(customer)
    expected = {key.partition(":")[2] for key in found}
    assert set(found.values()) == {1}, [key for key, count in found.items() if count > 1]
    assert load.acknowledged - expected == set(), "acknowledged and lost"
    assert expected - load.acknowledged == set(), "in the ledger without ever having been asked for"
