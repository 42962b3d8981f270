"""Bad inputs and their answers, row by row. No row may change anything, and none is answered with a 500."""

import json
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import pytest

CUSTOMERS = "/v1/customers"
METRICS = "/v1/billable-metrics"
USAGE = "/v1/usage"
GRANT = "/v1/customer-by-external-id/user_1/credits/grant"
KEYS = "/v1/admin/api-keys"


class Row(NamedTuple):
    """A body for a path, and the slug it is refused with; ``pointer`` names the field that is blamed."""

    name: str
    path: str
    body: Any
    slug: str = "validation-error"
    pointer: str | None = None


def grant(**fields: Any) -> dict[str, Any]:
    return {"credits": 1000, "source": "promotional", **fields}


def raw_grant(credits_text: str) -> bytes:
    return b'{"source":"promotional","credits":' + credits_text.encode() + b"}"


MALFORMED = "malformed-request"

UNREADABLE = (
    Row("not json", CUSTOMERS, b"nonsense", MALFORMED),
    Row("truncated", CUSTOMERS, b'{"external_id": "u', MALFORMED),
    Row("trailing text", CUSTOMERS, b'{"external_id":"u"} x', MALFORMED),
    Row("trailing comma", CUSTOMERS, b'{"external_id":"u",}', MALFORMED),
    Row("single quotes", CUSTOMERS, b"{'external_id':'u'}", MALFORMED),
    Row("byte-order mark", CUSTOMERS, b'\xef\xbb\xbf{"external_id":"u"}', MALFORMED),
    Row("utf-16", CUSTOMERS, '{"external_id":"u"}'.encode("utf-16"), MALFORMED),
    Row("invalid utf-8", CUSTOMERS, b'{"external_id":"\xff"}', MALFORMED),
    Row("utf-8 surrogate", CUSTOMERS, b'{"external_id":"\xed\xa0\x80"}', MALFORMED),
    Row("NaN", GRANT, raw_grant("NaN"), MALFORMED),
    Row("Infinity", GRANT, raw_grant("-Infinity"), MALFORMED),
    Row("1e400", GRANT, raw_grant("1e400"), MALFORMED),
    Row("5,000 digits", GRANT, raw_grant("1" * 5000), MALFORMED),
    Row("leading zero", GRANT, raw_grant("01"), MALFORMED),
    Row("depth 33", CUSTOMERS, b"[" * 33 + b"]" * 33, MALFORMED),
    Row("200,000 brackets", CUSTOMERS, b"[" * 200_000, MALFORMED),
    Row("deep objects", CUSTOMERS, b'{"a":' * 40 + b"1" + b"}" * 40, MALFORMED),
    Row("the same key twice", GRANT, b'{"credits":1,"credits":2,"source":"promotional"}', MALFORMED),
    Row("twice, spelt apart", GRANT, b'{"credits":1,"cr\\u0065dits" : 2,"source":"promotional"}', MALFORMED),
    Row("twice, deep inside", CUSTOMERS, b'{"external_id":"u","metadata":{"a":[{"b":1,"b":2}]}}', MALFORMED),
    Row("raw control character", CUSTOMERS, b'{"external_id":"a\x01"}', MALFORMED),
    Row("lone high surrogate", CUSTOMERS, b'{"external_id":"\\ud800"}', MALFORMED),
    Row("lone low surrogate", CUSTOMERS, b'{"external_id":"\\udc00 "}', MALFORMED),
)

NO_INTEGER = ("true", '"100"', "1.0", "1e3", '" 7 "', '"1_000"', "null", "[1]", "{}")

