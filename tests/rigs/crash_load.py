"""Callers that charge, exchange and hold while servers and databases fall, and the books that are held against them."""

import threading
import time
from collections import Counter, defaultdict
from random import Random
from typing import Any, NamedTuple

import httpx2
from tests.api.stories import Story
from tests.races.servers import Answer
from tests.rigs.fleet import Fleet, SteadyClient

CALLERS = 8
CUSTOMERS = 6
WALLET = 1_000_000_000
STUCK_SECONDS = 60.0
REPLAYED_SHARE = 0.1


class Act(NamedTuple):
    """One or two writes under one name, and what they do to the balance."""

    name: str
    delta: int
    second: str = ""


ACTS = (
    Act("usage", -1_000),
    Act("usage", -1_000),
    Act("exchange", 0),
    Act("grant", 500),
    Act("hold", -2_000, "commit"),
    Act("hold", 0, "release"),
)


class Done(NamedTuple):
    """An acknowledged write."""

    customer: str
    act: str
    delta: int
    content: bytes


class CrashLoad:
    """The callers on a fleet. Each repeats a write with its key until it is answered, as a client should."""

    def __init__(self, fleet: Fleet, *, seed: int = 1) -> None:
        self.fleet = fleet
        self.seed = seed
        self.api = SteadyClient(fleet, fleet.tenant.test_key)
        self.story = Story(self.api, fleet.tenant)
        self.story.priced("look", 1_000)
        self.customers = [self.story.wallet(WALLET) for _ in range(CUSTOMERS)]
        self.done: dict[str, Done] = {}
        self.faults: list[str] = []
        self.told: Counter[str] = Counter()
        self.slowest = 0.0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self.shapes: dict[str, Counter[str]] = {}

    def learn(self) -> None:
        """What each act leaves in the ledger where nothing falls: types of entries, by the word of the key."""
        caller = _Caller(self, 99)
        for number, act in enumerate(ACTS):
            caller.act(act, self.customers[0], f"calm:{number}")
        caller.close()
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for entry in self.story.ledger(self.customers[0]):
            if ":calm:" in (entry["idempotency_key"] or ""):
                found[entry["idempotency_key"]][entry["type"]] += 1
        for key, shape in found.items():
            word = key.partition(":")[0]
            assert self.shapes.setdefault(word, shape) == shape
        assert self.shapes.keys() == {"usage", "exchange", "grant", "hold", "commit", "release"}, self.shapes

    def start(self) -> None:
        self.stopping.clear()
        self.threads = [threading.Thread(target=_Caller(self, n).run) for n in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Let every caller come to the end of what it has begun."""
        self.stopping.set()
        for thread in self.threads:
            while thread.is_alive():
                self.fleet.revive()
                thread.join(0.05)

    def wait_for(self, more: int) -> None:
        """Until so many more writes are acknowledged."""
        goal = len(self.done) + more
        deadline = time.monotonic() + STUCK_SECONDS
        while len(self.done) < goal and time.monotonic() < deadline:
            self.fleet.revive()
            time.sleep(0.005)
        if len(self.done) < goal:
            self.fault(f"only {len(self.done)} of {goal} writes in {STUCK_SECONDS:.0f} s")

    def fault(self, what: str) -> None:
        with self.lock:
            self.faults.append(what)

    def compare(self) -> list[str]:
        """What the ledger and the acknowledged writes do not agree on."""
        found = list(self.faults)
        for customer in self.customers:
            seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
            for entry in self.story.ledger(customer):
                if entry["idempotency_key"] and not entry["idempotency_key"].startswith("story"):
                    seen[entry["idempotency_key"]][entry["type"]] += 1
            mine = {key: done for key, done in self.done.items() if done.customer == customer}
            known = {key: shape for key, shape in seen.items() if key.count(":") == 2}
            found += [f"lost: {key}" for key in mine.keys() - known.keys()]
            found += [f"never acknowledged: {key}" for key in known.keys() - mine.keys()]
            found += [
                f"not once: {key} left {dict(known[key])}"
                for key in mine.keys() & known.keys()
                if known[key] != self.shapes[key.partition(":")[0]]
            ]
            balance = WALLET + sum(done.delta for done in mine.values())
            account = self.story.account(customer)
            if account["balance"] != balance:
                found.append(f"{customer} has {account['balance']}, {balance} is right")
            if account["reserved_balance"]:
                found.append(f"{customer}: {account['reserved_balance']} still held")
        return found

    def close(self) -> None:
        self.stop()
        self.api.close()


class _Caller:
    def __init__(self, load: CrashLoad, number: int) -> None:
        self.load = load
        self.number = number
        self.chance = Random(load.seed * 1_000 + number)
        # Not the fleet's turn: every caller meets every fault.
        self.clients = [
            httpx2.Client(
                base_url=member.base_url, headers={"X-API-Key": load.fleet.tenant.test_key}, timeout=20
            )
            for member in load.fleet.members
        ]

    def run(self) -> None:
        count = 0
        try:
            while not self.load.stopping.is_set():
                count += 1
                customer = self.chance.choice(self.load.customers)
                self.act(self.chance.choice(ACTS), customer, f"{self.number}:{count}")
        except Exception as error:  # noqa: BLE001 - the thread's end must be told
            self.load.fault(f"a caller broke off: {error!r}")
        finally:
            self.close()

    def close(self) -> None:
        for client in self.clients:
            client.close()

    def act(self, act: Act, customer: str, name: str) -> None:
        name = name if name.count(":") == 1 else f"{self.number}:{name}"
        books = f"/v1/customers/{customer}/credits"
        usage = {"customer_id": customer, "billable_metric_key": "look"}
        exchange = {"debit_credits": 1_000, "grant": {"credits": 1_000, "priority": 5}}
        grant = {"credits": 500, "source": "promotional", "reason": "load"}
        hold = {
            "customer_id": customer,
            "billable_metric_key": "look",
            "estimated_units": 3,
            "ttl_seconds": 86_400,
        }
        path, body = {
            "usage": ("/v1/usage", usage),
            "exchange": (f"{books}/exchange", exchange),
            "grant": (f"{books}/grant", grant),
            "hold": ("/v1/reserve", hold),
        }[act.name]
        first = self.insist(path, body, f"{act.name}:{name}", act, customer)
        if first is None or not act.second:
            return
        path = f"/v1/reserve/{first.json['id']}/{act.second}"
        body = {"actual_units": 2} if act.second == "commit" else {}
        self.insist(path, body, f"{act.second}:{name}", act, customer)

    def insist(self, path: str, body: Any, key: str, act: Act, customer: str) -> Answer | None:
        """The answer of a write, however often it must be sent; None (and a fault) when it is refused."""
        deadline = time.monotonic() + STUCK_SECONDS
        tries = 0
        while time.monotonic() < deadline:
            tries += 1
            said = self.send(path, body, key)
            if said is None or said.status == 503:
                time.sleep(0.01 + 0.02 * self.chance.random())
                continue
            if not 200 <= said.status < 300:
                self.load.fault(f"{key}: {said.status} {said.json}")
                return None
            # The hold's own step leaves the balance alone.
            delta = 0 if act.second and key.startswith("hold") else act.delta
            with self.load.lock:
                self.load.done[key] = Done(customer, act.name, delta, said.content)
                self.load.told["at once" if tries == 1 else "repeated"] += 1
            self.replay(path, body, key, said)
            return said
        self.load.fault(f"stuck: {key}")
        return None

    def replay(self, path: str, body: Any, key: str, first: Answer) -> None:
        """Some are sent once more: the same bytes must come."""
        if self.chance.random() >= REPLAYED_SHARE:
            return
        said = self.send(path, body, key)
        if said is not None and said.status != 503:
            self.load.told["replayed"] += 1
            if said.content != first.content:
                self.load.fault(f"{key}: answered {first.content!r}, then {said.content!r}")

    def send(self, path: str, body: Any, key: str) -> Answer | None:
        client = self.chance.choice(self.clients)
        started = time.monotonic()
        try:
            response = client.post(path, json=body, headers={"Idempotency-Key": key})
        except httpx2.TimeoutException:
            self.load.fault(f"{key}: no answer in 20 s")
            return None
        except httpx2.HTTPError:
            return None
        seconds = time.monotonic() - started
        self.load.slowest = max(self.load.slowest, seconds)
        if response.status_code == 503 and "retry-after" not in response.headers:
            self.load.fault(f"{key}: 503 without Retry-After")
        return Answer(response.status_code, dict(response.headers), response.content)


def settled(load: CrashLoad) -> list[str]:
    """Stop the callers and compare; what a broken product refuses to show is a fault as well."""
    load.stop()
    try:
        return load.compare()
    except AssertionError as error:
        return [*load.faults, f"the books cannot be read: {error}"]
