/** Retries, timeouts, errors, the recorder's buffer and the policies, against answers made up here. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

import {
  Client,
  metered,
  ProblemError,
  QuotaRateLimitedError,
  QuotaStackError,
  RateLimitedError,
  BufferFullError,
  RequestTimeoutError,
  UnreachableError,
  UnavailableError,
  UsageRefusedError,
  ValidationFailedError,
} from "../dist/index.js";

const problem = (status, slug, more = {}, headers = {}) =>
  new Response(JSON.stringify({ type: `http://server/errors/${slug}`, title: slug, status, detail: "why", request_id: "req_1", ...more }), {
    status,
    headers: { "Content-Type": "application/problem+json", ...headers },
  });
const failure = () => new TypeError("fetch failed", { cause: new Error("ECONNREFUSED") });

/** A client whose server answers these in turn, the last one for ever; `sent` is what it was sent. */
function answering(...answers) {
  const sent = [];
  const client = new Client({
    apiKey: "key",
    baseUrl: "http://server/",
    fetch: async (address, init) => {
      sent.push({ address, init, body: init.body && JSON.parse(init.body), key: init.headers.get("Idempotency-Key") });
      const made = answers[Math.min(sent.length, answers.length) - 1];
      const answer = typeof made === "function" ? await made(init, sent.at(-1)) : made;
      if (answer instanceof Error) throw answer;
      return answer.clone();
    },
  });
  return { client, sent };
}

/** Waits end at once, and are written down. */
function instantly(t) {
  const waits = [];
  const real = globalThis.setTimeout;
  t.mock.method(globalThis, "setTimeout", (run, ms, ...rest) => {
    if (ms < 30_000) waits.push(ms);
    return real(run, ms < 30_000 ? 0 : ms, ...rest);
  });
  return waits;
}

test("temporary failures are repeated with the same key", async (t) => {
  const waits = instantly(t);
  const { client, sent } = answering(failure(), problem(503, "unavailable"), problem(409, "idempotency-key-in-flight"), Response.json({ id: "1" }, { status: 201 }));
  await client.usage.record({ end_user_id: "u", feature_key: "f" });
  assert.equal(sent.length, 4);
  assert.equal(new Set(sent.map((one) => one.key)).size, 1);
  assert.match(sent[0].key, /^[0-9a-f-]{36}$/);
  assert.equal(waits.length, 3);
  waits.forEach((ms, attempt) => assert(ms >= 125 * 2 ** attempt && ms <= 250 * 2 ** attempt, `${ms}`));
  assert.equal(sent[0].address, "http://server/v1/usage");
  assert.equal(sent[0].init.headers.get("X-API-Key"), "key");
  assert.equal(sent[0].init.redirect, "manual");
});

test("Retry-After is honoured, with jitter above it, and not beyond a minute", async (t) => {
  const waits = instantly(t);
  const { client } = answering(problem(429, "rate-limited", {}, { "Retry-After": "7" }), Response.json({}));
  await client.customers.list();
  assert(waits[0] >= 7000 && waits[0] <= 7700, `${waits}`);
  const patient = answering(problem(503, "unavailable", {}, { "Retry-After": "3600" }));
  await assert.rejects(patient.client.customers.list().take(1), (error) => error.retryAfterSeconds === 3600);
  assert.equal(patient.sent.length, 1);
});

test("refusals are not repeated, and are classes with what they say", async () => {
  const refusals = [
    [problem(429, "quota-rate-limited", { metric: "f", limit: 5 }, { "Retry-After": "2" }), QuotaRateLimitedError, { metric: "f", limit: 5, retryAfterSeconds: 2 }],
    [problem(400, "validation-error", { errors: [{ pointer: "/units", detail: "too many" }] }), ValidationFailedError, { requestId: "req_1", type: "validation-error", title: "validation-error" }],
    [problem(418, "new-and-unknown", { later: true }), ProblemError, { type: "new-and-unknown", later: true }],
  ];
  for (const [answer, type, members] of refusals) {
    const { client, sent } = answering(answer);
    await assert.rejects(client.usage.get("1"), (error) => {
      assert.equal(error.constructor, type);
      assert(error instanceof QuotaStackError);
      for (const [name, value] of Object.entries(members)) assert.equal(error[name], value, name);
      return true;
    });
    assert.equal(sent.length, 1);
  }
});

test("retries end, per call and per client", async (t) => {
  instantly(t);
  const { client, sent } = answering(failure());
  await assert.rejects(client.usage.get("1"), UnreachableError);
  assert.equal(sent.length, 4);
  await assert.rejects(client.usage.get("1", { maxRetries: 0 }), /ECONNREFUSED/);
  assert.equal(sent.length, 5);
});

