"""One of everything a tenant can own, and every operation that names such a thing in its path."""

import re
import uuid
from typing import Any

from tests.api.stories import Json, Story, answer

PROBE = "canary-7f3a"
QUOTA: Json = {
    "period": "month",
    "alignment": "calendar",
    "tiers": [{"up_to": None, "level": "Normal", "policy": "NotifyOnly"}],
}

# Method, path below the customer, body. Both customer families have all of these.
CUSTOMER_OPERATIONS: tuple[tuple[str, str, Json | None], ...] = (
    ("GET", "", None),
    ("PATCH", "", {"display_name": "renamed"}),
    ("DELETE", "", None),
    ("GET", "/credits", None),
    ("GET", "/credits/blocks", None),
    ("GET", "/credits/ledger", None),
    ("POST", "/credits/grant", {"credits": 1_000, "source": "promotional"}),
    ("POST", "/credits/adjust", {"delta": 1_000, "reason": "foreign"}),
    ("POST", "/credits/withdraw", {"credits": 1_000}),
    ("POST", "/credits/blocks/{block}/void", {}),
    ("POST", "/credits/exchange", {"debit_credits": 1_000, "grant": {"credits": 1_000}}),
    ("POST", "/credits/suspend", {}),
    ("POST", "/credits/resume", {}),
    ("GET", "/entitlements", None),
    ("GET", "/entitlements/{metric}", None),
    ("PUT", "/entitlements/{metric}", {"value": {"enabled": False}}),
    ("DELETE", "/entitlements/{metric}", None),
    ("GET", "/assets", None),
    ("GET", "/assets/{metric}", None),
    ("GET", "/assets/{metric}/history", None),
    ("POST", "/assets/{metric}/suspend", {}),
    ("POST", "/assets/{metric}/resume", {}),
    ("POST", "/assets/{metric}/topup", {"credits": 1_000}),
    ("POST", "/assets/{metric}/withdraw", {"credits": 1_000}),
    ("PUT", "/auto-topup", {"threshold": 1_000, "credits": 1_000}),
    ("GET", "/auto-topup", None),
    ("DELETE", "/auto-topup", None),
)