INVALID = (
    Row("no object", CUSTOMERS, [1], pointer=""),
    Row("null", CUSTOMERS, b"null", pointer=""),
    Row("nothing", CUSTOMERS, {}, pointer="/external_id"),
    *(Row(f"credits {text}", GRANT, raw_grant(text), pointer="/credits") for text in NO_INTEGER),
    *(
        Row(f"credits {text}", GRANT, raw_grant(text), pointer="/credits")
        for text in ("0", "-1", "-0", "9007199254740992", "9223372036854775807")
    ),
    *(
        Row(f"credits {text}", GRANT, raw_grant(text), pointer="/credits")
        for text in ("9223372036854775808", "18446744073709551616", "-9223372036854775809")
    ),
    *(
        Row(f"mass assignment of {field}", CUSTOMERS, {"external_id": "u", field: "x"}, pointer=f"/{field}")
        for field in ("tenant_id", "balance", "environment_id", "id", "__proto__", "customer_id", "version")
    ),
    Row("NUL in a string", CUSTOMERS, {"external_id": "a\x00b"}, pointer="/external_id"),
    Row(
        "NUL in a metadata key",
        CUSTOMERS,
        {"external_id": "u", "metadata": {"a\x00": 1}},
        pointer="/metadata",
    ),
    Row(
        "NUL deep in metadata",
        CUSTOMERS,
        {"external_id": "u", "metadata": {"a": [{"b": "\x00"}]}},
        pointer="/metadata/a/0/b",
    ),
    Row(
        "65 bits deep in metadata",
        CUSTOMERS,
        {"external_id": "u", "metadata": {"a": [2**64]}},
        pointer="/metadata/a/0",
    ),
    *(
        Row(f"external id {text!r:.20}", CUSTOMERS, {"external_id": text}, pointer="/external_id")
        for text in (
            "",
            " ",
            "   ",
            " a",
            "a ",
            "a\n",
            "a\tb",
            "\x7f",
            "a\u0085b",
            "\u202euser",
            "us\u200ber",
            "\ufeffuser",
            "\u00a0user",
            ".",
            "..",
            "x" * 256,
            "a" * 50_000 + "!",
        )
    ),
    Row(
        "51 keys",
        CUSTOMERS,
        {"external_id": "u", "metadata": {str(n): n for n in range(51)}},
        pointer="/metadata",
    ),
    Row("over 16 KiB", CUSTOMERS, {"external_id": "u", "metadata": {"a": "x" * 16_400}}, pointer="/metadata"),
    Row("metadata no object", CUSTOMERS, {"external_id": "u", "metadata": [1]}, pointer="/metadata"),
    *(
        Row(f"time {text}", GRANT, grant(expires_at=text), pointer="/expires_at")
        for text in (
            "2041-01-01T00:00:00",
            "2041-01-01T24:00:00Z",
            "2041-12-31T23:59:60Z",
            "2041-02-30T00:00:00Z",
            "2041-01-01",
            "0001-01-01T00:00:00Z",
            "1999-12-31T23:59:59Z",
            "2200-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "10000-01-01T00:00:00Z",
            "infinity",
            "now",
            "",
            1_700_000_000,
            1.5,
            True,
        )
    ),
    Row("unknown source", GRANT, grant(source="gift"), pointer="/source"),
    Row("source of another kind", GRANT, grant(source=1), pointer="/source"),
    Row("metric type", METRICS, {"key": "m", "type": "magic"}, pointer="/type"),
    Row("metric key in capitals", METRICS, {"key": "Calls"}, pointer="/key"),
    Row("metric key with a newline", METRICS, {"key": "calls\n"}, pointer="/key"),
    Row("scale 7", METRICS, {"key": "m", "scale": 7}, pointer="/scale"),
    Row("scale -1", METRICS, {"key": "m", "scale": -1}, pointer="/scale"),
    *(
        Row(
            f"units {units!r}",
            USAGE,
            {"external_customer_id": "user_1", "billable_metric_key": "calls", "units": units},
            pointer="/units",
        )
        for units in (1.5, True, None, [1], {"n": 1}, "one", "1e3", "", " 1", "1.", "1\n", "0x1", 2**53)
    ),
    *(
        Row(
            f"ttl {ttl!r}",
            "/v1/reserve",
            {"external_customer_id": "user_1", "credits": 1, "ttl_seconds": ttl},
            pointer="/ttl_seconds",
        )
        for ttl in (0, -1, 86_401, 1.5, "300", True)
    ),
    Row(
        "both ids",
        USAGE,
        {"customer_id": "x", "external_customer_id": "user_1", "billable_metric_key": "calls"},
        "customer-identifier-conflict",
    ),
    Row("neither id", USAGE, {"billable_metric_key": "calls"}, "customer-identifier-conflict"),
    Row(
        "id and alias",
        USAGE,
        {"end_user_id": "u", "external_customer_id": "u", "billable_metric_key": "calls"},
        pointer="/end_user_id",
    ),
    Row(
        "metric and alias",
        USAGE,
        {"end_user_id": "u", "feature_key": "a", "billable_metric_key": "a"},
        pointer="/feature_key",
    ),
    Row(
        "our id no uuid",
        USAGE,
        {"customer_id": "user_1", "billable_metric_key": "calls"},
        pointer="/customer_id",
    ),
    Row("unknown scope", KEYS, {"scopes": ["root"]}, pointer="/scopes/0"),
)

