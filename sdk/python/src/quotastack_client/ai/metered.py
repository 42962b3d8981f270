"""One call of a model: hold an estimate, let it run, charge the real tokens. The rules, without input or output.

Each kind of token is an event of one metric with the dimensions ``model`` and ``token_type`` (``input``, ``output``,
``cached``, ``cache_write``), so metering rules with ``match`` on the model, and on the kind where it has a price of
its own, say what it costs. Input and output are held; cached tokens are recorded beside them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple, Required, TypedDict, TypeVar

from quotastack_client.availability import NO_ANSWER
from quotastack_client.errors import InsufficientCreditsError, QuotaStackError, ReservationNotActiveError

T = TypeVar("T")

Request = Mapping[str, Any]

# The parts of a request that become input tokens.
ASKED: Final = ("messages", "input", "system", "instructions", "tools")


class Tokens(NamedTuple):
    """Tokens by kind; ``input`` without the cached ones."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0


class Metering(TypedDict, total=False):
    """What ``wrap`` needs to know.

    ``customer`` is your id of the customer, or a function of the request; ``metric`` counts the tokens. ``estimate``
    tells the tokens to hold for a request: by default a quarter of its characters, and its limit of output tokens
    or 1,024. ``dimensions`` are added to every event. ``ttl_seconds`` (600) must outlast the call.
    """

    customer: Required[str | Callable[[Request], str]]
    metric: Required[str]
    estimate: Callable[[Request], Tokens]
    dimensions: Mapping[str, str]
    ttl_seconds: int


class TokensNotChargedError(QuotaStackError):
    """The model answered (``answer``), its ``tokens`` could not all be charged: record what ``missing`` lists."""

    def __init__(self, tokens: Tokens, missing: list[dict[str, Any]], answer: Any) -> None:
        super().__init__(f"the model's answer is there, {len(missing)} charges of it are not")
        self.tokens = tokens
        self.missing = missing
        self.answer = answer


class NotMeteredError(QuotaStackError):
    """This call of the provider's client is not metered; it would spend without being charged."""


class Step(NamedTuple):
    """One call of a resource's method, for a driver to make."""

    resource: str
    method: str
    path: tuple[str, ...]
    arguments: dict[str, Any]


Steps = Generator[Step, Any, T]


class Held(NamedTuple):
    """One kind of token, held."""

    kind: str
    reservation_id: str
    units: int


