"""The catalog of events, its schemas and examples, the contract's list and the code that writes events: one thing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from quotastack.core import events
from quotastack.core.envelopes import content_type
from quotastack.core.errors import ERRORS_BY_SLUG, ProblemError, _leaves
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


def test_the_parts_of_examples_fit_the_schemas() -> None:
    """Each part with all of its fields: what it is made of is what the contract names."""
    subscription = events._subscription("paused", pause_resumes_at="2026-04-30T10:00:00Z")
    validate_data("subscription.paused", subscription)
    assert subscription == {
        "subscription_id": "019d43b6-8283-7e54-8d75-3b2c7f6a9d43",
        "plan_id": "019d43b6-8284-7f11-8e20-51c3d9a4b854",
        "plan_variant_id": "019d43b6-8285-7b92-a1d7-0e6f4c2d1965",
        "variant_version": 1,
        "status": "paused",
        "billing_mode": "prepaid",
        "current_period_start": "2026-03-31T10:00:00Z",
        "current_period_end": "2026-04-30T10:00:00Z",
        "cancel_at_period_end": False,
        "pause_resumes_at": "2026-04-30T10:00:00Z",
    }
    refunded = events._credits(1_000, 75_000, effective_balance=75_000)
    validate_data("credit.refunded", refunded)
    assert refunded == {
        "unit": "credits",
        "amount": 1_000,
        "balance": 75_000,
        "effective_balance": 75_000,
    }


def test_a_delivery_names_what_it_carries() -> None:
    assert content_type("standard") == "application/json"
    assert content_type("cloudevents") == "application/cloudevents+json"


def test_each_refusal_has_a_slug_of_its_own() -> None:
    found = _leaves(ProblemError)
    assert found == ERRORS_BY_SLUG == {error.slug: error for error in ProblemError.__subclasses__()}
    assert len(found) == len(ProblemError.__subclasses__())

    class Family:
        """Stands for the refusals of a server that has two of one slug."""

    class First(Family):
        slug = "twice"

    class Second(Family):
        slug = "twice"

    with pytest.raises(AssertionError, match="two errors share the slug twice"):
        _leaves(Family)  # pyright: ignore[reportArgumentType]
    assert Family.__subclasses__() == [First, Second]
