"""The reference model: one customer's credits, written from credits.md, metering.md and reservations.md.

Dicts, ints and fractions; no SQL, no product code. An instant is an int of microseconds. A method does
what one request does: it returns the facts that the answer must state, or raises Refused and changes
nothing, or raises Grey where the contract leaves the outcome open. A grey command is not sent; the
list of grey zones is the list of questions to the contract.
"""

from fractions import Fraction
from itertools import pairwise
from typing import Any

from tests.model.prices import Rule

Row = dict[str, Any]
SECOND = 1_000_000
DAY = 86_400 * SECOND
FOREVER = 2**62
LIVE = ("active",)


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not a failure.
    """The product must refuse with this slug; ``keeps`` when the refusal itself leaves something behind."""

    def __init__(self, slug: str, *, keeps: bool = False, **facts: int) -> None:
        super().__init__(slug, facts)
        self.slug = slug
        self.keeps = keeps
        self.facts = facts


class Grey(Exception):  # noqa: N818 - the same.
    """The contract does not decide this; the command is not sent."""


class Credits:
    """Accounts, blocks, holds and overdraft of one customer."""

    def __init__(
        self, now: int, *, descending: bool = False, policy: str = "block", limit: int | None = None
    ) -> None:
        self.now = now
        self.descending = descending
        self.environment_policy = (policy, limit)
        self.customer_policy: str | None = None
        self.metrics: dict[str, Row] = {}
        self.rules: dict[str, list[Rule]] = {}
        self.blocks: list[Row] = []
        self.holds: list[Row] = []
        self.usages: list[Row] = []
        self.overdraft: dict[str, int] = {}
        self.suspended: dict[str, bool] = {}
        self.entries: list[tuple[str, str, int, int]] = []
        self.positions: dict[Any, Fraction] = {}

    # -- what is there ---------------------------------------------------------------------------

    def live(self, unit: str) -> list[Row]:
        """Blocks that make up the balance, in burn order."""
        found = [block for block in self.blocks if block["unit"] == unit and block["status"] == "active"]
        return sorted(found, key=self._burn_key)

    def _burn_key(self, block: Row) -> tuple[Any, ...]:
        priority = -block["priority"] if self.descending else block["priority"]
        return (
            priority,
            FOREVER if block["expires_at"] is None else block["expires_at"],
            bool(block["price_paid"]),
            block["created_at"],
            block["id"],
        )

    def active_holds(self, unit: str) -> list[Row]:
        return [hold for hold in self.holds if hold["unit"] == unit and hold["status"] == "active"]

    def reserved(self, unit: str) -> int:
        return sum(hold["amount"] for hold in self.active_holds(unit))

    def in_blocks(self, unit: str) -> int:
        return sum(block["remaining"] for block in self.live(unit))

    def balance(self, unit: str) -> int:
        return self.in_blocks(unit) - self.overdraft.get(unit, 0)

    def effective(self, unit: str) -> int:
        return self.balance(unit) - self.reserved(unit)

    def units(self) -> set[str]:
        """Every unit that an account was ever used in."""
        rows = [*self.blocks, *self.holds]
        return {row["unit"] for row in rows} | set(self.overdraft)

    def total(self, unit: str, *types: str) -> int:
        """What entries of these types add up to."""
        return sum(delta for kind, of, delta, _ in self.entries if kind in types and of == unit)

    def _write(self, kind: str, unit: str, delta: int, reserved: int = 0) -> None:
        self.entries.append((kind, unit, delta, reserved))

    # -- time ------------------------------------------------------------------------------------

    def advance_to(self, until: int) -> None:
        """Let everything happen that is due, in time order."""
        while (due := self.next_due()) <= until:
            self.now = due
            self._run_instant()
        self.now = until

    def next_due(self) -> int:
        holds = [hold["expires_at"] for hold in self.holds if hold["status"] == "active"]
        ends = [block["expires_at"] for block in self.blocks if self._may_expire(block)]
        starts = [block["effective_at"] for block in self.blocks if block["status"] == "pending"]
        return min([*holds, *ends, *starts], default=FOREVER)

    def _may_expire(self, block: Row) -> bool:
        """Whether the block ends by itself: a cycle's blocks end in their subscription's turn."""
        return (
            block["status"] == "active"
            and block["expires_at"] is not None
            and block["kept"] is None
            and not block.get("in_turn")
            and not block.get("frozen")
        )

    def _run_instant(self) -> None:
        """Holds end, blocks expire, pending blocks start; each settles the overdraft with what it frees."""
        for hold in self.holds:
            if hold["status"] == "active" and hold["expires_at"] <= self.now:
                hold["status"] = "expired"
                self._write("reservation_expired", hold["unit"], 0, -hold["amount"])
                self._expire_kept(hold)
                self._settle(hold["unit"])
        due = [block for block in self.blocks if self._may_expire(block) and block["expires_at"] <= self.now]
        for unit in {block["unit"] for block in due}:
            self._expire_due([block for block in due if block["unit"] == unit], unit)
            self._settle(unit)
        for block in self.blocks:
            if block["status"] == "pending" and block["effective_at"] <= self.now:
                block["status"] = "active"
                self._write("grant", block["unit"], block["remaining"])
                self._settle(block["unit"])

    def _expire_due(self, due: list[Row], unit: str) -> None:
        """What holds made before still need is kept, in the block, for them alone."""
        needed = self.reserved(unit) > self.in_blocks(unit) - sum(block["remaining"] for block in due)
        if len(due) > 1 and needed:
            raise Grey("which of several blocks that expire at one instant keeps what holds need")
        for block in due:
            goes = min(block["remaining"], max(0, self.in_blocks(unit) - self.reserved(unit)))
            block["kept"] = {hold["id"] for hold in self.active_holds(unit)}
            self._expire(block, goes)

    def _expire(self, block: Row, amount: int) -> None:
        block["remaining"] -= amount
        if amount:
            self._write("expire", block["unit"], -amount)
        if block["remaining"] == 0:
            block["status"] = "expired"

    def _expire_kept(self, ended: Row) -> None:
        """After a hold ended that kept rests: what the others of those holds no longer need expires."""
        unit = ended["unit"]
        kept = [
            block for block in self.live(unit) if block["kept"] is not None and ended["id"] in block["kept"]
        ]
        if not kept:
            return
        spare = max(0, self.in_blocks(unit) - self.reserved(unit))
        holds = {hold["id"]: hold["amount"] for hold in self.active_holds(unit)}
        if len(kept) > 1 and 0 < spare < sum(block["remaining"] for block in kept):
            raise Grey("which of several kept rests expires first")
        for block in kept:
            goes = min(block["remaining"], spare)
            such = sum(amount for hold, amount in holds.items() if hold in block["kept"])
            if block["remaining"] - goes > such:
                raise Grey("a kept rest whose holds are gone while later holds lack credits")
            spare -= goes
            self._expire(block, goes)

    def _settle(self, unit: str) -> None:
        """Free credits pay the overdraft off."""
        owed = self.overdraft.get(unit, 0)
        free = max(0, self.in_blocks(unit) - self.reserved(unit))
        usable = sum(block["remaining"] for block in self.live(unit) if self._is_spendable(block))
        amount = min(owed, free, usable)
        if amount:
            self._draw(unit, amount)
            self.overdraft[unit] = owed - amount
            self._write("overage_settlement", unit, 0)

    def _is_spendable(self, block: Row) -> bool:
        """Not a kept rest, and not due to expire at this very instant."""
        over = block["expires_at"] is not None and block["expires_at"] <= self.now and not block.get("frozen")
        return block["kept"] is None and not over

    # -- debits ----------------------------------------------------------------------------------

    def _draw(self, unit: str, amount: int, *, hold: Row | None = None) -> list[tuple[str, int]]:
        """Take from blocks in burn order; a kept rest pays for its own holds only."""
        draws = []
        order = self.live(unit)
        for block, following in pairwise(order):
            is_tied = self._burn_key(block)[:-1] == self._burn_key(following)[:-1]
            if amount and is_tied and following["id"].startswith("~"):
                raise Grey("which of two blocks burns first that differ by an id nobody has been told")
        for block in order:
            usable = self._is_spendable(block) or (
                hold is not None and block["kept"] is not None and hold["id"] in block["kept"]
            )
            part = min(block["remaining"], amount) if usable else 0
            if part:
                block["remaining"] -= part
                amount -= part
                draws.append((block["id"], part))
                if block["remaining"] == 0:
                    block["status"] = "depleted" if block["kept"] is None else "expired"
        assert amount == 0, "the model drew more than there is"
        return draws

    def _debit(self, unit: str, amount: int, kind: str, *, hold: Row | None = None, held: int = 0) -> Row:
        """Take what is not held, the rest becomes overdraft; whether it may was decided before."""
        others = self.reserved(unit) - held
        part = min(amount, max(0, self.in_blocks(unit) - others))
        draws = self._draw(unit, part, hold=hold)
        rest = amount - part
        self.overdraft[unit] = self.overdraft.get(unit, 0) + rest
        self._write(kind, unit, -part, -held)
        if rest:
            self._write("overage", unit, -rest)
        return {"draws": draws, "overage": rest}

    def _require(self, unit: str, amount: int) -> None:
        if amount > self.effective(unit):
            raise self._insufficient(unit, amount)

    def _insufficient(self, unit: str, required: int) -> Refused:
        return Refused("insufficient-credits", required=required)

    def _refuse_when_suspended(self, unit: str) -> None:
        if self.suspended.get(unit):
            raise Refused("asset-suspended")

    def _policy(self, rule: Rule | None) -> tuple[str, int | None]:
        """Overage policy and limit: rule, customer, environment; the first one set."""
        if rule is not None and rule.get("overage_policy"):
            return rule["overage_policy"], rule.get("overage_limit")
        if self.customer_policy is not None:
            return self.customer_policy, None
        return self.plan_policy() or self.environment_policy

    def plan_policy(self) -> tuple[str, int | None] | None:
        """What the subscription's variant sets; see subscriptions.py."""
        return None

    def _affordable(self, unit: str, amount: int, rule: Rule | None, *, held: int = 0) -> None:
        """402 unless the effective balance covers the amount or the overage policy lets it through.

        ``held`` of the amount is covered by the caller's own hold.
        """
        beyond = amount - held
        if beyond <= self.effective(unit):
            return
        policy, limit = self._policy(rule)
        if policy == "block":
            raise self._insufficient(unit, beyond)
        if limit is None:
            return
        free = max(0, self.in_blocks(unit) - (self.reserved(unit) - held))
        overdraft = self.overdraft.get(unit, 0) + max(0, amount - free)
        by_effective = beyond - self.effective(unit)
        if (overdraft <= limit) != (by_effective <= limit):
            raise Grey("whether the limit bounds the overdraft alone or what holds lack as well")
        if overdraft > limit:
            raise self._insufficient(unit, beyond)

    # -- commands on credits -----------------------------------------------------------------------

    def grant(
        self,
        *,
        new_id: str,
        credits_mc: int,
        unit: str = "credits",
        priority: int = 0,
        expires_after: int | None = None,
        effective_after: int | None = None,
        price_paid: int | None = None,
        kind: str = "grant",
    ) -> Row:
        """One new block, pending when it starts later."""
        starts = self.now if effective_after is None else self.now + effective_after
        block = {
            "id": new_id,
            "unit": unit,
            "original": credits_mc,
            "remaining": credits_mc,
            "priority": priority,
            "effective_at": starts,
            "expires_at": None if expires_after is None else self.now + expires_after,
            "price_paid": price_paid or 0,
            "created_at": self.now,
            "status": "pending" if starts > self.now else "active",
            "kept": None,
        }
        self.blocks.append(block)
        if block["status"] == "active":
            self._write(kind, unit, credits_mc)
            self._settle(unit)
        return {"balance": self.balance(unit)}

    def adjust(self, *, new_id: str, delta: int, unit: str = "credits", allow_negative: bool = False) -> Row:
        if delta > 0:
            return self.grant(new_id=new_id, credits_mc=delta, unit=unit, kind="adjustment")
        self._refuse_when_suspended(unit)
        if not allow_negative:
            self._require(unit, -delta)
        done = self._debit(unit, -delta, "adjustment")
        return {**done, "balance": self.balance(unit)}

    def withdraw(self, *, credits_mc: int, unit: str = "credits") -> Row:
        self._refuse_when_suspended(unit)
        self._require(unit, credits_mc)
        done = self._debit(unit, credits_mc, "withdrawal")
        return {**done, "balance": self.balance(unit)}

    def exchange(
        self, *, new_id: str, debit_mc: int, unit: str, credits_mc: int, into: str, **terms: Any
    ) -> Row:
        self._refuse_when_suspended(unit)
        self._require(unit, debit_mc)
        done = self._debit(unit, debit_mc, "exchange")
        self.grant(new_id=new_id, credits_mc=credits_mc, unit=into, **terms)
        return done

    def void(self, *, block_id: str, kind: str = "void", limit: int | None = None) -> Row:
        """Take back what is left of a block, as far as holds stay covered."""
        block = self.block(block_id)
        if self.suspended.get(block["unit"]):
            raise Grey("whether void counts as a debit of a suspended account")
        if block["status"] not in {"active", "pending"}:
            raise Grey("void of a block that is gone: 409 or nothing taken")
        if block["kept"] is not None:
            raise Grey("void of a kept rest")
        if block["status"] == "pending":
            if kind != "void":
                raise Grey("refund of a pending block")
            block["status"], block["remaining"] = "voided", 0
            return {"amount": None, "balance": self.balance(block["unit"])}
        unit = block["unit"]
        wanted = block["remaining"] if limit is None else min(limit, block["remaining"])
        amount = min(wanted, max(0, self.in_blocks(unit) - self.reserved(unit)))
        block["remaining"] -= amount
        if block["remaining"] == 0:
            block["status"] = "voided"
        self._write(kind, unit, -amount)
        return {"amount": amount, "balance": self.balance(unit)}

    def refund_topup(self, *, block_id: str, credits_mc: int | None = None) -> Row:
        if self.block(block_id).get("is_refund"):
            raise Grey("whether the refund block of a paid block is a paid block")
        if not self.block(block_id)["price_paid"]:
            raise Grey("refund of a block that was not paid for")
        return self.void(block_id=block_id, kind="topup_refund", limit=credits_mc)

    def suspend(self, *, unit: str = "credits") -> Row:
        self.suspended[unit] = True
        return {}

    def resume(self, *, unit: str = "credits") -> Row:
        self.suspended[unit] = False
        return {}

    def set_policy(self, *, policy: str | None) -> Row:
        self.customer_policy = policy
        return {}

    def block(self, block_id: str) -> Row:
        return next(block for block in self.blocks if block["id"] == block_id)

    def hold(self, hold_id: str) -> Row:
        return next(hold for hold in self.holds if hold["id"] == hold_id)