def estimate_tokens(request: Request) -> Tokens:
    """A quarter of the characters of what is asked, and the limit of what may be answered."""
    asked = {
        name: request[name]
        for name in ("messages", "input", "system", "instructions", "tools")
        if name in request
    }
    characters = len(json.dumps(asked, default=str, ensure_ascii=False))
    for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"):
        if isinstance(request.get(name), int):
            return Tokens(characters // 4 + 1, request[name])
    return Tokens(characters // 4 + 1, 1_024)


class Spending:
    """The terms of a wrapped client."""

    def __init__(self, terms: Metering) -> None:
        self.terms = terms

    @classmethod
    def of(cls, terms: Metering) -> Spending:
        """The terms, whole.

        Raises:
            TypeError: the customer or the metric is missing.
        """
        if not terms.get("customer") or not terms.get("metric"):
            raise TypeError("wrap needs customer and metric")
        return cls(terms)

    def start(self, request: Request, *, has_output: bool = True) -> Spend:
        """The spend of one call."""
        customer = self.terms["customer"]
        tokens = self.terms.get("estimate", estimate_tokens)(request)
        return Spend(
            self.terms,
            customer=customer(request) if callable(customer) else customer,
            model=str(request.get("model", "")),
            estimate=tokens if has_output else tokens._replace(output=0),
        )


class Spend:
    """One call's holds and charges, as steps that a driver makes, blocking or not."""

    def __init__(self, terms: Metering, *, customer: str, model: str, estimate: Tokens) -> None:
        self.estimate = estimate
        self.is_open = True
        self._held: list[Held] = []
        self._act = str(uuid.uuid4())
        self._ttl_seconds = terms.get("ttl_seconds", 600)
        self._terms = terms
        self.customer, self.metric, self.model = customer, terms["metric"], model

    def _event(self, kind: str) -> dict[str, Any]:
        return {
            "external_customer_id": self.customer,
            "billable_metric_key": self.metric,
            "dimensions": {**self._terms.get("dimensions", {}), "model": self.model, "token_type": kind},
        }

    def hold(self, *, may_go_on: Callable[[QuotaStackError], bool]) -> Steps[None]:
        """Hold the estimate: this is the gate. What was held before a refusal is released."""
        try:
            for kind in ("input", "output"):
                units = getattr(self.estimate, kind)
                if units > 0:
                    terms = {**self._event(kind), "estimated_units": units, "ttl_seconds": self._ttl_seconds}
                    key = {"idempotency_key": f"{self._act}:{kind}"}
                    made = yield Step("reservations", "create", (), {**terms, **key})
                    self._held.append(Held(kind, made.id, units))
        except QuotaStackError as refusal:
            yield from self.release()
            if not (isinstance(refusal, NO_ANSWER) and may_go_on(refusal)):
                raise
            self.is_open = True

    def release(self) -> Steps[None]:
        """Give everything back. What cannot be released ends by its time limit."""
        self.is_open = False
        held, self._held = self._held, []
        for one in held:
            try:
                key = f"release:{one.reservation_id}"
                yield Step("reservations", "release", (one.reservation_id,), {"idempotency_key": key})
            except QuotaStackError:
                continue

    def charge(self, tokens: Tokens | None, answer: Any) -> Steps[None]:
        """Charge the real tokens; None: the provider did not tell, so the estimate is charged.

        Tokens that were spent are charged even above the balance: the excess becomes overage.

        Raises:
            TokensNotChargedError: the server could not be reached; what is missing stands in it, keys included.
        """
        self.is_open = False
        real = self.estimate if tokens is None else tokens
        missing: list[dict[str, Any]] = []
        held = {one.kind: one for one in self._held}
        for kind, units in real._asdict().items():
            one = held.get(kind)
            if one is not None:
                yield from self._commit(one, units, missing)
            else:
                yield from self._record(kind, units, f"{self._act}:{kind}:used", missing)
        if missing:
            raise TokensNotChargedError(real, missing, answer)

    def _commit(self, held: Held, units: int, missing: list[dict[str, Any]]) -> Steps[None]:
        key = {"idempotency_key": f"commit:{held.reservation_id}"}
        path = (held.reservation_id,)
        try:
            try:
                yield Step("reservations", "commit", path, {"actual_units": units, **key})
            except InsufficientCreditsError:
                yield Step("reservations", "commit", path, {"actual_units": held.units, **key})
                excess = units - held.units
                yield from self._record(held.kind, excess, f"excess:{held.reservation_id}", missing)
        except ReservationNotActiveError:
            # The call outlived its hold, which cost nothing: the tokens are charged without it.
            yield from self._record(held.kind, units, f"late:{held.reservation_id}", missing)
        except QuotaStackError as error:
            missing.append(
                {"reservation_id": held.reservation_id, "actual_units": units, **key, "error": error}
            )

    def _record(self, kind: str, units: int, key: str, missing: list[dict[str, Any]]) -> Steps[None]:
        if units <= 0:
            return
        event = {**self._event(kind), "units": units, "enforcement": "record", "idempotency_key": key}
        try:
            yield Step("usage", "record", (), event)
        except QuotaStackError as error:
            missing.append({**event, "error": error})


def make_blocking(client: Any, steps: Steps[T]) -> T:
    """Make the steps, one after the other."""
    try:
        step = next(steps)
        while True:
            try:
                done = getattr(getattr(client, step.resource), step.method)(*step.path, **step.arguments)
            except QuotaStackError as error:
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as end:
        return end.value


async def make_async(client: Any, steps: Steps[T]) -> T:
    """Make the steps, one after the other."""
    try:
        step = next(steps)
        while True:
            try:
                done = await getattr(getattr(client, step.resource), step.method)(
                    *step.path, **step.arguments
                )
            except QuotaStackError as error:
                step = steps.throw(error)
            else:
                step = steps.send(done)
    except StopIteration as end:
        return end.value
