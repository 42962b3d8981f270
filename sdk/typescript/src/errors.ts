/** Everything that the client throws is a QuotaStackError; what the server refused is a ProblemError. */

export class QuotaStackError extends Error {
  override readonly name: string = "QuotaStackError";
}

/** No answer came: the server cannot be reached, or the connection was lost. Whether it acted is not known. */
export class UnreachableError extends QuotaStackError {
  override readonly name: string = "UnreachableError";
}

/** No answer came in time. Whether the server acted is not known. */
export class RequestTimeoutError extends UnreachableError {
  override readonly name: string = "RequestTimeoutError";
}

/** One field of a request that is not valid; `pointer` is a JSON pointer into the body or a parameter's name. */
export interface Fault {
  pointer: string;
  detail: string;
}

/** An RFC 9457 problem as it was answered. */
export interface ProblemDocument {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  instance?: string;
  request_id?: string;
  errors?: Fault[];
  [member: string]: unknown;
}

/** What came with a refusal beside its body. */
export interface Refusal {
  status: number;
  requestId?: string | undefined;
  retryAfterSeconds?: number | undefined;
}

export type ProblemClass = new (problem: ProblemDocument, refusal: Refusal) => ProblemError;

/**
 * The server said no. Each problem type has a class of its own; `type` is the last segment of the problem's `type`
 * and never changes. Members that a type adds (`required`, `available`, `resets_at` ...) keep their wire names.
 */
export class ProblemError extends QuotaStackError {
  override readonly name: string = "ProblemError";
  readonly type: string;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly requestId: string | undefined;
  /** Every field that is not valid, at once. */
  readonly errors: readonly Fault[];
  /** Seconds after which to try again, where the server said so. */
  readonly retryAfterSeconds: number | undefined;
  /** The whole document. */
  readonly problem: ProblemDocument;

  constructor(problem: ProblemDocument, refusal: Refusal) {
    const type = typeOfProblem(problem);
    const title = problem.title ?? `HTTP ${refusal.status}`;
    const detail = problem.detail ?? "";
    const faults = Array.isArray(problem.errors) ? problem.errors : [];
    const listed = faults.map((fault) => `${fault.pointer}: ${fault.detail}`).join("; ");
    super([`${refusal.status} ${type}: ${detail || title}`, listed].filter(Boolean).join(" "));
    this.type = type;
    this.status = refusal.status;
    this.title = title;
    this.detail = detail;
    this.requestId = problem.request_id ?? refusal.requestId;
    this.errors = faults;
    this.retryAfterSeconds = refusal.retryAfterSeconds;
    this.problem = problem;
    for (const [name, value] of Object.entries(problem)) {
      if (!(name in this)) Object.defineProperty(this, name, { value, enumerable: true });
    }
  }
}

export function typeOfProblem(problem: ProblemDocument): string {
  return typeof problem.type === "string" && problem.type !== "" ? problem.type.split("/").at(-1)! : "unknown";
}

const TEMPORARY = new Set([500, 502, 503, 504]);

/**
 * Whether the same request, with the same key, may succeed later without anybody doing anything: no answer, an
 * overloaded server, a key in flight, a full request bucket. A quota's own rate limit is a decision, not an accident.
 */
export function isTemporary(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  if (!(error instanceof ProblemError)) return false;
  if (error.type === "quota-rate-limited") return false;
  return TEMPORARY.has(error.status) || error.status === 429 || error.type === "idempotency-key-in-flight";
}

/** Whether the error says that the server could not be asked, as opposed to: it was asked and said no. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof UnreachableError || (error instanceof ProblemError && TEMPORARY.has(error.status));
}
