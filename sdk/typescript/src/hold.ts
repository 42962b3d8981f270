/** Reserve, work, commit what was really used; release when the work fails. */
import { QuotaStackError } from "./errors.js";
import type { Resources } from "./generated/resources.js";
import type { CommitBody, ReservationView, ReserveBody } from "./generated/schemas.js";
import { responseOf, type CallOptions } from "./transport.js";

type Amount = NonNullable<CommitBody["actual_units"]>;

/** The act that the key names was done and charged before: the work did not start again. */
export class AlreadyCommittedError extends QuotaStackError {
  override readonly name: string = "AlreadyCommittedError";
  readonly reservation: ReservationView;

  constructor(reservation: ReservationView) {
    super(`reservation ${reservation.id} was committed before, for ${reservation.committed_amount ?? 0} mc`);
    this.reservation = reservation;
  }
}

/** How often an act may fail, release its hold and be tried again under one key. */
const ATTEMPTS_MAX = 100;

/**
 * The reservation of an act: active, or committed before. A key that was used before gets its first answer again, and
 * that hold may have ended since, released by work that failed. Then the act is tried again, and its next hold has a key
 * made of the ended one, so that it too is made once.
 */
export async function reserveOnce(
  resources: Resources,
  what: ReserveBody,
  options: CallOptions,
): Promise<ReservationView> {
  let call = options;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const reservation = await resources.reservations.create(what, call);
    if (!responseOf(reservation).replayed) return reservation;
    const { status, committed_amount } = await resources.reservations.get(reservation.id, { ...options, idempotencyKey: undefined });
    if (status === "active") return reservation;
    if (status === "committed") {
      return { ...reservation, status, ...(committed_amount !== undefined && { committed_amount }) };
    }
    call = { ...options, idempotencyKey: `retry:${reservation.id}` };
    // A key in the body would win over the new one.
    what = { ...what };
    delete what.idempotency_key;
  }
  throw new QuotaStackError(`${ATTEMPTS_MAX} holds of this key have ended without a commit`);
}

/** What the work may do with its hold. */
export class Hold {
  /** What is committed at the end; the estimate when the work does not set it. 0 is allowed. */
  actual_units: Amount | undefined;
  /** The same for a hold of plain credits, in millicredits. */
  actual_credits: number | undefined;
  readonly reservation: ReservationView;
  readonly #resources: Resources;
  #hasEnded = false;

  constructor(resources: Resources, reservation: ReservationView) {
    this.#resources = resources;
    this.reservation = reservation;
  }

  get id(): string {
    return this.reservation.id;
  }

  /** Keep the hold for that long from now: for work that takes longer than it was reserved for. */
  async extend(ttl_seconds: number, options?: CallOptions): Promise<ReservationView> {
    return this.#resources.reservations.extend(this.id, { ttl_seconds }, options);
  }

  /** Give everything back before the work ends; nothing is committed then. */
  async release(options?: CallOptions): Promise<void> {
    if (this.#hasEnded) return;
    await this.#resources.reservations.release(this.id, {}, { ...options, idempotencyKey: `release:${this.id}` });
    this.#hasEnded = true;
  }

  /** Charge what was used, once, unless the hold was released. */
  async settle(options?: CallOptions): Promise<void> {
    if (this.#hasEnded) return;
    const actual: CommitBody = {};
    if (this.actual_units !== undefined) actual.actual_units = this.actual_units;
    if (this.actual_credits !== undefined) actual.actual_credits = this.actual_credits;
    await this.#resources.reservations.commit(this.id, actual, { ...options, idempotencyKey: `commit:${this.id}` });
    this.#hasEnded = true;
  }
}

/**
 * Run `work` on reserved credits and quota. When it returns, what it set as `actual_units` is committed; when it
 * throws, everything is released and its error is thrown on.
 *
 * `options.idempotencyKey` names the act, so that a job which is run again is charged once: when it failed before, it
 * is tried again on a new hold; when it was committed before, AlreadyCommittedError is thrown and the work does not start.
 * Commit and release have keys made of the reservation's id.
 * When the release itself fails, the work's error is thrown all the same: the hold ends at its TTL. When the commit is
 * refused, its error is thrown and the hold stays until then, so that the caller can commit less (`hold.id`).
 */
export async function runHold<T>(
  resources: Resources,
  what: ReserveBody,
  work: (hold: Hold) => T | Promise<T>,
  options: CallOptions = {},
): Promise<T> {
  const reservation = await reserveOnce(resources, what, options);
  if (reservation.status === "committed") throw new AlreadyCommittedError(reservation);
  const hold = new Hold(resources, reservation);
  // Neither key nor headers of the reservation are those of its end, and a caller's abort must not keep it from ending.
  const ending: CallOptions = { timeout: options.timeout, maxRetries: options.maxRetries };
  let result: T;
  try {
    result = await work(hold);
  } catch (error) {
    await hold.release(ending).catch(() => undefined);
    throw error;
  }
  await hold.settle(ending);
  return result;
}
