"""The mutants of ``core``: mutmut's own, with its names, as sources that can be planted one at a time."""

import contextlib
import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.file_mutation import create_mutations
from mutmut.mutation.trampoline_templates import mangle_function_name

ROOT = Path(__file__).parents[3]
CORE = ROOT / "src" / "quotastack" / "core"


class Mutant(NamedTuple):
    """One change. ``first`` to ``last`` are the lines of its statement; ``source`` is the whole function's."""

    name: str
    module: str
    function: str
    first: int
    last: int
    source: str
    change: str


def mutants_of(file: Path) -> list[Mutant]:
    """All mutants of a module's functions and methods; what runs at import only is left as it is."""
    module, mutations, _, _ = create_mutations(str(file), file.read_text("utf-8"))
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    spans = wrapper.resolve(PositionProvider)
    parents = wrapper.resolve(ParentNodeProvider)
    numbers: Counter[cst.CSTNode] = Counter()
    made: list[Mutant] = []
    for mutation in mutations:
        function = mutation.contained_by_top_level_function
        if not isinstance(function, cst.FunctionDef):
            continue
        numbers[function] += 1
        owner = _owner(function, parents)
        path = f"quotastack.core.{file.stem}"
        mangled = mangle_function_name(name=function.name.value, class_name=owner)
        mutated = function.deep_replace(mutation.original_node, mutation.mutated_node)
        before, after = (
            cst.Module([node.with_changes(leading_lines=())]).code for node in (function, mutated)
        )
        first, last = _statement(mutation.original_node, function, parents, spans)
        made.append(
            Mutant(
                name=f"{path}.{mangled}__mutmut_{numbers[function]}",
                module=path,
                function=f"{owner}.{function.name.value}" if owner else function.name.value,
                first=first,
                last=last,
                source=after,
                change=_change(before, after),
            )
        )
    return made


def _owner(function: cst.FunctionDef, parents: Any) -> str | None:
    node = parents[function]
    while not isinstance(node, cst.Module | cst.ClassDef):
        node = parents[node]
    return node.name.value if isinstance(node, cst.ClassDef) else None


def _statement(node: cst.CSTNode, function: cst.FunctionDef, parents: Any, spans: Any) -> tuple[int, int]:
    """The lines of the statement around the node; for the head of a compound one, down to the node itself."""
    inner = node
    while not isinstance(inner, cst.SimpleStatementLine | cst.BaseCompoundStatement):
        inner = parents[inner]
    whole = spans[inner]
    if inner is function or isinstance(inner, cst.SimpleStatementLine):
        return whole.start.line, whole.end.line
    return whole.start.line, max(whole.start.line, spans[node].end.line) if node in spans else whole.end.line


def _change(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[2:]
    return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines if line[0] in "-+")


def make_mutants(files: list[Path], cache: Path, workers: int = 2) -> Iterator[Mutant]:
    """The mutants of these files; those of an unchanged file come from the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    stored = {file: cache / f"{file.stem}-{_digest(file)}.json" for file in files}
    missing = [file for file, known in stored.items() if not known.exists()]
    if missing:
        with contextlib.chdir(ROOT), get_context("fork").Pool(workers) as pool:  # mutmut looks around it
            for file, made in zip(missing, pool.imap(mutants_of, missing), strict=True):
                stored[file].write_text(json.dumps(made), "utf-8")
    for known in stored.values():
        yield from (Mutant(*row) for row in json.loads(known.read_text("utf-8")))


def _digest(file: Path) -> str:
    own = Path(__file__).read_bytes()
    return hashlib.sha256(file.read_bytes() + own).hexdigest()[:16]
