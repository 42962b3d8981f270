"""From a refusal to the wire: RFC 9457 problems. The only place where an error gets its status.

``type`` is an absolute URI that this server serves as a page (``api/error_pages.py``).
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import msgspec

from quotastack.core.amounts import AMOUNT_MAX, AmountOverflowError
from quotastack.core.errors import (
    ERRORS_BY_SLUG,
    ProblemError,
    UnavailableError,
    ValidationFailedError,
)

PROBLEM_TYPE: Final = b"application/problem+json"

_encode = msgspec.json.Encoder().encode


class ProblemKind(msgspec.Struct, frozen=True):
    """What every problem of a slug shares, and what its page says."""

    status: int
    title: str
    cause: str
    remedy: str


PROBLEM_KINDS: Final[dict[str, ProblemKind]] = {
    "malformed-request": ProblemKind(
        400,
        "The request cannot be read",
        "The body is not strict JSON (invalid UTF-8, the same key twice in one object, NaN, more than 32 levels), "
        "the path or query has a broken percent-encoding or a control character, or a header that must be there once "
        "was sent twice.",
        "Send the body through a JSON library, percent-encode each path segment as UTF-8, and send each header once.",
    ),
    "validation-error": ProblemKind(
        400,
        "Some fields are not valid",
        "The request was read, but fields are unknown, missing, of another type or out of their range.",
        "`errors` lists every invalid field with a JSON pointer and what is wrong with it. Correct them all; the same "
        "request fails the same way again.",
    ),
    "customer-identifier-conflict": ProblemKind(
        400,
        "Name the customer exactly once",
        "The request holds both `customer_id` and `external_customer_id`, or neither.",
        "Send one of them: `customer_id` is our UUID, `external_customer_id` is your own id.",
    ),
    "idempotency-key-required": ProblemKind(
        400,
        "An idempotency key is required",
        "The request can change something, and no `Idempotency-Key` header (or `idempotency_key` in the body) came "
        "with it.",
        "Send a key that names the act, such as `topup:{payment}`: repeating the request with it can never act twice.",
    ),
    "authentication-required": ProblemKind(
        401,
        "A valid API key is required",
        "No API key was sent, or it is unknown, mistyped or revoked.",
        "Send the key as `X-API-Key: qs_...` or as `Authorization: Bearer qs_...`, exactly once.",
    ),
    "insufficient-credits": ProblemKind(
        402,
        "Not enough credits",
        "The debit is above the effective balance and no overage policy lets it through. Nothing was charged.",
        "`required`, `available` and `shortfall` tell how much is missing. Grant credits, then repeat the request; "
        "the same idempotency key may be used.",
    ),
    "insufficient-scope": ProblemKind(
        403,
        "The API key may not do this",
        "The key has scopes, and the one that this operation needs is not among them; or the operation exists in test "
        "environments only.",
        "`required_scope` names the scope. Use a key that has it, or one without any scopes.",
    ),
    "quota-exceeded": ProblemKind(
        403,
        "A quota refuses the units",
        "The units would enter a quota tier with the policy `Deny`. Nothing was counted or charged.",
        "Wait until `resets_at`, ask for fewer units, or change the customer's quota.",
    ),
    "asset-suspended": ProblemKind(
        403,
        "The account or asset is suspended",
        "It was suspended by hand, or by a quota tier with the policy `SuspendUsage`.",
        "Resume it, or wait for the next period where the tier resumes by itself.",
    ),
    "not-entitled": ProblemKind(
        403,
        "The customer is not entitled to this",
        "The customer's value for the metric does not include it, or the subscription that governs it is paused or "
        "overdue.",
        "Ask the entitlement check with `explain=true` for the step that refuses.",
    ),
    "not-found": ProblemKind(
        404,
        "There is no such thing",
        "The path is unknown, or the object does not exist in the environment of the API key.",
        "Check the id, and that the key is of the environment (live or test) that the object belongs to.",
    ),
    "customer-not-found": ProblemKind(
        404,
        "There is no such customer",
        "No customer of the environment has this id, or it was deleted.",
        "Create the customer first. Your own ids go under `/v1/customer-by-external-id/...`, ours under "
        "`/v1/customers/...`.",
    ),
    "method-not-allowed": ProblemKind(
        405,
        "The path does not take this method",
        "The path exists, but not with this method.",
        "The `Allow` header lists the methods that it takes.",
    ),
    "conflict": ProblemKind(
        409,
        "The present state does not allow it",
        "Something else of the same name exists, or the object is in a state in which this cannot be done.",
        "Read the object, then decide; `detail` says what is in the way.",
    ),
    "reservation-not-active": ProblemKind(
        409,
        "The reservation is not active",
        "It was committed, released, or its time is over.",
        "`reservation_status` tells which. For new work, make a new reservation.",
    ),
    "subscription-state-conflict": ProblemKind(
        409,
        "The subscription's state does not allow it",
        "The trigger does not apply in the state that the subscription is in.",
        "The problem names the state and the triggers that it allows.",
    ),
    "idempotency-key-in-flight": ProblemKind(
        409,
        "The first request with this key is still running",
        "Another request with the same idempotency key has not ended within ten seconds.",
        "Repeat the request with the same key after `Retry-After` seconds.",
    ),
    "payload-too-large": ProblemKind(
        413,
        "The body is too large",
        "Bodies may have 1 MiB, a usage batch 8 MiB.",
        "Send fewer events in one batch.",
    ),
    "unsupported-media-type": ProblemKind(
        415,
        "The body is not plain JSON",
        "`Content-Type` is not `application/json` in UTF-8, or the body has a `Content-Encoding`.",
        "Send `Content-Type: application/json` and an uncompressed body.",
    ),
    "idempotency-key-reused": ProblemKind(
        422,
        "The idempotency key belongs to another request",
        "The key was used before with another method, path or body.",
        "Use a new key for a new act; repeat an act with exactly the same request.",
    ),
    "no-active-metering-rule": ProblemKind(
        422,
        "No metering rule applies",
        "The metric has metering rules, but none for these dimensions at this time.",
        "Add a rule without `match`, or one that matches the event's `dimensions`.",
    ),
    "timestamp-out-of-range": ProblemKind(
        422,
        "The event's time is outside the window",
        "Events may be at most five minutes ahead and `late_event_window` behind the environment's clock.",
        "Correct the timestamp, or leave it out for now.",
    ),
    "rate-limited": ProblemKind(
        429,
        "Too many requests",
        "The environment's `requests_per_minute` are used up.",
        "Repeat after `Retry-After` seconds. Entitlement checks are not limited.",
    ),
    "quota-rate-limited": ProblemKind(
        429,
        "A quota's rate is used up",
        "The quota tier has the policy `RateLimit`, and its bucket holds too few tokens.",
        "Repeat after `Retry-After` seconds.",
    ),
    "unavailable": ProblemKind(
        503,
        "The service is unavailable for a moment",
        "The database cannot be reached, or the server is overloaded.",
        "Repeat after `Retry-After` seconds, with the same idempotency key: if the first request took effect after "
        "all, the repeat answers what it did.",
    ),
}
assert PROBLEM_KINDS.keys() == ERRORS_BY_SLUG.keys(), "each slug has a status, a title and a page"

# Slugs that any route may answer with, by what it declares.
EVERY_ROUTE: Final = ("malformed-request", "validation-error", "unavailable")
AUTHENTICATED: Final = ("authentication-required", "insufficient-scope")
WITH_BODY: Final = ("payload-too-large", "unsupported-media-type")
WITH_KEY: Final = ("idempotency-key-required", "idempotency-key-in-flight", "idempotency-key-reused")


def status_of(error: ProblemError) -> int:
    """The HTTP status of a refusal."""
    return PROBLEM_KINDS[error.slug].status


def describe_problem(error: ProblemError, *, base_url: str) -> dict[str, Any]:
    """A refusal as problem members: all but ``instance`` and ``request_id``, which belong to a whole answer."""
    kind = PROBLEM_KINDS[error.slug]
    problem: dict[str, Any] = {
        "type": f"{base_url}/errors/{error.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": error.detail,
    }
    if error.errors:
        problem["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in error.errors]
    for name, value in error.extra.items():
        problem.setdefault(name, value)
    return problem


def encode_problem(error: ProblemError, *, base_url: str, instance: str, request_id: str) -> bytes:
    """The body of a refusal."""
    problem = describe_problem(error, base_url=base_url)
    problem["instance"] = instance
    problem["request_id"] = request_id
    return _encode(problem)


def known_refusal(error: Exception) -> ProblemError | None:
    """The refusal that an exception from below stands for; None when it is a mistake of ours.

    A database that cannot be reached, is overloaded, or takes too long says nothing about the request.
    """
    if isinstance(error, AmountOverflowError):
        return ValidationFailedError(f"An amount in the result would be beyond {AMOUNT_MAX}.")
    if isinstance(error, _OUTSIDE) and not isinstance(error, _OURS):
        return UnavailableError("The database cannot be reached in time.", retry_after_seconds=1)
    return None


_OUTSIDE: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
_OURS: Final = (
    asyncpg.DataError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.IntegrityConstraintViolationError,
)
