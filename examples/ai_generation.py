"""AI generation: packs of looks. A job reserves one look; failed and crashed jobs cost nothing."""

from concurrent.futures import ThreadPoolExecutor

from client import Json, QuotaStack, RefusedError, named, say


def main() -> None:
    """Sell a pack with a bonus, run jobs that succeed, fail, crash, and race for the last look."""
    qs = QuotaStack()
    qs.begin()
    user = named("maker")

    print("A look costs 1 credit. A pack has 4 looks, a bonus of 1, and 90 days to use them.")
    look = qs.metric("look")
    qs.price(look, cost_type="per_unit", unit_cost=1_000)
    package = qs.post(
        "/v1/topup/packages",
        {
            "name": named("Starter"),
            "credits": 4_000,
            "bonus_credits": 1_000,
            "price": 499,
            "currency": "EUR",
            "expires_after_seconds": 90 * 86_400,
        },
    )["id"]
    bought = {"external_customer_id": user, "package_id": package, "external_payment_id": named("pi_7")}
    granted = qs.post("/v1/topup/grant", bought, key="topup:pi_7")
    say("paid and free blocks", [granted[name]["original_amount"] for name in ("block", "bonus_block")])
    assert qs.balance(user) == 5_000

    ask: Json = {"external_customer_id": user, "billable_metric_key": look, "estimated_units": 1}
    path = f"/v1/customer-by-external-id/{user}/credits"

    print("A job that succeeds is committed, one that fails is released.")
    job = qs.post("/v1/reserve", {**ask, "ttl_seconds": 120}, key="job:1")
    qs.post(f"/v1/reserve/{job['id']}/commit", key="job:1:done")
    job = qs.post("/v1/reserve", {**ask, "ttl_seconds": 120}, key="job:2")
    qs.post(f"/v1/reserve/{job['id']}/release", key="job:2:failed")
    say("balance", qs.balance(user))
    assert qs.balance(user) == 4_000

    print("A worker crashes: after the TTL the look is back, without any call.")
    qs.post("/v1/reserve", {**ask, "ttl_seconds": 120}, key="job:3")
    say("effective while held", qs.get(path)["effective_balance"])
    qs.advance(seconds=120)
    say("effective after the TTL", qs.get(path)["effective_balance"])
    assert qs.get(path)["effective_balance"] == 4_000

    print("A job that delivers nothing is committed with 0 units, and costs nothing.")
    job = qs.post("/v1/reserve", ask, key="job:4")
    done = qs.post(f"/v1/reserve/{job['id']}/commit", {"actual_units": 0}, key="job:4:done")
    assert done["returned_amount"] == 1_000

    print("One look is left, two jobs want it at once: one gets it.")
    qs.post("/v1/usage", {"external_customer_id": user, "billable_metric_key": look, "units": 3}, key="bulk")

    def race(number: int) -> int:
        try:
            qs.post("/v1/reserve", ask, key=f"race:{number}")
        except RefusedError as refusal:
            return refusal.status
        return 201

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(race, range(2)))
    say("outcomes", outcomes)
    assert outcomes == [201, 402]


if __name__ == "__main__":
    main()
