"""The conventions by example: keys, request ids, idempotency, pagination, the rate limit."""

import json
import re
from typing import Any

import httpx2
import pytest
from tests.races.servers import wait_until

KEYS = "/v1/admin/api-keys"


def slug_of(answer: httpx2.Response) -> str:
    return answer.json()["type"].rpartition("/")[2]


class TestKeys:
    def test_both_header_forms(self, server: Any, tenant: Any) -> None:
        for headers in (
            {"X-API-Key": tenant.test_key},
            {"Authorization": f"Bearer {tenant.test_key}"},
            {"Authorization": f"bearer {tenant.test_key}"},
            {"X-API-Key": tenant.test_key, "Authorization": f"Bearer {tenant.test_key}"},
        ):
            assert httpx2.get(f"{server.base_url}{KEYS}", headers=headers).status_code == 200

    def test_two_different_keys_are_refused(self, server: Any, tenant: Any) -> None:
        headers = {"X-API-Key": tenant.test_key, "Authorization": f"Bearer {tenant.live_key}"}
        answer = httpx2.get(f"{server.base_url}{KEYS}", headers=headers)
        assert (answer.status_code, slug_of(answer)) == (400, "malformed-request")

    def test_wrong_keys_all_look_alike(self, server: Any, tenant: Any) -> None:
        real = tenant.test_key
        wrong = [
            "nonsense",
            real[:-1] + ("a" if real[-1] != "a" else "b"),
            real.replace("qs_test_", "qs_live_"),
            real.upper(),
            real + "x",
            "é",
        ]
        bodies: set[str] = set()
        for key in wrong:
            answer = httpx2.get(f"{server.base_url}{KEYS}", headers=[(b"X-API-Key", key.encode())])
            problem = answer.json()
            assert answer.status_code == 401
            del problem["request_id"]
            bodies.add(json.dumps(problem))
        assert len(bodies) == 1

    def test_a_revoked_key_ends_at_once_and_its_use_was_noted(self, api: Any) -> None:
        made = api.post(KEYS, {"name": "short", "scopes": ["admin"]}).json
        other = api.with_key(made["key"])
        assert other.get(KEYS).status == 200

        def was_noted() -> bool:
            rows = api.get(KEYS).json["data"]
            return any(row["id"] == made["id"] and "last_used_at" in row for row in rows)

        wait_until(was_noted, "the use of the key is noted")
        assert api.post(f"{KEYS}/{made['id']}/revoke").status == 200
        assert other.get(KEYS).status == 401
        assert other.post(KEYS, {"name": "x"}).status == 401

    def test_a_revoked_key_does_not_read_stored_answers(self, api: Any) -> None:
        made = api.post(KEYS, {"name": "short"}).json
        other = api.with_key(made["key"])
        assert other.post(KEYS, {"name": "again"}, key="act-1").status == 201
        assert api.post(f"{KEYS}/{made['id']}/revoke").status == 200
        assert other.post(KEYS, {"name": "again"}, key="act-1").status == 401
        assert api.post(KEYS, {"name": "again"}, key="act-1").headers["x-idempotent-replayed"] == "true"


class TestRequestIds:
    @pytest.mark.parametrize("given", ["abc-123", "req:1/2@x", "A" * 128])
    def test_a_sane_one_is_kept(self, server: Any, given: str) -> None:
        answer = httpx2.get(f"{server.base_url}/livez", headers={"X-Request-Id": given})
        assert answer.headers["x-request-id"] == given

    @pytest.mark.parametrize("given", ["", "a b", "A" * 129, "<script>", '"x"', "é"])
    def test_another_is_replaced(self, server: Any, given: str) -> None:
        answer = httpx2.get(f"{server.base_url}/livez", headers=[(b"X-Request-Id", given.encode())])
        assert answer.headers["x-request-id"] != given
        assert re.fullmatch(r"req_[0-9a-f]{18,}", answer.headers["x-request-id"])

    def test_it_is_found_in_the_audit_log(self, raw_api: httpx2.Client) -> None:
        headers = {"X-Request-Id": "trace-me-7", "Idempotency-Key": "k"}
        assert raw_api.post(KEYS, json={"name": "traced"}, headers=headers).status_code == 201
        entries = raw_api.get("/v1/audit-log").json()["data"]
        assert "trace-me-7" in {entry["request_id"] for entry in entries}


