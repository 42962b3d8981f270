"""Strict JSON: what every parser would read the same way, and nothing else.

Refused: a byte-order mark, invalid UTF-8, NaN and infinities, nesting deeper than 32, integers beyond 64 bits,
the same key twice in one object, and NUL or lone surrogates in any string (PostgreSQL cannot store them). The
checks are arranged so that an ordinary body pays for a few byte searches only; the slow, exact ones run when
a search says that there may be something to find.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import msgspec

from quotastack.api.faults import find_faults, pointer_to
from quotastack.api.fields import METADATA_BYTES_MAX
from quotastack.api.normal_form import NormalForm
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import (
    CustomerIdentifierConflictError,
    FieldFault,
    MalformedRequestError,
    ValidationFailedError,
)

DEPTH_MAX: Final = 32
INTEGER_MAX: Final = 2**63 - 1
INTEGER_MIN: Final = -(2**63)

_decode = msgspec.json.Decoder().decode
_find_keys = re.compile(rb'"[ \t\r\n]*:').findall


def parse_json(raw: bytes) -> Any:
    """The body as plain objects.

    Raises:
        MalformedRequestError: not JSON, or JSON that two parsers could read differently.
        ValidationFailedError: a string or number in it cannot be stored; every one is listed.
    """
    if raw.count(b"[") + raw.count(b"{") > DEPTH_MAX:
        _check_depth(raw)
    try:
        value = _decode(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise MalformedRequestError(f"The body is not JSON: {_told(error)}") from None
    keys, has_large_number = survey(value)
    if len(_find_keys(raw)) != keys:
        _check_duplicates(raw)
    if has_large_number or b"\\u" in raw:
        faults = list(_unstorable(value, ""))
        if faults:
            raise ValidationFailedError("Some values in the body cannot be stored.", errors=faults[:100])
    return value


def survey(value: Any) -> tuple[int, bool]:
    """How many keys all objects in ``value`` have together, and whether an integer is beyond 64 bits."""
    kind = type(value)
    if kind is dict:
        keys, items = len(value), value.values()
    elif kind is list:
        keys, items = 0, value
    else:
        return 0, _number_fault(value) is not None
    has_large_number = False
    for item in items:
        kind = type(item)
        if kind is dict or kind is list:
            more, has_large = survey(item)
            keys += more
            has_large_number |= has_large
        elif kind is int and not INTEGER_MIN <= item <= INTEGER_MAX:
            has_large_number = True
    return keys, has_large_number


def _told(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "it is not valid UTF-8."
    if isinstance(error, RecursionError):
        return f"it is nested deeper than {DEPTH_MAX} levels."
    text = str(error).removeprefix("JSON is malformed: ")
    return f"{text[:1].lower()}{text[1:]}."


def _check_depth(raw: bytes) -> None:
    depth = 0
    in_string = False
    is_escaped = False
    for byte in raw:
        if in_string:
            if is_escaped:
                is_escaped = False
            elif byte == 0x5C:
                is_escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in {0x5B, 0x7B}:
            depth += 1
            if depth > DEPTH_MAX:
                raise MalformedRequestError(f"The body is nested deeper than {DEPTH_MAX} levels.")
        elif byte in {0x5D, 0x7D}:
            depth -= 1


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _value in pairs:
            if name in seen:
                shown = name if len(name) <= 60 else f"{name[:60]}..."
                raise MalformedRequestError(f"The body has the key {json.dumps(shown)} twice in one object.")
            seen.add(name)
    return members


def _check_duplicates(raw: bytes) -> None:
    # msgspec has read the body already, so the numbers and the depth that the standard library trips over
    # are behind us; numbers are kept as text here all the same.
    json.loads(raw, object_pairs_hook=_refuse_duplicates, parse_int=str, parse_float=str)


def _unstorable(value: Any, pointer: str) -> Iterator[FieldFault]:
    if isinstance(value, dict):
        for name, item in value.items():
            fault = text_fault(name)
            if fault:
                yield FieldFault(pointer, f"has a key that {fault}")
            else:
                yield from _unstorable(item, pointer_to(pointer, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unstorable(item, pointer_to(pointer, index))
    else:
        fault = text_fault(value) if isinstance(value, str) else _number_fault(value)
        if fault:
            yield FieldFault(pointer, fault)


def _number_fault(value: Any) -> str | None:
    if type(value) is int and not INTEGER_MIN <= value <= INTEGER_MAX:
        return "must fit into 64 bits."
    return None


def text_fault(text: str) -> str | None:
    """Why PostgreSQL could not store a string."""
    if "\x00" in text:
        return "must not hold the character NUL."
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must not hold a lone surrogate."
    return None


class BodyReader:
    """Reads the bodies of one route into its type. Made once per route."""

    __slots__ = ("_normal_form", "_struct", "names_customer")

    def __init__(self, struct: type[msgspec.Struct]) -> None:
        self._struct = struct
        self._normal_form = NormalForm(struct)
        fields = struct.__struct_fields__
        self.names_customer = "customer_id" in fields and "external_customer_id" in fields

    def read(self, value: Any, size_bytes: int) -> Any:
        """The typed body out of plain objects; aliases have been replaced by their real names.

        Raises:
            CustomerIdentifierConflictError: both customer ids.
            ValidationFailedError: every fault listed.
        """
        struct = self._struct
        if (
            self.names_customer
            and isinstance(value, dict)
            and "customer_id" in value
            and "external_customer_id" in value
        ):
            raise CustomerIdentifierConflictError(
                "Name the customer by exactly one of customer_id and external_customer_id; both were given."
            )
        try:
            body = msgspec.convert(value, struct)
        except msgspec.ValidationError as error:
            refuse(struct, value, error, what="body")
        normal_form = self._normal_form
        if normal_form.is_needed and not normal_form.apply(body):
            refuse(struct, value, None, what="body")
        if size_bytes > METADATA_BYTES_MAX and normal_form.has_sizes:
            faults = find_faults(struct, value)
            if faults:
                raise ValidationFailedError(summarise(faults, "body"), errors=faults)
        return body

    def replace_aliases(self, value: Any) -> Any:
        """``value`` with ``end_user_id`` and ``feature_key`` under their real names."""
        return self._normal_form.replace_aliases(value)

    @staticmethod
    def customer_of(body: Any) -> CustomerRef:
        """The one customer that a body or a query names.

        Raises:
            CustomerIdentifierConflictError: both ids, or neither.
        """
        return named_customer(body)


def named_customer(struct: Any) -> CustomerRef:
    """The one customer that a body, a query or an item of a batch names.

    Raises:
        CustomerIdentifierConflictError: both ids, or neither.
    """
    customer_id = struct.customer_id
    external_id = struct.external_customer_id
    return CustomerRef.one_of(
        None if customer_id is msgspec.UNSET else customer_id,
        None if external_id is msgspec.UNSET else external_id,
    )


def refuse(struct: type, value: Any, error: msgspec.ValidationError | None, *, what: str) -> NoReturn:
    """Raise ``ValidationFailedError`` with every fault; ``error`` speaks where the walk finds none."""
    faults = find_faults(struct, value)
    if not faults:
        faults = [FieldFault("", str(error) if error else "is not valid.")]
    raise ValidationFailedError(summarise(faults, what), errors=faults)


def summarise(faults: list[FieldFault], what: str) -> str:
    """One sentence over the list, with the first fault in full."""
    pointer, detail = faults[0]
    place = pointer[1:] if pointer.count("/") == 1 else pointer
    first = f"{place or f'the {what}'} {detail}"
    more = f" ({len(faults) - 1} more in errors)" if len(faults) > 1 else ""
    return f"{first[:1].upper() if not place else first[:1]}{first[1:]}{more}"
