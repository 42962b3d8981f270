"""What a rig measured: one line of JSON for each figure, collected by ``make rigs``."""

import json
import os
import sys
from pathlib import Path
from typing import Any

FILE = "RIG_FIGURES"
IS_LONG = os.environ.get("LONG") == "1"
# ci, short or long: how much a rig does.
FORM_NAME = "RIG_FORM"
FORM = os.environ.get(FORM_NAME) or ("long" if IS_LONG else "short")


def tell(*promises: str, ran: str, cases: int, violations: int = 0, **more: Any) -> None:
    """Note what ran for some promises, over how many cases, and in how many of them a promise was broken."""
    row = {"promises": promises, "ran": ran, "cases": cases, "violations": violations, **more}
    line = json.dumps(row, ensure_ascii=False)
    sys.stderr.write(f"\n{line}\n")
    file = os.environ.get(FILE)
    if file:
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")
