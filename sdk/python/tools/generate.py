# ruff: noqa: INP001 - a script, run by itself.
"""Write the typed methods and models of the client: from ``sdk/operations.json`` and the server's OpenAPI document.

    .venv/bin/python sdk/python/tools/generate.py [OPENAPI.json]

Without a file the document is that of the checkout. What is written is committed; nothing is generated where the
client is installed. A test compares both.
"""

from __future__ import annotations

import itertools
import json
import keyword
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

HERE: Final = Path(__file__).resolve().parents[1]
PACKAGE: Final = HERE / "src" / "quotastack_client"
OPERATIONS: Final = HERE.parent / "operations.json"
RUFF: Final = Path(sys.executable).with_name("ruff")

Json = dict[str, Any]

HEAD: Final = '"""{title} Written by tools/generate.py: edit sdk/operations.json instead."""\n\n'
MODEL_IMPORTS: Final = """from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NotRequired, Required, TypedDict

from msgspec import field

from quotastack_client.answers import Model, Pagination

Units = int | str | Decimal

"""
RESOURCE_IMPORTS: Final = """from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Unpack

from msgspec import UNSET, UnsetType

from quotastack_client import models
from quotastack_client.calls import CallOptions, WriteOptions, customer_path, opt, seg
from quotastack_client.models import Units
from quotastack_client.pages import AsyncPages, Pages
from quotastack_client.transport import AsyncResource, Resource

"""
CUSTOMER_PATH: Final = "/v1/customers/{customer_id}/"
TWIN_PATH: Final = "/v1/customer-by-external-id/"
INSTANTS: Final = {
    "timestamp",
    "now",
    "period_start",
    "period_end",
    "current_period_start",
    "current_period_end",
    "paid_through",
}
# What a path parameter that is called just "id" names.
PATH_NAMES: Final = {
    "reserve": "reservation_id",
    "usage": "usage_id",
    "plans": "plan_id",
    "metering-rules": "rule_id",
    "subscriptions": "subscription_id",
    "endpoints": "endpoint_id",
    "deliveries": "delivery_id",
    "listeners": "listener_id",
    "events": "event_id",
    "tenants": "tenant_id",
    "api-keys": "api_key_id",
    "credit-grants": "credit_grant_id",
    "variants": "variant_id",
    "entitlements": "billable_metric_key",
}
# A second method of one operation, whose answer depends on a header.
LATER: Final = {"usage.record": ("record_later", "respond-async", 202)}


class Argument(NamedTuple):
    """One named argument: its wire name, its Python name and type, and whether it must be given."""

    wire: str
    type: str
    is_required: bool
    is_nullable: bool = False

    @property
    def name(self) -> str:
        """The wire name, with an underscore behind a word of the language."""
        return f"{self.wire}_" if keyword.iskeyword(self.wire) else self.wire

    @property
    def declared(self) -> str:
        """As it stands in the signature."""
        if self.is_required:
            return f"{self.name}: {self.type}"
        if self.is_nullable:
            return f"{self.name}: {self.type.removesuffix(' | None')} | UnsetType | None = UNSET"
        return f"{self.name}: {self.type} | None = None"

    @property
    def sent(self) -> str:
        """As it stands in the dictionary that is sent."""
        kept = self.is_required or self.is_nullable
        return f'"{self.wire}": {self.name if kept else f"opt({self.name})"}'


