/** Every operation of the server's description has a method, and every method makes that operation's request. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Client, Pages } from "../dist/index.js";

const { operations } = JSON.parse(await readFile(new URL("../../operations.json", import.meta.url), "utf8"));
const document = await (await fetch(`${process.env.QUOTASTACK_BASE_URL}/openapi.json`)).json();

const camel = (name) => name.replace(/_([a-z])/g, (_all, letter) => letter.toUpperCase());
const listed = new Set(Object.values(operations));

/** Both families of a customer's paths are one method. */
const ours = (path) => path.replace("/v1/customer-by-external-id/{external_id}", "/v1/customers/{customer_id}");

const FAMILIES = [
  [{ customer_id: "c/1" }, "/v1/customers/c%2F1"],
  [{ external_customer_id: "c/1" }, "/v1/customer-by-external-id/c%2F1"],
  [{ end_user_id: "c/1" }, "/v1/customer-by-external-id/c%2F1"],
];

async function requestOf(name, customer) {
  const [resource, method] = name.split(".");
  const path = operations[name].split(" ")[1];
  const positional = [...path.matchAll(/\{(\w+)\}/g)].map((found) => found[1]).filter((one) => one !== "customer_id");
  const sent = [];
  const client = new Client({
    apiKey: "key",
    baseUrl: "http://server",
    fetch: async (address, init) => {
      sent.push({ address: new URL(address), init });
      return Response.json({ data: [], pagination: { has_more: false, next_cursor: null } });
    },
  });
  const args = resource === "integrations" ? { body: "{}", signature: "s" } : path.includes("{customer_id}") ? customer : {};
  const takesArguments = client[camel(resource)][camel(method)].length > positional.length + 1;
  const answer = client[camel(resource)][camel(method)](...positional.map((one) => `${one}/1`), ...(takesArguments ? [args] : []));
  await (answer instanceof Pages ? answer.take(1) : answer);
  assert.equal(sent.length, 1);
  return sent[0];
}

test("every operation has a method", () => {
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${ours(path)}`),
  );
  assert.deepEqual([...new Set(described)].filter((operation) => !listed.has(operation)), []);
  assert.deepEqual([...listed].filter((operation) => !described.includes(operation)), []);
});

for (const name of Object.keys(operations)) {
  test(name, async () => {
    const [verb, path] = operations[name].split(" ");
    const described = document.paths[path][verb.toLowerCase()];
    const keyed = (described.parameters ?? []).some((parameter) => parameter.name === "Idempotency-Key");
    for (const [customer, prefix] of path.includes("{customer_id}") ? FAMILIES : FAMILIES.slice(0, 1)) {
      const { address, init } = await requestOf(name, customer);
      const expected = path
        .replace("/v1/customers/{customer_id}", prefix)
        .replace(/\{(\w+)\}/g, (_all, one) => `${one}%2F1`);
      assert.equal(init.method, verb);
      assert.equal(address.pathname, expected);
      assert.equal(address.search, "", "a customer in the path is not in the query too");
      assert.equal(init.headers.has("Idempotency-Key"), keyed);
      assert.equal(init.body !== undefined, !["GET", "DELETE"].includes(verb));
    }
  });
}
