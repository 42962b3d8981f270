"""Every refusal that a caller can meet, one class per slug of the contract.

A slug is for ever: clients switch on it. What is refused is said here; which HTTP status and title a
slug has is decided in ``api/errors.py`` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class FieldFault(NamedTuple):
    """One invalid field: a JSON pointer into the body or the query, and what is wrong with it."""

    pointer: str
    detail: str


class ProblemError(Exception):
    """A refusal with a name. Raise a subclass; ``extra`` holds extension members by wire name.

    Nothing has been changed when it is raised, and no idempotency key was consumed.
    """

    slug: ClassVar[str] = "unavailable"

    def __init__(
        self,
        detail: str,
        *,
        extra: Mapping[str, Any] | None = None,
        errors: Iterable[FieldFault] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra: dict[str, Any] = dict(extra) if extra else {}
        self.errors: tuple[FieldFault, ...] = tuple(errors)
        self.retry_after_seconds = retry_after_seconds


# 400: the request itself is wrong; no state could make it right.


class MalformedRequestError(ProblemError):
    """Not HTTP or JSON as the contract wants it: unreadable body, broken percent-encoding, repeated header."""

    slug = "malformed-request"


class ValidationFailedError(ProblemError):
    """Readable, but some fields are not valid; ``errors`` lists all of them."""

    slug = "validation-error"

    @classmethod
    def at(cls, pointer: str, detail: str) -> ValidationFailedError:
        """The error for a single field."""
        return cls(detail, errors=(FieldFault(pointer, detail),))


class CustomerIdentifierConflictError(ProblemError):
    """Both or neither of ``customer_id`` and ``external_customer_id``."""

    slug = "customer-identifier-conflict"


class IdempotencyKeyRequiredError(ProblemError):
    """A change was asked for without naming the act."""

    slug = "idempotency-key-required"


# 401, 402, 403: who you are, what you have, what you may.


class AuthenticationRequiredError(ProblemError):
    """No key, or one that is unknown, broken or revoked: the answer does not tell which."""

    slug = "authentication-required"


class InsufficientCreditsError(ProblemError):
    """The debit is above what may be used; nothing was charged."""

    slug = "insufficient-credits"

    @classmethod
    def of(cls, *, required_mc: int, available_mc: int, detail: str = "") -> InsufficientCreditsError:
        """The error with its three amounts; ``available_mc`` may be negative (overdraft)."""
        return cls(
            detail or f"The request needs {required_mc} mc, {available_mc} mc can be used.",
            extra={
                "required": required_mc,
                "available": available_mc,
                "shortfall": required_mc - available_mc,
            },
        )


class InsufficientScopeError(ProblemError):
    """The key may not do this; ``extra`` names the scope that may."""

    slug = "insufficient-scope"


class QuotaExceededError(ProblemError):
    """A quota tier refuses the units; nothing was counted or charged."""

    slug = "quota-exceeded"


class AssetSuspendedError(ProblemError):
    """The account or the asset is suspended: no new debits and holds."""

    slug = "asset-suspended"


class NotEntitledError(ProblemError):
    """The customer's resolved value does not include the metric, or no live subscription lets it through."""

    slug = "not-entitled"


# 404: not in this environment. A foreign tenant's object answers the same as none.


class NotFoundError(ProblemError):
    """No such object or path in this environment."""

    slug = "not-found"


class CustomerNotFoundError(ProblemError):
    """No such customer in this environment, or deleted."""

    slug = "customer-not-found"


class MethodNotAllowedError(ProblemError):
    """The path exists, the method does not; the ``Allow`` header lists those that do."""

    slug = "method-not-allowed"


# 409: the state does not allow it now.


class ConflictError(ProblemError):
    """The state of an object, or another object of the same name, is in the way."""

    slug = "conflict"


class ReservationNotActiveError(ProblemError):
    """The reservation was committed, released or has expired; ``extra`` carries its ``reservation_status``."""

    slug = "reservation-not-active"


class SubscriptionStateConflictError(ProblemError):
    """The trigger does not apply in the subscription's state; ``extra`` names it and those that do."""

    slug = "subscription-state-conflict"


class IdempotencyKeyInFlightError(ProblemError):
    """The first request of this key is still running after ten seconds of waiting."""

    slug = "idempotency-key-in-flight"


# 413, 415: the envelope.


class PayloadTooLargeError(ProblemError):
    """The body is above the limit of its route."""

    slug = "payload-too-large"


class UnsupportedMediaTypeError(ProblemError):
    """The body is not plain JSON in UTF-8."""

    slug = "unsupported-media-type"


# 422: well-formed and valid, yet it cannot be processed.


class IdempotencyKeyReusedError(ProblemError):
    """The key belongs to another request; nothing about that one is told."""

    slug = "idempotency-key-reused"


class NoActiveMeteringRuleError(ProblemError):
    """The metric has rules, but none for these dimensions at this time."""

    slug = "no-active-metering-rule"


class TimestampOutOfRangeError(ProblemError):
    """The event's time is outside the window in which events are taken."""

    slug = "timestamp-out-of-range"


# 429, 503: try again later.


class RateLimitedError(ProblemError):
    """The environment's request bucket is empty."""

    slug = "rate-limited"


class QuotaRateLimitedError(ProblemError):
    """A quota's token bucket is empty; ``retry_after_seconds`` tells when it will do."""

    slug = "quota-rate-limited"


class UnavailableError(ProblemError):
    """The store cannot be reached or the server is overloaded; the same key may be tried again."""

    slug = "unavailable"


def _leaves(parent: type[ProblemError]) -> dict[str, type[ProblemError]]:
    found: dict[str, type[ProblemError]] = {}
    for error_class in parent.__subclasses__():
        assert error_class.slug not in found, f"two errors share the slug {error_class.slug}"
        found[error_class.slug] = error_class
    return found


ERRORS_BY_SLUG: dict[str, type[ProblemError]] = _leaves(ProblemError)
