"""Postpaid API platform: graduated prices, a monthly invoice out of one event, a yearly contract."""

from datetime import datetime, timedelta

from client import QuotaStack, named, say

TIERS = [
    {"up_to": 10_000, "unit_cost": 10},
    {"up_to": 100_000, "unit_cost": 8},
    {"up_to": None, "unit_cost": 5},
]


def main() -> None:
    """Price a draft, use, be invoiced, go through a year of a contract."""
    qs = QuotaStack()
    qs.begin()
    account = named("acme")

    print("Calls get cheaper as they grow in number; the month is paid afterwards.")
    call = qs.metric("api_call")
    qs.price(call, cost_type="tiered", tier_mode="graduated", tiers=TIERS)
    preview = qs.post("/v1/metering-rules/preview", {"billable_metric_key": call, "units": 150_000})
    say("150,000 calls would cost", preview["cost"])
    assert preview["cost"] == 1_070_000
    contract = {"term_interval": "year", "term_count": 1, "auto_renew": True, "ending_soon_days": 30}
    plan = qs.variant("platform", entitlements={call: {}}, billing_mode="postpaid", contract=contract)
    body = {"external_customer_id": account, "plan_variant_id": plan}
    subscription = qs.post("/v1/subscriptions", body, key="subscribe")
    path = f"/v1/subscriptions/{subscription['id']}"

    print("25,000 calls in two batches cost what 25,000 at once would.")
    use = {"external_customer_id": account, "billable_metric_key": call}
    costs = [qs.post("/v1/usage", {**use, "units": n}, key=f"calls:{n}")["cost"] for n in (9_990, 15_010)]
    say("costs", costs)
    assert sum(costs) == 220_000
    assert qs.balance(account) == -220_000, "postpaid: it is owed"

    print("The cycle ends by itself. One event has all that the invoice needs.")
    end = datetime.fromisoformat(subscription["current_period_end"])
    qs.advance_to(end)
    summary = qs.events("subscription.renewed", account)[0]["usage_summary"]
    say("total", summary["total_cost"])
    say("lines", [(tier["units"], tier["cost"]) for tier in summary["metrics"][0]["tiers"]])
    assert summary["total_cost"] == summary["overage_cost"] == 220_000
    assert qs.balance(account) == 0, "invoiced: the books start at 0 again"

    print("Eleven cycles later the contract's end is told 30 days before, then it renews itself.")
    ends = datetime.fromisoformat(subscription["contract"]["ends_at"])
    qs.advance_to(ends - timedelta(days=30))
    say("ending soon", len(qs.events("contract.ending_soon", account)))
    assert len(qs.events("contract.ending_soon", account)) == 1
    qs.advance_to(ends)
    renewed = qs.get(path)
    say("contract until", renewed["contract"]["ends_at"])
    assert renewed["status"] == "active"
    assert datetime.fromisoformat(renewed["contract"]["ends_at"]).year == ends.year + 1
    assert len(qs.events("subscription.renewed", account)) == 12


if __name__ == "__main__":
    main()
