/** Nothing of Node is needed: the client runs on the Web's standards alone. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";

const DIST = new URL("../dist/", import.meta.url);

test("its files import each other and nothing else", async () => {
  const files = (await readdir(DIST, { recursive: true })).filter((name) => name.endsWith(".js"));
  assert(files.length > 10);
  for (const name of files) {
    const text = await readFile(new URL(name.replaceAll("\\", "/"), DIST), "utf8");
    for (const [, target] of text.matchAll(/\bfrom\s+["']([^"']+)["']/g)) assert.match(target, /^\.\.?\//, name);
    assert.doesNotMatch(text, /\brequire\(|\bimport\(/, name);
  }
});

test("it works without process, Buffer and timers that can be let go", () => {
  const script = `
    const { log } = console;
    new Headers(); // Node loads its own late, and that needs Node.
    const { setTimeout: wait } = globalThis;
    globalThis.setTimeout = (run, ms) => Number(wait(run, ms));
    for (const name of ["process", "Buffer", "setImmediate"]) delete globalThis[name];
    const { Client } = await import(${JSON.stringify(new URL("index.js", DIST).href)});
    // So does its Response.
    const respond = (body) => ({ ok: true, status: 200, headers: new Headers({ "Content-Type": "application/json" }), text: async () => JSON.stringify(body) });
    const fetch = async (address) => respond(address.includes("batch") ? { results: [{ status: "created" }] } : { allowed: true });
    const client = new Client({ apiKey: "k", fetch });
    const recorder = client.recorder();
    recorder.record("u", { feature_key: "f" });
    await recorder.close();
    log((await client.checkEntitlement("u", "f")).allowed, recorder.size);`;
  const done = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  assert.equal(done.stdout, "true 0\n", done.stderr);
});
