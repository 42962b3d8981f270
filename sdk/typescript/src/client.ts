/** The client: all resources, and what most integrations need of them in one call. */
import { isUnavailable, QuotaStackError } from "./errors.js";
import { Resources } from "./generated/resources.js";
import type { EntitlementAnswer, ReserveBody, UsageView } from "./generated/schemas.js";
import { runHold, type Hold } from "./hold.js";
import { Recorder, type RecorderOptions, type UsageDetails } from "./recorder.js";
import { referenceTo, type Customer } from "./references.js";
import { Transport, type CallOptions } from "./transport.js";

/** What a check was about when the server could not be asked. */
export interface UnansweredCheck {
  customer: Customer;
  feature: string;
  units: number | string;
}

/**
 * What a check answers when the server cannot be asked, retries included. Without one the error is thrown: letting
 * everybody in, or nobody, is yours to decide.
 */
export type OnUnavailable =
  | "allow"
  | "deny"
  | ((error: QuotaStackError, check: UnansweredCheck) => boolean | Promise<boolean>);

/** The server's decision; or, where `unavailable` is set, the one of `onUnavailable`. */
export type Decision =
  | (EntitlementAnswer & { unavailable?: undefined })
  | (Partial<Omit<EntitlementAnswer, "allowed" | "reason">> & {
      allowed: boolean;
      reason: "unavailable";
      unavailable: QuotaStackError;
    });

export interface CheckOptions extends CallOptions {
  /** How much is asked for; 1 by default. */
  units?: number | string;
  dimensions?: Record<string, string>;
  /** `strong` reads the database; `cached` may be 100 ms behind what another process wrote. */
  consistency?: "cached" | "strong";
  onUnavailable?: OnUnavailable;
}

export interface ClientOptions {
  /** `QUOTASTACK_API_KEY` by default. */
  apiKey?: string | undefined;
  /** `QUOTASTACK_BASE_URL` by default, else the address of `make run`. */
  baseUrl?: string | undefined;
  /** Milliseconds for one attempt; 30,000 by default. */
  timeout?: number;
  /** Attempts after the first, with the same idempotency key; 3 by default. */
  maxRetries?: number;
  onUnavailable?: OnUnavailable;
  headers?: Record<string, string>;
  fetch?: typeof fetch;
}

const LOCAL = "http://127.0.0.1:8080";

function setting(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name] || undefined;
}

export class Client extends Resources {
  readonly #transport: Transport;
  readonly #onUnavailable: OnUnavailable | undefined;

  constructor(options: ClientOptions = {}) {
    const transport = new Transport({
      apiKey: options.apiKey ?? setting("QUOTASTACK_API_KEY") ?? "",
      baseUrl: options.baseUrl ?? setting("QUOTASTACK_BASE_URL") ?? LOCAL,
      timeout: options.timeout ?? 30_000,
      maxRetries: options.maxRetries ?? 3,
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
      headers: options.headers ?? {},
    });
    super(transport);
    this.#transport = transport;
    this.#onUnavailable = options.onUnavailable;
  }

  /** May this customer use this feature now? Holds nothing: under concurrency `hold` is the safe way. */
  checkEntitlement = async (customer: Customer, feature: string, options: CheckOptions = {}): Promise<Decision> => {
    const { units, dimensions, consistency, onUnavailable = this.#onUnavailable, ...call } = options;
    const query = {
      ...(units !== undefined && { units }),
      ...(dimensions !== undefined && { dimensions }),
      ...(consistency !== undefined && { consistency }),
    };
    const about = { ...referenceTo(customer), feature_key: feature, ...query };
    try {
      return await this.entitlements.check(about, call);
    } catch (error) {
      if (onUnavailable === undefined || !isUnavailable(error)) throw error;
      const unavailable = error as QuotaStackError;
      const check = { customer, feature, units: units ?? 1 };
      const allowed =
        typeof onUnavailable === "function" ? await onUnavailable(unavailable, check) : onUnavailable === "allow";
      return { allowed, reason: "unavailable", unavailable };
    }
  };

  /** Count and charge what was used. `idempotency_key` names the act: repeated, it is charged once. */
  recordUsage = (customer: Customer, usage: UsageDetails, options?: CallOptions): Promise<UsageView> => {
    const { idempotency_key = options?.idempotencyKey, ...details } = usage;
    const body = { ...referenceTo(customer), ...details } as Parameters<Resources["usage"]["record"]>[0];
    return this.usage.record(body, { ...options, idempotencyKey: idempotency_key, respondAsync: false });
  };

  /**
   * Run `work` on reserved credits: its `hold.actual_units` are committed when it returns, everything is released when
   * it throws.
   */
  hold<T>(what: ReserveBody, work: (hold: Hold) => T | Promise<T>, options?: CallOptions): Promise<T> {
    return runHold(this, what, work, options);
  }

  /** Usage in the background, in batches. Close it before the program ends. */
  recorder(options?: RecorderOptions): Recorder {
    return new Recorder(this, options);
  }

  /** Any request to the server, with the client's key, timeout and retries; for what has no method. */
  request<T>(
    method: string,
    path: string,
    options: CallOptions & { body?: unknown } = {},
  ): Promise<T> {
    const { body, ...call } = options;
    const keyed = method !== "GET" && method !== "HEAD";
    return this.#transport.send<T>({ method, path, body, keyed }, call);
  }
}

let shared: Client | undefined;

/** The client of the environment's settings, made on first use. */
function sharedClient(): Client {
  shared ??= new Client();
  return shared;
}

/** `checkEntitlement` of a client made from `QUOTASTACK_API_KEY` and `QUOTASTACK_BASE_URL`. */
export function checkEntitlement(customer: Customer, feature: string, options?: CheckOptions): Promise<Decision> {
  return sharedClient().checkEntitlement(customer, feature, options);
}

/** `recordUsage` of a client made from `QUOTASTACK_API_KEY` and `QUOTASTACK_BASE_URL`. */
export function recordUsage(customer: Customer, usage: UsageDetails, options?: CallOptions): Promise<UsageView> {
  return sharedClient().recordUsage(customer, usage, options);
}
