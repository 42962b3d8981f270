"""Webhooks through HTTP: endpoints, secrets, the log, and what is sent again by hand."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from standardwebhooks import Webhook
from tests.api.receivers import Received, Receiver
from tests.api.stories import START, Json, Story, answer, refused, slug, wire
from tests.conftest import InProcess, RunCluster, ScratchDatabase
from tests.races.servers import Client, ServerProcess

from quotastack.core.events import EVENT_TYPES
from quotastack.webhooks import verify

SECRET = base64.b64encode(b"a secret of thirty-two bytes ...").decode()
OTHER_SECRET = base64.b64encode(b"another secret of as many bytes.").decode()
URL = "https://receiver.example.com/hook"


class Lab:
    """A server that delivers to loopback, its database, and tenants on it."""

    def __init__(self, database: ScratchDatabase, data: Path) -> None:
        self.database = database
        settings = {
            "QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "1",
            "QUOTASTACK_WEBHOOK_RETRY_WAITS": "0.05,0.05",
            "QUOTASTACK_WEBHOOK_TIMEOUT_SECONDS": "2",
        }
        self.server = ServerProcess(data, **database.environment, **settings)
        self.in_process = InProcess(database)

    def story(self) -> Story:
        tenant = self.in_process.create_tenant("webhooks")
        return Story(Client(self.server.base_url, tenant.test_key), tenant)

    def execute(self, statement: str, *arguments: Any) -> None:
        async def run() -> None:
            owner: asyncpg.Connection = await self.database.target.connect_owner()
            await owner.execute(statement, *arguments)
            await owner.close()

        asyncio.run(run())


@pytest.fixture(scope="module")
def lab(cluster: RunCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(cluster.make(), tmp_path_factory.mktemp("webhook-lab") / "data")
    made.server.start()
    yield made
    made.server.stop()
    made.in_process.close()


@pytest.fixture
def told(lab: Lab) -> Iterator[Story]:
    story = lab.story()
    yield story
    story.api.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver(SECRET, lambda came: 200)
    yield made
    made.close()


def endpoint(story: Story, url: str, **fields: Any) -> Json:
    return answer(story.post("/v1/webhooks/endpoints", {"url": url, "secret": SECRET, **fields}), 201)


def delivery_of(story: Story, event_id: str, **filters: Any) -> Json:
    """The delivery of an event once it has ended."""
    for _ in range(2_000):
        rows = answer(story.api.get("/v1/webhooks/deliveries", event_id=event_id, **filters), 200)["data"]
        if rows and rows[0]["status"] != "pending":
            return rows[0]
    raise AssertionError(f"the delivery of {event_id} never ended")


# Endpoints


def test_an_endpoint_is_made_read_changed_and_deleted(story: Story) -> None:
    made = answer(story.post("/v1/webhooks/endpoints", {"url": URL, "events": ["credit.*", "credit.*"]}), 201)
    assert made["secret"].startswith("whsec_")
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
    path = f"/v1/webhooks/endpoints/{made['id']}"
    shown = answer(story.api.get(path), 200)
    assert "secret" not in shown
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert shown["events"] == ["credit.*"]
    assert (shown["status"], shown["format"], shown["has_secret"]) == ("active", "standard", True)
    changed = answer(
        story.api.patch(
            path, {"events": ["*"], "severity": "critical", "description": "all", "format": "cloudevents"}
        )
    )
    assert (changed["events"], changed["severity"], changed["format"]) == (["*"], "critical", "cloudevents")
    again = answer(story.api.patch(path, {"severity": None}))
    assert "severity" not in again
    assert again["description"] == "all"
    listed = answer(story.api.get("/v1/webhooks/endpoints"), 200)
    assert listed["data"] == [again]
    assert story.api.delete(path).status == 204
    assert slug(story.api.get(path)) == "not-found"
    assert slug(story.api.delete(path)) == "not-found"
    assert answer(story.api.get("/v1/webhooks/endpoints"), 200)["data"] == []


def test_a_secret_can_be_had_again_by_its_key_only(story: Story) -> None:
    body = {"url": URL, "events": ["*"]}
    first = story.post("/v1/webhooks/endpoints", body, key="endpoint:1")
    again = story.post("/v1/webhooks/endpoints", body, key="endpoint:1")
    assert again.headers["x-idempotent-replayed"] == "true"
    assert again.json == first.json
    other = story.post("/v1/webhooks/endpoints", body, key="endpoint:2")
    assert other.json["secret"] != first.json["secret"]
    given = answer(story.post("/v1/webhooks/endpoints", {**body, "secret": f"whsec_{SECRET}"}), 201)
    assert "secret" not in given


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": "ftp://example.com"}, "/url"),
        ({"url": "https://user:pw@example.com/"}, "/url"),
        ({"url": "https://example.com/#x"}, "/url"),
        ({"url": "https:///hook"}, "/url"),
        ({"url": "https://exa mple.com/"}, "/url"),
        ({"url": "https://-bad-.example.com/"}, "/url"),
        ({"url": "https://example.com:0/"}, "/url"),
        ({"url": "https://example.com:99999/"}, "/url"),
        ({"url": "https://" + "a" * 64 + ".example.com/"}, "/url"),
        ({"url": "https://[::1/"}, "/url"),
        ({"url": "https://example.com/" + "a" * 2048}, "/url"),
        ({"events": []}, "/events"),
        ({"events": ["credit.grated"]}, "/events/0"),
        ({"events": ["*", "credits.*"]}, "/events/1"),
        ({"secret": "short"}, "/secret"),
        ({"secret": "not base64 at all!"}, "/secret"),
        ({"format": "xml"}, "/format"),
        ({"unknown": 1}, "/unknown"),
    ],
)
def test_what_no_endpoint_can_be(story: Story, fields: Json, pointer: str) -> None:
    body = {"url": URL, "events": ["*"], **fields}
    problem = refused(story.post("/v1/webhooks/endpoints", body), 400, "validation-error")
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


def test_an_environment_has_ten_endpoints(story: Story) -> None:
    for _ in range(10):
        endpoint(story, URL)
    refused(story.post("/v1/webhooks/endpoints", {"url": URL}), 409, "conflict")


def test_changes_are_audited_without_secrets(story: Story) -> None:
    made = answer(story.post("/v1/webhooks/endpoints", {"url": URL}), 201)
    rotated = answer(story.post(f"/v1/webhooks/endpoints/{made['id']}/rotate-secret"), 200)
    entries = answer(story.api.get("/v1/audit-log", object_id=made["id"]), 200)["data"]
    assert [entry["action"] for entry in entries] == [
        "webhook_endpoint.secret_rotated",
        "webhook_endpoint.created",
    ]
    assert made["secret"] not in str(entries)
    assert rotated["secret"] not in str(entries)


def test_the_catalog_needs_no_key(story: Story, raw_api: Any) -> None:
    response = raw_api.get("/v1/webhooks/event-types", headers={"X-API-Key": ""})
    assert response.status_code == 200
    rows = response.json()["data"]
    assert [row["type"] for row in rows] == list(EVENT_TYPES)
    for row in rows:
        assert row["schema"]["type"] == "object"
        assert row["example"]["type"] == row["type"]


# Rotation


def test_a_rotation_overlaps(lab: Lab, told: Story) -> None:
    receiver = Receiver(OTHER_SECRET, lambda came: 200)
    made = endpoint(told, receiver.url)
    path = f"/v1/webhooks/endpoints/{made['id']}/rotate-secret"
    rotated = answer(told.post(path, {"secret": OTHER_SECRET}), 200)
    assert "previous_secret_until" in rotated
    refused(told.post(path), 409, "conflict")
    try:
        told.customer()
        (came,) = receiver.wait_for(lambda received: len(received) == 1)
    finally:
        receiver.close()
    assert len(came.headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OTHER_SECRET):
        Webhook(secret).verify(came.body, came.headers)
    forced = answer(told.post(path, {"force": True, "overlap_seconds": 0}), 200)
    assert forced["secret"].startswith("whsec_")
    assert "previous_secret_until" not in forced


# Delivering


def test_what_is_sent_is_what_the_log_says(told: Story, receiver: Receiver) -> None:
    endpoint(told, receiver.url)
    customer = told.customer("user:1/ä")
    told.grant(customer, 5_000)
    received = receiver.wait_for(lambda all_: len(all_) == 2)
    for came, event in zip(received, told.events(customer=customer), strict=True):
        assert came.event == event
        assert answer(told.api.get(f"/v1/events/{event['id']}"), 200) == event
        assert verify(came.body, came.headers, SECRET)["external_customer_id"] == "user:1/ä"
        assert came.headers["content-type"] == "application/json"
        assert came.headers["user-agent"].startswith("QuotaStack-Webhooks/")
    by_customer = answer(told.api.get("/v1/events", external_customer_id="user:1/ä", order="asc"), 200)[
        "data"
    ]
    assert by_customer == told.events(customer=customer)
    by_type = answer(told.api.get("/v1/events", type="customer.*"), 200)["data"]
    assert [event["type"] for event in by_type] == ["customer.created"]
    refused(told.api.get("/v1/events", type="nonsense"), 400, "validation-error")


def test_events_off_by_default_come_to_who_names_them(told: Story, receiver: Receiver) -> None:
    metric = told.priced("api_call", 1_000)
    customer = told.wallet(10_000)
    told.used(customer, metric)
    assert told.events("credit.consumed") == []
    endpoint(told, receiver.url, events=["credit.consumed"])
    told.used(customer, metric)
    (came,) = receiver.wait_for(lambda all_: len(all_) == 1)
    assert (came.event["type"], came.event["data"]["cost"]) == ("credit.consumed", 1_000)
    assert len(told.events("credit.consumed")) == 1


def test_a_metric_filter(told: Story, receiver: Receiver) -> None:
    for key in ("look", "listen"):
        told.priced(key, 1_000)
    endpoint(told, receiver.url, events=["credit.consumed"], billable_metric_key="listen")
    customer = told.wallet(10_000)
    told.used(customer, "look")
    told.used(customer, "listen")
    (came,) = receiver.wait_for(lambda all_: len(all_) == 1)
    assert came.event["data"]["billable_metric_key"] == "listen"


def test_a_failed_delivery_is_redelivered_by_hand(told: Story) -> None:
    is_well: list[bool] = []
    receiver = Receiver(SECRET, lambda came: 200 if is_well else 500)
    try:
        endpoint(told, receiver.url)
        told.customer()
        (event,) = told.events()
        failed = delivery_of(told, event["id"])
        assert failed["status"] == "failed"
        assert [attempt["status"] for attempt in failed["attempts"]] == [500, 500, 500]
        is_well.append(True)
        path = f"/v1/webhooks/deliveries/{failed['id']}/redeliver"
        made = answer(told.post(path, key="redeliver:1"), 201)
        assert told.post(path, key="redeliver:1").json == made
        assert (made["origin"], made["status"]) == ("redelivery", "pending")
        received = receiver.wait_for(lambda all_: len(all_) == 4)
    finally:
        receiver.close()
    assert len({came.headers["webhook-id"] for came in received}) == 1
    assert len({came.body for came in received}) == 1
    assert [came.headers.get("webhook-redelivery") for came in received] == [None, None, None, "manual"]
    assert answer(told.api.get(f"/v1/webhooks/deliveries/{failed['id']}"), 200) == failed


def test_a_stuck_head_is_skipped(lab: Lab, told: Story) -> None:
    """The head waits for a retry that is far away; skipping it lets the next one go, and shows the gap."""
    receiver = Receiver(SECRET, lambda came: 500 if came.event["sequence"] == 1 else 200)
    try:
        endpoint(told, receiver.url)
        customer = told.customer()
        (event,) = told.events()
        receiver.wait_for(lambda all_: len(all_) == 3)
        head = delivery_of(told, event["id"])
        refused(told.post(f"/v1/webhooks/deliveries/{head['id']}/skip"), 409, "conflict")
        # A head that is stuck for long: as after the step of five minutes.
        lab.execute(
            "UPDATE quotastack.webhook_deliveries SET status = 'pending', finished_at = NULL,"
            " next_attempt_at = now() + interval '5 min' WHERE id = $1::text::uuid",
            head["id"],
        )
        lab.execute(
            "UPDATE quotastack.webhook_lanes SET due_at = now() + interval '5 min', last_sequence = NULL"
            " WHERE customer_id = $1::text::uuid",
            customer,
        )
        told.grant(customer, 1_000)
        behind = answer(told.api.get("/v1/webhooks/deliveries", status="pending"), 200)["data"]
        assert [row["sequence"] for row in behind] == [2, 1]
        stuck = refused(told.post(f"/v1/webhooks/deliveries/{behind[0]['id']}/skip"), 409, "conflict")
        assert stuck["head_delivery_id"] == head["id"]
        skipped = answer(told.post(f"/v1/webhooks/deliveries/{head['id']}/skip"), 200)
        assert skipped["status"] == "canceled"
        received = receiver.wait_for(lambda all_: len(all_) == 4)
    finally:
        receiver.close()
    assert received[-1].event["sequence"] == 2
    assert received[-1].headers["webhook-previous-sequence"] == "1"


def test_a_span_is_replayed_in_order(told: Story, receiver: Receiver) -> None:
    told.freeze(START)
    customers = [told.customer(), told.customer()]
    for _ in range(3):
        told.advance(hours=1)
        for customer in customers:
            told.grant(customer, 1_000)
    told.advance(hours=1)
    for customer in customers:
        told.grant(customer, 9_000)
    made = endpoint(told, receiver.url, events=["credit.granted"])
    span = {"from": wire(START), "to": wire(told.now())}
    path = f"/v1/webhooks/endpoints/{made['id']}/replay"
    assert answer(told.post(path, span), 202)["events"] == 6
    received = receiver.wait_for(lambda all_: len(all_) == 6)
    for customer in customers:
        own = [came for came in received if came.event["customer_id"] == customer]
        assert [came.event["sequence"] for came in own] == [2, 3, 4]
        assert {came.headers["webhook-redelivery"] for came in own} == {"replay"}
        assert [came.headers.get("webhook-previous-sequence") for came in own] == [None, "2", "3"]
    refused(told.post(path, {"from": span["to"], "to": span["from"]}), 400, "validation-error")


def test_unsubscribing_cancels_what_waits(told: Story) -> None:
    receiver = Receiver(SECRET, lambda came: 503)
    receiver.close()
    made = endpoint(told, receiver.url)
    customer = told.customer()
    told.grant(customer, 1_000)
    path = f"/v1/webhooks/endpoints/{made['id']}"
    answer(told.api.patch(path, {"events": ["customer.*"]}))
    rows = answer(told.api.get("/v1/webhooks/deliveries", customer_id=customer), 200)["data"]
    assert [row["status"] for row in rows if row["event_type"] == "credit.granted"] == ["canceled"]
    answer(told.api.patch(path, {"status": "disabled"}))
    rows = answer(told.api.get("/v1/webhooks/deliveries", customer_id=customer), 200)["data"]
    assert {row["status"] for row in rows} <= {"canceled", "failed"}
    told.grant(customer, 1_000)
    assert len(answer(told.api.get("/v1/webhooks/deliveries", customer_id=customer), 200)["data"]) == 2
    refused(told.post(f"{path}/test"), 409, "conflict")


def test_five_days_of_failures_disable_once(lab: Lab, told: Story) -> None:
    receiver = Receiver(SECRET, lambda came: 500)
    try:
        made = endpoint(told, receiver.url)
        lab.execute(
            "UPDATE quotastack.webhook_endpoints SET failing_since = now() - interval '5 days'"
            " WHERE id = $1::text::uuid",
            made["id"],
        )
        told.customer()
        receiver.wait_for(lambda all_: len(all_) >= 1)
        path = f"/v1/webhooks/endpoints/{made['id']}"
        for _ in range(400):
            shown = answer(told.api.get(path), 200)
            if shown["status"] == "disabled":
                break
    finally:
        receiver.close()
    assert (shown["status"], shown["disabled_reason"]) == ("disabled", "failing")
    enabled = answer(told.api.patch(path, {"status": "active"}))
    assert enabled["status"] == "active"
    assert enabled.keys().isdisjoint({"disabled_reason", "disabled_at", "failing_since"})


def test_a_success_ends_the_count_of_failures(told: Story) -> None:
    receiver = Receiver(SECRET, lambda came: 200 if came.event["sequence"] > 1 else 500)
    try:
        made = endpoint(told, receiver.url)
        customer = told.customer()
        told.grant(customer, 1_000)
        receiver.wait_for(lambda all_: len(all_) == 4)
        event = told.events("credit.granted")[0]
        assert delivery_of(told, event["id"])["status"] == "succeeded"
        assert "failing_since" not in answer(told.api.get(f"/v1/webhooks/endpoints/{made['id']}"), 200)
    finally:
        receiver.close()


def test_a_receiver_may_call_back_while_it_handles(told: Story) -> None:
    """The event is committed before it is sent: what the handler reads and writes meets no lock of ours."""
    balances: list[int] = []

    def handle(came: Received) -> int:
        if came.event["type"] == "customer.created":
            customer = came.event["customer_id"]
            balances.append(told.grant(customer, 3_000, key=f"signup:{customer}")["account"]["balance"])
        return 200

    receiver = Receiver(SECRET, handle)
    try:
        endpoint(told, receiver.url)
        told.customer()
        receiver.wait_for(lambda all_: len(all_) == 2)
    finally:
        receiver.close()
    assert balances == [3_000]


# The shortcut of the settings


def test_the_shortcut_keeps_one_endpoint(told: Story, receiver: Receiver) -> None:
    told.configure(webhook_url=receiver.url)
    (made,) = answer(told.api.get("/v1/webhooks/endpoints"), 200)["data"]
    assert (made["url"], made["has_secret"], made["follows_config"]) == (receiver.url, False, True)
    told.customer()
    assert answer(told.api.get("/v1/webhooks/deliveries"), 200)["data"] == [], "no secret, no delivery"
    told.configure(webhook_secret=SECRET)
    told.customer()
    receiver.wait_for(lambda all_: len(all_) == 1)
    told.configure(webhook_url=receiver.url + "/other")
    (moved,) = answer(told.api.get("/v1/webhooks/endpoints"), 200)["data"]
    assert (moved["id"], moved["has_secret"]) == (made["id"], True)
    path = f"/v1/webhooks/endpoints/{made['id']}"
    for refusal in (
        told.api.patch(path, {"url": URL}),
        told.api.delete(path),
        told.post(f"{path}/rotate-secret"),
    ):
        refused(refusal, 409, "conflict")
    told.configure(webhook_url=None)
    assert answer(told.api.get("/v1/webhooks/endpoints"), 200)["data"] == []
    config = f"/v1/tenants/{told.tenant.tenant_id}/config"
    refused(told.api.patch(config, {"webhook_secret": "no base64!"}), 400, "validation-error")
    refused(told.api.patch(config, {"webhook_url": "http://a b/"}), 400, "validation-error")


# Samples and listeners


def test_a_test_event(told: Story, receiver: Receiver) -> None:
    made = endpoint(told, receiver.url, events=["credit.granted"])
    path = f"/v1/webhooks/endpoints/{made['id']}/test"
    sent = answer(told.post(path), 201)
    assert (sent["event_type"], sent["origin"]) == ("webhook.test", "test")
    answer(told.post(path, {"type": "subscription.overdue"}), 201)
    received = receiver.wait_for(lambda all_: len(all_) == 2)
    assert {came.event["type"] for came in received} == {"webhook.test", "subscription.overdue"}
    assert {came.headers["webhook-test"] for came in received} == {"true"}
    assert told.events() == []
    refused(told.post(path, {"type": "nonsense"}), 400, "validation-error")
    live = told.api.with_key(told.tenant.live_key)
    in_live = answer(live.post("/v1/webhooks/endpoints", {"url": receiver.url, "secret": SECRET}), 201)["id"]
    refused(
        live.post(f"/v1/webhooks/endpoints/{in_live}/test", {"type": "credit.granted"}),
        400,
        "validation-error",
    )
    answer(live.post(f"/v1/webhooks/endpoints/{in_live}/test"), 201)
    live.close()


def test_a_listener_fetches_in_order(told: Story, receiver: Receiver) -> None:
    made = answer(told.post("/v1/webhooks/listeners", {"events": ["credit.*"]}), 201)
    assert made["secret"].startswith("whsec_")
    pull = f"/v1/webhooks/listeners/{made['id']}/pull"
    assert answer(told.post(pull), 200)["deliveries"] == []
    customer = told.customer()
    for amount in (1_000, 2_000):
        told.grant(customer, amount)
    endpoint(told, receiver.url, events=["subscription.*"])
    triggered = answer(told.post("/v1/webhooks/trigger", {"type": "credit.exhausted"}), 201)
    assert [row["endpoint_id"] for row in triggered["deliveries"]] == [made["id"]]
    waiting = answer(told.post(pull), 200)["deliveries"]
    assert [row["event_type"] for row in waiting] == ["credit.granted", "credit.granted", "credit.exhausted"]
    assert answer(told.post(pull), 200)["deliveries"] == waiting, "fetched until its result is written"
    results = [
        {"delivery_id": waiting[0]["id"], "status": 200, "duration_ms": 3, "answer": "ok"},
        {"delivery_id": waiting[1]["id"], "error": "refused"},
        {"delivery_id": waiting[2]["id"], "status": 500},
    ]
    assert answer(told.post(pull, {"results": results}), 200)["deliveries"] == []
    assert answer(told.post(pull, {"results": results}), 200)["deliveries"] == []
    rows = answer(told.api.get("/v1/webhooks/deliveries", endpoint_id=made["id"], order="asc"), 200)["data"]
    assert [row["status"] for row in rows] == ["succeeded", "failed", "failed"]
    assert [len(row["attempts"]) for row in rows] == [1, 1, 1]
    assert answer(told.api.get("/v1/webhooks/endpoints"), 200)["data"][0]["id"] != made["id"]
    as_endpoint = f"/v1/webhooks/endpoints/{made['id']}"
    refused(told.api.get(as_endpoint), 404, "not-found")
    refused(told.post(f"{as_endpoint}/test"), 404, "not-found")
    refused(told.post(f"/v1/webhooks/deliveries/{rows[0]['id']}/redeliver"), 409, "conflict")
    live = told.api.with_key(told.tenant.live_key)
    refused(live.post("/v1/webhooks/listeners"), 403, "insufficient-scope")
    refused(live.post("/v1/webhooks/trigger", {"type": "credit.granted"}), 403, "insufficient-scope")
    live.close()


# Retention


def test_the_log_forgets(lab: Lab, told: Story, receiver: Receiver) -> None:
    from quotastack.services.webhook_retention import forget_old_log

    endpoint(told, receiver.url)
    customer = told.customer()
    told.grant(customer, 1_000)
    received = receiver.wait_for(lambda all_: len(all_) == 2)
    for came in received:
        delivery_of(told, came.event["id"])
    lab.execute(
        "UPDATE quotastack.webhook_deliveries SET created_at = now() - interval '31 days'"
        " WHERE customer_id = $1::text::uuid AND sequence = 1",
        customer,
    )
    lab.execute(
        "UPDATE quotastack.events SET created_at = now() - interval '91 days'"
        " WHERE customer_id = $1::text::uuid AND sequence = 1",
        customer,
    )
    services = lab.in_process.services
    assert lab.in_process.runner.run(forget_old_log(services)) >= 2
    assert [event["sequence"] for event in told.events(customer=customer)] == [2]
    rows = answer(told.api.get("/v1/webhooks/deliveries", customer_id=customer), 200)["data"]
    assert [row["sequence"] for row in rows] == [2]


# The developer's commands


def test_listen_hands_on_and_trigger_sends(lab: Lab, told: Story) -> None:
    from quotastack.cli.webhook_client import listen, trigger

    lines: list[str] = []
    came: list[tuple[bytes, dict[str, str]]] = []
    base_url, key = lab.server.base_url, told.tenant.test_key

    async def story() -> None:
        from aiohttp import web

        stopping = asyncio.Event()

        async def receive(request: web.Request) -> web.Response:
            came.append((await request.read(), dict(request.headers)))
            if len(came) == 3:
                stopping.set()
            return web.Response(status=500 if len(came) == 2 else 200, text="thanks")

        app = web.Application()
        app.router.add_post("/hook", receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        listening = asyncio.create_task(
            listen(
                base_url,
                key,
                forward_to=f"http://127.0.0.1:{port}/hook",
                patterns=["credit.*"],
                stopping=stopping,
                write=lines.append,
            )
        )
        while len(lines) < 2:
            assert not listening.done(), listening
            await asyncio.sleep(0.01)
        await asyncio.to_thread(lambda: told.grant(told.customer("user_listen"), 1_000))
        assert "1 endpoint" in await trigger(base_url, key, type_="credit.exhausted")
        assert "Nobody" in await trigger(base_url, key, type_="topup.requested")
        await asyncio.to_thread(lambda: told.grant(told.customer(), 1_000))
        await asyncio.wait_for(listening, 30)
        await runner.cleanup()

    asyncio.run(story())
    secret = lines[1].split()[-1]
    types = [verify(body, headers, secret)["type"] for body, headers in came]
    assert types == ["credit.granted", "credit.exhausted", "credit.granted"]
    assert lines[2].startswith("credit.granted")
    assert "user_listen #2" in lines[2]
    assert "->  200" in lines[2]
    assert "->  500" in lines[3]


def test_the_commands_say_what_is_wrong(lab: Lab, told: Story) -> None:
    import subprocess

    from tests.races.servers import QUOTASTACK

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [QUOTASTACK, *arguments, "--url", lab.server.base_url]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    key = ("--api-key", told.tenant.test_key)
    assert run("trigger", "credit.granted", *key).stdout.startswith("Nobody wants credit.granted")
    unknown = run("trigger", "nonsense", *key)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "no such event type" in unknown.stderr
    assert "Traceback" not in unknown.stderr
    wrong = run("listen", "--forward-to", "http://127.0.0.1:1/", "--api-key", "qs_test_wrong")
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr
    live = run("listen", "--forward-to", "http://127.0.0.1:1/", "--api-key", told.tenant.live_key)
    assert "live key" in live.stderr