class Document:
    """The OpenAPI document, asked in the words of the generator."""

    def __init__(self, document: Json) -> None:
        self.paths: Json = document["paths"]
        self.schemas: Json = document["components"]["schemas"]

    def model_name(self, schema: str) -> str:
        """The class of a schema: ``CustomerView`` is ``Customer``."""
        short = schema.removesuffix("View")
        return short if short and (short == schema or short not in self.schemas) else schema

    def answered(self) -> set[str]:
        """The schemas that answers are made of."""
        found: set[str] = set()
        for operations in self.paths.values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status.startswith("2"):
                        self._collect(response.get("content", {}), found)
        return {name for name in found if not name.startswith("PageOf_")}

    def nested_in_bodies(self) -> set[str]:
        """The schemas that stand inside a body."""
        found: set[str] = set()
        for operations in self.paths.values():
            for operation in operations.values():
                for content in operation.get("requestBody", {}).get("content", {}).values():
                    self._collect(self.resolve(content["schema"]), found)
        return found

    def resolve(self, schema: Json) -> Json:
        """The schema behind a reference."""
        reference = schema.get("$ref")
        return self.schemas[reference.rsplit("/", 1)[-1]] if reference else schema

    def _collect(self, node: Any, found: set[str]) -> None:
        if isinstance(node, list):
            for item in node:
                self._collect(item, found)
        elif isinstance(node, dict):
            reference = node.get("$ref")
            if isinstance(reference, str):
                name = reference.rsplit("/", 1)[-1]
                if name not in found:
                    found.add(name)
                    self._collect(self.schemas.get(name, {}), found)
            for item in node.values():
                self._collect(item, found)

    def answer_type(self, schema: Json, *, name: str = "") -> str:
        """The Python type of a value that the server answers. Enumerations are text: a newer server may know more."""
        if "$ref" in schema:
            return self.model_name(schema["$ref"].rsplit("/", 1)[-1])
        if "anyOf" in schema:
            kinds = dict.fromkeys(self.answer_type(one, name=name) for one in schema["anyOf"])
            return "Any" if "Any" in kinds else " | ".join(sorted(kinds, key=lambda kind: kind == "None"))
        match schema.get("type"):
            case "string":
                return "datetime" if name.endswith("_at") or name in INSTANTS else "str"
            case "integer":
                return "int"
            case "number":
                return "float"
            case "boolean":
                return "bool"
            case "null":
                return "None"
            case "array":
                return f"tuple[{self.answer_type(schema.get('items', {}))}, ...]"
            case "object":
                values = schema.get("additionalProperties")
                inner = self.answer_type(values) if isinstance(values, dict) and values else "Any"
                return f"dict[str, {inner}]"
            case _:
                return "str" if "enum" in schema else "Any"

    def argument_type(self, schema: Json, *, name: str = "") -> str:
        """The Python type of a value that the caller gives."""
        if "$ref" in schema:
            return f"models.{schema['$ref'].rsplit('/', 1)[-1]}"
        if "enum" in schema:
            return f"Literal[{', '.join(repr(value) for value in schema['enum'])}]".replace("'", '"')
        if "anyOf" in schema:
            types = [one.get("type") for one in schema["anyOf"]]
            if set(types) == {"integer", "string"}:
                return "Units"
            kinds = dict.fromkeys(self.argument_type(one, name=name) for one in schema["anyOf"])
            return " | ".join(sorted(kinds, key=lambda kind: kind == "None"))
        match schema.get("type"):
            case "string":
                is_instant = schema.get("format") == "date-time"
                is_units = name in {"units", "current"}
                return "datetime | str" if is_instant else "Units" if is_units else "str"
            case "integer":
                return "int"
            case "number":
                return "float"
            case "boolean":
                return "bool"
            case "null":
                return "None"
            case "array":
                items = schema.get("items")
                return f"Sequence[{self.argument_type(items) if items else 'Mapping[str, Any]'}]"
            case _:
                values = schema.get("additionalProperties")
                inner = self.argument_type(values) if isinstance(values, dict) and values else "Any"
                return f"Mapping[str, {inner}]"

    def arguments_of(self, schema: Json) -> Iterator[Argument]:
        """The fields of a body; ``idempotency_key`` is an option of the call."""
        required = schema.get("required", [])
        for wire, field in schema.get("properties", {}).items():
            if wire == "idempotency_key":
                continue
            kind = self.argument_type(field, name=wire)
            yield Argument(wire, kind, wire in required, kind.endswith("None"))


# Models.


def render_models(document: Document) -> str:
    """The file of the models."""
    answered = document.answered()
    text = HEAD.format(title="What the server answers, and objects of requests.") + MODEL_IMPORTS
    names = [document.model_name(name) for name in answered if name != "Pagination"]
    text += "".join(
        _render_model(document, name)
        for name in sorted(answered, key=document.model_name)
        if name != "Pagination"
    )
    requests = sorted(document.nested_in_bodies() - answered)
    assert not set(requests) & set(names), "an object of a request is named like a model"
    text += "".join(_render_request(document, name) for name in requests)
    exported = sorted([*names, *requests, "Pagination", "Units"])
    return text + f"\n\n__all__ = {exported!r}\n"


