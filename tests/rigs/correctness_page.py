"""docs/correctness.md out of docs/correctness.json: only what was measured stands in it."""

import json
from pathlib import Path
from typing import Any

HEAD = """\
# Correctness

What the proof rigs measured, printed by `make rigs` (`make rigs LONG=1` runs the long form). This page is generated:
every figure comes from the run named here.

| Run | |
|---|---|
| Form | {form} |
| Commit | `{commit}` |
| Began | {began_at} |
| Took | {seconds} s |
| Machine | {machine} |

"0 violations of n" bounds the rate of violations at 3/n with 95 % confidence (the rule of three). What is no random
trial has no bound: a matrix that is walked through once, the many answers during one fault, a test that passed.

| Promise | What ran | Cases | Violations | 95 % bound |
|---|---|---:|---:|---:|
"""
# Its survivors are mutants, not violations of a promise.
MUTANTS = "mutants of core"
PROMISES = {
    "P1": "the books add up",
    "P2": "nobody overspends",
    "P3": "one order explains every answer",
    "P4": "one effect per idempotency key",
    "P5": "nothing acknowledged is lost in a crash",
    "P6": "a crash at any named step leaves the whole effect or none",
    "P7": "an ambiguous COMMIT is settled by the key",
    "P8": "durable with the shipped settings",
    "P9": "a lost database is answered in time",
    "P10": "a full disk loses nothing",
    "P12": "no deadlocks",
    "P13": "a hold ends once",
    "P14": "boundaries to the microsecond",
    "P15": "each boundary applies once",
    "P16": "periods have no gap, overlap or drift",
    "P17": "tenants do not see each other",
    "P18": "nor do they when a condition is forgotten",
    "P19": "nor do test and live",
    "P20": "tampering shows",
    "P21": "no 5xx from any input",
    "P22": "each scope opens its operations only",
    "P25": "no secrets and no texts of customers in logs",
    "P26": "every event is delivered or visibly dead",
    "P27": "first deliveries in order",
    "P30": "no delivery to internal addresses",
    "P33": "cached checks within their bound",
    "P34": "upgrade under load",
    "P35": "a backup restores to a state whose books add up",
    "P36": "erasure takes the texts and keeps the books",
    "P37": "the tests notice mistakes",
}
# Their cases are listed, not drawn, or many of one event.
NO_TRIALS = {"P6", "P9", "P10", "P16", "P17", "P18", "P19", "P22", "P34", "P36"}
LIMITS = """
## Honest limits

- One PostgreSQL node. `kill -9` of processes is no power cut: that `fsync` reaches the disk is PostgreSQL's and the
  machine's promise.
- A full disk stops writes. Reads and checks go on while PostgreSQL's log has room: for as long as the log is on another
  disk, else until its file is full. Where the log has no room PostgreSQL stops, and everything is answered by 503. The
  embedded database comes back by itself as soon as a file of the log fits again.
- With asynchronous replication a failover can lose acknowledged writes.
- A bound speaks of the cases that the rig makes, not of all that can happen.
"""


def write_page(results: Path) -> None:
    """Write the page beside the results."""
    told = json.loads(results.read_text("utf-8"))
    lines = [HEAD.format(**told)]
    lines += [_row(row, figure) for row in told["rigs"] for figure in row["figures"] or [{}]]
    lines.append(f"\n{totals(told)}\n")
    lines += _again(told)
    found = sum(bool(row["found_by"]) for row in told["planted"])
    lines.append(
        f"\n## Planted bugs: {found} of {len(told['planted'])} found (P37)\n\n"
        "Each is planted by itself while a module is imported; the test named here is the first to fail.\n\n"
        "| Planted bug | Breaks | Found by |\n|---|---|---|\n"
    )
    lines += [
        f"| {row['bug']} | {', '.join(row['promises'])} | {_code(row['found_by'])} |\n"
        for row in told["planted"]
    ]
    lines.append(LIMITS)
    results.with_suffix(".md").write_text("".join(lines), "utf-8")


def _again(told: dict[str, Any]) -> list[str]:
    """Which rigs ran again after the run, each at its own commit: what they noticed was repaired meanwhile."""
    rows = [row for row in told["rigs"] if "commit" in row]
    if not rows:
        return []
    listed = [f"- {row['rig']}: commit `{row['commit']}`, {row['began_at']}\n" for row in rows]
    return [
        "\nThese were run again after a repair, of the product or of the rig, by themselves:\n\n",
        *listed,
    ]


def totals(told: dict[str, Any]) -> str:
    """What all rigs did together."""
    figures = [figure for row in told["rigs"] for figure in row["figures"]]
    sums = {name: sum(figure.get(name, 0) for figure in figures) for name in ("operations", "seeds", "kills")}
    violations = sum(
        figure["violations"] for row in told["rigs"] for figure in row["figures"] if row["rig"] != MUTANTS
    )
    failed = sum(row["failed"] for row in told["rigs"])
    return (
        f"Together: {sums['operations']:,} operations against the model over {sums['seeds']:,} seeds; "
        f"{sums['kills']:,} processes killed; {failed} tests failed; {violations} violations."
    )


def _code(test: str | None) -> str:
    if test is None:
        return "**not found**"
    return f"`{test}`" if "::" in test else test


def promises_of(row: dict[str, Any], figure: dict[str, Any]) -> list[str]:
    """What a figure speaks of; the rig's own promises where it runs tests that were made for others."""
    told = figure.get("promises", [])
    return told if set(told) & set(row["promises"]) else row["promises"]


def bound_of(promises: list[str], figure: dict[str, Any]) -> float | None:
    """The 95 % bound, where the cases were trials and none went wrong."""
    if not figure.get("cases") or figure["violations"] or NO_TRIALS & set(promises):
        return None
    return 3 / figure["cases"]


def _row(row: dict[str, Any], figure: dict[str, Any]) -> str:
    promises = promises_of(row, figure)
    names = "; ".join(f"{name} {PROMISES.get(name, '')}".strip() for name in promises)
    cases, wrong = f"{row['tests']} tests", row["failed"]
    ran = row["rig"]
    if figure:
        ran = f"{ran}: {figure['ran']}"
        cases, wrong = f"{figure['cases']:,}", figure["violations"]
    bound = bound_of(promises, figure)
    shown = "" if bound is None else f"{min(bound, 1):.1e}"
    return f"| {names} | {ran.replace('|', '/')} | {cases} | {wrong} | {shown} |\n"
