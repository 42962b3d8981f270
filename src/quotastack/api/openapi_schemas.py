"""The schemas of the OpenAPI document, from the very types that requests are read into and answers are written from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from quotastack.api.faults import type_info
from quotastack.api.fields import CustomerBody, IdempotencyKeyField
from quotastack.api.normal_form import ALIASES
from quotastack.api.routing import BoundRoute, Route, Text

REF_PREFIX: Final = "#/components/schemas/"

_EXAMPLES_BY_FORMAT: Final = {
    "uuid": "01920000-0000-7000-8000-000000000000",
    "date-time": "2026-01-31T10:00:00Z",
}


class SchemaBook:
    """Components of all types that routes mention, bodies with their aliases and ``idempotency_key``."""

    def __init__(self, shown: Iterable[BoundRoute]) -> None:
        types: dict[Any, None] = {}
        routes = {id(bound.route): bound.route for bound in shown}.values()
        for route in routes:
            for mentioned in (route.body, route.query, *route.answers.values()):
                if mentioned is not None and not isinstance(mentioned, Text):
                    types[mentioned] = None
        types[IdempotencyKeyField] = None
        listed = list(types)
        references, schemas = msgspec.json.schema_components(listed, ref_template=REF_PREFIX + "{name}")
        self.schemas: dict[str, Any] = {name: _tidy(schema) for name, schema in schemas.items()}
        self._references = dict(zip(listed, references, strict=True))
        for route in routes:
            if route.body is not None:
                self._complete_body(route)
        self._drop_queries(routes)

    def reference(self, mentioned: Any) -> dict[str, Any]:
        """How a place in the document refers to a type."""
        return self._references[mentioned]

    def query_parameters(self, route: Route) -> list[dict[str, Any]]:
        """The query of a route as parameters, aliases included."""
        if route.query is None:
            return []
        schema = self._queries[route.query]
        described: list[dict[str, Any]] = []
        for name, field in schema["properties"].items():
            plain = dict(field)
            parameter: dict[str, Any] = {"name": name, "in": "query", "required": name in schema["required"]}
            aliases = [alias for alias, real in ALIASES.items() if real == name]
            text = [plain.pop("description", "")]
            text += [f"`{alias}` is accepted as another name." for alias in aliases]
            if any(text):
                parameter["description"] = " ".join(part for part in text if part)
            parameter["schema"] = plain
            described.append(parameter)
        return described

    def _drop_queries(self, routes: Iterable[Route]) -> None:
        self._queries: dict[type, Any] = {}
        for route in routes:
            if route.query is not None and route.query not in self._queries:
                name = self._references[route.query]["$ref"].removeprefix(REF_PREFIX)
                self._queries[route.query] = self.schemas.pop(name)

    def _complete_body(self, route: Route) -> None:
        """Say in the schema what the reader accepts beyond the type itself."""
        assert route.body is not None
        for struct in _structs_in(route.body):
            schema = self.schemas.get(self._name_of(struct))
            if schema is not None and not schema.get("x-complete"):
                _add_aliases(struct, schema)
        if route.key != "none":
            schema = self.schemas[self._name_of(route.body)]
            schema["properties"].setdefault("idempotency_key", self._references[IdempotencyKeyField])

    def _name_of(self, struct: type) -> str:
        known = self._references.get(struct)
        if known is not None:
            return known["$ref"].removeprefix(REF_PREFIX)
        (reference,), _schemas = msgspec.json.schema_components([struct], ref_template="{name}")
        return reference["$ref"]


def _structs_in(struct: type) -> list[type]:
    found: dict[type, None] = {}

    def visit(info: Any) -> None:
        if isinstance(info, inspect.Metadata):
            visit(info.type)
        elif isinstance(info, inspect.UnionType):
            for member in info.types:
                visit(member)
        elif isinstance(info, inspect.ListType | inspect.VarTupleType):
            visit(info.item_type)
        elif isinstance(info, inspect.StructType) and info.cls not in found:
            found[info.cls] = None
            for field in info.fields:
                visit(field.type)

    visit(type_info(struct))
    return list(found)


def _add_aliases(struct: type, schema: dict[str, Any]) -> None:
    properties: dict[str, Any] = schema["properties"]
    rules: list[dict[str, Any]] = []
    aliases = {alias: real for alias, real in ALIASES.items() if real in properties}
    for alias, real in aliases.items():
        plain = {name: part for name, part in properties[real].items() if name != "description"}
        properties[alias] = {**plain, "description": f"Another name of `{real}`."}
        if real in schema["required"]:
            schema["required"].remove(real)
            rules.append({"oneOf": [{"required": [real]}, {"required": [alias]}]})
    if issubclass(struct, CustomerBody):
        names = ("customer_id", "external_customer_id", "end_user_id")
        rules.append({"oneOf": [{"required": [name]} for name in names]})
    if rules:
        schema["allOf"] = rules


def _tidy(schema: Any) -> Any:
    """Without what is of use in Python only."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            schema = {**schema, "type": ["string", "number"]}  # a number is read as one too
        return {
            name: _pattern_for_json(part) if name == "pattern" and isinstance(part, str) else _tidy(part)
            for name, part in schema.items()
        }
    return [_tidy(part) for part in schema] if isinstance(schema, list) else schema


def _pattern_for_json(pattern: str) -> str:
    # Python's `$` also matches before a last newline, which the lookahead excludes; that of ECMA 262 does not.
    return pattern.replace(r"(?!\n)$", "$")


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any], *, depth: int = 0) -> Any:
    """A value that a schema accepts: required members only."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(REF_PREFIX)], schemas, depth=depth + 1)
    if schema.get("examples"):
        return schema["examples"][0]
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], schemas, depth=depth + 1)
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        required = [*schema.get("required", ())]
        for rule in schema.get("allOf", ()):
            choices = [choice["required"][0] for choice in rule["oneOf"]]
            required.append("external_customer_id" if "external_customer_id" in choices else choices[0])
        return {name: example_of(properties[name], schemas, depth=depth + 1) for name in required}
    if kind == "array":
        return [example_of(schema["items"], schemas, depth=depth + 1)] if schema.get("minItems") else []
    if kind == "string":
        return _EXAMPLES_BY_FORMAT.get(schema.get("format", ""), "example")
    return {"integer": max(1, schema.get("minimum", 1)), "number": 1, "boolean": True}.get(str(kind))