OPERATIONS: tuple[tuple[str, str, Json | None], ...] = (
    *((verb, "/v1/customers/{customer}" + path, body) for verb, path, body in CUSTOMER_OPERATIONS),
    *(
        (verb, "/v1/customer-by-external-id/{external}" + path, body)
        for verb, path, body in CUSTOMER_OPERATIONS
    ),
    ("GET", "/v1/billable-metrics/{metric}", None),
    ("PATCH", "/v1/billable-metrics/{metric}", {"name": "renamed"}),
    ("GET", "/v1/metering-rules/{rule}", None),
    ("POST", "/v1/metering-rules/{rule}/deactivate", {}),
    ("GET", "/v1/usage/{usage}", None),
    ("POST", "/v1/usage/{usage}/reverse", {}),
    ("GET", "/v1/reserve/{hold}", None),
    ("POST", "/v1/reserve/{hold}/commit", {}),
    ("POST", "/v1/reserve/{hold}/release", {}),
    ("POST", "/v1/reserve/{hold}/extend", {"ttl_seconds": 600}),
    ("GET", "/v1/topup/packages/{package}", None),
    ("PATCH", "/v1/topup/packages/{package}", {"name": "renamed"}),
    ("POST", "/v1/topup/{block}/refund", {}),
    ("GET", "/v1/plans/{plan}", None),
    ("PATCH", "/v1/plans/{plan}", {"name": "renamed"}),
    ("GET", "/v1/plans/{plan}/variants", None),
    ("POST", "/v1/plans/{plan}/variants", {"key": "other", "name": "other", "interval": "month"}),
    ("GET", "/v1/plans/{plan}/variants/{variant}", None),
    ("PATCH", "/v1/plans/{plan}/variants/{variant}", {"name": "renamed"}),
    ("GET", "/v1/plans/{plan}/variants/{variant}/credit-grants", None),
    ("POST", "/v1/plans/{plan}/variants/{variant}/credit-grants", {"credits": 1_000, "recurrence": "cycle"}),
    ("GET", "/v1/plans/{plan}/variants/{variant}/credit-grants/{template}", None),
    ("DELETE", "/v1/plans/{plan}/variants/{variant}/credit-grants/{template}", None),
    ("GET", "/v1/plans/{plan}/variants/{variant}/entitlements", None),
    (
        "POST",
        "/v1/plans/{plan}/variants/{variant}/entitlements",
        {"billable_metric_key": "{metric}", "value": {}},
    ),
    ("GET", "/v1/plans/{plan}/variants/{variant}/entitlements/{metric}", None),
    ("PATCH", "/v1/plans/{plan}/variants/{variant}/entitlements/{metric}", {"value": {"enabled": False}}),
    ("DELETE", "/v1/plans/{plan}/variants/{variant}/entitlements/{metric}", None),
    ("GET", "/v1/subscriptions/{subscription}", None),
    ("PATCH", "/v1/subscriptions/{subscription}", {"metadata": {"renamed": "yes"}}),
    ("POST", "/v1/subscriptions/{subscription}/renew", {}),
    ("POST", "/v1/subscriptions/{subscription}/pause", {}),
    ("POST", "/v1/subscriptions/{subscription}/resume", {}),
    ("POST", "/v1/subscriptions/{subscription}/cancel", {"when": "now"}),
    ("POST", "/v1/subscriptions/{subscription}/reactivate", {}),
    (
        "POST",
        "/v1/subscriptions/{subscription}/change-plan",
        {"plan_variant_id": "{variant}", "when": "now", "credits": "keep"},
    ),
    ("GET", "/v1/subscriptions/{subscription}/timeline", None),
    ("GET", "/v1/webhooks/endpoints/{endpoint}", None),
    ("PATCH", "/v1/webhooks/endpoints/{endpoint}", {"status": "disabled"}),
    ("DELETE", "/v1/webhooks/endpoints/{endpoint}", None),
    ("POST", "/v1/webhooks/endpoints/{endpoint}/rotate-secret", {}),
    ("POST", "/v1/webhooks/endpoints/{endpoint}/test", {}),
    (
        "POST",
        "/v1/webhooks/endpoints/{endpoint}/replay",
        {"from": "2040-01-01T00:00:00Z", "to": "2040-02-01T00:00:00Z"},
    ),
    ("GET", "/v1/events/{event}", None),
    ("GET", "/v1/webhooks/deliveries/{delivery}", None),
    ("POST", "/v1/webhooks/deliveries/{delivery}/redeliver", {}),
    ("POST", "/v1/webhooks/deliveries/{delivery}/skip", {}),
    ("POST", "/v1/webhooks/listeners/{listener}/pull", {}),
    ("POST", "/v1/admin/api-keys/{api_key}/revoke", {}),
    ("GET", "/v1/tenants/{tenant}/config", None),
    ("PATCH", "/v1/tenants/{tenant}/config", {"overage_policy": "allow"}),
)

# What names a foreign thing in its body. `{mine}` is a customer of the caller.
BODIES: tuple[tuple[str, Json], ...] = (
    ("/v1/usage", {"customer_id": "{customer}", "billable_metric_key": "{metric}", "units": 1}),
    ("/v1/usage", {"external_customer_id": "{external}", "billable_metric_key": "{metric}"}),
    ("/v1/usage", {"customer_id": "{mine}", "billable_metric_key": "{metric}"}),
    ("/v1/reserve", {"customer_id": "{customer}", "credits": 1_000}),
    ("/v1/reserve", {"external_customer_id": "{external}", "credits": 1_000}),
    ("/v1/reserve", {"customer_id": "{mine}", "billable_metric_key": "{metric}", "estimated_units": 1}),
    ("/v1/topup/grant", {"customer_id": "{customer}", "credits": 1_000}),
    ("/v1/topup/grant", {"customer_id": "{mine}", "package_id": "{package}"}),
    ("/v1/metering-rules", {"billable_metric_key": "{metric}", "cost_type": "flat", "flat_cost": 5}),
    ("/v1/metering-rules/preview", {"billable_metric_key": "{metric}", "units": 5}),
    ("/v1/subscriptions", {"customer_id": "{customer}", "plan_variant_id": "{variant}"}),
    ("/v1/subscriptions", {"customer_id": "{mine}", "plan_variant_id": "{variant}"}),
    (
        "/v1/entitlements/check",
        {"checks": [{"customer_id": "{customer}", "billable_metric_key": "{metric}"}]},
    ),
    (
        "/v1/usage/batch",
        {
            "events": [
                {
                    "customer_id": "{customer}",
                    "billable_metric_key": "{metric}",
                    "idempotency_key": "foreign:1",
                }
            ]
        },
    ),
)

