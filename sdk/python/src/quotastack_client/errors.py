"""What can go wrong, as classes: catch ``QuotaStackError`` for all of it, a subclass for one kind.

A refusal of the server is a ``ProblemError``; its subclass is chosen by the problem's type. What a refusal adds
(``required``, ``available``, ``limit``, ...) is an attribute, None where this refusal has none.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import msgspec

T = TypeVar("T")


class QuotaStackError(Exception):
    """Any failure of a call."""


class UnreachableError(QuotaStackError):
    """No answer, after all retries: the outcome of a change is unknown, and sending it again with its key is safe."""


class RequestTimeoutError(UnreachableError):
    """No answer in time."""


class UnexpectedAnswerError(QuotaStackError):
    """An answer that is not of this API: a proxy's page, or the wrong address."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"an answer of status {status} that is not QuotaStack's: {body[:200]!r}")
        self.status = status
        self.body = body


class FieldFault(NamedTuple):
    """One invalid field: a JSON pointer to it, and what is wrong."""

    pointer: str
    detail: str


class ProblemError(QuotaStackError):
    """The server refused. Nothing was changed and no key was consumed.

    ``slug`` is stable enough to switch on; ``problem`` is the whole answer.
    """

    slug: ClassVar[str] = ""

    def __init__(self, problem: dict[str, Any], *, retry_after_seconds: float | None = None) -> None:
        self.problem = problem
        self.type = str(problem.get("type", "about:blank"))
        self.kind = self.type.rsplit("/", 1)[-1]
        self.status = int(problem.get("status", 0))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.request_id = str(problem.get("request_id", ""))
        self.errors = tuple(
            FieldFault(str(fault.get("pointer", "")), str(fault.get("detail", "")))
            for fault in problem.get("errors", ())
        )
        self.retry_after_seconds = retry_after_seconds
        faults = "".join(f"; {fault.pointer}: {fault.detail}" for fault in self.errors)
        super().__init__(f"{self.kind}: {self.detail}{faults} (request {self.request_id})")

    def _member(self, name: str, kind: type[T]) -> T | None:
        value = self.problem.get(name)
        return value if isinstance(value, kind) else None


class MalformedRequestError(ProblemError):
    """Not HTTP or JSON as the server wants it."""

    slug = "malformed-request"


class ValidationFailedError(ProblemError):
    """Fields are not valid; ``errors`` lists all of them."""

    slug = "validation-error"


class CustomerIdentifierConflictError(ProblemError):
    """Both or neither of the customer's names."""

    slug = "customer-identifier-conflict"


class IdempotencyKeyRequiredError(ProblemError):
    """A change without a key."""

    slug = "idempotency-key-required"


class AuthenticationRequiredError(ProblemError):
    """No API key, or one that is unknown or revoked."""

    slug = "authentication-required"


class InsufficientScopeError(ProblemError):
    """The API key may not do this."""

    slug = "insufficient-scope"

    @property
    def required_scope(self) -> str | None:
        """The scope that may."""
        return self._member("required_scope", str)


class InsufficientCreditsError(ProblemError):
    """More than the customer can spend; amounts in millicredits."""

    slug = "insufficient-credits"

    @property
    def required(self) -> int | None:
        """What it costs."""
        return self._member("required", int)

    @property
    def available(self) -> int | None:
        """What can be spent."""
        return self._member("available", int)

    @property
    def shortfall(self) -> int | None:
        """What is missing."""
        return self._member("shortfall", int)


class QuotaProblemError(ProblemError):
    """A quota says no."""

    @property
    def metric(self) -> str | None:
        """The metric whose quota it is."""
        return self._member("metric", str)

    @property
    def level(self) -> str | None:
        """The level of the tier that refuses."""
        return self._member("level", str)

    @property
    def policy(self) -> str | None:
        """The policy of the tier that refuses."""
        return self._member("policy", str)

    @property
    def limit(self) -> int | str | None:
        """The tier's bound; a decimal string where the metric has a scale."""
        return self.problem.get("limit")

    @property
    def value(self) -> int | str | None:
        """Where the counter stands."""
        return self.problem.get("value")

    @property
    def resets_at(self) -> str | None:
        """When the counter starts again."""
        return self._member("resets_at", str)


class QuotaExceededError(QuotaProblemError):
    """A tier refuses the units; nothing was counted or charged."""

    slug = "quota-exceeded"


class AssetSuspendedError(QuotaProblemError):
    """The account or the asset is suspended."""

    slug = "asset-suspended"


class NotEntitledError(ProblemError):
    """The customer's plan does not include the metric, or its subscription stands still."""

    slug = "not-entitled"


class NotFoundError(ProblemError):
    """No such object in this environment."""

    slug = "not-found"


class CustomerNotFoundError(NotFoundError):
    """No such customer in this environment."""

    slug = "customer-not-found"


class MethodNotAllowedError(ProblemError):
    """The path exists, not with this method."""

    slug = "method-not-allowed"


class ConflictError(ProblemError):
    """The state of an object does not allow it."""

    slug = "conflict"


class ReservationNotActiveError(ConflictError):
    """Committed, released or expired already."""

    slug = "reservation-not-active"


class SubscriptionStateConflictError(ConflictError):
    """The subscription's state has no such trigger."""

    slug = "subscription-state-conflict"


class IdempotencyKeyInFlightError(ConflictError):
    """The first request with this key has not been answered yet."""

    slug = "idempotency-key-in-flight"


class PayloadTooLargeError(ProblemError):
    """The body is too large."""

    slug = "payload-too-large"


class UnsupportedMediaTypeError(ProblemError):
    """The body is not JSON."""

    slug = "unsupported-media-type"


class IdempotencyKeyReusedError(ProblemError):
    """The key named another request before."""

    slug = "idempotency-key-reused"


class NoActiveMeteringRuleError(ProblemError):
    """The metric has rules, and none fits the dimensions or the time."""

    slug = "no-active-metering-rule"


class TimestampOutOfRangeError(ProblemError):
    """Too far ahead or too far behind."""

    slug = "timestamp-out-of-range"


class RateLimitedError(ProblemError):
    """Too many requests of this environment."""

    slug = "rate-limited"


class QuotaRateLimitedError(QuotaProblemError):
    """A tier lets units pass at a rate; ``retry_after_seconds`` says when there are enough again."""

    slug = "quota-rate-limited"


class UnavailableError(ProblemError):
    """The server cannot reach its store, or is overloaded: repeat with the same key."""

    slug = "unavailable"


def _all_kinds(kind: type[ProblemError]) -> list[type[ProblemError]]:
    return [kind, *(below for one in kind.__subclasses__() for below in _all_kinds(one))]


BY_SLUG: Final = {kind.slug: kind for kind in _all_kinds(ProblemError) if kind.slug}


def read_refusal(status: int, content: bytes, retry_after_seconds: float | None) -> QuotaStackError:
    """The error that a response of status 300 or above is."""
    try:
        problem = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        return UnexpectedAnswerError(status, content)
    return problem_error(problem, retry_after_seconds=retry_after_seconds)


def problem_error(problem: dict[str, Any], *, retry_after_seconds: float | None = None) -> ProblemError:
    """A problem document as an exception, such as one result of a batch."""
    kind = BY_SLUG.get(str(problem.get("type", "")).rsplit("/", 1)[-1], ProblemError)
    return kind(problem, retry_after_seconds=retry_after_seconds)
