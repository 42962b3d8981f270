"""What may survive, and why: ``survivors.toml``, in groups of one reason each."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from tests.rigs.mutation.mutants import Mutant

FILE = Path(__file__).with_name("survivors.toml")


class Group(NamedTuple):
    """Mutants that change nothing that anybody could see. Listed one by one, or known by a narrow pattern."""

    reason: str
    changes: frozenset[str]
    pattern: re.Pattern[str] | None

    def holds(self, mutant: Mutant) -> bool:
        told = describe(mutant)
        return told in self.changes or (self.pattern is not None and self.pattern.search(told) is not None)


def describe(mutant: Mutant) -> str:
    """The mutant without its number, which moves with every edit of its function."""
    return f"{mutant.module.rpartition('.')[2]}.{mutant.function}: {mutant.change}"


def read_groups() -> list[Group]:
    groups = tomllib.loads(FILE.read_text("utf-8")).get("group", [])
    return [
        Group(
            reason=group["reason"],
            changes=frozenset(group.get("changes", ())),
            pattern=re.compile(group["pattern"]) if "pattern" in group else None,
        )
        for group in groups
    ]


def reason_of(mutant: Mutant, groups: list[Group]) -> str | None:
    """Why the mutant may survive; None when it may not."""
    return next((group.reason for group in groups if group.holds(mutant)), None)
