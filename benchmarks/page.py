"""Writes the measured part of docs/performance.md, its JSON and its chart out of benchmarks/results.

    python benchmarks/page.py

The prose around the two marks stays as it is; a result that was not measured again stays as it was.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results"
JSON: Final = ROOT / "docs" / "performance.json"
CHART: Final = ROOT / "docs" / "performance.svg"
PAGE: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- measured: written by benchmarks/page.py -->"
END: Final = "<!-- end of what was measured -->"

SOURCES: Final = {"bench": "latest.json", "growth": "growth.json", "degradation": "degradation.json"}
# Rows of throughput, with what was measured for them and for their floor.
BOUNDED: Final = {
    "usage, 32 connections": ("usage 32", "floor 32"),
    "usage, 128 connections": ("usage 128", "floor 32"),
    "usage, 128 connections, beyond": ("usage 128", "floor call"),
    "usage, hot customer, 128": ("hot 128", "floor hot"),
    "usage batch of 500 (events)": ("batch", "floor array"),
    "reserve + commit, 32 (pairs)": ("pairs 32", "usage 32"),
    "1,000 environments, 32": ("environments", "usage 32b"),
}
BAR_WIDTH: Final = 360
LEFT: Final = 270
LINE: Final = 26
SHARE_MAX: Final = 2.0


def gather() -> dict[str, Any]:
    """The newest result of each kind."""
    told: dict[str, Any] = json.loads(JSON.read_text("utf-8")) if JSON.exists() else {}
    for name, file in SOURCES.items():
        if (RESULTS / file).exists():
            told[name] = json.loads((RESULTS / file).read_text("utf-8"))
    return told


def share_of_goal(line: dict[str, Any]) -> float:
    """How much of the goal a row reaches; 1 meets it."""
    return line["goal"] / line["ratio"] if line["lower_is_better"] else line["ratio"] / line["goal"]


def draw(told: dict[str, Any]) -> str:
    """Each row of the goal table as a bar: its share of the goal, which is the line."""
    lines = [line for line in told["bench"]["rows"] if line["goal"] is not None]
    height = LINE * len(lines) + 50
    width = LEFT + BAR_WIDTH + 90
    scale = BAR_WIDTH / SHARE_MAX
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    font = 'font-family="system-ui, sans-serif" font-size="13"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {font}>',
        "<title>What was measured as a share of its goal</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, line in enumerate(lines):
        share = share_of_goal(line)
        y = 12 + LINE * number
        color = "#2f7d4f" if line["met"] else "#b3542c"
        length = scale * min(share, SHARE_MAX)
        parts += [
            f'<text x="{LEFT - 10}" y="{y + 14}" text-anchor="end" fill="#222222">{escape(line["row"])}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{LINE - 8}" fill="{color}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 14}" fill="#222222">{show_ratio(line)}</text>',
        ]
    bottom = 12 + LINE * len(lines)
    x = LEFT + scale
    parts += [
        f'<line x1="{x}" y1="6" x2="{x}" y2="{bottom}" stroke="#222222" stroke-dasharray="4 3"/>',
        f'<text x="{x}" y="{bottom + 18}" text-anchor="middle" fill="#222222">goal</text>',
        f'<text x="{LEFT}" y="{bottom + 34}" fill="#555555">to the right of the line: better than the goal</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def show_ratio(line: dict[str, Any]) -> str:
    """A ratio with its unit."""
    return f"{line['ratio']:.2f} {line['unit']}"


def describe(result: dict[str, Any]) -> str:
    """Of which commit, when, on what."""
    machine = result["machine"]
    cores = f"{machine['cores']} shared cores, {machine['memory_gib']} GiB, Python {machine['python']}"
    busy = f"load average {result['load_average']:.1f} at its end"
    return f"Commit {result['commit']}, {result['date'][:10]}, {machine['processor']}, {cores}, {busy}."


def bench_part(bench: dict[str, Any]) -> list[str]:
    """The goal table, the figures behind it."""
    lines = [
        describe(bench)
        + f" Medians of {bench['rounds']} round(s) of {bench['seconds_each']} s for each row, one server process unless"
        " said otherwise; the load generator and PostgreSQL on the same cores.",
        "",
        "![Each row as a share of its goal](performance.svg)",
        "",
        "| Row | Floor | Ratio | Goal | |",
        "|---|---|---:|---:|---|",
    ]
    for row in bench["rows"]:
        sign = "<=" if row["lower_is_better"] else ">="
        goal = "" if row["goal"] is None else f"{sign} {row['goal']}"
        said = {None: "printed", True: "met", False: "missed"}[row["met"]]
        lines.append(f"| {row['row']} | {row['floor']} | {show_ratio(row)} | {goal} | {said} |")
    lines += [
        "",
        "Processor time in microseconds for each operation; a batch is what one transaction of the engine held.",
        "",
        "| Measured | a second | p50 ms | p95 ms | p99 ms | server | database | load | batch | errors |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in bench["measurements"].items():
        batch = f"{row['batch']:.1f}" if row["batch"] else ""
        times = " | ".join(f"{row[part] / 1000:.2f}" for part in ("p50_us", "p95_us", "p99_us"))
        spent = " | ".join(f"{row[part]:.0f}" for part in ("server_us", "database_us", "load_us"))
        lines.append(f"| {name} | {row['per_second']:,.0f} | {times} | {spent} | {batch} | {row['errors']} |")
    return lines + bounds_part(bench)


def bounds_part(bench: dict[str, Any]) -> list[str]:
    """What each row of throughput would be if nobody ever waited: at the cost of an operation that was measured."""
    lines = [
        "",
        "What those costs allow: the ratio if the process that serves never waited (its core full), or nobody (all).",
        "",
        "| Row | Goal | Measured | The server's core full | All cores full |",
        "|---|---:|---:|---:|---:|",
    ]
    rows = {row["row"]: row for row in bench["rows"]}
    cores: int = bench["machine"]["cores"]
    for name, (measured, floor) in BOUNDED.items():
        cost = bench["measurements"][measured]
        floor_per_second: float = bench["measurements"][floor]["per_second"]
        everything_us = cost["server_us"] + cost["database_us"] + cost["load_us"]
        alone, together = (
            1e6 * count / max(1.0, spent_us) / floor_per_second
            for count, spent_us in ((1, cost["server_us"]), (cores, everything_us))
        )
        row = rows[name]
        lines.append(f"| {name} | {row['goal']} | {row['ratio']:.2f} x | {alone:.2f} x | {together:.2f} x |")
    return lines


def growth_part(growth: dict[str, Any]) -> list[str]:
    """Costs as everything grows."""
    lines = [
        "",
        "## Growth",
        "",
        describe(growth) + f" {growth['customers']:,} customers and {growth['ledger_rows']:,} ledger rows.",
        "",
        "| Cost on cached customers (us of server + database) | little | much | Ratio | Goal <= 1.3 |",
        "|---|---:|---:|---:|---|",
    ]
    others: list[str] = []
    for name, figure in growth["figures"].items():
        if "small_server_us" in figure:
            costs = [
                (figure[f"{size}_server_us"], figure[f"{size}_database_us"]) for size in ("small", "large")
            ]
            small, large = (f"{server:.0f} + {database:.0f}" for server, database in costs)
            said = "met" if figure["met"] else "missed"
            lines.append(f"| {name} | {small} | {large} | {figure['ratio']:.2f} x | {said} |")
        else:
            values = (
                f"{key.replace('_', ' ')} {value:,.2f}"
                if isinstance(value, float)
                else f"{key.replace('_', ' ')} {value:,}"
                for key, value in figure.items()
            )
            others.append(f"| {name} | {', '.join(values)} |")
    return [*lines, "", "| Measured | |", "|---|---|", *others]


def degradation_part(result: dict[str, Any]) -> list[str]:
    """What happens beyond the top."""
    lines = [
        "",
        "## Twice the top load",
        "",
        describe(result)
        + " Requests come whatever becomes of them; checks on connections of their own. The raw"
        " ASGI application is a process of its own that nobody else asks: what it waits, the machine makes it wait.",
        "",
        "| Load | offered/s | taken | refused | p99 ms | of 503 | checks p50 ms | p99 ms | raw p50 ms | p99 ms |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in ("top", "overload", "after"):
        run = result[name]
        late = [run["latency_ms"].get(status, {}).get("p99", "") for status in ("201", "503")]
        lines.append(
            f"| {name} | {run['offered_per_second']:,.0f} | {run['taken_per_second']:,.0f} |"
            f" {run['refused_per_second']:,.0f} | {late[0]} | {late[1]} | {run['checks']['p50_ms']:.2f} |"
            f" {run['checks']['p99_ms']:.2f} | {run['hello']['p50_ms']:.2f} | {run['hello']['p99_ms']:.2f} |"
        )
    most = ", ".join(f"`{name}` {value:,.0f}" for name, value in result["overload"]["most"].items())
    lines += ["", f"Most seen in /metrics under overload: {most}.", ""]
    lines += [
        f"- {what}: {'holds' if holds else 'does not hold'}" for what, holds in result["judged"].items()
    ]
    return lines


def main() -> int:
    """Write JSON, chart and page."""
    told = gather()
    if "bench" not in told:
        print("nothing was measured: run make bench first", file=sys.stderr)
        return 1
    lines = bench_part(told["bench"])
    for name, part in (("growth", growth_part), ("degradation", degradation_part)):
        if name in told:
            lines += part(told[name])
    page = PAGE.read_text("utf-8")
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        print(f"{PAGE} has no place for what was measured: {BEGIN} ... {END}", file=sys.stderr)
        return 1
    measured = "\n".join(["", "", *lines, "", ""])
    PAGE.write_text(head + begin + measured + end + tail, "utf-8")
    CHART.write_text(draw(told), "utf-8")
    JSON.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
