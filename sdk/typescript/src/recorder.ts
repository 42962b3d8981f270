/** Usage recorded in the background: kept in a bounded buffer, sent in batches, retried with the same keys. */
import { isTemporary, ProblemError, QuotaStackError, type ProblemDocument } from "./errors.js";
import type { Resources } from "./generated/resources.js";
import type { BatchResult, UsageBody, UsageBodyFields } from "./generated/schemas.js";
import { referenceTo, type Customer, type FeatureReference } from "./references.js";
import { backoffMs, problemError, sleep } from "./transport.js";

/** What is recorded about a customer. */
export type UsageDetails = FeatureReference & UsageBodyFields;

/** An event with its key, as it is sent. */
export type RecordedUsage = UsageBody & { idempotency_key: string };

/** The buffer is full: the event was not taken. Wait (`await recorder.flush()`), or record it directly. */
export class BufferFullError extends QuotaStackError {
  override readonly name: string = "BufferFullError";
}

/** An event that the server will never take as it is, and why. */
export interface RefusedUsage {
  event: RecordedUsage;
  error: ProblemError;
}

/** Some events were refused. Thrown by `flush` and `close` where no `onRefused` was given. */
export class UsageRefusedError extends QuotaStackError {
  override readonly name: string = "UsageRefusedError";
  readonly refused: readonly RefusedUsage[];

  constructor(refused: readonly RefusedUsage[]) {
    super(`${refused.length} usage event(s) refused; the first: ${refused[0]?.error.message}`);
    this.refused = refused;
  }
}

export interface RecorderOptions {
  /** Events kept at most, refused ones included; 10,000 by default. */
  maxBuffer?: number;
  /** Events in one request; 500 by default, 1,000 at most. */
  batchSize?: number;
  /** Milliseconds that an event waits for company; 1,000 by default. */
  interval?: number;
  /** The use has happened already, so by default quota and balance do not refuse it: the excess becomes overage. */
  enforcement?: "record" | "enforce";
  /**
   * Whether an event gets the moment of recording as its `timestamp`, so that one that waited counts in its own period;
   * true by default, to be turned off under a frozen test clock. An event with a key of your own never gets one: the
   * same event recorded again would be another request under that key.
   */
  stamped?: boolean;
  /** Called for each event that the server refuses for good. Without it, `flush` and `close` throw. */
  onRefused?: (refused: RefusedUsage) => void;
  /** Called when a batch could not be delivered; its events are kept and tried again. */
  onError?: (error: unknown) => void;
}

interface Runtime {
  process?: {
    on?: (event: string, listener: () => void) => void;
    off?: (event: string, listener: () => void) => void;
    exitCode?: number | string | undefined;
  };
}

const SIZE_MAX = 1_000;

/**
 * Every event is charged exactly once: it has a key from the moment it is recorded, and stays in the buffer until the
 * server has answered for it. Nothing is dropped without an error.
 */
export class Recorder {
  readonly #resources: Resources;
  readonly #options: Required<Omit<RecorderOptions, "onRefused" | "onError">> & RecorderOptions;
  readonly #queue: RecordedUsage[] = [];
  #refused: RefusedUsage[] = [];
  #batchSize: number;
  /** How many were recorded, and for how many of these the server has answered; the queue keeps their order. */
  #recorded = 0;
  #answered = 0;
  #failures = 0;
  #lastError: unknown;
  #sending: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  readonly #atExit = () => this.#flushAtExit();

  constructor(resources: Resources, options: RecorderOptions = {}) {
    this.#resources = resources;
    this.#options = {
      maxBuffer: 10_000,
      batchSize: 500,
      interval: 1_000,
      enforcement: "record",
      stamped: true,
      ...options,
    };
    this.#batchSize = this.#sizeMax;
    (globalThis as Runtime).process?.on?.("beforeExit", this.#atExit);
  }

