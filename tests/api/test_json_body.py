"""Strict JSON: equal to the standard library's reading where both read, and stricter where readers differ."""

import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType

from quotastack.api.fields import Body, CustomerBody, ExternalId, Instant, Key, Metadata, Units, Uuid
from quotastack.api.json_body import BodyReader, parse_json, survey
from quotastack.core.errors import (
    CustomerIdentifierConflictError,
    MalformedRequestError,
    ProblemError,
    ValidationFailedError,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.from_regex(rb'[\[\]{}:,"\\u0-9a-f.eE+ -]{0,40}', fullmatch=True)
SPACES = st.sampled_from(["", " ", "\n\t", "\r\n "])


@given(value=VALUES, is_ascii=st.booleans(), indent=st.sampled_from([None, 0, 2]))
def test_what_a_library_writes_is_read_as_it_was(value: Any, is_ascii: Any, indent: Any) -> None:
    raw = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()
    assert parse_json(raw) == json.loads(raw)


@given(value=st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4), space=SPACES, data=st.data())
def test_a_key_twice_is_refused_wherever_it_is(
    value: dict[str, Any], space: str, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    again = json.dumps(name) + space + ":" + space + "1"
    raw = (json.dumps(value, ensure_ascii=False)[:-1] + "," + again + "}").encode()
    for wrapped in (raw, b'{"a":[' + raw + b"]}", b"[[1," + raw + b"]]"):
        with pytest.raises(MalformedRequestError):
            parse_json(wrapped)


@given(
    raw=st.binary(max_size=60)
    | TEXTS.map(str.encode)
    | st.from_regex(rb'[\[\]{}:,"\\u0-9a-f.eE+ -]{0,40}', fullmatch=True)
)
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        value = parse_json(raw)
    except ProblemError:
        return
    assert value == json.loads(raw)
    assert len(json.dumps(value)) >= 1


@pytest.mark.parametrize(
    "text", ['{"a:":":","b":"\\":","c\\"":1}', '{"\\":":"x:\\":"}', '[{"a":{"b":{}}},{"a":[]}]']
)
def test_colons_in_strings_are_no_keys(text: str) -> None:
    assert parse_json(text.encode()) == json.loads(text)
    assert survey(json.loads(text))[0] >= 1


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, -(2**63) - 1])
@pytest.mark.parametrize("shape", ["%d", "[%d]", '{"a":%d}', '{"a":[1,{"b":%d}]}', '[[],[{"c":[%d,2]}]]'])
def test_a_number_beyond_64_bits_is_refused_wherever_it_is(shape: str, number: int) -> None:
    with pytest.raises(ValidationFailedError):
        parse_json((shape % number).encode())
    for within in (2**63 - 1, -(2**63)):
        assert parse_json((shape % within).encode()) == json.loads(shape % within)


class Line(CustomerBody, frozen=True, kw_only=True):
    billable_metric_key: Key
    units: Units = 1
    at: Instant | UnsetType = UNSET


class Order(Body, frozen=True, kw_only=True):
    lines: Annotated[list[Line], Meta(min_length=1, max_length=2)]
    note: ExternalId | None = None
    kind: Literal["a", "b"] = "a"
    owner_id: Uuid | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    flag: bool = False


def read(value: Any) -> Order:
    raw = msgspec.json.encode(value)
    reader = BodyReader(Order)
    return reader.read(reader.replace_aliases(parse_json(raw)), len(raw))


def test_one_spelling_inside() -> None:
    body = read(
        {
            "lines": [
                {"end_user_id": "u", "feature_key": "calls", "at": "2041-01-01T02:00:00+02:00"},
                {"customer_id": "01920000-0000-7000-8000-ABCDEFABCDEF", "billable_metric_key": "calls"},
            ],
            "owner_id": "01920000-0000-7000-8000-ABCDEFABCDEF",
        }
    )
    assert body.lines[0].external_customer_id == "u"
    assert body.lines[0].billable_metric_key == "calls"
    assert str(body.lines[0].at) == "2041-01-01 00:00:00+00:00"
    assert body.lines[1].customer_id == body.owner_id == "01920000-0000-7000-8000-abcdefabcdef"


LINE = {"external_customer_id": "u", "billable_metric_key": "calls"}


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        ({}, ["/lines"]),
        ({"lines": []}, ["/lines"]),
        ({"lines": [LINE] * 3}, ["/lines"]),
        ({"lines": {}}, ["/lines"]),
        ({"lines": [1, LINE]}, ["/lines/0"]),
        (
            {"lines": [{**LINE, "units": 1.5, "at": "x", "z": 1}]},
            ["/lines/0/units", "/lines/0/at", "/lines/0/z"],
        ),
        ({"lines": [LINE], "kind": "c", "flag": 1, "note": ""}, ["/note", "/kind", "/flag"]),
        ({"lines": [LINE], "owner_id": "me", "metadata": {"": 1}}, ["/owner_id", "/metadata/"]),
        ({"lines": [LINE], "a/b~c": 1}, ["/a~1b~0c"]),
        ({"lines": [{**LINE, "at": "2300-01-01T00:00:00Z"}]}, ["/lines/0/at"]),
        ({"lines": [{**LINE, "at": "1999-12-31T23:59:59.999999Z"}]}, ["/lines/0/at"]),
    ],
)
def test_faults_are_listed_in_the_order_of_the_fields(value: Any, pointers: list[str]) -> None:
    with pytest.raises(ValidationFailedError) as caught:
        read(value)
    assert [fault.pointer for fault in caught.value.errors] == pointers


def test_at_most_a_hundred_faults_are_listed() -> None:
    with pytest.raises(ValidationFailedError) as caught:
        read({f"x{number}": 1 for number in range(500)})
    assert len(caught.value.errors) == 100


def test_both_ids_are_refused_before_their_form() -> None:
    with pytest.raises(CustomerIdentifierConflictError):
        BodyReader(Line).read(
            {"customer_id": "x", "external_customer_id": "y", "billable_metric_key": "a"}, 50
        )
