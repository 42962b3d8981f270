/** What must hold against a real server: keys kept over cuts, holds that end, usage that is never lost. */
import assert from "node:assert/strict";
import { createServer, request as forward } from "node:http";
import { after, beforeEach, test } from "node:test";

import {
  AlreadyCommittedError,
  Client,
  IdempotencyKeyReusedError,
  InsufficientCreditsError,
  metered,
  responseOf,
  UsageRefusedError,
  ValidationFailedError,
} from "../dist/index.js";

const client = new Client();
const SERVER = new URL(process.env.QUOTASTACK_BASE_URL);

beforeEach(async () => {
  await client.testClock.reset();
  await client.metrics.create({ key: "look", name: "Look" });
  await client.rules.create({ feature_key: "look", cost_type: "per_unit", unit_cost: 1000 });
  await client.topups.grant({ end_user_id: "maker", credits: 10_000 });
});

const account = () => client.credits.get({ end_user_id: "maker" });
const isSound = async () => assert.equal((await client.ledger.verify()).ok, true);

/** A proxy that passes requests on and cuts the connection instead of answering, as often as told. */
function cutting(times) {
  const keys = [];
  const server = createServer((incoming, outgoing) => {
    keys.push(incoming.headers["idempotency-key"]);
    const { hostname, port } = SERVER;
    const passed = forward({ hostname, port, path: incoming.url, method: incoming.method, headers: incoming.headers });
    passed.on("response", (answer) => {
      answer.on("end", () => times-- > 0 && incoming.socket.destroy());
      if (times > 0) return answer.resume();
      outgoing.writeHead(answer.statusCode, answer.headers);
      return answer.pipe(outgoing);
    });
    incoming.pipe(passed);
  });
  after(() => server.close());
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve({ keys, baseUrl: `http://127.0.0.1:${server.address().port}`, stop: () => server.closeAllConnections() });
    });
  });
}

test("a request cut after it was sent is repeated with the same key and charged once", async () => {
  const proxy = await cutting(2);
  const usage = await new Client({ baseUrl: proxy.baseUrl }).recordUsage("maker", { feature_key: "look", units: 3 });
  proxy.stop();
  assert.equal(responseOf(usage).replayed, true);
  assert.equal(proxy.keys.length, 3);
  assert.equal(new Set(proxy.keys).size, 1);
  assert.equal((await account()).lifetime_spent, 3000);
  await isSound();
});

test("a hold commits what was used and gives the rest back", async () => {
  const made = await client.hold({ end_user_id: "maker", feature_key: "look", estimated_units: 5 }, async (hold) => {
    assert.equal((await account()).effective_balance, 5000);
    hold.actual_units = 2;
    return `picture of ${hold.id}`;
  });
  assert.match(made, /^picture of /);
  const { balance, reserved_balance } = await account();
  assert.deepEqual({ balance, reserved_balance }, { balance: 8000, reserved_balance: 0 });
});

test("a hold is released when the work fails, and the work's error comes through", async () => {
  const failure = new Error("no picture");
  const held = client.hold({ end_user_id: "maker", feature_key: "look", estimated_units: 5 }, () => {
    throw failure;
  });
  await assert.rejects(held, (error) => error === failure);
  const { balance, reserved_balance, lifetime_spent } = await account();
  assert.deepEqual({ balance, reserved_balance, lifetime_spent }, { balance: 10_000, reserved_balance: 0, lifetime_spent: 0 });
});

test("a job run again under its key: after a failure on a new hold, after a commit not at all", async () => {
  let runs = 0;
  const job = (work) =>
    client.hold({ end_user_id: "maker", feature_key: "look", estimated_units: 2 }, (hold) => work(++runs, hold), { idempotencyKey: "job:1" });
  for (let failure = 0; failure < 2; failure++) {
    await assert.rejects(job(() => Promise.reject(new Error("crash"))), /crash/);
  }
  assert.equal(await job((run) => `run ${run}`), "run 3");
  await assert.rejects(job((run) => run), (error) => {
    assert(error instanceof AlreadyCommittedError);
    assert.equal(error.reservation.committed_amount, 2000);
    return true;
  });
  assert.equal(runs, 3);
  const { lifetime_spent, reserved_balance } = await account();
  assert.deepEqual({ lifetime_spent, reserved_balance }, { lifetime_spent: 2000, reserved_balance: 0 });
  await isSound();
});

test("a metered act is answered again and charged once", async () => {
  const statuses = [500, 200, 200];
  const settings = { customer: () => "maker", feature: "look", key: () => "act:1" };
  const route = metered(client, settings, () => new Response("done", { status: statuses.shift() }));
  for (const expected of [500, 200, 200]) assert.equal((await route(new Request("http://app/"))).status, expected);
  assert.equal((await account()).lifetime_spent, 1000);
});

test("work does not start on credits that are not there", async () => {
  let started = false;
  const held = client.hold({ end_user_id: "maker", feature_key: "look", estimated_units: 11 }, () => {
    started = true;
  });
  await assert.rejects(held, (error) => {
    assert(error instanceof InsufficientCreditsError);
    const { required, available, shortfall, status } = error;
    assert.deepEqual({ required, available, shortfall, status }, { required: 11_000, available: 10_000, shortfall: 1000, status: 402 });
    return true;
  });
  assert.equal(started, false);
});

