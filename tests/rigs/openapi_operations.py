"""The operations of the served OpenAPI document, and every place in them where an identifier may stand."""

import copy
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

VERBS = ("get", "post", "put", "patch", "delete")
# A field or parameter with such a name can name a thing. The idempotency key names an act, not a thing.
_names_a_thing = re.compile(r"(?:.*_)?(?:ids?|keys?|customer|email|q)").fullmatch
NAMES_AN_ACT = "idempotency_key"
MAP = "{}"
# Strings with a form of their own: numbers, addresses, words of a list.
_has_a_form = re.compile(
    r".*(?:units|secret|url)|unit|currency|type|severity|value|fraction|cursor|before|current|up_to|events|scopes"
    r"|answer|error"
).fullmatch
# Personal, and not what something else names a thing by.
PERSONAL = {"email", "external_payment_id"}
# Of each group one word may stand in a body or a query.
ALIASES = (
    {"customer_id", "external_customer_id", "end_user_id"},
    {"billable_metric_key", "feature_key"},
)


class Position(NamedTuple):
    """Where an identifier stands: ``place`` is path, query or body; ``at`` leads there, list items as ``*``."""

    place: str
    at: tuple[str, ...]


class Operation(NamedTuple):
    """One operation. ``scope`` is None where no key is asked for."""

    verb: str
    template: str
    scope: str | None
    positions: tuple[Position, ...]
    example: Any
    is_json: bool
    # Where a body takes any text: in a field, or as the value of any key (`*` after the field's name).
    texts: tuple[tuple[str, ...], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.verb} {self.template}"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"\{(\w+)\}", self.template)


def kind_of(template: str, parameter: str) -> str:
    """What a path parameter names: the word before it, as ``plans`` in ``/v1/plans/{id}``."""
    parts = template.split("/")
    return parts[parts.index("{" + parameter + "}") - 1]


def operations_of(document: dict[str, Any]) -> list[Operation]:
    """Every documented operation."""
    return [
        _operation(document, verb, template, described)
        for template, operations in document["paths"].items()
        for verb, described in operations.items()
        if verb in VERBS
    ]


def _operation(document: dict[str, Any], verb: str, template: str, described: Any) -> Operation:
    scope = re.search(r"Scope: `([^`]+)`", described.get("description", ""))
    positions = [Position("path", (name,)) for name in re.findall(r"\{(\w+)\}", template)]
    positions += [
        Position("query", (parameter["name"],))
        for parameter in described.get("parameters", ())
        if parameter["in"] == "query" and _names_a_thing(parameter["name"])
    ]
    content = described.get("requestBody", {}).get("content", {})
    body = content.get("application/json")
    if body is not None:
        positions += [Position("body", at) for at in sorted(set(_fields(document, body["schema"])))]
    return Operation(
        verb.upper(),
        template,
        scope[1] if scope and described.get("security") else None,
        tuple(positions),
        None if body is None else body.get("example", {}),
        body is not None or not content,
        () if body is None else tuple(sorted(set(_texts(document, body["schema"])))),
    )


def _fields(document: dict[str, Any], schema: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if len(at) > 4 or not isinstance(schema, dict):
        return
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _fields(document, choice, at)
    if "items" in schema:
        yield from _fields(document, schema["items"], (*at, "*"))
    for name, inner in schema.get("properties", {}).items():
        if _names_a_thing(name) and name != NAMES_AN_ACT:
            yield (*at, name)
        yield from _fields(document, inner, (*at, name))


def _texts(document: dict[str, Any], schema: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Fields of free text, and maps of them. Names of things, words of a list and formats are none."""
    if len(at) > 4 or not isinstance(schema, dict):
        return
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _texts(document, choice, at)
    if "items" in schema:
        yield from _texts(document, schema["items"], (*at, "*"))
    if isinstance(schema.get("additionalProperties"), dict) or "propertyNames" in schema:
        yield (*at, MAP)
    is_text = schema.get("type") == "string" and not {"enum", "const", "format"} & schema.keys()
    name = next((step for step in reversed(at) if step != "*"), "")
    if name and is_text and (name in PERSONAL or not (_names_a_thing(name) or _has_a_form(name))):
        yield at
    for name, inner in schema.get("properties", {}).items():
        yield from _texts(document, inner, (*at, name))


def placed(body: Any, at: tuple[str, ...], value: str) -> Any:
    """The body with the value at that place; words that mean the same are taken out beside it."""
    if not at:
        return value
    step, rest = at[0], at[1:]
    if step == MAP:
        return {**(body if isinstance(body, dict) else {}), "note": value}
    if step == "*":
        rows = body if isinstance(body, list) and body else [{}]
        return [placed(copy.deepcopy(rows[0]), rest, value)]
    fields = dict(body) if isinstance(body, dict) else {}
    for group in ALIASES:
        if step in group and not rest:
            fields = {name: old for name, old in fields.items() if name not in group}
    fields[step] = placed(fields.get(step), rest, value)
    return fields


def address(template: str, values: dict[str, str], query: dict[str, str]) -> str:
    """The path with its parameters filled in, percent-encoded, and the query."""
    path = re.sub(r"\{(\w+)\}", lambda name: quote(values[name[1]], safe=""), template)
    return f"{path}?{urlencode(query)}" if query else path