def _doc(text: str) -> str:
    """A docstring out of a description."""
    flat = re.sub(r"\s+", " ", text).strip().replace("\\", "\\\\").replace('"""', "'''")
    if not flat.endswith((".", ":", "`", "?", "!")):
        flat += "."
    return _wrap(flat)


def _wrap(text: str, *, width: int = 100) -> str:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + len(word) >= width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    lines.append(line)
    return "\n    ".join(lines) if len(lines) == 1 else "\n    ".join([*lines, ""])


def _render_model(document: Document, name: str) -> str:
    schema = document.schemas[name]
    text = f"\n\nclass {document.model_name(name)}(Model, frozen=True, kw_only=True):\n"
    text += f'    """{_doc(schema.get("description") or name)}"""\n\n'
    for wire, field in schema.get("properties", {}).items():
        kind = document.answer_type(field, name=wire)
        is_required = wire in schema.get("required", [])
        if not is_required and not kind.endswith("None") and kind != "Any":
            kind += " | None"
        attribute = f"{wire}_" if keyword.iskeyword(wire) else wire
        if attribute != wire:
            default = f'field(name="{wire}")' if is_required else f'field(name="{wire}", default=None)'
            text += f"    {attribute}: {kind} = {default}\n"
        else:
            text += f"    {attribute}: {kind}{'' if is_required else ' = None'}\n"
    return text


def _render_request(document: Document, name: str) -> str:
    schema = document.schemas[name]
    fields = schema.get("properties", {})
    text = f"\n\nclass {name}(TypedDict, total=False):\n"
    text += f'    """{_doc(schema.get("description") or name)}"""\n\n'
    for wire, field in fields.items():
        kind = document.argument_type(field, name=wire).replace("models.", "")
        text += f"    {wire}: {f'Required[{kind}]' if wire in schema.get('required', []) else kind}\n"
    return text


# Methods.


class Method(NamedTuple):
    """One method of one resource."""

    resource: str
    name: str
    verb: str
    path: str
    operation: Json
    later_status: int | None = None
    preference: str | None = None


def read_methods(document: Document) -> list[Method]:
    """The table, joined with the document; an operation without a method, or the other way round, is an error."""
    table: dict[str, str] = json.loads(OPERATIONS.read_text())["operations"]
    methods: list[Method] = []
    for full_name, target in table.items():
        resource, _, name = full_name.partition(".")
        verb, _, path = target.partition(" ")
        operation = document.paths.get(path, {}).get(verb.lower())
        if operation is None:
            raise SystemExit(f"sdk/operations.json: {full_name}: the server has no {target}")
        methods.append(Method(resource, name, verb, path, operation))
        if full_name in LATER:
            later, preference, status = LATER[full_name]
            methods.append(Method(resource, later, verb, path, operation, status, preference))
    named = set(table.values())
    missing = [
        f"{verb.upper()} {path}"
        for path, operations in document.paths.items()
        if not path.startswith(TWIN_PATH)
        for verb in operations
        if f"{verb.upper()} {path}" not in named
    ]
    if missing:
        raise SystemExit(f"sdk/operations.json names no method for {', '.join(missing)}")
    return methods


def class_name(resource: str) -> str:
    """The class of a resource."""
    return "".join(word.capitalize() for word in resource.split("_"))


def _path_parameters(method: Method) -> list[tuple[str, str]]:
    """Wire name and Python name of the positional arguments."""
    found: list[tuple[str, str]] = []
    segments = method.path.split("/")
    for before, segment in itertools.pairwise(segments):
        if segment.startswith("{") and segment != "{customer_id}":
            wire = segment[1:-1]
            found.append(
                (wire, PATH_NAMES.get(before, wire) if wire in {"id", "vid", "gid", "metric"} else wire)
            )
    return found


def _query_arguments(document: Document, method: Method) -> list[Argument]:
    arguments: list[Argument] = []
    for parameter in method.operation.get("parameters", []):
        if parameter["in"] != "query" or parameter["name"] == "cursor":
            continue
        name = parameter["name"]
        kind = document.argument_type(parameter["schema"], name=name)
        arguments.append(
            Argument(
                name, "Mapping[str, str]" if name == "dimensions" else kind, parameter.get("required", False)
            )
        )
    return arguments


