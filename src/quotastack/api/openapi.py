"""``/openapi.json``: OpenAPI 3.1, made from the route table, so it cannot say anything else than the server does."""

from __future__ import annotations

from typing import Any, Final

from quotastack import __version__
from quotastack.api.errors import (
    AUTHENTICATED,
    EVERY_ROUTE,
    PROBLEM_KINDS,
    WITH_BODY,
    WITH_KEY,
    describe_problem,
)
from quotastack.api.openapi_schemas import REF_PREFIX, SchemaBook, example_of
from quotastack.api.routing import BoundRoute, Request, Response, Route, RouteTable, Text
from quotastack.core.errors import ERRORS_BY_SLUG

KEY_SCHEMA: Final = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"}
KEY_DESCRIPTION: Final = (
    "Names the act, never the attempt, such as `topup:{payment}`. The same key with the same request is answered again "
    "and nothing is executed; the body field `idempotency_key` may stand for it."
)
DESCRIPTION: Final = """Open, self-hosted credit billing: a charge is decided before the spend.

Amounts are integer millicredits (1 credit = 1,000). Times are RFC 3339 in UTC. The API key picks the environment, live
or test. Every refusal is an RFC 9457 problem. Guides are under [/docs](/docs), problem types under [/errors](/errors).
"""
TAGS: Final = {
    "Customers": "Who credits belong to, under your id and ours.",
    "Credits": "Accounts, blocks, burn-down and the ledger.",
    "Topups": "Credits bought or given: packages, grants by payment, refunds, automatic topups.",
    "Metering": "Metrics and their price lists.",
    "Usage": "What happened, counted and charged.",
    "Entitlements": "The check before the spend, and overrides of it.",
    "Reservations": "Holding credits and quota for work whose cost is not known yet.",
    "Assets": "Counters of a customer's metrics, and their quotas.",
    "Plans": "The catalog of plans, variants, credit grants and entitlements.",
    "Subscriptions": "Recurring billing as a state machine.",
    "Webhooks": "Endpoints, deliveries and the catalog of events.",
    "Events": "What happened, in order, with its deliveries.",
    "Test clock": "Time of a test environment: freeze it, advance it, reset everything.",
    "Operations": "Verification of the ledger, and other work of an operator.",
    "Tenants": "The settings of an environment.",
    "API keys": "Keys of an environment: create, list, revoke.",
    "Audit log": "Who changed what in catalog, settings and keys.",
    "Health": "Whether the server lives, is ready, and what it counted. Without authentication.",
}


async def get_openapi(request: Request) -> Response:
    """The document; ``servers`` is the address that was asked."""
    document = {**_document(request.table), "servers": [{"url": request.base_url or "/"}]}
    return Response(200, document)


_documents: dict[int, tuple[RouteTable, dict[str, Any]]] = {}


def _document(table: RouteTable) -> dict[str, Any]:
    known = _documents.get(id(table))
    if known is None or known[0] is not table:
        known = (table, describe_api(table))
        _documents[id(table)] = known
    return known[1]


def describe_api(table: RouteTable) -> dict[str, Any]:
    """The OpenAPI document of a route table, without ``servers``."""
    shown = [bound for bound in table.bound if bound.route.is_documented]
    book = SchemaBook(shown)
    paths: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    for bound in shown:
        operation = _describe_operation(bound, book)
        if operation["operationId"] in names:
            # Two capabilities may call their handlers alike; the file's name tells them apart.
            capability = bound.route.handler.__module__.rpartition(".")[2]
            operation["operationId"] = f"{capability}_{operation['operationId']}"
        names.add(operation["operationId"])
        paths.setdefault(bound.template, {})[bound.route.method.lower()] = operation
    used = {bound.route.tag for bound in shown}
    used_tags = [*(tag for tag in TAGS if tag in used), *sorted(used - TAGS.keys())]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "QuotaStack",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": tag, **({"description": TAGS[tag]} if tag in TAGS else {})} for tag in used_tags],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**book.schemas, **_problem_schemas()},
            "examples": {slug: {"value": _problem_example(slug)} for slug in PROBLEM_KINDS},
            "headers": _headers(),
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "`qs_test_...`",
                },
                "Bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The same key as a bearer token.",
                },
            },
        },
    }


