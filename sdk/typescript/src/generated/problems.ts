// Written by scripts/generate.mjs from the server's /openapi.json. Not edited by hand.

import { ProblemError, type ProblemClass } from "../errors.js";

/** 400 `malformed-request`: The request cannot be read. */
export class MalformedRequestError extends ProblemError {
  override readonly name: string = "MalformedRequestError";
}

/** 400 `validation-error`: Some fields are not valid. */
export class ValidationFailedError extends ProblemError {
  override readonly name: string = "ValidationFailedError";
}

/** 400 `customer-identifier-conflict`: Name the customer exactly once. */
export class CustomerIdentifierConflictError extends ProblemError {
  override readonly name: string = "CustomerIdentifierConflictError";
}

/** 400 `idempotency-key-required`: An idempotency key is required. */
export class IdempotencyKeyRequiredError extends ProblemError {
  override readonly name: string = "IdempotencyKeyRequiredError";
}

/** 401 `authentication-required`: A valid API key is required. */
export class AuthenticationRequiredError extends ProblemError {
  override readonly name: string = "AuthenticationRequiredError";
}

/** 402 `insufficient-credits`: Not enough credits. */
export class InsufficientCreditsError extends ProblemError {
  override readonly name: string = "InsufficientCreditsError";
  declare readonly required: number;
  declare readonly available: number;
  declare readonly shortfall: number;
}

/** 403 `insufficient-scope`: The API key may not do this. */
export class InsufficientScopeError extends ProblemError {
  override readonly name: string = "InsufficientScopeError";
  declare readonly required_scope: string;
}

/** 403 `quota-exceeded`: A quota refuses the units. */
export class QuotaExceededError extends ProblemError {
  override readonly name: string = "QuotaExceededError";
  declare readonly metric?: string;
  declare readonly level?: string;
  declare readonly policy?: string;
  declare readonly limit?: number | string | null;
  declare readonly value?: number | string;
  declare readonly resets_at?: string;
}

/** 403 `asset-suspended`: The account or asset is suspended. */
export class AssetSuspendedError extends ProblemError {
  override readonly name: string = "AssetSuspendedError";
  declare readonly metric?: string;
  declare readonly level?: string;
  declare readonly policy?: string;
  declare readonly limit?: number | string | null;
  declare readonly value?: number | string;
  declare readonly resets_at?: string;
}

/** 403 `not-entitled`: The customer is not entitled to this. */
export class NotEntitledError extends ProblemError {
  override readonly name: string = "NotEntitledError";
  declare readonly metric?: string;
  declare readonly reason?: string;
}

/** 404 `not-found`: There is no such thing. */
export class NotFoundError extends ProblemError {
  override readonly name: string = "NotFoundError";
}

/** 404 `customer-not-found`: There is no such customer. */
export class CustomerNotFoundError extends NotFoundError {
  override readonly name: string = "CustomerNotFoundError";
}

/** 405 `method-not-allowed`: The path does not take this method. */
export class MethodNotAllowedError extends ProblemError {
  override readonly name: string = "MethodNotAllowedError";
}

/** 409 `conflict`: The present state does not allow it. */
export class ConflictError extends ProblemError {
  override readonly name: string = "ConflictError";
  declare readonly customer_id?: string;
  declare readonly block_id?: string;
}

/** 409 `reservation-not-active`: The reservation is not active. */
export class ReservationNotActiveError extends ConflictError {
  override readonly name: string = "ReservationNotActiveError";
  declare readonly reservation_id?: string;
  declare readonly reservation_status?: string;
}

/** 409 `subscription-state-conflict`: The subscription's state does not allow it. */
export class SubscriptionStateConflictError extends ConflictError {
  override readonly name: string = "SubscriptionStateConflictError";
  declare readonly subscription_status?: string;
}

/** 409 `idempotency-key-in-flight`: The first request with this key is still running. */
export class IdempotencyKeyInFlightError extends ConflictError {
  override readonly name: string = "IdempotencyKeyInFlightError";
}

/** 413 `payload-too-large`: The body is too large. */
export class PayloadTooLargeError extends ProblemError {
  override readonly name: string = "PayloadTooLargeError";
}

/** 415 `unsupported-media-type`: The body is not plain JSON. */
export class UnsupportedMediaTypeError extends ProblemError {
  override readonly name: string = "UnsupportedMediaTypeError";
}

/** 422 `idempotency-key-reused`: The idempotency key belongs to another request. */
export class IdempotencyKeyReusedError extends ProblemError {
  override readonly name: string = "IdempotencyKeyReusedError";
}

/** 422 `no-active-metering-rule`: No metering rule applies. */
export class NoActiveMeteringRuleError extends ProblemError {
  override readonly name: string = "NoActiveMeteringRuleError";
}

/** 422 `timestamp-out-of-range`: The event's time is outside the window. */
export class TimestampOutOfRangeError extends ProblemError {
  override readonly name: string = "TimestampOutOfRangeError";
}

/** 429 `rate-limited`: Too many requests. */
export class RateLimitedError extends ProblemError {
  override readonly name: string = "RateLimitedError";
}

/** 429 `quota-rate-limited`: A quota's rate is used up. */
export class QuotaRateLimitedError extends ProblemError {
  override readonly name: string = "QuotaRateLimitedError";
  declare readonly metric?: string;
  declare readonly level?: string;
  declare readonly policy?: string;
  declare readonly limit?: number | string | null;
  declare readonly value?: number | string;
  declare readonly resets_at?: string;
}

/** 503 `unavailable`: The service is unavailable for a moment. */
export class UnavailableError extends ProblemError {
  override readonly name: string = "UnavailableError";
}

/** The last segment of a problem's `type` -> its class. */
export const PROBLEM_CLASSES: Readonly<Record<string, ProblemClass>> = {
  "malformed-request": MalformedRequestError,
  "validation-error": ValidationFailedError,
  "customer-identifier-conflict": CustomerIdentifierConflictError,
  "idempotency-key-required": IdempotencyKeyRequiredError,
  "authentication-required": AuthenticationRequiredError,
  "insufficient-credits": InsufficientCreditsError,
  "insufficient-scope": InsufficientScopeError,
  "quota-exceeded": QuotaExceededError,
  "asset-suspended": AssetSuspendedError,
  "not-entitled": NotEntitledError,
  "not-found": NotFoundError,
  "customer-not-found": CustomerNotFoundError,
  "method-not-allowed": MethodNotAllowedError,
  "conflict": ConflictError,
  "reservation-not-active": ReservationNotActiveError,
  "subscription-state-conflict": SubscriptionStateConflictError,
  "idempotency-key-in-flight": IdempotencyKeyInFlightError,
  "payload-too-large": PayloadTooLargeError,
  "unsupported-media-type": UnsupportedMediaTypeError,
  "idempotency-key-reused": IdempotencyKeyReusedError,
  "no-active-metering-rule": NoActiveMeteringRuleError,
  "timestamp-out-of-range": TimestampOutOfRangeError,
  "rate-limited": RateLimitedError,
  "quota-rate-limited": QuotaRateLimitedError,
  "unavailable": UnavailableError,
};
