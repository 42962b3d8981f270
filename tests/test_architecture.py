"""The house's rules, held by a machine. Each message says what to do instead."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "quotastack"

# Layer -> what it may import of ours, besides itself.
MAY_IMPORT = {
    "core": set(),
    "runtime": {"core"},
    "store": {"core", "runtime"},
    "engine": {"core", "store", "runtime"},
    "services": {"core", "store", "engine", "runtime"},
    "api": {"core", "services", "runtime"},
    "workers": {"core", "services", "runtime"},
    "dashboard": {"core", "services", "runtime"},
    "cli": {"core", "store", "engine", "services", "api", "workers", "dashboard", "runtime"},
}

# Outside store/ only these hold SQL: what has to speak to PostgreSQL before, or about, the schema.
MAY_HOLD_SQL = {
    "runtime/bootstrap.py",
    "runtime/catalogue_lint.py",
    "runtime/database.py",
    "runtime/migrate.py",
    "runtime/self_check.py",
    "runtime/tenancy.py",
    "cli/doctor.py",
}

CORE_MAY_IMPORT = {"quotastack", "msgspec"}

CLOCK_CALLS = re.compile(
    r"\b(?:datetime\.(?:now|utcnow|today)|date\.today|time\.(?:time|monotonic|perf_counter|time_ns|monotonic_ns)"
    r"|loop\.time|get_running_loop\(\)\.time)\("
)
SQL = re.compile(
    r"^\s*(?:SELECT\b.+|INSERT INTO\b.+|UPDATE\s+\S+\s+SET\b.+|DELETE FROM\b.+|WITH\s+\w+\s+AS\b.+|BEGIN\b.*"
    r"|SET LOCAL\b.+|CREATE (?:TABLE|INDEX|FUNCTION|DATABASE)\b.+|ALTER (?:TABLE|ROLE)\b.+|LISTEN \w+|NOTIFY \w+)",
    re.DOTALL,
)

FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def layer_of(path: Path) -> str | None:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else None


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every absolute module that a file imports, with its line; those for type checkers only included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: import absolutely (from quotastack...)"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def strings_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every text in a file but docstrings."""
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_every_folder_is_a_known_layer() -> None:
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(MAY_IMPORT), (
        "a new layer needs its line in MAY_IMPORT and in the architecture document"
    )


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_go_downwards(layer: str) -> None:
    wrong = [
        f"{name_of(path)}:{line} imports {module}: {layer}/ may import only"
        f" {sorted(MAY_IMPORT[layer] | {layer})}. Pass the value in, or move what both need down a layer."
        for path in FILES
        if layer_of(path) == layer
        for line, module in imports_of(path)
        if module.startswith("quotastack.")
        and module.split(".")[1] in MAY_IMPORT
        and module.split(".")[1] not in MAY_IMPORT[layer] | {layer}
    ]
    assert not wrong, "\n".join(wrong)


def test_core_knows_only_the_standard_library_and_msgspec() -> None:
    import sys

    wrong = [
        f"{name_of(path)}:{line} imports {module}: rules are values in, values out. Do it in runtime/ or store/."
        for path in FILES
        if layer_of(path) == "core"
        for line, module in imports_of(path)
        if (top := module.split(".")[0]) not in CORE_MAY_IMPORT and top not in sys.stdlib_module_names
    ]
    assert not wrong, "\n".join(wrong)


def test_core_does_no_input_or_output() -> None:
    forbidden = {
        "asyncio",
        "socket",
        "os",
        "pathlib",
        "random",
        "secrets",
        "subprocess",
        "threading",
        "time",
        "uuid",
    }
    wrong = [
        f"{name_of(path)}:{line} imports {module}: instants, ids and random bytes come in as parameters"
        " (core/context.py)."
        for path in FILES
        if layer_of(path) == "core"
        for line, module in imports_of(path)
        if module.split(".")[0] in forbidden
    ]
    assert not wrong, "\n".join(wrong)


def test_no_float_in_core() -> None:
    wrong: list[str] = []
    for path in FILES:
        if layer_of(path) != "core":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            is_float = (isinstance(node, ast.Constant) and isinstance(node.value, float)) or (
                isinstance(node, ast.Name) and node.id == "float"
            )
            is_division = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
            if is_float or is_division:
                wrong.append(
                    f"{name_of(path)}:{node.lineno}: no floats in the rules. Use integers (// and divmod),"
                    " or Fraction and Decimal in core/amounts.py and core/pricing.py."
                )
    allowed = ("core/amounts.py", "core/pricing.py", "core/metering.py")
    wrong = [fault for fault in wrong if not (fault.startswith(allowed) and "/" in fault)]
    assert not wrong, "\n".join(wrong)


