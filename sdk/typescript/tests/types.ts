/** What the compiler must refuse, and what it must know. Compiled, never run. */
import { Client, metered, type Decision, type EntitlementAnswer, type UsageView } from "@quotastack/client";

const client = new Client();

export async function refused(): Promise<void> {
  // @ts-expect-error a customer has one name in a call
  await client.credits.get({ customer_id: "1", external_customer_id: "2" });
  // @ts-expect-error a customer is needed
  await client.credits.get({});
  // @ts-expect-error a metric has one name in a call
  await client.recordUsage("u", { feature_key: "f", billable_metric_key: "f" });
  // @ts-expect-error no such field
  await client.credits.grant({ end_user_id: "u", credits: 1, sauce: "topup" });
  // @ts-expect-error no such word
  await client.customers.list({ order: "upwards" });
  // @ts-expect-error an event of a batch has a key of its own
  await client.usage.recordBatch({ events: [{ end_user_id: "u", feature_key: "f" }] });
}

export async function known(decision: Decision): Promise<[EntitlementAnswer | undefined, UsageView, string]> {
  const usage: UsageView = await client.usage.record({ end_user_id: "u", feature_key: "f" });
  const accepted = await client.usage.record({ end_user_id: "u", feature_key: "f" }, { respondAsync: true });
  const status: string = accepted.status;
  return [decision.unavailable ? undefined : decision, usage, status];
}

export async function listed(): Promise<string[]> {
  const ids: string[] = [];
  for await (const block of client.credits.listBlocks({ end_user_id: "u" })) ids.push(block.id);
  return ids;
}

/** A framework's own request, and its second argument, reach the handler as they are. */
class FrameworkRequest extends Request {
  readonly nextUrl = new URL(this.url);
}

export const route: (request: FrameworkRequest, context: { params: Promise<{ id: string }> }) => Promise<Response> = metered(
  client,
  { customer: (request: FrameworkRequest) => request.nextUrl.searchParams.get("user"), feature: "f" },
  async (request: FrameworkRequest, context: { params: Promise<{ id: string }> }) =>
    new Response(request.nextUrl.pathname + (await context.params).id),
);
