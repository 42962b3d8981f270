"""Regression rows of reliability.md section 6 about credits, keys and usage; each test names its row."""

from datetime import timedelta
from fractions import Fraction
from itertools import product
from math import ceil
from typing import Any

import pytest
from tests.api.stories import START, Story, answer, at_once, pages, refused, slug, wire

MAX = 2**53 - 1


def paid(customer: str, payment: str, credits_mc: int = 1_000) -> dict[str, Any]:
    return {"customer_id": customer, "credits": credits_mc, "price_paid": 5, "external_payment_id": payment}


def test_r01_one_payment_confirmed_fifty_times(story: Story) -> None:
    customer = story.customer()
    calls = [lambda: story.post("/v1/topup/grant", paid(customer, "pay_1"), key="topup:pay_1")] * 50
    assert {response.status for response in at_once(calls)} == {201}
    assert story.balance(customer) == 1_000
    assert len(story.blocks(customer)) == 1


def test_r02_r59_one_payment_with_many_keys(story: Story) -> None:
    customer = story.customer()
    calls = [
        lambda number=number: story.post("/v1/topup/grant", paid(customer, "pay_2"), key=f"delivery:{number}")
        for number in range(20)
    ]
    responses = at_once(calls)
    assert sorted(response.status for response in responses) == [201] + [409] * 19
    (granted,) = [response.json["block"]["id"] for response in responses if response.status == 201]
    lost = next(response for response in responses if response.status == 409)
    assert slug(lost) == "conflict"
    assert granted in str(lost.json), "the refusal names the first block"
    other = story.customer()
    assert story.post("/v1/topup/grant", paid(other, "pay_2")).status == 409, "unique in the environment"
    assert story.balance(customer) == 1_000
    assert story.balance(other) == 0


def test_r03_r45_no_key_no_write(story: Story, raw_api: Any) -> None:
    customer = story.customer()
    path = f"/v1/customers/{customer}/credits/grant"
    without = raw_api.post(path, json={"credits": 1_000, "source": "promotional"})
    assert without.status_code == 400
    assert without.json()["type"].endswith("/idempotency-key-required")
    assert story.balance(customer) == 0
    in_body = {"credits": 1_000, "source": "promotional", "idempotency_key": "grant:1"}
    first, again = (raw_api.post(path, json=in_body) for _ in range(2))
    assert (first.status_code, again.status_code, first.content) == (201, 201, again.content)
    assert again.headers["x-idempotent-replayed"] == "true"
    assert story.balance(customer) == 1_000


