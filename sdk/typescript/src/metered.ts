/** A Web-standard handler (Next.js, Hono, Deno, Workers ...) that runs only on credits that are held for it. */
import type { Client, OnUnavailable } from "./client.js";
import { isUnavailable, ProblemError, QuotaStackError } from "./errors.js";
import { Hold, reserveOnce } from "./hold.js";
import type { Recorder } from "./recorder.js";
import { referenceTo, type Customer } from "./references.js";

type Awaitable<T> = T | Promise<T>;

export interface MeteredOptions<R extends Request> {
  /** Who pays; nobody: 401. */
  customer: (request: R) => Awaitable<Customer | null | undefined>;
  feature: string;
  /** What is held while the handler runs; 1 by default. */
  units?: number | ((request: R) => Awaitable<number>);
  /** What was really used, once the response is there; what was held by default. */
  actual?: (request: R, response: Response) => Awaitable<number>;
  dimensions?: (request: R) => Record<string, string>;
  /**
   * Names the act, so that a repeated request is answered again and charged once. Never made of what a user can choose
   * freely: the same key for ever would be the same act for ever.
   */
  key?: (request: R) => string;
  ttl_seconds?: number;
  /** Turns a refusal into a response; the problem with its status by default. */
  onRefused?: (error: ProblemError, request: R) => Awaitable<Response>;
  /** What happens when the server cannot be asked: 503 by default. What is allowed is recorded later. */
  onUnavailable?: OnUnavailable;
  /** Takes the usage of requests that were allowed without an answer; one of its own by default. */
  recorder?: Recorder;
}

/**
 * The handler, metered: units are reserved before it runs; a response below 400 commits them, any other response or an
 * exception releases them. The route's other arguments (`context` in Next.js) are passed on.
 *
 *     export const POST = metered(client, { customer: userOf, feature: "api_calls" }, async (request) => ...);
 */
export function metered<R extends Request, A extends unknown[]>(
  client: Client,
  options: MeteredOptions<R>,
  handler: (request: R, ...rest: A) => Awaitable<Response>,
): (request: R, ...rest: A) => Promise<Response> {
  let ownRecorder: Recorder | undefined;
  const recorderOf = () => options.recorder ?? (ownRecorder ??= client.recorder());

  return async (request, ...rest) => {
    const customer = await options.customer(request);
    if (customer === null || customer === undefined) return refuse(401, "authentication-required", "Who are you?");
    const units = typeof options.units === "function" ? await options.units(request) : (options.units ?? 1);
    const dimensions = options.dimensions?.(request);
    const about = { feature_key: options.feature, ...(dimensions && { dimensions }) };
    let hold: Hold;
    try {
      hold = await reserve();
    } catch (error) {
      if (error instanceof ProblemError && !isUnavailable(error)) {
        return options.onRefused ? options.onRefused(error, request) : refuseAs(error);
      }
      if (!isUnavailable(error)) throw error;
      const isAllowed = await decide(error as QuotaStackError, customer, units);
      if (!isAllowed) return refuse(503, "unavailable", "Credits cannot be checked now.", { "Retry-After": "5" });
      return recordLater();
    }
    // The same act again: it is answered again and not charged again.
    if (hold.reservation.status === "committed") return handler(request, ...rest);
    return runHeld();

    async function reserve(): Promise<Hold> {
      const body = {
        ...referenceTo(customer!),
        ...about,
        estimated_units: units,
        ...(options.ttl_seconds !== undefined && { ttl_seconds: options.ttl_seconds }),
      };
      const key = options.key?.(request);
      return new Hold(client, await reserveOnce(client, body, { idempotencyKey: key }));
    }

    async function runHeld(): Promise<Response> {
      let response: Response;
      try {
        response = await handler(request, ...rest);
        if (response.status < 400) hold.actual_units = (await options.actual?.(request, response)) ?? units;
      } catch (error) {
        await hold.release().catch(() => undefined);
        throw error;
      }
      if (response.status < 400) await hold.settle();
      else await hold.release().catch(() => undefined);
      return response;
    }

    async function recordLater(): Promise<Response> {
      const response = await handler(request, ...rest);
      if (response.status >= 400) return response;
      const actual = (await options.actual?.(request, response)) ?? units;
      const key = options.key?.(request);
      recorderOf().record(customer!, { ...about, units: actual, ...(key && { idempotency_key: key }) });
      return response;
    }
  };

  async function decide(error: QuotaStackError, customer: Customer, units: number): Promise<boolean> {
    const policy = options.onUnavailable ?? "deny";
    if (typeof policy === "function") return policy(error, { customer, feature: options.feature, units });
    return policy === "allow";
  }
}

function refuse(status: number, type: string, detail: string, headers: Record<string, string> = {}): Response {
  const body = JSON.stringify({ type: `/errors/${type}`, status, detail });
  return new Response(body, { status, headers: { ...headers, "Content-Type": "application/problem+json" } });
}

/** Only what concerns the customer goes on to them; anything else is the app's own fault, and a 500 of its own. */
function refuseAs(error: ProblemError): Response {
  if (![402, 403, 429].includes(error.status) || error.type === "insufficient-scope") throw error;
  if (error.type === "rate-limited") throw error;
  const after: Record<string, string> =
    error.retryAfterSeconds === undefined ? {} : { "Retry-After": String(Math.ceil(error.retryAfterSeconds)) };
  return refuse(error.status, error.type, error.title, after);
}