test("a hold of plain credits, extended, and one that the work released", async () => {
  await client.hold({ end_user_id: "maker", credits: 4000 }, async (hold) => {
    const extended = await hold.extend(600);
    assert(extended.expires_at > hold.reservation.expires_at);
    hold.actual_credits = 1500;
  });
  await client.hold({ end_user_id: "maker", credits: 4000 }, (hold) => hold.release());
  const { balance, reserved_balance } = await account();
  assert.deepEqual({ balance, reserved_balance }, { balance: 8500, reserved_balance: 0 });
  await isSound();
});

test("the recorder delivers every event once, over cut connections", async () => {
  const proxy = await cutting(2);
  const recorder = new Client({ baseUrl: proxy.baseUrl }).recorder({ batchSize: 4, interval: 60_000 });
  for (let number = 0; number < 9; number++) recorder.record("maker", { feature_key: "look" });
  await recorder.close();
  proxy.stop();
  assert.equal(recorder.size, 0);
  assert.equal((await account()).lifetime_spent, 9000);
  await isSound();
});

test("the recorder tells which events were refused, and takes the others", async () => {
  const recorder = client.recorder();
  recorder.record("maker", { feature_key: "look" });
  recorder.record("nobody", { feature_key: "look", idempotency_key: "usage:nobody" });
  recorder.record("maker", { feature_key: "LOOK" });
  await assert.rejects(recorder.flush(), (error) => {
    assert(error instanceof UsageRefusedError);
    assert.deepEqual(error.refused.map((one) => one.error.type), ["customer-not-found", "validation-error"]);
    assert.equal(error.refused[0].event.idempotency_key, "usage:nobody");
    assert(error.refused[1].error instanceof ValidationFailedError);
    return true;
  });
  await recorder.close();
  assert.equal((await account()).lifetime_spent, 1000);
});

test("what happened already is recorded beyond the balance; enforced, it is refused", async () => {
  const recorder = client.recorder();
  recorder.record("maker", { feature_key: "look", units: 11 });
  await recorder.flush();
  assert.equal((await account()).overdraft, 1000);
  recorder.record("maker", { feature_key: "look", units: 1, enforcement: "enforce" });
  await assert.rejects(recorder.close(), UsageRefusedError);
});

test("respondAsync answers before it is applied", async () => {
  const accepted = await client.usage.record({ end_user_id: "maker", feature_key: "look" }, { respondAsync: true });
  assert.equal(accepted.status, "accepted");
  assert.equal(responseOf(accepted).status, 202);
});

test("lists fetch page after page", async () => {
  for (let number = 0; number < 5; number++) await client.customers.create({ external_id: `user ${number}` });
  const names = [];
  for await (const customer of client.customers.list({ limit: 2, order: "asc" })) names.push(customer.external_customer_id);
  assert.deepEqual(names, ["maker", "user 0", "user 1", "user 2", "user 3", "user 4"]);
  const page = await client.customers.list({ limit: 2 });
  assert.equal(page.data.length, 2);
  assert.equal(page.pagination.has_more, true);
  assert.equal((await client.customers.list({ limit: 1 }).take(3)).length, 3);
});

test("ids of any letters stand in paths", async () => {
  const external_id = "a/b:c %25 ü?#";
  await client.customers.create({ external_id });
  const found = await client.customers.get({ external_customer_id: external_id });
  assert.equal(found.external_customer_id, external_id);
  assert.deepEqual((await client.customers.list({ external_id }).take(2)).map((one) => one.customer_id), [found.customer_id]);
});

test("keys: the caller's, in the body or beside it", async () => {
  const first = await client.recordUsage("maker", { feature_key: "look", idempotency_key: "one" });
  const again = await client.usage.record({ end_user_id: "maker", feature_key: "look" }, { idempotencyKey: "one" });
  const body = await client.usage.record({ end_user_id: "maker", feature_key: "look", idempotency_key: "one" });
  assert.deepEqual([again.id, body.id], [first.id, first.id]);
  const other = client.recordUsage("maker", { feature_key: "look", units: 2, idempotency_key: "one" });
  await assert.rejects(other, IdempotencyKeyReusedError);
  assert.equal((await account()).lifetime_spent, 1000);
});

test("a metered route holds, charges, releases and refuses", async () => {
  const route = metered(
    client,
    {
      customer: (request) => request.headers.get("x-user-id"),
      feature: "look",
      units: 6,
      actual: (_request, response) => Number(response.headers.get("x-looks")),
    },
    async (request, context) => new Response(context.word, { status: Number(request.headers.get("x-status") ?? 200), headers: { "x-looks": "4" } }),
  );
  const call = (headers) => route(new Request("http://app/look", { headers }), { word: "done" });
  const made = await call({ "x-user-id": "maker" });
  assert.equal(await made.text(), "done");
  assert.equal((await account()).balance, 6000);
  assert.equal((await call({ "x-user-id": "maker", "x-status": "500" })).status, 500);
  assert.equal((await account()).effective_balance, 6000);
  assert.equal((await call({ "x-user-id": "maker" })).status, 200);
  const refused = await call({ "x-user-id": "maker" });
  assert.equal(refused.status, 402);
  assert.match((await refused.json()).type, /insufficient-credits$/);
  assert.equal((await call({})).status, 401);
  await isSound();
});
