"""The pictures of the documents are what their scripts draw: from the product's own arithmetic."""

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
SCRIPTS = sorted(DOCS.rglob("draw_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_picture_is_up_to_date(script: Path) -> None:
    drawn = runpy.run_path(str(script))
    assert drawn["PICTURE"].read_text("utf-8") == drawn["draw"](), (
        f"run python {script.relative_to(DOCS.parent)}"
    )