EVERY_FAULT = {
    "external_id": " x",
    "display_name": 5,
    "email": "nobody",
    "metadata": "m",
    "balance": 1,
    "env": "live",
}


@pytest.fixture
def client(raw_api: httpx2.Client) -> httpx2.Client:
    raw_api.headers["Idempotency-Key"] = "bad-input"
    assert raw_api.post(CUSTOMERS, json={"external_id": "user_1"}, headers=key("customer")).status_code == 201
    assert raw_api.post(METRICS, json={"key": "calls"}, headers=key("metric")).status_code == 201
    return raw_api


def key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


def encode(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def refused(answer: httpx2.Response, status: int, slug: str) -> dict[str, Any]:
    problem = answer.json()
    assert (answer.status_code, problem["type"].rpartition("/")[2]) == (status, slug), answer.text
    assert "Traceback" not in answer.text
    assert "asyncpg" not in answer.text
    return problem


def test_bodies(client: httpx2.Client) -> None:
    """All rows in one test: each is one request, and the tenant stays as it was."""
    failures: list[str] = []
    for row in (*UNREADABLE, *INVALID):
        answer = client.post(row.path, content=encode(row.body), headers={"Content-Type": "application/json"})
        problem = answer.json()
        slug = problem.get("type", "").rpartition("/")[2]
        pointers = [fault["pointer"] for fault in problem.get("errors", ())]
        if (answer.status_code, slug) != (400, row.slug) or (
            row.pointer is not None and row.pointer not in pointers
        ):
            failures.append(f"{row.name} at {row.path}: {answer.status_code} {answer.text[:300]}")
    assert not failures, "\n".join(failures)
    listed = client.get(CUSTOMERS).json()["data"]
    assert [row["external_customer_id"] for row in listed] == ["user_1"]
    assert client.get("/v1/customer-by-external-id/user_1/credits").json()["lifetime_earned"] == 0


def test_every_fault_is_listed_at_once(client: httpx2.Client) -> None:
    problem = refused(client.post(CUSTOMERS, json=EVERY_FAULT), 400, "validation-error")
    assert {fault["pointer"] for fault in problem["errors"]} == {f"/{name}" for name in EVERY_FAULT}
    assert all(fault["detail"] for fault in problem["errors"])


def test_ids_are_kept_byte_for_byte(client: httpx2.Client) -> None:
    """The same letter composed and decomposed: two customers."""
    for number, external_id in enumerate(("\u00e9", "e\u0301", "a  b", "...", "a/../b", "%2e", "x" * 255)):
        answer = client.post(CUSTOMERS, json={"external_id": external_id}, headers=key(f"id-{number}"))
        assert answer.status_code == 201, answer.text
        assert answer.json()["external_customer_id"] == external_id


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b' {"idempotency_key": "own"} ',
    ],
)
def test_a_body_without_required_fields_may_be_missing(client: httpx2.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"} if body else {}
    made = client.post(KEYS, content=b"{}", headers={"Content-Type": "application/json", **key("make")})
    del client.headers["Idempotency-Key"]
    send = headers if b"own" in body else {**headers, **key("revoke")}
    answer = client.post(f"{KEYS}/{made.json()['id']}/revoke", content=body, headers=send)
    assert answer.status_code == 200, answer.text


class TestEnvelope:
    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "",
            "text/json",
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
            "application/json; charset=latin-1",
            "application/jsonp",
            "multipart/form-data; boundary=x",
        ],
    )
    def test_other_types(self, client: httpx2.Client, content_type: str | None) -> None:
        headers = {} if content_type is None else {"Content-Type": content_type}
        refused(client.post(CUSTOMERS, content=b"{}", headers=headers), 415, "unsupported-media-type")

    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            'application/json;charset="UTF-8"',
        ],
    )
    def test_json_in_utf8(self, client: httpx2.Client, content_type: str) -> None:
        answer = client.post(CUSTOMERS, content=b"{}", headers={"Content-Type": content_type})
        refused(answer, 400, "validation-error")

    @pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip"])
    def test_compressed(self, client: httpx2.Client, encoding: str) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        refused(client.post(CUSTOMERS, content=b"{}", headers=headers), 415, "unsupported-media-type")

    def test_too_large(self, client: httpx2.Client) -> None:
        headers = {"Content-Type": "application/json"}
        limit = 1024 * 1024
        exact = b'{"external_id":"u"' + b" " * (limit - 19) + b"}"
        assert len(exact) == limit
        answer = client.post(CUSTOMERS, content=exact, headers={**headers, **key("exact")})
        assert answer.status_code == 201
        refused(client.post(CUSTOMERS, content=exact + b" ", headers=headers), 413, "payload-too-large")
        chunks = (b" " * 65_536 for _ in range(17))
        refused(client.post(CUSTOMERS, content=chunks, headers=headers), 413, "payload-too-large")

    def test_a_batch_may_be_larger(self, client: httpx2.Client) -> None:
        headers = {"Content-Type": "application/json"}
        limit = 8 * 1024 * 1024
        answer = client.post(f"{USAGE}/batch", content=b" " * limit, headers=headers)
        refused(answer, 400, MALFORMED)
        answer = client.post(f"{USAGE}/batch", content=b" " * (limit + 1), headers=headers)
        refused(answer, 413, "payload-too-large")