# Lists, and the filters that may name a foreign thing.
LISTS: tuple[tuple[str, Json], ...] = (
    ("/v1/customers", {}),
    ("/v1/customers", {"external_id": "{external}"}),
    ("/v1/customers", {"q": PROBE}),
    ("/v1/billable-metrics", {}),
    ("/v1/metering-rules", {}),
    ("/v1/usage", {}),
    ("/v1/usage", {"customer_id": "{customer}"}),
    ("/v1/usage", {"external_customer_id": "{external}"}),
    ("/v1/reserve", {}),
    ("/v1/reserve", {"customer_id": "{customer}"}),
    ("/v1/topup/packages", {}),
    ("/v1/plans", {}),
    ("/v1/subscriptions", {}),
    ("/v1/webhooks/endpoints", {}),
    ("/v1/webhooks/deliveries", {}),
    ("/v1/events", {}),
    ("/v1/audit-log", {}),
    ("/v1/admin/api-keys", {}),
    ("/v1/ledger/verify", {"customer": "{customer}"}),
    ("/v1/entitlements/check", {"customer_id": "{customer}", "billable_metric_key": "{metric}"}),
)


def build(story: Story, probe: str = PROBE) -> dict[str, str]:
    """One of everything, with ``probe`` in its texts; its ids by the names that the operations use."""
    external = f"{PROBE}:user/1"
    metric = story.priced("canary_metric", 1_000)
    rule = answer(story.api.get("/v1/metering-rules"), 200)["data"][0]["id"]
    customer = story.customer(external, display_name=probe, email=f"{probe}@example.com")
    topup = {"customer_id": customer, "credits": 900_000, "price_paid": 900, "currency": "EUR"}
    block = answer(story.post("/v1/topup/grant", topup), 201)["block"]["id"]
    endpoint = {
        "url": f"https://{PROBE}.example.com/hook",
        "secret": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0",
        "events": ["*"],
    }
    endpoint_id = answer(story.post("/v1/webhooks/endpoints", endpoint), 201)["id"]
    usage = story.used(customer, metric, 2, metadata={"note": probe})["id"]
    hold = answer(story.reserve(customer, metric, 3, ttl_seconds=86_400), 201)["id"]
    package = {"name": probe, "credits": 5_000, "price": 5, "currency": "EUR"}
    package_id = answer(story.post("/v1/topup/packages", package), 201)["id"]
    plan = story.plan("canary_plan", description=probe)
    variant = story.variant(plan)
    template = story.template(plan, variant, 7_000)
    story.entitle(plan, variant, metric, {"enabled": True})
    subscription = story.subscribe(customer, variant)["id"]
    story.override(customer, metric, {"quota": QUOTA}, reason=probe)
    api_key = answer(story.post("/v1/admin/api-keys", {"name": probe}), 201)["id"]
    return {
        "customer": customer,
        "external": external,
        "metric": metric,
        "rule": rule,
        "block": block,
        "usage": usage,
        "hold": hold,
        "package": package_id,
        "plan": plan,
        "variant": variant,
        "template": template,
        "subscription": subscription,
        "endpoint": endpoint_id,
        "event": story.events()[0]["id"],
        "delivery": answer(story.api.get("/v1/webhooks/deliveries"), 200)["data"][0]["id"],
        "listener": answer(story.post("/v1/webhooks/listeners"), 201, 403).get("id", ""),  # none in live
        "api_key": api_key,
        "tenant": story.tenant.tenant_id,
    }


def nobody(world: dict[str, str]) -> dict[str, str]:
    """The same names with ids that no environment has."""
    texts = {"external": "nobody:user/1", "metric": "nobody_metric"}
    return {name: texts.get(name, str(uuid.uuid4())) for name in world}


def filled(template: Any, ids: dict[str, str], quote: Any = str) -> Any:
    """The template with its ``{name}`` places filled, at any depth."""
    if isinstance(template, dict):
        return {key: filled(value, ids) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, ids) for value in template]
    if isinstance(template, str):
        return re.sub(r"\{(\w+)\}", lambda name: quote(ids[name[1]]), template)
    return template


def shape(path: str) -> str:
    """A path with its parameter names taken out."""
    return re.sub(r"\{[^}]*\}", "{}", path)