def test_decimals_stay_in_their_files() -> None:
    wrong = [
        f"{name_of(path)}:{line} imports {module}: Decimal only in core/amounts.py and core/pricing.py. Ask them."
        for path in FILES
        if name_of(path) not in {"core/amounts.py", "core/pricing.py"}
        for line, module in imports_of(path)
        if module.split(".")[0] == "decimal"
    ]
    assert not wrong, "\n".join(wrong)


def test_the_clock_is_read_in_one_file() -> None:
    wrong = [
        f"{name_of(path)}:{number}: {line.strip()}: ask runtime/clock.py (monotonic_seconds, a Clock), or take `now`."
        for path in FILES
        if name_of(path) != "runtime/clock.py"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if CLOCK_CALLS.search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_sql_stands_in_store_and_migrations() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {text.strip()[:60]!r}: SQL is a named constant above its function in store/."
        for path in FILES
        if layer_of(path) != "store" and name_of(path) not in MAY_HOLD_SQL
        for line, text in strings_of(path)
        if SQL.match(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_statements_of_the_store_are_named_constants() -> None:
    wrong: list[str] = []
    for path in FILES:
        if layer_of(path) != "store":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                wrong += [
                    f"{name_of(path)}:{inner.lineno}: give the statement an upper-case name above {node.name}."
                    for inner in ast.walk(node)
                    if isinstance(inner, ast.Constant)
                    and isinstance(inner.value, str)
                    and SQL.match(inner.value)
                    and inner is not getattr(node.body[0], "value", None)
                ]
    assert not wrong, "\n".join(wrong)


def test_one_writer_of_customer_state() -> None:
    """What writes a customer's rows is called by the engine's batch alone."""
    writers = {"quotastack.store.batch_writes", "quotastack.store.object_writes"}
    wrong = [
        f"{name_of(path)}:{line} imports {module}: only engine/ writes what belongs to a customer. Submit a command:"
        " services.engine.submit."
        for path in FILES
        if layer_of(path) not in {"engine", "store"}
        for line, module in imports_of(path)
        if any(module == writer or module.startswith(f"{writer}.") for writer in writers)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_environment_is_set_through_one_door() -> None:
    wrong = [
        f"{name_of(path)}:{line}: the environment is set in runtime/tenancy.py alone; use environment_transaction."
        for path in FILES
        if name_of(path) not in {"runtime/tenancy.py", "runtime/self_check.py"}
        for line, text in strings_of(path)
        if re.search(r"set_config\s*\(|SET\s+(?:LOCAL\s+|SESSION\s+)?quotastack\.", text, re.IGNORECASE)
    ]
    assert not wrong, "\n".join(wrong)


def test_migrations_protect_their_tables() -> None:
    """Every table that a migration creates is protected in the same file, or says there why not."""
    wrong: list[str] = []
    for path in sorted((SOURCE / "runtime" / "migrations").glob("[0-9]*.sql")):
        text = path.read_text()
        for table in re.findall(r"create table (?:if not exists )?quotastack\.(\w+)", text, re.IGNORECASE):
            protected = re.search(rf"protect\(\s*'quotastack\.{table}'", text) or re.search(
                rf"alter table quotastack\.{table} force row level security", text, re.IGNORECASE
            )
            is_partition = re.search(rf"quotastack\.{table}\s+partition of", text, re.IGNORECASE)
            if not protected and not is_partition:
                wrong.append(f"{path.name}: {table}: select quotastack.protect('quotastack.{table}');")
    assert not wrong, "\n".join(wrong)


def test_files_and_functions_have_a_size() -> None:
    wrong: list[str] = []
    for path in FILES:
        text = path.read_text()
        lines = text.count("\n")
        if lines > 400:
            wrong.append(f"{name_of(path)} has {lines} lines: it wants to be two files (400 at most).")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                documented = ast.get_docstring(node)
                length -= len(documented.splitlines()) if documented else 0
                if length > 60:
                    wrong.append(
                        f"{name_of(path)}:{node.lineno}: {node.name} has {length} lines besides its docstring:"
                        " its middle wants a name (60 at most)."
                    )
    assert not wrong, "\n".join(wrong)


def test_no_names_without_meaning() -> None:
    empty = {"utils", "helpers", "common", "manager", "base", "misc", "v2"}
    wrong = [f"{name_of(path)}: name it for what it is about." for path in FILES if path.stem in empty]
    assert not wrong, "\n".join(wrong)
