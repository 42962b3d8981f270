"""The metering catalog over HTTP: metrics, price lists with their history, ties, previews."""

from typing import Any

import pytest
from tests.api.stories import Story, answer, pages, refused

TIERS = [
    {"up_to": 10_000, "unit_cost": 10},
    {"up_to": 100_000, "unit_cost": 8},
    {"up_to": None, "unit_cost": 5},
]


def pointers(problem: dict[str, Any]) -> list[str]:
    return [fault["pointer"] for fault in problem["errors"]]


# -- metrics -------------------------------------------------------------------------------------------


def test_metric_as_created(story: Story) -> None:
    body = {
        "key": "api_call",
        "name": "API calls",
        "description": "One request.",
        "scale": 2,
        "unit": "tokens",
    }
    made = answer(story.post("/v1/billable-metrics", body), 201)
    assert {name: made[name] for name in body} == body
    assert (made["type"], made["aggregation"]) == ("metered", "CumulativeCounter")
    assert "default_value" not in made
    assert "archived_at" not in made
    assert answer(story.api.get("/v1/billable-metrics/api_call"), 200) == made
    assert list(pages(story.api, "/v1/billable-metrics")) == [made]


def test_metric_key_is_unique(story: Story) -> None:
    first = answer(story.post("/v1/billable-metrics", {"key": "a", "name": "a"}), 201)
    problem = refused(story.post("/v1/billable-metrics", {"key": "a", "name": "b"}), 409, "conflict")
    assert problem["id"] == first["id"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"key": "Upper"}, ["/key"]),
        ({"key": "a-b"}, ["/key"]),
        ({"scale": 7}, ["/scale"]),
        ({"type": "gauge", "aggregation": "TotalCounter"}, ["/aggregation"]),
        ({"type": "boolean", "aggregation": "Gauge"}, ["/aggregation"]),
        ({"type": "boolean", "default_value": {"cap": 1}}, ["/default_value/cap", "/default_value/enabled"]),
        ({"nonsense": 1, "scale": "2"}, ["/nonsense", "/scale"]),
    ],
)
def test_metric_with_faults(story: Story, fields: dict[str, Any], wrong: list[str]) -> None:
    response = story.post("/v1/billable-metrics", {"key": "m", "name": "m", **fields})
    found = pointers(refused(response, 400, "validation-error"))
    assert set(found) >= set(wrong[:1])
    assert answer(story.api.get("/v1/billable-metrics"), 200)["data"] == []


def test_unit_and_scale_are_fixed_once_used(story: Story) -> None:
    story.metric("calls")
    path = "/v1/billable-metrics/calls"
    changed = answer(story.api.patch(path, {"unit": "tokens", "scale": 1, "name": "Calls"}), 200)
    assert (changed["unit"], changed["scale"], changed["name"]) == ("tokens", 1, "Calls")
    story.used(story.customer(), "calls", 1)
    for change in ({"unit": "credits"}, {"scale": 2}, {"aggregation": "UpDownCounter"}, {"key": "other"}):
        assert refused(story.api.patch(path, change), 409, "conflict")["fixed"] == list(change)
    assert (
        answer(story.api.patch(path, {"unit": "tokens", "description": "Still fine."}), 200)["unit"]
        == "tokens"
    )


def test_archived_metric_takes_no_new_price_and_still_counts(story: Story) -> None:
    story.priced("calls", 10)
    customer = story.wallet(100)
    path = "/v1/billable-metrics/calls"
    archived = answer(story.api.patch(path, {"archived_at": "2040-01-01T00:00:00Z"}), 200)
    assert archived["archived_at"] == "2040-01-01T00:00:00Z"
    refused(story.post("/v1/metering-rules", {**RULE, "unit_cost": 1}), 409, "conflict")
    assert story.used(customer, "calls")["cost"] == 10
    assert list(pages(story.api, "/v1/billable-metrics", archived="false")) == []
    assert "archived_at" not in answer(story.api.patch(path, {"archived_at": None}), 200)


# -- rules ---------------------------------------------------------------------------------------------

RULE = {"billable_metric_key": "calls", "cost_type": "per_unit", "unit_cost": 10}


