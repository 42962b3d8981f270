"""Every documented operation with every scope and every kind of wrong key: as the OpenAPI document says.

A key that may not is told so before anything is read: the identifiers are nobody's and the bodies empty, so that no
call of the matrix can do anything.
"""

import uuid
from typing import Any

import pytest
from tests.api.stories import Story, answer, slug
from tests.races.servers import Client, ServerProcess
from tests.rigs.figures import tell
from tests.rigs.openapi_operations import Operation, address, operations_of

from quotastack.core.api_keys import checksum
from quotastack.services.caller import SCOPES


@pytest.fixture
def operations(server: ServerProcess) -> list[Operation]:
    nobody = server.client("none")
    return operations_of(answer(nobody.get("/openapi.json"), 200))


def call(client: Client, operation: Operation) -> Any:
    """The operation on things of nobody."""
    values = {name: str(uuid.uuid4()) for name in operation.parameters}
    path = address(operation.template, values, {})
    if operation.verb in {"GET", "DELETE"}:
        return getattr(client, operation.verb.lower())(path)
    # A field that no operation has: nothing is done, whatever the key may.
    return getattr(client, operation.verb.lower())(path, {"no_such_field": True})


def is_scope_refusal(response: Any) -> bool:
    return response.status == 403 and slug(response) == "insufficient-scope"


def make_key(story: Story, scopes: list[str]) -> tuple[str, str]:
    made = answer(story.post("/v1/admin/api-keys", {"name": "matrix", "scopes": scopes}), 201)
    return made["id"], max(str(value) for value in made.values() if str(value).startswith("qs_"))


def test_each_scope_opens_its_operations(
    server: ServerProcess, api: Client, tenant: Any, operations: list[Operation]
) -> None:
    story = Story(api, tenant)
    locked = [operation for operation in operations if operation.scope is not None]
    assert {operation.scope for operation in locked} <= set(SCOPES)
    wrong: list[str] = []
    for scope in SCOPES:
        client = server.client(make_key(story, [scope])[1])
        for operation in locked:
            response = call(client, operation)
            is_open = not is_scope_refusal(response)
            if is_open != (operation.scope == scope) or response.status in {401, *range(500, 600)}:
                wrong.append(f"{operation.name} with {scope}: {response.status} {response.json}")
            if not is_open and operation.scope not in str(response.json):
                wrong.append(f"{operation.name} with {scope}: does not name the scope it wants")
    count = len(SCOPES) * len(locked)
    tell("P22", ran=f"{len(SCOPES)} scopes x {len(locked)} operations", cases=count, violations=len(wrong))
    assert not wrong, "\n".join(wrong[:30])


def bad_keys(story: Story, tenant: Any, other_tenant: Any) -> dict[str, str | None]:
    """Keys that open nothing. One body answers them all, so that none says how wrong it is."""
    good = tenant.test_key
    revoked_id, revoked = make_key(story, ["admin"])
    answer(story.post(f"/v1/admin/api-keys/{revoked_id}/revoke"), 200)
    head = good[:-6]
    other_secret = head[:-1] + ("A" if head[-1] != "A" else "B")
    other_environment = head.replace("qs_test_", "qs_live_", 1)
    return {
        "none": None,
        "bad checksum": head + ("000000" if good[-6:] != "000000" else "000001"),
        "revoked": revoked,
        "other secret": other_secret + checksum(other_secret),
        "other environment": other_environment + checksum(other_environment),
        "truncated": good[:-1],
        "other case": good.swapcase(),
    }


def test_a_wrong_key_opens_nothing(
    server: ServerProcess, api: Client, tenant: Any, other_tenant: Any, operations: list[Operation]
) -> None:
    keys = bad_keys(Story(api, tenant), tenant, other_tenant)
    locked = [operation for operation in operations if operation.scope is not None]
    wrong: list[str] = []
    bodies: set[str] = set()
    for kind, key in keys.items():
        client = server.client(key or "")
        if key is None:
            del client.http.headers["X-API-Key"]
        for operation in locked:
            response = call(client, operation)
            body = response.json or {}
            if response.status != 401 or slug(response) != "authentication-required":
                wrong.append(f"{operation.name} with {kind}: {response.status} {body}")
            if kind != "none":
                bodies.add(str({**body, "request_id": "", "instance": ""}))
    count = len(keys) * len(locked)
    tell(
        "P22",
        ran=f"{len(keys)} kinds of wrong keys x {len(locked)} operations",
        cases=count,
        violations=len(wrong),
    )
    assert not wrong, "\n".join(wrong[:30])
    assert len(bodies) == 1, bodies


def test_what_asks_for_no_key_is_what_is_meant_to(operations: list[Operation]) -> None:
    """An operation that forgot its scope shows here."""
    open_to_all = {operation.name for operation in operations if operation.scope is None}
    assert open_to_all == {
        "GET /livez",
        "GET /metrics",
        "GET /openapi.json",
        "GET /readyz",
        "GET /version",
        "GET /v1/webhooks/event-types",
        "POST /v1/integrations/stripe/webhook/{environment_id}",
    }
