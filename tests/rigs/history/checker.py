"""Checks one customer's history against the model of the spec, in the order of the versions that the answers carry.

Gapless: the successes have the versions from the first to the last, each once. Real time: what was answered before
another was sent has a lower version. Replay: in that order the model gives each answer exactly. A refusal, a check and
a read without a version must fit a state that the customer had between its sending and its answer.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from fractions import Fraction
from itertools import accumulate
from typing import Any

from tests.model.http_driver import facts_of, new_id_of
from tests.model.reference import Grey, Refused, Row
from tests.model.subscriptions import Subscriptions
from tests.model.worlds import CREATES, Command, attempt
from tests.rigs.history.clients import Op, Unanswered
from tests.rigs.history.world import READS, WORLD

BOUND_SECONDS = 0.1
# Ended holds, dead blocks and usages that clients may still name stay in the model; older ones are dropped.
KEPT = 300
DROPPED_EVERY = 100


class Anomaly(AssertionError):  # noqa: N818 - the word of the trade.
    """The history has no explanation."""


class Window:
    """A check, a read or a refusal, the versions between which it must find its state, and where it found one.

    ``before`` is the version of the first change that was sent after this was answered.
    """

    def __init__(self, op: Op, low: int, high: int, before: float) -> None:
        self.op = op
        self.low = low
        self.high = high
        self.before = before
        self.fits_at: int | None = None

    def __repr__(self) -> str:
        return f"versions {self.low} to {self.high} of {self.op}"


class Told:
    """What the checker saw in all histories."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.stalest_seconds = 0.0


