"""Every kind of write that a crash may meet: how it is prepared, what is sent, and where its effect shows."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.api.stories import Story, answer, pages

Json = dict[str, Any]


class Write(NamedTuple):
    """One request. ``subject`` is the customer whose books tell its effect, or the path of a list that does."""

    verb: str
    path: str
    body: Any
    subject: str


class Kind(NamedTuple):
    """A kind of write. ``prepare`` makes what it needs, with names that contain the tag."""

    name: str
    prepare: Callable[["World", str], Write]
    # A batch answers for each event apart, and says of each whether it is a repetition.
    has_equal_bytes: bool = True
    # What would send later writes another way than the one they are meant to take goes when its effect was seen.
    is_removed: bool = False


class World:
    """One environment with a priced metric, a counted one, and two plans."""

    def __init__(self, story: Story) -> None:
        self.story = story
        story.priced("look", 1_000)
        self.plan = story.plan("steady")
        self.small = story.variant(self.plan, "small", billing_mode="postpaid")
        self.large = story.variant(self.plan, "large", billing_mode="postpaid", rank=2)
        for variant in (self.small, self.large):
            story.template(self.plan, variant, 5_000)

    def wallet(self, tag: str) -> str:
        return self.story.wallet(100_000, tag)

    def block(self, customer: str) -> str:
        return self.story.live_blocks(customer)[0]["id"]


def _usage(world: World, tag: str) -> Write:
    customer = world.wallet(tag)
    body = {"customer_id": customer, "billable_metric_key": "look", "units": 3}
    return Write("POST", "/v1/usage", body, customer)


def _usage_again(world: World, tag: str) -> Write:
    """Its counter is there already: all that changes is what every usage changes."""
    write = _usage(world, tag)
    world.story.used(write.subject, "look")
    return write


def _batch(world: World, tag: str) -> Write:
    customer = world.wallet(tag)
    event = {"customer_id": customer, "billable_metric_key": "look"}
    events = [{**event, "units": count, "idempotency_key": f"{tag}:{count}"} for count in (1, 2, 3)]
    return Write("POST", "/v1/usage/batch", {"events": events}, customer)


def _reverse(world: World, tag: str) -> Write:
    customer = world.wallet(tag)
    used = world.story.used(customer, "look", 2)
    return Write("POST", f"/v1/usage/{used['id']}/reverse", None, customer)


def _reserve(world: World, tag: str) -> Write:
    customer = world.wallet(tag)
    body = {"customer_id": customer, "credits": 2_000, "ttl_seconds": 86_400}
    return Write("POST", "/v1/reserve", body, customer)


def _held(world: World, tag: str) -> tuple[str, str]:
    customer = world.wallet(tag)
    held = world.story.reserve(customer, "look", 5, ttl_seconds=7_200)
    return customer, answer(held, 201)["id"]


def _on_hold(verb: str, body: Json | None) -> Callable[[World, str], Write]:
    def prepare(world: World, tag: str) -> Write:
        customer, hold = _held(world, tag)
        return Write("POST", f"/v1/reserve/{hold}/{verb}", body, customer)

    return prepare


def _on_wallet(
    verb: str, suffix: str, body: Json | None, before: tuple[str, Json] | None = None
) -> Callable[[World, str], Write]:
    def prepare(world: World, tag: str) -> Write:
        customer = world.wallet(tag)
        if before is not None:
            answer(world.story.post(f"/v1/customers/{customer}{before[0]}", before[1]))
        return Write(verb, f"/v1/customers/{customer}{suffix}", body, customer)

    return prepare


def _void(world: World, tag: str) -> Write:
    customer = world.wallet(tag)
    path = f"/v1/customers/{customer}/credits/blocks/{world.block(customer)}/void"
    return Write("POST", path, {"reason": "void"}, customer)


def _topup_body(tag: str) -> Json:
    return {
        "external_customer_id": tag,
        "credits": 7_000,
        "price_paid": 700,
        "currency": "EUR",
        "external_payment_id": f"pay-{tag}",
    }


def _topup(world: World, tag: str) -> Write:
    return Write("POST", "/v1/topup/grant", _topup_body(tag), f"external:{tag}")


def _refund(world: World, tag: str) -> Write:
    answer(world.story.post("/v1/topup/grant", _topup_body(tag)), 201)
    account = answer(world.story.api.get(f"/v1/customer-by-external-id/{tag}/credits", include_blocks="true"))
    path = f"/v1/topup/{account['blocks'][0]['id']}/refund"
    return Write("POST", path, {"fraction": "0.5"}, account["customer_id"])


def _new_customer(world: World, tag: str) -> Write:
    return Write("POST", "/v1/customers", {"external_id": tag}, f"external:{tag}")


def _subscribe(world: World, tag: str) -> Write:
    customer = world.wallet(tag)
    body = {"customer_id": customer, "plan_variant_id": world.small}
    return Write("POST", "/v1/subscriptions", body, customer)


def _on_subscription(verb: str, body: Callable[[World], Json]) -> Callable[[World, str], Write]:
    def prepare(world: World, tag: str) -> Write:
        customer = world.wallet(tag)
        subscription = world.story.subscribe(customer, world.small)["id"]
        return Write("POST", f"/v1/subscriptions/{subscription}/{verb}", body(world), customer)

    return prepare


ENGINE_KINDS = (
    Kind("usage", _usage),
    Kind("usage again", _usage_again),
    Kind("usage batch", _batch, has_equal_bytes=False),
    Kind("usage reverse", _reverse),
    Kind("reserve", _reserve),
    Kind("commit", _on_hold("commit", {"actual_units": 3})),
    Kind("release", _on_hold("release", None)),
    Kind("extend", _on_hold("extend", {"ttl_seconds": 14_400})),
    Kind(
        "grant",
        _on_wallet("POST", "/credits/grant", {"credits": 5_000, "source": "promotional", "reason": "x"}),
    ),
    Kind("adjust", _on_wallet("POST", "/credits/adjust", {"delta": -5_000, "reason": "x"})),
    Kind("withdraw", _on_wallet("POST", "/credits/withdraw", {"credits": 5_000, "reason": "x"})),
    Kind(
        "exchange",
        _on_wallet("POST", "/credits/exchange", {"debit_credits": 1_000, "grant": {"credits": 2_000}}),
    ),
    Kind("suspend", _on_wallet("POST", "/credits/suspend", {})),
    Kind("resume", _on_wallet("POST", "/credits/resume", {}, ("/credits/suspend", {}))),
    Kind("void", _void),
    Kind("topup", _topup),
    Kind("refund", _refund),
    Kind("customer", _new_customer),
    Kind("customer's settings", _on_wallet("PATCH", "", {"low_balance_threshold": 5_000})),
    Kind("customer's end", _on_wallet("DELETE", "", None)),
    Kind("auto-topup", _on_wallet("PUT", "/auto-topup", {"threshold": 10_000, "credits": 100_000})),
    Kind("override", _on_wallet("PUT", "/entitlements/look", {"value": {"enabled": True}, "reason": "x"})),
    Kind("subscribe", _subscribe),
    Kind("cancel", _on_subscription("cancel", lambda world: {"when": "now"})),
    Kind(
        "change of plan",
        _on_subscription("change-plan", lambda world: {"plan_variant_id": world.large, "when": "now"}),
    ),
)


def _metric(world: World, tag: str) -> Write:
    return Write("POST", "/v1/billable-metrics", {"key": tag, "name": tag}, "/v1/billable-metrics")


def _metric_name(world: World, tag: str) -> Write:
    world.story.metric(tag)
    return Write("PATCH", f"/v1/billable-metrics/{tag}", {"name": f"again {tag}"}, "/v1/billable-metrics")


def _rule(world: World, tag: str) -> Write:
    world.story.metric(tag)
    body = {"billable_metric_key": tag, "cost_type": "per_unit", "unit_cost": 10}
    return Write("POST", "/v1/metering-rules", body, "/v1/metering-rules")


def _plan(world: World, tag: str) -> Write:
    return Write("POST", "/v1/plans", {"key": tag, "name": tag}, "/v1/plans")


def _variant(world: World, tag: str) -> Write:
    plan = world.story.plan(tag)
    body = {"key": tag, "name": tag, "interval": "month", "interval_count": 1}
    return Write("POST", f"/v1/plans/{plan}/variants", body, "/v1/plans")


def _package(world: World, tag: str) -> Write:
    body = {"name": tag, "credits": 500, "price": 4_900, "currency": "EUR"}
    return Write("POST", "/v1/topup/packages", body, "/v1/topup/packages")


def _endpoint(world: World, tag: str) -> Write:
    body = {"url": f"http://127.0.0.1:9/{tag}", "events": ["subscription.overdue"]}
    return Write("POST", "/v1/webhooks/endpoints", body, "/v1/webhooks/endpoints")


def _api_key(world: World, tag: str) -> Write:
    return Write("POST", "/v1/admin/api-keys", {"name": tag, "scopes": ["usage:read"]}, "/v1/admin/api-keys")


CATALOG_KINDS = (
    Kind("metric", _metric),
    Kind("metric's name", _metric_name),
    Kind("metering rule", _rule),
    Kind("plan", _plan),
    Kind("variant", _variant),
    Kind("package", _package),
    # Where an endpoint waits for events, a write that has some is none of one call.
    Kind("webhook endpoint", _endpoint, is_removed=True),
    Kind("API key", _api_key),
)

_is_id = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_is_instant = re.compile(r"\d{4}-\d\d-\d\dT.*").fullmatch
_VARIES = {"request_id", "hash", "previous_hash", "instance", "secret", "key_prefix"}


def plain(value: Any, tag: str) -> Any:
    """A body with what differs between two runs of the same story taken out."""
    if isinstance(value, dict):
        return {name: plain(each, tag) for name, each in value.items() if name not in _VARIES}
    if isinstance(value, list):
        return [plain(each, tag) for each in value]
    if isinstance(value, str):
        if _is_id(value) or value.startswith("qs_test_"):
            return "#"
        return "@" if _is_instant(value) else value.replace(tag, "TAG")
    return value


def snapshot(world: World, write: Write, tag: str) -> Any:
    """Everything that shows the effect, in an order of its own."""
    api = world.story.api
    if write.subject.startswith("/"):
        is_whole = write.subject == "/v1/webhooks/endpoints"
        listed = api.get(write.subject).json["data"] if is_whole else pages(api, write.subject)
        rows = [row for row in listed if tag in json.dumps(row)]
        return _ordered(plain(rows, tag))
    if write.subject.startswith("external:"):
        external_id = write.subject.partition(":")[2]
        found = list(pages(api, "/v1/customers", external_id=external_id))
        if len(found) != 1:
            return found
        customer = found[0]["customer_id"]
    else:
        customer = write.subject
    seen: Json = {}
    for name in ("", "/credits"):
        query = {"include_blocks": "true"} if name else {}
        response = api.get(f"/v1/customers/{customer}{name}", **query)
        seen[name] = plain(response.json, tag) if response.status == 200 else response.status
    for path in ("/v1/usage", "/v1/reservations", "/v1/subscriptions", "/v1/events"):
        response = api.get(path, customer_id=customer, limit=200)
        rows = plain(response.json["data"], tag) if response.status == 200 else response.status
        seen[path] = rows if isinstance(rows, int) or path == "/v1/events" else _ordered(rows)
    response = api.get(f"/v1/customers/{customer}/credits/ledger", order="asc", limit=200)
    seen["ledger"] = plain(response.json["data"], tag) if response.status == 200 else response.status
    return seen


def remove(world: World, subject: str, tag: str) -> None:
    """Take away what was made under a path of a list with this tag."""
    for row in world.story.api.get(subject).json["data"]:
        if tag in json.dumps(row):
            answer(world.story.api.delete(f"{subject}/{row['id']}"))


def _ordered(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def difference(seen: Any, expected: Any, at: str = "") -> list[str]:
    """Where two bodies differ, and how."""
    if isinstance(seen, dict) and isinstance(expected, dict):
        names = sorted(seen.keys() | expected.keys())
        return [
            line for name in names for line in difference(seen.get(name), expected.get(name), f"{at}/{name}")
        ]
    if isinstance(seen, list) and isinstance(expected, list) and len(seen) == len(expected):
        pairs = enumerate(zip(seen, expected, strict=True))
        return [line for number, pair in pairs for line in difference(*pair, f"{at}/{number}")]
    return [] if seen == expected else [f"{at}: {seen!r} instead of {expected!r}"]