def test_new_price_closes_the_one_before(story: Story) -> None:
    story.metric("calls")
    first = answer(story.post("/v1/metering-rules", RULE), 201)
    assert (first["active"], first["active_to"], first["rounding"], first["per_units"]) == (
        True,
        None,
        "up",
        1,
    )
    large = answer(story.post("/v1/metering-rules", {**RULE, "match": {"model": "large"}}), 201)
    second = answer(story.post("/v1/metering-rules", {**RULE, "unit_cost": 20}), 201)
    ended = answer(story.api.get(f"/v1/metering-rules/{first['id']}"), 200)
    assert (ended["active"], ended["active_to"]) == (False, second["active_from"])
    history = [row["id"] for row in pages(story.api, "/v1/metering-rules", order="asc")]
    assert history == [first["id"], large["id"], second["id"]]
    in_force = {row["id"] for row in pages(story.api, "/v1/metering-rules", active="true")}
    assert in_force == {large["id"], second["id"]}
    assert list(pages(story.api, "/v1/metering-rules", billable_metric_key="other")) == []


def test_deactivated_price_is_no_free_price(story: Story) -> None:
    rule = story.rule(story.metric("calls"), cost_type="flat", flat_cost=10)
    customer = story.wallet(100)
    ended = answer(story.post(f"/v1/metering-rules/{rule['id']}/deactivate"), 200)
    assert ended["active"] is False
    refused(story.post(f"/v1/metering-rules/{rule['id']}/deactivate"), 409, "conflict")
    refused(story.use(customer, "calls"), 422, "no-active-metering-rule")
    refused(story.reserve(customer, "calls"), 422, "no-active-metering-rule")
    check = story.check(customer, "calls")
    assert (check["allowed"], check["reason"]) == (False, "no_matching_rule")


def test_ties_are_refused(story: Story) -> None:
    story.metric("calls")
    first = answer(story.post("/v1/metering-rules", {**RULE, "match": {"model": "large"}}), 201)
    tie = refused(story.post("/v1/metering-rules", {**RULE, "match": {"region": "eu"}}), 409, "conflict")
    assert tie["rule_id"] == first["id"]
    answer(story.post("/v1/metering-rules", {**RULE, "match": {"model": "small"}}), 201)
    answer(story.post("/v1/metering-rules", {**RULE, "match": {"model": "large", "region": "eu"}}), 201)


@pytest.mark.parametrize(
    ("terms", "wrong"),
    [
        ({"cost_type": "tiered"}, ["/tiers"]),
        ({"cost_type": "tiered", "tiers": []}, ["/tiers"]),
        ({"cost_type": "tiered", "tiers": [*TIERS[1:], TIERS[0]]}, ["/tiers/1/up_to", "/tiers/2/up_to"]),
        ({"cost_type": "tiered", "tiers": [TIERS[1], TIERS[0], TIERS[2]]}, ["/tiers/1/up_to"]),
        (
            {"cost_type": "tiered", "tiers": TIERS, "tier_mode": "volume", "tier_scope": "period"},
            ["/tier_scope"],
        ),
        ({"cost_type": "per_unit"}, ["/unit_cost"]),
        ({"cost_type": "per_unit", "unit_cost": -1}, ["/unit_cost"]),
        ({"cost_type": "per_unit", "unit_cost": 1, "per_units": 0}, ["/per_units"]),
        ({"cost_type": "flat", "flat_cost": 1, "rounding": "nearest"}, ["/rounding"]),
        ({"cost_type": "flat", "flat_cost": 1.5}, ["/flat_cost"]),
        ({"cost_type": "flat", "flat_cost": 1, "overage_policy": "maybe"}, ["/overage_policy"]),
    ],
)
def test_bad_price_lists_name_every_fault(story: Story, terms: dict[str, Any], wrong: list[str]) -> None:
    story.metric("calls")
    response = story.post("/v1/metering-rules", {"billable_metric_key": "calls", **terms})
    assert pointers(refused(response, 400, "validation-error")) == wrong
    assert answer(story.api.get("/v1/metering-rules"), 200)["data"] == []


