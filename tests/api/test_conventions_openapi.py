"""``/openapi.json`` is OpenAPI 3.1, complete, and its examples are accepted by its own schemas."""

from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema_rs
import pytest

from quotastack.api.app import collect_routes
from quotastack.api.errors import PROBLEM_KINDS
from quotastack.api.openapi import refusal_slugs
from quotastack.api.reading import Readers
from quotastack.api.routing import RouteTable


@pytest.fixture(scope="module")
def document(server: Any) -> dict[str, Any]:
    return httpx2.get(f"{server.base_url}/openapi.json").json()


@pytest.fixture(scope="module")
def table() -> RouteTable:
    table = RouteTable(collect_routes())
    for bound in table.bound:
        bound.reads = Readers(bound)
    return table


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def everything(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from everything(part)
    elif isinstance(value, list):
        for part in value:
            yield from everything(part)


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_every_operation_is_there(document: dict[str, Any], table: RouteTable) -> None:
    shown = {f"{bound.route.method} {bound.template}" for bound in table.bound if bound.route.is_documented}
    assert {name for name, _operation in operations(document)} == shown
    assert document["openapi"].startswith("3.1")


def test_references_resolve_and_names_are_unique(document: dict[str, Any]) -> None:
    for part in everything(document):
        if isinstance(part.get("$ref"), str):
            assert resolve(document, part["$ref"]) is not None
    names = [operation["operationId"] for _name, operation in operations(document)]
    assert len(names) == len(set(names))


def test_schemas_are_json_schemas(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid(schema), name


def test_parameters_responses_and_security_are_complete(document: dict[str, Any], table: RouteTable) -> None:
    described = dict(operations(document))
    for bound in table.bound:
        route = bound.route
        if not route.is_documented:
            continue
        operation = described[f"{route.method} {bound.template}"]
        names = {(item["in"], item["name"]) for item in operation.get("parameters", ())}
        assert {("path", name) for name, _is_uuid in bound.parameters} <= names
        assert (("header", "Idempotency-Key") in names) == (route.key != "none")
        assert bool(operation["security"]) == (route.scope is not None)
        assert {str(status) for status in route.answers} <= set(operation["responses"])
        for slug in refusal_slugs(bound):
            status = PROBLEM_KINDS[slug].status
            if status not in route.answers:
                content = operation["responses"][str(status)]["content"]["application/problem+json"]
                assert slug in content["examples"]
        assert operation["summary"]


def test_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    components = {"components": document["components"]}
    for name, operation in operations(document):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for holder in (*bodies, *operation["responses"].values()):
            for content in holder.get("content", {}).values():
                examples = [content["example"]] if "example" in content else []
                examples += [
                    resolve(document, example["$ref"])["value"]
                    for example in content.get("examples", {}).values()
                ]
                for example in examples:
                    validator = jsonschema_rs.Draft202012Validator({**components, **content["schema"]})
                    faults = [fault.message for fault in validator.iter_errors(example)]
                    assert not faults, (name, example, faults)


def test_every_problem_type_has_a_page(server: Any, document: dict[str, Any]) -> None:
    assert set(document["components"]["examples"]) == set(PROBLEM_KINDS)
    with httpx2.Client(base_url=server.base_url) as client:
        for slug, kind in PROBLEM_KINDS.items():
            page = client.get(f"/errors/{slug}")
            assert page.status_code == 200
            assert page.headers["content-type"].startswith("text/html")
            assert slug in page.text
            twin = client.get(f"/errors/{slug}.md")
            assert kind.cause in twin.text
            assert kind.remedy in twin.text
        assert client.get("/errors/none-of-ours").status_code == 404


def test_pages_load_nothing_from_elsewhere(server: Any) -> None:
    with httpx2.Client(base_url=server.base_url) as client:
        for path in ("/docs", "/errors", "/reference"):
            page = client.get(path)
            assert page.status_code == 200, path
            assert "default-src 'none'" in page.headers["content-security-policy"]
            for attribute in ('src="http', 'href="http', "src='http", "url(http"):
                assert attribute not in page.text, path
        script = client.get("/reference/scalar.js")
        assert script.status_code == 200
        assert "javascript" in script.headers["content-type"]
        assert b"createApiReference" in script.content
        plain = client.get("/reference/scalar.js", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == script.content


def test_documents_have_twins_and_stand_in_llms_txt(server: Any) -> None:
    with httpx2.Client(base_url=server.base_url) as client:
        listed = client.get("/llms.txt").text
        assert "/openapi.json" in listed
        links = [line.partition("](")[2].partition(")")[0] for line in listed.splitlines() if "](" in line]
        for link in links:
            assert client.get(link).status_code == 200, link
            if "/docs/" in link:
                page = client.get(link.removesuffix(".md"))
                assert page.headers["content-type"].startswith("text/html"), link


def test_health_pages(server: Any) -> None:
    with httpx2.Client(base_url=server.base_url) as client:
        assert client.get("/livez").json() == {"status": "ok"}
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)
        assert set(ready.json()["checks"]) == {"database", "migrations", "clock", "sweeps"}
        assert client.get("/version").json()["version"]
        metrics = client.get("/metrics").text
        assert 'quotastack_http_requests_total{method="GET",route="/livez",status="200"}' in metrics
        assert "quotastack_http_request_seconds_bucket" in metrics
