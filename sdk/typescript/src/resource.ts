/** What all resources share: from an operation and its arguments to a request. */
import { QuotaStackError } from "./errors.js";
import { Pages, type Page } from "./pages.js";
import type { CallOptions, Transport, WireRequest } from "./transport.js";

export interface Route {
  method: string;
  path: string;
  /** Takes an `Idempotency-Key`. */
  keyed?: boolean;
  /** The arguments of a write that belong to the query. */
  query?: readonly string[];
}

type Arguments = Record<string, unknown>;

const OURS = "/v1/customers/{customer_id}";
const YOURS = "/v1/customer-by-external-id/{external_id}";

export abstract class Resource {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  protected call<T>(
    route: Route,
    positional: readonly string[],
    args: object | string | undefined,
    options?: CallOptions,
  ): Promise<T> {
    return this.#transport.send<T>(describeRequest(route, positional, args), options);
  }

  protected pages<T>(
    route: Route,
    positional: readonly string[],
    args: object | undefined,
    options?: CallOptions,
  ): Pages<T> {
    return new Pages((cursor) =>
      this.call<Page<T>>(route, positional, cursor === undefined ? args : { ...args, cursor }, options),
    );
  }
}

/** Arguments go where the operation has them: into the path, the query or the body. */
export function describeRequest(
  route: Route,
  positional: readonly string[],
  args: object | string | undefined,
): WireRequest {
  const about = { method: route.method, keyed: route.keyed === true };
  if (typeof args === "string" || args instanceof Uint8Array) {
    return { ...about, path: fillPath(route.path, positional), body: args };
  }
  const left: Arguments = { ...args };
  const path = fillPath(takeCustomer(route.path, left), positional);
  if (route.method === "GET" || route.method === "DELETE") return { ...about, path: path + queryOf(left) };
  const query: Arguments = {};
  for (const name of route.query ?? []) {
    query[name] = left[name];
    delete left[name];
  }
  return { ...about, path: path + queryOf(query), body: left };
}

/** The path of the family that the customer is named in; the name leaves the arguments. */
function takeCustomer(path: string, args: Arguments): string {
  if (!path.startsWith(OURS)) return path;
  const { customer_id: ours, external_customer_id: external, end_user_id: endUser } = args;
  const given = [ours, external, endUser].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new QuotaStackError("name the customer once: customer_id, external_customer_id or end_user_id");
  }
  delete args["customer_id"];
  delete args["external_customer_id"];
  delete args["end_user_id"];
  const family = ours === undefined ? YOURS : OURS;
  return path.replace(OURS, family.replace(/\{\w+\}/, encodeSegment(String(given[0]))));
}

function fillPath(path: string, positional: readonly string[]): string {
  const values = [...positional];
  return path.replace(/\{(\w+)\}/g, (_all, name: string) => {
    const value = values.shift();
    if (value === undefined || value === "") throw new QuotaStackError(`${name} is missing`);
    return encodeSegment(value);
  });
}

/** `.` and `..` would be taken out of the path by `fetch`, so no id may be one. */
function encodeSegment(value: string): string {
  if (value === "" || value === "." || value === "..") {
    throw new QuotaStackError(`${JSON.stringify(value)} cannot be an id`);
  }
  return encodeURIComponent(value);
}

function queryOf(args: Arguments): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(args)) {
    if (value !== undefined && value !== null) query.append(name, textOf(value));
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

function textOf(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .map(([name, one]) => `${name}:${String(one)}`)
      .join(",");
  }
  return String(value);
}
