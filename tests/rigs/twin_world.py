"""An environment full of things with shared names, and the walk that reads everything its owner can read."""

import json
import re
import uuid
from typing import Any

from tests.api import tenant_world
from tests.api.stories import Story, answer
from tests.rigs.openapi_operations import Operation, address, kind_of

_is_uuid = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_is_instant = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
# What may differ between two readings although nothing was changed.
VOLATILE = {"request_id", "last_used_at", "now", "at", "as_of", "checked_at", "verified_at"}
NAMES = ("id", "key", "customer_id", "billable_metric_key")
# A field of a body that names a thing, and the word of the path that names such things.
FIELD_KINDS = {
    "customer_id": "customers",
    "external_customer_id": "customer-by-external-id",
    "end_user_id": "customer-by-external-id",
    "billable_metric_key": "billable-metrics",
    "feature_key": "billable-metrics",
    "plan_variant_id": "variants",
    "package_id": "packages",
}


class Twin:
    """One environment: its storyteller, its canary, and the ids of its things by kind, the shared first."""

    def __init__(self, story: Story, operations: list[Operation], canary: str) -> None:
        self.story = story
        self.operations = operations
        self.canary = canary
        ids = tenant_world.build(story, canary)
        self._add_own_names(ids)
        answer(story.api.patch(f"/v1/webhooks/endpoints/{ids['endpoint']}", {"status": "disabled"}), 200)
        self.things: dict[str, list[str]] = {
            "customers": [ids["customer"]],
            "customer-by-external-id": [ids["external"]],
            "billable-metrics": [ids["metric"]],
            "variants": [ids["variant"]],
            "topup": [ids["block"]],
            "listeners": [ids["listener"]] if ids["listener"] else [],
            "tenants": [ids["tenant"]],
        }
        self.read()

    def _add_own_names(self, ids: dict[str, str]) -> None:
        """A customer, a metric and a plan whose names only this environment has, and texts in all fields."""
        story, name = self.story, f"only_{self.canary}"
        texts = {"note": self.canary}
        customer = story.customer(name, display_name=self.canary, email=f"{name}@example.com", metadata=texts)
        story.priced(name, 1_000)
        story.plan(name, description=self.canary, metadata=texts)
        grant = {"credits": 900_000, "source": "promotional", "reason": self.canary, "metadata": texts}
        answer(story.post(f"/v1/customers/{customer}/credits/grant", grant), 201)
        adjust = {"delta": -1_000, "reason": self.canary, "metadata": texts}
        answer(story.post(f"/v1/customers/{ids['customer']}/credits/adjust", adjust), 200)
        answer(story.reserve(ids["customer"], ids["metric"], metadata=texts), 201)
        story.used(customer, name, 1, metadata=texts)

    def read(self) -> dict[str, str]:
        """Every GET that its owner can ask, by address, as text; things that are met become known."""
        told: dict[str, str] = {}
        for operation in sorted(self.operations, key=lambda found: len(found.parameters)):
            if operation.verb == "GET" and operation.scope is not None:
                self._read_one(operation, told)
        return told

    def _read_one(self, operation: Operation, told: dict[str, str]) -> None:
        template = operation.template
        kinds = [kind_of(template, name) for name in operation.parameters]
        if not all(self.things.get(kind) for kind in kinds):
            return
        values = dict(zip(operation.parameters, (self.things[kind][0] for kind in kinds), strict=True))
        path = address(template, values, {})
        response = self.story.api.get(path)
        if response.status != 200:
            return
        told[path] = json.dumps(settled(response.json), sort_keys=True)
        kind = template.rpartition("/")[2]
        rows = response.json.get("data") if isinstance(response.json, dict) else None
        if isinstance(rows, list) and not kind.startswith("{"):
            self._meet(kind, rows)

    def _meet(self, kind: str, rows: list[Any]) -> None:
        for row in rows:
            found = next((row[name] for name in NAMES if isinstance(row.get(name), str)), None)
            if found is not None and found not in self.things.setdefault(kind, []):
                self.things[kind].append(found)
            external = row.get("external_id") if kind == "customers" else None
            if external is not None and external not in self.things["customer-by-external-id"]:
                self.things["customer-by-external-id"].append(external)

    def own(self, kind: str) -> str:
        """The own thing of that kind; an id of nobody where there is none."""
        return next(iter(self.things.get(kind, ())), str(uuid.uuid4()))

    def foreign_to(self, other: "Twin") -> dict[str, list[str]]:
        """At most two things of each kind that the other environment does not have."""
        found = {}
        for kind, things in self.things.items():
            theirs = [thing for thing in things if thing not in other.things.get(kind, ())]
            if theirs:
                found[kind] = [theirs[0], theirs[-1]] if len(theirs) > 1 else theirs
        return found

    def secrets(self, other: "Twin") -> set[str]:
        """What must never be seen by the other: the canary and the ids that are not the other's too."""
        shared = {thing for things in other.things.values() for thing in things}
        ids = {thing for things in self.things.values() for thing in things if _is_uuid.fullmatch(thing)}
        return (ids - shared) | {self.canary}


def settled(value: Any) -> Any:
    """The value without what may differ between two readings."""
    if isinstance(value, dict):
        return {name: settled(inner) for name, inner in value.items() if name not in VOLATILE}
    return [settled(inner) for inner in value] if isinstance(value, list) else value


def nobodys(thing: str) -> str:
    """An identifier of the same form that nobody has."""
    return str(uuid.uuid4()) if _is_uuid.fullmatch(thing) else f"none{thing[4:]}"


def plain(text: str) -> str:
    """A text without generated ids and instants."""
    return _is_instant.sub("<at>", _is_uuid.sub("<id>", text))