  get #sizeMax(): number {
    return Math.max(1, Math.min(SIZE_MAX, this.#options.batchSize));
  }

  /** Events that the server has not answered for yet, and refused ones that nobody was told of. */
  get size(): number {
    return this.#queue.length + this.#refused.length;
  }

  /**
   * Take an event and return its key; it is sent a moment later. Give a key of your own where the same event may be
   * recorded twice, with a `timestamp` where it matters which period it counts in.
   *
   * Throws BufferFullError, and QuotaStackError once closed.
   */
  record(customer: Customer, usage: UsageDetails): string {
    if (this.#isClosed) throw new QuotaStackError("the recorder is closed");
    if (this.size >= this.#options.maxBuffer) {
      throw new BufferFullError(`${this.size} usage events wait already`);
    }
    const idempotency_key = usage.idempotency_key ?? crypto.randomUUID();
    const isStamped = this.#options.stamped && usage.idempotency_key === undefined;
    const defaults = {
      enforcement: this.#options.enforcement,
      ...(isStamped && { timestamp: new Date().toISOString() }),
    };
    // From here on the event's bytes are fixed, as its key is.
    this.#queue.push({ ...referenceTo(customer), ...defaults, ...usage, idempotency_key });
    this.#recorded += 1;
    const isFull = this.#queue.length >= this.#batchSize && this.#failures === 0;
    this.#schedule(isFull ? 0 : this.#options.interval);
    return idempotency_key;
  }

  /**
   * Wait until the server has answered for everything recorded so far; retries for `timeout` milliseconds.
   *
   * Throws the last error when events could not be delivered in that time: they are kept, and tried again.
   * Throws UsageRefusedError when some were refused and there is no `onRefused`.
   */
  async flush(options: { timeout?: number } = {}): Promise<void> {
    const deadline = performance.now() + (options.timeout ?? 30_000);
    const wanted = this.#recorded;
    while (this.#answered < wanted) {
      try {
        await this.#step();
      } catch (error) {
        const waitMs = this.#backoffMs();
        if (!isTemporary(error) || performance.now() + waitMs > deadline) throw error;
        await sleep(waitMs);
      }
    }
    if (this.#refused.length > 0) {
      const refused = this.#refused;
      this.#refused = [];
      throw new UsageRefusedError(refused);
    }
  }

  /** Flush, and take no more. After an error the recorder is still open, with what is left. */
  async close(options: { timeout?: number } = {}): Promise<void> {
    this.#isClosed = true;
    try {
      await this.flush(options);
    } catch (error) {
      this.#isClosed = false;
      throw error;
    }
    this.#clearTimer();
    (globalThis as Runtime).process?.off?.("beforeExit", this.#atExit);
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(delayMs: number): void {
    if (this.#sending !== undefined) return;
    if (this.#timer !== undefined) {
      if (delayMs > 0) return;
      this.#clearTimer();
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#drain().catch((error: unknown) => this.#options.onError?.(error));
    }, delayMs);
    // A program may end while an event waits for company: `beforeExit` flushes then.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) await this.#step();
  }

  /** Send one batch; one at a time, joined by whoever asks for it. */
  #step(): Promise<void> {
    this.#sending ??= this.#sendBatch()
      .then(
        () => {
          this.#failures = 0;
        },
        (error: unknown) => {
          this.#failures += 1;
          this.#lastError = error;
          throw error;
        },
      )
      .finally(() => {
        this.#sending = undefined;
        if (this.#queue.length > 0) this.#schedule(this.#failures > 0 ? this.#backoffMs() : this.#options.interval);
      });
    return this.#sending;
  }

  #backoffMs(): number {
    return backoffMs(Math.min(this.#failures - 1, 7), this.#lastError);
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#queue.slice(0, this.#batchSize);
    let results: BatchResult[];
    try {
      // Retries are the recorder's: it waits longer than a call does.
      ({ results } = await this.#resources.usage.recordBatch({ events: batch }, { maxRetries: 0 }));
    } catch (error) {
      if (!isBodyRefusal(error)) throw error;
      this.#narrow(batch, error);
      return;
    }
    if (results.length !== batch.length) throw new QuotaStackError("the batch's answer has another length");
    this.#queue.splice(0, batch.length);
    this.#batchSize = this.#sizeMax;
    this.#takeResults(batch, results);
  }

  /** A body that cannot be read is sent in halves until the event that spoils it stands alone. */
  #narrow(batch: RecordedUsage[], error: ProblemError): void {
    if (batch.length > 1) {
      this.#batchSize = Math.ceil(batch.length / 2);
      return;
    }
    this.#queue.shift();
    this.#answered += 1;
    this.#batchSize = this.#sizeMax;
    this.#refuse({ event: batch[0]!, error });
  }

  #takeResults(batch: RecordedUsage[], results: BatchResult[]): void {
    const kept: RecordedUsage[] = [];
    let reason: ProblemError | undefined;
    results.forEach((result, index) => {
      if (result.status !== "failed") return;
      const event = batch[index]!;
      const error = readProblem(result);
      if (isTemporary(error)) {
        kept.push(event);
        reason = error;
      } else {
        this.#refuse({ event, error });
      }
    });
    this.#queue.unshift(...kept);
    this.#answered += batch.length - kept.length;
    if (reason !== undefined) throw reason;
  }

  #refuse(refused: RefusedUsage): void {
    if (this.#options.onRefused === undefined) {
      this.#refused.push(refused);
      return;
    }
    try {
      this.#options.onRefused(refused);
    } catch (error) {
      // What the handler could not take is told by `flush`.
      this.#refused.push(refused);
      this.#options.onError?.(error);
    }
  }

  #flushAtExit(): void {
    if (this.size === 0) return;
    (globalThis as Runtime).process?.off?.("beforeExit", this.#atExit);
    this.flush().catch((error: unknown) => {
      console.error(`QuotaStack: ${this.size} usage events were not delivered before the end:`, error);
      const { process } = globalThis as Runtime;
      if (process !== undefined) process.exitCode = 1;
    });
  }
}

function isBodyRefusal(error: unknown): error is ProblemError {
  return error instanceof ProblemError && [400, 413].includes(error.status);
}

function readProblem(result: BatchResult): ProblemError {
  const problem = (result.problem ?? {}) as unknown as ProblemDocument;
  const after = problem["retry_after"];
  return problemError(problem, {
    status: problem.status ?? 500,
    retryAfterSeconds: typeof after === "number" ? after : undefined,
  });
}
