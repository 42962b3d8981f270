"""One spelling inside: aliases under their real names, UUIDs in lower case, instants in UTC and in range.

Which fields of a type need it is found once per type; a type without any costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET, inspect

from quotastack.api.faults import is_in_range, type_info
from quotastack.core.errors import FieldFault, ValidationFailedError

ALIASES: Final = {"end_user_id": "external_customer_id", "feature_key": "billable_metric_key"}

_set = msgspec.structs.force_setattr


class NormalForm:
    """The normal form of one type.

    ``is_needed``: it has instants or UUIDs somewhere. ``has_sizes``: it has fields limited in bytes.
    """

    __slots__ = ("_aliases", "_apply", "has_sizes", "is_needed")

    def __init__(self, struct: type[msgspec.Struct]) -> None:
        info = type_info(struct)
        self._apply = _plan(info)
        self.is_needed = self._apply is not None
        self.has_sizes = _mentions(info, "max_bytes", set())
        self._aliases = _alias_plan(info)

    def apply(self, value: Any) -> bool:
        """Bring the struct into normal form; False when an instant is out of range."""
        return self._apply is None or self._apply(value)

    def replace_aliases(self, value: Any) -> Any:
        """Plain objects with real names only.

        Raises:
            ValidationFailedError: an alias beside its real name.
        """
        return value if self._aliases is None else self._aliases(value, "")


Plan = Callable[[Any], bool]


def _plan(info: Any) -> Plan | None:
    """What to do with a value of this type in place, None when nothing."""
    if isinstance(info, inspect.Metadata):
        return _plan(info.type)
    if isinstance(info, inspect.UnionType):
        plans = [plan for member in info.types if (plan := _plan(member)) is not None]
        structs = _structs_of(info)
        if not plans:
            return None
        by_class = {member.cls: _plan(member) for member in structs}

        def apply_union(value: Any) -> bool:
            if isinstance(value, list | tuple):
                return all(plan(value) for plan in plans[:1])
            plan = by_class.get(type(value))
            return plan is None or plan(value)

        return apply_union
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        item_plan = _plan(info.item_type)
        return None if item_plan is None else lambda items: all(item_plan(item) for item in items)
    if isinstance(info, inspect.StructType):
        return _struct_plan(info)
    return None


def _structs_of(info: Any) -> list[inspect.StructType]:
    found: list[inspect.StructType] = []
    for member in info.types:
        plain = member
        while isinstance(plain, inspect.Metadata):
            plain = plain.type
        if isinstance(plain, inspect.StructType):
            found.append(plain)
    return found


def _struct_plan(info: inspect.StructType) -> Plan | None:
    instants = tuple(field.name for field in info.fields if _marks(field.type).get("is_instant"))
    uuids = tuple(field.name for field in info.fields if _marks(field.type).get("is_uuid"))
    nested = tuple((field.name, plan) for field in info.fields if (plan := _plan(field.type)) is not None)
    if not (instants or uuids or nested):
        return None

    def apply(value: Any) -> bool:
        for name in uuids:
            uuid = getattr(value, name)
            if type(uuid) is str and not uuid.islower():
                _set(value, name, uuid.lower())
        for name in instants:
            at = getattr(value, name)
            if at is not UNSET and at is not None and not _bring_to_utc(value, name, at):
                return False
        for name, plan in nested:
            part = getattr(value, name)
            if part is not UNSET and part is not None and not plan(part):
                return False
        return True

    return apply


def _bring_to_utc(value: Any, name: str, at: datetime) -> bool:
    if not is_in_range(at):
        return False
    if at.tzinfo is not UTC:
        _set(value, name, at.astimezone(UTC))
    return True


def _marks(info: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(info, inspect.Metadata):
        found.update(_marks(info.type))
        found.update(info.extra or {})
    elif isinstance(info, inspect.UnionType):
        for member in info.types:
            found.update(_marks(member))
    return found


def _mentions(info: Any, mark: str, seen: set[type]) -> bool:
    if isinstance(info, inspect.Metadata):
        return mark in (info.extra or {}) or _mentions(info.type, mark, seen)
    if isinstance(info, inspect.UnionType):
        return any(_mentions(member, mark, seen) for member in info.types)
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        return _mentions(info.item_type, mark, seen)
    if isinstance(info, inspect.StructType):
        if info.cls in seen:
            return False
        seen.add(info.cls)
        return any(_mentions(field.type, mark, seen) for field in info.fields)
    return False


AliasPlan = Callable[[Any, str], Any]


def _alias_plan(info: Any) -> AliasPlan | None:
    if isinstance(info, inspect.Metadata):
        return _alias_plan(info.type)
    if isinstance(info, inspect.UnionType):
        plans = [plan for member in info.types if (plan := _alias_plan(member)) is not None]
        return plans[0] if plans else None
    if isinstance(info, inspect.ListType | inspect.VarTupleType):
        item_plan = _alias_plan(info.item_type)
        if item_plan is None:
            return None

        def replace_in_items(value: Any, pointer: str) -> Any:
            if not isinstance(value, list):
                return value
            return [item_plan(item, f"{pointer}/{index}") for index, item in enumerate(value)]

        return replace_in_items
    return _struct_alias_plan(info) if isinstance(info, inspect.StructType) else None


def _struct_alias_plan(info: inspect.StructType) -> AliasPlan | None:
    names = {field.encode_name for field in info.fields}
    aliases = {alias: name for alias, name in ALIASES.items() if name in names and alias not in names}
    nested = {
        field.encode_name: plan for field in info.fields if (plan := _alias_plan(field.type)) is not None
    }
    if not (aliases or nested):
        return None

    def replace(value: Any, pointer: str) -> Any:
        if not isinstance(value, dict):
            return value
        for alias, name in aliases.items():
            if alias in value and name in value:
                detail = f"{alias} is another name of {name}: give one of them."
                raise ValidationFailedError(detail, errors=[FieldFault(f"{pointer}/{alias}", detail)])
        return {
            aliases.get(name, name): nested[name](item, f"{pointer}/{name}") if name in nested else item
            for name, item in value.items()
        }

    return replace
