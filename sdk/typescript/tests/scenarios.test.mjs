/** The stories of sdk/scenarios.json, told to a real server; each in a fresh test environment. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Client, Pages, ProblemError, responseOf } from "../dist/index.js";

const { scenarios } = JSON.parse(await readFile(new URL("../../scenarios.json", import.meta.url), "utf8"));

const camel = (name) => name.replace(/_([a-z])/g, (_all, letter) => letter.toUpperCase());
const dig = (value, path) => (path === "" ? value : path.split(".").reduce((part, name) => part[name], value));

/** `$name` anywhere in a step is what was saved under that name. */
function filled(value, saved) {
  if (typeof value === "string" && value.startsWith("$")) return saved[value.slice(1)];
  if (Array.isArray(value)) return value.map((one) => filled(one, saved));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, filled(one, saved)]));
}

/** Objects by key, recursively; lists of the same length, item by item. */
function assertShows(told, shown, where) {
  if (Array.isArray(shown)) {
    assert.equal(told?.length, shown.length, where);
    shown.forEach((one, index) => assertShows(told[index], one, `${where}[${index}]`));
  } else if (shown !== null && typeof shown === "object") {
    for (const [name, one] of Object.entries(shown)) assertShows(told?.[name], one, `${where}.${name}`);
  } else {
    assert.equal(told, shown, where);
  }
}

async function call(client, step, saved) {
  const [resource, method] = step.call.split(".");
  const target = method === undefined ? client : client[camel(resource)];
  const args = step.args === undefined ? [] : [filled(step.args, saved)];
  const path = filled(step.path ?? [], saved);
  // Options come last; what has no arguments in between takes `undefined` for them.
  const options = step.key === undefined ? [] : [{ idempotencyKey: filled(step.key, saved) }];
  if (options.length > 0 && args.length === 0) args.push(undefined);
  const answer = target[camel(method ?? resource)](...path, ...args, ...options);
  if (!(answer instanceof Pages) || step.expect_length === undefined) return answer;
  return Array.fromAsync ? Array.fromAsync(answer) : collect(answer);
}

async function collect(list) {
  const items = [];
  for await (const item of list) items.push(item);
  return items;
}

function save(step, answer, saved) {
  for (const [name, path] of Object.entries(step.save ?? {})) saved[name] = dig(answer, path);
}

async function together(client, step, saved) {
  const outcomes = await Promise.all(
    step.together.map(async (one) => {
      try {
        const answer = await call(client, one, saved);
        save(one, answer, saved);
        return responseOf(answer).replayed ? "replayed" : "ok";
      } catch (error) {
        if (!(error instanceof ProblemError)) throw error;
        return error.type;
      }
    }),
  );
  assert.deepEqual(outcomes.sort(), [...step.outcomes].sort());
}

async function tell(client, step, saved) {
  if (step.together) return together(client, step, saved);
  const where = `${step.call} ${JSON.stringify(step.args ?? {})}`;
  if (step.error) {
    const expected = filled(step.error, saved);
    await assert.rejects(call(client, step, saved), (error) => {
      assert(error instanceof ProblemError, where);
      assert.notEqual(error.constructor, ProblemError, "each type has a class of its own");
      assert.match(error.requestId, /^req_/);
      const { type, ...members } = expected;
      assert.equal(error.type, type, where);
      assertShows(error, members, where);
      return true;
    });
    return undefined;
  }
  const answer = await call(client, step, saved);
  save(step, answer, saved);
  if (step.expect) assertShows(answer, filled(step.expect, saved), where);
  if (step.expect_length !== undefined) assert.equal(answer.length, step.expect_length, where);
  if (step.replayed !== undefined) assert.equal(responseOf(answer).replayed, step.replayed, where);
  return undefined;
}

for (const scenario of scenarios) {
  test(scenario.name, async () => {
    const client = new Client();
    await client.testClock.reset();
    const saved = {};
    for (const step of scenario.steps) await tell(client, step, saved);
  });
}