class TestQueries:
    @pytest.mark.parametrize(
        "limit", ["0", "-1", "201", "1000000000", "abc", "1.0", "1e1", "", "%2B5", "05", "0x5", "true"]
    )
    def test_limits(self, client: httpx2.Client, limit: str) -> None:
        problem = refused(client.get(f"{CUSTOMERS}?limit={limit}"), 400, "validation-error")
        assert problem["errors"][0]["pointer"] == "/limit"

    @pytest.mark.parametrize(
        ("query", "slug"),
        [
            ("nonsense=1", "validation-error"),
            ("limit=1&limit=1", "validation-error"),
            ("limit=1&limit=2", "validation-error"),
            ("order=up", "validation-error"),
            ("LIMIT=1", "validation-error"),
            ("limit[]=1", "validation-error"),
            ("external_id=%00", MALFORMED),
            ("external_id=%ff", MALFORMED),
            ("external_id=%ed%a0%80", MALFORMED),
            ("external_id=%", MALFORMED),
            ("external_id=%2", MALFORMED),
            ("external_id=%zz", MALFORMED),
            ("external_id=a%0Ab", MALFORMED),
            ("external_id=" + "x" * 9000, MALFORMED),
        ],
        ids=lambda text: text[:30],
    )
    def test_parameters(self, client: httpx2.Client, query: str, slug: str) -> None:
        refused(client.get(f"{CUSTOMERS}?{query}"), 400, slug)

    @pytest.mark.parametrize(
        "text",
        [
            "yesterday",
            "2041-01-01",
            "2041-01-01T00:00:00",
            "1700000000",
            "infinity",
            "",
            "1999-01-01T00:00:00Z",
        ],
    )
    def test_times(self, client: httpx2.Client, text: str) -> None:
        problem = refused(client.get("/v1/audit-log", params={"from": text}), 400, "validation-error")
        assert problem["errors"][0]["pointer"] == "/from"

    def test_ten_thousand_parameters(self, client: httpx2.Client) -> None:
        query = "&".join(f"a{number}=1" for number in range(10_000))
        status, heard = raw_get(client, f"{CUSTOMERS}?{query}".encode())
        assert 400 <= status < 500, heard

    def test_a_plus_sign_in_an_offset_need_not_be_escaped(self, client: httpx2.Client) -> None:
        assert client.get("/v1/audit-log?from=2020-01-01T00:00:00+02:00").status_code == 200
        assert client.get("/v1/audit-log?from=2020-01-01T00:00:00%2B02:00").status_code == 200

    def test_customers_in_queries(self, client: httpx2.Client) -> None:
        check = "/v1/entitlements/check"
        refused(client.get(f"{check}?billable_metric_key=calls"), 400, "customer-identifier-conflict")
        both = f"{check}?billable_metric_key=calls&customer_id=x&external_customer_id=user_1"
        refused(client.get(both), 400, "customer-identifier-conflict")
        both = f"{check}?billable_metric_key=calls&end_user_id=user_1&external_customer_id=user_1"
        refused(client.get(both), 400, "validation-error")
        assert client.get(f"{check}?feature_key=calls&end_user_id=user_1").status_code == 200