@pytest.mark.parametrize(("type_", "aggregation"), [("gauge", "Gauge"), ("metered", "UpDownCounter")])
def test_levels_carry_no_price(story: Story, type_: str, aggregation: str) -> None:
    story.metric("calls", type=type_, aggregation=aggregation)
    problem = refused(story.post("/v1/metering-rules", RULE), 400, "validation-error")
    assert pointers(problem) == ["/billable_metric_key"]


def test_price_of_an_unknown_metric(story: Story) -> None:
    refused(story.post("/v1/metering-rules", RULE), 404, "not-found")


def test_same_key_replays_the_rule(story: Story) -> None:
    story.metric("calls")
    first = story.post("/v1/metering-rules", RULE, key="rule:1")
    again = story.post("/v1/metering-rules", RULE, key="rule:1")
    assert answer(again, 201) == answer(first, 201)
    assert again.headers["x-idempotent-replayed"] == "true"
    assert len(list(pages(story.api, "/v1/metering-rules"))) == 1


def test_catalog_changes_are_audited(story: Story) -> None:
    story.metric("calls")
    first = story.rule("calls", cost_type="flat", flat_cost=1)
    second = story.rule("calls", cost_type="flat", flat_cost=2)
    rows = list(pages(story.api, "/v1/audit-log", object_id=second["id"]))
    assert [row["action"] for row in rows] == ["metering_rule.created"]
    assert (rows[0]["before"]["id"], rows[0]["after"]["flat_cost"]) == (first["id"], 2)


# -- preview -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "before", "cost", "tiers"),
    [
        (25_000, 0, 220_000, [(10_000, 10_000, 100_000), (100_000, 15_000, 120_000)]),
        (20, 9_990, 180, [(10_000, 10, 100), (100_000, 10, 80)]),
        (
            150_000,
            0,
            1_070_000,
            [(10_000, 10_000, 100_000), (100_000, 90_000, 720_000), (None, 50_000, 250_000)],
        ),
        (0, 0, 0, []),
    ],
)
def test_preview_of_a_draft(story: Story, units: int, before: int, cost: int, tiers: list[Any]) -> None:
    story.metric("calls")
    draft = {"billable_metric_key": "calls", "cost_type": "tiered", "tiers": TIERS}
    told = answer(
        story.api.post("/v1/metering-rules/preview", {**draft, "units": units, "before": before}), 200
    )
    assert (told["cost"], told["units"], told["before"]) == (cost, units, before)
    assert [(tier["up_to"], tier["units"], tier["cost"]) for tier in told["tiers"]] == tiers
    assert "rule_id" not in told
    assert list(pages(story.api, "/v1/metering-rules")) == []


def test_preview_of_prices_in_force_and_past(story: Story) -> None:
    story.metric("calls")
    first = story.rule("calls", cost_type="per_unit", unit_cost=3, per_units=1_000)
    second = story.rule("calls", cost_type="flat", flat_cost=7)
    large = story.rule("calls", cost_type="flat", flat_cost=70, match={"model": "large"})

    def told(**body: Any) -> tuple[int, str]:
        path = "/v1/metering-rules/preview"
        found = answer(story.api.post(path, {"billable_metric_key": "calls", "units": 500, **body}), 200)
        return found["cost"], found["rule_id"]

    assert told() == (7, second["id"])
    assert told(dimensions={"model": "large"}) == (70, large["id"])
    assert told(rule_id=first["id"]) == (2, first["id"])


def test_preview_refuses_what_cannot_be_priced(story: Story) -> None:
    story.metric("calls")
    path = "/v1/metering-rules/preview"
    refused(story.api.post(path, {"billable_metric_key": "nothing"}), 404, "not-found")
    refused(story.api.post(path, {"billable_metric_key": "calls"}), 422, "no-active-metering-rule")
    draft = {"billable_metric_key": "calls", "cost_type": "per_unit", "unit_cost": 9_000_000_000_000}
    refused(story.api.post(path, {**draft, "units": 10_000}), 400, "validation-error")
    refused(story.api.post(path, {**draft, "units": -1}), 400, "validation-error")