test("answers that are not ours: a proxy's page, cut JSON, a redirect", async () => {
  const answers = [
    [new Response("<h1>Bad gateway", { status: 502, headers: { "Content-Type": "text/html" } }), ProblemError, /502 unknown/],
    [new Response('{"id": ', { headers: { "Content-Type": "application/json" } }), UnreachableError, /cut/],
    [new Response(null, { status: 302, headers: { Location: "http://elsewhere/" } }), ProblemError, /302/],
  ];
  for (const [answer, type, words] of answers) {
    await assert.rejects(answering(answer).client.usage.get("1", { maxRetries: 0 }), (error) => error instanceof type && words.test(error.message));
  }
});

test("no answer in time is a timeout; the caller's signal ends the call with its own reason", async () => {
  const never = (init) => new Promise((_resolve, reject) => init.signal.addEventListener("abort", () => reject(init.signal.reason)));
  const { client, sent } = answering(never);
  await assert.rejects(client.usage.get("1", { timeout: 5, maxRetries: 0 }), RequestTimeoutError);
  const stopper = new AbortController();
  const call = client.usage.get("1", { signal: stopper.signal });
  stopper.abort(new Error("enough"));
  await assert.rejects(call, /enough/);
  await assert.rejects(client.usage.get("1", { signal: stopper.signal }), /enough/);
  assert.equal(sent.length, 2);
});

test("a customer is named once, and ids are not paths", async () => {
  const { client, sent } = answering(Response.json({}));
  await assert.rejects(async () => client.credits.get({}), /once/);
  await assert.rejects(async () => client.credits.get({ customer_id: "1", end_user_id: "2" }), /once/);
  await assert.rejects(async () => client.usage.get(".."), /cannot be an id/);
  await assert.rejects(async () => client.usage.get(""), /missing/);
  assert.equal(sent.length, 0);
});

test("queries: dates, dimensions, booleans, nothing for what is not given", async () => {
  const { client, sent } = answering(Response.json({ allowed: true }));
  await client.entitlements.check({ end_user_id: "u", feature_key: "f", dimensions: { model: "large" }, explain: true, units: 2 });
  assert.equal(new URL(sent[0].address).search, "?end_user_id=u&feature_key=f&dimensions=model%3Alarge&explain=true&units=2");
  await client.analytics.liability({ from: new Date(0), to: undefined });
  assert.equal(new URL(sent[1].address).search, "?from=1970-01-01T00%3A00%3A00.000Z");
});

test("onUnavailable decides when nobody answers, and only then", async () => {
  const { client } = answering(failure());
  const check = (onUnavailable, more = {}) => client.checkEntitlement("u", "f", { maxRetries: 0, onUnavailable, ...more });
  assert.equal((await check("allow")).allowed, true);
  const denied = await check("deny");
  assert.deepEqual([denied.allowed, denied.reason], [false, "unavailable"]);
  assert(denied.unavailable instanceof UnreachableError);
  let asked;
  const decided = await check((error, about) => ((asked = [error.name, about]), about.units < 10), { units: 3 });
  assert.equal(decided.allowed, true);
  assert.deepEqual(asked, ["UnreachableError", { customer: "u", feature: "f", units: 3 }]);
  await assert.rejects(client.checkEntitlement("u", "f", { maxRetries: 0 }), UnreachableError);
  await assert.rejects(answering(problem(503, "unavailable")).client.checkEntitlement("u", "f", { maxRetries: 0 }), UnavailableError);
  const answered = answering(problem(404, "customer-not-found")).client;
  await assert.rejects(answered.checkEntitlement("u", "f", { onUnavailable: "allow" }), (error) => error.status === 404);
});

const created = (init, sent) => Response.json({ results: sent.body.events.map(() => ({ status: "created" })) }, { status: 201 });

test("the recorder is bounded, and throws when full", async () => {
  const { client, sent } = answering(created);
  const recorder = client.recorder({ maxBuffer: 2, interval: 60_000 });
  recorder.record("u", { feature_key: "f" });
  recorder.record("u", { feature_key: "f", units: 2 });
  assert.throws(() => recorder.record("u", { feature_key: "f" }), BufferFullError);
  await recorder.flush();
  assert.equal(sent.length, 1);
  assert.deepEqual(sent[0].body.events.map((event) => event.enforcement), ["record", "record"]);
  await recorder.close();
  assert.throws(() => recorder.record("u", { feature_key: "f" }), /closed/);
});

test("an event that may wait has its moment, unless it has a key or a moment of its own", async () => {
  const { client, sent } = answering(created);
  const recorder = client.recorder({ interval: 60_000 });
  const before = new Date().toISOString();
  recorder.record("u", { feature_key: "f" });
  recorder.record("u", { feature_key: "f", idempotency_key: "act" });
  recorder.record("u", { feature_key: "f", timestamp: "2031-03-01T10:00:00Z" });
  await recorder.close();
  const [first, second, third] = sent[0].body.events.map((event) => event.timestamp);
  assert(first >= before && first <= new Date().toISOString(), first);
  assert.deepEqual([second, third], [undefined, "2031-03-01T10:00:00Z"]);
});

