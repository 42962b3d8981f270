"""Query parameters, read as strictly as bodies: each known, at most once, exactly of its type."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import UNSET, inspect

from quotastack.api.faults import find_faults, type_info
from quotastack.api.fields import CustomerQuery
from quotastack.api.json_body import named_customer, refuse, summarise
from quotastack.api.normal_form import ALIASES, NormalForm
from quotastack.core.customer_ref import CustomerRef
from quotastack.core.errors import (
    CustomerIdentifierConflictError,
    FieldFault,
    MalformedRequestError,
    ValidationFailedError,
)

QUERY_MAX_BYTES: Final = 8 * 1024
CACHE_MAX: Final = 1024
# Where each query names a customer there are as many queries as customers: a small cache would be emptied before
# its first query comes again. At the bound it takes about 9 MB.
CUSTOMERS_CACHE_MAX: Final = 20_000
CACHED_MAX_BYTES: Final = 128

_is_integer = re.compile(r"-?(?:0|[1-9][0-9]{0,18})").fullmatch
_has_control = re.compile(r"[\x00-\x1f\x7f]").search
_is_broken_escape = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_ends_in_offset = re.compile(r" [0-9]{2}:?[0-9]{2}$").search

_KINDS: Final = {
    "IntType": "int",
    "BoolType": "bool",
    "DateTimeType": "instant",
    "StrType": "str",
    "LiteralType": "str",
}

Read = tuple[Any, CustomerRef | None]


def decode_text(raw: bytes, *, what: str) -> str:
    """Percent-decoded text.

    Raises:
        MalformedRequestError: a broken escape, not UTF-8, or a control character.
    """
    if b"%" in raw:
        if _is_broken_escape(raw):
            raise MalformedRequestError(f"The {what} holds a percent sign that starts no escape.")
        raw = unquote_to_bytes(raw)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise MalformedRequestError(f"The {what} is not valid UTF-8.") from None
    if not text.isprintable() and _has_control(text):
        raise MalformedRequestError(f"The {what} holds a control character.")
    return text


class QueryReader:
    """Reads the queries of one route into its type. Made once per route.

    Values of frozen types do not depend on time, so the few query strings that come again and again (a check's
    ``units=1``) are read once.
    """

    __slots__ = ("_cache", "_cache_max", "_kinds", "_normal_form", "_struct", "customer_rule")

    def __init__(self, struct: type[msgspec.Struct]) -> None:
        info = type_info(struct)
        assert isinstance(info, inspect.StructType)
        self._struct = struct
        self._normal_form = NormalForm(struct)
        self._kinds = {field.encode_name: _kind_of(field.type) for field in info.fields}
        names_customer = {"customer_id", "external_customer_id"} <= set(self._kinds)
        self.customer_rule: str | None = None
        if names_customer:
            self.customer_rule = "one" if issubclass(struct, CustomerQuery) else "any"
        self._cache: dict[bytes, Read] = {}
        self._cache_max = CUSTOMERS_CACHE_MAX if self.customer_rule == "one" else CACHE_MAX

    def read(self, raw: bytes) -> Read:
        """The typed query, and the customer that it names.

        Raises:
            MalformedRequestError: the query string cannot be decoded.
            CustomerIdentifierConflictError: both customer ids, or neither where one is needed.
            ValidationFailedError: every fault listed.
        """
        cached = self._cache.get(raw)
        if cached is not None:
            return cached
        values, faults = self._split(raw)
        struct = self._struct
        if self.customer_rule and "customer_id" in values and "external_customer_id" in values:
            raise CustomerIdentifierConflictError(
                "Name the customer by exactly one of customer_id and external_customer_id; both were given."
            )
        if faults:
            faults += find_faults(struct, values)
            raise ValidationFailedError(summarise(faults, "query"), errors=faults[:100])
        try:
            query = msgspec.convert(values, struct)
        except msgspec.ValidationError as error:
            refuse(struct, values, error, what="query")
        if not self._normal_form.apply(query):
            refuse(struct, values, None, what="query")
        customer = self._customer_of(query)
        if len(raw) <= CACHED_MAX_BYTES:
            if len(self._cache) >= self._cache_max:
                self._cache.clear()
            self._cache[raw] = (query, customer)
        return query, customer

    def _customer_of(self, query: Any) -> CustomerRef | None:
        if self.customer_rule is None:
            return None
        is_named = query.customer_id is not UNSET or query.external_customer_id is not UNSET
        return named_customer(query) if is_named or self.customer_rule == "one" else None

    def _split(self, raw: bytes) -> tuple[dict[str, Any], list[FieldFault]]:
        values: dict[str, Any] = {}
        faults: list[FieldFault] = []
        if not raw:
            return values, faults
        if len(raw) > QUERY_MAX_BYTES:
            raise MalformedRequestError(f"The query is longer than {QUERY_MAX_BYTES} bytes.")
        for part in raw.split(b"&"):
            if not part:
                continue
            raw_name, _equals, raw_value = part.replace(b"+", b" ").partition(b"=")
            name = decode_text(raw_name, what="query")
            text = decode_text(raw_value, what="query")
            real = name if name in self._kinds else ALIASES.get(name, name)
            if real not in self._kinds:
                faults.append(FieldFault(f"/{name}", "is not a known query parameter here."))
            elif real in values:
                same = name == real
                faults.append(
                    FieldFault(
                        f"/{name}", "is given twice." if same else f"is another name of {real}: give one."
                    )
                )
            else:
                values[real] = _typed(self._kinds[real], text)
        return values, faults


def _kind_of(info: Any) -> str:
    while isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.UnionType):
        kinds = {_kind_of(member) for member in info.types} - {"other"}
        assert len(kinds) <= 1, "a query parameter has one type"
        return kinds.pop() if kinds else "other"
    return {
        "IntType": "int",
        "BoolType": "bool",
        "DateTimeType": "instant",
        "StrType": "str",
        "LiteralType": "str",
    }.get(type(info).__name__, "other")


def _typed(kind: str, text: str) -> Any:
    """The value to validate; text that is not of its kind stays text, which the type then refuses."""
    if kind == "int":
        return int(text) if _is_integer(text) else text
    if kind == "bool":
        return {"true": True, "false": False}.get(text, text)
    if kind == "instant" and _ends_in_offset(text):
        # A plus sign that was not percent-encoded arrives as a space.
        text = "+".join(text.rsplit(" ", 1))
    return text
