"""Consumer subscription: a little every few hours, more for subscribers, a free plan to fall back to."""

from client import QuotaStack, named, refusal_of, say


def main() -> None:
    """Trial, interval credits with a cap, a daily quota, a pause, a missed payment."""
    qs = QuotaStack()
    qs.begin()
    user = named("companion")

    print("Every 4 hours 10 messages; what is saved up stays at 30. Photos: 3 a day, then no more.")
    message, photo = qs.metric("message"), qs.metric("photo")
    qs.price(message, cost_type="per_unit", unit_cost=1_000)
    quota = {
        "period": "day",
        "alignment": "calendar",
        "tiers": [
            {"up_to": 3, "level": "Normal", "policy": "NotifyOnly"},
            {"up_to": None, "level": "OverUsage", "policy": "Deny"},
        ],
    }
    every_4_hours = {
        "credits": 10_000,
        "recurrence": "interval",
        "interval_seconds": 4 * 3_600,
        "expires_after_seconds": 86_400,
        "accumulation_cap": 30_000,
        "in_trial": True,
    }
    plan = qs.variant(
        "plus",
        every_4_hours,
        {"credits": 100_000, "recurrence": "cycle"},
        entitlements={message: {}, photo: {"quota": quota}},
        trial_days=3,
    )

    print("A trial of 3 days has the messages, not yet the 100 credits of a paid month.")
    body = {"external_customer_id": user, "plan_variant_id": plan}
    subscription = qs.post("/v1/subscriptions", body, key="subscribe")
    say("status and balance", (subscription["status"], qs.balance(user)))
    assert (subscription["status"], qs.balance(user)) == ("trialing", 10_000)
    qs.advance(hours=20)
    say("saved up at most", qs.balance(user))
    assert qs.balance(user) == 30_000

    print("The fourth photo of a day is refused; the next day starts anew.")
    shot = {"external_customer_id": user, "billable_metric_key": photo, "units": 1}
    for number in range(3):
        qs.post("/v1/usage", shot, key=f"photo:{number}")
    refusal = refusal_of(lambda: qs.post("/v1/usage", shot, key="photo:3"))
    say("refused", f"{refusal.slug} until {refusal.problem['resets_at']}")
    assert refusal.slug == "quota-exceeded"
    qs.advance(days=1)
    qs.post("/v1/usage", shot, key="photo:next-day")

    print("The first payment activates the subscription: the month counts from now.")
    path = f"/v1/subscriptions/{subscription['id']}"
    active = qs.post(f"{path}/renew", key="invoice:1")
    say("status and balance", (active["status"], qs.balance(user)))
    assert active["status"] == "active"
    assert qs.balance(user) == 130_000

    print("A pause of a week freezes the credits and moves the end of the month.")
    qs.post(f"{path}/pause", key="pause")
    check = qs.get(f"/v1/customer-by-external-id/{user}/entitlements/{message}")
    say("allowed while paused", (check["allowed"], check["reason"]))
    assert check["reason"] == "subscription_paused"
    qs.advance(days=7)
    assert qs.balance(user) == 130_000
    resumed = qs.post(f"{path}/resume", key="resume")
    say("period end", f"{active['current_period_end']} -> {resumed['current_period_end']}")
    assert resumed["current_period_end"] > active["current_period_end"]

    print("The next payment never comes: overdue, then expired.")
    qs.advance(days=45)
    ended = qs.get(path)
    timeline = qs.get(f"{path}/timeline")["past"]
    say("timeline", [step["to"] for step in timeline])
    assert ended["status"] == "expired"
    assert [step["to"] for step in timeline] == [
        "trialing", "active", "paused", "active", "overdue", "expired",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
