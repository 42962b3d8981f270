/** Record as many events as told, in small batches, and wait until all of them are on the ledger. */
import { argv } from "node:process";

import { Client } from "../dist/index.js";

let errors = 0;
const recorder = new Client({ timeout: 5_000 }).recorder({ batchSize: 20, interval: 1, onError: () => errors++ });
for (let number = 0; number < Number(argv[2]); number++) {
  recorder.record("busy", { feature_key: "api_calls", units: 1, idempotency_key: `usage:${number}` });
}
while (recorder.size > 0) await new Promise((resolve) => setTimeout(resolve, 50));
await recorder.close();
console.log(JSON.stringify({ errors }));
