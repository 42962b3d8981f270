"""Every fault of a body or query at once, found by walking the value along the type.

msgspec stops at the first fault, which is right for the fast path; a person who integrates wants the whole
list. This walk runs only after a refusal. It also checks what msgspec cannot say in a type: the range of
instants and the size of metadata, marked by ``Meta(extra=...)`` in ``api/fields.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from quotastack.api.fields import INSTANT_MAX, INSTANT_MIN
from quotastack.core.amounts import ExactNumber
from quotastack.core.errors import FieldFault

FAULTS_MAX: Final = 100

_JSON_KINDS: Final = {
    bool: "a boolean",
    int: "an integer",
    float: "a number with decimals",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}
_EXPECTED: Final = {
    "BoolType": (bool,),
    "IntType": (int,),
    "FloatType": (float, int),
    "StrType": (str,),
    "DateTimeType": (str, datetime),
    "UUIDType": (str,),
    "DecimalType": (str, int, float),
    "EnumType": (str,),
    "ListType": (list,),
    "VarTupleType": (list,),
    "SetType": (list,),
    "FrozenSetType": (list,),
    "TupleType": (list,),
    "DictType": (dict,),
    "StructType": (dict,),
    "TypedDictType": (dict,),
    "NoneType": (type(None),),
}
_WANTED: Final = {
    "BoolType": "true or false",
    "IntType": "an integer",
    "FloatType": "a number",
    "StrType": "a string",
    "DateTimeType": "an RFC 3339 time in a string",
    "UUIDType": "a UUID",
    "DecimalType": "a number or a decimal string",
    "ListType": "an array",
    "VarTupleType": "an array",
    "SetType": "an array",
    "FrozenSetType": "an array",
    "TupleType": "an array",
    "DictType": "an object",
    "StructType": "an object",
    "TypedDictType": "an object",
    "NoneType": "null",
}


@lru_cache(maxsize=1024)
def type_info(struct: type) -> inspect.Type:
    """The inspected form of a body or query type."""
    return inspect.type_info(struct)


def find_faults(struct: type, value: Any) -> list[FieldFault]:
    """All faults of ``value`` against ``struct``, at most a hundred, in the order of the fields."""
    faults: list[FieldFault] = []
    for fault in _walk(type_info(struct), value, "", {}):
        faults.append(fault)
        if len(faults) == FAULTS_MAX:
            break
    return faults


def pointer_to(parent: str, name: str | int) -> str:
    """JSON pointer (RFC 6901) of a member."""
    return f"{parent}/{str(name).replace('~', '~0').replace('/', '~1')}"


def _walk(info: Any, value: Any, pointer: str, marks: dict[str, Any]) -> Iterator[FieldFault]:
    if isinstance(info, inspect.Metadata):
        known = {**marks, **(info.extra or {})}
        if info.extra_json_schema:
            known.setdefault("description", info.extra_json_schema.get("description"))
        yield from _walk(info.type, value, pointer, known)
        return
    kind = type(info).__name__
    if kind in {"AnyType", "RawType"}:
        return
    if kind == "UnionType":
        yield from _walk_union(info, value, pointer, marks)
        return
    if kind == "LiteralType":
        if type(value) not in {type(known) for known in info.values} or value not in info.values:
            listed = ", ".join(_shown(known) for known in info.values)
            yield FieldFault(pointer, f"must be one of {listed}.")
        return
    if type(value) not in _EXPECTED.get(kind, (type(value),)):
        yield FieldFault(
            pointer,
            f"must be {_WANTED.get(kind, 'another type')}{_not(value)}.",
        )
        return
    check = _CHECKS.get(kind)
    if check is not None:
        yield from check(info, value, pointer, marks)


def _walk_union(info: Any, value: Any, pointer: str, marks: dict[str, Any]) -> Iterator[FieldFault]:
    members = [member for member in info.types if _plain_kind(member) != "UnsetType"]
    fitting = [member for member in members if _fits(member, value)]
    if len(fitting) > 1:
        fitting = [member for member in fitting if _has_tag(member, value)] or fitting
    if len(fitting) == 1 or (fitting and len(members) == 1):
        yield from _walk(fitting[0], value, pointer, marks)
        return
    if len(members) == 1:
        yield from _walk(members[0], value, pointer, marks)
        return
    if not fitting:
        wanted = [_WANTED.get(_plain_kind(member), "another value") for member in members]
        yield FieldFault(pointer, f"must be {' or '.join(dict.fromkeys(wanted))}{_not(value)}.")
        return
    attempts = [list(_walk(member, value, pointer, marks)) for member in fitting]
    if all(attempts):
        yield from min(attempts, key=len)


def _not(value: Any) -> str:
    found = _JSON_KINDS.get(type(value))
    return f", not {found}" if found else ""


def _plain_kind(info: Any) -> str:
    while isinstance(info, inspect.Metadata):
        info = info.type
    return type(info).__name__


def _fits(info: Any, value: Any) -> bool:
    while isinstance(info, inspect.Metadata):
        info = info.type
    kind = type(info).__name__
    if kind == "LiteralType":
        return type(value) in {type(known) for known in info.values}
    return kind == "AnyType" or type(value) in _EXPECTED.get(kind, ())


def _has_tag(info: Any, value: Any) -> bool:
    while isinstance(info, inspect.Metadata):
        info = info.type
    tag_field = getattr(info, "tag_field", None)
    return tag_field is not None and isinstance(value, dict) and value.get(tag_field) == info.tag


def _shown(value: Any) -> str:
    return "null" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


def _check_number(info: Any, value: Any, pointer: str, _marks: dict[str, Any]) -> Iterator[FieldFault]:
    for name, word, fails in (
        ("ge", "at least", lambda bound: value < bound),
        ("gt", "above", lambda bound: value <= bound),
        ("le", "at most", lambda bound: value > bound),
        ("lt", "below", lambda bound: value >= bound),
    ):
        bound = getattr(info, name, None)
        if bound is not None and fails(bound):
            yield FieldFault(pointer, f"must be {word} {bound}.")
            return


def _check_decimal(_info: Any, value: Any, pointer: str, _marks: dict[str, Any]) -> Iterator[FieldFault]:
    try:
        msgspec.convert(value, ExactNumber)
    except msgspec.ValidationError:
        yield FieldFault(pointer, "must be a number in decimal digits, such as 0.5.")


def _check_text(info: Any, value: str, pointer: str, marks: dict[str, Any]) -> Iterator[FieldFault]:
    if info.min_length is not None and len(value) < info.min_length:
        yield FieldFault(pointer, f"must have at least {info.min_length} character(s).")
    elif info.max_length is not None and len(value) > info.max_length:
        yield FieldFault(pointer, f"must have at most {info.max_length} characters.")
    elif info.pattern is not None and not re.search(info.pattern, value):
        if marks.get("is_uuid"):
            own = pointer.endswith("/customer_id")
            hint = "; your own ids go into external_customer_id" if own else ""
            yield FieldFault(pointer, f"must be a UUID{hint}.")
        else:
            form = marks.get("description") or f"it must match {info.pattern}"
            yield FieldFault(pointer, f"does not have the allowed form: {form}")


def _check_instant(info: Any, value: Any, pointer: str, marks: dict[str, Any]) -> Iterator[FieldFault]:
    try:
        at = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        yield FieldFault(pointer, "must be an RFC 3339 time with a zone, such as 2026-01-31T10:00:00Z.")
        return
    if at.tzinfo is None:
        yield FieldFault(pointer, "must have a time zone: end it in Z, or in an offset such as +02:00.")
    elif (info.tz or marks.get("is_instant")) and not is_in_range(at):
        yield FieldFault(pointer, "must be from 2000-01-01 to 2200-01-01.")


def is_in_range(at: datetime) -> bool:
    """Whether an aware instant is one the contract allows."""
    return INSTANT_MIN <= at < INSTANT_MAX


def _check_size(info: Any, value: Any, pointer: str, noun: str) -> Iterator[FieldFault]:
    if info.min_length is not None and len(value) < info.min_length:
        yield FieldFault(pointer, f"must have at least {info.min_length} {noun}.")
    elif info.max_length is not None and len(value) > info.max_length:
        yield FieldFault(pointer, f"must have at most {info.max_length} {noun}.")


def _check_array(info: Any, value: list[Any], pointer: str, _marks: dict[str, Any]) -> Iterator[FieldFault]:
    yield from _check_size(info, value, pointer, "item(s)")
    for index, item in enumerate(value):
        yield from _walk(info.item_type, item, pointer_to(pointer, index), {})


def _check_mapping(
    info: Any, value: dict[str, Any], pointer: str, marks: dict[str, Any]
) -> Iterator[FieldFault]:
    yield from _check_size(info, value, pointer, "key(s)")
    for name, item in value.items():
        yield from _walk(info.key_type, name, pointer_to(pointer, name), {})
        yield from _walk(info.value_type, item, pointer_to(pointer, name), {})
    max_bytes = marks.get("max_bytes")
    if max_bytes is not None and len(msgspec.json.encode(value)) > max_bytes:
        yield FieldFault(pointer, f"must have at most {max_bytes} bytes as JSON.")


def _check_struct(
    info: Any, value: dict[str, Any], pointer: str, _marks: dict[str, Any]
) -> Iterator[FieldFault]:
    known: set[str] = {info.tag_field} if info.tag_field else set()
    for field in info.fields:
        known.add(field.encode_name)
        if field.encode_name in value:
            yield from _walk(field.type, value[field.encode_name], pointer_to(pointer, field.encode_name), {})
        elif field.required:
            yield FieldFault(pointer_to(pointer, field.encode_name), "is required.")
    if info.tag_field and value.get(info.tag_field) != info.tag:
        yield FieldFault(pointer_to(pointer, info.tag_field), f'must be "{info.tag}".')
    if info.forbid_unknown_fields:
        for name in value:
            if name not in known:
                yield FieldFault(pointer_to(pointer, name), "is not a known field here.")


_CHECKS: Final[dict[str, Callable[[Any, Any, str, dict[str, Any]], Iterator[FieldFault]]]] = {
    "IntType": _check_number,
    "FloatType": _check_number,
    "DecimalType": _check_decimal,
    "StrType": _check_text,
    "DateTimeType": _check_instant,
    "ListType": _check_array,
    "VarTupleType": _check_array,
    "SetType": _check_array,
    "FrozenSetType": _check_array,
    "DictType": _check_mapping,
    "StructType": _check_struct,
}