class CustomerCheck:
    """One customer through the phases of a history."""

    def __init__(self, model: Subscriptions, version: int, told: Told) -> None:
        self.model = model
        self.version = version
        self.told = told
        self.steps = 0

    # -- a phase -----------------------------------------------------------------------------------

    def phase(self, ops: list[Op], lost: list[Unanswered]) -> None:
        """All of a phase's answers for this customer, in any order, and what may have been refused unheard."""
        self.lost = list(lost)
        changes = [op for op in ops if op.status < 300 and op.command.name not in READS]
        placed = [op for op in ops if op.status < 300 and op.version is not None]
        if len(placed) < len(changes) + sum(op.command.name == "account" for op in placed):
            raise Anomaly("a success without a version")
        require_real_time(placed)
        by_version = {op.version: op for op in changes}
        if len(by_version) != len(changes):
            raise Anomaly(f"two successes with one version: {_twins(changes)}")
        reads: dict[int, list[Op]] = defaultdict(list)
        for op in placed:
            if op.command.name == "account":
                reads[op.version or 0].append(op)
        windows = self._windows(ops, placed, changes)
        self._replay(by_version, reads, windows)

    def _windows(self, ops: list[Op], placed: list[Op], changes: list[Op]) -> list[Window]:
        """What must fit a state, by the lowest version that it may show."""
        self.acknowledged = Prefix((op.returned, op.version or 0) for op in placed)
        by_server = {
            server: Prefix((op.returned, op.version or 0) for op in placed if op.server == server)
            for server in {op.server for op in ops}
        }
        sent = Prefix((op.invoked, op.version or 0) for op in changes)
        sent_later = Prefix((-op.invoked, -(op.version or 0)) for op in changes)
        windows = []
        for op in ops:
            if op.status < 300 and op.version is not None:
                continue
            low = self.acknowledged.before(op.invoked)
            if op.command.name == "check" and op.status < 300:
                older = self.acknowledged.before(op.invoked - BOUND_SECONDS)
                low = max(by_server[op.server].before(op.invoked), older)
            low = max(low, self.version)
            before = -sent_later.before(-op.returned) or float("inf")
            windows.append(Window(op, low, max(low, sent.before(op.returned)), before))
        return sorted(windows, key=lambda window: window.low)

    def _replay(self, by_version: dict[Any, Op], reads: dict[int, list[Op]], windows: list[Window]) -> None:
        """Version after version: the change that has it, the reads of it, and what must fit between."""
        waiting = windows[::-1]
        open_now: list[Window] = []
        signals = [window for window in windows if window.op.status == 403 and "policy" in window.op.body]
        last = max([*by_version, *reads, self.version])
        while True:
            while waiting and waiting[-1].low <= self.version:
                open_now.append(waiting.pop())
            self._read(reads.pop(self.version, []))
            open_now = self._fit(open_now)
            if self.version >= last:
                break
            self.version += 1
            change = by_version.get(self.version)
            if change is None:
                self._silent(signals)
            else:
                self._apply(change)
        if waiting or open_now:
            raise Anomaly(f"no state explains {(waiting or open_now)[0]}")

    def _silent(self, signals: list[Window]) -> None:
        """A version that nobody was answered: that of a quota's refusal which sent its signal, heard or not."""
        able = [window for window in signals if window.low < self.version < window.before]
        for window in sorted(able, key=lambda window: window.before):
            if fits(self.model, window.op):
                self.told.counts["refusals that sent a signal"] += 1
                signals.remove(window)
                return
        for cut in self.lost:
            is_sent = self.acknowledged.before(cut.invoked) < self.version
            if is_sent and _is_refused_by_a_quota(self.model, cut.command):
                self.told.counts["refusals that sent a signal and were not heard"] += 1
                self.lost.remove(cut)
                return
        raise Anomaly(f"version {self.version} is missing: nobody was answered it")

    # -- answers -----------------------------------------------------------------------------------

    def _apply(self, op: Op) -> None:
        """One success on the model; its answer must be the model's."""
        name, arguments = op.command
        more = {"new_id": new_id_of(name, op.body)} if name in CREATES else {}
        try:
            facts = getattr(self.model, name)(**arguments, **more)
        except Refused as refusal:
            raise Anomaly(f"done, but the contract refuses with {refusal.slug}: {op}") from None
        except Grey as grey:
            raise Anomaly(f"the history has walked into a grey zone, {grey}: {op}") from None
        told = facts_of(name, op.body)
        for fact, value in facts.items():
            if value is not None and told.get(fact, value) != value:
                raise Anomaly(f"{fact} must be {value} and not {told[fact]}: {op}")
        self.told.counts["changes"] += 1
        self.steps += 1
        if self.steps % DROPPED_EVERY == 0:
            self._drop()

    def _read(self, reads: Iterable[Op]) -> None:
        for op in reads:
            unit = op.command.arguments["unit"]
            mine = account_of(self.model, unit)
            if told_account(op.body) != mine:
                raise Anomaly(f"at version {self.version} the account is {mine}: {op}")
            self.told.counts["reads"] += 1

    def _fit(self, windows: list[Window]) -> list[Window]:
        """Those that stay open. A cached check stays until its last version: it is as old as the newest that fits."""
        still = []
        for window in windows:
            if fits(self.model, window.op):
                window.fits_at = self.version
            is_over = window.high <= self.version
            if is_over and window.fits_at is None:
                mine = {unit: account_of(self.model, unit) for unit in sorted(self.model.units())}
                raise Anomaly(f"no state explains {window}, the last one least: {mine}")
            if window.fits_at is not None and (is_over or window.op.command.name != "check"):
                self._explained(window, window.fits_at)
            else:
                still.append(window)
        return still

    def _explained(self, window: Window, version: int) -> None:
        op = window.op
        if op.status >= 300:
            self.told.refusals[op.body["type"].rpartition("/")[2]] += 1
            self.told.counts["refusals"] += 1
            return
        self.told.counts["checks" if "check" in op.command.name else "reads"] += 1
        if op.command.name == "check":
            since = self.acknowledged.first_above(version)
            self.told.stalest_seconds = max(self.told.stalest_seconds, op.invoked - since)

    def _drop(self) -> None:
        """Forget what no command names any more, so that the model stays small."""
        model = self.model
        model.entries.clear()
        model.usages = model.usages[-KEPT:]
        ended = [hold["id"] for hold in model.holds if hold["status"] != "active"][:-KEPT]
        model.holds = [hold for hold in model.holds if hold["id"] not in set(ended)]
        paying = {block_id for event in model.usages for block_id, _ in event["draws"]}
        model.blocks = [
            block
            for block in model.blocks
            if block["status"] in {"active", "pending"} or block["id"] in paying
        ]


