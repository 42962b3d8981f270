/** Next.js: app/api/chat/route.ts. Tokens are held for the answer, and what it really took is charged. */
import { Client, metered } from "@quotastack/client";

const client = new Client();

/** Your own session; a stand-in here. */
const userOf = (request: Request) => request.headers.get("x-user-id");

export const POST = metered(
  client,
  {
    customer: userOf,
    feature: "tokens",
    units: 2_000,
    actual: (_request, response) => Number(response.headers.get("x-tokens")),
    ttl_seconds: 120,
  },
  async (request, _context: { params: Promise<Record<string, string>> }) => {
    const text = (await request.text()).toUpperCase();
    return new Response(text, { headers: { "x-tokens": String(text.length) } });
  },
);
