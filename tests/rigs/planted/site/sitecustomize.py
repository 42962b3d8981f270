"""Runs at the start of every Python that has this folder on its PYTHONPATH: plants what is switched on."""

import importlib.util
import sys
from pathlib import Path


def _load(name):  # noqa: ANN001, ANN202 - imported before anything that could check it
    spec = importlib.util.spec_from_file_location(f"planted_{name}", Path(__file__).parents[1] / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_load("rewriting").install(_load("bugs").BUGS)
