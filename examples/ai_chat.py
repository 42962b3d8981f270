"""AI chat: a wallet and a plan. Messages burn plan credits first, then the wallet; models cost differently."""

from datetime import datetime, timedelta

from client import QuotaStack, named, refusal_of, say


def main() -> None:
    """Subscribe, chat on two models, run dry, top up, go on."""
    qs = QuotaStack()
    qs.begin()
    user = named("chatter")

    print("The catalog: tokens of two models, and a plan of 20 credits a month.")
    tokens = qs.metric("chat_tokens")
    qs.price(tokens, cost_type="per_unit", unit_cost=1_000, per_units=1_000, match={"model": "small"})
    qs.price(tokens, cost_type="per_unit", unit_cost=15_000, per_units=1_000, match={"model": "large"})
    plan = qs.variant("chat_plus", {"credits": 20_000}, entitlements={tokens: {}})

    print("A new user subscribes; a wallet topup of 10 credits burns after the plan's.")
    subscription = qs.post("/v1/subscriptions", {"external_customer_id": user, "plan_variant_id": plan})
    topup = {"external_customer_id": user, "credits": 10_000, "priority": 10}
    paid = {"price_paid": 999, "currency": "EUR", "external_payment_id": named("pi_1")}
    qs.post("/v1/topup/grant", {**topup, **paid}, key="topup:pi_1")
    say("balance", qs.balance(user))
    assert qs.balance(user) == 30_000

    print("A reservation holds the most that an answer can cost; the commit charges what it took.")
    ask = {"external_customer_id": user, "billable_metric_key": tokens, "dimensions": {"model": "large"}}
    hold = qs.post("/v1/reserve", {**ask, "estimated_units": 1_500, "ttl_seconds": 120}, key="turn:1")
    say("held", hold["reserved_amount"])
    done = qs.post(f"/v1/reserve/{hold['id']}/commit", {"actual_units": 1_200}, key="turn:1:commit")
    say("charged", done["committed_amount"])
    assert (hold["reserved_amount"], done["committed_amount"]) == (22_500, 18_000)
    assert qs.balance(user) == 12_000

    print("The next large answer needs more than is left: refused before the model runs.")
    refusal = refusal_of(lambda: qs.post("/v1/reserve", {**ask, "estimated_units": 1_000}, key="turn:2"))
    say("refused", f"{refusal.slug}, short of {refusal.problem['shortfall']}")
    assert (refusal.slug, refusal.problem["shortfall"]) == ("insufficient-credits", 3_000)

    print("A small model still fits, and spends the plan's rest before the wallet.")
    small = {**ask, "dimensions": {"model": "small"}, "units": 3_000}
    used = qs.post("/v1/usage", small, key="turn:3")
    say("blocks that paid", len(used["blocks"]))
    assert [draw["amount"] for draw in used["blocks"]] == [2_000, 1_000]

    print("The payment of the same topup cannot count twice.")
    refusal = refusal_of(lambda: qs.post("/v1/topup/grant", {**topup, **paid}, key="another-key"))
    say("refused", refusal.slug)
    assert refusal.status == 409

    print("Renewed in time, the next month starts with 20 fresh credits; the wallet stays.")
    end = datetime.fromisoformat(subscription["current_period_end"])
    qs.advance_to(end - timedelta(days=2))
    qs.post(f"/v1/subscriptions/{subscription['id']}/renew", key="invoice:2")
    qs.advance_to(end)
    say("balance", qs.balance(user))
    assert qs.balance(user) == 29_000


if __name__ == "__main__":
    main()