class TestIdempotency:
    def post(self, client: httpx2.Client, key: str | bytes, body: Any) -> httpx2.Response:
        raw = key if isinstance(key, bytes) else key.encode()
        headers = [(b"Idempotency-Key", raw), (b"Content-Type", b"application/json")]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return client.post(KEYS, content=content, headers=headers)

    def test_the_same_act_is_answered_again(self, raw_api: httpx2.Client) -> None:
        first = self.post(raw_api, "k1", {"name": "a", "scopes": ["admin"]})
        assert first.status_code == 201
        assert "x-idempotent-replayed" not in first.headers
        for key, body in (
            ("k1", b'{"scopes":["admin"],"name":"a"}'),
            ("k1", b' { "name" : "\\u0061" , "scopes" : [ "admin" ] } '),
            ('"k1"', {"name": "a", "scopes": ["admin"]}),
            ("k1", {"name": "a", "scopes": ["admin"], "idempotency_key": "k1"}),
        ):
            again = self.post(raw_api, key, body)
            assert (again.status_code, again.content) == (201, first.content)
            assert again.headers["x-idempotent-replayed"] == "true"
            assert again.headers["x-request-id"] != first.headers["x-request-id"]

    def test_the_body_field_stands_for_the_header(self, raw_api: httpx2.Client) -> None:
        body = {"name": "a", "idempotency_key": "k2"}
        first = raw_api.post(KEYS, json=body)
        again = self.post(raw_api, "k2", {"name": "a"})
        assert (first.status_code, again.content) == (201, first.content)
        assert again.headers["x-idempotent-replayed"] == "true"

    def test_another_act_is_refused(self, raw_api: httpx2.Client) -> None:
        assert self.post(raw_api, "k3", {"name": "a"}).status_code == 201
        for body in ({"name": "b"}, {}, {"name": "a", "scopes": []}):
            answer = self.post(raw_api, "k3", body)
            assert (answer.status_code, slug_of(answer)) == (422, "idempotency-key-reused")

    def test_a_refusal_does_not_use_the_key_up(self, raw_api: httpx2.Client) -> None:
        assert self.post(raw_api, "k4", {"name": 5}).status_code == 400
        assert self.post(raw_api, "k4", {"name": "five"}).status_code == 201

    @pytest.mark.parametrize(
        "key", ["", "a b", '""', "x" * 256, "é", "a\tb", b"\xff", '"a b"', "\u200b"], ids=repr
    )
    def test_keys_that_are_none(self, raw_api: httpx2.Client, key: str | bytes) -> None:
        answer = self.post(raw_api, key, {"name": "a"})
        assert (answer.status_code, slug_of(answer)) == (400, "validation-error")
        if isinstance(key, str) and key.isprintable():
            answer = raw_api.post(KEYS, json={"name": "a", "idempotency_key": key})
            assert (answer.status_code, slug_of(answer)) == (400, "validation-error")

    def test_two_different_ones_are_refused(self, raw_api: httpx2.Client) -> None:
        answer = self.post(raw_api, "k5", {"name": "a", "idempotency_key": "k6"})
        assert (answer.status_code, slug_of(answer)) == (400, "validation-error")
        for field in (5, None, ["k"], {"k": 1}, True):
            answer = raw_api.post(KEYS, json={"name": "a", "idempotency_key": field})
            assert answer.status_code == 400

    def test_long_and_odd_keys_are_kept_exactly(self, raw_api: httpx2.Client) -> None:
        for key in ("x" * 255, "topup:pay_abc/123", "~!#$%^&*()", "K7", "k7"):
            assert self.post(raw_api, key, {"name": key[:20]}).status_code == 201