@pytest.mark.parametrize("length", [1, 2, 3])
def test_r04_every_sequence_of_payment_outcomes(story: Story, length: int) -> None:
    """Whatever order confirmations, refunds, voids and usage come in, a payment is worth its credits once."""
    story.priced("look", 300)
    for number, sequence in enumerate(product(("confirm", "refund", "half", "void", "use"), repeat=length)):
        customer = story.customer()
        payment = paid(customer, f"pay:{length}:{number}")
        granted = answer(story.post("/v1/topup/grant", payment), 201)
        block = granted["block"]["id"]
        left, used = 1_000, 0
        for act in sequence:
            if act == "confirm":
                assert story.post("/v1/topup/grant", payment).status == 409
            elif act == "use":
                response = story.use(customer, "look")
                assert response.status == (201 if left >= 300 else 402)
                left, used = (left - 300, used + 300) if left >= 300 else (left, used)
            elif left:
                if act == "void":
                    answer(story.post(f"/v1/customers/{customer}/credits/blocks/{block}/void"))
                    left = 0
                else:
                    body = {"credits": left // 2} if act == "half" else {}
                    refund = answer(story.post(f"/v1/topup/{block}/refund", body))
                    assert refund["debit"]["amount"] == (left // 2 if act == "half" else left)
                    assert (refund["spent"], refund["held"]) == (used, 0)
                    left -= refund["debit"]["amount"]
            assert story.balance(customer) == left, sequence
        assert story.account(customer)["lifetime_earned"] == 1_000


def test_r06_one_signal_per_downward_crossing(story: Story) -> None:
    story.priced("look", 1_000)
    customer = story.wallet(100_000)
    answer(story.api.patch(f"/v1/customers/{customer}", {"low_balance_threshold": 50_000}))
    responses = at_once([lambda: story.use(customer, "look")] * 64)
    assert {response.status for response in responses} == {201}
    assert len(story.events("credit.balance_low", customer)) == 1
    story.used(customer, "look", 10)
    assert len(story.events("credit.balance_low", customer)) == 1
    story.grant(customer, 100_000)
    assert len(story.events("credit.balance_low", customer)) == 1
    story.used(customer, "look", 100)
    assert len(story.events("credit.balance_low", customer)) == 2, "re-armed above the threshold"
    assert story.events("credit.exhausted", customer) == []
    story.used(customer, "look", 26)
    assert story.balance(customer) == 0
    assert len(story.events("credit.exhausted", customer)) == 1


def test_r13_one_block_two_consumers(story: Story) -> None:
    customer = story.wallet(1_000)
    path = f"/v1/customers/{customer}/credits"
    calls = [
        lambda: story.post(f"{path}/withdraw", {"credits": 1_000}),
        lambda: story.post(
            f"{path}/exchange", {"debit_credits": 1_000, "grant": {"credits": 1, "unit": "tokens"}}
        ),
        lambda: story.post(f"{path}/adjust", {"delta": -1_000, "reason": "race"}),
        lambda: story.post("/v1/reserve", {"customer_id": customer, "credits": 1_000}),
    ]
    responses = at_once(calls)
    assert sorted(response.status for response in responses if response.status >= 400) == [402] * 3
    assert story.effective(customer) == 0
    story.verify(customer)


@pytest.mark.parametrize("rounding", ["up", "down", "half_even"])
def test_r15_awkward_prices_are_exact(story: Story, rounding: str) -> None:
    prices = [(1, 3), (7, 3), (1, 7), (999_999, 1_000_003), (5, 2), (123_456_789, 97)]
    for number, (unit_cost, per_units) in enumerate(prices):
        metric = f"metric_{number}"
        story.priced(metric, unit_cost, per_units=per_units, rounding=rounding)
        for units in (0, 1, 2, 3, 33, 10**6 + 7, 10**9 + 7):
            told = story.api.post(
                "/v1/metering-rules/preview", {"billable_metric_key": metric, "units": units}
            )
            exact = Fraction(units * unit_cost, per_units)
            expected = {"up": ceil(exact), "down": int(exact), "half_even": round(exact)}[rounding]
            assert answer(told, 200)["cost"] == expected, (unit_cost, per_units, units)


def test_r15_a_thousand_awkward_charges_add_up(story: Story) -> None:
    story.priced("fine", 7, per_units=3)
    customer = story.wallet(10_000_000)
    events = [
        {
            "customer_id": customer,
            "billable_metric_key": "fine",
            "units": units % 97,
            "idempotency_key": f"e:{units}",
        }
        for units in range(1_000)
    ]
    results = answer(story.post("/v1/usage/batch", {"events": events}), 201)["results"]
    costs = [ceil(Fraction(units % 97 * 7, 3)) for units in range(1_000)]
    assert [result["usage"]["cost"] for result in results] == costs
    assert story.balance(customer) == 10_000_000 - sum(costs)
    story.verify(customer)


def test_r18_each_call_tells_exactly_what_it_did(story: Story) -> None:
    story.freeze()
    story.priced("look", 1_000)
    customer = story.customer()

    def told(act: Any) -> list[str]:
        before = len(story.events(customer=customer))
        answer(act())
        return [event["type"] for event in story.events(customer=customer)[before:]]

    path = f"/v1/customers/{customer}/credits"
    assert [event["type"] for event in story.events(customer=customer)] == ["customer.created"]
    grant = {"credits": 10_000, "source": "promotional"}
    assert told(lambda: story.post(f"{path}/grant", grant)) == ["credit.granted"]
    assert told(lambda: story.use(customer, "look")) == []
    usage = story.used(customer, "look")["id"]
    assert "usage.reversed" in told(lambda: story.post(f"/v1/usage/{usage}/reverse"))
    adjust = {"delta": -500, "reason": "r18"}
    assert told(lambda: story.post(f"{path}/adjust", adjust)) == ["credit.adjusted"]
    hold = answer(story.reserve(customer, "look"), 201)["id"]
    assert told(lambda: story.post(f"/v1/reserve/{hold}/commit")) == ["reservation.committed"]
    hold = answer(story.reserve(customer, "look"), 201)["id"]
    assert told(lambda: story.post(f"/v1/reserve/{hold}/release")) == ["reservation.released"]
    hold = answer(story.reserve(customer, "look", ttl_seconds=60), 201)["id"]
    assert told(lambda: story.api.post("/v1/test-clock/advance", {"seconds": 60})) == ["reservation.expired"]
    assert told(lambda: story.api.patch(f"/v1/customers/{customer}", {"display_name": "new"})) == []


def test_r24_refused_key_is_not_consumed(story: Story) -> None:
    story.priced("look", 1_000)
    customer = story.customer()
    for _ in range(2):
        refused(story.use(customer, "look", key="usage:1"), 402, "insufficient-credits")
    story.grant(customer, 1_000)
    assert answer(story.use(customer, "look", key="usage:1"), 201)["cost"] == 1_000
    assert story.use(customer, "look", key="usage:1").headers["x-idempotent-replayed"] == "true"
    assert len(list(pages(story.api, "/v1/usage", customer_id=customer))) == 1


def test_r26_r43_one_key_in_two_tenants(story: Story, other_tenant: Any) -> None:
    twin = Story(story.api.with_key(other_tenant.test_key), other_tenant)
    live = Story(story.api.with_key(story.tenant.live_key), story.tenant)
    for teller, credits_mc in ((story, 1_000), (twin, 2_000), (live, 3_000)):
        teller.priced("look", 10)
        customer = teller.wallet(credits_mc, "same")
        assert teller.used(customer, "look", 1, key="usage:same")["balance"] == credits_mc - 10


def test_r31_expired_credit_is_gone_at_its_instant(story: Story) -> None:
    story.freeze()
    story.priced("look", 1_000)
    customer = story.wallet(50_000, expires_at=wire(START + timedelta(hours=1)))
    free = story.grant(customer, 3_000)["block"]["id"]
    story.advance(seconds=3_599, sweep=False)
    assert story.balance(customer) == 53_000
    story.advance(seconds=1, sweep=False)
    check = story.check(customer, "look", units=4)
    assert (check["allowed"], check["balance"]) == (False, 3_000)
    responses = at_once([lambda: story.use(customer, "look")] * 32)
    assert sorted(response.status for response in responses) == [201] * 3 + [402] * 29
    assert {
        row["block_id"] for response in responses if response.status == 201 for row in response.json["blocks"]
    } == {free}
    expired = [entry for entry in story.ledger(customer) if entry["type"] == "expire"]
    assert [(entry["delta"], entry["occurred_at"]) for entry in expired] == [
        (-50_000, wire(START + timedelta(hours=1)))
    ]
    story.verify(customer)


def test_r33_hold_keeps_the_terms_of_its_making(story: Story) -> None:
    story.priced("look", 1_000)
    customer = story.wallet(100_000)
    hold = answer(story.reserve(customer, "look", 5), 201)
    story.rule("look", cost_type="per_unit", unit_cost=9_000)
    assert story.used(customer, "look", 1)["cost"] == 9_000
    committed = answer(story.post(f"/v1/reserve/{hold['id']}/commit", {"actual_units": 4}), 200)
    assert (committed["committed_amount"], committed["returned_amount"]) == (4_000, 1_000)
    story.verify(customer)


def test_r36_dry_run_and_preview_leave_nothing(story: Story) -> None:
    story.priced("look", 1_000)
    customer = story.wallet(10_000)
    lists = ("/v1/usage", "/v1/events", "/v1/customers", "/v1/reserve", "/v1/metering-rules")

    def everything() -> list[Any]:
        rows = [list(pages(story.api, path)) for path in lists]
        return [*rows, story.account(customer, include_blocks="true"), story.ledger(customer)]

    before = everything()
    dry = {"customer_id": customer, "billable_metric_key": "look", "units": 2, "dry_run": True}
    told = answer(story.api.post("/v1/usage", dry))
    assert told["cost"] == 2_000
    assert story.api.post("/v1/usage", {**dry, "units": 11}).status == 402
    answer(story.api.post("/v1/metering-rules/preview", {"billable_metric_key": "look", "units": 5}), 200)
    checks = {"checks": [{"customer_id": customer, "billable_metric_key": "look", "units": 3}]}
    answer(story.api.post("/v1/entitlements/check", checks), 200)
    assert everything() == before


def test_r37_batch_and_single_refuse_alike(story: Story) -> None:
    story.priced("look", 1_000)
    story.metric("matched")
    story.rule("matched", cost_type="flat", flat_cost=5, match={"model": "large"})
    story.metric("off", default_value={"enabled": False})
    customer = story.customer()
    bad: list[dict[str, Any]] = [
        {"customer_id": customer, "billable_metric_key": "look"},
        {"customer_id": customer, "billable_metric_key": "matched"},
        {"customer_id": customer, "billable_metric_key": "off"},
        {"customer_id": customer, "billable_metric_key": "nothing"},
        {"external_customer_id": "nobody", "billable_metric_key": "look"},
        {"customer_id": customer, "external_customer_id": "both", "billable_metric_key": "look"},
        {"customer_id": customer, "billable_metric_key": "look", "units": -1},
        {"customer_id": customer, "billable_metric_key": "look", "timestamp": "2001-01-01T00:00:00Z"},
    ]
    singles = [story.post("/v1/usage", body) for body in bad]
    events = [{**body, "idempotency_key": f"batch:{number}"} for number, body in enumerate(bad)]
    results = answer(story.post("/v1/usage/batch", {"events": events}), 207)["results"]
    for single, result in zip(singles, results, strict=True):
        assert result["status"] == "failed"
        problem = result["problem"]
        assert (problem["status"], problem["type"]) == (single.status, single.json["type"])
    wanted = [402, 422, 403, 404, 404, 400, 400, 422]
    assert [single.status for single in singles] == wanted


def test_r40_same_key_twice_in_one_batch(story: Story) -> None:
    story.priced("look", 1_000)
    customer = story.wallet(10_000)
    event = {"customer_id": customer, "billable_metric_key": "look", "idempotency_key": "twin"}
    results = answer(story.post("/v1/usage/batch", {"events": [event, event]}), 201)["results"]
    assert [result["status"] for result in results] == ["created", "replayed"]
    assert results[0]["usage"]["id"] == results[1]["usage"]["id"]
    other = {**event, "units": 2}
    results = answer(story.post("/v1/usage/batch", {"events": [event, other]}), 207)["results"]
    assert [result["status"] for result in results] == ["replayed", "failed"]
    assert results[1]["problem"]["type"].endswith("/idempotency-key-reused")
    assert story.balance(customer) == 9_000
    story.verify(customer)


@pytest.mark.parametrize("credits_mc", [0, -1, MAX + 1, 2**63, 1.5, "5", True, None])
def test_r42_amounts_out_of_range(story: Story, credits_mc: Any) -> None:
    customer = story.customer()
    body = {"credits": credits_mc, "source": "promotional"}
    refused(story.post(f"/v1/customers/{customer}/credits/grant", body), 400, "validation-error")
    assert story.balance(customer) == 0


def test_r42_every_fault_is_told_at_once(story: Story) -> None:
    customer = story.customer()
    body = {"credits": -5, "source": "nonsense", "priority": "high", "balance": 7, "expires_at": "tomorrow"}
    problem = refused(story.post(f"/v1/customers/{customer}/credits/grant", body), 400, "validation-error")
    pointers = {fault["pointer"] for fault in problem["errors"]}
    assert pointers == {"/credits", "/source", "/priority", "/balance", "/expires_at"}


@pytest.mark.parametrize("external_id", ["", "x" * 256, "nul\0inside"])
def test_r42_r44_external_ids_out_of_range(story: Story, external_id: str) -> None:
    response = story.api.post("/v1/customers", {"external_id": external_id})
    assert (response.status, slug(response)) in {(400, "validation-error"), (400, "malformed-request")}


@pytest.mark.parametrize("field", ["display_name", "email"])
def test_r44_nul_is_refused_in_every_text(story: Story, field: str) -> None:
    body = {"external_id": "nul", field: "a\0b"}
    assert story.api.post("/v1/customers", body).status == 400
    assert story.api.post("/v1/customers", {"external_id": "nul", "metadata": {"a\0b": "c"}}).status == 400
    assert story.api.get("/v1/customers", q="a\0b").status in {200, 400}
    assert story.api.get("/v1/customer-by-external-id/a%00b").status in {400, 404}


def test_r56_granted_is_allowed_at_once(story: Story) -> None:
    story.priced("look", 1_000)
    customer = story.wallet(1_000)
    for _ in range(10):
        story.used(customer, "look")
        assert story.check(customer, "look")["allowed"] is False
        refused(story.use(customer, "look"), 402, "insufficient-credits")
        story.grant(customer, 1_000)
        assert story.check(customer, "look")["allowed"] is True


def test_r57_product_of_allowed_numbers_may_not_overflow(story: Story) -> None:
    story.priced("huge", MAX)
    customer = story.wallet(1_000)
    refused(story.use(customer, "huge", 2), 400, "validation-error")
    refused(story.use(customer, "huge", MAX), 400, "validation-error")
    refused(story.reserve(customer, "huge", MAX), 400, "validation-error")
    preview = story.api.post("/v1/metering-rules/preview", {"billable_metric_key": "huge", "units": 2})
    refused(preview, 400, "validation-error")
    assert story.check(customer, "huge")["allowed"] is False
    check = story.api.get(f"/v1/customers/{customer}/entitlements/huge", units=MAX)
    assert check.status in {200, 400}
    full = story.wallet(MAX)
    assert (
        story.post(f"/v1/customers/{full}/credits/grant", {"credits": 1, "source": "promotional"}).status
        < 500
    )
    assert abs(story.balance(full)) <= MAX


def test_r58_one_credit_two_requests(story: Story) -> None:
    story.priced("look", 1_000)
    customer = story.wallet(1_000)
    assert sorted(response.status for response in at_once([lambda: story.use(customer, "look")] * 2)) == [
        201,
        402,
    ]
    assert story.balance(customer) == 0


@pytest.mark.parametrize("depth", [33, 500, 100_000])
def test_r60_depth_of_json_is_ours(story: Story, depth: int, raw_api: Any) -> None:
    body = '{"external_id": "deep", "metadata": {"a": ' + "[" * depth + "]" * depth + "}}"
    headers = {"content-type": "application/json", "idempotency-key": f"deep:{depth}"}
    response = raw_api.post("/v1/customers", content=body, headers=headers)
    assert response.status_code == 400, response.text