def _body_arguments(document: Document, method: Method) -> list[Argument]:
    content = method.operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return []
    arguments = list(document.arguments_of(document.resolve(content["schema"])))
    taken = {name for _, name in _path_parameters(method)}
    return [
        one
        for one in arguments
        if one.name not in taken and not (method.preference and one.wire == "dry_run")
    ]


def _answer(document: Document, method: Method) -> tuple[str, str, dict[int, str]]:
    """How it is answered: ("page" | "model" | "text" | "nothing", the type, other types by status)."""
    types: dict[int, str] = {}
    for status, response in method.operation["responses"].items():
        if not status.startswith("2"):
            continue
        content = response.get("content", {})
        if "application/json" not in content:
            types[int(status)] = "str" if content else "None"
            continue
        schema = content["application/json"]["schema"]
        reference = schema.get("$ref", "").rsplit("/", 1)[-1]
        if reference.startswith("PageOf_"):
            item = document.schemas[reference]["properties"]["data"]["items"]
            return "page", f"models.{document.answer_type(item)}", {}
        kind = document.answer_type(schema)
        types[int(status)] = f"models.{kind}" if reference else kind
    if method.later_status is not None:
        return "model", types[method.later_status], {}
    types = {status: kind for status, kind in types.items() if status != 202 or len(types) == 1}
    first = types[201] if 201 in types else next(iter(types.values()))
    others = {status: kind for status, kind in types.items() if kind != first}
    return {"None": "nothing", "str": "text"}.get(first, "model"), first, others


def render_method(document: Document, method: Method, *, is_async: bool) -> str:
    """One method, blocking or not."""
    positional = _path_parameters(method)
    is_of_customer = method.path.startswith(CUSTOMER_PATH) or method.path == CUSTOMER_PATH.rstrip("/")
    query, body = _query_arguments(document, method), _body_arguments(document, method)
    is_event = method.resource == "integrations"
    takes_key = any(p["name"] == "Idempotency-Key" for p in method.operation.get("parameters", []))
    kind, answer, others = _answer(document, method)

    named = [*body, *query]
    named.sort(key=lambda one: (not one.is_required, one.wire not in {"customer_id", "external_customer_id"}))
    declared = [f"{name}: str" for _, name in positional] + ["*"]
    if is_of_customer:
        declared += ["customer_id: str | None = None", "external_customer_id: str | None = None"]
    if is_event:
        declared += ["payload: bytes", "stripe_signature: str"]
    declared += [one.declared for one in named]
    options = "WriteOptions" if takes_key else "CallOptions"
    if declared[-1] == "*":
        declared.pop()
    declared.append(f"**options: Unpack[{options}]")

    path = _render_path(method, positional, is_of_customer=is_of_customer)
    parts = [path, answer] if kind == "page" else [f'"{method.verb}"', path, answer]
    if query:
        parts.append(f"query={{{', '.join(one.sent for one in query)}}}")
    if method.operation.get("requestBody") and not is_event and kind != "page" and method.verb != "DELETE":
        parts.append(f"body={{{', '.join(one.sent for one in body)}}}")
    if is_event:
        parts += ["content=payload", 'headers={"Stripe-Signature": stripe_signature}']
    if takes_key:
        parts.append("is_keyed=True")
    if method.preference:
        parts.append(f'headers={{"Prefer": "{method.preference}"}}')
    if others:
        parts.append(f"by_status={{{', '.join(f'{status}: {other}' for status, other in others.items())}}}")
    parts.append("options=options")

    returned = " | ".join([answer, *others.values()])
    pages = "AsyncPages" if is_async else "Pages"
    prefix, wait = ("async ", "await ") if is_async and kind != "page" else ("", "")
    call = {"page": "_pages", "text": "_text", "nothing": "_nothing"}.get(kind, "_send")
    if kind in {"text", "nothing"}:
        parts.remove(answer)
    returned = f"{pages}[{answer}]" if kind == "page" else returned
    give = "" if kind == "nothing" else "return "
    return (
        f"    {prefix}def {method.name}(self, {', '.join(declared)}) -> {returned}:\n"
        f'        """{_method_doc(method)}"""\n'
        f"        {give}{wait}self.{call}({', '.join(parts)})\n\n"
    )


