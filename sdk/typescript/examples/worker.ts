/** A worker that counts much: usage is kept here, sent in batches, and never dropped in silence. */
import { Client, BufferFullError } from "@quotastack/client";

const client = new Client({ onUnavailable: "allow" });
const recorder = client.recorder({
  maxBuffer: 50_000,
  onRefused: ({ event, error }) => console.error(`${event.idempotency_key} refused: ${error.type}`),
  onError: (error) => console.warn("usage waits for the server:", error),
});

export async function handle(user: string, requestId: string, work: () => Promise<number>) {
  const decision = await client.checkEntitlement(user, "api_calls");
  if (!decision.allowed) throw new Error(decision.unavailable ? "try again later" : decision.reason);
  const units = await work();
  const usage = { feature_key: "api_calls", units, idempotency_key: `usage:${requestId}` };
  try {
    recorder.record(user, usage);
  } catch (error) {
    if (!(error instanceof BufferFullError)) throw error;
    await client.recordUsage(user, { ...usage, enforcement: "record" });
  }
}

export async function everyCustomer() {
  for await (const customer of client.customers.list({ limit: 200 })) {
    for await (const block of client.credits.listBlocks({ customer_id: customer.customer_id, status: "active" })) {
      console.log(customer.external_customer_id, block.remaining_amount, block.expires_at);
    }
  }
}

export const shutdown = () => recorder.close();
