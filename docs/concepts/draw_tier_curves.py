"""Draws tier-curves.svg: what the price list of metering.md costs, priced by the product's own arithmetic.

Run it after a change of the price list: ``python docs/concepts/draw_tier_curves.py``. A test holds the
picture to what this draws.
"""  # noqa: INP001 - a script beside the page that shows its picture.

from datetime import UTC, datetime
from pathlib import Path

from quotastack.core.catalog import MeteringRule, PriceTier
from quotastack.core.pricing import price_usage

PICTURE = Path(__file__).with_name("tier-curves.svg")
TIERS = (
    PriceTier(up_to=10_000, unit_cost=10),
    PriceTier(up_to=100_000, unit_cost=8),
    PriceTier(up_to=None, unit_cost=5),
)
UNITS_MAX = 150_000
COST_MAX = 1_200_000
STEP = 1_000
LEFT, TOP, WIDTH, HEIGHT = 78, 16, 560, 300


def rule_of(mode: str) -> MeteringRule:
    """The price list in one of the two modes; each curve is the cost of a single event."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return MeteringRule(
        id=mode,
        billable_metric_key="api_call",
        cost_type="tiered",
        tiers=TIERS,
        tier_mode=mode,
        tier_scope="event",
        active_from=at,
        created_at=at,
    )


def place(units: int, cost_mc: int) -> str:
    """A point of the picture."""
    across = LEFT + units * WIDTH // UNITS_MAX
    down = TOP + HEIGHT - cost_mc * HEIGHT // COST_MAX
    return f"{across},{down}"


def curve(mode: str, color: str) -> str:
    """One line: at a tier's bound its last unit and the next one are both drawn."""
    marks = {tier.up_to for tier in TIERS if tier.up_to is not None}
    units = sorted({*range(0, UNITS_MAX + 1, STEP), *marks, *(mark + 1 for mark in marks)})
    rule = rule_of(mode)
    points = " ".join(place(n, price_usage(rule, units=n, before=0, scale=0)) for n in units)
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>'


def label(
    units: int, cost_mc: int, text: str, *, anchor: str = "middle", move: tuple[int, int] = (0, 0)
) -> str:
    """A text at a point, moved by some pixels."""
    across, down = (int(part) for part in place(units, cost_mc).split(","))
    return f'<text x="{across + move[0]}" y="{down + move[1]}" text-anchor="{anchor}">{text}</text>'


def draw() -> str:
    """The picture."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 364" width="660" height="364" role="img">',
        "<title>Cost of one event under graduated and volume tiers</title>",
        "<style>text{font:12px system-ui,sans-serif;fill:#334155}</style>",
        '<rect width="660" height="364" fill="#ffffff"/>',
    ]
    for cost_mc in range(0, COST_MAX + 1, 200_000):
        start, end = place(0, cost_mc), place(UNITS_MAX, cost_mc)
        (x1, y1), (x2, y2) = start.split(","), end.split(",")
        parts += [
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#e2e8f0"/>',
            label(0, cost_mc, f"{cost_mc:,}", anchor="end", move=(-8, 4)),
        ]
    for tier in TIERS[:-1]:
        assert tier.up_to is not None
        (x1, y1), (x2, y2) = place(tier.up_to, 0).split(","), place(tier.up_to, COST_MAX).split(",")
        parts.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#94a3b8" stroke-dasharray="4 4"/>'
        )
    parts += [label(units, 0, f"{units:,}", move=(0, 18)) for units in (10_000, 50_000, 100_000, 150_000)]
    parts += [
        label(UNITS_MAX // 2, 0, "units of one event", move=(0, 38)),
        curve("graduated", "#2563eb"),
        curve("volume", "#d97706"),
        label(60_000, 640_000, "graduated", anchor="end", move=(-8, 0)),
        label(135_000, 560_000, "volume", anchor="start", move=(0, 4)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
