"""The catalog of events, its schemas and examples, the contract's list and the code that writes events: one thing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from quotastack.core.events import EVENT_TYPES, OFF_BY_DEFAULT, data_schema, validate_data

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "quotastack"

# The contract's list, group by group.
CONTRACT = {
    "customer": "customer.created customer.deleted",
    "credit": "credit.granted credit.consumed credit.expiring_soon credit.expired credit.adjusted credit.refunded"
    " credit.balance_low credit.exhausted",
    "usage": "usage.overage usage.rejected usage.reversed",
    "quota": "quota.level_changed asset.suspended asset.resumed asset.period_closed",
    "reservation": "reservation.created reservation.committed reservation.released reservation.expired",
    "topup": "topup.requested",
    "subscription": "subscription.created subscription.activated subscription.trial_ending subscription.renewal_due"
    " subscription.renewed subscription.overdue subscription.expired subscription.paused subscription.resumed"
    " subscription.cancel_scheduled subscription.canceled subscription.reactivated subscription.plan_changed",
    "contract": "contract.ending_soon contract.renewed contract.ended",
}


def test_the_catalog_is_the_contract() -> None:
    groups: dict[str, list[str]] = {}
    for known in EVENT_TYPES.values():
        groups.setdefault(known.group, []).append(known.type)
    assert groups == {group: types.split() for group, types in CONTRACT.items()}
    assert {"credit.consumed", "reservation.created"} == OFF_BY_DEFAULT


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_an_example_fits_its_schema(type_: str) -> None:
    known = EVENT_TYPES[type_]
    validate_data(type_, known.example)
    schema = data_schema(known)
    assert schema["type"] == "object"
    assert known.example.keys() <= schema["properties"].keys()
    assert set(schema.get("required", ())) <= known.example.keys()
    assert known.description.endswith(".")
    msgspec.json.encode(schema)


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_a_schema_refuses_what_it_does_not_name(type_: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        validate_data(type_, {**EVENT_TYPES[type_].example, "unheard_of": 1})


def written_types() -> Iterator[tuple[str, str]]:
    """(where, type) of every event that the code writes.

    An f-string stands for each type of its prefix whose rest is a word of some file of the rules.
    """
    sources = {path: ast.parse(path.read_text()) for path in sorted(CORE.rglob("*.py"))}
    words = {
        node.value
        for path, tree in sources.items()
        if path.name not in {"events.py", "event_data.py"} and path.parent.name == "core"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch("[a-z_]+", node.value)
    }
    for path, tree in sources.items():
        for node in ast.walk(tree):
            if not (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "add_event"
            ):
                continue
            where, type_ = f"{path.name}:{node.lineno}", node.args[1]
            if isinstance(type_, ast.Constant):
                yield where, str(type_.value)
            else:
                assert isinstance(type_, ast.JoinedStr), (
                    f"{where}: an event's type is a literal or an f-string"
                )
                prefix = type_.values[0]
                assert isinstance(prefix, ast.Constant), f"{where}: the f-string begins with the group"
                rests = {
                    name.removeprefix(prefix.value) for name in EVENT_TYPES if name.startswith(prefix.value)
                }
                assert rests, f"{where}: no type begins with {prefix.value}"
                yield from ((where, prefix.value + rest) for rest in sorted(rests & words))


def test_the_code_writes_what_the_catalog_says() -> None:
    written = list(written_types())
    unknown = [f"{where} writes {type_}" for where, type_ in written if type_ not in EVENT_TYPES]
    assert not unknown, f"add these to core/events.py and docs: {unknown}"
    missing = EVENT_TYPES.keys() - {type_ for _, type_ in written}
    assert not missing, f"nothing writes {sorted(missing)}"
