"""The product behind HTTP, in the model's words."""

from fractions import Fraction
from typing import Any

from tests.api.stories import Json, Story, answer, instant, pages, slug, wire
from tests.model.calendar_months import to_datetime, to_instant
from tests.model.machine import Outcome, whole
from tests.model.reference import DAY, SECOND, Row
from tests.model.subscriptions import Subscriptions
from tests.model.worlds import START, Command, World

RULE_FIELDS = (
    "cost_type",
    "flat_cost",
    "unit_cost",
    "per_units",
    "tiers",
    "tier_mode",
    "tier_scope",
    "rounding",
    "match",
    "overage_policy",
    "overage_limit",
)
TIER_FIELDS = (
    "up_to",
    "level",
    "policy",
    "grace_units",
    "grace_seconds",
    "rate",
    "resume",
    "base_cost",
    "unit_cost",
    "per_units",
)


class HttpDriver:
    """One frozen test environment with the world's catalog in it."""

    def __init__(self, story: Story, world: World) -> None:
        self.story = story
        self.api = story.api
        self.world = world
        self.now = START
        story.freeze(to_datetime(START))
        settings: Json = {
            "overage_policy": world.policy,
            "priority_order": "desc" if world.descending else "asc",
        }
        if world.limit is not None:
            settings["overage_limit"] = world.limit
        story.configure(**settings)
        for metric, (unit, rules) in world.prices.items():
            more = {} if unit == "credits" else {"unit": unit}
            story.metric(metric, **more, **world.kinds.get(metric, {}))
            for rule in rules:
                terms = {name: rule[name] for name in RULE_FIELDS if rule.get(name)}
                story.rule(metric, **terms)

        self.variants: dict[str, str] = {}
        plan = story.plan("plan") if world.variants else ""
        for name, terms in world.variants.items():
            self.variants[name] = self._make_variant(plan, name, dict(terms))

    def _make_variant(self, plan: str, name: str, terms: Row) -> str:
        fields = ("billing_mode", "interval", "renewal_due_days", "grace_period_days", "trial_days")
        made = self.story.variant(plan, name, **{field: terms[field] for field in fields if field in terms})
        for template in terms["templates"]:
            more = {field: value for field, value in template.items() if field not in {"id", "credits"}}
            self.story.template(plan, made, template["credits"], **more)
        for metric in self.world.prices if terms["lists"] else ():
            self.story.entitle(plan, made, metric, {})
        return made

    def start(self) -> int:
        self.customer = self.story.customer()
        for metric, quota in self.world.quotas.items():
            if "cap" in quota:
                self.story.override(self.customer, metric, {"cap": quota["cap"]})
                continue
            terms = {name: quota[name] for name in ("period", "alignment", "allowance") if name in quota}
            tiers = [{name: tier[name] for name in TIER_FIELDS if name in tier} for tier in quota["tiers"]]
            self.story.override(self.customer, metric, {"quota": {**terms, "tiers": tiers}})
        return self.now

    def advance(self, seconds: int) -> None:
        self.story.advance(seconds=seconds)
        self.now += seconds * SECOND

    # -- commands ----------------------------------------------------------------------------------

    def perform(self, command: Command) -> Outcome:
        response = getattr(self, f"_{command.name}")(**command.arguments)
        if response.status >= 400:
            assert response.status < 500, response.json
            return Outcome({}, slug(response))
        body = response.json
        return Outcome(facts_of(command.name, body), None, new_id_of(command.name, body))

    def _credits(self, path: str, body: Json) -> Any:
        return self.api.post(f"/v1/customers/{self.customer}/credits/{path}", body)

    def _terms(self, terms: Row) -> Json:
        body: Json = {}
        if "priority" in terms:
            body["priority"] = terms["priority"]
        for name, field in (("expires_after", "expires_at"), ("effective_after", "effective_at")):
            if terms.get(name) is not None:
                body[field] = wire(to_datetime(self.now + terms[name]))
        return body

    def _grant(self, *, credits_mc: int, unit: str, **terms: Any) -> Any:
        body = {"credits": credits_mc, "unit": unit, **self._terms(terms)}
        if "price_paid" not in terms:
            return self._credits("grant", {**body, "source": "promotional"})
        paid = {"customer_id": self.customer, "price_paid": terms["price_paid"], "currency": "EUR"}
        return self.api.post("/v1/topup/grant", {**body, **paid})

    def _adjust(self, *, delta: int, unit: str, allow_negative: bool = False) -> Any:
        body: Json = {"delta": delta, "unit": unit, "reason": "model"}
        return self._credits("adjust", {**body, "allow_negative": True} if allow_negative else body)

    def _withdraw(self, *, credits_mc: int, unit: str) -> Any:
        return self._credits("withdraw", {"credits": credits_mc, "unit": unit})

    def _void(self, *, block_id: str) -> Any:
        return self._credits(f"blocks/{block_id}/void", {})

    def _refund_topup(self, *, block_id: str, credits_mc: int | None = None) -> Any:
        return self.api.post(
            f"/v1/topup/{block_id}/refund", {} if credits_mc is None else {"credits": credits_mc}
        )

    def _exchange(self, *, debit_mc: int, unit: str, credits_mc: int, into: str, **terms: Any) -> Any:
        grant = {"credits": credits_mc, "unit": into, **self._terms(terms)}
        return self._credits("exchange", {"debit_credits": debit_mc, "unit": unit, "grant": grant})

    def _suspend(self, *, unit: str) -> Any:
        return self._credits("suspend", {"unit": unit})

    def _resume(self, *, unit: str) -> Any:
        return self._credits("resume", {"unit": unit})

    def _set_policy(self, *, policy: str | None) -> Any:
        return self.api.patch(f"/v1/customers/{self.customer}", {"overage_policy": policy})

    def _suspend_asset(self, *, metric: str) -> Any:
        return self.api.post(f"/v1/customers/{self.customer}/assets/{metric}/suspend", {})

    def _resume_asset(self, *, metric: str) -> Any:
        return self.api.post(f"/v1/customers/{self.customer}/assets/{metric}/resume", {})

    def _use(
        self,
        *,
        metric: str,
        units: Fraction,
        dimensions: dict[str, str] | None = None,
        record: bool = False,
        dry_run: bool = False,
        late: int = 0,
    ) -> Any:
        named = (
            "value"
            if self.world.kinds.get(metric, {}).get("aggregation") in {"TotalCounter", "Gauge"}
            else "units"
        )
        body: Json = {"customer_id": self.customer, "billable_metric_key": metric, named: whole(units)}
        if dimensions:
            body["dimensions"] = dimensions
        if record:
            body["enforcement"] = "record"
        if dry_run:
            body["dry_run"] = True
        if late:
            body["timestamp"] = wire(to_datetime(self.now - late))
        return self.api.post("/v1/usage", body)

    def _reverse(self, *, usage_id: str) -> Any:
        return self.api.post(f"/v1/usage/{usage_id}/reverse", {})

    def _reserve(self, *, ttl_seconds: int, **what: Any) -> Any:
        body: Json = {"customer_id": self.customer, "ttl_seconds": ttl_seconds}
        if "credits_mc" in what:
            body.update(credits=what["credits_mc"], unit=what["unit"])
        else:
            body.update(billable_metric_key=what["metric"], estimated_units=whole(what["units"]))
        if "dimensions" in what:
            body["dimensions"] = what["dimensions"]
        return self.api.post("/v1/reserve", body)

    def _commit(
        self, *, hold_id: str, actual_units: Fraction | None = None, actual_mc: int | None = None
    ) -> Any:
        body: Json = {}
        if actual_units is not None:
            body["actual_units"] = whole(actual_units)
        if actual_mc is not None:
            body["actual_credits"] = actual_mc
        return self.api.post(f"/v1/reserve/{hold_id}/commit", body)

    def _release(self, *, hold_id: str) -> Any:
        return self.api.post(f"/v1/reserve/{hold_id}/release", {})

    def _extend(self, *, hold_id: str, ttl_seconds: int) -> Any:
        return self.api.post(f"/v1/reserve/{hold_id}/extend", {"ttl_seconds": ttl_seconds})

    def _subscribe(self, *, variant: str) -> Any:
        body = {"customer_id": self.customer, "plan_variant_id": self.variants[variant]}
        response = self.api.post("/v1/subscriptions", body)
        if response.status == 201:
            self.subscription = response.json["id"]
        return response

    def _trigger(self, name: str, **body: Any) -> Any:
        return self.api.post(f"/v1/subscriptions/{self.subscription}/{name}", body)

    def _renew(self) -> Any:
        return self._trigger("renew")

    def _pause(self, *, days: int | None = None) -> Any:
        if days is None:
            return self._trigger("pause")
        return self._trigger("pause", resumes_at=wire(to_datetime(self.now + days * DAY)))

    def _resume_subscription(self) -> Any:
        return self._trigger("resume")

    def _reactivate(self) -> Any:
        return self._trigger("reactivate")

    def _cancel(self, *, when: str, credits_then: str | None = None) -> Any:
        return self._trigger("cancel", when=when, **({"credits": credits_then} if credits_then else {}))

    def _change_plan(self, *, variant: str, when: str, credits_then: str) -> Any:
        more = {"credits": credits_then} if when == "now" else {}
        return self._trigger("change-plan", plan_variant_id=self.variants[variant], when=when, **more)

    # -- state -------------------------------------------------------------------------------------

    def snapshot(self, model: Subscriptions) -> Row:
        told: Row = {}
        for unit in model.units():
            account = self.story.account(self.customer, unit=unit, include_blocks="true")
            fields = ("balance", "reserved_balance", "effective_balance", "overdraft")
            told[f"account {unit}"] = {name: account[name] for name in fields} | {
                "blocks": [
                    (block["id"], block["remaining_amount"], block["priority"], _at(block.get("expires_at")))
                    for block in account["blocks"]
                ]
            }
        rows = pages(self.api, "/v1/reserve", customer_id=self.customer, status="active")
        told["holds"] = {row["id"]: (row["reserved_amount"], _at(row["expires_at"])) for row in rows}
        if model.subscription is not None:
            told["subscription"] = self._subscription_picture(model)
        for metric in model.seen_assets():
            asset = self.story.asset(self.customer, metric)
            names = model.asset(metric)
            told[f"asset {metric}"] = {name: _units(asset[name]) for name in names}
        return told

    def _subscription_picture(self, model: Subscriptions) -> Row:
        found = self.story.subscription(self.subscription)
        names = {made: name for name, made in self.variants.items()}
        told = {
            "status": found["status"],
            "variant": names[found["plan_variant_id"]],
            "cancel_at_period_end": found["cancel_at_period_end"],
            "end": _at(found["current_period_end"]),
        }
        return {name: told[name] for name in model.subscription_picture() or {}}

    def check_books(self, model: Subscriptions) -> None:
        answer(self.api.get("/v1/ledger/verify", customer=self.customer), 200)
        for unit in model.units():
            entries = self.story.ledger(self.customer, unit=unit)
            assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
            assert sum(entry["delta"] for entry in entries) == model.balance(unit)
            assert sum(entry["reserved_delta"] for entry in entries) == model.reserved(unit)