def _describe_operation(bound: BoundRoute, book: SchemaBook) -> dict[str, Any]:
    route = bound.route
    suffix = "_by_external_id" if bound.family == "external_id" else ""
    described = [route.description] if route.description else []
    if route.scope is not None:
        described.append(f"Scope: `{route.scope}`.")
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__name__}{suffix}",
        "tags": [route.tag],
        "summary": f"{route.summary} (by external id)" if suffix else route.summary,
        "description": "\n\n".join(described),
        "security": [] if route.scope is None else [{"ApiKey": []}, {"Bearer": []}],
    }
    parameters = [*_path_parameters(bound), *book.query_parameters(route)]
    if route.key != "none":
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": KEY_DESCRIPTION
                + (" Required, here or in the body." if route.key == "required" else ""),
                "schema": KEY_SCHEMA,
            }
        )
    if parameters:
        operation["parameters"] = parameters
    body = _describe_body(route, book)
    if body is not None:
        operation["requestBody"] = body
    operation["responses"] = {
        **{
            str(status): _describe_answer(route, status, answer, book)
            for status, answer in route.answers.items()
        },
        **_describe_refusals(bound),
    }
    return operation


def _path_parameters(bound: BoundRoute) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = []
    for name, is_uuid in bound.parameters:
        parameter: dict[str, Any] = {"name": name, "in": "path", "required": True}
        if is_uuid:
            parameter["schema"] = {"type": "string", "format": "uuid"}
        else:
            parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": 255}
        if name == "external_id":
            parameter["description"] = "Your own id of the customer, percent-encoded as UTF-8."
            parameter["example"] = "user_123"
        described.append(parameter)
    return described


def _describe_body(route: Route, book: SchemaBook) -> dict[str, Any] | None:
    if route.method == "GET" or route.reads == "raw":
        return None
    if route.body is None:
        if route.key == "none":
            return None
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {"idempotency_key": KEY_SCHEMA},
            "additionalProperties": False,
        }
        return {"required": False, "content": {"application/json": {"schema": schema, "example": {}}}}
    reference = book.reference(route.body)
    schema = book.schemas[reference["$ref"].removeprefix(REF_PREFIX)]
    example = route.example if route.example is not None else example_of(schema, book.schemas)
    is_required = bool(schema.get("required") or schema.get("allOf"))
    return {
        "required": is_required,
        "content": {"application/json": {"schema": reference, "example": example}},
    }


def _describe_answer(route: Route, status: int, answer: Any, book: SchemaBook) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if route.key != "none":
        headers["X-Idempotent-Replayed"] = {"$ref": "#/components/headers/X-Idempotent-Replayed"}
    described: dict[str, Any] = {"description": _STATUS_WORDS.get(status, "Success."), "headers": headers}
    if isinstance(answer, Text):
        described["content"] = {answer.media_type: {"schema": {"type": "string"}}}
        described["description"] = answer.description
    elif answer is not None:
        content: dict[str, Any] = {"schema": book.reference(answer)}
        if route.answer_example is not None:
            content["example"] = route.answer_example
        described["content"] = {"application/json": content}
    return described


_STATUS_WORDS: Final = {
    200: "Done.",
    201: "Created.",
    202: "Accepted; it is applied in order of arrival.",
    204: "Done; no body.",
    207: "Some were refused; each result says.",
    503: "Not now.",
}


