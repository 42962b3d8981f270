"""Subscriptions and their grants in the reference model, from the words of subscriptions.md.

One plan family, so one live subscription at most. Terms that the contract leaves open in combination
(holds that need a cycle's credits at its boundary, rollover of a plan that was changed) are grey.
"""

import copy
from typing import Any

from tests.model.calendar_months import anchored
from tests.model.quotas import Quotas
from tests.model.reference import DAY, FOREVER, SECOND, Grey, Refused, Row

LIVE = {"trialing", "active", "overdue", "paused"}
KINDS = ("cycle", "rollover", "interval", "activation")
CONFLICT = "subscription-state-conflict"


class Subscriptions(Quotas):
    """A customer who may subscribe."""

    def __init__(self, now: int, **settings: Any) -> None:
        super().__init__(now, **settings)
        self.variants: dict[str, Row] = {}
        self.subscription: Row | None = None
        self.numbers = 0
        self.turns = 0

    # -- what a subscription decides of usage --------------------------------------------------------

    def _live(self) -> Row | None:
        subscription = self.subscription
        return subscription if subscription is not None and subscription["status"] in LIVE else None

    def plan_policy(self) -> tuple[str, int | None] | None:
        subscription = self._live()
        if subscription is None:
            return None
        terms = self._terms(subscription)
        policy = terms.get("overage_policy") or ("allow" if terms["billing_mode"] == "postpaid" else None)
        if policy is None:
            return None
        if self.is_plain or not terms["lists"] or subscription["status"] == "paused":
            if (policy, None) != self.environment_policy:
                raise Grey("whether a variant's overage policy covers what the variant does not list")
            return None
        return policy, None

    def require_entitled(self, metric: str, at: int) -> None:
        subscription = self._live()
        if subscription is None or not self._terms(subscription)["lists"]:
            return
        if subscription["status"] == "paused":
            raise Refused("not-entitled")
        if at < subscription["start"] or (subscription["status"] == "overdue" and at < subscription["end"]):
            raise Grey("where a late event stands in the periods of a subscription")

    def price_period(self, metric: str, at: int) -> Any:
        """The subscription's period where its variant lists the metric; overdue has entered the next one."""
        subscription = self._live()
        if subscription is None or not self._terms(subscription)["lists"]:
            return super().price_period(metric, at)
        if subscription["status"] != "overdue":
            return "subscription", subscription["start"]
        interval = self._terms(subscription)["interval"]
        if anchored(subscription["anchor"], subscription["index"] + 2, interval) <= at:
            raise Grey("which period it is when the unpaid one is over too")
        return "subscription", subscription["end"]

    def _give_back(self, block: Row, amount: int, new_id: str) -> None:
        subscription = self.subscription
        is_paused = subscription is not None and subscription["status"] == "paused"
        if is_paused and "kind" in block and not block.get("frozen"):
            raise Grey("how far the expiry of a plan's block moves that comes back in a pause")
        if block.get("was_plans"):
            raise Grey("whose a plan's block is that comes back after its cycle or its plan")
        super()._give_back(block, amount, new_id)

    # -- time ------------------------------------------------------------------------------------

    def next_due(self) -> int:
        subscription = self.subscription
        dues = [super().next_due()]
        if subscription is not None and subscription["status"] in LIVE:
            dues.append(self.turn_at(subscription))
            dues += subscription["ticks"].values() if self._ticks(subscription) else []
        return min(dues)

    def turn_at(self, subscription: Row) -> int:
        """When the subscription's state changes by time."""
        names = {
            "active": "end",
            "trialing": "trial_ends_at",
            "overdue": "grace_ends_at",
            "paused": "resumes_at",
        }
        return subscription[names[subscription["status"]]] or FOREVER

    def _ticks(self, subscription: Row) -> bool:
        return subscription["status"] in {"active", "overdue"}

    def _run_instant(self) -> None:
        self._refuse_to_settle_at_a_turn()
        super()._run_instant()
        subscription = self.subscription
        if subscription is None or subscription["status"] not in LIVE:
            return
        if self.turn_at(subscription) <= self.now:
            self._turn(subscription)
        self._tick(subscription)

    def _refuse_to_settle_at_a_turn(self) -> None:
        """What a hold frees at the instant of a turn could pay an overdraft before the turn or after it."""
        live = self._live()
        if live is None or self.turn_at(live) > self.now or not any(self.overdraft.values()):
            return
        if any(hold["status"] == "active" and hold["expires_at"] <= self.now for hold in self.holds):
            raise Grey("whether an overdraft is settled before or after the cycle ends")

    def _leave_blocks(self, *, used_up_only: bool = False) -> None:
        """The subscription, or its cycle, is over; blocks of it that were used up may come back by a refund."""
        for block in self.blocks:
            if "kind" in block and (block["status"] == "depleted" or not used_up_only):
                block["was_plans"] = True

    def _turn(self, subscription: Row) -> None:
        self.turns += 1
        status = subscription["status"]
        if status == "paused":
            self._unpause(subscription)
        elif status == "overdue":
            self._end(subscription, "expired")
        elif status == "trialing":
            if self._terms(subscription)["billing_mode"] == "postpaid":
                self._begin(subscription)
            else:
                self._end(subscription, "expired")
        elif subscription["canceling"] and subscription["paid_through"] <= self.now:
            self._end(subscription, "canceled")
        elif (
            self._terms(subscription)["billing_mode"] == "postpaid" or subscription["paid_through"] > self.now
        ):
            self._next_period(subscription)
        else:
            self._fall_overdue(subscription)

    def _terms(self, subscription: Row) -> Row:
        return self.variants[subscription["variant"]]

    # -- blocks ------------------------------------------------------------------------------------

    def plan_blocks(self, *kinds: str) -> list[Row]:
        """Live blocks of the subscription, in burn order."""
        blocks = [block for unit in self.units() for block in self.live(unit)]
        return [block for block in blocks if block.get("kind") in kinds and block["kept"] is None]

    def _plan_block(
        self, template: Row, amount: int, kind: str, expires_at: int | None, priority: int
    ) -> None:
        self.numbers += 1
        block = {
            "id": f"~plan-{self.numbers:06d}",
            "unit": template["unit"],
            "original": amount,
            "remaining": amount,
            "priority": priority,
            "effective_at": self.now,
            "expires_at": expires_at,
            "price_paid": 0,
            "created_at": self.now,
            "status": "active",
            "kept": None,
            "kind": kind,
            "template": template["id"],
            "in_turn": kind in {"cycle", "rollover"} and template.get("expires_after_seconds") is None,
        }
        self.blocks.append(block)
        self._write("rollover_in" if kind == "rollover" else "grant", template["unit"], amount)

    def _grant_template(self, subscription: Row, template: Row, amount: int | None = None) -> None:
        """One grant of a template, cut to its cap."""
        kind = template["recurrence"]
        amount = template["credits"] if amount is None else amount
        cap = template.get("accumulation_cap")
        if cap is not None and any(
            block.get("template") == template["id"] and "kind" not in block and block["status"] == "active"
            for block in self.blocks
        ):
            raise Grey("whether blocks kept from an ended subscription count for the cap of the next")
        if cap is not None:
            blocks = [block for unit in self.units() for block in self.live(unit)]
            live = sum(block["remaining"] for block in blocks if block.get("template") == template["id"])
            amount = min(amount, max(0, cap - live))
        after = template.get("expires_after_seconds")
        expires_at = None if after is None else self.now + after * SECOND
        if kind == "cycle" and after is None:
            expires_at = subscription["end"]
        if kind == "interval" and after is None:
            expires_at = self.now + template["interval_seconds"] * SECOND
        subscription["granted"].add(template["id"])
        if amount > 0:
            self._plan_block(template, amount, kind, expires_at, template["priority"])

    def _expire_plan_blocks(self, blocks: list[Row]) -> None:
        for block in blocks:
            unit = block["unit"]
            if self.reserved(unit) > self.in_blocks(unit) - sum(
                other["remaining"] for other in blocks if other["unit"] == unit
            ):
                raise Grey("holds that need the credits of a plan when they end")
        for block in blocks:
            self._expire(block, block["remaining"])

    # -- periods -----------------------------------------------------------------------------------

    def _begin(self, subscription: Row) -> None:
        """The first period starts now: activation, first cycle, first ticks."""
        terms = self._terms(subscription)
        owed = any(self.overdraft.values())
        if owed and subscription["trial_ends_at"] is not None and terms["billing_mode"] == "postpaid":
            raise Grey("whether the end of a trial invoices overdraft")
        if owed and len(terms["templates"]) > 1:
            raise Grey("which of several first grants settles the overdraft")
        subscription.update(status="active", anchor=self.now, index=0, granted=set(), canceling=False)
        self._set_period(subscription)
        subscription["paid_through"] = subscription["end"]
        for template in terms["templates"]:
            self._grant_template(subscription, template)
            if template["recurrence"] == "interval":
                subscription["ticks"][template["id"]] = self.now + template["interval_seconds"] * SECOND
        self._settle_all()

    def _set_period(self, subscription: Row) -> None:
        interval = self._terms(subscription)["interval"]
        subscription["start"] = self.now
        subscription["end"] = anchored(subscription["anchor"], subscription["index"] + 1, interval)

    def _settle_all(self) -> None:
        for unit in self.units():
            self._settle(unit)

    def _leave_turn(self) -> None:
        """The subscription's turns no longer end its blocks, not even spent ones that come back later."""
        for block in self.blocks:
            if block.get("in_turn"):
                block["in_turn"] = False

    def _next_period(self, subscription: Row) -> None:
        """Rollover leaves, the rest expires, invoiced overdraft is cleared, rollover and grants come."""
        self._leave_blocks(used_up_only=True)
        if subscription["pending"] is not None:
            subscription["variant"], subscription["pending"] = subscription["pending"], None
        terms = self._terms(subscription)
        cycle = self.plan_blocks("cycle", "rollover")
        cycle = [block for block in cycle if block["in_turn"]]
        rolled = self._roll_out(terms, cycle)
        self._expire_plan_blocks(cycle)
        if terms["billing_mode"] == "postpaid":
            self._bill_overdraft()
        boundary = subscription["end"]
        subscription["index"] += 1
        subscription["start"] = boundary
        subscription["end"] = anchored(subscription["anchor"], subscription["index"] + 1, terms["interval"])
        subscription["granted"] = set()
        for template, amount in rolled:
            shift = -5 if self.descending else 5
            self._plan_block(template, amount, "rollover", subscription["end"], template["priority"] + shift)
        for template in terms["templates"]:
            if template["recurrence"] == "cycle":
                self._grant_template(subscription, template)
        self._settle_all()

    def _roll_out(self, terms: Row, cycle: list[Row]) -> list[tuple[Row, int]]:
        rolled = []
        for template in terms["templates"]:
            percentage = template.get("rollover_percentage", 0)
            own = [
                block for block in cycle if block["template"] == template["id"] and block["kind"] == "cycle"
            ]
            amount = sum(block["remaining"] for block in own) * percentage // 100
            if template.get("rollover_max") is not None:
                amount = min(amount, template["rollover_max"])
            if not amount:
                continue
            rolled.append((template, amount))
            self._write("rollover_out", template["unit"], -amount)
            rest = amount
            for block in own:
                part = min(rest, block["remaining"])
                block["remaining"] -= part
                rest -= part
                if block["remaining"] == 0:
                    block["status"] = "expired"
        return rolled

    def _bill_overdraft(self) -> None:
        for unit, owed in self.overdraft.items():
            if owed:
                if unit != "credits":
                    raise Grey("which units' overdraft a postpaid boundary invoices")
                self.overdraft[unit] = 0
                self._write("overage_billed", unit, owed)

    def _fall_overdue(self, subscription: Row) -> None:
        self._leave_blocks(used_up_only=True)
        if self.plan_blocks("rollover"):
            raise Grey("what becomes of rollover blocks when their cycle ends unpaid")
        subscription["status"] = "overdue"
        subscription["grace_ends_at"] = self.now + self._terms(subscription)["grace_period_days"] * DAY
        for block in self.plan_blocks("cycle"):
            if block["in_turn"]:
                block["expires_at"] = subscription["grace_ends_at"]

    def _end(self, subscription: Row, status: str) -> None:
        blocks = self.plan_blocks(*KINDS)
        if any(not block["in_turn"] for block in blocks):
            raise Grey("what becomes of blocks that outlive their cycle when a subscription ends by itself")
        self._expire_plan_blocks(blocks)
        if self._terms(subscription)["billing_mode"] == "postpaid":
            self._bill_overdraft()
        self._leave_turn()
        self._leave_blocks()
        subscription.update(status=status, ticks={}, canceling=False, pending=None)
        self._settle_all()

    def _tick(self, subscription: Row) -> None:
        if not self._ticks(subscription):
            return
        for template in self._terms(subscription)["templates"]:
            due = subscription["ticks"].get(template["id"])
            if due is not None and due <= self.now:
                subscription["ticks"][template["id"]] = due + template["interval_seconds"] * SECOND
                self._grant_template(subscription, template)
                self._settle_all()

    # -- triggers ----------------------------------------------------------------------------------

    def _state(self, *statuses: str) -> Row:
        subscription = self.subscription
        assert subscription is not None
        if subscription["status"] not in statuses:
            raise Refused(CONFLICT)
        return subscription

    def subscribe(self, *, variant: str) -> Row:
        if self.subscription is not None and self.subscription["status"] in LIVE:
            raise Refused("conflict")
        self.subscription = {
            "variant": variant,
            "status": "active",
            "trial_ends_at": None,
            "grace_ends_at": None,
            "resumes_at": None,
            "paid_through": None,
            "pending": None,
            "canceling": False,
            "granted": set(),
            "ticks": {},
            "anchor": self.now,
            "index": 0,
        }
        trial_days = self.variants[variant].get("trial_days", 0)
        if trial_days:
            ends = self.now + trial_days * DAY
            self.subscription.update(status="trialing", trial_ends_at=ends, start=self.now, end=ends)
        else:
            self._begin(self.subscription)
        return {}

    def renew(self) -> Row:
        subscription = self._state("trialing", "active", "overdue")
        terms = self._terms(subscription)
        if subscription["status"] == "trialing":
            if subscription["canceling"]:
                raise Grey("a renewal of a trial that is being canceled")
            self._begin(subscription)
        elif terms["billing_mode"] == "postpaid":
            raise Refused(CONFLICT)
        elif subscription["status"] == "active":
            opens = max(subscription["start"], subscription["end"] - terms["renewal_due_days"] * DAY)
            if self.now < opens or subscription["paid_through"] > subscription["end"]:
                raise Refused(CONFLICT)
            following = anchored(subscription["anchor"], subscription["index"] + 2, terms["interval"])
            subscription["paid_through"] = following
        else:
            following = anchored(subscription["anchor"], subscription["index"] + 2, terms["interval"])
            if following <= self.now or subscription["canceling"]:
                raise Grey("a renewal that pays a period which is over as well")
            subscription["status"] = "active"
            self._next_period(subscription)
            subscription["paid_through"] = subscription["end"]
        return {}

    def pause(self, *, days: int | None = None) -> Row:
        subscription = self._state("trialing", "active", "overdue")
        if subscription["paid_through"] is not None and subscription["paid_through"] > subscription["end"]:
            raise Grey("how much of a period a pause leaves paid that was paid ahead")
        subscription["was"] = subscription["status"]
        subscription["status"] = "paused"
        subscription["paused_at"] = self.now
        subscription["resumes_at"] = None if days is None else self.now + days * DAY
        for block in self.plan_blocks(*KINDS):
            block["frozen"] = True
        return {}

    def resume_subscription(self) -> Row:
        self._unpause(self._state("paused"))
        return {}

    def _unpause(self, subscription: Row) -> None:
        """Everything moves by the length of the pause; the new period end becomes the anchor."""
        length = self.now - subscription["paused_at"]
        subscription["status"] = subscription["was"]
        for name in ("end", "trial_ends_at", "grace_ends_at", "paid_through"):
            if subscription[name] is not None:
                subscription[name] += length
        subscription["ticks"] = {name: at + length for name, at in subscription["ticks"].items()}
        subscription["anchor"], subscription["index"] = subscription["end"], -1
        for block in self.blocks:
            if block.pop("frozen", False) and block["expires_at"] is not None:
                block["expires_at"] += length
            if "kind" in block and block["status"] == "depleted":
                block["used_up_in_pause"] = True

    def cancel(self, *, when: str, credits_then: str = "expire") -> Row:
        subscription = self._state(*LIVE)
        if when == "period_end":
            if subscription["status"] != "active" or subscription["canceling"]:
                raise Grey("a cancellation at the end of what is not an active period, or a second one")
            subscription["canceling"] = True
            return {}
        if subscription["status"] == "paused" and credits_then == "keep":
            raise Grey("when kept blocks of a canceled, paused subscription expire")
        if any(self.overdraft.values()) and self._terms(subscription)["billing_mode"] == "postpaid":
            raise Grey("whether a cancellation invoices overdraft as a postpaid boundary does")
        blocks = self.plan_blocks(*KINDS)
        if credits_then == "expire":
            self._expire_plan_blocks(blocks)
            for block in self.blocks:
                block.pop("frozen", None)
        self._leave_turn()
        self._leave_blocks()
        for block in blocks:
            del block["kind"]  # What is kept is the customer's, no longer the plan's.
        subscription.update(status="canceled", ticks={}, canceling=False, pending=None)
        self._settle_all()
        return {}

    def reactivate(self) -> Row:
        subscription = self._state("canceled", "expired", *LIVE)
        if subscription["status"] in LIVE:
            if not subscription["canceling"]:
                raise Refused(CONFLICT)
            subscription["canceling"] = False
            return {}
        if any("template" in block and block["status"] == "active" for block in self.blocks):
            raise Grey("a reactivation beside blocks that were kept")
        subscription.update(trial_ends_at=None, grace_ends_at=None, resumes_at=None, ticks={})
        self._begin(subscription)
        return {}

    def change_plan(self, *, variant: str, when: str, credits_then: str) -> Row:
        subscription = self._state("active")
        old, new = self._terms(subscription), self.variants[variant]
        rolls = any(
            template.get("rollover_percentage") for terms in (old, new) for template in terms["templates"]
        )
        others = any(
            template["recurrence"] != "cycle" for terms in (old, new) for template in terms["templates"]
        )
        if (
            rolls
            or others
            or {old["billing_mode"], new["billing_mode"]} != {"postpaid"}
            or new.get("trial_days")
        ):
            raise Grey("a change between plans whose grants do not simply follow the cycle")
        if (
            variant == subscription["variant"]
            or old["interval"] != new["interval"]
            or subscription["canceling"]
        ):
            raise Grey("a change to the same plan, to another interval, or of what is being canceled")
        if when == "period_end":
            subscription["pending"] = variant
            return {}
        subscription["pending"] = None
        subscription["variant"] = variant
        whole, left = subscription["end"] - subscription["start"], subscription["end"] - self.now
        if credits_then in {"prorate", "reset"}:
            self._expire_plan_blocks([block for block in self.plan_blocks("cycle") if block["in_turn"]])
        if credits_then == "reset":
            if any(self.overdraft.values()):
                raise Grey("whether a period that restarts invoices overdraft")
            self._leave_turn()
            subscription.update(anchor=self.now, index=0, granted=set())
            self._set_period(subscription)
            subscription["paid_through"] = subscription["end"]
        for template in new["templates"]:
            if template["id"] in subscription["granted"]:
                continue
            amount = template["credits"] * left // whole if credits_then == "prorate" else None
            self._grant_template(subscription, template, amount)
        self._settle_all()
        return {}

    def subscription_picture(self) -> Row | None:
        """What the subscription must say of itself."""
        if self.subscription is None:
            return None
        told = {name: self.subscription[name] for name in ("status", "variant")}
        told["cancel_at_period_end"] = self.subscription["canceling"]
        if self.subscription["status"] in {"active", "overdue", "trialing"}:
            told["end"] = self.subscription["end"]
        return copy.deepcopy(told)