def _at(text: str | None) -> int | None:
    return None if text is None else to_instant(instant(text))


def _units(told: Any) -> Any:
    return (
        Fraction(told)
        if isinstance(told, int | str) and not isinstance(told, bool) and str(told).isdigit()
        else told
    )


def _draws(rows: list[Json]) -> list[tuple[str, int]]:
    return [(row["block_id"], row["amount"]) for row in rows]


def facts_of(name: str, body: Json) -> Row:
    """The facts of an answer under the model's names."""
    facts: Row = {}
    if name in {"use", "commit"}:
        facts["draws"] = _draws(body["blocks"]) if "blocks" in body else []
        facts["balance"] = body.get("balance")
    if name == "use":
        facts.update(cost=body["cost"], overage=body.get("overage"), effective=body.get("effective_balance"))
    if name == "commit":
        facts.update(committed=body["committed_amount"], returned=body["returned_amount"])
    if name == "reserve":
        facts.update(reserved=body["reserved_amount"], effective=body["effective_balance"])
    if name == "extend":
        facts.update(expires_at=_at(body["expires_at"]))
    if name == "reverse":
        facts.update(refunded=body["refunded"])
    if "account" in body:
        facts["balance"] = body["account"]["balance"]
    if "debit" in body:
        facts.update(amount=body["debit"]["amount"], draws=_draws(body["debit"]["blocks"]))
    return {key: value for key, value in facts.items() if value is not None}


def new_id_of(name: str, body: Json) -> str | None:
    if name in {"use", "reserve"}:
        return body.get("id")
    if name == "commit":
        return body.get("usage_id", body["id"])
    return body.get("block", {}).get("id") or ("none" if name == "adjust" else None)