class TestPagination:
    @pytest.fixture
    def names(self, api: Any) -> list[str]:
        names = [f"key {number}" for number in range(6)]
        for name in names:
            assert api.post(KEYS, {"name": name}).status == 201
        return ["Default", *names]

    def read_all(self, api: Any, **query: Any) -> list[str]:
        found: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = api.get(KEYS, **query, **cursor).json
            found += [row["name"] for row in page["data"]]
            assert page["pagination"]["has_more"] == (page["pagination"]["next_cursor"] is not None)
            if not page["pagination"]["has_more"]:
                return found
            assert len(page["data"]) == query["limit"]
            cursor = {"cursor": page["pagination"]["next_cursor"]}

    def test_newest_first_unless_asked(self, api: Any, names: list[str]) -> None:
        assert self.read_all(api, limit=2) == names[::-1]
        assert self.read_all(api, limit=3, order="asc") == names
        assert self.read_all(api, limit=7) == names[::-1]
        assert [row["name"] for row in api.get(KEYS).json["data"]] == names[::-1]

    def test_stable_while_rows_are_inserted(self, api: Any, names: list[str]) -> None:
        first = api.get(KEYS, limit=3).json
        assert api.post(KEYS, {"name": "meanwhile"}).status == 201
        rest = api.get(KEYS, limit=200, cursor=first["pagination"]["next_cursor"]).json
        assert [row["name"] for row in (*first["data"], *rest["data"])] == names[::-1]

    def test_a_cursor_opens_no_other_list(self, api: Any, names: list[str], other_tenant: Any) -> None:
        cursor = api.get(KEYS, limit=2).json["pagination"]["next_cursor"]
        middle = len(cursor) // 2
        edited = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]
        foreign = api.with_key(other_tenant.test_key)
        for answer in (
            api.get(KEYS, cursor=edited),
            api.get(KEYS, cursor="bm9uZQ"),
            api.get(KEYS, cursor="%%%"),
            api.get(KEYS, cursor="é"),
            api.get(KEYS, cursor=cursor, order="asc"),
            api.get("/v1/audit-log", cursor=cursor),
            foreign.get(KEYS, cursor=cursor),
        ):
            assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/cursor")
        assert api.get(KEYS, cursor=cursor, limit=5).status == 200


class TestRateLimit:
    def test_a_full_bucket_empties_and_says_so(self, api: Any, tenant: Any) -> None:
        config = f"/v1/tenants/{tenant.tenant_id}/config"
        assert "ratelimit" not in api.get(KEYS).headers
        assert api.patch(config, {"requests_per_minute": 3}).status == 200
        left = [api.get(KEYS) for _ in range(3)]
        assert [answer.status for answer in left] == [200, 200, 200]
        assert [answer.headers["ratelimit-policy"] for answer in left] == ['"default";q=3;w=60'] * 3
        assert [answer.headers["ratelimit"].split(";")[1] for answer in left] == ["r=2", "r=1", "r=0"]
        refused = api.get(KEYS)
        assert (refused.status, refused.json["type"].rpartition("/")[2]) == (429, "rate-limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert refused.headers["ratelimit"].startswith('"default";r=0;t=')
        assert api.with_key(tenant.live_key).get(KEYS).status == 200


class TestConfig:
    def test_another_tenants_settings_do_not_exist(self, api: Any, other_tenant: Any) -> None:
        for tenant_id in (other_tenant.tenant_id, "01920000-0000-7000-8000-000000000000", "me"):
            assert api.get(f"/v1/tenants/{tenant_id}/config").status == 404
            assert api.patch(f"/v1/tenants/{tenant_id}/config", {"overage_policy": "allow"}).status == 404

    def test_environments_are_apart(self, api: Any, tenant: Any) -> None:
        path = f"/v1/tenants/{tenant.tenant_id}/config"
        assert api.patch(path, {"low_balance_threshold": 5, "overage_policy": "notify"}).status == 200
        assert api.get(path).json["overage_policy"] == "notify"
        assert api.with_key(tenant.live_key).get(path).json["overage_policy"] == "block"

    def test_head_is_get_without_a_body(self, server: Any, tenant: Any) -> None:
        headers = {"X-API-Key": tenant.test_key}
        url = f"{server.base_url}/v1/tenants/{tenant.tenant_id}/config"
        got = httpx2.get(url, headers=headers)
        head = httpx2.head(url, headers=headers)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