def speak(client: httpx2.Client, request: bytes) -> tuple[int, bytes]:
    """Bytes on a connection of their own: what no HTTP library would send."""
    address = urlsplit(str(client.base_url))
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 80), timeout=20) as connection:
        connection.sendall(request)
        connection.settimeout(20)
        heard = b""
        while part := connection.recv(65_536):
            heard += part
    return int(heard.split(b" ", 2)[1]), heard


def raw_get(client: httpx2.Client, target: bytes, *headers: bytes) -> tuple[int, bytes]:
    api_key = client.headers["X-API-Key"].encode()
    lines = [
        b"GET " + target + b" HTTP/1.1",
        b"Host: localhost",
        b"Connection: close",
        b"X-API-Key: " + api_key,
        *headers,
    ]
    return speak(client, b"\r\n".join(lines) + b"\r\n\r\n")


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "slug"),
        [
            ("/v1/customer-by-external-id/a%00b/credits", MALFORMED),
            ("/v1/customer-by-external-id/a%0Ab/credits", MALFORMED),
            ("/v1/customer-by-external-id/%ff/credits", MALFORMED),
            ("/v1/customer-by-external-id/%c0%ae/credits", MALFORMED),
            ("/v1/customer-by-external-id/%zz/credits", MALFORMED),
            ("/v1/customer-by-external-id/%/credits", MALFORMED),
        ],
    )
    def test_broken_segments(self, client: httpx2.Client, path: str, slug: str) -> None:
        status, heard = raw_get(client, path.encode())
        assert status == 400
        assert slug.encode() in heard

    @pytest.mark.parametrize(
        "path",
        [
            "/v1/customer-by-external-id/%2e%2e%2f/credits",
            "/v1/customer-by-external-id/%2e%2e/credits",
            "/v1/customer-by-external-id/a%252Fb/credits",
            "/v1/customer-by-external-id/user_1%2Fcredits",
            "/v1/customer-by-external-id/user_1/",
            "/v1/customer-by-external-id//credits",
            "/v1/customer-by-external-id/../customers",
            "//v1/customers",
            "/v1/customers/",
            "/v1//customers",
            "/v1/Customers",
            "/v1/customers;a=b",
            "/V1/customers",
            "/v1/customers%2F",
            "/v2/customers",
            "/nowhere",
            "/docs/../../etc/passwd",
            "/docs/..%2f..%2fREADME",
        ],
    )
    def test_no_other_route_is_reached(self, client: httpx2.Client, path: str) -> None:
        status, heard = raw_get(client, path.encode())
        assert status == 404, heard
        assert b"application/problem+json" in heard

    def test_uuids_in_either_case_are_one_id(self, client: httpx2.Client) -> None:
        known = client.get("/v1/customer-by-external-id/user_1").json()["customer_id"]
        for text in (known, known.upper()):
            assert client.get(f"{CUSTOMERS}/{text}").json()["customer_id"] == known
        for text in (known.replace("-", ""), f"{{{known}}}", f"urn:uuid:{known}", f"{known}0"):
            refused(client.get(f"{CUSTOMERS}/{text}"), 404, "customer-not-found")


