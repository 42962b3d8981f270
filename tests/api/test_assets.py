"""Assets over HTTP: list, one, the past, history, suspend, resume, topup, withdraw, late and priced use."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.api.stories import START, Story, answer, refused, same_instant, wire

NEXT_MONTH = START.replace(month=4)


def tier(up_to: Any, level: str = "Normal", policy: str = "NotifyOnly", **more: Any) -> dict[str, Any]:
    return {"up_to": up_to, "level": level, "policy": policy, **more}


def quota(*tiers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"quota": {"period": "month", "tiers": list(tiers), **more}}


DENY = tier(None, "OverUsage", "Deny")


def test_an_asset_tells_value_quota_and_account(story: Story) -> None:
    story.freeze(START + timedelta(days=9))
    story.priced("calls", 10)
    customer = story.wallet(1_000, "user_1")
    tiers = [tier({"percent": 80}), tier(100, "Warning", "AllowWithOverage"), DENY]
    story.override(customer, "calls", quota(*tiers, allowance=100))
    story.used(customer, "calls", 82)
    answer(story.reserve(customer, "calls", 5), 201)
    asset = story.asset(customer, "calls")
    same_instant(asset.pop("period_start"), START)
    for field in ("period_end", "resets_at"):
        same_instant(asset.pop(field), NEXT_MONTH)
    assert asset == {
        "customer_id": customer,
        "external_customer_id": "user_1",
        "billable_metric_key": "calls",
        "aggregation": "CumulativeCounter",
        "value": 82,
        "reserved_units": 5,
        "overage_units": 2,
        "level": "Warning",
        "policy": "AllowWithOverage",
        "tiers": tiers,
        "suspended": False,
        "unit": "credits",
        "balance": 180,
    }
    by_name = story.api.get("/v1/customer-by-external-id/user_1/assets/calls")
    assert by_name.json["value"] == 82


def test_assets_are_what_was_used_or_has_a_quota(story: Story) -> None:
    for key in ("a_used", "b_quota", "c_neither"):
        story.metric(key)
    story.metric("d_flag", type="boolean")
    story.metric("e_seats", type="gauge", default_value={"cap": 3})
    customer = story.customer()
    story.used(customer, "a_used", 0)
    story.override(customer, "b_quota", quota(tier(None)))
    path = f"/v1/customers/{customer}/assets"
    page = answer(story.api.get(path), 200)
    assert [row["billable_metric_key"] for row in page["data"]] == ["a_used", "b_quota", "e_seats"]
    assert page["pagination"] == {"has_more": False, "next_cursor": None}
    first = answer(story.api.get(path, limit=1), 200)
    cursor = first["pagination"]["next_cursor"]
    rest = answer(story.api.get(path, limit=5, cursor=cursor), 200)["data"]
    assert [row["billable_metric_key"] for row in rest] == ["b_quota", "e_seats"]
    assert "level" not in page["data"][0]
    assert "tiers" not in page["data"][0]
    for key in ("c_neither", "d_flag", "nothing"):
        refused(story.api.get(f"{path}/{key}"), 404, "not-found")
    refused(story.api.get("/v1/customer-by-external-id/nobody/assets"), 404, "customer-not-found")


def test_past_periods_are_listed_newest_first(story: Story) -> None:
    story.freeze(START)
    story.priced("calls", 7)
    customer = story.wallet(10_000)
    for units in (1, 2, 3):
        story.used(customer, "calls", units)
        story.advance(days=31)
    path = f"/v1/customers/{customer}/assets/calls/history"
    rows = answer(story.api.get(path), 200)["data"]
    assert [(row["value"], row["cost"]) for row in rows] == [(3, 21), (2, 14), (1, 7)]
    same_instant(rows[-1]["period_start"], START)
    same_instant(rows[-1]["period_end"], NEXT_MONTH)
    page = answer(story.api.get(path, limit=2, order="asc"), 200)
    cursor = page["pagination"]["next_cursor"]
    more = answer(story.api.get(path, limit=2, order="asc", cursor=cursor), 200)["data"]
    assert [row["value"] for row in (*page["data"], *more)] == [1, 2, 3]
    closed = story.events("asset.period_closed", customer)
    assert [(event["data"]["value"], event["data"]["cost"]) for event in closed] == [(1, 7), (2, 14), (3, 21)]


def test_a_late_event_counts_in_its_own_period(story: Story) -> None:
    story.freeze(START)
    story.metric("calls")
    customer = story.customer()
    story.override(customer, "calls", quota(tier(10), DENY))
    story.used(customer, "calls", 8)
    story.advance_to(NEXT_MONTH)
    story.used(customer, "calls", 5)
    late = wire(NEXT_MONTH - timedelta(microseconds=1))
    story.used(customer, "calls", 2, timestamp=late)
    problem = refused(story.use(customer, "calls", 1, timestamp=late), 403, "quota-exceeded")
    same_instant(problem["resets_at"], NEXT_MONTH)
    assert story.asset(customer, "calls")["value"] == 5
    (march,) = story.api.get(f"/v1/customers/{customer}/assets/calls/history").json["data"]
    assert march["value"] == 10
    story.used(customer, "calls", 5)


def test_an_asset_as_it_was(story: Story) -> None:
    story.freeze(START)
    story.priced("calls", 10)
    story.metric("seats", type="gauge")
    customer = story.wallet(1_000)
    story.override(customer, "calls", quota(tier(10), tier(None, "Warning")))
    story.advance(hours=1)
    first = story.used(customer, "calls", 8)
    answer(story.report(customer, "seats", 4), 201)
    story.advance(hours=1)
    story.used(customer, "calls", 5)
    answer(story.report(customer, "seats", 3), 201)
    held = answer(story.reserve(customer, "calls", 2, ttl_seconds=86_400), 201)
    story.advance(hours=1)
    answer(story.api.post(f"/v1/usage/{first['id']}/reverse"), 200)
    answer(story.api.post(f"/v1/reserve/{held['id']}/release"))
    answer(story.api.post(f"/v1/customers/{customer}/assets/calls/suspend"), 200)

    def then(hours: float, metric: str = "calls") -> dict[str, Any]:
        at = wire(START + timedelta(hours=hours))
        return answer(story.api.get(f"/v1/customers/{customer}/assets/{metric}", at=at), 200)

    found = [then(hours) for hours in (0.5, 1.5, 2.5, 3)]
    assert [asset["value"] for asset in found] == [0, 8, 13, 5]
    assert [asset["level"] for asset in found] == ["Normal", "Normal", "Warning", "Normal"]
    assert [asset["balance"] for asset in found] == [1_000, 920, 870, 950]
    assert [asset["reserved_units"] for asset in found] == [0, 0, 2, 0]
    assert [asset["suspended"] for asset in found] == [False, False, False, True]
    assert [(then(hours, "seats")["value"], then(hours, "seats")["max"]) for hours in (1.5, 2.5)] == [
        (4, 4),
        (3, 4),
    ]
    at = wire(START + timedelta(minutes=90))
    rows = answer(story.api.get(f"/v1/customers/{customer}/assets", at=at), 200)["data"]
    assert [(row["billable_metric_key"], row["value"]) for row in rows] == [("calls", 8), ("seats", 4)]
    ahead = wire(START + timedelta(days=1))
    refused(story.api.get(f"/v1/customers/{customer}/assets", at=ahead), 400, "validation-error")


def test_a_suspended_asset_refuses_until_it_is_resumed(story: Story) -> None:
    story.metric("calls")
    customer = story.customer()
    path = f"/v1/customers/{customer}/assets/calls"
    held = answer(story.reserve(customer, "calls", 3), 201)
    for _ in range(2):
        assert answer(story.api.post(f"{path}/suspend"), 200)["suspended"] is True
    for units in (1, 0):
        refused(story.use(customer, "calls", units), 403, "asset-suspended")
    refused(story.reserve(customer, "calls"), 403, "asset-suspended")
    assert story.check(customer, "calls")["reason"] == "suspended"
    answer(story.api.post(f"/v1/reserve/{held['id']}/commit"), 200)
    for _ in range(2):
        assert answer(story.api.post(f"{path}/resume"), 200)["suspended"] is False
    story.used(customer, "calls", 1)
    assert story.asset(customer, "calls")["value"] == 4
    told = [(e["type"], e["data"]["reason"]) for e in story.events(None, customer) if "asset" in e["type"]]
    assert told == [("asset.suspended", "manual"), ("asset.resumed", "manual")]


@pytest.mark.parametrize("resume", ["manual", "next_period"])
def test_a_tier_suspends_and_a_hand_or_the_next_period_resumes(story: Story, resume: str) -> None:
    story.freeze(START)
    story.metric("calls")
    customer = story.customer()
    story.override(customer, "calls", quota(tier(10), tier(None, "OverUsage", "SuspendUsage", resume=resume)))
    story.used(customer, "calls", 10)
    problem = refused(story.use(customer, "calls", 1, key="u-1"), 403, "asset-suspended")
    assert (problem["policy"], problem["limit"], problem["value"]) == ("SuspendUsage", 10, 10)
    later = refused(story.use(customer, "calls", 0), 403, "asset-suspended")
    assert (later["level"], later["policy"], later["limit"]) == ("OverUsage", "SuspendUsage", 10)
    same_instant(later["resets_at"], NEXT_MONTH)
    (signal,) = story.events("quota.level_changed", customer)
    assert (signal["data"]["level"], signal["data"]["policy"]) == ("OverUsage", "SuspendUsage")
    (told,) = story.events("asset.suspended", customer)
    assert (told["data"]["reason"], told["data"]["resume"]) == ("quota", resume)
    story.advance_to(NEXT_MONTH, sweep=False)
    if resume == "manual":
        refused(story.use(customer, "calls", 1, key="u-1"), 403, "asset-suspended")
        answer(story.api.post(f"/v1/customers/{customer}/assets/calls/resume"), 200)
    answer(story.use(customer, "calls", 1, key="u-1"), 201)
    assert len(story.events("asset.resumed", customer)) == 1


def test_topup_and_withdraw_move_the_account_of_the_metric(story: Story) -> None:
    story.metric("calls", unit="tokens")
    customer = story.customer()
    path = f"/v1/customers/{customer}/assets/calls"
    made = answer(story.api.post(f"{path}/topup", {"credits": 500, "reason": "hello"}, key="t-1"), 201)
    assert (made["block"]["unit"], made["block"]["source"], made["account"]["balance"]) == (
        "tokens",
        "topup",
        500,
    )
    again = story.api.post(f"{path}/topup", {"credits": 500, "reason": "hello"}, key="t-1")
    assert again.headers["x-idempotent-replayed"] == "true"
    taken = answer(story.api.post(f"{path}/withdraw", {"credits": 200}), 200)
    assert (taken["debit"]["amount"], taken["account"]["balance"]) == (200, 300)
    refused(story.api.post(f"{path}/withdraw", {"credits": 301}), 402, "insufficient-credits")
    refused(story.api.post(f"{path}/topup", {"credits": 0}), 400, "validation-error")
    refused(story.api.post(f"{path}x/topup", {"credits": 1}), 404, "not-found")
    assert story.account(customer)["balance"] == 0
    assert story.account(customer, unit="tokens")["balance"] == 300


def test_priced_tiers_are_the_price_and_the_rule_is_not_applied_as_well(story: Story) -> None:
    story.freeze(START)
    story.priced("calls", 1_000)
    customer = story.wallet(10_000)
    story.override(
        customer,
        "calls",
        quota(
            tier(10, base_cost=100, unit_cost=2),
            tier(None, "Warning", base_cost=50, unit_cost=1, per_units=4),
        ),
    )
    used = [story.used(customer, "calls", units) for units in (1, 9, 1, 3, 4)]
    assert [usage["cost"] for usage in used] == [102, 18, 51, 0, 1]
    assert all("rule_id" not in usage for usage in used)
    assert story.check(customer, "calls", units=4)["estimated_cost"] == 1
    story.advance_to(NEXT_MONTH)
    (closed,) = story.events("asset.period_closed", customer)
    assert closed["data"]["cost"] == 172
    assert story.used(customer, "calls", 1)["cost"] == 102
    story.verify(customer)


def test_grace_by_seconds_is_told_when_it_ends(story: Story) -> None:
    story.freeze(START)
    story.metric("calls")
    customer = story.customer()
    story.override(
        customer, "calls", quota(tier(10), tier(None, "Critical", "AllowWithGrace", grace_seconds=60))
    )
    story.used(customer, "calls", 11)
    story.advance(seconds=59)
    story.used(customer, "calls", 1)
    assert story.check(customer, "calls")["allowed"] is True
    story.advance(seconds=1, sweep=False)
    assert story.check(customer, "calls")["reason"] == "quota_exceeded"
    refused(story.use(customer, "calls"), 403, "quota-exceeded")
    told = [event["data"] for event in story.events("quota.level_changed", customer)]
    assert [(data["level"], data.get("grace_ended", False)) for data in told] == [
        ("Critical", False),
        ("Critical", True),
    ]


def test_a_rate_limit_tells_when_to_come_again(story: Story) -> None:
    story.freeze(START)
    story.metric("calls")
    customer = story.customer()
    rate = {"units": 2, "seconds": 10, "burst": 4}
    story.override(customer, "calls", quota(tier(None, "Warning", "RateLimit", rate=rate)))
    answer(story.reserve(customer, "calls", 4), 201)
    response = story.use(customer, "calls", 3)
    problem = refused(response, 429, "quota-rate-limited")
    assert (response.headers["retry-after"], problem["policy"]) == ("15", "RateLimit")
    check = story.check(customer, "calls")
    assert (check["allowed"], check["reason"]) == (False, "rate_limited")
    refused(story.use(customer, "calls", 5), 403, "quota-exceeded")
    story.advance(seconds=5)
    for _ in range(3):
        assert story.check(customer, "calls")["allowed"] is True, "checks only read the bucket"
    story.used(customer, "calls", 1)
    assert story.check(customer, "calls")["allowed"] is False
    assert len(story.events("quota.level_changed", customer)) == 1


def test_a_dry_run_counts_and_signals_nothing(story: Story) -> None:
    story.metric("calls")
    customer = story.customer()
    story.override(customer, "calls", quota(tier(10), tier(20, "Warning"), DENY))
    dry = answer(story.api.post("/v1/usage", {
        "customer_id": customer, "billable_metric_key": "calls", "units": 15, "dry_run": True,
    }))  # fmt: skip
    assert dry["quota"]["level"] == "Warning"
    refused(story.use(customer, "calls", 21, dry_run=True), 403, "quota-exceeded")
    assert story.asset(customer, "calls")["value"] == 0
    assert story.events("quota.level_changed", customer) == []


def test_a_deleted_customer_is_due_no_more(story: Story) -> None:
    story.freeze(START)
    story.metric("calls")
    story.metric("seats", type="gauge")
    customer = story.customer()
    story.used(customer, "calls", 3)
    answer(story.report(customer, "seats", 5), 201)
    story.advance(days=1)
    assert story.api.delete(f"/v1/customers/{customer}").status < 300
    told = [event["data"] for event in story.events("asset.period_closed", customer)]
    assert [(data["billable_metric_key"], data["value"]) for data in told] == [("calls", 3), ("seats", 5)]
    same_instant(told[0]["period_end"], START + timedelta(days=1))
    assert story.advance_to(NEXT_MONTH)["ran"] == []
