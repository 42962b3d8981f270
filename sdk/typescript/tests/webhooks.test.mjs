/** Signatures as in Standard Webhooks, made here by hand. */
import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";

import { QuotaStackError, verifyWebhook, WebhookError } from "../dist/index.js";

const secret = randomBytes(32).toString("base64");
const event = { id: "msg_1", type: "credit.granted", sequence: 7, data: { amount: 50_000, reason: "ünïcode" } };
const body = JSON.stringify(event);
const now = () => Math.floor(Date.now() / 1000);

function sign(key, id, sentAt, text) {
  return `v1,${createHmac("sha256", Buffer.from(key, "base64")).update(`${id}.${sentAt}.${text}`).digest("base64")}`;
}

function delivery({ key = secret, id = "msg_1", sentAt = now(), text = body, signature } = {}) {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(sentAt),
    "webhook-signature": signature ?? sign(key, id, sentAt, text),
  };
}

const requestOf = (headers, text = body) => new Request("http://app/hook", { method: "POST", headers, body: text });

test("a signed request is the event, with and without the prefix, and during a rotation", async () => {
  assert.deepEqual(await verifyWebhook(requestOf(delivery()), secret), event);
  assert.deepEqual(await verifyWebhook(requestOf(delivery()), `whsec_${secret}`), event);
  const other = randomBytes(24).toString("base64");
  assert.deepEqual(await verifyWebhook(requestOf(delivery()), [other, secret]), event);
  const both = `${sign(other, "msg_1", now(), body)} ${delivery()["webhook-signature"]} v2,later`;
  assert.deepEqual(await verifyWebhook(requestOf(delivery({ signature: both })), secret), event);
});

test("requests of node:http: lists of headers, names in any case, bytes", async () => {
  const headers = Object.fromEntries(Object.entries(delivery()).map(([name, value]) => [name.toUpperCase(), value]));
  assert.deepEqual(await verifyWebhook({ headers, body: Buffer.from(body) }, secret), event);
  assert.deepEqual(await verifyWebhook({ headers, body }, secret), event);
});

const FORGERIES = {
  "another body": [delivery(), body.replace("50000", "99999")],
  "another id": [{ ...delivery(), "webhook-id": "msg_2" }],
  "another secret": [delivery({ key: randomBytes(32).toString("base64") })],
  "too old": [delivery({ sentAt: now() - 301 })],
  "too far ahead": [delivery({ sentAt: now() + 302 })],
  "no time": [{ ...delivery(), "webhook-timestamp": "soon" }],
  "no signature": [delivery({ signature: "v1,***" })],
  "no headers": [{}],
  "not JSON": [delivery({ text: "nothing" }), "nothing"],
  "no object": [delivery({ text: "[1]" }), "[1]"],
};

for (const [name, [headers, text]] of Object.entries(FORGERIES)) {
  test(`refused: ${name}`, async () => {
    await assert.rejects(verifyWebhook(requestOf(headers, text), secret), WebhookError);
  });
}

test("a secret that is not base64 is the receiver's own mistake", async () => {
  for (const wrong of ["", "whsec_", "not base64!"]) {
    await assert.rejects(verifyWebhook(requestOf(delivery()), wrong), (error) => {
      assert(error instanceof QuotaStackError && !(error instanceof WebhookError));
      return true;
    });
  }
});
