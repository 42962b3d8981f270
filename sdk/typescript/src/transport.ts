/** One request to the server: address, headers, timeout, retries with the same key, and the reading of the answer. */
import {
  isTemporary,
  ProblemError,
  QuotaStackError,
  RequestTimeoutError,
  UnreachableError,
  typeOfProblem,
  type ProblemDocument,
  type Refusal,
} from "./errors.js";
import { PROBLEM_CLASSES } from "./generated/problems.js";

/** What a single call may change. */
export interface CallOptions {
  /** Names the act, never the attempt. Made at random when a call that changes something has none. */
  idempotencyKey?: string | undefined;
  /** Milliseconds for one attempt; the client's by default. */
  timeout?: number | undefined;
  /** Attempts after the first; the client's by default. */
  maxRetries?: number | undefined;
  /** Ends the call, retries included. */
  signal?: AbortSignal | undefined;
  headers?: Record<string, string> | undefined;
  /** Have the server store the usage and apply it in order of arrival (`Prefer: respond-async`). */
  respondAsync?: boolean | undefined;
}

export interface TransportOptions {
  apiKey: string;
  baseUrl: string;
  timeout: number;
  maxRetries: number;
  fetch: typeof fetch;
  headers: Record<string, string>;
}

export interface WireRequest {
  method: string;
  /** Path and query, encoded. */
  path: string;
  /** Sent as it is when text or bytes, else as JSON. */
  body?: unknown;
  /** Whether the operation takes an `Idempotency-Key`. */
  keyed?: boolean;
}

/** What came with an answer beside its body. */
export interface AnswerHead {
  status: number;
  requestId: string | undefined;
  /** Whether this is the stored answer of an earlier request with the same key: nothing was executed. */
  replayed: boolean;
  headers: Headers;
}

const heads = new WeakMap<object, AnswerHead>();

/** Status, request id and replay mark of an answer that a method returned. */
export function responseOf(answer: object): AnswerHead {
  const head = heads.get(answer);
  if (head === undefined) throw new QuotaStackError("responseOf takes an object that a method of the client returned");
  return head;
}

const BACKOFF_FIRST_MS = 250;
const BACKOFF_MAX_MS = 8_000;
/** A server that asks for more patience than this gets its refusal handed on. */
const RETRY_AFTER_MAX_MS = 60_000;

/** The wait before the next attempt: the server's word, else doubled each time; jitter in both. */
export function backoffMs(attempt: number, error: unknown): number {
  const asked = error instanceof ProblemError ? error.retryAfterSeconds : undefined;
  if (asked !== undefined) return asked * 1_000 * (1 + Math.random() * 0.1);
  return Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt) * (0.5 + Math.random() * 0.5);
}

export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

export class Transport {
  readonly #options: TransportOptions;

  constructor(options: TransportOptions) {
    this.#options = { ...options, baseUrl: options.baseUrl.replace(/\/+$/, "") };
  }

  /** The answer's body; `undefined` when there is none. The key is made once and kept over every retry. */
  async send<T>(request: WireRequest, options: CallOptions = {}): Promise<T> {
    const retriesMax = options.maxRetries ?? this.#options.maxRetries;
    const init = this.#describe(request, options);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt<T>(request.path, init, options);
      } catch (error) {
        if (attempt >= retriesMax || !isTemporary(error)) throw error;
        const waitMs = backoffMs(attempt, error);
        if (waitMs > RETRY_AFTER_MAX_MS * 1.1) throw error;
        await sleep(waitMs, options.signal);
      }
    }
  }

  #describe(request: WireRequest, options: CallOptions): RequestInit {
    const headers = new Headers({ Accept: "application/json", ...this.#options.headers, ...options.headers });
    if (this.#options.apiKey !== "") headers.set("X-API-Key", this.#options.apiKey);
    if (options.respondAsync) headers.set("Prefer", "respond-async");
    const key = options.idempotencyKey ?? (request.keyed && !hasKey(request.body) ? crypto.randomUUID() : undefined);
    if (key !== undefined) headers.set("Idempotency-Key", key);
    // A redirect would carry the key to an address that nobody configured.
    const init: RequestInit = { method: request.method, headers, redirect: "manual" };
    if (request.body !== undefined) {
      const isRaw = typeof request.body === "string" || request.body instanceof Uint8Array;
      init.body = isRaw ? (request.body as BodyInit) : JSON.stringify(request.body);
      if (!headers.has("Content-Type")) headers.set("Content-Type", "application/json");
    }
    return init;
  }

  async #attempt<T>(path: string, init: RequestInit, options: CallOptions): Promise<T> {
    const timeoutMs = options.timeout ?? this.#options.timeout;
    const stopper = new AbortController();
    const forward = () => stopper.abort(options.signal?.reason);
    if (options.signal?.aborted) throw options.signal.reason;
    options.signal?.addEventListener("abort", forward, { once: true });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      stopper.abort();
    }, timeoutMs);
    try {
      const response = await this.#options.fetch(this.#options.baseUrl + path, { ...init, signal: stopper.signal });
      return readAnswer<T>(response, await response.text());
    } catch (error) {
      if (error instanceof QuotaStackError) throw error;
      if (options.signal?.aborted) throw options.signal.reason;
      const what = `${init.method} ${path}`;
      if (isLate) throw new RequestTimeoutError(`${what}: no answer in ${timeoutMs} ms`, { cause: error });
      throw new UnreachableError(`${what}: ${reasonOf(error)}`, { cause: error });
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", forward);
    }
  }
}

const hasKey = (body: unknown) => typeof body === "object" && body !== null && "idempotency_key" in body;

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

function readAnswer<T>(response: Response, text: string): T {
  const requestId = response.headers.get("X-Request-Id") ?? undefined;
  const isJson = /[/+]json\b/.test(response.headers.get("Content-Type") ?? "");
  if (!response.ok) throw refusalOf(response, text, isJson, requestId);
  if (text === "") return undefined as T;
  const answer: unknown = isJson ? parse(text) : text;
  if (typeof answer === "object" && answer !== null) {
    const replayed = response.headers.get("X-Idempotent-Replayed") === "true";
    heads.set(answer, { status: response.status, requestId, replayed, headers: response.headers });
  }
  return answer as T;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UnreachableError("the answer was cut: it is not whole JSON", { cause: error });
  }
}

function refusalOf(response: Response, text: string, isJson: boolean, requestId?: string): ProblemError {
  const refusal = { status: response.status, requestId, retryAfterSeconds: retryAfterOf(response.headers) };
  let problem: ProblemDocument = { detail: text.slice(0, 200) };
  try {
    if (isJson) problem = JSON.parse(text) as ProblemDocument;
  } catch {
    // A proxy's cut page: the status says enough.
  }
  return problemError(problem, refusal);
}

/** The problem as an error of its type's class. */
export function problemError(problem: ProblemDocument, refusal: Refusal): ProblemError {
  return new (PROBLEM_CLASSES[typeOfProblem(problem)] ?? ProblemError)(problem, refusal);
}

/** Seconds, or an HTTP date as a proxy may send it. */
function retryAfterOf(headers: Headers): number | undefined {
  const text = headers.get("Retry-After");
  if (text === null) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, (at - Date.now()) / 1_000);
}
