"""S13 Webhook order: one customer's events arrive in sequence, and hold nobody else up."""

import base64
from collections.abc import Iterator

import pytest
from tests.api.receivers import Received, Receiver
from tests.api.stories import Json, Story, answer
from tests.races.servers import ServerProcess, create_tenant, serving

SECRET = base64.b64encode(b"a secret of thirty-two bytes ...").decode()
WAITS = "0.3,0.3,0.3,0.3,0.3,0.3,0.3"


@pytest.fixture(scope="module")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that delivers to loopback and retries soon."""
    settings = {"QUOTASTACK_WEBHOOK_ALLOW_PRIVATE": "1", "QUOTASTACK_WEBHOOK_RETRY_WAITS": WAITS}
    with serving(tmp_path_factory.mktemp("webhooks"), **settings) as (server,):
        yield server


@pytest.fixture
def lab(lab_server: ServerProcess) -> Iterator[Story]:
    tenant = create_tenant(lab_server.data)
    client = lab_server.client(tenant.test_key)
    yield Story(client, tenant)
    client.close()


def endpoint(story: Story, receiver: Receiver, **fields: object) -> str:
    body = {"url": receiver.url, "secret": SECRET, "events": ["*"], **fields}
    return answer(story.post("/v1/webhooks/endpoints", body), 201)["id"]


def of(received: list[Received], customer: str, *, accepted: bool = True) -> list[Received]:
    return [
        came
        for came in received
        if came.event["customer_id"] == customer and (came.status < 300 or not accepted)
    ]


def test_s13_webhook_order(lab: Story) -> None:
    failures: list[str] = []

    def decide(came: Received) -> int:
        """Fail the first three attempts of the first customer's first event."""
        if came.event["external_customer_id"] == "slow" and len(failures) < 3:
            failures.append(came.event["id"])
            return 500
        return 204

    receiver = Receiver(SECRET, decide)
    try:
        endpoint(lab, receiver)
        slow = lab.customer("slow")
        receiver.wait_for(lambda received: len(of(received, slow, accepted=False)) >= 1)
        quick = lab.customer("quick")
        for amount in (1_000, 2_000, 3_000):
            lab.grant(slow, amount)
            lab.grant(quick, amount)
        expected = {customer: lab.events(customer=customer) for customer in (slow, quick)}
        assert [len(events) for events in expected.values()] == [4, 4]
        received = receiver.wait_for(lambda all_: len(of(all_, slow)) >= 4 and len(of(all_, quick)) >= 4)
    finally:
        receiver.close()

    for customer, events in expected.items():
        accepted = of(received, customer)
        assert [came.event["sequence"] for came in accepted] == [1, 2, 3, 4], "in order, each once"
        assert [came.headers["webhook-id"] for came in accepted] == [event["id"] for event in events]
        # The first delivery of a lane has no one before it.
        before = [came.headers.get("webhook-previous-sequence") for came in accepted]
        assert before[1:] == ["1", "2", "3"]
    attempts = of(received, slow, accepted=False)
    assert len(set(failures)) == 1, "one and the same event failed"
    assert [came.event["sequence"] for came in attempts] == [1, 1, 1, 1, 2, 3, 4]
    first = next(index for index, came in enumerate(received) if came in of(received, slow))
    last = max(index for index, came in enumerate(received) if came in of(received, quick))
    assert last < first, "the quick customer waited for nobody"


def test_s13_log_of_deliveries(lab: Story) -> None:
    """Every attempt is in the log, and a delivery can be sent again with the same id."""
    receiver = Receiver(SECRET, lambda came: 200)
    try:
        endpoint_id = endpoint(lab, receiver, events=["customer.created"])
        customer = lab.customer("logged")
        lab.grant(customer, 1_000)
        (came,) = receiver.wait_for(lambda received: len(received) >= 1)
        assert came.event["type"] == "customer.created"
        (event,) = lab.events("customer.created", customer)
        assert came.event == event
        delivery = _delivery(lab, event["id"])
        assert delivery["status"] == "succeeded"
        (attempt,) = delivery["attempts"]
        assert attempt["status"] == 200
        answer(lab.post(f"/v1/webhooks/deliveries/{delivery['id']}/redeliver"))
        again = receiver.wait_for(lambda received: len(received) >= 2)[1]
        assert again.headers["webhook-id"] == came.headers["webhook-id"]
        assert again.body == came.body
        assert answer(lab.api.get(f"/v1/webhooks/endpoints/{endpoint_id}"), 200)["status"] == "active"
    finally:
        receiver.close()


def _delivery(story: Story, event_id: str) -> Json:
    """The delivery of an event once its attempt is written down, which follows the receiver's answer."""
    for _ in range(200):
        rows = answer(story.api.get("/v1/webhooks/deliveries", limit=200), 200)["data"]
        found = [row for row in rows if row["event_id"] == event_id and row["status"] != "pending"]
        if found:
            return found[0]
    raise AssertionError(f"the delivery of {event_id} never ended")


def test_s13_one_url_shortcut(lab: Story) -> None:
    """`webhook_url` and `webhook_secret` of the settings keep one endpoint for everything."""
    receiver = Receiver(SECRET, lambda came: 200)
    try:
        lab.configure(webhook_url=receiver.url, webhook_secret=SECRET)
        customer = lab.customer()
        lab.grant(customer, 1_000)
        received = receiver.wait_for(lambda all_: len(all_) >= 2)
        assert [came.event["type"] for came in received] == ["customer.created", "credit.granted"]
    finally:
        receiver.close()


def test_s13_gone_receiver_is_disabled(lab: Story) -> None:
    """410 disables the endpoint."""
    receiver = Receiver(SECRET, lambda came: 410)
    try:
        endpoint_id = endpoint(lab, receiver)
        lab.customer()
        receiver.wait_for(lambda received: len(received) >= 1)
        path = f"/v1/webhooks/endpoints/{endpoint_id}"
        states = (answer(lab.api.get(path), 200)["status"] for _ in range(200))
        assert "disabled" in states
    finally:
        receiver.close()
