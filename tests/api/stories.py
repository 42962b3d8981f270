"""Words for telling a story over HTTP: customers, metrics, rules, grants, usage and the test clock.

Everything here speaks the contract alone. An instant is an RFC 3339 string on the wire and an aware
datetime in a test; amounts are millicredits.
"""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
START = datetime(2041, 3, 1, tzinfo=UTC)  # far ahead: a clock may be frozen in its future only.


def wire(at: datetime) -> str:
    """The instant as the API takes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def instant(text: str) -> datetime:
    """The instant as the API answered it."""
    return datetime.fromisoformat(text)


def slug(response: Any) -> str:
    """The last segment of a problem's ``type``."""
    assert response.headers["content-type"].startswith("application/problem+json"), response.headers
    return response.json["type"].rstrip("/").rsplit("/", 1)[-1]


def answer(response: Any, *statuses: int) -> Json:
    """The body of a response that had one of the statuses (any 2xx when none is named)."""
    wanted = statuses or tuple(range(200, 300))
    assert response.status in wanted, (response.status, wanted, response.json)
    return response.json


def refused(response: Any, status: int, problem: str) -> Json:
    """The body of a refusal with that status and slug."""
    assert (response.status, slug(response)) == (status, problem), (response.status, response.json)
    assert response.json["status"] == status
    assert response.json["request_id"]
    return response.json


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """Run all calls in threads that start together; answers in the order of the calls."""
    gate = threading.Barrier(len(calls))

    def started(call: Callable[[], Any]) -> Any:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(started, calls))


def pages(api: Any, path: str, **query: Any) -> Iterator[Json]:
    """Every row of a list, page after page."""
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = answer(api.get(path, limit=200, **query, **more), 200)
        yield from page["data"]
        cursor = page["pagination"]["next_cursor"]
        if not page["pagination"]["has_more"]:
            return


