"""What every operation inherits, asked of each route of the table: nobody can add one that behaves otherwise."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from quotastack.api.app import collect_routes
from quotastack.api.errors import PROBLEM_KINDS
from quotastack.api.routing import BoundRoute, RouteTable
from quotastack.services.caller import SCOPES

TABLE = RouteTable(collect_routes())
ROUTES = TABLE.bound
GUARDED = [bound for bound in ROUTES if bound.route.scope is not None]
WRITES = [bound for bound in GUARDED if bound.route.method != "GET" and bound.route.reads == "json"]
KEYED = [bound for bound in WRITES if bound.route.key == "required"]


def name_of(bound: BoundRoute) -> str:
    return f"{bound.route.method} {bound.template}"


def path_of(bound: BoundRoute) -> str:
    """A path that leads to the route and to no object."""
    uuids = {name for name, is_uuid in bound.parameters if is_uuid}

    def fill(match: re.Match[str]) -> str:
        return str(uuid.uuid4()) if match[1] in uuids else "nothing_here"

    return re.sub(r"\{(\w+)\}", fill, bound.template)


@pytest.fixture(scope="module")
def keys(in_process: Any, server: Any) -> dict[str, str]:
    """A tenant's keys: ``full``, and one for each scope alone."""
    tenant = in_process.create_tenant("routes")
    made = {"full": tenant.test_key}
    with httpx2.Client(base_url=server.base_url, headers={"X-API-Key": tenant.test_key}) as client:
        for scope in ("audit:read", "usage:read"):
            assert scope in SCOPES
            answer = client.post(
                "/v1/admin/api-keys", json={"scopes": [scope]}, headers={"Idempotency-Key": f"key:{scope}"}
            )
            assert answer.status_code == 201, answer.text
            made[scope] = answer.json()["key"]
    return made


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.base_url) as made:
        yield made


