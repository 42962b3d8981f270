"""SaaS: a monthly allowance of which half rolls over, packs beside it, an upgrade in the middle of the month."""

from datetime import datetime, timedelta

from client import QuotaStack, named, say


def main() -> None:
    """Use, renew, roll over, burn four kinds of credits in order, upgrade."""
    qs = QuotaStack()
    qs.begin()
    team = named("team")

    print("Team: 10,000 credits a month, half of the rest rolls over. Business: 50,000, a rank above.")
    credit = qs.metric("credit")
    qs.price(credit, cost_type="per_unit", unit_cost=1_000)
    monthly = {"credits": 10_000_000, "recurrence": "cycle", "rollover_percentage": 50}
    team_plan = qs.variant("team_plan", monthly, entitlements={credit: {}}, family="crm", rank=1)
    business = qs.variant(
        "business", {**monthly, "credits": 50_000_000}, entitlements={credit: {}}, family="crm", rank=2
    )
    body = {"external_customer_id": team, "plan_variant_id": team_plan}
    subscription = qs.post("/v1/subscriptions", body, key="subscribe")
    path = f"/v1/subscriptions/{subscription['id']}"
    use = {"external_customer_id": team, "billable_metric_key": credit}

    print("6,000 are used in the first month; 4,000 are left, 2,000 roll over.")
    qs.post("/v1/usage", {**use, "units": 6_000}, key="month:1")
    end = datetime.fromisoformat(subscription["current_period_end"])
    qs.advance_to(end - timedelta(days=2))
    due = qs.events("subscription.renewal_due", team)
    say("asked for the payment", f"{len(due)} time")
    qs.post(f"{path}/renew", key="invoice:2")
    assert qs.balance(team) == 4_000_000, "nothing is granted before the boundary"
    qs.advance_to(end)
    say("balance", qs.balance(team))
    assert qs.balance(team) == 12_000_000

    print("A pack and a wallet come beside it. A big job burns in order of priority.")
    pack = {"external_customer_id": team, "credits": 5_000_000, "priority": 5}
    qs.post("/v1/topup/grant", {**pack, "expires_after_seconds": 90 * 86_400}, key="topup:pack")
    qs.post("/v1/topup/grant", {**pack, "credits": 1_000_000, "priority": 10}, key="topup:wallet")
    used = qs.post("/v1/usage", {**use, "units": 13_500}, key="big-job")
    say("taken from plan, rollover, pack", [draw["amount"] for draw in used["blocks"]])
    assert [draw["amount"] for draw in used["blocks"]] == [10_000_000, 2_000_000, 1_500_000]

    print("An upgrade in the middle of the month: what it would do, then for real.")
    qs.advance(days=10)
    change = {"plan_variant_id": business}
    tried = qs.post(f"{path}/change-plan", {**change, "dry_run": True})
    say("would write", [(entry["type"], entry["delta"]) for entry in tried["effects"]["ledger"]])
    before = qs.balance(team)
    changed = qs.post(f"{path}/change-plan", change, key="upgrade")
    granted = qs.balance(team) - before
    say("granted for the rest of the month", granted)
    assert changed["plan_variant_id"] == business
    assert granted == tried["effects"]["ledger"][-1]["delta"]
    assert 0 < granted < 50_000_000

    print("A downgrade waits for the end of the month.")
    waiting = qs.post(f"{path}/change-plan", {"plan_variant_id": team_plan}, key="downgrade")
    assert waiting["pending_plan_variant_id"] == team_plan
    end = datetime.fromisoformat(waiting["current_period_end"])
    qs.advance_to(end - timedelta(days=1))
    qs.post(f"{path}/renew", key="invoice:3")
    qs.advance_to(end)
    after = qs.get(path)
    say("on the smaller plan again", after["plan_variant_id"] == team_plan)
    assert after["plan_variant_id"] == team_plan


if __name__ == "__main__":
    main()