def refusal_slugs(bound: BoundRoute) -> list[str]:
    """Every slug that a route may answer with: its own, and those that follow from its declaration."""
    route = bound.route
    slugs: list[str] = ["unavailable"]
    if route.scope is not None:
        slugs += [*EVERY_ROUTE, *AUTHENTICATED]
        if route.is_rate_limited:
            slugs.append("rate-limited")
    elif bound.parameters or route.query is not None:
        slugs += EVERY_ROUTE
    if bound.family is not None:
        slugs.append("customer-not-found")
    if any(is_uuid and name != "customer_id" for name, is_uuid in bound.parameters):
        slugs.append("not-found")
    if route.method != "GET":
        slugs += WITH_BODY
    if route.key != "none":
        slugs += WITH_KEY if route.key == "required" else WITH_KEY[1:]
    if bound.reads.is_customer_named:
        slugs.append("customer-identifier-conflict")
    return list(dict.fromkeys([*slugs, *route.errors]))


def _describe_refusals(bound: BoundRoute) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for slug in refusal_slugs(bound):
        by_status.setdefault(PROBLEM_KINDS[slug].status, []).append(slug)
    described: dict[str, Any] = {}
    for status, slugs in sorted(by_status.items()):
        if status in bound.route.answers:
            continue
        headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
        if status in {429, 503} or "idempotency-key-in-flight" in slugs:
            headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
        described[str(status)] = {
            "description": "; ".join(f"`{slug}`: {PROBLEM_KINDS[slug].title}" for slug in slugs) + ".",
            "headers": headers,
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": f"{REF_PREFIX}Problem"},
                    "examples": {slug: {"$ref": f"#/components/examples/{slug}"} for slug in slugs},
                }
            },
        }
    return described


_EXTRA_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "insufficient-credits": {"required": 1000, "available": 400, "shortfall": 600},
    "insufficient-scope": {"required_scope": "usage:write"},
    "quota-exceeded": {
        "metric": "api_calls",
        "level": "OverUsage",
        "policy": "Deny",
        "limit": 1000,
        "value": 1000,
        "resets_at": "2026-12-01T00:00:00Z",
    },
    "reservation-not-active": {"reservation_status": "expired"},
    "validation-error": {"errors": [{"pointer": "/units", "detail": "must be an integer, not a string."}]},
}


def _problem_example(slug: str) -> dict[str, Any]:
    error = ERRORS_BY_SLUG[slug](PROBLEM_KINDS[slug].title + ".", extra=_EXTRA_EXAMPLES.get(slug))
    return {
        **describe_problem(error, base_url="http://127.0.0.1:8080"),
        "instance": "/v1/usage",
        "request_id": "req_3f9d2c81a0b4000001",
    }


def _problem_schemas() -> dict[str, Any]:
    fault = {
        "type": "object",
        "required": ["pointer", "detail"],
        "properties": {
            "pointer": {
                "type": "string",
                "description": "JSON pointer into the body, or the parameter's name.",
            },
            "detail": {"type": "string"},
        },
    }
    amount = {"type": "integer", "description": "Millicredits."}
    members: dict[str, Any] = {
        "type": {
            "type": "string",
            "format": "uri",
            "description": "A page of this server; switch on its last part.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "description": "The path of the request."},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": f"{REF_PREFIX}ProblemFault"}},
        "required": amount,
        "available": amount,
        "shortfall": amount,
        "required_scope": {"type": "string"},
    }
    return {
        "Problem": {
            "type": "object",
            "description": "RFC 9457. Members beyond these depend on `type`.",
            "required": ["type", "title", "status", "detail", "instance", "request_id"],
            "properties": members,
        },
        "ProblemFault": fault,
    }


def _headers() -> dict[str, Any]:
    return {
        "X-Request-Id": {
            "description": "The caller's, when it sent one; found again in logs, ledger, audit log and events.",
            "schema": {"type": "string"},
        },
        "X-Idempotent-Replayed": {
            "description": "`true` when this is the stored answer of an earlier request with the same key.",
            "schema": {"type": "string", "enum": ["true"]},
        },
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    }


ROUTES: Final = (
    Route(
        method="GET",
        path="/openapi.json",
        handler=get_openapi,
        scope=None,
        tag="Docs",
        summary="This document",
        answers={200: dict[str, Any]},
    ),
)
