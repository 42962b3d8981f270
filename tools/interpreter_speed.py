"""Tells how fast this interpreter runs plain Python: prints microseconds and its path, for ``tools/choose_python``.

Fails where QuotaStack cannot be installed: not CPython 3.11 to 3.13, or without the means for a virtual environment.
"""

import ensurepip  # noqa: F401 - some systems leave it out, and a virtual environment needs it
import sys
import time

ROUNDS = 40
STEPS = 1_000


class Account:
    """Calls, attributes, dicts and tuples: what deciding a debit is made of."""

    __slots__ = ("balance", "blocks")

    def __init__(self, balance: int) -> None:
        self.balance = balance
        self.blocks: dict[str, int] = {}

    def spend(self, amount: int, *, unit: str) -> tuple[str, int, int]:
        """Take an amount."""
        self.blocks[unit] = amount
        self.balance = self._after(amount)
        return unit, amount, self.balance

    def _after(self, amount: int) -> int:
        return self.balance - amount


def work() -> int:
    """Do what is timed."""
    told = 0
    for step in range(STEPS):
        account = Account(step)
        entries = [account.spend(amount, unit="tokens") for amount in range(5)]
        told += len(f"{step}:{max(entries, key=lambda entry: entry[1])}")
    return told


def main() -> int:
    """Print the fastest of many rounds: whatever else the machine does, some round is undisturbed."""
    if sys.implementation.name != "cpython" or not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return 1
    fastest_seconds = float("inf")
    for _ in range(ROUNDS):
        began_at_seconds = time.perf_counter()
        work()
        fastest_seconds = min(fastest_seconds, time.perf_counter() - began_at_seconds)
    sys.stdout.write(f"{fastest_seconds * 1e6:.0f} {sys.executable}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
