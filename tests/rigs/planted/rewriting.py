"""Rewrites modules of the product as they are imported: planted bugs, and SQL without its environment conditions.

Switched on by the environment variable ``PLANTED_BUGS`` (names, parted by semicolons) in every process
that has ``planted/site`` on its PYTHONPATH: the tests' own and the servers that they start. The files stay as they
are. A patch whose text is no longer there stops the process: a bug that is not planted must not count as found.
"""

import importlib.abc
import importlib.machinery
import os
import re
import sys
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

SWITCH = "PLANTED_BUGS"
WITHOUT_CONDITIONS = "sql-without-environment"

# How store/*.py names the transaction's environment in a condition.
_alias = r"(?:\b[a-z]\w*\.)?"
_joined = re.compile(rf"{_alias}environment_id = [a-z]\w*\.environment_id")
_set = re.compile(rf"{_alias}environment_id = current_setting\('quotastack\.environment_id'\)::uuid")
_passed = re.compile(rf"{_alias}environment_id = (\$\d+::uuid)")


# The same in SQL functions that run as their caller, so that the policies hold inside them.
_own = re.compile(rf"{_alias}environment_id = own_environment_id\b")
MIGRATE = "quotastack.runtime.migrate"
BARE_MIGRATIONS = """

def _with_conditions(listed=list_migrations):
    return listed()


def list_migrations() -> list[Migration]:
    import sys

    bare = sys.modules["planted_rewriting"].functions_without_conditions
    return [Migration(found.number, found.name, bare(found.sql)) for found in _with_conditions()]
"""


def functions_without_conditions(sql: str) -> str:
    """A migration whose functions do not ask for the environment any more."""
    return _own.sub("true", sql)


def without_conditions(source: str) -> str:
    """The source with every condition on the environment made true; parameters stay, so that their numbers do."""
    source = _joined.sub("true", source)
    source = _set.sub("true", source)
    return _passed.sub(r"(\1 IS NOT NULL)", source)


class _Rewritten(importlib.abc.InspectLoader):
    def __init__(
        self, inner: importlib.machinery.SourceFileLoader, patches: list[Any], *, bare: bool
    ) -> None:
        self.inner = inner
        self.patches = patches
        self.bare = bare

    def get_source(self, fullname: str) -> str:
        source = Path(self.inner.get_filename(fullname)).read_text("utf-8")
        for patch in self.patches:
            if patch.old not in source:
                sys.exit(f"planted bug {patch.name}: its text is not in {fullname} any more")
            source = source.replace(patch.old, patch.new)
        if not self.bare:
            return source
        return source + BARE_MIGRATIONS if fullname == MIGRATE else without_conditions(source)

    def get_code(self, fullname: str) -> CodeType:
        return compile(
            self.get_source(fullname), self.inner.get_filename(fullname), "exec", dont_inherit=True
        )

    def is_package(self, fullname: str) -> bool:
        return self.inner.is_package(fullname)

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code(module.__name__), module.__dict__)


class Rewriter(importlib.abc.MetaPathFinder):
    """Stands before the other finders and hands out rewritten modules."""

    def __init__(self, patches: list[Any], *, bare: bool) -> None:
        self.by_module: dict[str, list[Any]] = {}
        for patch in patches:
            self.by_module.setdefault(patch.module, []).append(patch)
        self.bare = bare

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if not fullname.startswith("quotastack."):
            return None
        patches = self.by_module.get(fullname, [])
        bare = self.bare and (fullname.startswith("quotastack.store.") or fullname == MIGRATE)
        if not patches and not bare:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
                spec.loader = _Rewritten(spec.loader, patches, bare=bare)
                return spec
        return None


def install(bugs: dict[str, Any]) -> None:
    """Plant what the environment variable names."""
    names = [name for name in os.environ.get(SWITCH, "").split(";") if name]
    planted = [bugs[name] for name in names if name != WITHOUT_CONDITIONS]
    bare = WITHOUT_CONDITIONS in names or any(bug.without_conditions for bug in planted)
    if names:
        patches = [patch for bug in planted for patch in bug.patches]
        sys.meta_path.insert(0, Rewriter(patches, bare=bare))
