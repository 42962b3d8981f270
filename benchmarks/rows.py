"""The rows of the goal table: what is compared with which floor, and how much of it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from load import Result

Results = Mapping[str, Result]

CHECK_P99_MS: Final = 1.0


class Row(NamedTuple):
    """A line of the table. ``goal`` None: printed only."""

    name: str
    floor: str
    goal: float | None
    measure: Callable[[Results], float]
    is_lower_better: bool = False
    unit: str = "x"


def per_second(row: str, floor: str, *, units: float = 1.0) -> Callable[[Results], float]:
    """The row's throughput (``units`` things for each request) over the floor's."""
    return lambda results: results[row].per_second * units / results[floor].per_second


ROWS: Final = (
    Row("usage, 32 connections", "pgbench 8 statements, 32", 1.5, per_second("usage 32", "floor 32")),
    Row("usage, 128 connections", "pgbench 8 statements, 32", 2.0, per_second("usage 128", "floor 32")),
    Row("usage, 128 connections, beyond", "pgbench PL/pgSQL, 32", 1.0, per_second("usage 128", "floor call")),
    Row("usage, hot customer, 128", "pgbench 8 statements, hot, 32", 8.0, per_second("hot 128", "floor hot")),
    Row(
        "usage, 1 connection, p50", "pgbench 8 statements, 1, p50", 1.5,
        lambda results: results["usage 1"].p50_us / max(1, results["floor 1"].p50_us), is_lower_better=True,
    ),
    Row("usage batch of 500 (events)", "array function, one backend", 0.5, per_second("batch", "floor array")),
    Row("check, cached, 32", "raw ASGI, 32", 0.7, per_second("check 32", "hello 32")),
    Row(
        "check, half of the top load, p99", "(milliseconds)", CHECK_P99_MS,
        lambda results: results["check half"].p99_us / 1_000, is_lower_better=True, unit="ms",
    ),
    Row(
        "raw ASGI asked at that pace, p99", "(milliseconds)", None,
        lambda results: results["hello half"].p99_us / 1_000, is_lower_better=True, unit="ms",
    ),
    Row(
        "reserve + commit, 32 (pairs)", "half of usage, 32", 0.9,
        lambda r: (r["pairs 32"].per_second / 2) / (r["usage 32"].per_second / 2),
    ),
    Row("1,000 environments, 32", "one environment, 32", 0.7, per_second("environments", "usage 32b")),
    Row("cost of tiers, quota, counters", "usage, 32", 1.3, per_second("usage 32b", "tiered 32"), is_lower_better=True),
    Row("cost of telling each event", "usage, 32", None, per_second("usage 32b", "usage told"), is_lower_better=True),
    Row("two server processes, usage, 128", "one process", None, per_second("two usage", "usage 128")),
    Row("two server processes, check, 32", "one process", None, per_second("two check", "check 32")),
)  # fmt: skip


def judge(results: Results) -> list[dict[str, Any]]:
    """Each row with its ratio, and whether it meets its goal (None where there is none)."""
    lines: list[dict[str, Any]] = []
    for row in ROWS:
        ratio = row.measure(results)
        is_met = None
        if row.goal is not None:
            is_met = ratio <= row.goal if row.is_lower_better else ratio >= row.goal
        lines.append(
            {
                "row": row.name,
                "floor": row.floor,
                "ratio": ratio,
                "goal": row.goal,
                "lower_is_better": row.is_lower_better,
                "unit": row.unit,
                "met": is_met,
            }
        )
    return lines


def show(lines: list[dict[str, Any]]) -> None:
    """The table, for a reader of the terminal."""
    print(f"\n{'row':<34}{'floor':<32}{'ratio':>9}{'goal':>8}")
    for line in lines:
        sign = "<=" if line["lower_is_better"] else ">="
        goal = "" if line["goal"] is None else f"{sign} {line['goal']}"
        said = {None: "", True: "met", False: "missed"}[line["met"]]
        print(f"{line['row']:<34}{line['floor']:<32}{line['ratio']:>7.2f} {line['unit']:<2}{goal:>7}  {said}")