def refused(answer: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem, complete and consistent with its headers."""
    problem = answer.json()
    assert (answer.status_code, problem["type"].rpartition("/")[2]) == (status, slug), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["title"] == PROBLEM_KINDS[slug].title
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["instance"] == answer.request.url.raw_path.decode().partition("?")[0]
    return problem


@pytest.mark.parametrize("bound", GUARDED, ids=name_of)
def test_no_key_no_answer(client: httpx2.Client, bound: BoundRoute) -> None:
    answer = client.request(bound.route.method, path_of(bound))
    refused(answer, 401, "authentication-required")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("bound", GUARDED, ids=name_of)
def test_another_scope_is_refused_by_name(
    client: httpx2.Client, keys: dict[str, str], bound: BoundRoute
) -> None:
    held = "usage:read" if bound.route.scope == "audit:read" else "audit:read"
    answer = client.request(bound.route.method, path_of(bound), headers={"X-API-Key": keys[held]})
    problem = refused(answer, 403, "insufficient-scope")
    assert problem["required_scope"] == bound.route.scope
    assert bound.route.scope in SCOPES


@pytest.mark.parametrize("bound", KEYED, ids=name_of)
def test_a_change_needs_an_idempotency_key(
    client: httpx2.Client, keys: dict[str, str], bound: BoundRoute
) -> None:
    answer = client.request(bound.route.method, path_of(bound), json={}, headers={"X-API-Key": keys["full"]})
    refused(answer, 400, "idempotency-key-required")


@pytest.mark.parametrize("bound", WRITES, ids=name_of)
def test_unknown_fields_are_refused(client: httpx2.Client, keys: dict[str, str], bound: BoundRoute) -> None:
    answer = client.request(
        bound.route.method,
        path_of(bound),
        json={"no_such_field": 1, "__proto__": {}},
        headers={"X-API-Key": keys["full"], "Idempotency-Key": str(uuid.uuid4())},
    )
    problem = refused(answer, 400, "validation-error")
    pointers = [fault["pointer"] for fault in problem["errors"]]
    assert {"/no_such_field", "/__proto__"} <= set(pointers)


@pytest.mark.parametrize("bound", GUARDED, ids=name_of)
def test_unknown_query_parameters_are_refused(
    client: httpx2.Client, keys: dict[str, str], bound: BoundRoute
) -> None:
    answer = client.request(
        bound.route.method,
        path_of(bound),
        params={"no_such_parameter": "1"},
        headers={"X-API-Key": keys["full"], "Idempotency-Key": str(uuid.uuid4())},
    )
    problem = refused(answer, 400, "validation-error")
    assert "/no_such_parameter" in [fault["pointer"] for fault in problem["errors"]]


@pytest.mark.parametrize("bound", WRITES, ids=name_of)
def test_only_plain_json_is_read(client: httpx2.Client, keys: dict[str, str], bound: BoundRoute) -> None:
    headers = {"X-API-Key": keys["full"], "Idempotency-Key": str(uuid.uuid4())}
    for more in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ):
        answer = client.request(
            bound.route.method, path_of(bound), content=b"{}", headers={**headers, **more}
        )
        refused(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("template", sorted({bound.template for bound in ROUTES}))
def test_other_methods_are_told_which_exist(client: httpx2.Client, template: str) -> None:
    methods = {bound.route.method for bound in ROUTES if bound.template == template}
    path = path_of(next(bound for bound in ROUTES if bound.template == template))
    allowed = {*methods, "OPTIONS", *({"HEAD"} if "GET" in methods else set())}
    unused = next(method for method in ("PUT", "DELETE", "PATCH", "POST", "GET") if method not in methods)
    answer = client.request(unused, path)
    refused(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed
    options = client.request("OPTIONS", path)
    assert options.status_code == 204
    assert options.content == b""
    assert set(options.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("bound", [bound for bound in GUARDED if bound.family == "id"], ids=name_of)
def test_an_own_id_in_the_first_family_points_to_the_other(
    client: httpx2.Client, keys: dict[str, str], bound: BoundRoute
) -> None:
    segments = path_of(bound).split("/")
    segments[3] = "user_123"
    answer = client.request(
        bound.route.method,
        "/".join(segments),
        headers={"X-API-Key": keys["full"], "Idempotency-Key": str(uuid.uuid4())},
    )
    assert "/v1/customer-by-external-id/" in refused(answer, 404, "customer-not-found")["detail"]


@pytest.mark.parametrize(
    "bound",
    [
        bound
        for bound in GUARDED
        if any(is_uuid and name != "customer_id" for name, is_uuid in bound.parameters)
    ],
    ids=name_of,
)
def test_ids_of_ours_are_uuids(client: httpx2.Client, keys: dict[str, str], bound: BoundRoute) -> None:
    name = next(name for name, is_uuid in bound.parameters if is_uuid and name != "customer_id")
    segments = bound.template.split("/")
    filled = path_of(bound).split("/")
    filled[segments.index("{" + name + "}")] = "none"
    answer = client.request(
        bound.route.method,
        "/".join(filled),
        headers={"X-API-Key": keys["full"], "Idempotency-Key": str(uuid.uuid4())},
    )
    refused(answer, 404, "not-found")


def test_customer_routes_exist_in_both_families() -> None:
    by_id = {
        (bound.route.method, bound.template.removeprefix("/v1/customers/{customer_id}"))
        for bound in ROUTES
        if bound.family == "id"
    }
    by_external_id = {
        (bound.route.method, bound.template.removeprefix("/v1/customer-by-external-id/{external_id}"))
        for bound in ROUTES
        if bound.family == "external_id"
    }
    assert by_id == by_external_id


def test_every_change_takes_a_key_or_reads_only() -> None:
    """POSTs without a key are those of the contract: read-like ones, and the batch, whose events carry their own."""
    free = {name_of(bound) for bound in WRITES if bound.route.key == "none" and bound.route.method == "POST"}
    assert free <= {
        "POST /v1/entitlements/check",
        "POST /v1/metering-rules/preview",
        "POST /v1/simulations",
        "POST /v1/usage/batch",
    }
    assert not [
        name_of(bound) for bound in WRITES if bound.route.method == "PATCH" and bound.route.key != "required"
    ]