class Story:
    """One environment and the short forms of what stories do in it."""

    def __init__(self, api: Any, tenant: Any = None) -> None:
        self.api = api
        self.tenant = tenant
        self.numbers = itertools.count(1)

    # -- the clock -----------------------------------------------------------------------------

    def freeze(self, at: datetime = START) -> datetime:
        answer(self.api.post("/v1/test-clock", {"frozen_at": wire(at)}))
        return at

    def now(self) -> datetime:
        return instant(answer(self.api.get("/v1/test-clock"), 200)["now"])

    def advance(self, *, sweep: bool = True, **span: float) -> Json:
        body: Json = {"seconds": int(timedelta(**span).total_seconds())}
        return self._advance(body, sweep=sweep)

    def advance_to(self, at: datetime, *, sweep: bool = True) -> Json:
        return self._advance({"to": wire(at)}, sweep=sweep)

    def _advance(self, body: Json, *, sweep: bool) -> Json:
        if not sweep:
            body["sweep"] = False
        return answer(self.api.post("/v1/test-clock/advance", body))

    # -- customers and credits -----------------------------------------------------------------

    def customer(self, external_id: str | None = None, **fields: Any) -> str:
        body = {"external_id": external_id or f"user_{next(self.numbers)}", **fields}
        return answer(self.api.post("/v1/customers", body), 201)["customer_id"]

    def wallet(self, credits_mc: int, external_id: str | None = None, **terms: Any) -> str:
        """A customer with one promotional block."""
        customer = self.customer(external_id)
        if credits_mc:
            self.grant(customer, credits_mc, **terms)
        return customer

    def grant(self, customer: str, credits_mc: int, *, key: str | None = None, **terms: Any) -> Json:
        body = {"credits": credits_mc, "source": "promotional", "reason": "story", **terms}
        return answer(self.post(f"/v1/customers/{customer}/credits/grant", body, key=key), 201)

    def account(self, customer: str, **query: Any) -> Json:
        return answer(self.api.get(f"/v1/customers/{customer}/credits", **query), 200)

    def balance(self, customer: str, **query: Any) -> int:
        return self.account(customer, **query)["balance"]

    def effective(self, customer: str, **query: Any) -> int:
        return self.account(customer, **query)["effective_balance"]

    def blocks(self, customer: str, **query: Any) -> list[Json]:
        return list(pages(self.api, f"/v1/customers/{customer}/credits/blocks", **query))

    def live_blocks(self, customer: str, **query: Any) -> list[Json]:
        """Live blocks, first to burn first."""
        return self.account(customer, include_blocks="true", **query)["blocks"]

    def ledger(self, customer: str, **query: Any) -> list[Json]:
        """Ledger entries, oldest first."""
        return list(pages(self.api, f"/v1/customers/{customer}/credits/ledger", order="asc", **query))

    # -- catalog ---------------------------------------------------------------------------------

    def metric(self, key: str, **fields: Any) -> str:
        answer(self.api.post("/v1/billable-metrics", {"key": key, "name": key, **fields}), 201)
        return key

    def rule(self, metric: str, **terms: Any) -> Json:
        return answer(self.api.post("/v1/metering-rules", {"billable_metric_key": metric, **terms}), 201)

    def priced(self, key: str, unit_cost: int, *, per_units: int | None = None, **rule: Any) -> str:
        """A metric with a price per unit."""
        self.metric(key)
        more = {} if per_units is None else {"per_units": per_units}
        self.rule(key, cost_type="per_unit", unit_cost=unit_cost, **more, **rule)
        return key

    def override(self, customer: str, metric: str, value: Json, **fields: Any) -> Json:
        path = f"/v1/customers/{customer}/entitlements/{metric}"
        return answer(self.api.put(path, {"value": value, **fields}))

    def plan(self, key: str, **fields: Any) -> str:
        return answer(self.api.post("/v1/plans", {"key": key, "name": key, **fields}), 201)["id"]

    def variant(self, plan: str, key: str = "standard", **terms: Any) -> str:
        body = {"key": key, "name": key, "interval": "month", "interval_count": 1, **terms}
        return answer(self.api.post(f"/v1/plans/{plan}/variants", body), 201)["id"]

    def template(self, plan: str, variant: str, credits_mc: int, **terms: Any) -> str:
        body = {"credits": credits_mc, "recurrence": "cycle", **terms}
        path = f"/v1/plans/{plan}/variants/{variant}/credit-grants"
        return answer(self.api.post(path, body), 201)["id"]

    def entitle(self, plan: str, variant: str, metric: str, value: Json) -> Json:
        path = f"/v1/plans/{plan}/variants/{variant}/entitlements"
        return answer(self.api.post(path, {"billable_metric_key": metric, "value": value}), 201)

    def configure(self, **settings: Any) -> Json:
        path = f"/v1/tenants/{self.tenant.tenant_id}/config"
        return answer(self.api.patch(path, settings))

    # -- use -------------------------------------------------------------------------------------

    def post(self, path: str, body: Json | None = None, *, key: str | None = None) -> Any:
        return self.api.post(path, body or {}) if key is None else self.api.post(path, body or {}, key=key)

    def use(self, customer: str, metric: str, units: Any = 1, *, key: str | None = None, **more: Any) -> Any:
        body = {"customer_id": customer, "billable_metric_key": metric, "units": units, **more}
        return self.post("/v1/usage", body, key=key)

    def used(self, customer: str, metric: str, units: Any = 1, **more: Any) -> Json:
        return answer(self.use(customer, metric, units, **more), 201)

    def report(self, customer: str, metric: str, value: Any, **more: Any) -> Any:
        """A reading of a TotalCounter or a Gauge."""
        body = {"customer_id": customer, "billable_metric_key": metric, "value": value, **more}
        return self.post("/v1/usage", body)

    def reserve(self, customer: str, metric: str, units: Any = 1, **more: Any) -> Any:
        body = {"customer_id": customer, "billable_metric_key": metric, "estimated_units": units, **more}
        return self.post("/v1/reserve", body)

    def check(self, customer: str, metric: str, **query: Any) -> Json:
        return answer(self.api.get(f"/v1/customers/{customer}/entitlements/{metric}", **query), 200)

    def asset(self, customer: str, metric: str) -> Json:
        return answer(self.api.get(f"/v1/customers/{customer}/assets/{metric}"), 200)

    def subscribe(self, customer: str, variant: str, **more: Any) -> Json:
        body = {"customer_id": customer, "plan_variant_id": variant, **more}
        return answer(self.api.post("/v1/subscriptions", body), 201)

    def subscription(self, subscription: str) -> Json:
        return answer(self.api.get(f"/v1/subscriptions/{subscription}"), 200)

    def trigger(self, subscription: str, name: str, **body: Any) -> Any:
        return self.api.post(f"/v1/subscriptions/{subscription}/{name}", body)

    # -- what was told ---------------------------------------------------------------------------

    def events(self, kind: str | None = None, customer: str | None = None) -> list[Json]:
        """Events, oldest first, of one type and one customer where named."""
        found = pages(self.api, "/v1/events", order="asc")
        return [
            event
            for event in found
            if kind in {None, event["type"]} and customer in {None, event.get("customer_id")}
        ]

    def verify(self, customer: str) -> None:
        """The books of the customer are in order, by the server's own verification."""
        answer(self.api.get("/v1/ledger/verify", customer=customer), 200)
        entries = self.ledger(customer)
        account = self.account(customer, include_blocks="true")
        assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
        assert sum(entry["delta"] for entry in entries) == account["balance"]
        assert sum(entry["reserved_delta"] for entry in entries) == account["reserved_balance"]
        live = sum(block["remaining_amount"] for block in account["blocks"])
        assert live - account["overdraft"] == account["balance"]


def same_instant(text: str, at: datetime) -> None:
    """The answered instant is that one."""
    assert instant(text) == at.astimezone(UTC), (text, wire(at))
