"""Runs at the start of every Python that has this folder on its PYTHONPATH: lets it fall where it is told to."""

import importlib.util
import os
import runpy
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).parents[1]


def _load(name):  # noqa: ANN001, ANN202 - imported before anything that could check it
    spec = importlib.util.spec_from_file_location(f"failpoints_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


if os.environ.get("PLANTED_BUGS"):
    # Of two such files Python runs the first only.
    runpy.run_path(str(HERE.parent / "planted" / "site" / "sitecustomize.py"))
try:
    _load("hooks").install(_load("points"))
except BaseException:  # noqa: BLE001 - whatever it is
    # Python would go on without: a run in which nothing can fall must not look like one that survived.
    traceback.print_exc()
    os._exit(70)