class TestHeaders:
    @pytest.mark.parametrize("name", ["X-API-Key", "Idempotency-Key", "Content-Type", "Authorization"])
    def test_twice(self, client: httpx2.Client, name: str) -> None:
        value = {"X-API-Key": client.headers["X-API-Key"], "Content-Type": "application/json"}.get(
            name, "one"
        )
        headers = [(name, value), (name, value)]
        answer = httpx2.post(client.base_url.join(CUSTOMERS), content=b"{}", headers=headers)
        refused(answer, 400, MALFORMED)

    @pytest.mark.parametrize("count", [1, 1000])
    def test_too_long(self, client: httpx2.Client, count: int) -> None:
        lines = [b"X-Long-%d: " % number + b"x" * (100_000 // count) for number in range(count)]
        status, heard = raw_get(client, b"/v1/customers", *lines)
        assert status == 400, heard
        assert b"application/problem+json" in heard

    def test_a_head_that_never_ends(self, client: httpx2.Client) -> None:
        status, heard = speak(client, b"GET /v1/customers HTTP/1.1\r\nX-Long: " + b"x" * 100_000)
        assert status == 400, heard

    def test_a_body_shorter_than_said(self, client: httpx2.Client) -> None:
        """The server waits for the rest; hanging up changes nothing and hurts nobody."""
        address = urlsplit(str(client.base_url))
        request = (
            b"POST /v1/customers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Idempotency-Key: short\r\nContent-Length: 100\r\nX-API-Key: "
            + client.headers["X-API-Key"].encode()
            + b'\r\n\r\n{"external_id":"short"}'
        )
        with socket.create_connection((address.hostname, address.port or 80), timeout=20) as connection:
            connection.sendall(request)
        assert client.get("/v1/customer-by-external-id/short").status_code == 404

    @pytest.mark.parametrize(
        "request_line",
        [
            b"GET /v1/customers HTTP/9.9",
            b"BREW /v1/customers HTTP/1.1",
            b"GET  /v1/customers",
            b"\x16\x03\x01",
            b"{}",
        ],
    )
    def test_no_http(self, client: httpx2.Client, request_line: bytes) -> None:
        status, heard = speak(client, request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert 400 <= status < 500, heard

    def test_two_lengths(self, client: httpx2.Client) -> None:
        lines = [
            b"POST /v1/customers HTTP/1.1",
            b"Host: localhost",
            b"Connection: close",
            b"Content-Length: 2",
            b"Transfer-Encoding: chunked",
            b"X-API-Key: " + client.headers["X-API-Key"].encode(),
            b"",
            b"0\r\n\r\nGET /v1/customers HTTP/1.1\r\nHost: x\r\n\r\n",
        ]
        status, heard = speak(client, b"\r\n".join(lines))
        assert 400 <= status < 500, heard
        assert heard.count(b"HTTP/1.1 ") == 1