class Prefix:
    """The highest version among what happened before an instant."""

    def __init__(self, rows: Iterable[tuple[float, int]]) -> None:
        ordered = sorted(rows)
        self.at = [at for at, _ in ordered]
        self.highest = list(accumulate((version for _, version in ordered), max))

    def before(self, at: float) -> int:
        index = bisect_left(self.at, at)
        return self.highest[index - 1] if index else 0

    def first_above(self, version: int) -> float:
        """When something above that version was answered first."""
        index = bisect_right(self.highest, version)
        return self.at[index] if index < len(self.at) else float("inf")


def require_real_time(placed: list[Op]) -> None:
    """What was answered before another was sent stands before it; a read stands behind the change it shows."""

    def place(op: Op) -> int:
        return 2 * (op.version or 0) + (op.command.name in READS)

    soonest, witness = float("inf"), None
    behind: list[Op] = []
    previous = None
    for op in sorted(placed, key=place, reverse=True):
        if place(op) != previous:
            for other in behind:
                if other.returned < soonest:
                    soonest, witness = other.returned, other
            behind, previous = [], place(op)
        if soonest < op.invoked:
            raise Anomaly(f"answered before, and yet of a later version:\n{witness}\n{op}")
        behind.append(op)


def account_of(model: Subscriptions, unit: str) -> Row:
    """What an account must say."""
    return {
        "balance": model.balance(unit),
        "reserved_balance": model.reserved(unit),
        "effective_balance": model.effective(unit),
        "overdraft": model.overdraft.get(unit, 0),
        "blocks": [(block["id"], block["remaining"]) for block in model.live(unit)],
    }


def told_account(body: Row) -> Row:
    names = ("balance", "reserved_balance", "effective_balance", "overdraft")
    blocks = [(block["id"], block["remaining_amount"]) for block in body["blocks"]]
    return {name: body[name] for name in names} | {"blocks": blocks}


def fits(model: Subscriptions, op: Op) -> bool:
    """Whether the state explains a refusal, a check or a read without a version."""
    name, arguments = op.command
    if op.status >= 300:
        return _fits_refusal(model, op)
    if name == "asset":
        mine = model.asset(arguments["metric"])
        return all(op.body[field] == value for field, value in mine.items())
    if name == "hold":
        status = next((hold["status"] for hold in model.holds if hold["id"] == arguments["hold_id"]), None)
        return op.body["status"] == status
    return _fits_check(model, op)


def _fits_refusal(model: Subscriptions, op: Op) -> bool:
    name, arguments = op.command
    slug = op.body["type"].rpartition("/")[2]
    needs_effective = slug == "insufficient-credits" and name != "commit"
    if needs_effective and op.body["available"] != model.effective(_unit_of(op.command)):
        return False
    if name in {"commit", "release", "extend"} and not any(
        hold["id"] == arguments["hold_id"] for hold in model.holds
    ):
        return False
    if name == "reverse" and not any(event["id"] == arguments["usage_id"] for event in model.usages):
        return False
    try:
        _, expected = attempt(model, op.command, new_id="~refused")
    except Grey:
        return True
    return expected.refusal == slug


def _is_refused_by_a_quota(model: Subscriptions, command: Command) -> bool:
    try:
        _, expected = attempt(model, command, new_id="~lost")
    except Grey:
        return True
    return expected.refusal == "quota-exceeded"


def _unit_of(command: Command) -> str:
    arguments = command.arguments
    return arguments.get("unit") or WORLD.prices[arguments["metric"]][0]


def _fits_check(model: Subscriptions, op: Op) -> bool:
    body, metric = op.body, op.command.arguments["metric"]
    unit = WORLD.prices[metric][0]
    mine = (model.balance(unit), model.reserved(unit), model.effective(unit))
    if (body["balance"], body["reserved_balance"], body["effective_balance"]) != mine:
        return False
    arguments = {"metric": metric, "units": Fraction(op.command.arguments["units"]), "dry_run": True}
    try:
        _, expected = attempt(model, Command("use", arguments), new_id="~check")
    except Grey:
        return True
    if body["allowed"] != (expected.refusal is None):
        return False
    return expected.facts is None or body["estimated_cost"] == expected.facts["cost"]


def _twins(changes: list[Op]) -> list[Op]:
    counts = Counter(op.version for op in changes)
    return [op for op in changes if counts[op.version] > 1][:4]
