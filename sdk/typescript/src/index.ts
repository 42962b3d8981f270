/** QuotaStack from TypeScript: Node 20 and later, browsers, edge runtimes; nothing but `fetch` and WebCrypto. */
export { checkEntitlement, Client, recordUsage } from "./client.js";
export type { CheckOptions, ClientOptions, Decision, OnUnavailable, UnansweredCheck } from "./client.js";
export {
  isTemporary,
  isUnavailable,
  ProblemError,
  QuotaStackError,
  RequestTimeoutError,
  UnreachableError,
} from "./errors.js";
export type { Fault, ProblemDocument } from "./errors.js";
export * from "./generated/problems.js";
export type * from "./generated/schemas.js";
export { AlreadyCommittedError, Hold } from "./hold.js";
export { metered } from "./metered.js";
export type { MeteredOptions } from "./metered.js";
export { Pages } from "./pages.js";
export type { Page } from "./pages.js";
export { Recorder, BufferFullError, UsageRefusedError } from "./recorder.js";
export type { RecordedUsage, RecorderOptions, RefusedUsage, UsageDetails } from "./recorder.js";
export type { Customer, CustomerReference, FeatureReference } from "./references.js";
export { responseOf } from "./transport.js";
export type { AnswerHead, CallOptions } from "./transport.js";
export { verifyWebhook, WebhookError } from "./webhooks.js";
export type { ReceivedRequest, VerifyOptions, WebhookEvent } from "./webhooks.js";
