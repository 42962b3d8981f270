/**
 * Writes src/generated from the server's own description and from the list of the clients' methods.
 *
 *     node scripts/generate.mjs SOURCE [--check]
 *
 * SOURCE is an address or a file of /openapi.json. With --check nothing is written: the exit code is 1 when a file
 * differs. The same document always gives the same files.
 */
import { readFile, writeFile } from "node:fs/promises";
import { argv, exit, stderr } from "node:process";
import { fileURLToPath } from "node:url";

import { writeProblems } from "./problems.mjs";
import { writeResources } from "./resources.mjs";
import { writeSchemas } from "./schemas.mjs";

const FOLDER = new URL("../src/generated/", import.meta.url);
const OPERATIONS = new URL("../../operations.json", import.meta.url);

async function readDocument(source) {
  if (/^https?:/.test(source)) return (await fetch(source)).json();
  return JSON.parse(await readFile(source, "utf8"));
}

const [source, flag] = argv.slice(2);
if (source === undefined) {
  stderr.write("usage: generate.mjs <address or file of openapi.json> [--check]\n");
  exit(2);
}
const document = await readDocument(source);
const { operations } = JSON.parse(await readFile(OPERATIONS, "utf8"));
const files = {
  "schemas.ts": writeSchemas(document),
  "resources.ts": writeResources(document, operations),
  "problems.ts": writeProblems(document),
};
for (const [name, text] of Object.entries(files)) {
  const file = new URL(name, FOLDER);
  if (flag !== "--check") {
    await writeFile(file, text);
    continue;
  }
  const known = await readFile(file, "utf8").catch(() => "");
  if (known !== text) {
    stderr.write(`${fileURLToPath(file)} is not what the server says: npm run generate -- <address>/openapi.json\n`);
    exit(1);
  }
}