test("the recorder sends by itself, in batches", async () => {
  const { client, sent } = answering(created);
  const recorder = client.recorder({ batchSize: 2, interval: 1 });
  const keys = [1, 2, 3].map((units) => recorder.record("u", { feature_key: "f", units }));
  while (recorder.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(sent.map((one) => one.body.events.length), [2, 1]);
  assert.deepEqual(sent.flatMap((one) => one.body.events.map((event) => event.idempotency_key)), keys);
  await recorder.close();
});

test("a flush ends with what was recorded before it, whatever is recorded meanwhile", async () => {
  let recorder;
  let isBusy = true;
  const { client, sent } = answering((init, one) => {
    if (isBusy) recorder.record("u", { feature_key: "f" });
    return created(init, one);
  });
  recorder = client.recorder({ batchSize: 1, interval: 60_000 });
  for (let units = 1; units <= 3; units++) recorder.record("u", { feature_key: "f", units });
  await recorder.flush();
  assert(sent.length >= 3 && sent.length <= 4, `${sent.length}`);
  isBusy = false;
  assert(recorder.size >= 2);
  await recorder.close();
});

test("the recorder keeps what could not be delivered, with the same keys", async (t) => {
  instantly(t);
  const errors = [];
  const { client, sent } = answering(failure(), problem(401, "authentication-required"), failure(), created);
  const recorder = client.recorder({ onError: (error) => errors.push(error), interval: 60_000 });
  recorder.record("u", { feature_key: "f" });
  await assert.rejects(recorder.flush({ timeout: 0 }), UnreachableError);
  assert.equal(recorder.size, 1);
  await assert.rejects(recorder.flush(), (error) => error.status === 401);
  assert.equal(recorder.size, 1);
  await recorder.close();
  assert.equal(recorder.size, 0);
  assert.equal(new Set(sent.map((one) => one.body.events[0].idempotency_key)).size, 1);
});

test("of a batch, the temporary refusals are kept and the final ones are told", async (t) => {
  instantly(t);
  const told = [];
  const mixed = () =>
    Response.json({ results: [{ status: "created" }, { status: "failed", problem: { type: "/errors/unavailable", status: 503 } }, { status: "failed", problem: { type: "/errors/not-entitled", status: 403 } }] }, { status: 207 });
  const { client, sent } = answering(mixed, created);
  const recorder = client.recorder({ interval: 60_000, onRefused: ({ event, error }) => told.push([event.units, error.type]) });
  for (const units of [1, 2, 3]) recorder.record("u", { feature_key: "f", units });
  await recorder.close();
  assert.deepEqual(told, [[3, "not-entitled"]]);
  assert.deepEqual(sent[1].body.events.map((event) => event.units), [2]);
});

test("a body that is too large is halved until the event that spoils it stands alone", async () => {
  const picky = (init, sent) => (sent.body.events.some((event) => event.units === 3) ? problem(413, "payload-too-large") : created(init, sent));
  const { client } = answering(picky);
  const recorder = client.recorder({ interval: 60_000 });
  for (let units = 1; units <= 6; units++) recorder.record("u", { feature_key: "f", units });
  await assert.rejects(recorder.close(), (error) => {
    assert(error instanceof UsageRefusedError);
    assert.deepEqual(error.refused.map((one) => one.event.units), [3]);
    return true;
  });
  assert.equal(recorder.size, 0);
});

test("a program that ends flushes; one that cannot says so and fails", () => {
  const script = (answer) => `
    import { Client } from ${JSON.stringify(new URL("../dist/index.js", import.meta.url).href)};
    const fetch = async (_address, init) => { ${answer} };
    new Client({ apiKey: "k", fetch }).recorder().record("u", { feature_key: "f" });`;
  const run = (answer) => spawnSync(process.execPath, ["--input-type=module", "-e", script(answer)], { encoding: "utf8" });
  const flushed = run('console.log(JSON.parse(init.body).events.length); return Response.json({ results: [{ status: "created" }] });');
  assert.deepEqual([flushed.status, flushed.stdout], [0, "1\n"]);
  const lost = run('return Response.json({ results: [{ status: "failed", problem: { type: "/errors/conflict", status: 409 } }] });');
  assert.equal(lost.status, 1);
  assert.match(lost.stderr, /not delivered/);
});

test("a metered route asks its policy when nobody answers, and records what it allowed", async () => {
  const { client, sent } = answering(created);
  const quick = new Client({ apiKey: "k", baseUrl: "http://server", maxRetries: 0, fetch: async () => { throw failure(); } });
  const settings = { customer: () => "u", feature: "f" };
  const ask = (more) => metered(quick, { ...settings, ...more }, () => new Response("done"))(new Request("http://app/"));
  assert.equal((await ask({})).status, 503);
  const recorder = client.recorder({ interval: 60_000 });
  assert.equal((await ask({ onUnavailable: "allow", recorder, key: () => "act" })).status, 200);
  assert.equal(recorder.size, 1);
  await recorder.close();
  assert.deepEqual(sent[0].body.events.map((event) => [event.external_customer_id, event.units, event.idempotency_key]), [["u", 1, "act"]]);
});
