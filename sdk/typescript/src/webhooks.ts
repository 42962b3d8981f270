/** For receivers: is this request from QuotaStack, and what does it say? With WebCrypto, so that it runs everywhere. */
import { QuotaStackError } from "./errors.js";
import type { Envelope } from "./generated/schemas.js";

/** The request is not a delivery that was signed with the secret lately. Answer 400. */
export class WebhookError extends QuotaStackError {
  override readonly name: string = "WebhookError";
}

/** An event as it was delivered. */
export type WebhookEvent = Envelope;

/** A request of `node:http`, Express and the like: names in any case, and the exact body. */
export interface ReceivedRequest {
  headers: Headers | Record<string, string | string[] | undefined>;
  body: string | Uint8Array;
}

export interface VerifyOptions {
  /** How old, or how far ahead, a delivery's time may be; 300 by default. */
  toleranceSeconds?: number;
  /** Unix time instead of the machine's. */
  nowSeconds?: number;
}

/**
 * The event, once its signature and its time are found right. What was decoded and encoded again does not verify:
 * pass a `Request` whose body was not read yet, or the exact bytes. Deliveries are repeated until a 2xx: drop what
 * you have seen, by `event.id`.
 *
 * `secret` is the endpoint's, with or without `whsec_`; several while one replaces another.
 *
 * Throws WebhookError whatever a stranger sends, and QuotaStackError when a secret is not base64.
 */
export async function verifyWebhook(
  request: Request | ReceivedRequest,
  secret: string | readonly string[],
  options: VerifyOptions = {},
): Promise<WebhookEvent> {
  const keys = await Promise.all((typeof secret === "string" ? [secret] : secret).map(importSecret));
  const { id, sentAt, signatures } = readHeaders(request.headers);
  const nowSeconds = options.nowSeconds ?? Date.now() / 1_000;
  if (Math.abs(nowSeconds - sentAt) > (options.toleranceSeconds ?? 300)) {
    throw new WebhookError("The delivery's time is too far from now.");
  }
  const body = await readBody(request);
  const head = new TextEncoder().encode(`${id}.${sentAt}.`);
  const signed = new Uint8Array(head.length + body.length);
  signed.set(head);
  signed.set(body, head.length);
  for (const key of keys) {
    for (const signature of signatures) {
      if (await crypto.subtle.verify("HMAC", key, signature, signed)) return readEvent(body);
    }
  }
  throw new WebhookError("No signature fits: another secret, or another body.");
}

async function importSecret(text: string): Promise<CryptoKey> {
  const raw = decodeBase64(text.replace(/^whsec_/, ""));
  if (raw === undefined || raw.length === 0) {
    throw new QuotaStackError("a webhook secret is base64, with or without whsec_");
  }
  return crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return undefined;
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

function readHeaders(headers: ReceivedRequest["headers"]) {
  const get = (name: string): string => {
    const found =
      headers instanceof Headers
        ? headers.get(name)
        : Object.entries(headers).find(([known]) => known.toLowerCase() === name)?.[1];
    if (typeof found !== "string" || found === "") {
      throw new WebhookError(`The header ${name} is missing.`);
    }
    return found;
  };
  const id = get("webhook-id");
  const sentAt = get("webhook-timestamp");
  if (!/^\d{1,12}$/.test(sentAt)) {
    throw new WebhookError("webhook-timestamp is not a Unix time in whole seconds.");
  }
  const signatures = get("webhook-signature")
    .split(" ")
    .filter((part) => part.startsWith("v1,"))
    .map((part) => decodeBase64(part.slice(3)))
    .filter((signature) => signature !== undefined);
  if (signatures.length === 0) throw new WebhookError("webhook-signature holds no v1 signature.");
  return { id, sentAt: Number(sentAt), signatures };
}

async function readBody(request: Request | ReceivedRequest): Promise<Uint8Array> {
  if ("arrayBuffer" in request) return new Uint8Array(await request.arrayBuffer());
  return typeof request.body === "string" ? new TextEncoder().encode(request.body) : request.body;
}

function readEvent(body: Uint8Array): WebhookEvent {
  let event: unknown;
  try {
    event = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw new WebhookError("The body is not JSON.");
  }
  if (typeof event !== "object" || event === null || Array.isArray(event)) {
    throw new WebhookError("The body is not a JSON object.");
  }
  return event as WebhookEvent;
}
