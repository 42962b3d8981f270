# noqa: INP001 - a script beside the page that it writes
"""Writes event-catalog.md from the schemas in core/events.py: ``python docs/reference/write_event_catalog.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from quotastack.core.events import EVENT_TYPES, EventType, data_schema

PAGE: Final = Path(__file__).with_name("event-catalog.md")

HEADER: Final = """\
# Event catalog

Every type of event, with the fields of its `data` and an example. The envelope around it, signatures and order are
told in [Webhooks](/docs/concepts/webhooks); `GET /v1/webhooks/event-types` serves this page as JSON Schema. Amounts are
millicredits; units are integers, or decimal strings where the metric has decimals. A field that does not apply is
left out.
"""


def render() -> str:
    """The page."""
    parts = [HEADER]
    groups = dict.fromkeys(known.group for known in EVENT_TYPES.values())
    for group in groups:
        parts.append(f"## {group}\n")
        parts += [_render_type(known) for known in EVENT_TYPES.values() if known.group == group]
    return "\n".join(parts)


def _render_type(known: EventType) -> str:
    off = "" if known.is_default else " Off by default: written only where an endpoint names it exactly."
    schema = data_schema(known)
    required = set(schema.get("required", ()))
    rows = [
        f"| `{name}` | {_kind(field)} | {'yes' if name in required else 'no'} | {field.get('description', '')} |"
        for name, field in schema["properties"].items()
    ]
    table = "\n".join(["| Field | Type | Always | |", "|---|---|---|---|", *rows])
    example = json.dumps(known.example, indent=2)
    return f"### {known.type}\n\n{known.description}{off}\n\n{table}\n\n```json\n{example}\n```\n"


def _kind(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_kind(option) for option in field["anyOf"])
    if field.get("type") == "array":
        return f"array of {_kind(field['items'])}"
    return str(field.get("format") or field.get("type") or "any")


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
