"""The examples of the concept pages run as they stand: each http block, and what the json block after it shows."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.api.stories import Story

FOLDER = Path(__file__).parents[2] / "docs" / "concepts"
PAGES = sorted(page.stem for page in FOLDER.glob("*.md") if "```http" in page.read_text("utf-8"))
BLOCK = re.compile(r"```(http|json)\n(.*?)```", re.DOTALL)

# What an example makes can be named by the ones after it.
NAMES = {
    "/v1/plans": "plan_id",
    "/v1/plans/{plan_id}/variants": "variant_id",
    "/v1/subscriptions": "subscription_id",
}


def filled(text: str, known: dict[str, str]) -> str:
    """The text with the names of known ids replaced."""
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def shows(told: Any, shown: Any) -> bool:
    """Whether everything that is shown stands in what was told; lists are compared place by place."""
    if isinstance(shown, dict):
        return isinstance(told, dict) and all(shows(told.get(name), value) for name, value in shown.items())
    if isinstance(shown, list):
        return isinstance(told, list) and len(told) == len(shown) and all(map(shows, told, shown))
    return told == shown


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of(page: str, story: Story) -> None:
    told: Any = None
    known = {"tenant_id": story.tenant.tenant_id}
    for kind, text in BLOCK.findall((FOLDER / f"{page}.md").read_text("utf-8")):
        if kind == "json":
            assert shows(told, json.loads(text)), (text, told)
            continue
        head, _, body = text.partition("\n\n")
        request, *headers = head.strip().splitlines()
        verb, path = request.split(" ", 1)
        response = story.api.http.request(
            verb,
            filled(path, known),
            content=filled(body.strip(), known) or None,
            headers={"Content-Type": "application/json", **dict(line.split(": ", 1) for line in headers)},
        )
        assert response.status_code < 300, (request, response.text)
        told = response.json() if response.content else None
        if verb == "POST" and path in NAMES:
            known[NAMES[path]] = told["id"]