def _render_path(method: Method, positional: list[tuple[str, str]], *, is_of_customer: bool) -> str:
    path = method.path
    for wire, name in positional:
        path = path.replace(f"{{{wire}}}", f"{{seg({name})}}")
    if is_of_customer:
        rest = path.removeprefix(CUSTOMER_PATH.rstrip("/"))
        if not rest:
            return "customer_path(customer_id, external_customer_id)"
        prefix = "f" if "{" in rest else ""
        return f'customer_path(customer_id, external_customer_id, {prefix}"{rest}")'
    return f'{"f" if positional else ""}"{path}"'


def _method_doc(method: Method) -> str:
    summary = method.operation["summary"].rstrip(".")
    if method.preference:
        return f"{summary}, later: stored durably, applied in order of arrival."
    described = method.operation.get("description", "").split("\n\n")[0]
    described = "" if described.startswith("Scope:") else re.sub(r"\s+", " ", described).strip()
    if not described:
        return f"{summary}."
    lines = _wrap(described.replace("\\", "\\\\"), width=96).replace("\n    ", "\n        ").rstrip()
    return f"{summary}.\n\n        {lines}\n        "


def render_resource(document: Document, resource: str, methods: list[Method]) -> str:
    """The file of one resource: both classes."""
    text = HEAD.format(title=f"``client.{resource}``.")
    text += RESOURCE_IMPORTS
    for is_async in (False, True):
        base, prefix = ("AsyncResource", "Async") if is_async else ("Resource", "")
        text += f'\n\nclass {prefix}{class_name(resource)}({base}):\n    """``client.{resource}``."""\n\n'
        text += "".join(render_method(document, method, is_async=is_async) for method in methods)
    return text


def render_index(resources: list[str]) -> str:
    """What a client has: an attribute for each resource."""
    text = HEAD.format(title="The resources of both clients.") + "from __future__ import annotations\n\n"
    for name in sorted(resources):
        text += (
            f"from quotastack_client.resources.{name} import Async{class_name(name)}, {class_name(name)}\n"
        )
    text += "from quotastack_client.transport import AsyncTransport, Transport\n"
    for prefix in ("", "Async"):
        text += f'\n\nclass {prefix}Resources:\n    """One attribute for each resource."""\n\n'
        text += f"    def __init__(self, transport: {prefix}Transport) -> None:\n"
        text += "".join(
            f"        self.{name} = {prefix}{class_name(name)}(transport)\n" for name in resources
        )
    return text + '\n\n__all__ = ["AsyncResources", "Resources"]\n'


def render(document_json: Json) -> dict[Path, str]:
    """Every file, by its path."""
    document = Document(document_json)
    methods = read_methods(document)
    resources = list(dict.fromkeys(method.resource for method in methods))
    files = {PACKAGE / "models.py": render_models(document)}
    for resource in resources:
        own = [method for method in methods if method.resource == resource]
        files[PACKAGE / "resources" / f"{resource}.py"] = render_resource(document, resource, own)
    files[PACKAGE / "resources" / "__init__.py"] = render_index(resources)
    return _formatted(files)


def _formatted(files: dict[Path, str]) -> dict[Path, str]:
    """The files as the formatter leaves them, without the imports that they do not need."""
    with tempfile.TemporaryDirectory() as folder:
        drafts = {path: Path(folder) / f"draft_{number}.py" for number, path in enumerate(files)}
        for path, draft in drafts.items():
            draft.write_text(files[path])
        rules = ["check", "--select", "F401,I,RUF036", "--unsafe-fixes", "--fix", "--exit-zero"]
        for command in (rules, ["format"]):
            config = str(HERE.parents[1] / "pyproject.toml")
            subprocess.run([RUFF, *command, "--quiet", "--no-cache", "--config", config, folder], check=True)
        return {path: draft.read_text() for path, draft in drafts.items()}


def checkout_document() -> Json:
    """The OpenAPI document of the checkout, without a running server."""
    import asyncio
    from unittest.mock import MagicMock

    import msgspec

    from quotastack.api.app import create_app
    from quotastack.api.openapi import describe_api

    async def describe() -> Json:
        return describe_api(create_app(MagicMock()).table)

    return json.loads(msgspec.json.encode(asyncio.run(describe())))


def main() -> None:
    """Write what has changed."""
    document = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else checkout_document()
    for path, text in render(document).items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            sys.stdout.write(f"{path.relative_to(HERE)}\n")


if __name__ == "__main__":
    main()
