"""The few calls that the examples need, on the standard library alone.

Reads QUOTASTACK_URL (default http://127.0.0.1:8000) and QUOTASTACK_API_KEY (a test key). Every run uses
names of its own, so an example can be run again and again in one test environment.
"""

import json
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
RUN = secrets.token_hex(4)


class RefusedError(Exception):
    """A refusal of the server: `status`, and `problem` with its type, title and detail."""

    def __init__(self, status: int, problem: Json) -> None:
        super().__init__(f"{status}: {problem.get('detail')}")
        self.status = status
        self.problem = problem

    @property
    def slug(self) -> str:
        """The last segment of the problem's type: what to switch on."""
        return str(self.problem["type"]).rsplit("/", 1)[-1]


class QuotaStack:
    """One environment, named by its key."""

    def __init__(self) -> None:
        self.url = os.environ.get("QUOTASTACK_URL", "http://127.0.0.1:8000")
        self.api_key = os.environ["QUOTASTACK_API_KEY"]

    def get(self, path: str) -> Json:
        """Read."""
        return self._call("GET", path, None, None)

    def post(self, path: str, body: Json | None = None, *, key: str | None = None) -> Json:
        """Write. `key` names the act: the same key twice is one act."""
        return self._call("POST", path, body or {}, f"{RUN}:{key or secrets.token_hex(8)}")

    def put(self, path: str, body: Json) -> Json:
        """Set."""
        return self._call("PUT", path, body, f"{RUN}:{secrets.token_hex(8)}")

    def _call(self, method: str, path: str, body: Json | None, key: str | None) -> Json:
        headers = {"X-API-Key": self.api_key, "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as refusal:
            raise RefusedError(refusal.code, json.loads(refusal.read())) from None

    # What every example does.

    def begin(self, hour: int = 10) -> datetime:
        """Freeze the test clock at an hour of tomorrow, by the environment's own calendar."""
        now = datetime.fromisoformat(self.get("/v1/test-clock")["now"])
        start = (now + timedelta(days=1)).replace(hour=hour, minute=0, second=0, microsecond=0)
        self.post("/v1/test-clock", {"frozen_at": wire(start)})
        return start

    def advance(self, **span: float) -> Json:
        """Let time pass; everything due in between has happened when this returns."""
        return self.post("/v1/test-clock/advance", {"seconds": int(timedelta(**span).total_seconds())})

    def advance_to(self, at: datetime) -> Json:
        """Let time pass until an instant."""
        return self.post("/v1/test-clock/advance", {"to": wire(at)})

    def metric(self, key: str, **terms: Any) -> str:
        """A metric of this run."""
        return str(self.post("/v1/billable-metrics", {"key": named(key), "name": key, **terms})["key"])

    def price(self, metric: str, **terms: Any) -> None:
        """Its price list."""
        self.post("/v1/metering-rules", {"billable_metric_key": metric, **terms})

    def variant(self, key: str, *grants: Json, entitlements: Json | None = None, **terms: Any) -> str:
        """A plan with one variant: its terms, its grants, its entitlements; the variant's id."""
        plan_terms = {"family": named(terms.pop("family"))} if "family" in terms else {}
        plan = self.post("/v1/plans", {"key": named(key), "name": key, **plan_terms})["id"]
        variant = self.post(f"/v1/plans/{plan}/variants", {"key": named(key), "name": key, **terms})["id"]
        path = f"/v1/plans/{plan}/variants/{variant}"
        for grant in grants:
            self.post(f"{path}/credit-grants", grant)
        for metric, value in (entitlements or {}).items():
            self.post(f"{path}/entitlements", {"billable_metric_key": metric, "value": value})
        return str(variant)

    def balance(self, user: str) -> int:
        """What the customer has left, in millicredits."""
        return int(self.get(f"/v1/customer-by-external-id/{user}/credits")["balance"])

    def events(self, kind: str, user: str) -> list[Json]:
        """The data of a customer's newest events of one type, newest first."""
        found = self.get("/v1/events?limit=200")["data"]
        return [e["data"] for e in found if e["type"] == kind and e.get("external_customer_id") == user]


def refusal_of(call: Callable[[], Any]) -> RefusedError:
    """What the server refuses the call with; an example that expects a refusal wants to see it."""
    try:
        call()
    except RefusedError as refusal:
        return refusal
    raise AssertionError("it should have been refused")


def named(key: str) -> str:
    """A key of this run."""
    return f"{key}_{RUN}"


def wire(at: datetime) -> str:
    """An instant as the API takes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def say(what: str, shown: Any = "") -> None:
    """One line of the story."""
    print(f"  {what} {shown}".rstrip())
