"""A body that came before is not read again, and nothing that is answered shows it."""

import itertools
import json
from typing import Any

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.api.stories import Story

from quotastack.api.app import collect_routes
from quotastack.api.known_bodies import BODIES_MAX, BODY_BYTES_MAX, KnownBodies, KnownBody
from quotastack.api.reading import Readers, read_json
from quotastack.api.routing import Request, RouteTable
from quotastack.core.errors import ProblemError

KNOWN = KnownBody("typed", None, b"content")


def test_a_body_is_kept_when_it_comes_again() -> None:
    bodies = KnownBodies()
    bodies.note(b'{"units":1}', {"units": 1}, KNOWN)
    assert bodies.find(b'{"units":1}') is None
    bodies.note(b'{"units":1}', {"units": 1}, KNOWN)
    assert bodies.find(b'{"units":1}') is KNOWN
    assert bodies.find(b'{"units":2}') is None


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        pytest.param(b"x" * (BODY_BYTES_MAX + 1), {"units": 1}, id="large"),
        pytest.param(b'{"metadata":{"a":1}}', {"metadata": {"a": 1}}, id="with an object"),
        pytest.param(b'{"tags":[1]}', {"tags": [1]}, id="with a list"),
        pytest.param(b'{"units":1.5}', {"units": 1.5}, id="with a float"),
        pytest.param(b"[1]", [1], id="not an object"),
    ],
)
def test_what_is_large_or_could_be_changed_is_read_each_time(raw: bytes, value: Any) -> None:
    bodies = KnownBodies()
    for _ in range(3):
        bodies.note(raw, value, KNOWN)
    assert bodies.find(raw) is None


def test_bodies_are_bounded_and_the_oldest_leave() -> None:
    bodies = KnownBodies()
    raws = [b'{"units":%d}' % number for number in range(2 * BODIES_MAX)]
    for raw in raws:
        bodies.note(raw, {}, KNOWN)
        bodies.note(raw, {}, KNOWN)
    assert bodies.find(raws[0]) is None
    assert bodies.find(raws[-1]) is KNOWN
    assert sum(bodies.find(raw) is KNOWN for raw in raws) == BODIES_MAX


# Reading and knowing are held equal: for any body under any key, whichever of the routes it is sent to.

ROUTES = [bound for bound in RouteTable(collect_routes()).bound if Readers(bound).known_bodies is not None]
NAMES = st.sampled_from(
    ["customer_id", "external_customer_id", "end_user_id", "billable_metric_key", "feature_key", "units", "value",
     "timestamp", "enforcement", "dry_run", "idempotency_key", "credits", "reason", "metadata", "dimensions", "x"]
)  # fmt: skip
VALUES = st.one_of(
    st.integers(-2, 2**64),
    st.booleans(),
    st.none(),
    st.sampled_from(
        ["user_1", "calls", "enforce", "record", "0190a000-0000-7000-8000-000000000002", "", "é\u0000"]
    ),
    st.sampled_from([{}, {"a": "b"}, [1], 1.5, "2041-03-01T00:00:00Z"]),
)
PLAIN = {"external_customer_id": "user_1", "billable_metric_key": "calls", "units": 1}


def read(bound: Any, readers: Readers, raw: bytes, key: bytes | None) -> Any:
    """What the request says, or the refusal."""
    request = Request()
    request.bound, request.route, request.method = bound, bound.route, bound.route.method
    request.headers = {} if key is None else {b"idempotency-key": key}
    try:
        read_json(request, readers, raw, bound.template)
    except ProblemError as refusal:
        return type(refusal), str(refusal), refusal.errors
    return request.body, request.customer, request.key


@given(
    route=st.integers(0, len(ROUTES) - 1),
    fields=st.dictionaries(NAMES, VALUES, max_size=5) | st.just(PLAIN),
    keys=st.lists(
        st.sampled_from([b"act:1", b"act:2", b"with space", b"\xff", None]), min_size=4, max_size=6
    ),
)
@example(route=0, fields=PLAIN, keys=[b"act:1", b"act:1", b"act:1", b"act:2", None])
def test_a_known_body_says_what_reading_it_says(
    route: int, fields: dict[str, Any], keys: list[bytes | None]
) -> None:
    bound = ROUTES[route]
    raw = json.dumps(fields).encode()
    remembering = Readers(bound)
    for key in keys:
        assert read(bound, remembering, raw, key) == read(bound, Readers(bound), raw, key)


def test_usage_and_reservations_are_among_the_routes_that_know_bodies() -> None:
    assert {bound.template for bound in ROUTES} >= {"/v1/usage", "/v1/reserve"}
    bound = next(bound for bound in ROUTES if bound.template == "/v1/usage")
    readers = Readers(bound)
    raw = json.dumps(PLAIN).encode()
    for _ in range(2):
        read(bound, readers, raw, b"act:1")
    assert readers.known_bodies is not None
    assert readers.known_bodies.find(raw) is not None


USE = b'{"external_customer_id":"user_1","billable_metric_key":"calls","units":2}'


@pytest.fixture
def use(story: Story, raw_api: httpx2.Client) -> Any:
    """Posts a usage event as these very bytes."""
    story.priced("calls", 1000)
    story.wallet(100_000, "user_1")
    numbers = itertools.count()

    def post(body: bytes = USE, key: str | None = "", **headers: str) -> httpx2.Response:
        known = {"Content-Type": "application/json", **headers}
        if key is not None:
            known["Idempotency-Key"] = key or f"known:{next(numbers)}"
        return raw_api.post("/v1/usage", content=body, headers=known)

    return post


def test_each_act_is_charged_once_whoever_read_its_body(use: Any) -> None:
    balances = [use().json()["balance"] for _ in range(5)]
    assert balances == [98_000, 96_000, 94_000, 92_000, 90_000]
    first, again = use(key="same"), use(key="same")
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert again.headers["X-Idempotent-Replayed"] == "true"
    assert use().json()["balance"] == 86_000


def test_a_known_body_and_the_same_words_in_other_bytes_are_one_act(use: Any) -> None:
    for _ in range(3):
        use()
    spaced = b'{ "units": 2, "billable_metric_key": "calls", "external_customer_id": "user_1" }'
    assert use(spaced, key="act").status_code == 201
    assert use(key="act").headers["X-Idempotent-Replayed"] == "true"
    other = USE.replace(b"2", b"3")
    assert use(other, key="act").json()["type"].endswith("/idempotency-key-reused")


def test_the_key_is_looked_at_each_time(use: Any) -> None:
    for _ in range(3):
        assert use().status_code == 201
    missing = use(key=None)
    assert missing.status_code == 400
    assert missing.json()["type"].endswith("/idempotency-key-required")
    spaced = use(key="with space")
    assert spaced.status_code == 400
    assert spaced.json()["errors"][0]["pointer"] == "Idempotency-Key"
    encoded = use(**{"Content-Encoding": "gzip"})
    assert encoded.status_code == 415
    assert use().json()["balance"] == 92_000


def test_a_dry_run_and_a_key_in_the_body_are_never_known(use: Any) -> None:
    dry = USE[:-1] + b',"dry_run":true}'
    for _ in range(3):
        assert use(dry).status_code == 200
    keyed = USE[:-1] + b',"idempotency_key":"within"}'
    assert [use(keyed, key=None).headers.get("X-Idempotent-Replayed") for _ in range(3)] == [
        None,
        "true",
        "true",
    ]
    assert use(keyed, key="another").status_code == 400
    assert use().json()["balance"] == 96_000
